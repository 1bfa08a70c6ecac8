//! ZUNION, ZINTER, ZDIFF, their storing forms, and ZINTERCARD.

use super::algebra::{self, Aggregate, Source, Weighted};
use super::push_elements;
use crate::base::num;
use crate::commands::parse;
use crate::data::Limits;
use crate::data::value::Value;
use crate::data::zset::ZSet;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, EventClass};
use crate::resp::{Args, ErrorReply, is_word};

const FLAGS_MANY_GROW: Flags = Flags::DENYOOM.union(Flags::MOVABLE_KEYS).union(Flags::WRITE);
const FLAGS_MANY_READ: Flags = Flags::MOVABLE_KEYS.union(Flags::READONLY);
const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const KEY_OW_UPDATE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);

pub const COMMANDS: &[Command] = &[
    Command::new("zunion", -3, zunion)
        .flags(FLAGS_MANY_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::counted(1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "6.2.0", "O(N)", "Gives the elements of any of several sorted sets.")
        .args(&[
            Arg::int("numkeys"),
            Arg::key("key", 0).multiple(),
            Arg::int("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of("aggregate", &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")])
                .token("AGGREGATE")
                .optional(),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ]),
    Command::new("zunionstore", -4, zunionstore)
        .flags(FLAGS_MANY_GROW)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_OW_UPDATE), KeySpec::counted(2, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.0.0", "O(N)", "Stores the elements of any of several sorted sets.")
        .args(&[
            Arg::key("destination", 0),
            Arg::int("numkeys"),
            Arg::key("key", 1).multiple(),
            Arg::int("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of("aggregate", &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")])
                .token("AGGREGATE")
                .optional(),
        ]),
    Command::new("zinter", -3, zinter)
        .flags(FLAGS_MANY_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::counted(1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "6.2.0", "O(N*K)", "Gives the elements that all of several sorted sets have.")
        .args(&[
            Arg::int("numkeys"),
            Arg::key("key", 0).multiple(),
            Arg::int("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of("aggregate", &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")])
                .token("AGGREGATE")
                .optional(),
            Arg::flag("withscores", "WITHSCORES").optional(),
        ]),
    Command::new("zinterstore", -4, zinterstore)
        .flags(FLAGS_MANY_GROW)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_OW_UPDATE), KeySpec::counted(2, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "2.0.0", "O(N*K)", "Stores the elements that all of several sorted sets have.")
        .args(&[
            Arg::key("destination", 0),
            Arg::int("numkeys"),
            Arg::key("key", 1).multiple(),
            Arg::int("weight").token("WEIGHTS").optional().multiple(),
            Arg::one_of("aggregate", &[Arg::flag("sum", "SUM"), Arg::flag("min", "MIN"), Arg::flag("max", "MAX")])
                .token("AGGREGATE")
                .optional(),
        ]),
    Command::new("zintercard", -3, zintercard)
        .flags(FLAGS_MANY_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::counted(1, KEY_RO_ACCESS)])
        .doc(Group::SortedSet, "7.0.0", "O(N*K)", "Counts the elements that all of several sorted sets have.")
        .args(&[Arg::int("numkeys"), Arg::key("key", 0).multiple(), Arg::int("limit").token("LIMIT").optional()]),
    Command::new("zdiff", -3, zdiff)
        .flags(FLAGS_MANY_READ)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::counted(1, KEY_RO_ACCESS)])
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(L + (N-K)log(N))",
            "Gives the elements of the first sorted set that no other has.",
        )
        .args(&[Arg::int("numkeys"), Arg::key("key", 0).multiple(), Arg::flag("withscores", "WITHSCORES").optional()]),
    Command::new("zdiffstore", -4, zdiffstore)
        .flags(FLAGS_MANY_GROW)
        .acl(Acl::SORTEDSET)
        .keys(&[KeySpec::range(1, 0, 1, KEY_OW_UPDATE), KeySpec::counted(2, KEY_RO_ACCESS)])
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(L + (N-K)log(N))",
            "Stores the elements of the first sorted set that no other has.",
        )
        .args(&[Arg::key("destination", 0), Arg::int("numkeys"), Arg::key("key", 1).multiple()]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Unite,
    Intersect,
    Subtract,
}

/// The keys of `args`, whose number stands at `at`.
fn counted_keys<'a>(args: Args<'a>, at: usize, command: &str) -> Result<Args<'a>, ErrorReply> {
    let count = parse::int(args.at(at))?;
    let count = usize::try_from(count)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| ErrorReply::text_of(format!("ERR at least 1 input key is needed for '{command}' command")))?;
    if count > args.len() - at - 1 {
        return Err(ErrorReply::Syntax);
    }
    Ok(args.range(at + 1, at + 1 + count))
}

