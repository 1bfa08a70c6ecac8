//! LMOVE, RPOPLPUSH: an element goes from the end of one list to an end of another, or of the same.

use super::ends::{pop_event, push_event};
use super::parse_end;
use crate::data::list::{End, List};
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed, TypedMut};
use crate::resp::{Args, ErrorReply};

const FLAGS_GROW: Flags = Flags::DENYOOM.union(Flags::WRITE);
const KEY_RW_ACCESS_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);
const KEY_RW_INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);

pub const COMMANDS: &[Command] = &[
    Command::new("lmove", 5, lmove)
        .flags(FLAGS_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE), KeySpec::range(2, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "6.2.0", "O(1)", "Moves an element from one list to another.")
        .args(&[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::one_of("wherefrom", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]),
            Arg::one_of("whereto", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]),
        ]),
    Command::new("rpoplpush", 3, rpoplpush)
        .flags(FLAGS_GROW)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE), KeySpec::range(2, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "1.2.0", "O(1)", "Moves the last element of a list to the front of another.")
        .args(&[Arg::key("source", 0), Arg::key("destination", 1)]),
];

fn lmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    or_null(ctx, args, parse_end(args.at(3))?, parse_end(args.at(4))?)
}

fn rpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    or_null(ctx, args, End::Back, End::Front)
}

fn or_null(ctx: &mut Ctx<'_>, args: Args<'_>, from: End, to: End) -> Done {
    if !shift(ctx, args.at(1), args.at(2), from, to)? {
        ctx.reply().null();
    }
    Ok(())
}

/// Moves an element from `source` to `destination`. False, without a reply, when there is none.
pub(super) fn shift(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> Result<bool, ErrorReply> {
    let (mut db, reply, limits) = ctx.split_with_limits();
    if db.peek(source).map(Typed::list).transpose()?.is_none() {
        return Ok(false);
    }
    if source != destination {
        db.peek(destination).map(Typed::list).transpose()?;
    }
    let Some(mut entry) = db.write(source) else { return Ok(false) };
    let list = entry.list_mut()?;
    let Some(element) = list.pop(from, limits) else { return Ok(false) };
    let mut is_empty = false;
    if source == destination {
        list.push(to, &element, limits);
    } else {
        is_empty = list.is_empty();
        db.write_or_insert(destination, || Value::List(List::new())).list_mut()?.push(to, &element, limits);
    }
    db.notify(EventClass::LIST, push_event(to), destination);
    db.took_elements(source, 1, is_empty, EventClass::LIST, pop_event(from));
    reply.bulk(&element);
    ctx.changed(1);
    Ok(true)
}
