//! `trib reshard`: a number of slots from some primaries to one.

use super::Context;
use crate::base::SLOTS;
use crate::trib::agreement;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs, SeedArgs, WaitArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::harmony;
use crate::trib::mover::Engine;
use crate::trib::mover::apply::apply;
use crate::trib::mover::progress::Style;
use crate::trib::pick;
use crate::trib::plan::reshard::{self, ReshardError};
use crate::trib::plan::{self, Primary, Transfer};
use crate::trib::planned;
use crate::trib::report;
use crate::trib::slots::SlotSet;
use crate::trib::ui::{Ui, Wording};
use crate::trib::view::{ClusterView, Node};
use crate::trib::vocabulary::Vocabulary;

/// Move slots, with their keys, from some primaries to another one
///
/// Asks for what is not given. Nodes are named by the beginning of their ID or by address. Returns when all
/// nodes know the new owners.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// The primaries that give slots, separated by commas, or 'all'
    #[arg(long, value_name = "NODE,...|all")]
    from: Option<String>,
    /// The primary that receives them
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// How many slots to move
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=SLOTS as i64))]
    slots: Option<u16>,
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let view = harmony::load(&ctx.pool, &args.seed.addr()?).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    if !report::cluster_check(ui, &view, None).is_consistent() {
        ui.note("*** Please fix your cluster problems before resharding");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib fix {}", view.seed().addr)));
    }
    let wanted = match args.slots {
        Some(count) => usize::from(count),
        None => ask_count(ui)?,
    };
    let target = match &args.to {
        Some(name) => pick::primary(&view, name).map_err(|bad| bad.refusal(&view, ui.vocabulary()))?,
        None => ask_target(ui, &view)?,
    };
    let sources = match &args.from {
        Some(names) => read_sources(ui.vocabulary(), &view, target, names)?,
        None => ask_sources(ui, &view, target)?,
    };
    let transfers = plan(ui, &sources, target, wanted)?;
    show(ui, &view, &sources, target, &transfers);
    if !args.plan.dry_run {
        show_plan(ui, &transfers);
    }
    let answers = answers(args, wanted, target, &sources);
    ctx.pass_with(args.plan.dry_run, answers, planned::digest(&view), planned::transfers(&view, &transfers))?;
    if !ui.confirm("Do you want to proceed with the proposed reshard plan (yes/no)? ")? {
        return Err(match ui.wording() {
            Wording::Trib => Error { kind: Kind::Declined, ..Error::failed("*** Aborting...") },
            Wording::RedisCli => Error::reported(Kind::Declined),
        });
    }
    ctx.agreed()?;
    let settings = ctx.moving(&args.moving, args.engine);
    let style = match (settings.engine, ui.vocabulary()) {
        (Engine::Atomic, Vocabulary::Valkey) => Style::Ranges,
        _ => Style::Slots,
    };
    apply(ui, &ctx.pool, &view, transfers, settings, style, args.wait.no_wait).await?;
    agreement::after_moves(ui, &ctx.pool, &view.seed().addr, args.wait).await
}

/// What the dialog was told, as options.
fn answers(args: &Args, wanted: usize, target: &Node, sources: &[&Node]) -> Vec<String> {
    let mut answers = Vec::new();
    let mut answer = |name: &str, value: String| answers.extend([name.to_owned(), value]);
    if args.slots.is_none() {
        answer("--slots", wanted.to_string());
    }
    if args.to.is_none() {
        answer("--to", target.id.to_string());
    }
    if args.from.is_none() {
        answer("--from", sources.iter().map(|node| node.id.to_string()).collect::<Vec<_>>().join(","));
    }
    answers
}

fn ask_count(ui: &Ui) -> Result<usize, Error> {
    loop {
        let answer = ui.ask(&format!("How many slots do you want to move (from 1 to {SLOTS})? "))?;
        match answer.trim().parse() {
            Ok(count) if (1..=SLOTS).contains(&count) => return Ok(count),
            // redis-cli just asks again.
            _ if ui.wording() == Wording::RedisCli => {}
            _ => ui.error(format!("*** '{}' is not a number from 1 to {SLOTS}, please retry.", answer.trim())),
        }
    }
}

fn ask_target<'v>(ui: &Ui, view: &'v ClusterView) -> Result<&'v Node, Error> {
    if ui.has_terminal() {
        let nodes: Vec<&Node> = view.primaries().collect();
        return Ok(nodes[ui.choose("What is the receiving node ID? ", &list(&nodes))?]);
    }
    loop {
        match pick::primary(view, ui.ask("What is the receiving node ID? ")?.trim()) {
            Ok(node) => return Ok(node),
            Err(bad) => ui.error(bad.text(ui.vocabulary())),
        }
    }
}

/// Nodes as they stand in a list to choose from; the ID is there to be searched.
fn list(nodes: &[&Node]) -> Vec<String> {
    nodes.iter().map(|node| format!("{}  {}  {} slots", node.id, node.addr, node.slots.len())).collect()
}

