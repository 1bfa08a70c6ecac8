//! HGET, HMGET, HGETALL, HKEYS, HVALS, HEXISTS, HLEN, HSTRLEN.

use crate::commands::element;
use crate::data::Item;
use crate::data::hash::{Hash, Live};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, Typed};
use crate::resp::{Args, ErrorReply};

const FLAGS_FAST_READ: Flags = Flags::FAST.union(Flags::READONLY);
const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("hget", 3, hget)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Gives the value of a field.")
        .args(&[Arg::key("key", 0), Arg::string("field")]),
    Command::new("hmget", -3, hmget)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Hash, "2.0.0", "O(N)", "Gives the values of several fields.")
        .args(&[Arg::key("key", 0), Arg::string("field").multiple()]),
    Command::new("hgetall", 2, hgetall)
        .flags(Flags::READONLY)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Hash, "2.0.0", "O(N)", "Gives all fields with their values.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0)]),
    Command::new("hkeys", 2, hkeys)
        .flags(Flags::READONLY)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Hash, "2.0.0", "O(N)", "Gives all fields.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0)]),
    Command::new("hvals", 2, hvals)
        .flags(Flags::READONLY)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Hash, "2.0.0", "O(N)", "Gives the values of all fields.")
        .tips(&["nondeterministic_output_order"])
        .args(&[Arg::key("key", 0)]),
    Command::new("hexists", 3, hexists)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Says whether a field exists.")
        .args(&[Arg::key("key", 0), Arg::string("field")]),
    Command::new("hlen", 2, hlen)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Gives the number of fields.")
        .args(&[Arg::key("key", 0)]),
    Command::new("hstrlen", 3, hstrlen)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::HASH)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Hash, "3.2.0", "O(1)", "Gives the length of a value in bytes.")
        .args(&[Arg::key("key", 0), Arg::string("field")]),
];

/// The hash at `key` as it is to be seen now, if there is one.
pub(super) fn find<'d>(db: &'d mut Db<'_>, key: &[u8]) -> Result<Option<Live<'d>>, ErrorReply> {
    let now = db.field_clock();
    Ok(db.read(key).map(Typed::hash).transpose()?.map(|hash| hash.live(now)))
}

/// As [`find`], for commands that are about to write: nothing is counted.
pub(super) fn find_unread<'d>(db: &'d mut Db<'_>, key: &[u8]) -> Result<Option<Live<'d>>, ErrorReply> {
    let now = db.field_clock();
    Ok(db.peek(key).map(Typed::hash).transpose()?.map(|hash| hash.live(now)))
}

fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    match find(&mut db, args.at(1))?.and_then(|hash| hash.get(args.at(2))) {
        Some(value) => element::push(reply, value),
        None => reply.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let hash = find(&mut db, args.at(1))?;
    reply.array(args.len() - 2);
    for field in args.from(2).iter() {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => element::push(reply, value),
            None => reply.null(),
        }
    }
    Ok(())
}

fn hgetall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let hash = find(&mut db, args.at(1))?;
    reply.map(hash.map_or(0, |hash| hash.len()));
    for (field, value) in hash.into_iter().flat_map(Live::iter) {
        element::push(reply, field);
        element::push(reply, value);
    }
    Ok(())
}

fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    list(ctx, args, |(field, _)| field)
}

fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    list(ctx, args, |(_, value)| value)
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>, half: for<'a> fn((Item<'a>, Item<'a>)) -> Item<'a>) -> Done {
    let (mut db, reply) = ctx.split();
    let hash = find(&mut db, args.at(1))?;
    reply.array(hash.map_or(0, |hash| hash.len()));
    for pair in hash.into_iter().flat_map(Live::iter) {
        element::push(reply, half(pair));
    }
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let exists = find(&mut db, args.at(1))?.is_some_and(|hash| hash.contains(args.at(2)));
    reply.int(i64::from(exists));
    Ok(())
}

/// Counts what is kept: fields past their time as long as nobody has taken them out.
fn hlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    reply.uint(db.read(args.at(1)).map(Typed::hash).transpose()?.map_or(0, Hash::len));
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let value = find(&mut db, args.at(1))?.and_then(|hash| hash.get(args.at(2)));
    reply.uint(value.map_or(0, |value| value.len_as_text()));
    Ok(())
}
