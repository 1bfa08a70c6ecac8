//! ASKING, READONLY, READWRITE: what a client says of itself to a cluster.

use crate::exec::client::ClientFlags;
use crate::exec::{Acl, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply};

const ANY_STATE: Flags = Flags::FAST.union(Flags::LOADING).union(Flags::STALE);

pub const COMMANDS: &[Command] = &[
    Command::new("asking", 1, asking).flags(Flags::FAST).acl(Acl::CONNECTION).doc(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Lets the next command be served from a slot that is being imported.",
    ),
    Command::new("readonly", 1, readonly).flags(ANY_STATE).acl(Acl::CONNECTION).doc(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Lets a replica serve reads to this connection.",
    ),
    Command::new("readwrite", 1, readwrite).flags(ANY_STATE).acl(Acl::CONNECTION).doc(
        Group::Cluster,
        "3.0.0",
        "O(1)",
        "Takes back READONLY.",
    ),
];

fn asking(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if !ctx.server.config.cluster_enabled {
        return Err(ErrorReply::ClusterDisabled);
    }
    ctx.client.flags |= ClientFlags::ASKING;
    ctx.reply().ok();
    Ok(())
}

fn readonly(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.client.flags |= ClientFlags::READONLY;
    ctx.reply().ok();
    Ok(())
}

fn readwrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.client.flags -= ClientFlags::READONLY;
    ctx.reply().ok();
    Ok(())
}
