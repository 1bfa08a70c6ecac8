//! HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT, HPERSIST: fields that end before their hash does.

use super::fields::find_unread;
use super::lifetime::{self, Chosen, FIELDS, end_of_options, named_fields};
use crate::commands::expiry::is_past;
use crate::commands::generic::expire::Conditions;
use crate::commands::generic::ttl::{MISSING, NEVER};
use crate::commands::parse::{self, TimeUnit};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply};

const WRITES: Flags = Flags::FAST.union(Flags::WRITE);
const KEY: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const COMPLEXITY: &str = "O(N*log(M)) for N fields, of M that end";
const WORDS: &[Arg] = &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX"), Arg::flag("gt", "GT"), Arg::flag("lt", "LT")];
const CONDITION: Arg = Arg::one_of("condition", WORDS).since("9.0.0").optional();

pub const COMMANDS: &[Command] = &[
    Command::new("hexpire", -6, hexpire)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", COMPLEXITY, "Lets fields end in so many seconds.")
        .args(&[
            Arg::key("key", 0),
            Arg::int("seconds"),
            Arg::one_of("condition", WORDS).optional(),
            Arg::block("fields", &[Arg::int("numfields"), Arg::string("field").multiple()]).token("FIELDS"),
        ]),
    Command::new("hpexpire", -6, hpexpire)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", COMPLEXITY, "Lets fields end in so many milliseconds.")
        .args(&[Arg::key("key", 0), Arg::int("milliseconds"), CONDITION, FIELDS]),
    Command::new("hexpireat", -6, hexpireat)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", COMPLEXITY, "Lets fields end at a Unix time in seconds.")
        .args(&[Arg::key("key", 0), Arg::int("unix-time-seconds"), CONDITION, FIELDS]),
    Command::new("hpexpireat", -6, hpexpireat)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", COMPLEXITY, "Lets fields end at a Unix time in milliseconds.")
        .args(&[Arg::key("key", 0), Arg::int("unix-time-milliseconds"), CONDITION, FIELDS]),
    Command::new("hpersist", -5, hpersist)
        .flags(WRITES)
        .acl(Acl::HASH)
        .keys(KEY)
        .doc(Group::Hash, "9.0.0", COMPLEXITY, "Lets fields stay that were to end.")
        .args(&[Arg::key("key", 0), FIELDS]),
];

/// What HEXPIRE and HPERSIST say of a field, beside that it does not exist or does not end.
const NOT_ALLOWED: i64 = 0;
const CHANGED: i64 = 1;
const ENDED: i64 = 2;

fn hexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Seconds, true)
}

fn hpexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Millis, true)
}

fn hexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Seconds, false)
}

fn hpexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Millis, false)
}

fn expire_by(ctx: &mut Ctx<'_>, args: Args<'_>, unit: TimeUnit, relative: bool) -> Done {
    let key = args.at(1);
    let at = end_of_options(args, 3)?;
    let conditions = Conditions::parse(args.range(3, at))?;
    let fields = named_fields(args, at, 1)?;
    if parse::int(args.at(2))? < 0 {
        return Err(ErrorReply::invalid_expire(ctx.command.name));
    }
    let at = parse::expire_at(args.at(2), unit, relative, ctx.now, ctx.command.name)?;
    let done = if is_past(ctx, at) { ENDED } else { CHANGED };
    let (mut db, reply) = ctx.split();
    let hash = find_unread(&mut db, key)?;
    let mut chosen = Chosen::default();
    reply.array(fields.len());
    for field in fields.iter() {
        let old = hash.and_then(|hash| hash.get_with_expiry(field)).map(|(_, old)| old);
        let old = match old {
            Some(_) if chosen.has(field) => (done == CHANGED).then_some(Some(at)),
            old => old,
        };
        reply.int(match old {
            None => MISSING,
            Some(old) if !conditions.allow(old, at) => NOT_ALLOWED,
            Some(_) => {
                chosen.add(field);
                done
            }
        });
    }
    lifetime::let_end(ctx, key, &chosen.fields, at)
}

fn hpersist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let fields = named_fields(args, 2, 1)?;
    let (mut db, reply) = ctx.split();
    let hash = find_unread(&mut db, key)?;
    let mut chosen = Chosen::default();
    reply.array(fields.len());
    for field in fields.iter() {
        reply.int(match hash.and_then(|hash| hash.get_with_expiry(field)) {
            None => MISSING,
            Some((_, None)) => NEVER,
            Some(_) if chosen.has(field) => NEVER,
            Some((_, Some(_))) => {
                chosen.add(field);
                CHANGED
            }
        });
    }
    lifetime::let_stay(ctx, key, &chosen.fields)
}
