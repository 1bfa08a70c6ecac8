//! `trib rebalance`: to every primary the slots that its weight asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Context;
use crate::base::NodeId;
use crate::trib::agreement;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs, SeedArgs, WaitArgs, parse_time};
use crate::trib::client::{command, info_field, text_of};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::harmony;
use crate::trib::loads::{self, By};
use crate::trib::mover::apply::apply;
use crate::trib::mover::progress::Style;
use crate::trib::pick;
use crate::trib::plan::balance::{self, Balanced, Laden};
use crate::trib::plan::rebalance::{self, Rebalance, Weighted};
use crate::trib::plan::weights::{self, WeightError};
use crate::trib::plan::{Primary, Transfer};
use crate::trib::planned;
use crate::trib::report;
use crate::trib::ui::Ui;
use crate::trib::view::{ClusterView, Node};
use crate::trib::zones::ZoneArgs;

/// Move slots so that every primary owns its share of them, or of what they cost
///
/// A share is in proportion to a node's weight, 1 unless given. A weight of 0 drains the node. Primaries
/// without slots take part only with --use-empty-masters. Nothing is moved while every node is within the
/// threshold. With --by a share is one of keys, memory or time; as little of it is moved as can be, in runs of slots.
/// Time is what the slots cost while it is measured (--sample), whatever they did before.
/// Where the nodes' zones are known, slots go to nodes of the same zone first, with --same-zone to no others.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Weight of a node, named by the beginning of its ID or by its address; may be given for several nodes
    #[arg(long, value_name = "NODE_ID=WEIGHT")]
    weight: Vec<String>,
    /// Weigh every node that is not named by the memory it may use (maxmemory, else all that its machine has)
    #[arg(long)]
    auto_weights: bool,
    /// What to share out
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// With --by ops, how long is measured what the slots cost: seconds, or with a unit (500ms, 1m) [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = parse_sample)]
    sample: Option<Duration>,
    #[command(flatten)]
    zones: ZoneArgs,
    /// Move no slot to a node of another zone: each zone is balanced for itself
    #[arg(long)]
    same_zone: bool,
    /// How far from its share a node may be, in percent of what it has
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
    #[command(flatten)]
    wait: WaitArgs,
}

fn parse_threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent),
        _ => Err("not a percentage".to_owned()),
    }
}

/// How long time is measured unless the operator says it.
const SAMPLE: Duration = Duration::from_secs(2);
/// Less than that shows chance, and more holds the lock for long.
const SAMPLE_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

fn parse_sample(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if SAMPLE_RANGE.contains(&time) => Ok(time),
        _ => Err("it is between 100ms and 1h".to_owned()),
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    if args.sample.is_some() && args.by != By::Ops {
        return Err(Error::usage("[ERR] --sample is for --by ops."));
    }
    let view = harmony::load(&ctx.pool, &args.seed.addr()?).await?;
    let view = ctx.hold(view, args.plan.dry_run || args.simulate).await?;
    let weights = weigh(ctx, &view, args).await?;
    ui.heading(format!(">>> Performing Cluster Check (using node {})", view.seed().addr));
    if !report::configuration_check(ui, &view, None).is_consistent() {
        ui.line("*** Please fix your cluster problems before rebalancing");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib fix {}", view.seed().addr)));
    }
    let zones = zones(ctx, &view, args).await?;
    let involved = |node: &Node, weight| if node.slots.is_empty() && !args.use_empty_masters { 0.0 } else { weight };
    let weights: Vec<f64> = view.primaries().zip(weights).map(|(node, weight)| involved(node, weight)).collect();
    let nowhere = view.primaries().zip(&zones).find(|(_, zone)| args.same_zone && zone.is_empty());
    if let Some((node, _)) = nowhere {
        return Err(Error::failed(format!("[ERR] Nobody knows the zone of {}.", node.addr))
            .hint("name it with --zone ADDRESS=ZONE, or set availability-zone in its configuration"));
    }
    let has_zones = zones.iter().collect::<BTreeSet<_>>().len() > 1;
    let transfers = match (args.by, &ctx.agreed) {
        // What was measured when the plan was made cannot be measured again.
        (By::Ops, Some(agreed)) => planned::moves(&view, &agreed.steps)?,
        (By::Slots, _) if !has_zones => by_slots(ui, &view, &weights, args.threshold)?,
        _ => by_load(ctx, &view, &weights, zones, args).await?,
    };
    if transfers.is_empty() {
        ctx.nothing(args.plan.dry_run, &view);
        return Ok(());
    }
    if args.simulate {
        for transfer in &transfers {
            let (from, to) = (addr(&view, &transfer.from), addr(&view, &transfer.to));
            ui.line(format!("Moving {} slots from {from} to {to}", transfer.slots.len()));
            ui.line("#".repeat(transfer.slots.len()));
        }
        return Ok(());
    }
    ctx.pass(args.plan.dry_run, planned::digest(&view), planned::transfers(&view, &transfers))?;
    let settings = ctx.moving(&args.moving, args.engine);
    apply(ui, &ctx.pool, &view, transfers, settings, Style::Hashes, args.wait.no_wait).await?;
    agreement::after_moves(ui, &ctx.pool, &view.seed().addr, args.wait).await
}

