//! LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LMPOP.

use std::ops::ControlFlow;

use super::parse_end;
use crate::commands::mpop::{MultiPop, range_at_end};
use crate::commands::{element, parse};
use crate::data::list::{End, List};
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply, Reply};

const FLAGS_FAST_GROW: Flags = Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE);
const FLAGS_FAST_WRITE: Flags = Flags::FAST.union(Flags::WRITE);
const KEY_RW_INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
const KEY_RW_ACCESS_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

pub const COMMANDS: &[Command] = &[
    Command::new("lpush", -3, lpush)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "1.0.0", "O(1)", "Adds elements before the first one.")
        .args(&[Arg::key("key", 0), Arg::string("element").multiple()]),
    Command::new("rpush", -3, rpush)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "1.0.0", "O(1)", "Adds elements behind the last one.")
        .args(&[Arg::key("key", 0), Arg::string("element").multiple()]),
    Command::new("lpushx", -3, lpushx)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "2.2.0", "O(1)", "Adds elements before the first one of a list that exists.")
        .args(&[Arg::key("key", 0), Arg::string("element").multiple()]),
    Command::new("rpushx", -3, rpushx)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "2.2.0", "O(1)", "Adds elements behind the last one of a list that exists.")
        .args(&[Arg::key("key", 0), Arg::string("element").multiple()]),
    Command::new("lpop", -2, lpop)
        .flags(FLAGS_FAST_WRITE)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::List, "1.0.0", "O(N)", "Removes and gives elements from the front.")
        .args(&[Arg::key("key", 0), Arg::int("count").since("6.2.0").optional()]),
    Command::new("rpop", -2, rpop)
        .flags(FLAGS_FAST_WRITE)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::List, "1.0.0", "O(N)", "Removes and gives elements from the back.")
        .args(&[Arg::key("key", 0), Arg::int("count").since("6.2.0").optional()]),
    Command::new("lmpop", -4, lmpop)
        .flags(Flags::MOVABLE_KEYS.union(Flags::WRITE))
        .acl(Acl::LIST)
        .keys(&[KeySpec::counted(1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::List, "7.0.0", "O(N+M)", "Pops from the first of several lists that has elements.")
        .args(&[
            Arg::int("numkeys"),
            Arg::key("key", 0).multiple(),
            Arg::one_of("where", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]),
            Arg::int("count").token("COUNT").optional(),
        ]),
];

fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push(ctx, args, End::Front, false)
}

fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push(ctx, args, End::Back, false)
}

fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push(ctx, args, End::Front, true)
}

fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push(ctx, args, End::Back, true)
}

fn push(ctx: &mut Ctx<'_>, args: Args<'_>, end: End, must_exist: bool) -> Done {
    let (key, elements) = (args.at(1), args.from(2));
    let (mut db, reply, limits) = ctx.split_with_limits();
    if must_exist && !db.exists(key) {
        reply.int(0);
        return Ok(());
    }
    let mut entry = db.write_or_insert(key, || Value::List(List::default()));
    let list = entry.list_mut()?;
    list.push_all(end, elements.iter(), limits);
    reply.uint(list.len());
    db.notify(EventClass::LIST, push_event(end), key);
    ctx.changed(elements.len());
    Ok(())
}

fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, End::Front)
}

fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, End::Back)
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    if args.len() > 3 {
        return Err(ErrorReply::arity(ctx.command.name));
    }
    let count = args.get(2).map(parse::count).transpose()?;
    let key = args.at(1);
    let (mut db, reply, limits) = ctx.split_with_limits();
    let Some(mut entry) = db.write(key) else {
        if count.is_some() {
            reply.null_array();
        } else {
            reply.null();
        }
        return Ok(());
    };
    let list = entry.list_mut()?;
    let range = range_at_end(list.len(), count.unwrap_or(1), end == End::Back);
    let removed = range.len();
    if count.is_some() {
        reply.array(removed);
    }
    push_range(list, end, removed, reply);
    list.remove_range(range, limits);
    let is_empty = list.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::LIST, pop_event(end));
    ctx.changed(removed);
    Ok(())
}

/// What a push to an end is told of as.
pub(super) fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

/// What a pop from an end is told of as.
pub(super) fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

/// Writes `count` elements, beginning with the one at the end.
fn push_range(list: &List, end: End, count: usize, reply: &mut Reply) {
    let mut left = count;
    let _ = list.walk(0, end == End::Back, |item| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        element::push(reply, item);
        ControlFlow::Continue(())
    });
}

fn lmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let pop = MultiPop::parse(args, 1, parse_end)?;
    if !pop_from_first(ctx, pop.keys, pop.end, Some(pop.count))? {
        ctx.reply().null_array();
    }
    Ok(())
}

/// Pops from the first of `keys` that holds a list: one element, or an array of up to `count`. False, without a reply,
/// when there is none.
pub(super) fn pop_from_first(
    ctx: &mut Ctx<'_>,
    keys: Args<'_>,
    end: End,
    count: Option<usize>,
) -> Result<bool, ErrorReply> {
    let woken_by = ctx.woken_by();
    let (mut db, reply, limits) = ctx.split_with_limits();
    for key in keys.iter().filter(|key| woken_by.as_deref().is_none_or(|only| only == *key)) {
        let Some(mut entry) = db.write(key) else { continue };
        let list = entry.list_mut()?;
        let range = range_at_end(list.len(), count.unwrap_or(1), end == End::Back);
        let removed = range.len();
        reply.array(2);
        reply.bulk(key);
        if count.is_some() {
            reply.array(removed);
        }
        push_range(list, end, removed, reply);
        list.remove_range(range, limits);
        let is_empty = list.is_empty();
        db.took_elements(key, removed, is_empty, EventClass::LIST, pop_event(end));
        let verb: &[u8] = if end == End::Front { b"LPOP" } else { b"RPOP" };
        let mut argv = Argv::of(&[verb, key]);
        if count.is_some() {
            argv.push_i64(removed as i64);
        }
        ctx.propagate_as(argv);
        ctx.changed(removed);
        return Ok(true);
    }
    Ok(false)
}
