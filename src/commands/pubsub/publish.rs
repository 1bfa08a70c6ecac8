//! PUBLISH, SPUBLISH: a message to the subscribers of a channel, wherever they are.

use crate::exec::{Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::Args;

const SENDS: Flags =
    Flags::FAST.union(Flags::LOADING).union(Flags::MAY_REPLICATE).union(Flags::PUBSUB).union(Flags::STALE);

pub const COMMANDS: &[Command] = &[
    Command::new("publish", 3, publish)
        .flags(SENDS)
        .doc(
            Group::PubSub,
            "2.0.0",
            "O(N+M) where N is the number of listeners of the channel and M the number of patterns",
            "Sends a message to a channel.",
        )
        .args(&[Arg::string("channel"), Arg::string("message")]),
    Command::new("spublish", 3, spublish)
        .flags(SENDS)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::NOT_KEY)])
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of listeners of the channel",
            "Sends a message to a shard channel.",
        )
        .args(&[Arg::string("shardchannel"), Arg::string("message")]),
];

fn publish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let receivers = ctx.server.publish_here(args.at(1), args.at(2));
    pass_on(ctx, args, false);
    ctx.reply().uint(receivers);
    Ok(())
}

fn spublish(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let receivers = ctx.server.publish_shard_here(args.at(1), args.at(2));
    pass_on(ctx, args, true);
    ctx.reply().uint(receivers);
    Ok(())
}

/// To subscribers on other servers: over the bus in a cluster, else down the replication stream. Only those of this server
/// are counted in the reply.
fn pass_on(ctx: &mut Ctx<'_>, args: Args<'_>, sharded: bool) {
    if !ctx.server.publish_on_bus(args.at(1), args.at(2), sharded) {
        ctx.propagate_to_replicas();
    }
}
