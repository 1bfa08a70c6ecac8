//! XLEN, XRANGE, XREVRANGE.

use super::id::{range_end, range_start};
use super::reply::push_entries;
use crate::commands::parse;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::{Args, ErrorReply};

const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("xlen", 2, xlen)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Gives the number of entries.")
        .args(&[Arg::key("key", 0)]),
    Command::new("xrange", -4, xrange)
        .flags(Flags::READONLY)
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Stream, "5.0.0", "O(N)", "Gives the entries between two ids.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("start"),
            Arg::string("end"),
            Arg::int("count").token("COUNT").optional(),
        ]),
    Command::new("xrevrange", -4, xrevrange)
        .flags(Flags::READONLY)
        .acl(Acl::STREAM)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::Stream, "5.0.0", "O(N)", "Gives the entries between two ids, the last one first.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("end"),
            Arg::string("start"),
            Arg::int("count").token("COUNT").optional(),
        ]),
];

fn xlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let len = match db.read(args.at(1)) {
        Some(entry) => entry.stream()?.log.len(),
        None => 0,
    };
    reply.uint(len as usize);
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    range(ctx, args, false)
}

fn xrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    range(ctx, args, true)
}

fn range(ctx: &mut Ctx<'_>, args: Args<'_>, back: bool) -> Done {
    let (start, end) = if back { (args.at(3), args.at(2)) } else { (args.at(2), args.at(3)) };
    let (start, end) = (range_start(start)?, range_end(end)?);
    let mut count = None;
    let mut i = 4;
    while i < args.len() {
        let Some(n) = args.get(i + 1).filter(|_| args.is(i, "count")) else { return Err(ErrorReply::Syntax) };
        count = Some(parse::int(n)?.max(0) as usize);
        i += 2;
    }
    let (mut db, reply) = ctx.split();
    let Some(entry) = db.read(args.at(1)) else {
        reply.array(0);
        return Ok(());
    };
    let log = &entry.stream()?.log;
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    push_entries(reply, if back { log.range_back(start, end) } else { log.range(start, end) }, count);
    Ok(())
}
