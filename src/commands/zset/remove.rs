//! ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use super::selection::{By, Selection};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::Args;

const KEY_RW_DELETE: KeyFlags = KeyFlags::RW.union(KeyFlags::DELETE);

pub const COMMANDS: &[Command] = &[
    Command::new("zremrangebyrank", 4, zremrangebyrank)
        .flags(Flags::WRITE)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_DELETE)])
        .doc(Group::SortedSet, "2.0.0", "O(log(N)+M)", "Removes the elements of a range of ranks.")
        .args(&[Arg::key("key", 0), Arg::int("start"), Arg::int("stop")]),
    Command::new("zremrangebyscore", 4, zremrangebyscore)
        .flags(Flags::WRITE)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_DELETE)])
        .doc(Group::SortedSet, "1.2.0", "O(log(N)+M)", "Removes the elements whose scores are in a range.")
        .args(&[Arg::key("key", 0), Arg::double("min"), Arg::double("max")]),
    Command::new("zremrangebylex", 4, zremrangebylex)
        .flags(Flags::WRITE)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RW_DELETE)])
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M)",
            "Removes the elements between two members, all scores being equal.",
        )
        .args(&[Arg::key("key", 0), Arg::string("min"), Arg::string("max")]),
];

fn zremrangebyrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    remove(ctx, args, By::Rank)
}

fn zremrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    remove(ctx, args, By::Score)
}

fn zremrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    remove(ctx, args, By::Lex)
}

fn remove(ctx: &mut Ctx<'_>, args: Args<'_>, by: By) -> Done {
    let (key, event) = (args.at(1), ctx.command.name);
    let selection = Selection::between(by, args.at(2), args.at(3))?;
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let set = entry.zset_mut()?;
    let ranks = selection.ranks(set);
    let removed = ranks.len();
    let is_empty = removed == set.len();
    if removed > 0 && !is_empty {
        set.remove_ranks(ranks);
    }
    db.took_elements(key, removed, is_empty, EventClass::ZSET, event);
    reply.uint(removed);
    ctx.changed(removed);
    Ok(())
}
