//! `trib fix`: open slots, slots without an owner, slots with several.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::ValueEnum;

use super::{Context, info};
use crate::base::{NodeId, Slot};
use crate::trib::cli::{MoveArgs, PlanArgs, SeedArgs};
use crate::trib::error::{Error, Kind};
use crate::trib::evidence;
use crate::trib::harmony::harmonise;
use crate::trib::keycount::{self, KeyCounts};
use crate::trib::mover::Settings;
use crate::trib::plan::fix::coverage::{self, Coverage};
use crate::trib::plan::fix::policy::Allow;
use crate::trib::plan::fix::{self, Case, NodeFacts, Repair};
use crate::trib::planned;
use crate::trib::quarantine::Quarantine;
use crate::trib::repair::{Repairing, SERVE_LIMIT, UNCOVERED_SERVE_LIMIT};
use crate::trib::report::{self, Health};
use crate::trib::slots::SlotSet;
use crate::trib::ui::{Ui, Wording};
use crate::trib::view::{ClusterView, Node};

/// Repair open slots, slots that nobody owns or several, and disagreement about them
///
/// Finishes or undoes interrupted moves. Keys are brought together before a slot is closed; none is dropped. Shows for
/// each repair what every node says about the slot and how many keys of it it holds. With --allow only repairs of these
/// kinds are made, and the others are left as they are. A key that exists on two nodes with different values stops the
/// repair of its slot, unless --on-conflict says which value stays; --quarantine saves the other one first. Ends with 0
/// only when the cluster is consistent afterwards.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Also look for slots whose keys are on several primaries
    #[arg(long)]
    search_multiple_owners: bool,
    /// Give away the slots of primaries that do not answer: their keys are lost unless they come back
    #[arg(long, visible_alias = "fix-with-unreachable-primaries")]
    fix_with_unreachable_masters: bool,
    /// Make only repairs of these kinds [default: all]
    #[arg(long, value_name = "KIND,...", value_enum, value_delimiter = ',')]
    allow: Vec<Allow>,
    /// Which value stays where a key exists on two nodes with different values
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    on_conflict: OnConflict,
    /// Save every value that is overwritten or dropped in this directory first: a line of JSON with the key, the time to
    /// live and the DUMP, which 'trib undo' or 'trib import --from FILE' puts back
    #[arg(long, value_name = "DIR")]
    quarantine: Option<PathBuf>,
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

/// Which of two values of a key stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
enum OnConflict {
    /// None is touched, and the slot stays open
    #[default]
    Fail,
    /// The value that travels: it overwrites the one at the node that owns the slot in the end (as --replace)
    Replace,
    /// The value at the node that owns the slot in the end: the one that travels is dropped
    Keep,
}

impl Args {
    fn allows(&self, kind: Allow) -> bool {
        self.allow.is_empty() || self.allow.contains(&kind)
    }
}

/// What is to be done, and what is left undone on purpose.
#[derive(Debug, Default, PartialEq, Eq)]
struct Planned {
    repairs: Vec<Repair>,
    /// How many of the repairs give a slot that nobody owned to somebody.
    covering: usize,
    /// How many slots are left because --allow does not name the repair.
    left: usize,
    /// The slots that nobody owns and that are left so because a question was not answered with yes.
    declined: SlotSet,
}

impl Planned {
    /// Takes out the repairs for which no key has to travel.
    fn take_what_needs_no_keys(&mut self, counts: &KeyCounts) -> Vec<Repair> {
        let travel = |step: &fix::Step| match *step {
            fix::Step::MoveKeys { slot, from, .. } | fix::Step::MoveSlot { slot, from, .. } => {
                counts.get(&from, slot) > 0
            }
            _ => false,
        };
        self.repairs.extract_if(.., |repair| !repair.gather.iter().any(travel)).collect()
    }

