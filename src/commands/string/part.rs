//! APPEND, GETRANGE, SUBSTR, SETRANGE: strings by their parts.

use crate::commands::parse;
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("append", 3, append)
        .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .doc(
            Group::String,
            "2.0.0",
            "O(1), as the string's memory grows by doubling",
            "Adds text to the end of a string.",
        )
        .args(&[Arg::key("key", 0), Arg::string("value")]),
    Command::new("getrange", 4, getrange)
        .flags(Flags::READONLY)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::String, "2.4.0", "O(N) where N is the length of the part", "Gives a part of a string.")
        .args(&[Arg::key("key", 0), Arg::int("start"), Arg::int("end")]),
    Command::new("substr", 4, getrange)
        .flags(Flags::READONLY)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::String, "1.0.0", "O(N) where N is the length of the part", "Gives a part of a string.")
        .args(&[Arg::key("key", 0), Arg::int("start"), Arg::int("end")])
        .deprecated("2.0.0", "`GETRANGE`"),
    Command::new("setrange", 4, setrange)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
        .doc(
            Group::String,
            "2.2.0",
            "O(N) where N is the length of the new part, and of what the string grows by",
            "Overwrites a part of a string.",
        )
        .args(&[Arg::key("key", 0), Arg::int("offset"), Arg::string("value")]),
];

/// Refuses a string that would become longer than a client may send one.
fn check_length(ctx: &Ctx<'_>, len: usize) -> Done {
    if len > ctx.server.config.proto_max_bulk_len && !ctx.client.is_obeyed() {
        return Err(ErrorReply::Static("ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(())
}

/// The length of the string at `key`, if there is one.
pub(in crate::commands) fn length(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Option<usize>, ErrorReply> {
    let mut digits = itoa::Buffer::new();
    ctx.db().peek(key).map(|entry| Ok(entry.text(&mut digits)?.len())).transpose()
}

fn append(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, text) = (args.at(1), args.at(2));
    let len = if let Some(old) = length(ctx, key)? {
        check_length(ctx, old + text.len())?;
        let mut db = ctx.db();
        let mut entry = db.write_or_insert(key, || Value::Bytes(Vec::new()));
        entry.make_raw().ok_or(ErrorReply::WrongType)?.extend_from_slice(text);
        old + text.len()
    } else {
        ctx.db().insert(key, Value::from_bytes(text), None);
        text.len()
    };
    ctx.changed(1);
    ctx.notify(EventClass::STRING, "append", key);
    ctx.reply().uint(len);
    Ok(())
}

/// The part of a string of `len` bytes that GETRANGE means: nothing if both ends count from the back and the second is
/// before the first.
fn part(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end { 0..0 } else { parse::text_range(start, end, len) }
}

/// GETRANGE and SUBSTR.
fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, end) = (parse::int(args.at(2))?, parse::int(args.at(3))?);
    let (mut db, reply) = ctx.split();
    let mut digits = itoa::Buffer::new();
    let text = db.read(args.at(1)).map_or(Ok(&b""[..]), |entry| entry.text(&mut digits))?;
    reply.bulk(&text[part(start, end, text.len())]);
    Ok(())
}

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, text) = (args.at(1), args.at(3));
    let offset =
        usize::try_from(parse::int(args.at(2))?).map_err(|_| ErrorReply::Static("ERR offset is out of range"))?;
    let old = length(ctx, key)?;
    if text.is_empty() {
        ctx.reply().uint(old.unwrap_or(0));
        return Ok(());
    }
    let end = offset.saturating_add(text.len());
    check_length(ctx, end)?;
    let mut db = ctx.db();
    let mut entry = db.write_or_insert(key, || Value::Bytes(Vec::new()));
    let buf = entry.make_raw().ok_or(ErrorReply::WrongType)?;
    if buf.len() < end {
        buf.resize(end, 0);
    }
    buf[offset..end].copy_from_slice(text);
    let len = buf.len();
    ctx.changed(1);
    ctx.notify(EventClass::STRING, "setrange", key);
    ctx.reply().uint(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn parts() {
        for (start, end, expected) in [
            (0, -1, 0..5),
            (1, 2, 1..3),
            (-3, -2, 2..4),
            (-100, 100, 0..5),
            (0, -100, 0..1),
            (-1, -2, 0..0),
            (-100, -100, 0..1),
            (5, 9, 0..0),
            (3, 1, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (0, i64::MIN, 0..1),
        ] {
            assert_eq!(part(start, end, 5), expected, "{start} {end}");
        }
        assert_eq!(part(0, -1, 0), 0..0);
    }
}
