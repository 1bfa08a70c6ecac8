//! SET and its older forms: SETNX, SETEX, PSETEX, GETSET, MSET, MSETNX.

use super::get::push_string;
use crate::base::Millis;
use crate::commands::expiry::{Expiry, ExpiryClause, expire_now, is_past};
use crate::commands::parse::{self, TimeUnit};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, SetExpire, Typed};
use crate::resp::{Args, Argv, ErrorReply};

const WRITES: Flags = Flags::DENYOOM.union(Flags::WRITE);
const OVERWRITES: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);

pub const COMMANDS: &[Command] = &[
    Command::new("set", -3, set)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(
            1,
            0,
            1,
            KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS),
        )])
        .doc(Group::String, "1.0.0", "O(1)", "Sets the value of a key, on conditions and with an expiry if asked.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("value"),
            Arg::one_of(
                "condition",
                &[
                    Arg::flag("nx", "NX").since("2.6.12"),
                    Arg::flag("xx", "XX").since("2.6.12"),
                    Arg::string("comparison-value").token("IFEQ").since("8.1.0"),
                ],
            )
            .optional(),
            Arg::flag("get", "GET").since("6.2.0").optional(),
            Arg::one_of(
                "expiration",
                &[
                    Arg::int("seconds").token("EX").since("2.6.12"),
                    Arg::int("milliseconds").token("PX").since("2.6.12"),
                    Arg::unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                    Arg::unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                    Arg::flag("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .optional(),
        ]),
    Command::new("setnx", 3, setnx)
        .flags(WRITES.union(Flags::FAST))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::OW.union(KeyFlags::INSERT))])
        .doc(Group::String, "1.0.0", "O(1)", "Sets the value of a key that does not exist.")
        .args(&[Arg::key("key", 0), Arg::string("value")])
        .deprecated("2.6.12", "`SET` with the `NX` argument"),
    Command::new("setex", 4, setex)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, OVERWRITES)])
        .doc(Group::String, "2.0.0", "O(1)", "Sets the value of a key and its expiry in seconds.")
        .args(&[Arg::key("key", 0), Arg::int("seconds"), Arg::string("value")])
        .deprecated("2.6.12", "`SET` with the `EX` argument"),
    Command::new("psetex", 4, setex)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, OVERWRITES)])
        .doc(Group::String, "2.6.0", "O(1)", "Sets the value of a key and its expiry in milliseconds.")
        .args(&[Arg::key("key", 0), Arg::int("milliseconds"), Arg::string("value")])
        .deprecated("2.6.12", "`SET` with the `PX` argument"),
    Command::new("getset", 3, getset)
        .flags(WRITES.union(Flags::FAST))
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))])
        .doc(Group::String, "1.0.0", "O(1)", "Sets the value of a key and gives the old one.")
        .args(&[Arg::key("key", 0), Arg::string("value")])
        .deprecated("6.2.0", "`SET` with the `GET` argument"),
    Command::new("mset", -3, mset)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, -1, 2, OVERWRITES)])
        .doc(Group::String, "1.0.1", "O(N) where N is the number of keys", "Sets the values of several keys.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .args(&[Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multiple()]),
    Command::new("msetnx", -3, msetnx)
        .flags(WRITES)
        .acl(Acl::STRING)
        .keys(&[KeySpec::range(1, -1, 2, KeyFlags::OW.union(KeyFlags::INSERT))])
        .doc(
            Group::String,
            "1.0.1",
            "O(N) where N is the number of keys",
            "Sets the values of several keys, if none of them exists.",
        )
        .args(&[Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multiple()]),
];

/// When SET may change the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    Missing,
    Present,
    Equal(&'a [u8]),
}

/// The options of SET.
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    expiry: ExpiryClause<'a>,
}

