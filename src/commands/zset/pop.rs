//! ZPOPMIN, ZPOPMAX, ZMPOP.

use super::{push_element, push_elements};
use crate::commands::mpop::{MultiPop, range_at_end};
use crate::commands::parse;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply, is_word};

const FLAGS_FAST_WRITE: Flags = Flags::FAST.union(Flags::WRITE);
const KEY_RW_ACCESS_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

pub const COMMANDS: &[Command] = &[
    Command::new("zpopmin", -2, zpopmin)
        .flags(FLAGS_FAST_WRITE)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::SortedSet, "5.0.0", "O(log(N)*M)", "Removes and gives the elements with the lowest scores.")
        .args(&[Arg::key("key", 0), Arg::int("count").optional()]),
    Command::new("zpopmax", -2, zpopmax)
        .flags(FLAGS_FAST_WRITE)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::SortedSet, "5.0.0", "O(log(N)*M)", "Removes and gives the elements with the highest scores.")
        .args(&[Arg::key("key", 0), Arg::int("count").optional()]),
    Command::new("zmpop", -4, zmpop)
        .flags(Flags::MOVABLE_KEYS.union(Flags::WRITE))
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::counted(1, KEY_RW_ACCESS_DELETE)])
        .doc(Group::SortedSet, "7.0.0", "O(K)", "Pops from the first of several sorted sets that has elements.")
        .args(&[
            Arg::int("numkeys"),
            Arg::key("key", 0).multiple(),
            Arg::one_of("where", &[Arg::flag("min", "MIN"), Arg::flag("max", "MAX")]),
            Arg::int("count").token("COUNT").optional(),
        ]),
];

/// Which end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extreme {
    Min,
    Max,
}

impl Extreme {
    pub fn parse(word: &[u8]) -> Result<Extreme, ErrorReply> {
        if is_word(word, "min") {
            Ok(Extreme::Min)
        } else if is_word(word, "max") {
            Ok(Extreme::Max)
        } else {
            Err(ErrorReply::Syntax)
        }
    }

    /// What a pop from this end is told of as.
    fn event(self) -> &'static str {
        match self {
            Extreme::Min => "zpopmin",
            Extreme::Max => "zpopmax",
        }
    }
}

fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, Extreme::Min)
}

fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(ctx, args, Extreme::Max)
}

fn pop(ctx: &mut Ctx<'_>, args: Args<'_>, from: Extreme) -> Done {
    if args.len() > 3 {
        return Err(ErrorReply::Syntax);
    }
    let key = args.at(1);
    let count = args.get(2).map(parse::count).transpose()?;
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.array(0);
        return Ok(());
    };
    let set = entry.zset_mut()?;
    let ranks = range_at_end(set.len(), count.unwrap_or(1), from == Extreme::Max);
    let removed = ranks.len();
    let elements = set.range(ranks.clone());
    match (count, from) {
        // Without a count there is one element, which is not nested.
        (None, _) => {
            reply.array(2 * removed);
            for (member, score) in elements {
                push_element(reply, member, Some(score), false);
            }
        }
        (Some(_), Extreme::Min) => push_elements(reply, elements, true),
        (Some(_), Extreme::Max) => push_elements(reply, elements.rev(), true),
    }
    set.remove_ranks(ranks);
    let is_empty = set.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::ZSET, from.event());
    ctx.changed(removed);
    Ok(())
}

fn zmpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let pop = MultiPop::parse(args, 1, Extreme::parse)?;
    if !pop_from_first(ctx, pop.keys, pop.end, Some(pop.count))? {
        ctx.reply().null_array();
    }
    Ok(())
}

/// Pops from the first of `keys` that holds a sorted set: one element, or an array of up to `count`. False, without a
/// reply, when there is none.
pub(super) fn pop_from_first(
    ctx: &mut Ctx<'_>,
    keys: Args<'_>,
    from: Extreme,
    count: Option<usize>,
) -> Result<bool, ErrorReply> {
    let woken_by = ctx.woken_by();
    let (mut db, reply) = ctx.split();
    for key in keys.iter().filter(|key| woken_by.as_deref().is_none_or(|only| only == *key)) {
        let Some(mut entry) = db.write(key) else { continue };
        let set = entry.zset_mut()?;
        let ranks = range_at_end(set.len(), count.unwrap_or(1), from == Extreme::Max);
        let removed = ranks.len();
        if count.is_some() {
            reply.array(2);
            reply.bulk(key);
            reply.array(removed);
        } else {
            reply.array(3);
            reply.bulk(key);
        }
        let mut push = |(member, score)| push_element(reply, member, Some(score), count.is_some());
        match from {
            Extreme::Min => set.range(ranks.clone()).for_each(&mut push),
            Extreme::Max => set.range(ranks.clone()).rev().for_each(&mut push),
        }
        set.remove_ranks(ranks);
        let is_empty = set.is_empty();
        db.took_elements(key, removed, is_empty, EventClass::ZSET, from.event());
        let verb: &[u8] = if from == Extreme::Min { b"ZPOPMIN" } else { b"ZPOPMAX" };
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
