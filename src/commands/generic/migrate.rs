//! MIGRATE: moves keys to another server.
//!
//! The keys are frozen, not the server: other clients go on, and only who touches a key under way waits.

use crate::commands::parse;
use crate::exec::effect::MigrateRequest;
use crate::exec::frozen::FrozenKeys;
use crate::exec::keys::KeyAt;
use crate::exec::{Acl, Arg, Begin, Command, Ctx, Done, Effect, Find, Flags, Group, KeyFlags, KeySpec};
use crate::persist::dump;
use crate::resp::args::push_command;
use crate::resp::{Args, Argv, ErrorReply};

const MOVES: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

pub const COMMANDS: &[Command] = &[Command::new("migrate", -6, migrate)
    .flags(Flags::MOVABLE_KEYS.union(Flags::WRITE))
    .acl(Acl::DANGEROUS.union(Acl::KEYSPACE))
    .keys(&[
        KeySpec::range(3, 0, 1, MOVES),
        KeySpec::new(
            Begin::Keyword("KEYS", -2),
            Find::Range { last: -1, step: 1, limit: 0 },
            MOVES.union(KeyFlags::INCOMPLETE),
        ),
    ])
    .key_finder(keys_of)
    .doc(Group::Generic, "2.6.0", "", "Moves keys to another server.")
    .tips(&["nondeterministic_output"])
    .args(&[
        Arg::string("host"),
        Arg::int("port"),
        Arg::one_of("key-selector", &[Arg::key("key", 0), Arg::flag("empty-string", "")]),
        Arg::int("destination-db"),
        Arg::int("timeout"),
        Arg::flag("copy", "COPY").since("3.0.0").optional(),
        Arg::flag("replace", "REPLACE").since("3.0.0").optional(),
        Arg::one_of(
            "authentication",
            &[
                Arg::string("auth").token("AUTH").since("4.0.7").display("password"),
                Arg::block("auth2", &[Arg::string("username"), Arg::string("password")]).token("AUTH2").since("6.0.0"),
            ],
        )
        .optional(),
        Arg::key("keys", 1).token("KEYS").since("3.0.6").display("key").optional().multiple(),
    ])];

/// The single key, or those behind KEYS when it is empty.
fn keys_of(args: Args<'_>) -> Vec<KeyAt> {
    let key = |position| KeyAt { position, flags: MOVES };
    if !args.get(3).unwrap_or_default().is_empty() {
        return vec![key(3)];
    }
    let mut i = 6;
    while i < args.len() {
        if args.is(i, "keys") {
            return (i + 1..args.len()).map(key).collect();
        }
        i += 1 + option_values(args, i);
    }
    Vec::new()
}

/// How many values follow the option at `i`.
fn option_values(args: Args<'_>, i: usize) -> usize {
    if args.is(i, "auth") {
        1
    } else if args.is(i, "auth2") {
        2
    } else {
        0
    }
}

/// The options of MIGRATE.
#[derive(Default)]
struct Options<'a> {
    copy: bool,
    replace: bool,
    auth: Option<(Option<&'a [u8]>, &'a [u8])>,
}

fn options<'a>(args: Args<'a>) -> Result<Options<'a>, ErrorReply> {
    let mut options = Options::default();
    let mut i = 6;
    while i < args.len() {
        if args.is(i, "copy") {
            options.copy = true;
        } else if args.is(i, "replace") {
            options.replace = true;
        } else if args.is(i, "auth") && i + 1 < args.len() {
            options.auth = Some((None, args.at(i + 1)));
        } else if args.is(i, "auth2") && i + 2 < args.len() {
            options.auth = Some((Some(args.at(i + 1)), args.at(i + 2)));
        } else if args.is(i, "keys") {
            if !args.at(3).is_empty() {
                return Err(ErrorReply::Static(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            break;
        } else {
            return Err(ErrorReply::Syntax);
        }
        i += 1 + option_values(args, i);
    }
    Ok(options)
}

fn migrate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let options = options(args)?;
    let timeout_ms = parse::int(args.at(5))?;
    let target_db = parse::int(args.at(4))?;
    let port = crate::base::num::parse_i64(args.at(2)).and_then(|n| u16::try_from(n).ok());
    let port = port.ok_or(ErrorReply::Static("ERR Invalid TCP port specified"))?;
    let cluster = ctx.server.config.cluster_enabled;
    let compress = ctx.server.config.rdbcompression;
    let now = ctx.now;
    let (mut keys, mut restores) = (Vec::<Box<[u8]>>::new(), Vec::new());
    let mut db = ctx.db();
    for KeyAt { position, .. } in keys_of(args) {
        let key = args.at(position);
        let Some(entry) = db.peek(key) else { continue };
        if keys.iter().any(|k| **k == *key) {
            continue;
        }
        let ttl_ms = entry.expire_at().map_or(0, |at| (at - now).max(1));
        let mut payload = Vec::new();
        dump::dump(&mut payload, entry.value(), compress);
        let verb: &[u8] = if cluster { b"RESTORE-ASKING" } else { b"RESTORE" };
        let mut restore = Argv::of(&[verb, key]);
        restore.push_i64(ttl_ms).push(&payload);
        if options.replace {
            restore.push(b"REPLACE");
        }
        push_command(&mut restores, restore.args());
        keys.push(key.into());
    }
    if keys.is_empty() {
        ctx.reply().simple("NOKEY");
        return Ok(());
    }
    let (mut preamble, mut preamble_replies) = (Vec::new(), 0);
    if let Some((user, password)) = options.auth {
        let mut auth = Argv::of(&[b"AUTH"]);
        if let Some(user) = user {
            auth.push(user);
        }
        auth.push(password);
        push_command(&mut preamble, auth.args());
        preamble_replies += 1;
    }
    if target_db != 0 {
        let mut select = Argv::of(&[b"SELECT"]);
        select.push_i64(target_db);
        push_command(&mut preamble, select.args());
        preamble_replies += 1;
    }
    let token = ctx.park();
    let count = keys.len();
    ctx.server.freeze(token, FrozenKeys { db: ctx.client.db, keys, copy: options.copy });
    ctx.effect(Effect::Migrate(Box::new(MigrateRequest {
        token,
        host: String::from_utf8_lossy(args.at(1)).into_owned(),
        port,
        timeout_ms: if timeout_ms <= 0 { 1000 } else { timeout_ms as u64 },
        preamble,
        preamble_replies,
        restores,
        keys: count,
    })));
    Ok(())
}
