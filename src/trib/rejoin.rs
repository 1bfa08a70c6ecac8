//! Nodes that a job has taken out of their places: back into the cluster, back among the primaries, back to the primary
//! that they replicated.

use super::addr::Addr;
use super::cli::WaitArgs;
use super::client::command;
use super::cmd::{Context, add_node};
use super::error::Error;
use super::forget;
use super::fresh::Fresh;
use super::harmony;
use super::journal::replan::{self, MovedOn};
use super::journal::{Before, Job};
use super::planned::{Member, Step};
use super::table;
use super::view::{self, ClusterView, Node};
use super::vitals;
use crate::base::NodeId;

/// A node that is not in its place.
pub struct Absent<'j> {
    pub node: Fresh,
    before: &'j Before,
    /// It is a member, but replicates the node that got its last slot: servers do that by themselves.
    has_turned: bool,
    /// Its removal was cut off: some have forgotten it and others have not, or it has not forgotten them.
    is_half_gone: bool,
}

/// A replica that was given to another primary.
pub struct Home<'j> {
    replica: &'j Before,
    /// The one that it had.
    primary: &'j Before,
}

/// The slots of a job that go back.
pub struct Back {
    pub steps: Vec<Step>,
    /// How many there are.
    pub slots: usize,
    /// Some are under way still.
    pub is_open: bool,
}

impl Absent<'_> {
    #[must_use]
    pub fn was_primary(&self) -> bool {
        self.before.primary.is_none()
    }

    #[must_use]
    pub fn step(&self) -> Step {
        Step::Join { node: Member::from(&self.node) }
    }
}

impl Home<'_> {
    #[must_use]
    pub fn step(&self) -> Step {
        Step::Replicate { node: self.replica.into(), primary: self.primary.into() }
    }
}

/// The nodes of the job that are not in their places, each of which can be brought back.
pub async fn absent<'j>(ctx: &Context<'_>, job: &'j Job, view: &ClusterView) -> Result<Vec<Absent<'j>>, Error> {
    let mut all: Vec<Absent> = Vec::new();
    for step in &job.header.steps {
        let (member, is_gone) = match step {
            Step::Forget { node } => (node, true),
            Step::MoveSlots { from, .. } => (from, false),
            _ => continue,
        };
        let Some(before) = job.header.cluster.iter().find(|node| node.id == member.id) else { continue };
        let now = view.nodes.iter().find(|node| node.id.as_str() == member.id);
        let has_turned = before.primary.is_none()
            && now.is_some_and(|now| now.is_reachable() && now.primary.is_some())
            && replan::heir(&job.header.cluster, view, member).is_err();
        let is_missing = is_gone && now.is_none_or(|now| is_forgotten(job, view, now));
        if !(has_turned || is_missing) || all.iter().any(|known| known.before.id == before.id) {
            continue;
        }
        let node = Fresh::try_from(before).map_err(|bad| Error::failed(format!("[ERR] {bad}")))?;
        let is_half_gone = is_missing && look(ctx, job, view, &node).await?;
        all.push(Absent { node, before, has_turned: has_turned && !is_half_gone, is_half_gone });
    }
    Ok(all)
}

/// The ids of the nodes that a job was to remove.
fn leaving(job: &Job) -> impl Iterator<Item = &str> {
    job.header.steps.iter().filter_map(|step| match step {
        Step::Forget { node } => Some(node.id.as_str()),
        _ => None,
    })
}

/// Whether one of those that stay does not know this member any more, or the other way round.
fn is_forgotten(job: &Job, view: &ClusterView, member: &Node) -> bool {
    let knows = |one: &Node, other: &Node| one.report.as_ref().is_ok_and(|report| report.known().contains(&other.id));
    let stays = |node: &&Node| !leaving(job).any(|id| id == node.id.as_str());
    let forgets = |node: &Node| !knows(node, member) || (member.is_reachable() && !knows(member, node));
    view.reachable().filter(stays).any(forgets)
}

/// Whether the node that was removed can be brought back. It may be what it was made when it left, alone and empty; or
/// it was left half-way (then this is true), and still may know the nodes of its cluster.
async fn look(ctx: &Context<'_>, job: &Job, view: &ClusterView, node: &Fresh) -> Result<bool, Error> {
    let refused =
        |why: String, hint: &str| Err(Error::failed(format!("[ERR] {} {why}.", node.addr)).hint(hint.to_owned()));
    let member = view.node(&node.id);
    let report = match view::ask(&ctx.pool, &node.addr).await {
        Ok(report) => report,
        Err(failure) if member.is_some() => {
            let hint = format!(
                "start it again with its files and repeat this, or have all forget it with 'trib resume {}'",
                job.header.id
            );
            return refused(format!("is forgotten by some nodes already, and cannot join again: {failure}"), &hint);
        }
        Err(failure) => {
            let hint = "start it again with its files, or add another node with 'trib add-node'";
            return refused(format!("was removed, and cannot be brought back: {failure}"), hint);
        }
    };
    let own = report.own();
    if own.id != node.id {
        return refused(format!("is another node by now ({})", own.id), "add it with 'trib add-node'");
    }
    let is_of_ours = |id: &NodeId| view.node(id).is_some() || leaving(job).any(|gone| gone == id.as_str());
    if !report.known().iter().all(is_of_ours) {
        return refused("is in a cluster by now".to_owned(), "nothing was changed; take it out there first");
    }
    let is_half_gone = member.is_some() || report.lines.len() > 1;
    if is_half_gone && !own.slots.is_empty() && member.is_some() {
        let why = format!("owns {} by now", table::count(own.slots.len(), "slot"));
        return refused(why, "nothing was changed; look at it with 'trib check'");
    }
    // What a replica holds is its primary's, and goes when it is reset.
    if is_half_gone && own.primary.is_some() {
        return Ok(true);
    }
    match vitals::ask(&ctx.pool.client(&node.addr).await?).await?.keys {
        0 => Ok(is_half_gone),
        keys => refused(format!("holds {keys} keys by now"), "FLUSHALL it if they are not needed"),
    }
}

