//! `trib rebalance`: to every primary the slots that its weight asks for.

use super::Context;
use crate::base::NodeId;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs, SeedArgs};
use crate::trib::client::{command, info_field, text_of};
use crate::trib::error::{Error, Kind};
use crate::trib::harmony;
use crate::trib::mover::Settings;
use crate::trib::mover::apply::apply;
use crate::trib::mover::progress::Style;
use crate::trib::plan::Primary;
use crate::trib::plan::rebalance::{self, Rebalance, Weighted};
use crate::trib::plan::weights::{self, WeightError};
use crate::trib::planned;
use crate::trib::report;
use crate::trib::ui::Ui;
use crate::trib::view::{ClusterView, Node};

/// Move slots so that every primary owns its share of them
///
/// A share is in proportion to a node's weight, 1 unless given. A weight of 0 drains the node. Primaries
/// without slots take part only with --use-empty-masters. Nothing is moved while every node is within the
/// threshold.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Weight of a node, named by the beginning of its ID; may be given for several nodes
    #[arg(long, value_name = "NODE_ID=WEIGHT")]
    weight: Vec<String>,
    /// Weigh every node that is not named by the memory it may use (maxmemory)
    #[arg(long)]
    auto_weights: bool,
    /// How far from its share a node may be, in percent of the slots it owns
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = parse_threshold)]
    threshold: f64,
    /// Give slots to primaries that own none
    #[arg(long, visible_alias = "use-empty-primaries")]
    use_empty_masters: bool,
    /// Show what would be moved, and move nothing
    #[arg(long)]
    simulate: bool,
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

fn parse_threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("not a percentage".to_owned()),
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let view = harmony::load(&ctx.pool, &args.seed.addr()?).await?;
    let view = ctx.hold(view, args.plan.dry_run || args.simulate).await?;
    let weights = weigh(ctx, &view, args).await?;
    ui.heading(format!(">>> Performing Cluster Check (using node {})", view.seed().addr));
    if !report::configuration_check(ui, &view, None).is_consistent() {
        ui.line("*** Please fix your cluster problems before rebalancing");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib fix {}", view.seed().addr)));
    }
    let mut nodes: Vec<Weighted> =
        view.primaries().zip(weights).map(|(node, weight)| Weighted { primary: Primary::from(node), weight }).collect();
    if !args.use_empty_masters {
        for node in nodes.iter_mut().filter(|node| node.primary.slots.is_empty()) {
            node.weight = 0.0;
        }
    }
    let plan = rebalance::plan(&nodes, args.threshold).map_err(|why| Error::failed(format!("*** {why}.")))?;
    show(ui, &view, &nodes, &plan, args.threshold);
    if plan.transfers.is_empty() {
        return Ok(());
    }
    if args.simulate {
        for transfer in &plan.transfers {
            let (from, to) = (addr(&view, &transfer.from), addr(&view, &transfer.to));
            ui.line(format!("Moving {} slots from {from} to {to}", transfer.slots.len()));
            ui.line("#".repeat(transfer.slots.len()));
        }
        return Ok(());
    }
    ctx.pass(args.plan.dry_run, planned::digest(&view), planned::transfers(&view, &plan.transfers))?;
    let settings = Settings { engine: args.engine.engine(), record: ctx.journal(), ..(&args.moving).into() };
    apply(ui, &ctx.pool, &view, plan.transfers, settings, Style::Hashes).await
}

/// The weights of the reachable primaries, in view order.
async fn weigh(ctx: &Context<'_>, view: &ClusterView, args: &Args) -> Result<Vec<f64>, Error> {
    let primaries: Vec<&Node> = view.primaries().collect();
    let ids: Vec<NodeId> = primaries.iter().map(|node| node.id).collect();
    let found = if args.auto_weights {
        let mut limits = Vec::with_capacity(ids.len());
        for reply in ctx.pool.call_all(primaries.iter().map(|node| &node.addr), &command("INFO memory")).await {
            let info = text_of(&reply?).unwrap_or_default();
            limits.push(info_field(&info, "maxmemory").and_then(|bytes| bytes.parse().ok()).unwrap_or(0));
        }
        weights::by_memory(&ids, &args.weight, &limits)
    } else {
        weights::said(&ids, &args.weight)
    };
    found.map_err(|why| match why {
        WeightError::Malformed(text) => Error::failed(format!("*** invalid input {text}"))
            .hint("a weight is the beginning of a node's ID, '=', and a number that is not negative"),
        other => Error::failed(format!("*** {other}")),
    })
}

fn show(ui: &Ui, view: &ClusterView, nodes: &[Weighted], plan: &Rebalance, threshold: f64) {
    if plan.transfers.is_empty() {
        ui.warning(format!("*** No rebalancing needed! All nodes are within the {threshold:.2}% threshold."));
        return;
    }
    let involved = nodes.iter().filter(|node| node.weight > 0.0).count();
    let total: f64 = nodes.iter().map(|node| node.weight).sum();
    ui.heading(format!(">>> Rebalancing across {involved} nodes. Total weight = {total:.2}"));
    if ui.is_verbose() {
        for balance in &plan.balances {
            ui.line(format!("{} balance is {} slots", addr(view, &balance.id), balance.surplus()));
        }
    }
}

fn addr(view: &ClusterView, id: &NodeId) -> String {
    view.node(id).map_or_else(|| id.to_string(), |node| node.addr.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::Wording;
    use crate::trib::ui::tests::captured;
    use crate::trib::view::tests::small;

    fn shown(weights: [f64; 2], threshold: f64) -> String {
        let view = small();
        let nodes: Vec<Weighted> = view
            .primaries()
            .zip(weights)
            .map(|(node, weight)| Weighted { primary: Primary::from(node), weight })
            .collect();
        let (ui, out, _) = captured(Wording::RedisCli, "");
        show(&ui, &view, &nodes, &rebalance::plan(&nodes, threshold).unwrap(), threshold);
        out.text()
    }

    #[test]
    fn the_reference_words() {
        assert_eq!(shown([1.0, 1.0], 2.0), "*** No rebalancing needed! All nodes are within the 2.00% threshold.\n");
        assert_eq!(shown([1.0, 1.5], 2.0), ">>> Rebalancing across 2 nodes. Total weight = 2.50\n");
        assert_eq!(shown([0.0, 1.5], 2.0), ">>> Rebalancing across 1 nodes. Total weight = 1.50\n");
    }

    #[test]
    fn a_threshold_is_a_percentage() {
        assert_eq!(parse_threshold("0"), Ok(0.0));
        assert_eq!(parse_threshold("2.5"), Ok(2.5));
        for bad in ["-1", "nan", "inf", "x", ""] {
            assert!(parse_threshold(bad).is_err(), "{bad}");
        }
    }
}
