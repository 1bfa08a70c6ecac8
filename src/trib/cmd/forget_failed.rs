//! `trib forget-failed`: takes all dead nodes that cannot be missed out of the cluster.

use super::Context;
use crate::base::NodeId;
use crate::trib::addr::Addr;
use crate::trib::agreement;
use crate::trib::cli::{PlanArgs, SeedArgs, WaitArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::forget;
use crate::trib::plan::failed::{self, Verdict};
use crate::trib::planned;
use crate::trib::rehome;
use crate::trib::view::{ClusterView, Node};

/// Remove all nodes that have failed and own no slots
///
/// A node goes when it does not answer and most of the primaries hold it to have failed. One that owns slots is only
/// named, with the command that mends it; the run then ends with 3.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    let view = ctx.hold(ClusterView::load(&ctx.pool, &seed).await?, args.plan.dry_run).await?;
    let verdicts = failed::judge(&view).map_err(|why| {
        Error { kind: Kind::Unhealthy, ..Error::failed(format!("[ERR] {why}; nothing is forgotten.")) }
            .hint("ask a node on the other side, or bring the primaries back first")
    })?;
    let mut gone = Vec::new();
    let mut is_mended = true;
    for (node, verdict) in verdicts.iter().filter_map(|(id, verdict)| Some((view.node(id)?, verdict))) {
        match verdict {
            Verdict::Forget => gone.push(node),
            _ => is_mended = false,
        }
        if let Some(text) = complaint(&view, &seed, node, *verdict) {
            ui.warning(text);
        }
    }
    let end = || if is_mended { Ok(()) } else { Err(Error::reported(Kind::Unhealthy)) };
    if gone.is_empty() {
        ui.ok("[OK] There is no failed node that could be forgotten.");
        ctx.nothing(args.plan.dry_run, &view);
        return end();
    }
    let ids: Vec<NodeId> = gone.iter().map(|node| node.id).collect();
    let homes = rehome::plan(&view, &ids)?;
    let steps = rehome::steps(&homes).chain(forget::steps(&gone)).collect();
    // A dry run ends here, with the steps as a table.
    ctx.pass_with(args.plan.dry_run, Vec::new(), planned::digest(&view), steps)?;
    for node in &gone {
        ui.line(format!("{} {} ({}) is to be forgotten", node.id, node.addr, node.flags_text));
    }
    if !ui.confirm("Forget these nodes? (type 'yes' to accept): ")? {
        return Err(Error { kind: Kind::Declined, ..Error::failed("*** Aborting...") });
    }
    ctx.agreed()?;
    rehome::apply(ctx, &homes).await?;
    ui.heading(">>> Sending CLUSTER FORGET messages to the cluster...");
    forget::forget(ctx, &view, &gone).await?;
    agreement::reach(ui, &ctx.pool, &seed, args.wait, |_| None).await?;
    ui.ok(format!("[OK] {} node(s) forgotten.", gone.len()));
    end()
}

/// Why a node stays, and what to do about it.
fn complaint(view: &ClusterView, seed: &Addr, node: &Node, verdict: Verdict) -> Option<String> {
    let name = format!("[WARNING] Node {} ({})", node.addr, node.id);
    Some(match verdict {
        Verdict::Forget => return None,
        Verdict::OwnsSlots { replica } => {
            let slots = node.slots.len();
            let mend = match replica.and_then(|id| view.node(&id)) {
                Some(replica) => format!("trib failover --forced --to {} {seed}", replica.id),
                None => {
                    format!("start it again, or give its slots away: trib fix --fix-with-unreachable-masters {seed}")
                }
            };
            format!("{name} has failed and owns {slots} slots: {mend}")
        }
        Verdict::Doubtful => {
            format!("{name} does not answer here, but too few primaries hold it to have failed: look again later")
        }
        Verdict::Answers => format!(
            "{name} answers, though others hold it to have failed: look at its cluster bus port {}",
            node.announced.bus_port_or_usual()
        ),
    })
}