    /// How the run ends when all repairs are made and the cluster is like this.
    fn end(&self, ui: &Ui, health: &Health) -> Result<(), Error> {
        let is_as_wished =
            !health.disagree && health.open.is_empty() && health.uncovered.is_subset(&self.declined) && self.left == 0;
        if ui.wording() == Wording::Trib && !self.declined.is_empty() {
            let slots = report::slots_text(&self.declined, ui.wording());
            ui.warning(format!("*** Left without an owner, as that was not agreed to: {slots}"));
        }
        match (is_as_wished, self.declined.is_empty(), ui.wording()) {
            (false, ..) => Err(Error::reported(Kind::Unhealthy)),
            (true, true, _) => Ok(()),
            // For redis-cli one group of slots that was covered is enough.
            (true, false, Wording::RedisCli) if self.covering > 0 => Ok(()),
            (true, false, _) => Err(Error::reported(Kind::Declined).hint("--yes agrees to every question")),
        }
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    let view = ClusterView::load(&ctx.pool, &seed).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    if ui.wording() == Wording::RedisCli {
        // What is missing is said by the check below as well.
        info::summary(ctx, &view).await;
    }
    let health = report::open_check(ui, &view, None);
    let mut nodes: Vec<NodeFacts> = view.primaries().map(NodeFacts::from).collect();
    let seen = fix::problems(&nodes);
    let suspects: Vec<Slot> = match args.search_multiple_owners {
        true => Slot::all().collect(),
        false => [&seen.open, &seen.uncovered, &seen.contested].into_iter().flatten().copied().collect(),
    };
    let counts = keycount::load_some(&ctx.pool, &view, &suspects).await?;
    for node in &mut nodes {
        let held = suspects.iter().map(|&slot| (slot, counts.get(&node.id, slot)));
        node.keys = held.filter(|&(_, keys)| keys > 0).collect();
    }
    let problems = fix::problems(&nodes);
    // redis-cli closes what is open before it looks at what nobody owns.
    let open_first = ui.wording() == Wording::RedisCli && !problems.open.is_empty();
    if !open_first {
        report::coverage_check(ui, &view, None, &health);
    }
    guard_against_the_dead(ui, &view, &problems, args)?;
    let coverage = coverage::cover(&problems.uncovered, &nodes);
    let planning = Planning { ui, view: &view, nodes: &nodes, problems: &problems, args };
    let work = Work { ctx, args, view: &view, counts: &counts, quarantine: quarantine(ctx, args) };
    let mut planned = Planned::default();
    if open_first {
        planning.open(&mut planned);
        // Nodes may refuse keys until every slot has an owner, which is asked for below.
        let at_once = match args.plan.dry_run || problems.uncovered.is_empty() {
            true => Vec::new(),
            false => planned.take_what_needs_no_keys(&counts),
        };
        if !at_once.is_empty() {
            let rest = planned.repairs.iter().chain(coverage.all());
            let steps = planned::repairs(&view, &at_once.iter().chain(rest).cloned().collect::<Vec<_>>());
            ctx.pass(false, planned::digest(&view), steps)?;
            work.repair(&at_once, UNCOVERED_SERVE_LIMIT).await?;
        }
        report::coverage_check(ui, &view, None, &health);
    }
    planning.coverage(coverage, &mut planned)?;
    if !open_first {
        planning.open(&mut planned);
    }
    planning.contested(&mut planned);
    if planned == Planned::default() && Health::examine(&view, None).is_consistent() {
        ctx.nothing(args.plan.dry_run, &view);
        return Ok(());
    }
    ctx.pass(args.plan.dry_run, planned::digest(&view), planned::repairs(&view, &planned.repairs))?;
    let serve_limit = if planned.declined.is_empty() { SERVE_LIMIT } else { UNCOVERED_SERVE_LIMIT };
    let repaired = work.repair(&planned.repairs, serve_limit).await;
    if let Some(quarantine) = &work.quarantine {
        quarantine.tell(ui, &seed);
    }
    repaired?;
    let after = harmonise(ui, &ctx.pool, &seed).await?;
    ui.heading(format!(">>> Performing Cluster Check (using node {})", after.seed().addr));
    planned.end(ui, &report::configuration_check(ui, &after, None))
}

fn quarantine(ctx: &Context<'_>, args: &Args) -> Option<Rc<Quarantine>> {
    args.quarantine.as_deref().map(|dir| Rc::new(Quarantine::new(dir, Rc::clone(&ctx.session))))
}

/// How what was agreed to is done.
struct Work<'a> {
    ctx: &'a Context<'a>,
    args: &'a Args,
    view: &'a ClusterView,
    counts: &'a KeyCounts,
    quarantine: Option<Rc<Quarantine>>,
}

