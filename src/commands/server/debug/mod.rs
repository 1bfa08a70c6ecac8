//! DEBUG: for tests, when `enable-debug-command` allows it.

mod digest;

use super::config::is_local;
use crate::base::num;
use crate::commands::parse;
use crate::config::Guard;
use crate::exec::{Command, Ctx, Done, Effect, Flags, Group};
use crate::keyspace::{AccessPolicy, SetExpire};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("debug", -2, debug)
    .flags(Flags::ADMIN.union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE))
    .doc(Group::Server, "1.0.0", "", "Helps those who test the server.")];

/// One thing that DEBUG can do.
struct Action {
    name: &'static str,
    /// How the arguments are shown.
    shown: &'static str,
    /// The number of arguments, DEBUG and the name included.
    args: std::ops::RangeInclusive<usize>,
    text: &'static str,
    run: fn(&mut Ctx<'_>, Args<'_>) -> Done,
}

const ACTIONS: &[Action] = &[
    Action {
        name: "DIGEST",
        shown: "",
        args: 2..=2,
        text: "Gives a digest of the whole dataset: equal data, equal digits.",
        run: digest::dataset,
    },
    Action {
        name: "DIGEST-VALUE",
        shown: " [<key> ...]",
        args: 2..=usize::MAX,
        text: "Gives a digest of the value of each key.",
        run: digest::values,
    },
    Action { name: "ERROR", shown: " <string>", args: 3..=3, text: "Answers with this error.", run: error },
    Action { name: "OBJECT", shown: " <key>", args: 3..=3, text: "Tells how a value is kept.", run: object },
    Action {
        name: "POPULATE",
        shown: " <count> [<prefix>] [<size>]",
        args: 3..=5,
        text: "Adds keys <prefix>:<number> (key:<number>) with values of <size> bytes.",
        run: populate,
    },
    Action {
        name: "SET-ACTIVE-EXPIRE",
        shown: " <0|1>",
        args: 3..=3,
        text: "Lets expired keys wait for their next use, or not.",
        run: set_active_expire,
    },
    Action { name: "SLEEP", shown: " <seconds>", args: 3..=3, text: "Stops the server for so long.", run: sleep },
    Action { name: "HELP", shown: "", args: 2..=2, text: "Gives this text.", run: help },
];

fn debug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let allowed = match ctx.server.config.enable_debug_command {
        Guard::Yes => true,
        Guard::Local => is_local(ctx.client),
        Guard::No => false,
    };
    if !allowed {
        return Err(ErrorReply::Static(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from \
             a local connection, otherwise you need to set this option in the configuration file, and then restart the \
             server.",
        ));
    }
    match ACTIONS.iter().find(|action| args.is(1, action.name) && action.args.contains(&args.len())) {
        Some(action) => (action.run)(ctx, args),
        None => Err(ErrorReply::wrong_subcommand_arity(args.at(1), "DEBUG")),
    }
}

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let reply = ctx.reply();
    reply.array(1 + 2 * ACTIONS.len());
    reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for action in ACTIONS {
        reply.simple(&format!("{}{}", action.name, action.shown));
        reply.simple(&format!("    {}", action.text));
    }
    Ok(())
}

fn error(_: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Err(ErrorReply::text_of(String::from_utf8_lossy(args.at(2))))
}

fn sleep(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let secs = num::parse_f64(args.at(2)).filter(|secs| secs.is_finite() && *secs >= 0.0);
    let micros = (secs.ok_or(ErrorReply::NotFloat)? * 1e6) as u64;
    let token = ctx.park();
    ctx.effect(Effect::Sleep { micros, token });
    Ok(())
}

fn set_active_expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.server.active_expire = parse::int(args.at(2))? != 0;
    ctx.reply().ok();
    Ok(())
}

/// Makes keys that do not exist yet. They are this server's alone: nothing goes into the stream.
fn populate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let count = parse::count(args.at(2))?;
    let prefix = args.get(3).unwrap_or(b"key");
    let size = args.get(4).map(parse::count).transpose()?;
    let size_max = ctx.server.config.proto_max_bulk_len;
    if size.is_some_and(|size| size > size_max) {
        return Err(ErrorReply::OutOfRange);
    }
    let mut db = ctx.db();
    for n in 0..count {
        let key = [prefix, format!(":{n}").as_bytes()].concat();
        if db.exists(&key) {
            continue;
        }
        let mut value = format!("value:{n}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        db.set_bytes(&key, &value, SetExpire::Never);
    }
    ctx.reply().ok();
    Ok(())
}

fn object(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    /// Bytes of a payload of DUMP beside the value: its type, the version and the checksum.
    const FRAME_BYTES: usize = 11;
    let (now, compress) = (ctx.now, ctx.server.config.rdbcompression);
    let (mut db, reply) = ctx.split();
    let entry = db.peek(args.at(2)).ok_or(ErrorReply::NoSuchKey)?;
    let mut payload = Vec::new();
    crate::persist::dump::dump(&mut payload, entry.value(), compress);
    reply.simple(&format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        std::ptr::from_ref(entry),
        entry.encoding().name(),
        payload.len() - FRAME_BYTES,
        entry.access(),
        AccessPolicy::idle_seconds(entry.access(), now)
    ));
    Ok(())
}
