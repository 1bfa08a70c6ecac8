//! `trib reset`: makes members strangers again, so that they can be used for something else.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Context;
use crate::base::NodeId;
use crate::trib::addr::Addr;
use crate::trib::cli::PlanArgs;
use crate::trib::client::{command, join_all, text_of};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::nodes_text::Flags;
use crate::trib::planned::{self, Member, Step};
use crate::trib::preflight;
use crate::trib::table::count;
use crate::trib::ui::Ui;
use crate::trib::view::{self, ClusterView, Node, Report, not_a_cluster_node};
use crate::trib::vitals;
use crate::trib::wait::{self, Look};

/// Reset nodes: they forget their slots and all other nodes
///
/// For nodes that are left over, of an attempt to create a cluster or of a cluster that is given up. Nodes that hold
/// keys are refused, all of them before anything is changed, unless the keys may go (--flush). To take a single node
/// out of a cluster that goes on use 'trib del-node', which has the other nodes forget it: one that serves slots there
/// is refused, unless with --force.
#[derive(clap::Args)]
pub struct Args {
    /// The nodes
    #[arg(value_name = "HOST:PORT", required = true)]
    nodes: Vec<Addr>,
    /// Also a new node ID, and all epochs back to zero (CLUSTER RESET HARD)
    #[arg(long)]
    hard: bool,
    /// Delete the keys that the nodes hold
    #[arg(long)]
    flush: bool,
    #[command(flatten)]
    plan: PlanArgs,
}

/// Deleting a full node's keys may take long.
const RESET_LIMIT: Duration = Duration::from_secs(120);
/// How long a node may take to be a stranger.
const STRANGER_LIMIT: Duration = Duration::from_secs(10);

/// One node that is to be reset.
struct Subject {
    addr: Addr,
    report: Report,
    keys: u64,
}

impl Subject {
    fn is_replica(&self) -> bool {
        self.report.own().flags.contains(Flags::REPLICA)
    }

