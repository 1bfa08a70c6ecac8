//! The server group: the server and its databases as wholes.

mod command;
mod config;
mod info;
mod keyspace;
mod replication;
mod saving;
mod time;

use crate::exec::{Command, Ctx, Done, help};
use crate::resp::{Args, ErrorReply};

pub const FAMILIES: &[&[Command]] = &[
    command::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    keyspace::COMMANDS,
    replication::COMMANDS,
    saving::COMMANDS,
    time::COMMANDS,
];

/// HELP of any container.
pub(super) fn help(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Some(index) = ctx.server.commands.find(args.at(0)) else { return Ok(()) };
    let lines = help::help_lines(ctx.server.commands.command(index));
    let reply = ctx.reply();
    reply.array(lines.len());
    for line in lines {
        reply.simple(&line);
    }
    Ok(())
}

/// For commands whose answer comes from outside: inside EXEC the reply would be in the wrong place.
fn refuse_in_exec(ctx: &Ctx<'_>) -> Done {
    if ctx.server.unit.is_collecting() {
        return Err(ErrorReply::text_of(format!(
            "ERR {} is not allowed inside a transaction",
            ctx.command.name.replace('|', " ").to_ascii_uppercase()
        )));
    }
    Ok(())
}
