//! `trib drain`: all slots of some primaries to the others.

use super::Context;
use crate::base::NodeId;
use crate::trib::addr::Addr;
use crate::trib::agreement;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs, WaitArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::harmony;
use crate::trib::mover::Settings;
use crate::trib::mover::apply::apply;
use crate::trib::mover::progress::Style;
use crate::trib::pick;
use crate::trib::plan::rebalance::Weighted;
use crate::trib::plan::{Primary, Transfer, drain, weights};
use crate::trib::planned;
use crate::trib::rehome;
use crate::trib::report;
use crate::trib::table::count;
use crate::trib::view::{ClusterView, Node};

/// Move all slots of some primaries to the others
///
/// The others are filled up evenly, in proportion to their weights; only slots of the drained nodes move. The nodes
/// stay in the cluster: 'trib del-node --drain' also removes them. A server with cluster-allow-replica-migration makes
/// itself a replica of the one that got its last slot.
#[derive(clap::Args)]
pub struct Args {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    seed: Addr,
    /// The primaries to empty: beginnings of their IDs, or addresses
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
    /// What becomes of the replicas of a drained node
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

/// Who takes how much.
#[derive(clap::Args, Clone, Debug)]
pub struct ShareArgs {
    /// Weight of a node that receives slots, named by the beginning of its ID or by its address; may be given for
    /// several nodes
    #[arg(long, value_name = "NODE_ID=WEIGHT")]
    weight: Vec<String>,
    /// Also give slots to primaries that own none
    #[arg(long, visible_alias = "use-empty-primaries")]
    use_empty_masters: bool,
}

/// What becomes of the replicas of a drained node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Replicas {
    /// What the servers make of it: they stay with the node, or follow it to its new primary
    #[default]
    Leave,
    /// They are given to the primaries with the fewest
    Spread,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let view = load(ctx, &args.seed, args.plan.dry_run).await?;
    let mut leaving: Vec<NodeId> = Vec::new();
    for name in &args.nodes {
        let node = pick::primary(&view, name).map_err(|bad| bad.refusal(&view, ui.vocabulary()))?;
        if !leaving.contains(&node.id) {
            leaving.push(node.id);
        }
    }
    let transfers = plan(&view, &leaving, &args.share)?;
    let homes = match args.replicas {
        Replicas::Leave => Vec::new(),
        Replicas::Spread => rehome::plan(&view, &leaving)?,
    };
    let mut steps = planned::transfers(&view, &transfers);
    steps.extend(rehome::steps(&homes));
    if steps.is_empty() {
        ui.ok("[OK] There is nothing to move: these nodes own no slots.");
        ctx.nothing(args.plan.dry_run, &view);
        return Ok(());
    }
    ctx.pass(args.plan.dry_run, planned::digest(&view), steps)?;
    let settings = ctx.moving(&args.moving, args.engine);
    empty(ctx, &view, transfers, settings).await?;
    rehome::apply(ctx, &homes).await?;
    let emptied = agreement::reach(ui, &ctx.pool, &args.seed, args.wait, |found| {
        let full = leaving.iter().filter_map(|id| found.view.node(id)).find(|node| !node.slots.is_empty());
        full.map(|node| format!("{} still owns slots", node.addr))
    });
    emptied.await?;
    for id in &leaving {
        ui.ok(format!("[OK] Node {} owns no slots any more.", addr_of(&view, id)));
    }
    Ok(())
}

/// Looks at the cluster and takes its lock; slots are moved only where nodes agree about them.
pub async fn load(ctx: &Context<'_>, seed: &Addr, dry_run: bool) -> Result<ClusterView, Error> {
    let view = ctx.hold(harmony::load(&ctx.pool, seed).await?, dry_run).await?;
    ctx.ui.heading(format!(">>> Performing Cluster Check (using node {})", view.seed().addr));
    if !report::configuration_check(ctx.ui, &view, None).is_consistent() {
        ctx.ui.line("*** Please fix your cluster problems before draining a node");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib fix {}", view.seed().addr)));
    }
    Ok(view)
}

/// Where the slots of these nodes go.
pub fn plan(view: &ClusterView, leaving: &[NodeId], share: &ShareArgs) -> Result<Vec<Transfer>, Error> {
    let primaries: Vec<&Node> = view.primaries().collect();
    let ids: Vec<NodeId> = primaries.iter().map(|node| node.id).collect();
    let said = pick::weights_by_id(view, &share.weight);
    let weights = weights::said(&ids, &said).map_err(|why| Error::failed(format!("*** {why}")))?;
    let takes = |node: &Node| share.use_empty_masters || !node.slots.is_empty();
    let nodes: Vec<Weighted> = primaries
        .iter()
        .zip(weights)
        .map(|(node, weight)| Weighted {
            primary: Primary::from(*node),
            weight: if takes(node) { weight } else { 0.0 },
        })
        .collect();
    drain::plan(&nodes, leaving).map_err(|why| {
        Error::failed(format!("*** {why}."))
            .hint("primaries without slots take some only with --use-empty-masters, those of weight 0 none")
    })
}

/// Moves the slots.
pub async fn empty(
    ctx: &Context<'_>,
    view: &ClusterView,
    transfers: Vec<Transfer>,
    settings: Settings,
) -> Result<(), Error> {
    if transfers.is_empty() {
        return Ok(());
    }
    let slots: usize = transfers.iter().map(|transfer| transfer.slots.len()).sum();
    let mut names: Vec<String> = transfers.iter().map(|transfer| addr_of(view, &transfer.from)).collect();
    names.dedup();
    ctx.ui.heading(format!(">>> Draining {}: {}", names.join(", "), count(slots, "slot")));
    apply(ctx.ui, &ctx.pool, view, transfers, settings, Style::Hashes, false).await
}

fn addr_of(view: &ClusterView, id: &NodeId) -> String {
    view.node(id).map_or_else(|| id.to_string(), |node| node.addr.to_string())
}