fn set_options(args: Args<'_>) -> Result<SetOptions<'_>, ErrorReply> {
    let mut options = SetOptions { condition: Condition::Always, get: false, expiry: ExpiryClause::default() };
    let mut i = 3;
    while i < args.len() {
        let condition = if args.is(i, "nx") {
            Some(Condition::Missing)
        } else if args.is(i, "xx") {
            Some(Condition::Present)
        } else if args.is(i, "ifeq") {
            i += 1;
            Some(Condition::Equal(args.get(i).ok_or(ErrorReply::Syntax)?))
        } else {
            None
        };
        if let Some(condition) = condition {
            let before = std::mem::replace(&mut options.condition, condition);
            // NX and XX may be said again.
            let is_repeated = before == condition && !matches!(condition, Condition::Equal(_));
            if before != Condition::Always && !is_repeated {
                return Err(ErrorReply::Syntax);
            }
            i += 1;
        } else if args.is(i, "get") {
            options.get = true;
            i += 1;
        } else {
            i += options.expiry.accept(args, i).filter(|_| !options.expiry.persists()).ok_or(ErrorReply::Syntax)?;
        }
    }
    Ok(options)
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, value) = (args.at(1), args.at(2));
    if args.len() == 3 {
        store(ctx, key, value, SetExpire::Never);
        ctx.reply().ok();
        return Ok(());
    }
    let options = set_options(args)?;
    let expiry = options.expiry.resolve(ctx.now, "set")?;
    let (mut db, reply) = ctx.split();
    let old = if options.get { db.read(key) } else { db.peek(key) };
    let mut digits = itoa::Buffer::new();
    let holds = match (options.condition, old) {
        (Condition::Always, _) => true,
        (Condition::Missing, old) => old.is_none(),
        (Condition::Present, old) => old.is_some(),
        (Condition::Equal(_), None) => false,
        (Condition::Equal(wanted), Some(entry)) => entry.text(&mut digits)? == wanted,
    };
    if options.get {
        match old {
            Some(entry) => push_string(reply, entry.value())?,
            None => reply.null(),
        }
    } else if holds {
        reply.ok();
    } else {
        reply.null();
    }
    if !holds {
        return Ok(());
    }
    match expiry {
        Expiry::At { at, .. } if is_past(ctx, at) => {
            expire_now(ctx, key);
        }
        Expiry::At { at, as_is } => {
            store(ctx, key, value, SetExpire::At(at));
            if !as_is {
                propagate_pxat(ctx, key, value, at);
            }
        }
        Expiry::Keep | Expiry::Persist | Expiry::Unsaid => {
            store(ctx, key, value, if expiry == Expiry::Keep { SetExpire::Keep } else { SetExpire::Never });
            if options.get {
                ctx.propagate_as(without_get(args));
            }
        }
    }
    Ok(())
}

/// A SET without its GET: nobody reads the answer in the stream.
fn without_get(args: Args<'_>) -> Argv {
    let mut argv = args.range(0, 3).to_argv();
    for i in 3..args.len() {
        if !args.is(i, "get") || args.is(i - 1, "ifeq") {
            argv.push(args.at(i));
        }
    }
    argv
}

/// Sets the key.
pub(super) fn store(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], expire: SetExpire) {
    ctx.changed(1);
    let mut db = ctx.db();
    db.set_bytes(key, value, expire);
    db.notify(EventClass::STRING, "set", key);
    if matches!(expire, SetExpire::At(_)) {
        db.notify(EventClass::GENERIC, "expire", key);
    }
}

fn propagate_pxat(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], at: Millis) {
    let mut argv = Argv::of(&[b"SET", key, value, b"PXAT"]);
    argv.push_i64(at.0);
    ctx.propagate_as(argv);
}

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let missing = !ctx.db().exists(args.at(1));
    if missing {
        store(ctx, args.at(1), args.at(2), SetExpire::Never);
    }
    ctx.reply().int(i64::from(missing));
    Ok(())
}

/// SETEX and PSETEX.
fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let command = ctx.command.name;
    let unit = if command == "setex" { TimeUnit::Seconds } else { TimeUnit::Millis };
    let at = parse::expire_at(args.at(2), unit, true, ctx.now, command)?;
    if parse::int(args.at(2))? <= 0 {
        return Err(ErrorReply::invalid_expire(command));
    }
    store(ctx, args.at(1), args.at(3), SetExpire::At(at));
    propagate_pxat(ctx, args.at(1), args.at(3), at);
    ctx.reply().ok();
    Ok(())
}

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    match db.read(args.at(1)) {
        Some(entry) => push_string(reply, entry.value())?,
        None => reply.null(),
    }
    store(ctx, args.at(1), args.at(2), SetExpire::Never);
    ctx.propagate_as(Argv::of(&[b"SET", args.at(1), args.at(2)]));
    Ok(())
}

/// A key and its new value.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs<'a>(args: Args<'a>, command: &str) -> Result<Vec<Pair<'a>>, ErrorReply> {
    if args.len().is_multiple_of(2) {
        return Err(ErrorReply::arity(command));
    }
    Ok((1..args.len()).step_by(2).map(|i| (args.at(i), args.at(i + 1))).collect())
}

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    for (key, value) in pairs(args, "mset")? {
        store(ctx, key, value, SetExpire::Never);
    }
    ctx.reply().ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let pairs = pairs(args, "msetnx")?;
    let free = pairs.iter().all(|(key, _)| !ctx.db().exists(key));
    if free {
        for (key, value) in pairs {
            store(ctx, key, value, SetExpire::Never);
        }
    }
    ctx.reply().int(i64::from(free));
    Ok(())
}
