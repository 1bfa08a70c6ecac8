//! DUMP, RESTORE: a value as bytes that another server understands.

use crate::base::Millis;
use crate::commands::expiry::is_past;
use crate::commands::parse;
use crate::exec::rdb_load::version_check;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, SetExpire};
use crate::persist::dump::{RestoreError, dump as push_payload, restore_checked as read_payload};
use crate::resp::{Args, Argv, ErrorReply};

const OVERWRITES: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::OW.union(KeyFlags::UPDATE))];
const RESTORE_ARGS: &[Arg] = &[
    Arg::key("key", 0),
    Arg::int("ttl"),
    Arg::string("serialized-value"),
    Arg::flag("replace", "REPLACE").since("3.0.0").optional(),
    Arg::flag("absttl", "ABSTTL").since("5.0.0").optional(),
    Arg::int("seconds").token("IDLETIME").since("5.0.0").optional(),
    Arg::int("frequency").token("FREQ").since("5.0.0").optional(),
];

pub const COMMANDS: &[Command] = &[
    Command::new("dump", 2, dump)
        .flags(Flags::READONLY)
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO.union(KeyFlags::ACCESS))])
        .doc(Group::Generic, "2.6.0", "O(N) where N is the size of the value", "Gives a value as bytes for RESTORE.")
        .tips(&["nondeterministic_output"])
        .args(&[Arg::key("key", 0)]),
    Command::new("restore", -4, restore)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::DANGEROUS.union(Acl::KEYSPACE))
        .keys(OVERWRITES)
        .doc(Group::Generic, "2.6.0", "O(N) where N is the size of the value", "Makes a key from the bytes of DUMP.")
        .args(RESTORE_ARGS),
    Command::new("restore-asking", -4, restore)
        .flags(Flags::ASKING.union(Flags::DENYOOM).union(Flags::WRITE))
        .acl(Acl::DANGEROUS.union(Acl::KEYSPACE))
        .keys(OVERWRITES)
        .doc(
            Group::Server,
            "3.0.0",
            "O(N) where N is the size of the value",
            "Makes a key of a slot that is being imported.",
        )
        .args(RESTORE_ARGS),
];

fn dump(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let compress = ctx.server.config.rdbcompression;
    let (mut db, reply) = ctx.split();
    match db.read(args.at(1)) {
        Some(entry) => {
            let mut payload = Vec::new();
            push_payload(&mut payload, entry.value(), compress);
            reply.bulk(&payload);
        }
        None => reply.null(),
    }
    Ok(())
}

/// When the value was last used, or how often, as its former server knew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    Untold,
    IdleSeconds(u64),
    Frequency(u8),
}

/// The options of RESTORE.
struct Options {
    replace: bool,
    absolute: bool,
    used: Used,
}

impl Options {
    fn parse(words: Args<'_>) -> Result<Options, ErrorReply> {
        let mut options = Options { replace: false, absolute: false, used: Used::Untold };
        let mut i = 0;
        while i < words.len() {
            let next = words.get(i + 1);
            if words.is(i, "replace") {
                options.replace = true;
            } else if words.is(i, "absttl") {
                options.absolute = true;
            } else if let (true, Some(value), false) =
                (words.is(i, "idletime"), next, matches!(options.used, Used::Frequency(_)))
            {
                let seconds = u64::try_from(parse::int(value)?)
                    .map_err(|_| ErrorReply::Static("ERR Invalid IDLETIME value, must be >= 0"))?;
                options.used = Used::IdleSeconds(seconds);
                i += 1;
            } else if let (true, Some(value), false) =
                (words.is(i, "freq"), next, matches!(options.used, Used::IdleSeconds(_)))
            {
                let count = u8::try_from(parse::int(value)?)
                    .map_err(|_| ErrorReply::Static("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
                options.used = Used::Frequency(count);
                i += 1;
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }
}

/// RESTORE and RESTORE-ASKING.
fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let options = Options::parse(args.from(4))?;
    if !options.replace && ctx.db().exists(key) {
        return Err(ErrorReply::BusyKey);
    }
    let ttl = parse::int(args.at(2))?;
    if ttl < 0 {
        return Err(ErrorReply::Static("ERR Invalid TTL value, must be >= 0"));
    }
    ctx.server.stats.payloads_checked += 1;
    let checksum = !ctx.server.switches.checksums_skipped;
    let config = &ctx.server.config;
    let check = version_check(config);
    let value = read_payload(args.at(3), &config.limits, check, checksum).map_err(refusal)?;
    let expire = match ttl {
        0 => None,
        ttl if options.absolute => Some(Millis(ttl)),
        // What lies beyond the last moment that can be told wraps around into the past, as in the stock server.
        ttl => Some(Millis(ctx.now.0.wrapping_add(ttl))),
    };
    if let Some(at) = expire
        && is_past(ctx, at)
    {
        if ctx.db().delete(key) {
            ctx.changed(1);
            ctx.notify(EventClass::GENERIC, "del", key);
            let verb: &[u8] = if ctx.server.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
            ctx.propagate_as(Argv::of(&[verb, key]));
        }
        ctx.reply().ok();
        return Ok(());
    }
    let (policy, now) = (ctx.server.keyspace.access_policy(), ctx.now);
    let mut db = ctx.db();
    db.remove(key);
    db.set(key, value, expire.map_or(SetExpire::Never, SetExpire::At));
    let stamp = match options.used {
        Used::Untold => None,
        Used::IdleSeconds(seconds) => policy.told(Some(seconds), None, now),
        Used::Frequency(count) => policy.told(None, Some(count), now),
    };
    if let (Some(stamp), Some(entry)) = (stamp, db.peek(key)) {
        entry.set_access(stamp);
    }
    db.notify(EventClass::GENERIC, "restore", key);
    ctx.changed(1);
    if let Some(at) = expire
        && !options.absolute
    {
        let mut argv = Argv::of(&[args.at(0), key]);
        argv.push_i64(at.0);
        for word in args.from(3).iter() {
            argv.push(word);
        }
        argv.push(b"ABSTTL");
        ctx.propagate_as(argv);
    }
    ctx.reply().ok();
    Ok(())
}

fn refusal(error: RestoreError) -> ErrorReply {
    match error {
        RestoreError::Footer => ErrorReply::BadDumpPayload,
        RestoreError::Format(_) => ErrorReply::BadDataFormat,
        RestoreError::Foreign(_) | RestoreError::Unsupported(_) => ErrorReply::text_of(format!("ERR {error}")),
    }
}
