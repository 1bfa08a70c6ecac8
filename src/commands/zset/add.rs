//! ZADD, ZINCRBY, ZREM.

use crate::commands::parse;
use crate::data::value::Value;
use crate::data::zset::ZSet;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed, TypedMut};
use crate::resp::{Args, ErrorReply};

const FLAGS_FAST_GROW: Flags = Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE);

pub const COMMANDS: &[Command] = &[
    Command::new("zadd", -4, zadd)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))])
        .doc(Group::SortedSet, "1.2.0", "O(log(N))", "Adds members or changes their scores.")
        .args(&[
            Arg::key("key", 0),
            Arg::one_of("condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")]).since("3.0.2").optional(),
            Arg::one_of("comparison", &[Arg::flag("gt", "GT"), Arg::flag("lt", "LT")]).since("6.2.0").optional(),
            Arg::flag("change", "CH").since("3.0.2").optional(),
            Arg::flag("increment", "INCR").since("3.0.2").optional(),
            Arg::block("data", &[Arg::double("score"), Arg::string("member")]).multiple(),
        ]),
    Command::new("zincrby", 4, zincrby)
        .flags(FLAGS_FAST_GROW)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .doc(Group::SortedSet, "1.2.0", "O(log(N))", "Adds to the score of a member.")
        .args(&[Arg::key("key", 0), Arg::int("increment"), Arg::string("member")]),
    Command::new("zrem", -3, zrem)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
        .doc(Group::SortedSet, "1.2.0", "O(M*log(N))", "Removes members.")
        .args(&[Arg::key("key", 0), Arg::string("member").multiple()]),
];

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
struct AddOptions {
    only_new: bool,
    only_present: bool,
    only_greater: bool,
    only_less: bool,
    /// Count changed scores as well as new members.
    count_changed: bool,
    increment: bool,
}

impl AddOptions {
    /// Reads the options from argument 2 on; gives the number of the first score too.
    fn parse(args: Args<'_>) -> Result<(AddOptions, usize), ErrorReply> {
        let mut options = AddOptions::default();
        let mut i = 2;
        while i < args.len() {
            let option = if args.is(i, "nx") {
                &mut options.only_new
            } else if args.is(i, "xx") {
                &mut options.only_present
            } else if args.is(i, "gt") {
                &mut options.only_greater
            } else if args.is(i, "lt") {
                &mut options.only_less
            } else if args.is(i, "ch") {
                &mut options.count_changed
            } else if args.is(i, "incr") {
                &mut options.increment
            } else {
                break;
            };
            *option = true;
            i += 1;
        }
        let words = args.len() - i;
        if words == 0 || words % 2 == 1 {
            return Err(ErrorReply::Syntax);
        }
        if options.only_new && options.only_present {
            return Err(ErrorReply::Static("ERR XX and NX options at the same time are not compatible"));
        }
        if [options.only_new, options.only_greater, options.only_less].iter().filter(|set| **set).count() > 1 {
            return Err(ErrorReply::Static("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if options.increment && words > 2 {
            return Err(ErrorReply::Static("ERR INCR option supports a single increment-element pair"));
        }
        Ok((options, i))
    }

    /// The score that `member`, which has `old`, gets; `None` if the options leave it alone.
    fn new_score(self, old: Option<f64>, score: f64) -> Result<Option<f64>, ErrorReply> {
        let Some(old) = old else { return Ok((!self.only_present).then_some(score)) };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.increment { old + score } else { score };
        if new.is_nan() {
            return Err(ErrorReply::Static("ERR resulting score is not a number (NaN)"));
        }
        let barred = (self.only_greater && new <= old) || (self.only_less && new >= old);
        Ok((!barred).then_some(new))
    }
}

pub(in crate::commands) fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (options, first) = AddOptions::parse(args)?;
    add(ctx, args.at(1), args.from(first), options)
}

fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(ctx, args.at(1), args.from(2), AddOptions { increment: true, ..AddOptions::default() })
}

/// Adds the pairs of score and member.
fn add(ctx: &mut Ctx<'_>, key: &[u8], pairs: Args<'_>, options: AddOptions) -> Done {
    let scores = pairs.iter().step_by(2).map(parse::float).collect::<Result<Vec<_>, _>>()?;
    let members = pairs.iter().skip(1).step_by(2);
    let (mut db, reply, limits) = ctx.split_with_limits();
    let known = db.peek(key).map(Typed::zset).transpose()?.is_some();
    if !known && options.only_present {
        if options.increment {
            reply.null();
        } else {
            reply.int(0);
        }
        return Ok(());
    }
    let mut entry = db.write_or_insert(key, || {
        let mut set = ZSet::new();
        set.expect(scores.len(), members.clone().map(<[u8]>::len).max().unwrap_or(0), limits);
        Value::ZSet(set)
    });
    let set = entry.zset_mut()?;
    set.expect(scores.len(), 0, limits);
    let (mut added, mut updated, mut result) = (0, 0, None);
    for (score, member) in scores.into_iter().zip(members) {
        let Some(new) = options.new_score(set.score(member), score)? else { continue };
        result = Some(new);
        match set.insert(member, new, limits) {
            None => added += 1,
            Some(old) if old != new => updated += 1,
            Some(_) => {}
        }
    }
    match result {
        Some(score) if options.increment => reply.double(score),
        None if options.increment => reply.null(),
        _ => reply.uint(if options.count_changed { added + updated } else { added }),
    }
    if added + updated > 0 {
        db.notify(EventClass::ZSET, if options.increment { "zincr" } else { "zadd" }, key);
    }
    ctx.changed(added + updated);
    Ok(())
}

fn zrem(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let set = entry.zset_mut()?;
    let removed = args.from(2).iter().filter(|member| set.remove(member).is_some()).count();
    let is_empty = set.is_empty();
    db.took_elements(key, removed, is_empty, EventClass::ZSET, "zrem");
    reply.uint(removed);
    ctx.changed(removed);
    Ok(())
}
