//! MONITOR: every command that is run, shown to this connection.

use crate::exec::{Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("monitor", 1, monitor)
    .flags(Flags::ADMIN.union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE))
    .doc(Group::Server, "1.0.0", "", "Shows every command that is run from now on.")];

fn monitor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if ctx.server.unit.is_nested() {
        return Err(ErrorReply::Static("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Who watches already is not answered, as in Redis.
    if ctx.server.monitor(ctx.client) {
        ctx.reply().ok();
    }
    Ok(())
}
