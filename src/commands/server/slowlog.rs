//! SLOWLOG.

use crate::base::num;
use crate::commands::help::help;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply};

const ADMIN: Flags = Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE);

/// How many GET shows when it is not told.
const SHOWN_BY_DEFAULT: usize = 10;

pub const COMMANDS: &[Command] =
    &[Command::container("slowlog", SUBCOMMANDS).doc(Group::Server, "2.2.12", "", "The commands that took long.")];

const SUBCOMMANDS: &[Command] = &[
    Command::new("slowlog|get", -2, get)
        .flags(ADMIN)
        .doc(Group::Server, "2.2.12", "O(N)", "Shows the latest slow commands; all of them when the count is -1.")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .args(&[Arg::int("count").optional()]),
    Command::new("slowlog|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).doc(
        Group::Server,
        "6.2.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("slowlog|len", 2, len)
        .flags(ADMIN)
        .doc(Group::Server, "2.2.12", "O(1)", "Gives the number of slow commands that are kept.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    Command::new("slowlog|reset", 2, reset)
        .flags(ADMIN)
        .doc(Group::Server, "2.2.12", "O(N)", "Forgets the slow commands.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() > 3 {
        return Err(ErrorReply::arity("slowlog|get"));
    }
    let max = match args.get(2) {
        None => SHOWN_BY_DEFAULT,
        Some(word) => match num::parse_i64(word) {
            Some(-1) => usize::MAX,
            Some(n) if n >= 0 => n as usize,
            _ => return Err(ErrorReply::Static("ERR count should be greater than or equal to -1")),
        },
    };
    let Ctx { server, client, .. } = ctx;
    let reply = &mut client.reply;
    reply.array(server.slowlog.len().min(max));
    for slow in server.slowlog.iter().take(max) {
        reply.array(6);
        reply.int(slow.id as i64);
        reply.int(slow.at.secs());
        reply.int(slow.usec as i64);
        reply.array(slow.args.len());
        for arg in &slow.args {
            reply.bulk(arg);
        }
        reply.bulk_str(&slow.peer);
        reply.bulk(&slow.client_name);
    }
    Ok(())
}

fn len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let len = ctx.server.slowlog.len();
    ctx.reply().uint(len);
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.slowlog.clear();
    ctx.reply().ok();
    Ok(())
}
