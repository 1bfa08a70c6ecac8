//! The entry of one command in COMMAND DOCS.

use super::shape::push_words;
use crate::exec::spec::ArgKind;
use crate::exec::{Arg, Command};
use crate::resp::Reply;

/// A map whose number of pairs is known only at its end.
struct Pairs<'a> {
    reply: &'a mut Reply,
    count: usize,
}

impl Pairs<'_> {
    fn key(&mut self, name: &str) -> &mut Reply {
        self.count += 1;
        self.reply.bulk_str(name);
        self.reply
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name).bulk_str(value);
    }

    fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }
}

/// Writes a map of what `fill` puts in.
fn push_map(reply: &mut Reply, fill: impl FnOnce(&mut Pairs<'_>)) {
    let open = reply.open();
    let mut pairs = Pairs { reply, count: 0 };
    fill(&mut pairs);
    let count = pairs.count;
    reply.end_map(open, count);
}

pub fn push_docs(reply: &mut Reply, command: &Command) {
    push_map(reply, |doc| {
        doc.text("summary", command.summary);
        doc.text("since", command.since);
        doc.text("group", command.group.name());
        doc.text_if("complexity", Some(command.complexity).filter(|text| !text.is_empty()));
        if let Some((since, by)) = command.deprecated {
            push_words(doc.key("doc_flags"), std::iter::once("deprecated"));
            doc.text("deprecated_since", since);
            doc.text("replaced_by", by);
        }
        if !command.args.is_empty() {
            push_args(doc.key("arguments"), command.args);
        }
        if !command.subcommands.is_empty() {
            let reply = doc.key("subcommands");
            reply.map(command.subcommands.len());
            for sub in command.subcommands {
                reply.bulk_str(sub.name);
                push_docs(reply, sub);
            }
        }
    });
}

fn push_args(reply: &mut Reply, args: &[Arg]) {
    reply.array(args.len());
    for arg in args {
        push_map(reply, |doc| push_arg(doc, arg));
    }
}

fn push_arg(doc: &mut Pairs<'_>, arg: &Arg) {
    doc.text("name", arg.name);
    doc.text("type", arg.kind.name());
    if !matches!(arg.kind, ArgKind::OneOf | ArgKind::Block) {
        doc.text("display_text", arg.display.unwrap_or(arg.name));
    }
    if let Some(spec) = arg.key_spec {
        doc.key("key_spec_index").int(i64::from(spec));
    }
    doc.text_if("token", arg.token);
    doc.text_if("since", arg.since);
    doc.text_if("deprecated_since", arg.deprecated_since);
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
    if flags.iter().any(|(set, _)| *set) {
        push_words(doc.key("flags"), flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word));
    }
    if !arg.args.is_empty() {
        push_args(doc.key("arguments"), arg.args);
    }
}