/// Ends the leaving of those that were left half-way. Whoever was met again before would be dropped once more: servers
/// pass on among themselves, for a minute, whom they were told to forget.
pub async fn see_off(ctx: &Context<'_>, seed: &Addr, absent: &[Absent<'_>]) -> Result<(), Error> {
    let half_gone: Vec<&Fresh> = absent.iter().filter(|node| node.is_half_gone).map(|node| &node.node).collect();
    if half_gone.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = half_gone.iter().map(|node| node.addr.to_string()).collect();
    ctx.ui
        .heading(format!(">>> Sending CLUSTER FORGET of {} to the others, so that it can join anew", names.join(", ")));
    let view = ClusterView::load(&ctx.pool, seed).await?;
    let members: Vec<&Node> = half_gone.iter().filter_map(|node| view.node(&node.id)).collect();
    if !members.is_empty() {
        forget::forget(ctx, &view, &members).await?;
    }
    for stranger in half_gone.iter().filter(|node| view.node(&node.id).is_none()) {
        forget::reset(ctx, &stranger.addr).await?;
    }
    Ok(())
}

/// The slot moves that take those of the job back.
pub fn slots_back(job: &Job, absent: &[Absent<'_>], view: &ClusterView) -> Result<Back, MovedOn> {
    let (steps, before) = (&job.header.steps, &job.header.cluster);
    if !absent.iter().any(Absent::was_primary) {
        let reversal = replan::undo(steps, before, view)?;
        return Ok(Back {
            slots: reversal.back.iter().map(|transfer| transfer.slots.len()).sum(),
            steps: super::planned::transfers(view, &reversal.back),
            is_open: !reversal.first.is_empty(),
        });
    }
    // They cannot be planned before those are primaries that get them; whether they are where the job put them can be said.
    let rest = replan::resume(steps, before, view)?;
    let turned = |step: &Step| match step {
        Step::MoveSlots { from, to, slots } => {
            Some(Step::MoveSlots { from: to.clone(), to: from.clone(), slots: slots.clone() })
        }
        _ => None,
    };
    let steps = steps.iter().filter_map(turned).collect();
    Ok(Back { steps, slots: job.planned_slots().len(), is_open: !rest.is_empty() })
}

/// The replicas that the job gave to others, or that went with the slots of their primary.
#[must_use]
pub fn homes<'j>(job: &'j Job, absent: &[Absent<'_>], view: &ClusterView) -> Vec<Home<'j>> {
    let nodes = &job.header.cluster;
    let is_back = |id: &str| absent.iter().any(|gone| gone.before.id == id);
    let was_given =
        |id: &str| job.header.steps.iter().any(|step| matches!(step, Step::Replicate { node, .. } if node.id == id));
    let home = |replica: &'j Before| {
        let primary = nodes.iter().find(|node| Some(&node.id) == replica.primary.as_ref())?;
        let now = view.reachable().find(|node| node.id.as_str() == replica.id)?.primary?;
        let can_be_had = is_back(&primary.id) || view.primaries().any(|node| node.id.as_str() == primary.id);
        let has_moved = now.as_str() != primary.id && (is_back(&primary.id) || was_given(&replica.id));
        (has_moved && can_be_had).then_some(Home { replica, primary })
    };
    nodes.iter().filter_map(home).collect()
}

/// Makes the node a member again: a primary without slots, or a replica of whoever leads its shard now. `seed` is
/// another one.
pub async fn bring_back(
    ctx: &Context<'_>,
    job: &Job,
    seed: &Addr,
    absent: &Absent<'_>,
    wait: WaitArgs,
) -> Result<(), Error> {
    let view = harmony::load(&ctx.pool, seed).await?;
    let nodes = &job.header.cluster;
    let primary = nodes.iter().find(|node| Some(&node.id) == absent.before.primary.as_ref());
    let primary = primary.map(|node| replan::heir(nodes, &view, &node.into())).transpose();
    let primary = primary.map_err(|why| Error::failed(format!("[ERR] The cluster has moved on since: {why}.")))?;
    if absent.has_turned {
        ctx.ui.heading(format!(">>> Sending CLUSTER RESET SOFT to {}, to be a primary again.", absent.node.addr));
        forget::reset(ctx, &absent.node.addr).await?;
    }
    add_node::finish(ctx, &view, &absent.node, primary, wait).await
}

/// Gives replicas back to the primaries that they had.
pub async fn give_back(ctx: &Context<'_>, homes: &[Home<'_>]) -> Result<(), Error> {
    for Home { replica, primary } in homes {
        let Ok(addr) = replica.addr.parse::<Addr>() else { continue };
        ctx.ui.heading(format!(">>> {addr} as replica of {}", primary.addr));
        ctx.pool.call(&addr, command("CLUSTER REPLICATE").arg(&primary.id)).await?;
    }
    Ok(())
}
