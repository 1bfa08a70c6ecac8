//! COMMANDLOG, and SLOWLOG, its older form for slow commands.

use crate::base::num;
use crate::commands::help::help;
use crate::exec::commandlog::Remarkable;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply};

const ADMIN: Flags = Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE);

/// How many GET shows when it is not told.
const SHOWN_BY_DEFAULT: usize = 10;

const TYPE: Arg = Arg::one_of(
    "type",
    &[Arg::flag("slow", "SLOW"), Arg::flag("large-request", "LARGE-REQUEST"), Arg::flag("large-reply", "LARGE-REPLY")],
);

pub const COMMANDS: &[Command] = &[
    Command::container("commandlog", COMMANDLOG).doc(
        Group::Server,
        "8.1.0",
        "",
        "The commands that took long, or whose request or reply was large.",
    ),
    Command::container("slowlog", SLOWLOG).doc(Group::Server, "2.2.12", "", "The commands that took long."),
];

const COMMANDLOG: &[Command] = &[
    Command::new("commandlog|get", 4, get)
        .flags(ADMIN)
        .doc(Group::Server, "8.1.0", "O(N)", "Shows the latest commands of a type; all of them when the count is -1.")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .args(&[Arg::int("count"), TYPE]),
    Command::new("commandlog|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).doc(
        Group::Server,
        "8.1.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("commandlog|len", 3, len)
        .flags(ADMIN)
        .doc(Group::Server, "8.1.0", "O(1)", "Gives the number of commands of a type that are kept.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .args(&[TYPE]),
    Command::new("commandlog|reset", 3, reset)
        .flags(ADMIN)
        .doc(Group::Server, "8.1.0", "O(N)", "Forgets the commands of a type.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .args(&[TYPE]),
];

const SLOWLOG: &[Command] = &[
    Command::new("slowlog|get", -2, get_slow)
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
    Command::new("slowlog|len", 2, len_slow)
        .flags(ADMIN)
        .doc(Group::Server, "2.2.12", "O(1)", "Gives the number of slow commands that are kept.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    Command::new("slowlog|reset", 2, reset_slow)
        .flags(ADMIN)
        .doc(Group::Server, "2.2.12", "O(N)", "Forgets the slow commands.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

/// The type that argument `i` names.
fn kind(args: Args<'_>, i: usize) -> Result<Remarkable, ErrorReply> {
    let kinds = [
        ("slow", Remarkable::Slow),
        ("large-request", Remarkable::LargeRequest),
        ("large-reply", Remarkable::LargeReply),
    ];
    let found = kinds.into_iter().find(|(word, _)| args.is(i, word)).map(|(_, kind)| kind);
    found.ok_or(ErrorReply::Static("ERR type should be one of the following: slow, large-request, large-reply"))
}

fn count(word: &[u8]) -> Result<usize, ErrorReply> {
    match num::parse_i64(word) {
        Some(-1) => Ok(usize::MAX),
        Some(n) if n >= 0 => Ok(n as usize),
        _ => Err(ErrorReply::Static("ERR count should be greater than or equal to -1")),
    }
}

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let max = count(args.at(2))?;
    show(ctx, kind(args, 3)?, max);
    Ok(())
}

fn len(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = ctx.server.command_log.of(kind(args, 2)?).len();
    ctx.reply().uint(len);
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.server.command_log.of(kind(args, 2)?).clear();
    ctx.reply().ok();
    Ok(())
}

fn get_slow(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() > 3 {
        return Err(ErrorReply::arity("slowlog|get"));
    }
    let max = args.get(2).map_or(Ok(SHOWN_BY_DEFAULT), count)?;
    show(ctx, Remarkable::Slow, max);
    Ok(())
}

fn len_slow(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let len = ctx.server.command_log.of(Remarkable::Slow).len();
    ctx.reply().uint(len);
    Ok(())
}

fn reset_slow(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.command_log.of(Remarkable::Slow).clear();
    ctx.reply().ok();
    Ok(())
}

/// The latest commands of a type, at most `max`: id, time, amount, arguments, client.
fn show(ctx: &mut Ctx<'_>, why: Remarkable, max: usize) {
    let Ctx { server, client, .. } = ctx;
    let (log, reply) = (server.command_log.of(why), &mut client.reply);
    reply.array(log.len().min(max));
    for kept in log.iter().take(max) {
        reply.array(6);
        reply.int(kept.id as i64);
        reply.int(kept.at.secs());
        reply.int(kept.amount as i64);
        reply.array(kept.args.len());
        for arg in &kept.args {
            reply.bulk(arg);
        }
        reply.bulk_str(&kept.peer);
        reply.bulk(&kept.client_name);
    }
}
