//! BZPOPMIN, BZPOPMAX, BZMPOP: what their namesakes without the B do, as soon as there is a sorted set.

use super::pop::{Extreme, pop_from_first};
use crate::commands::mpop::{MultiPop, pop_or_wait};
use crate::data::value::Kind;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const BLOCKS: Flags = Flags::BLOCKING.union(Flags::WRITE);
const KEY_RW_ACCESS_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

pub const COMMANDS: &[Command] = &[
    Command::new("bzpopmin", -3, bzpopmin)
        .flags(BLOCKS.union(Flags::FAST))
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, -2, 1, KEY_RW_ACCESS_DELETE)])
        .doc(
            Group::SortedSet,
            "5.0.0",
            "O(log(N))",
            "Pops the lowest score from the first sorted set that has elements, or waits for one.",
        )
        .args(&[Arg::key("key", 0).multiple(), Arg::double("timeout")]),
    Command::new("bzpopmax", -3, bzpopmax)
        .flags(BLOCKS.union(Flags::FAST))
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, -2, 1, KEY_RW_ACCESS_DELETE)])
        .doc(
            Group::SortedSet,
            "5.0.0",
            "O(log(N))",
            "Pops the highest score from the first sorted set that has elements, or waits for one.",
        )
        .args(&[Arg::key("key", 0).multiple(), Arg::double("timeout")]),
    Command::new("bzmpop", -5, bzmpop)
        .flags(BLOCKS.union(Flags::MOVABLE_KEYS))
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::counted(2, KEY_RW_ACCESS_DELETE)])
        .doc(
            Group::SortedSet,
            "7.0.0",
            "O(K)",
            "Pops from the first of several sorted sets that has elements, or waits for one.",
        )
        .args(&[
            Arg::double("timeout"),
            Arg::int("numkeys"),
            Arg::key("key", 0).multiple(),
            Arg::one_of("where", &[Arg::flag("min", "MIN"), Arg::flag("max", "MAX")]),
            Arg::int("count").token("COUNT").optional(),
        ]),
];

fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, Extreme::Min)
}

fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, Extreme::Max)
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, from: Extreme) -> Done {
    let timeout_at = args.len() - 1;
    let keys = args.range(1, timeout_at);
    pop_or_wait(ctx, args, Kind::ZSet, keys, args.at(timeout_at), |ctx| pop_from_first(ctx, keys, from, None))
}

fn bzmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let pop = MultiPop::parse(args, 2, Extreme::parse)?;
    pop_or_wait(ctx, args, Kind::ZSet, pop.keys, args.at(1), |ctx| {
        pop_from_first(ctx, pop.keys, pop.end, Some(pop.count))
    })
}
