//! ZRANDMEMBER.

use super::{find, push_element};
use crate::commands::element;
use crate::commands::sample::Draw;
use crate::data::zset::ZSet;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply, Proto};

pub const COMMANDS: &[Command] = &[Command::new("zrandmember", -2, zrandmember)
    .flags(Flags::READONLY)
    .acl(Acl::SORTEDSET)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
    .doc(Group::SortedSet, "6.2.0", "O(N)", "Gives members drawn at random.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::key("key", 0),
        Arg::block("options", &[Arg::int("count"), Arg::flag("withscores", "WITHSCORES").optional()]).optional(),
    ])];

fn zrandmember(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let with_scores = args.is(3, "withscores");
    let draw = args.get(2).map(|count| Draw::parse(count, with_scores)).transpose()?;
    if args.len() > 4 || (args.len() == 4 && !with_scores) {
        return Err(ErrorReply::Syntax);
    }
    let (mut db, reply, rng) = ctx.split_with_rng();
    let set = find(&mut db, args.at(1))?;
    let Some(draw) = draw else {
        match set.and_then(|set| set.random(rng)) {
            Some((member, _)) => element::push(reply, member),
            None => reply.null(),
        }
        return Ok(());
    };
    let len = set.map_or(0, ZSet::len);
    let count = draw.count(len);
    let nested = with_scores && reply.proto == Proto::Resp3;
    reply.array(if with_scores && !nested { 2 * count } else { count });
    if let Some(set) = set {
        let give = |(member, score)| push_element(reply, member, with_scores.then_some(score), nested);
        draw.each(len, rng, set.iter(), |rng| set.random(rng), |(member, _)| *member, give);
    }
    Ok(())
}
