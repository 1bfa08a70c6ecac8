//! `trib del-node`: takes a node out of the cluster, alive or dead, with its slots moved away first if asked.

use super::Context;
use super::drain::{self, ShareArgs};
use crate::trib::addr::Addr;
use crate::trib::agreement;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs, WaitArgs};
use crate::trib::error::Error;
use crate::trib::forget;
use crate::trib::planned;
use crate::trib::rehome;
use crate::trib::table;
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals;
use crate::trib::vocabulary::Vocabulary;

/// Remove a node, also a dead one
///
/// It must own no slots, unless --drain moves them away first. Its replicas are given to the primary with the fewest
/// or removed, too; every node is told to forget it, and if it answers it is reset.
#[derive(clap::Args)]
pub struct Args {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    existing: Addr,
    /// The node to remove: its id, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// Move its slots to the other primaries first
    #[arg(long)]
    drain: bool,
    /// What becomes of its replicas
    #[arg(long, value_enum, default_value_t)]
    replicas: Replicas,
    #[command(flatten)]
    share: ShareArgs,
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What becomes of the replicas of a node that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Replicas {
    /// They are given to the primaries with the fewest
    #[default]
    Spread,
    /// They are removed with it
    Remove,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    ui.heading(format!(">>> Removing node {} from cluster {}", args.id, args.existing));
    let view = match args.drain {
        true => drain::load(ctx, &args.existing, args.plan.dry_run).await?,
        false => ctx.hold(ClusterView::load(&ctx.pool, &args.existing).await?, args.plan.dry_run).await?,
    };
    let node = find(&view, &args.id)?;
    let can_be_drained = args.drain && node.is_reachable();
    if !node.slots.is_empty() && !can_be_drained {
        return Err(not_empty(view.seed(), node));
    }
    let transfers = match node.slots.is_empty() {
        true => Vec::new(),
        false => drain::plan(&view, &[node.id], &args.share)?,
    };
    if transfers.is_empty() {
        refuse_keys(ctx, node).await?;
    }
    let mut gone = vec![node];
    let homes = match args.replicas {
        Replicas::Spread => rehome::plan(&view, &[node.id])?,
        Replicas::Remove => {
            gone.extend(view.nodes.iter().filter(|other| other.primary == Some(node.id)));
            Vec::new()
        }
    };
    let stays = |other: &&Node| !gone.iter().any(|node| node.id == other.id);
    let Some(witness) = view.reachable().find(stays) else {
        return Err(Error::failed("[ERR] There is no other node that could be told to forget it."));
    };
    let mut steps = planned::transfers(&view, &transfers);
    steps.extend(rehome::steps(&homes));
    steps.extend(forget::steps(&gone));
    ctx.pass(args.plan.dry_run, planned::digest(&view), steps)?;
    if !transfers.is_empty() {
        let settings = ctx.moving(&args.moving, args.engine);
        drain::empty(ctx, &view, transfers, settings).await?;
        // It may be a replica by now, of the node that got its last slot.
        let emptied = ClusterView::load(&ctx.pool, &args.existing).await?;
        refuse_keys(ctx, emptied.node(&node.id).unwrap_or(node)).await?;
    }
    ui.heading(">>> Sending CLUSTER FORGET messages to the cluster...");
    rehome::apply(ctx, &homes).await?;
    forget::forget(ctx, &view, &gone).await?;
    agreement::reach(ui, &ctx.pool, &witness.addr, args.wait, |_| None).await?;
    if ui.wording() == Wording::Trib || ui.vocabulary() == Vocabulary::Valkey {
        for node in gone {
            let name = ui.vocabulary().pick(node.addr.to_string(), node.id.to_string());
            ui.ok(format!("[OK] Node {name} removed from the cluster."));
        }
    }
    Ok(())
}

/// The node of this name: the beginning of its id, or its address.
fn find<'v>(view: &'v ClusterView, name: &str) -> Result<&'v Node, Error> {
    let at_address = || name.parse::<Addr>().ok().and_then(|addr| view.node_at(&addr));
    match view.with_id_prefix(name)[..] {
        [node] => Ok(node),
        [] => at_address().ok_or_else(|| {
            Error::failed(format!("[ERR] No such node ID {name}"))
                .hint(format!("'trib status {}' lists the nodes with their ids", view.seed().addr))
        }),
        [..] => Err(Error::failed(format!("[ERR] No such node ID {name}"))
            .hint("it is the beginning of more than one ID: type more of it")),
    }
}

/// Keys of a primary without slots belong to slots of others: nobody can reach them, and a reset would be refused.
async fn refuse_keys(ctx: &Context<'_>, node: &Node) -> Result<(), Error> {
    let may_hold_keys = node.is_primary() && node.is_reachable();
    if may_hold_keys && vitals::ask(&ctx.pool.client(&node.addr).await?).await?.keys > 0 {
        return Err(Error::failed(not_empty_text(node))
            .hint("it owns no slots but holds keys, which nobody can reach: FLUSHALL it, or import the keys first"));
    }
    Ok(())
}

fn not_empty_text(node: &Node) -> String {
    format!("[ERR] Node {} is not empty! Reshard data away and try again.", node.addr)
}

fn not_empty(seed: &Node, node: &Node) -> Error {
    let slots = table::count(node.slots.len(), "slot");
    Error::failed(not_empty_text(node)).hint(match node.is_reachable() {
        true => format!("it owns {slots}: move them away first with 'trib del-node --drain {} {}'", seed.addr, node.id),
        false => format!(
            "it is not reachable and owns {slots}: fail over to a replica of it with 'trib failover --shard {} \
             --forced {}', or give the slots to others with 'trib fix --fix-with-unreachable-masters {}'",
            node.id, seed.addr, seed.addr
        ),
    })
}
