//! GET, MGET, STRLEN.

use crate::data::value::ValueRef;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply, Reply};

pub const COMMANDS: &[Command] = &[
    Command::new("get", 2, get)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::String, "1.0.0", "O(1)", "Gives the value of a key.")
        .args(&[Arg::key("key", 0)]),
    Command::new("mget", -2, mget)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::String, "1.0.0", "O(N) where N is the number of keys", "Gives the values of several keys.")
        .tips(&["request_policy:multi_shard"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("strlen", 2, strlen)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::String, "2.2.0", "O(1)", "Gives the length of a value in bytes.")
        .args(&[Arg::key("key", 0)]),
];

/// Writes a string value as a bulk string.
pub(super) fn push_string(reply: &mut Reply, value: ValueRef<'_>) -> Done {
    match value {
        ValueRef::Int(n) => reply.bulk_int(n),
        ValueRef::Bytes(bytes) => reply.bulk(bytes),
        _ => return Err(ErrorReply::WrongType),
    }
    Ok(())
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    match db.read(args.at(1)) {
        Some(entry) => push_string(reply, entry.value()),
        None => {
            reply.null();
            Ok(())
        }
    }
}

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    reply.array(args.len() - 1);
    for key in args.from(1).iter() {
        // A key of another type is as good as missing.
        if db.read(key).is_none_or(|entry| push_string(reply, entry.value()).is_err()) {
            reply.null();
        }
    }
    Ok(())
}

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let len = match db.read(args.at(1)).map(|entry| entry.value()) {
        None => 0,
        Some(ValueRef::Int(n)) => itoa::Buffer::new().format(n).len(),
        Some(ValueRef::Bytes(bytes)) => bytes.len(),
        Some(_) => return Err(ErrorReply::WrongType),
    };
    reply.uint(len);
    Ok(())
}