impl Work<'_> {
    async fn repair(&self, repairs: &[Repair], serve_limit: Duration) -> Result<(), Error> {
        let (ctx, on_conflict) = (self.ctx, self.args.on_conflict);
        let usual = Settings::from(&self.args.moving);
        let settings = Settings {
            replace: usual.replace || on_conflict == OnConflict::Replace,
            keep: on_conflict == OnConflict::Keep,
            quarantine: self.quarantine.clone(),
            record: ctx.journal(),
            ..usual
        };
        let (ui, pool) = (ctx.ui, &ctx.pool);
        Repairing { ui, pool, view: self.view, settings, counts: self.counts, serve_limit }.run(repairs).await
    }
}

/// Primaries that own slots and do not answer would lose them. That is for the operator to say.
fn guard_against_the_dead(ui: &Ui, view: &ClusterView, problems: &fix::Problems, args: &Args) -> Result<(), Error> {
    let dead = view.unreachable().filter(|node| node.is_primary() && !node.slots.is_empty()).count();
    if dead == 0 || args.fix_with_unreachable_masters {
        return Ok(());
    }
    let what = match (problems.uncovered.is_empty(), problems.open.is_empty()) {
        (false, _) => "slots coverage",
        (true, false) => "open slots",
        (true, true) => return Ok(()),
    };
    let masters = ui.vocabulary().masters();
    let prefix = ui.word("--", "--cluster-");
    Err(Error::failed(format!(
        "*** Fixing {what} with {dead} unreachable {masters} is dangerous: trib will assume that slots about {masters} that \
         are not reachable are not covered, and will try to reassign them to the reachable nodes. This can cause data \
         loss and is rarely what you want to do. If you really want to proceed use the \
         {prefix}fix-with-unreachable-{masters} option."
    ))
    .hint("start the missing nodes again if you can: then their slots need no repair"))
}

/// What is to be done, told and agreed to part by part. What is not agreed to keeps nothing else from being done.
struct Planning<'a> {
    ui: &'a Ui,
    view: &'a ClusterView,
    nodes: &'a [NodeFacts],
    problems: &'a fix::Problems,
    args: &'a Args,
}

impl Planning<'_> {
    fn leave(&self, what: &str, kind: Allow) {
        let name = kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        self.ui.warning(format!("*** {what} left as found: that needs --allow {name}"));
    }

    /// The slots that nobody owns.
    fn coverage(&self, coverage: Coverage, planned: &mut Planned) -> Result<(), Error> {
        let Planning { ui, view, nodes, args, .. } = *self;
        if self.problems.uncovered.is_empty() {
            return Ok(());
        }
        ui.heading(">>> Fixing slots coverage...");
        let groups = [
            (coverage.none, Allow::CoverEmpty, "have no keys across the cluster", "covering with a random node"),
            (coverage.single, Allow::CoverKeys, "have keys in just one node", "covering with those nodes"),
            (coverage.multi, Allow::CoverKeys, "have keys in multiple nodes", "moving keys into a single node"),
        ];
        for (group, kind, found, remedy) in groups.into_iter().filter(|(group, ..)| !group.is_empty()) {
            ui.line(format!("The following uncovered slots {found}:"));
            let slots: SlotSet = group.iter().map(|repair| repair.slot).collect();
            ui.line(report::slots_text(&slots, ui.wording()));
            if !args.allows(kind) {
                self.leave(&format!("{} slots are", group.len()), kind);
                planned.left += group.len();
                continue;
            }
            let question = format!("Fix these slots by {remedy}? (type 'yes' to accept): ");
            if !args.plan.dry_run && !agree(ui, &question)? {
                planned.declined.extend_from(&slots);
                continue;
            }
            for repair in &group {
                let how = if repair.holders.is_empty() { "with" } else { "moving keys to" };
                ui.heading(format!(">>> Covering slot {} {how} {}", repair.slot, addr(view, &repair.owner)));
                show_evidence(ui, view, nodes, repair.slot);
            }
            planned.covering += group.len();
            planned.repairs.extend(group);
        }
        Ok(())
    }

    /// The slots that are open.
    fn open(&self, planned: &mut Planned) {
        for slot in &self.problems.open {
            let Some(repair) = fix::repair(*slot, self.nodes) else { continue };
            show_open(self.ui, self.view, &repair);
            self.take(repair, planned);
        }
    }

    /// The slots that several own.
    fn contested(&self, planned: &mut Planned) {
        for slot in &self.problems.contested {
            let Some(repair) = fix::repair(*slot, self.nodes) else { continue };
            self.ui.heading(format!(">>> Fixing multiple owners for slot {slot}..."));
            self.ui.heading(format!(">>> Setting slot {slot} owner: {}", addr(self.view, &repair.owner)));
            self.take(repair, planned);
        }
    }

    fn take(&self, repair: Repair, planned: &mut Planned) {
        show_evidence(self.ui, self.view, self.nodes, repair.slot);
        let kind = Allow::of(&repair, false, false);
        if self.args.allows(kind) {
            planned.repairs.push(repair);
        } else {
            self.leave(&format!("Slot {} is", repair.slot), kind);
            planned.left += 1;
        }
    }
}

