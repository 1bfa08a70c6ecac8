//! KEYS, SCAN, RANDOMKEY: finding keys whose names are not known.

use crate::base::slot::pattern_slot;
use crate::base::{glob, num};
use crate::commands::scan::{self, Found};
use crate::data::Item;
use crate::data::entry::Entry;
use crate::data::value::Kind;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("keys", 2, keys)
        .flags(Flags::READONLY)
        .acl(Acl::DANGEROUS.union(Acl::KEYSPACE))
        .doc(
            Group::Generic,
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            "Gives all keys whose names match a pattern.",
        )
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .args(&[Arg::pattern("pattern")]),
    Command::new("scan", -2, scan_keys)
        .flags(Flags::READONLY.union(Flags::TOUCHES_ARBITRARY_KEYS))
        .acl(Acl::KEYSPACE)
        .doc(
            Group::Generic,
            "2.8.0",
            "O(1) for every call, O(N) for a whole walk, where N is the number of keys in the database",
            "Walks the keys of the database in pieces.",
        )
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .args(&[
            Arg::int("cursor"),
            Arg::pattern("pattern").token("MATCH").optional(),
            Arg::int("count").token("COUNT").optional(),
            Arg::string("type").token("TYPE").since("6.0.0").optional(),
        ]),
    Command::new("randomkey", 1, randomkey)
        .flags(Flags::READONLY.union(Flags::TOUCHES_ARBITRARY_KEYS))
        .acl(Acl::KEYSPACE)
        .doc(Group::Generic, "1.0.0", "O(1)", "Gives the name of some key.")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
];

/// Pieces of the keyspace that one SCAN visits at most, for each key that was asked for.
const STEPS_PER_KEY: usize = 10;

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let pattern = args.at(1);
    let all = pattern == b"*";
    let (db, reply) = ctx.split();
    let open = reply.open();
    let mut found = 0;
    let mut each = |entry: &Entry| {
        if !db.is_due(entry) && (all || glob::matches(pattern, entry.key(), false)) {
            reply.bulk(entry.key());
            found += 1;
        }
    };
    match pattern_slot(pattern) {
        Some(slot) => {
            let mut cursor = 0;
            loop {
                cursor = db.scan(cursor, Some(slot), &mut each);
                if cursor == 0 {
                    break;
                }
            }
        }
        None => db.for_each(each),
    }
    reply.end_array(open, found);
    Ok(())
}

/// The options of SCAN.
struct Wanted<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    /// Of this type only.
    kind: Option<Kind>,
}

impl<'a> Wanted<'a> {
    fn parse(options: Args<'a>) -> Result<Wanted<'a>, ErrorReply> {
        let mut wanted = Wanted { pattern: None, count: 10, kind: None };
        let mut i = 0;
        while i < options.len() {
            scan::refuse_elsewhere(options, i)?;
            let value = options.get(i + 1).ok_or(ErrorReply::Syntax)?;
            if options.is(i, "count") {
                let count = num::parse_i64(value).ok_or(ErrorReply::NotInteger)?;
                wanted.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(ErrorReply::Syntax)?;
            } else if options.is(i, "match") {
                wanted.pattern = Some(value).filter(|pattern| *pattern != b"*");
            } else if options.is(i, "type") {
                let unknown = || ErrorReply::text_of(format!("ERR unknown type name '{}'", shown(value, 128)));
                wanted.kind = Some(Kind::parse(value).ok_or_else(unknown)?);
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 2;
        }
        Ok(wanted)
    }

    fn has(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind())
            && self.pattern.is_none_or(|pattern| glob::matches(pattern, entry.key(), false))
    }
}

fn scan_keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut cursor = scan::cursor(args.at(1))?;
    let wanted = Wanted::parse(args.from(2))?;
    let only = wanted.pattern.and_then(pattern_slot);
    let (mut db, reply) = ctx.split();
    let mut due = Vec::new();
    let mut found = Found::new(reply);
    let mut seen = 0;
    let mut steps = wanted.count.saturating_mul(STEPS_PER_KEY);
    loop {
        cursor = db.scan(cursor, only, &mut |entry| {
            seen += 1;
            match (wanted.has(entry), db.is_due(entry)) {
                (true, false) => found.push(Item::Bytes(entry.key())),
                (true, true) => due.push(Box::<[u8]>::from(entry.key())),
                (false, _) => {}
            }
        });
        steps -= 1;
        if cursor == 0 || seen >= wanted.count || steps == 0 {
            break;
        }
    }
    for key in due {
        // Looking at it ends it.
        db.exists(&key);
    }
    found.finish(cursor, reply);
    Ok(())
}

fn randomkey(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    match db.random_key() {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
    Ok(())
}