fn by_slots(ui: &Ui, view: &ClusterView, weights: &[f64], threshold: f64) -> Result<Vec<Transfer>, Error> {
    let weighted = |(node, &weight): (&Node, &f64)| Weighted { primary: Primary::from(node), weight };
    let nodes: Vec<Weighted> = view.primaries().zip(weights).map(weighted).collect();
    let plan = rebalance::plan(&nodes, threshold).map_err(|why| Error::failed(format!("*** {why}.")))?;
    show(ui, view, &nodes, &plan, threshold);
    Ok(plan.transfers)
}

async fn by_load(
    ctx: &Context<'_>,
    view: &ClusterView,
    weights: &[f64],
    zones: Vec<String>,
    args: &Args,
) -> Result<Vec<Transfer>, Error> {
    let ui = ctx.ui;
    let primaries: Vec<&Node> = view.primaries().collect();
    let sample = args.sample.unwrap_or(SAMPLE);
    let mut by = args.by;
    if by == By::Ops {
        ui.note(format!("Measuring for {} s what the slots cost...", sample.as_secs_f64()));
    }
    let mut loads = loads::load(&ctx.pool, &primaries, by, sample).await?;
    if loads.iter().flatten().all(|(_, load)| *load == 0) {
        if by == By::Ops {
            let why = format!("[ERR] No slot was used within {} s: there is nothing to weigh.", sample.as_secs_f64());
            return Err(
                Error::failed(why).hint("measure for longer with --sample, or share out something else: --by slots")
            );
        }
        ui.note(format!("There are no {} to share out: sharing out slots.", by.unit(sample)));
        by = By::Slots;
        loads = loads::load(&ctx.pool, &primaries, by, sample).await?;
    }
    let laden =
        |(((node, slots), &weight), zone): (((&&Node, _), &f64), String)| Laden { id: node.id, zone, weight, slots };
    let nodes: Vec<Laden> = primaries.iter().zip(loads).zip(weights).zip(zones).map(laden).collect();
    let planned = match args.same_zone {
        true => balance::plan_each_zone(&nodes, args.threshold),
        false => balance::plan(&nodes, args.threshold),
    };
    let plan = planned.map_err(|why| Error::failed(format!("*** {why}.")))?;
    show_loads(ui, view, &nodes, &plan, &by.unit(sample), args.threshold);
    Ok(plan.transfers)
}

/// The zones of the reachable primaries, in view order; empty where nobody knows.
async fn zones(ctx: &Context<'_>, view: &ClusterView, args: &Args) -> Result<Vec<String>, Error> {
    args.zones.check(view.nodes.iter().map(|node| &node.addr))?;
    let infos = ctx.pool.call_all(view.primaries().map(|node| &node.addr), &command("INFO server")).await;
    let mut zones = Vec::with_capacity(infos.len());
    for (node, info) in view.primaries().zip(infos) {
        let info = match info {
            Ok(reply) => text_of(&reply).unwrap_or_default(),
            // Not everybody may ask.
            Err(Failure::Reply { .. }) => String::new(),
            Err(failure) => return Err(failure.into()),
        };
        zones.push(args.zones.of(&node.addr, info_field(&info, "availability_zone").unwrap_or_default()));
    }
    Ok(zones)
}

