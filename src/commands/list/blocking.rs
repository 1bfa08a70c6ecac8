//! BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH: what their namesakes without the B do, as soon as there is a list.

use super::ends::pop_from_first;
use super::parse_end;
use super::shift::shift;
use crate::commands::mpop::{MultiPop, pop_or_wait};
use crate::commands::parse::{self, TimeUnit};
use crate::data::list::End;
use crate::data::value::Kind;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, Argv};

const BLOCKS: Flags = Flags::BLOCKING.union(Flags::WRITE);
const KEY_RW_ACCESS_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);
const KEY_RW_INSERT: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);

pub const COMMANDS: &[Command] = &[
    Command::new("blpop", -3, blpop)
        .flags(BLOCKS)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, -2, 1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::List, "2.0.0", "O(N)", "Pops from the front of the first list that has elements, or waits for one.")
        .args(&[Arg::key("key", 0).multiple(), Arg::double("timeout")]),
    Command::new("brpop", -3, brpop)
        .flags(BLOCKS)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, -2, 1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::List, "2.0.0", "O(N)", "Pops from the back of the first list that has elements, or waits for one.")
        .args(&[Arg::key("key", 0).multiple(), Arg::double("timeout")]),
    Command::new("blmpop", -5, blmpop)
        .flags(BLOCKS.union(Flags::MOVABLE_KEYS))
        .acl(Acl::LIST)
        .keys(&[KeySpec::counted(2, KEY_RW_ACCESS_DELETE)])
        .doc(
            Group::List,
            "7.0.0",
            "O(N+M)",
            "Pops from the first of several lists that has elements, or waits for one.",
        )
        .args(&[
            Arg::double("timeout"),
            Arg::int("numkeys"),
            Arg::key("key", 0).multiple(),
            Arg::one_of("where", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]),
            Arg::int("count").token("COUNT").optional(),
        ]),
    Command::new("blmove", 6, blmove)
        .flags(BLOCKS.union(Flags::DENYOOM))
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE), KeySpec::range(2, 0, 1, KEY_RW_INSERT)])
        .doc(Group::List, "6.2.0", "O(1)", "Moves an element from one list to another, or waits for one.")
        .args(&[
            Arg::key("source", 0),
            Arg::key("destination", 1),
            Arg::one_of("wherefrom", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]),
            Arg::one_of("whereto", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]),
            Arg::double("timeout"),
        ]),
    Command::new("brpoplpush", 4, brpoplpush)
        .flags(BLOCKS.union(Flags::DENYOOM))
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE), KeySpec::range(2, 0, 1, KEY_RW_INSERT)])
        .doc(
            Group::List,
            "2.2.0",
            "O(1)",
            "Moves the last element of a list to the front of another, or waits for one.",
        )
        .args(&[Arg::key("source", 0), Arg::key("destination", 1), Arg::double("timeout")]),
];

fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, End::Front)
}

fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, End::Back)
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    let timeout_at = args.len() - 1;
    let keys = args.range(1, timeout_at);
    pop_or_wait(ctx, args, Kind::List, keys, args.at(timeout_at), |ctx| pop_from_first(ctx, keys, end, None))
}

fn blmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let pop = MultiPop::parse(args, 2, parse_end)?;
    pop_or_wait(ctx, args, Kind::List, pop.keys, args.at(1), |ctx| {
        pop_from_first(ctx, pop.keys, pop.end, Some(pop.count))
    })
}

fn blmove(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (parse_end(args.at(3))?, parse_end(args.at(4))?);
    let until = parse::wait_until(args.at(5), TimeUnit::Seconds, ctx.now)?;
    if shift(ctx, args.at(1), args.at(2), from, to)? {
        ctx.propagate_as(Argv::of(&[b"LMOVE", args.at(1), args.at(2), args.at(3), args.at(4)]));
    } else if ctx.may_block() {
        ctx.wait_for_value(Kind::List, args.range(1, 2), until, args);
    } else {
        ctx.reply().null();
    }
    Ok(())
}

fn brpoplpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let until = parse::wait_until(args.at(3), TimeUnit::Seconds, ctx.now)?;
    if shift(ctx, args.at(1), args.at(2), End::Back, End::Front)? {
        ctx.propagate_as(Argv::of(&[b"RPOPLPUSH", args.at(1), args.at(2)]));
    } else if ctx.may_block() {
        ctx.wait_for_value(Kind::List, args.range(1, 2), until, args);
    } else {
        ctx.reply().null();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
