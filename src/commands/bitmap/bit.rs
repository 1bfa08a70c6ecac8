//! SETBIT, GETBIT: one bit.

use crate::base::num;
use crate::commands::string::length;
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("setbit", 4, setbit)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::BITMAP)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .doc(Group::Bitmap, "2.2.0", "O(1)", "Sets or clears a bit of a string.")
        .args(&[Arg::key("key", 0), Arg::int("offset"), Arg::int("value")]),
    Command::new("getbit", 3, getbit)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::BITMAP)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::Bitmap, "2.2.0", "O(1)", "Gives a bit of a string.")
        .args(&[Arg::key("key", 0), Arg::int("offset")]),
];

/// The number of a bit in a string that may exist.
fn offset(ctx: &Ctx<'_>, arg: &[u8]) -> Result<usize, ErrorReply> {
    num::parse_i64(arg)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| n / 8 < ctx.server.config.proto_max_bulk_len || ctx.client.is_obeyed())
        .ok_or(ErrorReply::Static("ERR bit offset is not an integer or out of range"))
}

/// The byte in which a bit stands, and the bit alone in a byte.
fn place(offset: usize) -> (usize, u8) {
    (offset / 8, 0x80 >> (offset % 8))
}

fn setbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (byte, mask) = place(offset(ctx, args.at(2))?);
    let on = match args.at(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(ErrorReply::Static("ERR bit is not an integer or out of range")),
    };
    let old_len = length(ctx, key)?;
    let mut db = ctx.db();
    let mut entry = db.write_or_insert(key, || Value::Bytes(Vec::new()));
    let bytes = entry.make_raw().ok_or(ErrorReply::WrongType)?;
    if bytes.len() <= byte {
        bytes.resize(byte + 1, 0);
    }
    let was_on = bytes[byte] & mask != 0;
    if on {
        bytes[byte] |= mask;
    } else {
        bytes[byte] &= !mask;
    }
    let changed = was_on != on || old_len.is_none_or(|len| len <= byte);
    if changed {
        ctx.changed(1);
        ctx.notify(EventClass::STRING, "setbit", key);
    }
    ctx.reply().int(i64::from(was_on));
    Ok(())
}

fn getbit(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (byte, mask) = place(offset(ctx, args.at(2))?);
    let (mut db, reply) = ctx.split();
    let mut digits = itoa::Buffer::new();
    let text = db.read(args.at(1)).map_or(Ok(&b""[..]), |entry| entry.text(&mut digits))?;
    reply.int(i64::from(text.get(byte).is_some_and(|bits| bits & mask != 0)));
    Ok(())
}
