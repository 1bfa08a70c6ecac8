//! MEMORY: where the memory goes.

mod doctor;
pub(super) mod overview;
mod stats;

use crate::commands::help::help;
use crate::commands::parse;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply};

/// What a table keeps for one entry beside the entry: its place in a bucket.
const PLACE_BYTES: usize = size_of::<usize>();

pub const COMMANDS: &[Command] =
    &[Command::container("memory", SUBCOMMANDS).doc(Group::Server, "4.0.0", "", "Where the memory goes.")];

const SUBCOMMANDS: &[Command] = &[
    Command::new("memory|doctor", 2, doctor::doctor)
        .doc(Group::Server, "4.0.0", "O(1)", "Says what is wrong with the use of memory.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Command::new("memory|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).doc(
        Group::Server,
        "4.0.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("memory|malloc-stats", 2, malloc_stats)
        .flags(Flags::LOADING)
        .doc(Group::Server, "4.0.0", "", "Gives the allocator's own statistics.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Command::new("memory|purge", 2, purge)
        .flags(Flags::LOADING)
        .doc(Group::Server, "4.0.0", "", "Lets the allocator give unused pages back to the system.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::new("memory|stats", 2, stats::stats)
        .doc(Group::Server, "4.0.0", "O(1)", "Gives the numbers of the use of memory.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    Command::new("memory|usage", -3, usage)
        .flags(Flags::READONLY)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RO)])
        .doc(Group::Server, "4.0.0", "O(N)", "Gives the bytes that a key and its value take; all of it is counted.")
        .args(&[Arg::key("key", 0), Arg::int("count").token("SAMPLES").optional()]),
];

fn malloc_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let report = ctx.server.memory.report();
    ctx.reply().verbatim("txt", report.as_bytes());
    Ok(())
}

fn purge(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.memory.purge();
    ctx.reply().ok();
    Ok(())
}

fn usage(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut i = 3;
    while i < args.len() {
        let Some(samples) = args.get(i + 1).filter(|_| args.is(i, "samples")) else { return Err(ErrorReply::Syntax) };
        // Values know what they take: nothing has to be estimated from samples.
        if parse::int(samples)? < 0 {
            return Err(ErrorReply::Syntax);
        }
        i += 2;
    }
    let (mut db, reply) = ctx.split();
    match db.peek(args.at(2)) {
        Some(entry) => reply.uint(entry.mem_bytes() + PLACE_BYTES),
        None => reply.null(),
    }
    Ok(())
}
