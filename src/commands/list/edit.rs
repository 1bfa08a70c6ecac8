//! LSET, LINSERT, LREM, LTRIM.

use crate::commands::parse;
use crate::data::list::Side;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, ErrorReply};

const FLAGS_GROW: Flags = Flags::DENYOOM.union(Flags::WRITE);
const KEY_RW_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::DELETE);

pub const COMMANDS: &[Command] = &[
    Command::new("lset", 4, lset)
        .flags(FLAGS_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
        .doc(Group::List, "1.0.0", "O(N)", "Replaces the element at an index.")
        .args(&[Arg::key("key", 0), Arg::int("index"), Arg::string("element")]),
    Command::new("linsert", 5, linsert)
        .flags(FLAGS_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::INSERT))])
        .doc(Group::List, "2.2.0", "O(N)", "Inserts an element beside the first one that is equal to a value.")
        .args(&[
            Arg::key("key", 0),
            Arg::one_of("where", &[Arg::flag("before", "BEFORE"), Arg::flag("after", "AFTER")]),
            Arg::string("pivot"),
            Arg::string("element"),
        ]),
    Command::new("lrem", 4, lrem)
        .flags(Flags::WRITE)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_DELETE)])
        .doc(Group::List, "1.0.0", "O(N+M)", "Removes elements that are equal to a value.")
        .args(&[Arg::key("key", 0), Arg::int("count"), Arg::string("element")]),
    Command::new("ltrim", 4, ltrim)
        .flags(Flags::WRITE)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_DELETE)])
        .doc(Group::List, "1.0.0", "O(N)", "Removes all elements outside a range of indexes.")
        .args(&[Arg::key("key", 0), Arg::int("start"), Arg::int("stop")]),
];

fn lset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply, limits) = ctx.split_with_limits();
    let mut entry = db.write(args.at(1)).ok_or(ErrorReply::NoSuchKey)?;
    let list = entry.list_mut()?;
    if !list.set(parse::int(args.at(2))?, args.at(3), limits) {
        return Err(ErrorReply::IndexOutOfRange);
    }
    reply.ok();
    db.notify(EventClass::LIST, "lset", args.at(1));
    ctx.changed(1);
    Ok(())
}

fn linsert(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let side = if args.is(2, "before") {
        Side::Before
    } else if args.is(2, "after") {
        Side::After
    } else {
        return Err(ErrorReply::Syntax);
    };
    let (mut db, reply, limits) = ctx.split_with_limits();
    let Some(mut entry) = db.write(args.at(1)) else {
        reply.int(0);
        return Ok(());
    };
    let list = entry.list_mut()?;
    if !list.insert(args.at(3), side, args.at(4), limits) {
        reply.int(-1);
        return Ok(());
    }
    reply.uint(list.len());
    db.notify(EventClass::LIST, "linsert", args.at(1));
    ctx.changed(1);
    Ok(())
}

fn lrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, count) = (args.at(1), parse::int(args.at(2))?);
    let (mut db, reply, limits) = ctx.split_with_limits();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let list = entry.list_mut()?;
    let removed = list.remove(count, args.at(3), limits);
    let is_empty = list.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::LIST, "lrem");
    reply.uint(removed);
    ctx.changed(removed);
    Ok(())
}

fn ltrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (start, stop) = (parse::int(args.at(2))?, parse::int(args.at(3))?);
    let (mut db, reply, limits) = ctx.split_with_limits();
    reply.ok();
    let Some(mut entry) = db.write(key) else { return Ok(()) };
    let list = entry.list_mut()?;
    let len = list.len();
    let keep = parse::range(start, stop, len).unwrap_or_default();
    let removed = len - keep.len();
    let is_empty = keep.is_empty();
    if removed > 0 && !is_empty {
        list.trim(keep, limits);
    }
    // Told of even when nothing had to go: to subscribers, and to those who watch the key.
    db.took_elements(key, removed.max(1), is_empty, EventClass::LIST, "ltrim");
    ctx.changed(removed);
    ctx.server.keyspace.rewritten();
    Ok(())
}