/// The sources at `keys`; the error if one of them is neither a set nor a sorted set.
fn find_all<'d>(db: &'d mut Db<'_>, keys: Args<'_>) -> Result<Vec<Weighted<'d>>, ErrorReply> {
    let entries = db.read_all(keys.iter()).into_iter();
    entries.map(|entry| Ok(Weighted { source: Source::of(entry.map(|entry| entry.value()))?, weight: 1.0 })).collect()
}

/// The options behind the keys.
struct Options {
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    /// Reads the options; weights go to their sources.
    fn parse(
        args: Args<'_>,
        operation: Operation,
        stored: bool,
        sources: &mut [Weighted<'_>],
    ) -> Result<Options, ErrorReply> {
        let mut options = Options { aggregate: Aggregate::Sum, with_scores: false };
        let combining = operation != Operation::Subtract;
        let mut i = 0;
        while i < args.len() {
            if combining && args.is(i, "weights") && args.len() - i > sources.len() {
                for (from, arg) in sources.iter_mut().zip(args.from(i + 1).iter()) {
                    from.weight = num::parse_f64(arg).ok_or(ErrorReply::Static("ERR weight value is not a float"))?;
                }
                i += sources.len();
            } else if let (true, Some(word)) = (combining && args.is(i, "aggregate"), args.get(i + 1)) {
                options.aggregate = parse_aggregate(word)?;
                i += 1;
            } else if !stored && args.is(i, "withscores") {
                options.with_scores = true;
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }
}

fn parse_aggregate(word: &[u8]) -> Result<Aggregate, ErrorReply> {
    const WORDS: [(&str, Aggregate); 3] = [("sum", Aggregate::Sum), ("min", Aggregate::Min), ("max", Aggregate::Max)];
    let found = WORDS.iter().find(|(name, _)| is_word(word, name));
    found.map(|(_, aggregate)| *aggregate).ok_or(ErrorReply::Syntax)
}

impl Operation {
    /// The result as a skiplist, however small it is: a listpack knows no negative zero, but a reply does.
    fn run(self, sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> ZSet {
        let limits = &Limits { zset_max_listpack_entries: 0, ..limits.clone() };
        match self {
            Operation::Unite => algebra::unite(sources, aggregate, limits),
            Operation::Intersect => algebra::intersect(sources, aggregate, limits),
            Operation::Subtract => algebra::subtract(sources, limits),
        }
    }

    fn give(self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
        let keys = counted_keys(args, 1, ctx.command.name)?;
        let (mut db, reply, limits) = ctx.split_with_limits();
        let mut sources = find_all(&mut db, keys)?;
        let options = Options::parse(args.from(2 + keys.len()), self, false, &mut sources)?;
        let result = self.run(&sources, options.aggregate, limits);
        push_elements(reply, result.iter(), options.with_scores);
        Ok(())
    }

    fn store(self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
        let (destination, event) = (args.at(1), ctx.command.name);
        let keys = counted_keys(args, 2, ctx.command.name)?;
        let (mut db, reply, limits) = ctx.split_with_limits();
        let mut sources = find_all(&mut db, keys)?;
        let options = Options::parse(args.from(3 + keys.len()), self, true, &mut sources)?;
        let result = algebra::settled(self.run(&sources, options.aggregate, limits), limits);
        reply.uint(result.len());
        let found = (!result.is_empty()).then(|| Value::ZSet(result));
        let changed = db.store_found(destination, found, EventClass::ZSET, event);
        ctx.changed(usize::from(changed));
        Ok(())
    }
}

fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Unite.give(ctx, args)
}

fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Unite.store(ctx, args)
}

fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Intersect.give(ctx, args)
}

fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Intersect.store(ctx, args)
}

fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Subtract.give(ctx, args)
}

fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Operation::Subtract.store(ctx, args)
}

fn zintercard(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let keys = counted_keys(args, 1, ctx.command.name)?;
    let (mut db, reply) = ctx.split();
    let sources = find_all(&mut db, keys)?;
    let options = args.from(2 + keys.len());
    let mut limit = 0;
    for i in (0..options.len()).step_by(2) {
        match options.get(i + 1) {
            Some(n) if options.is(i, "limit") => {
                limit = parse::count(n).map_err(|_| ErrorReply::Static("ERR LIMIT can't be negative"))?;
            }
            _ => return Err(ErrorReply::Syntax),
        }
    }
    reply.uint(algebra::count_common(&sources, limit));
    Ok(())
}
