//! QUICKLIST, and what OBJECT tells of lists: the nodes of a long list.

use std::fmt::Write as _;

use crate::data::Limits;
use crate::data::item::Text;
use crate::data::list::{List, NodeRef, Stored};
use crate::data::value::{Encoding, ValueRef};
use crate::exec::effect::LogLevel;
use crate::exec::{Ctx, Done};
use crate::resp::{Args, ErrorReply};

/// Writes the nodes of a list into the log; with 1 behind the key its elements as well.
pub fn quicklist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let with_elements = args.get(3).is_some_and(|word| crate::base::num::parse_i64(word).is_some_and(|n| n != 0));
    let mut db = ctx.db();
    let entry = db.peek(args.at(2)).ok_or(ErrorReply::NoSuchKey)?;
    let ValueRef::List(list) = entry.value() else {
        return Err(ErrorReply::Static("ERR Not a quicklist encoded object."));
    };
    let lines = lines_of(list, with_elements);
    for line in lines {
        ctx.server.log(LogLevel::Notice, line);
    }
    ctx.reply().simple("Quicklist structure printed on stdout");
    Ok(())
}

fn lines_of(list: &List, with_elements: bool) -> Vec<String> {
    let mut lines = vec![format!("Quicklist of {} elements in {} nodes", list.len(), list.nodes().len())];
    lines.extend(list.nodes().map(|node| {
        let kind = if node.plain { "plain" } else { "packed" };
        match node.stored {
            Stored::Raw(bytes) => format!("  {kind}, {} bytes", bytes.len()),
            Stored::Lzf { packed, size } => format!("  {kind}, {size} bytes compressed to {}", packed.len()),
        }
    }));
    if with_elements {
        let mut room = Text::new();
        list.for_each(0..list.len(), |item| lines.push(format!("  {}", item.text(&mut room).escape_ascii())));
    }
    lines
}

/// Appends what DEBUG OBJECT says of the nodes of a long list.
pub fn push_facts(text: &mut String, list: &List, limits: &Limits) {
    if list.encoding() != Encoding::Quicklist {
        return;
    }
    let nodes = list.nodes().len();
    let raw_bytes: usize = list.nodes().map(raw_len).sum();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{raw_bytes}",
        list.len() as f64 / nodes.max(1) as f64,
        limits.list_max_listpack_size,
        u8::from(limits.list_compress_depth > 0),
    );
}

/// Bytes of what a node holds, before it was compressed.
fn raw_len(node: NodeRef<'_>) -> usize {
    match node.stored {
        Stored::Raw(bytes) => bytes.len(),
        Stored::Lzf { size, .. } => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::list::End;

    #[test]
    fn facts_of_nodes() {
        let limits = Limits { list_max_listpack_size: 3, list_compress_depth: 1, ..Limits::default() };
        let mut list = List::new();
        let mut text = String::new();
        list.push(End::Back, b"a", &limits);
        push_facts(&mut text, &list, &limits);
        assert_eq!(text, "");
        for _ in 0..3 {
            for _ in 0..3 {
                list.push(End::Back, &[b'x'; 40], &limits);
            }
        }
        push_facts(&mut text, &list, &limits);
        let raw: usize = list.nodes().map(raw_len).sum();
        let expected =
            format!(" ql_nodes:4 ql_avg_node:2.50 ql_listpack_max:3 ql_compressed:1 ql_uncompressed_size:{raw}");
        assert_eq!(text, expected);
        assert!(lines_of(&list, false).iter().any(|line| line.contains("compressed to")));
        assert_eq!(lines_of(&list, true).len(), 1 + 4 + 10);
    }
}
