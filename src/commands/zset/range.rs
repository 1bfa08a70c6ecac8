//! ZRANGE with its whole grammar, its older relatives, and ZRANGESTORE.

use super::selection::{By, Fixed, Selection};
use super::{find, push_elements};
use crate::data::item::Text;
use crate::data::value::Value;
use crate::data::zset::ZSet;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::EventClass;
use crate::resp::Args;

const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("zrange", -4, zrange)
        .flags(Flags::READONLY)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "1.2.0", "O(log(N)+M)", "Gives the elements of a range of ranks, scores or members.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("start"),
            Arg::string("stop"),
            Arg::one_of("sortby", &[Arg::flag("byscore", "BYSCORE"), Arg::flag("bylex", "BYLEX")])
                .since("6.2.0")
                .optional(),
            Arg::flag("rev", "REV").since("6.2.0").optional(),
            Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").since("6.2.0").optional(),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ]),
    Command::new("zrangestore", -5, zrangestore)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::OW.union(KeyFlags::UPDATE)), KeySpec::range(2, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "6.2.0", "O(log(N)+M)", "Stores the elements of a range of ranks, scores or members.")
        .args(&[
            Arg::key("dst", 0),
            Arg::key("src", 1),
            Arg::string("min"),
            Arg::string("max"),
            Arg::one_of("sortby", &[Arg::flag("byscore", "BYSCORE"), Arg::flag("bylex", "BYLEX")]).optional(),
            Arg::flag("rev", "REV").optional(),
            Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional(),
        ]),
    Command::new("zrevrange", -4, zrevrange)
        .flags(Flags::READONLY)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "1.2.0", "O(log(N)+M)", "Gives the elements of a range of ranks, last first.")
        .args(&[
            Arg::key("key", 0),
            Arg::int("start"),
            Arg::int("stop"),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ]),
    Command::new("zrangebyscore", -4, zrangebyscore)
        .flags(Flags::READONLY)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "1.0.5", "O(log(N)+M)", "Gives the elements whose scores are in a range.")
        .args(&[
            Arg::key("key", 0),
            Arg::double("min"),
            Arg::double("max"),
            Arg::flag("withscores", "WITHSCORES").since("2.0.0").optional(),
            Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional(),
        ]),
    Command::new("zrevrangebyscore", -4, zrevrangebyscore)
        .flags(Flags::READONLY)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.2.0", "O(log(N)+M)", "Gives the elements whose scores are in a range, last first.")
        .args(&[
            Arg::key("key", 0),
            Arg::double("max"),
            Arg::double("min"),
            Arg::flag("withscores", "WITHSCORES").optional(),
            Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional(),
        ]),
    Command::new("zrangebylex", -4, zrangebylex)
        .flags(Flags::READONLY)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M)",
            "Gives the elements between two members, all scores being equal.",
        )
        .args(&[
            Arg::key("key", 0),
            Arg::string("min"),
            Arg::string("max"),
            Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional(),
        ]),
    Command::new("zrevrangebylex", -4, zrevrangebylex)
        .flags(Flags::READONLY)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M)",
            "Gives the elements between two members, last first, all scores being equal.",
        )
        .args(&[
            Arg::key("key", 0),
            Arg::string("max"),
            Arg::string("min"),
            Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional(),
        ]),
];

fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, None, None)
}

fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, Some(By::Rank), Some(true))
}

fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, Some(By::Score), Some(false))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, Some(By::Score), Some(true))
}

fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, Some(By::Lex), Some(false))
}

fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    give(ctx, args, Some(By::Lex), Some(true))
}

fn give(ctx: &mut Ctx<'_>, args: Args<'_>, by: Option<By>, reverse: Option<bool>) -> Done {
    let selection = Selection::parse(args.from(2), Fixed { by, reverse, stored: false })?;
    let (mut db, reply) = ctx.split();
    let Some(set) = find(&mut db, args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let elements = set.range(selection.ranks(set));
    if selection.reverse {
        push_elements(reply, elements.rev(), selection.with_scores);
    } else {
        push_elements(reply, elements, selection.with_scores);
    }
    Ok(())
}

fn zrangestore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let destination = args.at(1);
    let selection = Selection::parse(args.from(3), Fixed { by: None, reverse: None, stored: true })?;
    let (mut db, reply, limits) = ctx.split_with_limits();
    let mut result = ZSet::new();
    if let Some(set) = find(&mut db, args.at(2))? {
        let ranks = selection.ranks(set);
        result.expect(ranks.len(), 0, limits);
        let mut room = Text::new();
        for (member, score) in set.range(ranks) {
            result.insert(member.text(&mut room), score, limits);
        }
    }
    reply.uint(result.len());
    let found = (!result.is_empty()).then(|| Value::ZSet(result));
    let changed = db.store_found(destination, found, EventClass::ZSET, "zrangestore");
    ctx.changed(usize::from(changed));
    Ok(())
}
