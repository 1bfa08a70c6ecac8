//! The server group: the server and its databases as wholes.

mod command;
mod commandlog;
mod config;
mod debug;
mod info;
mod keyspace;
mod latency;
mod memory;
mod replication;
mod saving;
mod time;

use crate::exec::{Command, Ctx, Done};
use crate::resp::ErrorReply;

pub const FAMILIES: &[&[Command]] = &[
    command::COMMANDS,
    commandlog::COMMANDS,
    config::COMMANDS,
    debug::COMMANDS,
    info::COMMANDS,
    keyspace::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    replication::COMMANDS,
    saving::COMMANDS,
    time::COMMANDS,
];

/// For commands whose answer comes from outside: inside EXEC the reply would be in the wrong place.
fn refuse_in_exec(ctx: &Ctx<'_>) -> Done {
    if ctx.server.unit.is_nested() {
        return Err(ErrorReply::text_of(format!(
            "ERR {} is not allowed inside a transaction",
            ctx.command.name.replace('|', " ").to_ascii_uppercase()
        )));
    }
    Ok(())
}