/// What the repair of the slot is based on, which redis-cli does not say.
fn show_evidence(ui: &Ui, view: &ClusterView, nodes: &[NodeFacts], slot: Slot) {
    if ui.wording() == Wording::Trib {
        evidence::about(slot, view, nodes).iter().for_each(|line| ui.line(line));
    }
}

/// Whether the answer is yes; the end of the input is none. redis-cli asks here even with --yes, because what is
/// answered may cost data.
fn agree(ui: &Ui, question: &str) -> Result<bool, Error> {
    if ui.wording() == Wording::Trib && ui.assumes_yes() {
        return Ok(true);
    }
    Ok(ui.ask_or_end(question)?.is_some_and(|answer| ui.is_yes(&answer)))
}

/// An open slot: who has it open, and which case that is.
fn show_open(ui: &Ui, view: &ClusterView, repair: &Repair) {
    let slot = repair.slot;
    ui.heading(format!(">>> Fixing open slot {slot}"));
    for (holder, _) in &repair.holders {
        ui.warning(format!("*** Found keys about slot {slot} in non-owner node {}!", addr(view, holder)));
    }
    let with = |open: fn(&Node, &Slot) -> bool| {
        let nodes = view.primaries().filter(|node| open(node, &slot)).map(|node| node.addr.to_string());
        nodes.collect::<Vec<_>>().join(",")
    };
    let migrating = with(|node, slot| node.migrating.contains_key(slot));
    let importing = with(|node, slot| node.importing.contains_key(slot));
    if !migrating.is_empty() {
        ui.line(format!("Set as migrating in: {migrating}"));
    }
    if !importing.is_empty() {
        ui.line(format!("Set as importing in: {importing}"));
    }
    let owner = addr(view, &repair.owner);
    if repair.chosen {
        ui.heading(">>> No single clear owner for the slot, selecting an owner by # of keys...");
        ui.line(format!("*** Configuring {owner} as the slot owner"));
    }
    let told = match repair.case {
        Case::Finish { from, to } => {
            format!(">>> Case 1: Moving slot {slot} from {} to {}", addr(view, &from), addr(view, &to))
        }
        Case::BringHome { keys } => {
            format!(">>> Case 2: Moving all the {slot} slot keys ({keys}) to its owner {owner}")
        }
        Case::FinishOne { from, to } => format!(
            ">>> Case 3: Moving slot {slot} from {} to {} and closing it on all the other importing nodes.",
            addr(view, &from),
            addr(view, &to)
        ),
        Case::CloseAll => format!(">>> Case 3: Closing slot {slot} on both migrating and importing nodes."),
        Case::CloseOwner => format!(">>> Case 4: Closing slot {slot} on {owner}"),
    };
    ui.heading(told);
    let closed: BTreeSet<String> = repair
        .close
        .iter()
        .filter_map(|step| if let fix::Step::Stable { node, .. } = step { Some(addr(view, node)) } else { None })
        .collect();
    for node in closed {
        ui.heading(format!(">>> Setting {slot} as STABLE in {node}"));
    }
}

