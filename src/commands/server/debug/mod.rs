//! DEBUG: for tests, when `enable-debug-command` allows it.

mod clients;
mod digest;
mod lists;
mod process;
mod protocol;
mod reload;
mod switches;
mod values;

use super::config::is_local;
use crate::config::Guard;
use crate::exec::{Command, Ctx, Done, Flags, Group};
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
        name: "ASSERT",
        shown: "",
        args: 2..=2,
        text: "Ends the server as if something had turned out false that must be true.",
        run: switches::assertion,
    },
    Action {
        name: "CHANGE-REPL-ID",
        shown: "",
        args: 2..=2,
        text: "Takes a new replication id and forgets the old one: every replica needs all data anew.",
        run: switches::change_repl_id,
    },
    Action {
        name: "CLIENT-EVICTION",
        shown: "",
        args: 2..=2,
        text: "Tells how many clients hold how much memory.",
        run: clients::eviction,
    },
    Action {
        name: "CONFIG-REWRITE-FORCE-ALL",
        shown: "",
        args: 2..=2,
        text: "Rewrites the configuration file, with every directive in it.",
        run: process::rewrite_config,
    },
    Action {
        name: "CRASH-AND-RECOVER",
        shown: " [<milliseconds>]",
        args: 2..=3,
        text: "Begins the process anew after a while, without saving anything.",
        run: process::crash_and_recover,
    },
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
    Action {
        name: "DICT-RESIZING",
        shown: " <0|1>",
        args: 3..=3,
        text: "Lets tables keep the size they have until they are far too small, or not.",
        run: switches::resize_tables,
    },
    Action { name: "ERROR", shown: " <string>", args: 3..=3, text: "Answers with this error.", run: switches::error },
    Action {
        name: "HTSTATS",
        shown: " <dbid>",
        args: 3..=3,
        text: "Tells of the tables of a database.",
        run: values::table_stats,
    },
    Action {
        name: "HTSTATS-KEY",
        shown: " <key>",
        args: 3..=3,
        text: "Tells of the table of a large collection.",
        run: values::key_stats,
    },
    Action {
        name: "LEAK",
        shown: " <string>",
        args: 3..=3,
        text: "Forgets memory of this size for good.",
        run: process::leak,
    },
    Action {
        name: "LISTPACK",
        shown: " <key>",
        args: 3..=3,
        text: "Writes the elements of a listpack into the log.",
        run: values::listpack,
    },
    Action {
        name: "LOADAOF",
        shown: "",
        args: 2..=2,
        text: "Reads the dataset from the append-only file.",
        run: reload::load_aof,
    },
    Action { name: "LOG", shown: " <message>", args: 3..=3, text: "Writes a line into the log.", run: switches::log },
    Action {
        name: "MALLCTL",
        shown: " <key> [<val>]",
        args: 3..=4,
        text: "Tells, or sets, a number among the controls of the allocator.",
        run: process::allocator_number,
    },
    Action {
        name: "MALLCTL-STR",
        shown: " <key>",
        args: 3..=3,
        text: "Tells a text among the controls of the allocator.",
        run: process::allocator_text,
    },
    Action { name: "OBJECT", shown: " <key>", args: 3..=3, text: "Tells how a value is kept.", run: values::object },
    Action {
        name: "OOM",
        shown: "",
        args: 2..=2,
        text: "Ends the server as if there were no more memory.",
        run: switches::out_of_memory,
    },
    Action {
        name: "PANIC",
        shown: "",
        args: 2..=2,
        text: "Ends the server as if it had found itself in an impossible state.",
        run: switches::panic,
    },
    Action {
        name: "PAUSE-CRON",
        shown: " <0|1>",
        args: 3..=3,
        text: "Stops, or goes on with, what the server does by time.",
        run: switches::pause_cron,
    },
    Action {
        name: "POPULATE",
        shown: " <count> [<prefix>] [<size>]",
        args: 3..=5,
        text: "Adds keys <prefix>:<number> (key:<number>) with values of <size> bytes.",
        run: values::populate,
    },
    Action {
        name: "PROTOCOL",
        shown: " <type>",
        args: 3..=3,
        text: "Answers with a value of this type: string, integer, double, bignum, null, array, set, map, attrib, push, verbatim, true or false.",
        run: protocol::protocol,
    },
    Action {
        name: "QUICKLIST",
        shown: " <key> [<0|1>]",
        args: 3..=4,
        text: "Writes the nodes of a list into the log, with 1 its elements as well.",
        run: lists::quicklist,
    },
    Action {
        name: "QUICKLIST-PACKED-THRESHOLD",
        shown: " <size>",
        args: 3..=3,
        text: "Gives elements of lists that are so large nodes of their own; 0 leaves that to list-max-listpack-size.",
        run: values::plain_elements,
    },
    Action {
        name: "RELOAD",
        shown: " [NOSAVE] [NOFLUSH] [MERGE]",
        args: 2..=usize::MAX,
        text: "Saves the dataset (unless NOSAVE), empties it (unless NOFLUSH) and reads it from the RDB file; with MERGE the file's keys replace those that are there.",
        run: reload::reload,
    },
    Action {
        name: "REPLYBUFFER",
        shown: " PEAK-RESET-TIME <NEVER|RESET|milliseconds> | RESIZING <0|1>",
        args: 4..=4,
        text: "Tells after how long the peak of a client's replies is forgotten, and whether buffers larger than it needs are given back.",
        run: clients::reply_buffer,
    },
    Action {
        name: "REPLICATE",
        shown: " <command> [<arg> ...]",
        args: 3..=usize::MAX,
        text: "Sends a command to the replicas that is not run here.",
        run: clients::replicate,
    },
    Action {
        name: "RESTART",
        shown: " [<milliseconds>]",
        args: 2..=3,
        text: "Saves the configuration and the dataset, and begins the process anew after a while.",
        run: process::restart,
    },
    Action {
        name: "SEGFAULT",
        shown: "",
        args: 2..=2,
        text: "Ends the server with a fault of memory access.",
        run: switches::segfault,
    },
    Action {
        name: "SET-ACTIVE-EXPIRE",
        shown: " <0|1>",
        args: 3..=3,
        text: "Lets expired keys wait for their next use, or not.",
        run: switches::set_active_expire,
    },
    Action {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        shown: " <0|1>",
        args: 3..=3,
        text: "Takes payloads and RDB files with wrong checksums, or refuses them.",
        run: switches::skip_checksums,
    },
    Action {
        name: "SLEEP",
        shown: " <seconds>",
        args: 3..=3,
        text: "Stops the server for so long.",
        run: switches::sleep,
    },
    Action {
        name: "STRINGMATCH-LEN",
        shown: " <pattern> <string>",
        args: 4..=4,
        text: "Tells whether the pattern matches: 1 or 0.",
        run: values::matches,
    },
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
