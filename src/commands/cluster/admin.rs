//! CLUSTER subcommands that change something: the engine reads and performs them, its words are the reply.

use super::topology::net;
use crate::cluster::{AdminCommand, AdminReply, SetSlot};
use crate::exec::client::ClientFlags;
use crate::exec::slot_orders::Ordered;
use crate::exec::{Ctx, Done};
use crate::resp::{Args, ErrorReply};

/// Any of them.
pub fn admin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let clock = ctx.server.clock();
    let words: Vec<&[u8]> = args.from(1).iter().collect();
    let server = &mut *ctx.server;
    if server.cluster.is_none() {
        return Err(ErrorReply::ClusterDisabled);
    }
    let Some(command) = AdminCommand::parse(&words)? else {
        return Err(ErrorReply::unknown_subcommand(args.at(1), "cluster"));
    };
    if let AdminCommand::SetSlot(set) = command {
        return setslot(ctx, set);
    }
    // The engine decides by the replication offset, too.
    server.tell_facts();
    let Some(engine) = &mut server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let result = engine.admin(clock, &command, &server.keyspace);
    server.drain_cluster();
    match result? {
        AdminReply::Ok => ctx.reply().ok(),
        AdminReply::Bumped(epoch) => ctx.reply().simple(&format!("BUMPED {epoch}")),
        AdminReply::Still(epoch) => ctx.reply().simple(&format!("STILL {epoch}")),
    }
    Ok(())
}

/// CLUSTER SETSLOT: what a primary is told its replicas have to know first.
fn setslot(ctx: &mut Ctx<'_>, set: SetSlot) -> Done {
    if ctx.client.is(ClientFlags::PRIMARY) {
        return ctx.server.order_slot_replicated(&set);
    }
    let may_block = ctx.may_block();
    if ctx.server.order_slot(ctx.client, set, may_block)? == Ordered::Performed {
        ctx.reply().ok();
    }
    Ok(())
}

/// CLUSTER COUNT-FAILURE-REPORTS.
pub fn count_failure_reports(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let clock = ctx.server.clock();
    let Some(engine) = &mut ctx.server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let node = super::topology::find_node(engine, args.at(2))?;
    let reports = engine.failure_reports(clock, node);
    ctx.reply().uint(reports);
    Ok(())
}

/// CLUSTER REPLICAS and SLAVES.
pub fn replicas(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let net = net(ctx.client);
    let Some(engine) = &ctx.server.cluster else { return Err(ErrorReply::ClusterDisabled) };
    let node = super::topology::find_node(engine, args.at(2))?;
    if !engine.node(node).node.is_primary() {
        return Err(ErrorReply::Static("ERR The specified node is not a master"));
    }
    let lines: Vec<String> = engine.replicas(node).map(|view| engine.node_line(view.idx, net)).collect();
    ctx.reply().array(lines.len());
    for line in lines {
        ctx.reply().bulk_str(&line);
    }
    Ok(())
}