fn ask_sources<'v>(ui: &Ui, view: &'v ClusterView, target: &Node) -> Result<Vec<&'v Node>, Error> {
    ui.line("Please enter all the source node IDs.");
    ui.line("  Type 'all' to use all the nodes as source nodes for the hash slots.");
    ui.line("  Type 'done' once you entered all the source nodes IDs.");
    let mut sources: Vec<&Node> = Vec::new();
    loop {
        let prompt = format!("Source node #{}: ", sources.len() + 1);
        let answer = match ui.has_terminal() {
            true => choose_source(ui, view, target, &sources, &prompt)?,
            false => ui.ask(&prompt)?,
        };
        match answer.trim() {
            "all" => return Ok(all_but(view, target)),
            "done" if sources.is_empty() => return Err(no_sources()),
            "done" => return Ok(sources),
            name => match pick::primary(view, name) {
                Ok(node) if node.id == target.id => ui.error(TARGET_IS_SOURCE),
                Ok(node) if sources.iter().any(|known| known.id == node.id) => {
                    ui.note(format!("{} is a source node already", node.addr));
                }
                Ok(node) => sources.push(node),
                Err(bad) => ui.error(bad.text(ui.vocabulary())),
            },
        }
    }
}

/// The same from a list, as the answer that could have been typed.
fn choose_source(ui: &Ui, view: &ClusterView, target: &Node, sources: &[&Node], prompt: &str) -> Result<String, Error> {
    let is_left = |node: &&Node| !node.slots.is_empty() && !sources.iter().any(|known| known.id == node.id);
    let nodes: Vec<&Node> = all_but(view, target).into_iter().filter(is_left).collect();
    let mut items = list(&nodes);
    items.extend(["all".to_owned(), "done".to_owned()]);
    let chosen = ui.choose(prompt, &items)?;
    Ok(nodes.get(chosen).map_or_else(|| items[chosen].clone(), |node| node.id.to_string()))
}

fn read_sources<'v>(
    vocabulary: Vocabulary,
    view: &'v ClusterView,
    target: &Node,
    names: &str,
) -> Result<Vec<&'v Node>, Error> {
    if names == "all" {
        return Ok(all_but(view, target));
    }
    let mut sources: Vec<&Node> = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let node = pick::primary(view, name).map_err(|bad| bad.refusal(view, vocabulary))?;
        if node.id == target.id {
            return Err(Error::failed(TARGET_IS_SOURCE));
        }
        if !sources.iter().any(|known| known.id == node.id) {
            sources.push(node);
        }
    }
    if sources.is_empty() { Err(no_sources()) } else { Ok(sources) }
}

const TARGET_IS_SOURCE: &str = "*** It is not possible to use the target node as source node.";

fn no_sources() -> Error {
    Error::usage("*** No source nodes given, operation aborted.")
}

fn all_but<'v>(view: &'v ClusterView, target: &Node) -> Vec<&'v Node> {
    view.primaries().filter(|node| node.id != target.id).collect()
}

/// The transfers. Sources that own fewer slots than asked for give all they have, and that is said.
fn plan(ui: &Ui, sources: &[&Node], target: &Node, wanted: usize) -> Result<Vec<Transfer>, Error> {
    let primaries: Vec<Primary> = sources.iter().map(|&node| Primary::from(node)).collect();
    let primaries: Vec<&Primary> = primaries.iter().collect();
    let planned = match reshard::plan(&primaries, target.id, wanted) {
        Err(ReshardError::TooFewSlots { available, .. }) if available > 0 => {
            ui.note(format!("The source nodes own only {available} slots: all of them will be moved."));
            reshard::plan(&primaries, target.id, available)
        }
        planned => planned,
    };
    planned.map_err(|why| Error::failed(format!("*** Nothing can be moved: {why}.")))
}

fn show(ui: &Ui, view: &ClusterView, sources: &[&Node], target: &Node, transfers: &[Transfer]) {
    let total: usize = transfers.iter().map(|transfer| transfer.slots.len()).sum();
    ui.line(format!("\nReady to move {total} slots."));
    ui.line("  Source nodes:");
    for node in sources {
        report::node_indented(ui, view, node, "    ");
    }
    ui.line("  Destination node:");
    report::node_indented(ui, view, target, "    ");
}