/// The weights of the reachable primaries, in view order.
async fn weigh(ctx: &Context<'_>, view: &ClusterView, args: &Args) -> Result<Vec<f64>, Error> {
    let primaries: Vec<&Node> = view.primaries().collect();
    let ids: Vec<NodeId> = primaries.iter().map(|node| node.id).collect();
    let said = pick::weights_by_id(view, &args.weight);
    let found = if args.auto_weights {
        let mut limits = Vec::with_capacity(ids.len());
        for reply in ctx.pool.call_all(primaries.iter().map(|node| &node.addr), &command("INFO memory")).await {
            let info = text_of(&reply?).unwrap_or_default();
            let bytes = |name| info_field(&info, name).and_then(|bytes| bytes.parse().ok()).filter(|bytes| *bytes > 0);
            limits.push(bytes("maxmemory").or_else(|| bytes("total_system_memory")).unwrap_or(0));
        }
        weights::by_memory(&ids, &said, &limits)
    } else {
        weights::said(&ids, &said)
    };
    found.map_err(|why| match why {
        WeightError::Malformed(text) => Error::failed(format!("*** invalid input {text}"))
            .hint("a weight is the beginning of a node's ID, '=', and a number that is not negative"),
        WeightError::Unknown(name) => {
            Error::failed(format!("*** No such {} node {name}", ctx.ui.vocabulary().master()))
        }
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

/// Who has how much, and what is done about it.
fn show_loads(ui: &Ui, view: &ClusterView, nodes: &[Laden], plan: &Balanced, unit: &str, threshold: f64) {
    let is_off = plan.standings.iter().any(|standing| standing.is_off(threshold));
    if plan.transfers.is_empty() && !is_off {
        ui.warning(format!("*** No rebalancing needed! All nodes are within the {threshold:.2}% threshold."));
        return;
    }
    let involved = nodes.iter().filter(|node| node.weight > 0.0).count();
    let total: f64 = nodes.iter().map(|node| node.weight).sum();
    ui.heading(format!(">>> Rebalancing across {involved} nodes. Total weight = {total:.2}"));
    for standing in &plan.standings {
        ui.line(format!(
            "{} has {} {unit}, its share is {:.0}, it will have {}",
            addr(view, &standing.id),
            standing.load,
            standing.share,
            standing.after
        ));
    }
    if plan.transfers.is_empty() {
        ui.warning("*** No slot can be moved for the better: a slot cannot be divided.");
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
    fn what_is_shared_out_is_shown_with_its_shares() {
        let view = small();
        let laden = |(node, load): (&Node, u64)| Laden {
            id: node.id,
            zone: String::new(),
            weight: 1.0,
            slots: node.slots.iter().take(3).map(|slot| (slot, load)).collect(),
        };
        let shown = |loads: [u64; 2]| {
            let nodes: Vec<Laden> = view.primaries().zip(loads).map(laden).collect();
            let (ui, out, _) = captured(Wording::Trib, "");
            show_loads(&ui, &view, &nodes, &balance::plan(&nodes, 2.0).unwrap(), "keys", 2.0);
            out.text()
        };
        insta::assert_snapshot!(shown([30, 10]), @r"
        >>> Rebalancing across 2 nodes. Total weight = 2.00
        127.0.0.1:7000 has 90 keys, its share is 60, it will have 60
        10.0.0.2:7000 has 30 keys, its share is 60, it will have 60
        ");
        assert_eq!(shown([10, 10]), "*** No rebalancing needed! All nodes are within the 2.00% threshold.\n");
    }

    #[test]
    fn a_sample_is_neither_too_short_nor_endless() {
        assert_eq!(parse_sample("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_sample("10"), Ok(Duration::from_secs(10)));
        for bad in ["0", "50ms", "2h", "x", ""] {
            assert!(parse_sample(bad).is_err(), "{bad}");
        }
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