fn addr(view: &ClusterView, id: &NodeId) -> String {
    view.node(id).map_or_else(|| id.to_string(), |node| node.addr.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::tests::captured;
    use crate::trib::view::tests::{id, view};

    fn args(dry_run: bool) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let line: Line = clap::Parser::parse_from(["fix", "10.0.0.1:7000"]);
        Args { plan: PlanArgs { dry_run }, ..line.args }
    }

    fn plan(
        ui: &Ui,
        view: &ClusterView,
        nodes: &[NodeFacts],
        problems: &fix::Problems,
        coverage: Coverage,
        args: &Args,
    ) -> Result<Planned, Error> {
        let planning = Planning { ui, view, nodes, problems, args };
        let mut planned = Planned::default();
        planning.open(&mut planned);
        planning.coverage(coverage, &mut planned)?;
        planning.contested(&mut planned);
        Ok(planned)
    }

    fn broken() -> ClusterView {
        view(
            "10.0.0.1:7000",
            &[
                "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8190 [7->-b] [9->-b]\n\
                 b 10.0.0.2:7000 master - 0 0 2 connected 8192-16380",
                "b 10.0.0.2:7000 myself,master - 0 0 2 connected 8192-16380 [7-<-a] [12-<-a]\n\
                 a 10.0.0.1:7000 master - 0 0 1 connected 0-8190",
            ],
        )
    }

    fn facts(view: &ClusterView) -> Vec<NodeFacts> {
        let mut nodes: Vec<NodeFacts> = view.primaries().map(NodeFacts::from).collect();
        let slot = |n| Slot::new(n).unwrap();
        nodes[1].keys.insert(slot(12), 2);
        nodes[0].keys.insert(slot(8191), 1);
        nodes
    }

    #[test]
    fn the_plan_in_the_reference_words() {
        let view = broken();
        let nodes = facts(&view);
        let problems = fix::problems(&nodes);
        let (ui, out, _) = captured(Wording::RedisCli, "");
        let coverage = coverage::cover(&problems.uncovered, &nodes);
        let planned = plan(&ui, &view, &nodes, &problems, coverage, &args(true)).unwrap();
        assert_eq!((planned.repairs.len(), planned.left), (7, 0));
        insta::assert_snapshot!(out.text(), @r"
        >>> Fixing open slot 7
        Set as migrating in: 10.0.0.1:7000
        Set as importing in: 10.0.0.2:7000
        >>> Case 1: Moving slot 7 from 10.0.0.1:7000 to 10.0.0.2:7000
        >>> Fixing open slot 9
        Set as migrating in: 10.0.0.1:7000
        >>> Case 4: Closing slot 9 on 10.0.0.1:7000
        >>> Fixing open slot 12
        *** Found keys about slot 12 in non-owner node 10.0.0.2:7000!
        Set as importing in: 10.0.0.2:7000
        >>> Case 2: Moving all the 12 slot keys (2) to its owner 10.0.0.1:7000
        >>> Setting 12 as STABLE in 10.0.0.2:7000
        >>> Fixing slots coverage...
        The following uncovered slots have no keys across the cluster:
        [16381-16383]
        >>> Covering slot 16381 with 10.0.0.2:7000
        >>> Covering slot 16382 with 10.0.0.2:7000
        >>> Covering slot 16383 with 10.0.0.2:7000
        The following uncovered slots have keys in just one node:
        [8191]
        >>> Covering slot 8191 with 10.0.0.1:7000
        ");
        let mut counts = KeyCounts::default();
        counts.set(id('b'), Slot::new(12).unwrap(), 2);
        let mut planned = planned;
        let at_once = planned.take_what_needs_no_keys(&counts);
        assert_eq!(at_once.iter().map(|repair| repair.slot.get()).take(2).collect::<Vec<_>>(), [7, 9]);
        assert!(planned.repairs.iter().any(|repair| repair.slot.get() == 12), "its keys have to travel");
    }

    #[test]
    fn each_kind_of_coverage_is_asked_for_and_a_no_is_for_it_alone() {
        let view = broken();
        let nodes = facts(&view);
        let problems = fix::problems(&nodes);
        let slot = |n| Slot::new(n).unwrap();
        let (all, open) = (Health::examine(&view, None), SlotSet::new());
        for (answers, repaired, covered, ends) in [
            ("yes\nyes\n", 7, &[8191, 16381, 16382, 16383][..], [Ok(()), Ok(())]),
            ("yes\nno\n", 6, &[16381, 16382, 16383], [Err(Kind::Declined), Ok(())]),
            ("no\nyes\n", 4, &[8191], [Err(Kind::Declined), Ok(())]),
            ("yes\n", 6, &[16381, 16382, 16383], [Err(Kind::Declined), Ok(())]),
            ("", 3, &[], [Err(Kind::Declined), Err(Kind::Declined)]),
        ] {
            for (wording, expected) in [Wording::Trib, Wording::RedisCli].into_iter().zip(ends) {
                let (ui, out, _) = captured(wording, answers);
                let coverage = coverage::cover(&problems.uncovered, &nodes);
                let planned = plan(&ui, &view, &nodes, &problems, coverage, &args(false)).unwrap();
                assert_eq!((planned.repairs.len(), planned.covering), (repaired, covered.len()), "{answers:?}");
                let told = out.text().matches(">>> Covering slot ").count();
                assert_eq!(told, covered.len(), "{answers:?}: what is not done is not told");
                let mut uncovered = all.uncovered.clone();
                covered.iter().for_each(|&n| uncovered.remove(slot(n)));
                assert_eq!(planned.declined, uncovered, "{answers:?}");
                let after = Health { uncovered, open: open.clone(), disagree: false, ..all.clone() };
                assert_eq!(planned.end(&ui, &after).map_err(|error| error.kind), expected, "{answers:?}");
                let worse = Health { disagree: true, ..after };
                assert_eq!(planned.end(&ui, &worse).unwrap_err().kind, Kind::Unhealthy, "{answers:?}");
            }
        }
    }

    #[test]
    fn a_policy_leaves_the_rest_with_its_evidence() {
        let view = broken();
        let nodes = facts(&view);
        let problems = fix::problems(&nodes);
        let (ui, out, _) = captured(Wording::Trib, "");
        let coverage = coverage::cover(&problems.uncovered, &nodes);
        let allowing = Args { allow: vec![Allow::Close, Allow::Home], ..args(true) };
        let planned = plan(&ui, &view, &nodes, &problems, coverage, &allowing).unwrap();
        let slots: Vec<u16> = planned.repairs.iter().map(|repair| repair.slot.get()).collect();
        assert_eq!((slots, planned.left), (vec![9, 12], 5));
        let text = out.text();
        for line in [
            "*** 3 slots are left as found: that needs --allow cover-empty\n",
            "*** Slot 7 is left as found: that needs --allow finish\n",
            "   10.0.0.1:7000: owns it since epoch 1, migrates it to 10.0.0.2:7000, holds 0 keys\n",
            "   10.0.0.2:7000: imports it from 10.0.0.1:7000, holds 2 keys\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing in\n{text}");
        }
    }

    #[test]
    fn the_slots_of_the_dead_are_not_given_away_unasked() {
        let view = view(
            "10.0.0.1:7000",
            &["a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8191\n\
               b 10.0.0.2:7000 master,fail - 0 0 2 disconnected 8192-16383"],
        );
        assert!(view.node(&id('b')).is_some());
        let nodes: Vec<NodeFacts> = view.primaries().map(NodeFacts::from).collect();
        let problems = fix::problems(&nodes);
        assert_eq!(problems.uncovered.len(), 8192);
        let (ui, _, _) = captured(Wording::RedisCli, "");
        let error = guard_against_the_dead(&ui, &view, &problems, &args(false)).unwrap_err();
        let crate::trib::error::What::Message(text) = error.what else { panic!("no text") };
        assert!(text.starts_with("*** Fixing slots coverage with 1 unreachable masters is dangerous"));
        assert!(text.ends_with("use the --cluster-fix-with-unreachable-masters option."), "{text}");
        let insisting = Args { fix_with_unreachable_masters: true, ..args(false) };
        assert!(guard_against_the_dead(&ui, &view, &problems, &insisting).is_ok());
    }
}
