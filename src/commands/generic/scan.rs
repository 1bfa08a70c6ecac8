//! KEYS, SCAN, RANDOMKEY: finding keys whose names are not known.

use crate::base::glob;
use crate::base::slot::pattern_slot;
use crate::commands::scan::{self, Found, KeyFilter, KeyWalk};
use crate::data::entry::Entry;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::Args;

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

fn scan_keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = scan::cursor(args.at(1))?;
    let filter = KeyFilter::parse(args.from(2))?;
    let only = filter.pattern.and_then(pattern_slot);
    let (mut db, reply) = ctx.split();
    let mut found = Found::new(reply);
    let next = KeyWalk::new(&filter).go(&mut db, cursor, only, &mut found);
    found.finish(next, reply);
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