    fn member(&self) -> Member {
        Member { id: self.report.own().id.to_string(), addr: self.addr.to_string() }
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    ctx.hold_nodes(&args.nodes, args.plan.dry_run).await?;
    let subjects = look(ctx, args).await?;
    ui.heading(format!(">>> Resetting {}", count(subjects.len(), "node")));
    show(ui, &subjects);
    let digest = subjects.iter().map(|subject| {
        let own = subject.report.own();
        format!("{} {} {}", own.id, own.flags_text, own.slots)
    });
    let digest: Vec<String> = digest.collect();
    let digest = planned::digest_of(digest.iter().map(String::as_str));
    ctx.pass_with(args.plan.dry_run, Vec::new(), digest, steps(&subjects))?;
    if !ui.confirm("Do you want to reset these nodes? (type 'yes' to accept): ")? {
        return Err(Error { kind: Kind::Declined, ..Error::failed("*** Aborting...") });
    }
    ctx.agreed()?;
    let results = join_all(subjects.iter().map(|subject| reset(ctx, subject, args.hard))).await;
    let all = subjects.len();
    let mut failures: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    let Some(last) = failures.pop() else {
        ui.ok(match all {
            1 => "[OK] The node was reset.".to_owned(),
            _ => format!("[OK] All {all} nodes were reset."),
        });
        return Ok(());
    };
    for failure in &failures {
        ui.end(failure);
    }
    let done = all - failures.len() - 1;
    Err(last.hint(format!("{done} of {all} nodes were reset; the same command again takes the others")))
}

/// Looks at all nodes, and complains about every one that cannot be reset.
async fn look(ctx: &Context<'_>, args: &Args) -> Result<Vec<Subject>, Error> {
    let mut addrs: Vec<&Addr> = Vec::new();
    for addr in &args.nodes {
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    let mut subjects = Vec::with_capacity(addrs.len());
    let mut complaints = Vec::new();
    let asked = join_all(addrs.into_iter().map(|addr| ask(ctx, addr))).await;
    let ids: BTreeSet<NodeId> = asked.iter().flatten().map(|subject| subject.report.own().id).collect();
    for result in asked {
        let others = match &result {
            Ok(subject) if !ctx.options.lock.force => others(ctx, subject, &ids).await?,
            _ => 0,
        };
        match result {
            Ok(subject) if others > 0 => complaints.push(serves(&subject, others)),
            Ok(subject) if subject.keys > 0 && !args.flush => complaints.push(
                Error::failed(format!("[ERR] Node {} holds {} keys.", subject.addr, subject.keys))
                    .hint("with --flush they are deleted"),
            ),
            Ok(subject) => subjects.push(subject),
            Err(error) => complaints.push(error),
        }
    }
    let Some(last) = complaints.pop() else { return Ok(subjects) };
    for complaint in &complaints {
        ctx.ui.end(complaint);
    }
    Err(last)
}

async fn ask(ctx: &Context<'_>, addr: &Addr) -> Result<Subject, Error> {
    let report = view::ask(&ctx.pool, addr).await.map_err(|failure| match failure.reply() {
        Some(text) if text.contains("cluster support disabled") => not_a_cluster_node(addr),
        _ => failure.into(),
    })?;
    let keyspace = ctx.pool.call(addr, &command("INFO keyspace")).await?;
    let keys = vitals::keys(&text_of(&keyspace).unwrap_or_default());
    Ok(Subject { addr: addr.clone(), report, keys })
}

/// How many nodes that stay what they are hold one that serves slots for a member, and answer.
async fn others(ctx: &Context<'_>, subject: &Subject, ids: &BTreeSet<NodeId>) -> Result<usize, Error> {
    let report = &subject.report;
    if report.own().slots.is_empty() || report.known().is_subset(ids) {
        return Ok(0);
    }
    Ok(staying(&ClusterView::load(&ctx.pool, &subject.addr).await?, report.own().id, ids))
}

fn staying(view: &ClusterView, member: NodeId, ids: &BTreeSet<NodeId>) -> usize {
    let knows_it = |node: &&Node| node.report.as_ref().is_ok_and(|report| report.line(&member).is_some());
    view.reachable().filter(|node| !ids.contains(&node.id)).filter(knows_it).count()
}

fn serves(subject: &Subject, others: usize) -> Error {
    let (addr, slots) = (&subject.addr, count(subject.report.own().slots.len(), "slot"));
    let text = format!("[ERR] Node {addr} serves {slots} in a living cluster of {}.", count(others + 1, "node"));
    Error::failed(text).hint(
        "'trib drain' and then 'trib del-node' take it out of there; with --force it is reset, and nobody serves its slots",
    )
}

/// What is lost, and who is left behind.
fn show(ui: &Ui, subjects: &[Subject]) {
    let ids: BTreeSet<NodeId> = subjects.iter().map(|subject| subject.report.own().id).collect();
    for subject in subjects {
        let role = if subject.is_replica() { "replica" } else { "primary" };
        let own = subject.report.own();
        ui.line(format!("   {} {}: {role}, {} slots, {} keys", own.id, subject.addr, own.slots.len(), subject.keys));
    }
    for subject in subjects {
        let others = subject.report.known().into_iter().filter(|id| !ids.contains(id)).count();
        if others > 0 {
            let text = format!(
                "{} is still known to {} beside these, which will go on trying to reach it.",
                subject.addr,
                count(others, "node")
            );
            preflight::warn(ui, &text);
        }
    }
}

fn steps(subjects: &[Subject]) -> Vec<Step> {
    let of = |subject: &Subject| {
        let flush = (subject.keys > 0).then(|| Step::Flush { node: subject.member() });
        flush.into_iter().chain([Step::Reset { node: subject.member() }])
    };
    subjects.iter().flat_map(of).collect()
}

/// Resets one node and waits until it knows nobody.
async fn reset(ctx: &Context<'_>, subject: &Subject, hard: bool) -> Result<(), Error> {
    let client = ctx.pool.client(&subject.addr).await?;
    let limit = client.timeouts().long(RESET_LIMIT);
    // A replica takes no such command, and drops its keys with the reset.
    if subject.keys > 0 && !subject.is_replica() {
        client.call_within(limit, &command("FLUSHALL")).await?;
    }
    let reset = command(if hard { "CLUSTER RESET HARD" } else { "CLUSTER RESET SOFT" });
    wait::until(None, STRANGER_LIMIT, async || {
        client.call_within(limit, &reset).await.map_err(explain)?;
        let report = view::ask(&ctx.pool, &subject.addr).await?;
        // A greeting that was on its way brings the others back.
        Ok(match report.lines.len() {
            1 => Look::Done(()),
            _ => Look::NotYet(format!("{} has met other nodes again", subject.addr)),
        })
    })
    .await
}

fn explain(failure: Failure) -> Error {
    let holds_keys = failure.reply().is_some_and(|text| text.contains("containing keys"));
    let error = Error::from(failure);
    match holds_keys {
        true => error.hint("somebody writes to it: stop the writers first"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::Wording;
    use crate::trib::ui::tests::captured;
    use crate::trib::view::tests::small;

    fn subjects(keys: u64) -> Vec<Subject> {
        let view = small();
        let reachable = view.reachable();
        let subject =
            |node: &view::Node| Subject { addr: node.addr.clone(), report: node.report.clone().unwrap(), keys };
        reachable.map(subject).collect()
    }

    #[test]
    fn what_is_lost_is_shown_first() {
        let (ui, out, _) = captured(Wording::Trib, "");
        show(&ui, &subjects(3)[1..]);
        insta::assert_snapshot!(out.text(), @r"
           bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 10.0.0.2:7000: primary, 8192 slots, 3 keys
           cccccccccccccccccccccccccccccccccccccccc 10.0.0.3:7000: replica, 0 slots, 3 keys
        [WARNING] 10.0.0.2:7000 is still known to 1 node beside these, which will go on trying to reach it.
        [WARNING] 10.0.0.3:7000 is still known to 1 node beside these, which will go on trying to reach it.
        ");
    }

    #[test]
    fn those_that_stay_and_know_it_are_counted() {
        let view = small();
        let all: Vec<NodeId> = view.reachable().map(|node| node.id).collect();
        let staying = |ids: &[NodeId]| staying(&view, all[0], &ids.iter().copied().collect());
        assert_eq!(staying(&all[..1]), all.len() - 1);
        assert_eq!(staying(&all), 0, "the whole cluster is given up");
        assert_eq!(super::staying(&view, crate::trib::view::tests::id('z'), &BTreeSet::new()), 0, "nobody knows it");
    }

    #[test]
    fn keys_are_deleted_before_the_node_forgets() {
        let steps = |keys| steps(&subjects(keys)[..1]);
        assert!(matches!(&steps(0)[..], [Step::Reset { .. }]));
        assert!(matches!(&steps(1)[..], [Step::Flush { .. }, Step::Reset { .. }]));
    }
}
