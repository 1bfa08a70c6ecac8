//! BITOP: AND, OR, XOR and NOT of strings.

use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, ErrorReply, is_word};

pub const COMMANDS: &[Command] = &[Command::new("bitop", -4, bitop)
    .flags(Flags::DENYOOM.union(Flags::WRITE))
    .acl(Acl::BITMAP)
    .keys(&[
        KeySpec::range(2, 0, 1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        KeySpec::range(3, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ])
    .doc(
        Group::Bitmap,
        "2.6.0",
        "O(N) where N is the length of all strings together",
        "Stores the bitwise combination of strings.",
    )
    .args(&[
        Arg::one_of(
            "operation",
            &[Arg::flag("and", "AND"), Arg::flag("or", "OR"), Arg::flag("xor", "XOR"), Arg::flag("not", "NOT")],
        ),
        Arg::key("destkey", 0),
        Arg::key("key", 1).multiple(),
    ])];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(word: &[u8]) -> Option<Operation> {
        match word {
            word if is_word(word, "and") => Some(Operation::And),
            word if is_word(word, "or") => Some(Operation::Or),
            word if is_word(word, "xor") => Some(Operation::Xor),
            word if is_word(word, "not") => Some(Operation::Not),
            _ => None,
        }
    }

    /// Changes `into` by one more string. The shorter one goes on with zeros.
    fn take(self, into: &mut Vec<u8>, text: &[u8]) {
        if into.len() < text.len() {
            into.resize(text.len(), 0);
        }
        let (both, alone) = into.split_at_mut(text.len());
        let pairs = both.iter_mut().zip(text);
        match self {
            Operation::And => {
                pairs.for_each(|(a, b)| *a &= b);
                alone.fill(0);
            }
            Operation::Or => pairs.for_each(|(a, b)| *a |= b),
            Operation::Xor => pairs.for_each(|(a, b)| *a ^= b),
            Operation::Not => pairs.for_each(|(a, b)| *a = !b),
        }
    }
}

fn bitop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let operation = Operation::parse(args.at(1)).ok_or(ErrorReply::Syntax)?;
    let (target, sources) = (args.at(2), args.from(3));
    if operation == Operation::Not && sources.len() != 1 {
        return Err(ErrorReply::Static("ERR BITOP NOT must be called with a single source key."));
    }
    let mut db = ctx.db();
    let mut result = Vec::new();
    for (i, key) in sources.iter().enumerate() {
        let mut digits = itoa::Buffer::new();
        let text = db.read(key).map_or(Ok(&b""[..]), |entry| entry.text(&mut digits))?;
        if i == 0 && operation != Operation::Not {
            result.extend_from_slice(text);
        } else {
            operation.take(&mut result, text);
        }
    }
    let len = result.len();
    let found = (len > 0).then_some(Value::Bytes(result));
    let changed = db.store_found(target, found, EventClass::STRING, "set");
    // Bits are likely to be changed again, so they are not kept in the entry, however few they are.
    if let Some(mut entry) = db.write(target) {
        entry.make_raw();
    }
    ctx.changed(usize::from(changed));
    ctx.reply().uint(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_strings_go_on_with_zeros() {
        for (operation, expected) in
            [(Operation::And, [0x30, 0]), (Operation::Or, [0xfc, 0x55]), (Operation::Xor, [0xcc, 0x55])]
        {
            for (a, b) in [(&[0x3c, 0x55][..], &[0xf0][..]), (&[0xf0], &[0x3c, 0x55])] {
                let mut into = a.to_vec();
                operation.take(&mut into, b);
                assert_eq!(into, expected);
            }
        }
        let mut into = Vec::new();
        Operation::Not.take(&mut into, &[0x3c]);
        assert_eq!(into, [0xc3]);
    }
}