/// The moves for those who are asked or watch; a dry run shows them as the steps of its plan.
fn show_plan(ui: &Ui, transfers: &[Transfer]) {
    ui.line("  Resharding plan:");
    if ui.vocabulary() == Vocabulary::Valkey {
        for transfer in transfers {
            let slots = Vocabulary::ranges(&transfer.slots.iter().copied().collect());
            ui.line(format!("    Moving slot range {slots} from {}", transfer.from));
        }
        return;
    }
    if ui.shows_each() {
        for step in transfers.iter().flat_map(plan::moves) {
            ui.line(format!("    Moving slot {} from {}", step.slot, step.from));
        }
        return;
    }
    for transfer in transfers {
        let slots: SlotSet = transfer.slots.iter().copied().collect();
        ui.line(format!("    Moving slots {slots} from {}", transfer.from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::tests::{captured, valkeys};
    use crate::trib::view::tests::{id, small};

    #[test]
    fn the_dialog_asks_again_until_it_understands() {
        let view = small();
        let (ui, out, err) = captured(Wording::RedisCli, "0\nmany\n16385\n5\nx\nc\na\na\nb\nb\ndone\n");
        assert_eq!(ask_count(&ui).unwrap(), 5);
        let target = ask_target(&ui, &view).unwrap();
        assert_eq!(target.id, id('a'));
        let sources = ask_sources(&ui, &view, target).unwrap();
        assert_eq!(sources.iter().map(|node| node.id).collect::<Vec<_>>(), [id('b')]);
        insta::assert_snapshot!(out.text(), @r"
        How many slots do you want to move (from 1 to 16384)? How many slots do you want to move (from 1 to 16384)? How many slots do you want to move (from 1 to 16384)? How many slots do you want to move (from 1 to 16384)? What is the receiving node ID? *** The specified node (x) is not known or not a master, please retry.
        What is the receiving node ID? *** The specified node (c) is not known or not a master, please retry.
        What is the receiving node ID? Please enter all the source node IDs.
          Type 'all' to use all the nodes as source nodes for the hash slots.
          Type 'done' once you entered all the source nodes IDs.
        Source node #1: *** It is not possible to use the target node as source node.
        Source node #1: Source node #2: Source node #2: 
        ");
        assert_eq!(err.text(), "10.0.0.2:7000 is a source node already\n");
    }

    #[test]
    fn input_that_ends_ends_the_dialog() {
        let view = small();
        for answers in ["", "zzz\n"] {
            let (ui, _, _) = captured(Wording::RedisCli, answers);
            assert!(ask_count(&ui).is_err());
            let (ui, _, _) = captured(Wording::RedisCli, answers);
            assert!(ask_target(&ui, &view).is_err());
        }
        let (ui, _, _) = captured(Wording::RedisCli, "done\n");
        let target = pick::primary(&view, "a").unwrap();
        assert_eq!(ask_sources(&ui, &view, target).unwrap_err(), no_sources());
    }

    #[test]
    fn sources_may_be_listed_or_all() {
        let view = small();
        let target = pick::primary(&view, "a").unwrap();
        let ids = |names: &str| {
            read_sources(Vocabulary::Redis, &view, target, names).map(|nodes| nodes.iter().map(|n| n.id).collect())
        };
        assert_eq!(ids("all"), Ok(vec![id('b')]));
        assert_eq!(ids("bb, b,10.0.0.2:7000"), Ok(vec![id('b')]));
        assert_eq!(ids("b,a"), Err(Error::failed(TARGET_IS_SOURCE)));
        assert_eq!(ids(","), Err(no_sources()));
        assert!(ids("c").is_err());
    }

    #[test]
    fn a_log_has_the_plan_by_ranges() {
        let view = small();
        let (source, target) = (pick::primary(&view, "b").unwrap(), pick::primary(&view, "a").unwrap());
        let (ui, out, _) = captured(Wording::Trib, "");
        let mut transfers = super::plan(&ui, &[source], target, 4).unwrap();
        transfers[0].slots.remove(2);
        show_plan(&ui, &transfers);
        let plan = format!("  Resharding plan:\n    Moving slots 8192-8193,8195 from {}\n", id('b'));
        assert_eq!(out.text(), plan);
        let (ui, out, _) = valkeys("");
        show_plan(&ui, &transfers);
        let plan = format!("  Resharding plan:\n    Moving slot range 8192-8193 8195-8195 from {}\n", id('b'));
        assert_eq!(out.text(), plan);
    }

    #[test]
    fn the_plan_is_shown_slot_by_slot() {
        let view = small();
        let (source, target) = (pick::primary(&view, "b").unwrap(), pick::primary(&view, "a").unwrap());
        let (ui, out, err) = captured(Wording::RedisCli, "");
        let transfers = plan(&ui, &[source], target, 2).unwrap();
        show(&ui, &view, &[source], target, &transfers);
        show_plan(&ui, &transfers);
        insta::assert_snapshot!(out.text(), @r"

        Ready to move 2 slots.
          Source nodes:
            M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 10.0.0.2:7000
               slots:[8192-16383] (8192 slots) master
          Destination node:
            M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 127.0.0.1:7000
               slots:[0-8191] (8192 slots) master
               1 additional replica(s)
          Resharding plan:
            Moving slot 8192 from bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
            Moving slot 8193 from bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        ");
        assert_eq!(plan(&ui, &[source], target, 9000).unwrap()[0].slots.len(), 8192);
        assert_eq!(err.text(), "The source nodes own only 8192 slots: all of them will be moved.\n");
    }
}
