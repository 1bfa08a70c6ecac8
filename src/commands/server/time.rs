//! TIME.

use crate::exec::{Command, Ctx, Done, Flags, Group};
use crate::resp::Args;

pub const COMMANDS: &[Command] = &[Command::new("time", 1, time)
    .flags(Flags::FAST.union(Flags::LOADING).union(Flags::STALE))
    .doc(Group::Server, "2.6.0", "O(1)", "Seconds since 1970, and the microseconds of the running second.")
    .tips(&["nondeterministic_output"])];

fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let usec = ctx.server.wall_micros();
    let reply = ctx.reply();
    reply.array(2);
    reply.bulk_int(usec.div_euclid(1_000_000));
    reply.bulk_int(usec.rem_euclid(1_000_000));
    Ok(())
}
