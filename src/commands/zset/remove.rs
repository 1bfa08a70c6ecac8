//! ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use super::selection::{By, Selection};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::TypedMut;
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
    let key = args.at(1);
    let selection = Selection::between(by, args.at(2), args.at(3))?;
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let set = entry.zset_mut()?;
    let ranks = selection.ranks(set);
    let removed = ranks.len();
    if removed == set.len() {
        db.remove(key);
    } else if removed > 0 {
        set.remove_ranks(ranks);
    }
    reply.uint(removed);
    ctx.changed(removed);
    Ok(())
}
