//! ZSCORE, ZMSCORE, ZCARD, ZCOUNT, ZLEXCOUNT, ZRANK, ZREVRANK.

use super::find;
use super::selection::{By, Selection};
use crate::data::zset::ZSet;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply, Reply};

const FLAGS_FAST_READ: Flags = Flags::FAST.union(Flags::READONLY);
const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("zscore", 3, zscore)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "1.2.0", "O(1)", "Gives the score of a member.")
        .args(&[Arg::key("key", 0), Arg::string("member")]),
    Command::new("zmscore", -3, zmscore)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "6.2.0", "O(N)", "Gives the scores of several members.")
        .args(&[Arg::key("key", 0), Arg::string("member").multiple()]),
    Command::new("zcard", 2, zcard)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::SortedSet, "1.2.0", "O(1)", "Gives the number of members.")
        .args(&[Arg::key("key", 0)]),
    Command::new("zcount", 4, zcount)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.0.0", "O(log(N))", "Counts the members whose scores are in a range.")
        .args(&[Arg::key("key", 0), Arg::double("min"), Arg::double("max")]),
    Command::new("zlexcount", 4, zlexcount)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.8.9", "O(log(N))", "Counts the members between two others, all scores being equal.")
        .args(&[Arg::key("key", 0), Arg::string("min"), Arg::string("max")]),
    Command::new("zrank", -3, zrank)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.0.0", "O(log(N))", "Gives the number of members before a member.")
        .args(&[Arg::key("key", 0), Arg::string("member"), Arg::flag("withscore", "WITHSCORE").optional()]),
    Command::new("zrevrank", -3, zrevrank)
        .flags(FLAGS_FAST_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.0.0", "O(log(N))", "Gives the number of members behind a member.")
        .args(&[Arg::key("key", 0), Arg::string("member"), Arg::flag("withscore", "WITHSCORE").optional()]),
];

fn push_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let set = find(&mut db, args.at(1))?;
    push_score(reply, set.and_then(|set| set.score(args.at(2))));
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let set = find(&mut db, args.at(1))?;
    reply.array(args.len() - 2);
    for member in args.from(2).iter() {
        push_score(reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn zcard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    reply.uint(find(&mut db, args.at(1))?.map_or(0, ZSet::len));
    Ok(())
}

fn zcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    count(ctx, args, By::Score)
}

fn zlexcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    count(ctx, args, By::Lex)
}

fn count(ctx: &mut Ctx<'_>, args: Args<'_>, by: By) -> Done {
    let selection = Selection::between(by, args.at(2), args.at(3))?;
    let (mut db, reply) = ctx.split();
    reply.uint(find(&mut db, args.at(1))?.map_or(0, |set| selection.ranks(set).len()));
    Ok(())
}

fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    rank(ctx, args, true)
}

fn rank(ctx: &mut Ctx<'_>, args: Args<'_>, reverse: bool) -> Done {
    if args.len() > 4 {
        return Err(ErrorReply::arity(ctx.command.name));
    }
    let with_score = args.is(3, "withscore");
    if args.len() == 4 && !with_score {
        return Err(ErrorReply::Syntax);
    }
    let (mut db, reply) = ctx.split();
    match find(&mut db, args.at(1))?.and_then(|set| set.rank(args.at(2), reverse)) {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.uint(rank);
            reply.double(score);
        }
        Some((rank, _)) => reply.uint(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}
