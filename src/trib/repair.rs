//! Carries repairs out: secure everything, gather the keys, close, and wait until all agree.
//!
//! Steps of many slots for one node go in one pipeline. What the planner's order guarantees, that holders
//! are guarded before anybody claims, is kept by doing each kind of step for all slots before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::{Cmd, Value};

use super::client::{Client, Pool, command, info_field, join_all, text_of};
use super::error::{Error, Failure};
use super::journal::Record;
use super::keycount::KeyCounts;
use super::mover::progress::{Reporter, Style};
use super::mover::{Job, Mover, Scope, Settings, settle};
use super::plan::SlotMove;
use super::plan::fix::{Repair, Step};
use super::ui::Ui;
use super::view::{ClusterView, Node};
use super::wait::{self, Look};
use crate::base::{NodeId, Slot};

/// Servers wait up to 5 s before they serve again.
pub const SERVE_LIMIT: Duration = Duration::from_secs(30);
/// The same where slots stay without an owner, so that it depends on the servers' settings whether they serve at all.
pub const UNCOVERED_SERVE_LIMIT: Duration = Duration::from_secs(1);
/// Slots that are claimed in one transaction.
const CLAIM: usize = 256;

/// The cluster that is repaired.
pub struct Repairing<'a> {
    pub ui: &'a Ui,
    pub pool: &'a Pool,
    pub view: &'a ClusterView,
    pub settings: Settings,
    /// How many keys each node holds of the slots in question.
    pub counts: &'a KeyCounts,
    /// How long nodes are given to serve before keys travel between them.
    pub serve_limit: Duration,
}

impl Repairing<'_> {
    /// Does all repairs. When keys cannot be gathered, the slots in question stay guarded.
    pub async fn run(&self, repairs: &[Repair]) -> Result<(), Error> {
        self.secure(repairs).await?;
        self.stage("secured");
        let keys = jobs(repairs, |step| match step {
            Step::MoveKeys { slot, from, to } => Some((Scope::Keys, slot, from, to)),
            _ => None,
        });
        let slots = jobs(repairs, |step| match step {
            Step::MoveSlot { slot, from, to } => Some((Scope::Slots, slot, from, to)),
            _ => None,
        });
        let mut failed: BTreeSet<Slot> = BTreeSet::new();
        let (mut result, mut blocked) = (Ok(()), Ok(()));
        for mut jobs in [keys, slots] {
            if jobs.is_empty() || result.is_err() {
                failed.extend(jobs.iter().flat_map(|job| &job.slots));
                continue;
            }
            if let Err(error) = self.wait_for_service(&jobs).await {
                failed.extend(self.take_held(&mut jobs));
                blocked = Err(error);
                if jobs.is_empty() {
                    continue;
                }
            }
            let reporter = Reporter::new(self.ui, self.view, &jobs, Style::Slots);
            let outcome = Mover::new(self.pool, self.view, self.settings.clone(), &reporter).run(&jobs).await;
            failed.extend(jobs.iter().flat_map(|job| &job.slots));
            outcome.moved.iter().for_each(|done| _ = failed.remove(&done.slot));
            let wanted = jobs.iter().map(|job| job.slots.len()).sum();
            result = outcome.into_result(&self.view.seed().addr, wanted).map(drop);
        }
        let done: Vec<&Repair> = repairs.iter().filter(|repair| !failed.contains(&repair.slot)).collect();
        self.tell(done.iter().flat_map(|repair| &repair.close)).await?;
        self.stage("closed");
        let owners: Vec<SlotMove> =
            done.iter().map(|repair| SlotMove { slot: repair.slot, from: repair.owner, to: repair.home() }).collect();
        let settled = settle::settle(self.pool, self.view, &owners, || {
            self.ui.note("Waiting for all nodes to hear of the new owners...");
        });
        blocked.and(result).and(settled.await)
    }

    fn stage(&self, name: &str) {
        if let Some(journal) = &self.settings.record {
            journal.note(&Record::Stage { name: name.to_owned() });
        }
    }

    /// Guards first, then claims, then the news: each for all slots before the next.
    async fn secure(&self, repairs: &[Repair]) -> Result<(), Error> {
        let wave = |repair: &Repair, step: &Step| match step {
            Step::Own { .. } => 1,
            Step::Stable { node, .. } if *node == repair.owner => 1,
            Step::Assign { .. } => 2,
            _ => 0,
        };
        for number in 0..=2 {
            let steps =
                repairs.iter().flat_map(|repair| repair.secure.iter().filter(move |step| wave(repair, step) == number));
            self.tell(steps).await?;
        }
        Ok(())
    }

    /// Tells every node its steps, in their order; the nodes at the same time.
    async fn tell<'s>(&self, steps: impl Iterator<Item = &'s Step>) -> Result<(), Error> {
        let mut by_node: BTreeMap<NodeId, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            if let Some(node) = addressee(step) {
                by_node.entry(node).or_default().push(step);
            }
        }
        let results = join_all(by_node.iter().map(|(id, steps)| self.tell_one(id, steps))).await;
        Ok(results.into_iter().collect::<Result<(), Failure>>()?)
    }

    async fn tell_one(&self, id: &NodeId, steps: &[&Step]) -> Result<(), Failure> {
        let client = self.pool.client(&self.node(id).addr).await?;
        let claims: Vec<Slot> = steps
            .iter()
            .filter_map(|step| if let Step::Own { slot, .. } = step { Some(*slot) } else { None })
            .collect();
        for slots in claims.chunks(CLAIM) {
            claim(&client, self.node(id), slots).await?;
        }
        let cmds: Vec<Cmd> = steps.iter().filter_map(|step| order(step)).collect();
        for reply in client.pipeline(client.timeouts().reply, &cmds).await? {
            reply?;
        }
        Ok(())
    }

    /// Whether there are keys to be moved.
    fn is_held(&self, job: &Job, slot: Slot) -> bool {
        self.counts.get(&job.from, slot) > 0
    }

    /// Takes the slots out of which keys would have to travel.
    fn take_held(&self, jobs: &mut Vec<Job>) -> Vec<Slot> {
        let mut taken = Vec::new();
        for job in &mut *jobs {
            let (held, rest) = std::mem::take(&mut job.slots).into_iter().partition(|slot| self.is_held(job, *slot));
            job.slots = rest;
            taken.extend::<Vec<Slot>>(held);
        }
        jobs.retain(|job| !job.slots.is_empty());
        taken
    }

    /// Keys travel only between nodes that serve, which they do once all slots are covered.
    async fn wait_for_service(&self, jobs: &[Job]) -> Result<(), Error> {
        let with_keys = jobs.iter().filter(|job| job.slots.iter().any(|slot| self.is_held(job, *slot)));
        let nodes: BTreeSet<NodeId> = with_keys.flat_map(|job| [job.from, job.to]).collect();
        let look = command("CLUSTER INFO");
        wait::until(None, self.serve_limit, async || {
            for id in &nodes {
                let node = self.node(id);
                let info = text_of(&self.pool.call(&node.addr, &look).await?).unwrap_or_default();
                if info_field(&info, "cluster_state") != Some("ok") {
                    return Ok(Look::NotYet(format!("{} does not report cluster_state:ok", node.addr)));
                }
            }
            Ok(Look::Done(()))
        })
        .await
        .map_err(|error| error.hint("slots without an owner keep the nodes from serving: cover them first"))
    }

    fn node(&self, id: &NodeId) -> &Node {
        self.view.node(id).expect("repairs name nodes of the view they were made from")
    }
}

/// Takes the slots over in one transaction, so that there is no moment without an owner, in an epoch that
/// outweighs what others say. Nothing in it may wait: SETSLOT waits for the replicas since Valkey 8, and a server that is
/// to wait within a transaction stops with a failed assertion.
async fn claim(client: &Client, owner: &Node, slots: &[Slot]) -> Result<(), Failure> {
    let mut cmds = vec![command("MULTI")];
    for slot in slots {
        // It may be nobody's, which is an error, or somebody else's, which must not be in the way.
        cmds.push(about("DELSLOTS", *slot));
        cmds.push(about("ADDSLOTS", *slot));
    }
    cmds.push(command("CLUSTER BUMPEPOCH"));
    cmds.push(command("EXEC"));
    let exec = cmds.len() - 1;
    // It may still be giving some away; what it imports is its own now.
    let given = slots.iter().filter(|slot| owner.migrating.contains_key(slot));
    cmds.extend(given.map(|slot| about("SETSLOT", *slot).arg("STABLE").to_owned()));
    let mut replies = client.pipeline(client.timeouts().reply, &cmds).await?;
    let stable = replies.split_off(exec + 1);
    let node = client.addr().clone();
    let Some(Value::Array(results)) = replies.pop().transpose()? else {
        return Err(Failure::Unexpected { node, reason: "EXEC is no list".to_owned() });
    };
    for (slot, result) in slots.iter().zip(results.iter().skip(1).step_by(2)) {
        if let Value::ServerError(e) = result {
            let text = format!("{} {} (slot {slot})", e.code(), e.details().unwrap_or_default());
            return Err(Failure::Reply { node, text });
        }
    }
    stable.into_iter().try_for_each(|reply| reply.map(drop))
}

fn addressee(step: &Step) -> Option<NodeId> {
    match step {
        Step::Stable { node, .. }
        | Step::Importing { node, .. }
        | Step::Disown { node, .. }
        | Step::Own { node, .. }
        | Step::Assign { node, .. } => Some(*node),
        Step::MoveKeys { .. } | Step::MoveSlot { .. } => None,
    }
}

/// The command of a step that is a single one.
fn order(step: &Step) -> Option<Cmd> {
    let setslot = |slot: &Slot, state: &str, node: Option<&NodeId>| {
        let mut cmd = about("SETSLOT", *slot);
        cmd.arg(state);
        if let Some(node) = node {
            cmd.arg(node.as_str());
        }
        cmd
    };
    match step {
        Step::Stable { slot, .. } => Some(setslot(slot, "STABLE", None)),
        Step::Importing { slot, from, .. } => Some(setslot(slot, "IMPORTING", Some(from))),
        Step::Disown { slot, .. } => Some(about("DELSLOTS", *slot)),
        Step::Assign { slot, owner, .. } => Some(setslot(slot, "NODE", Some(owner))),
        Step::Own { .. } | Step::MoveKeys { .. } | Step::MoveSlot { .. } => None,
    }
}

fn about(subcommand: &str, slot: Slot) -> Cmd {
    let mut cmd = command("CLUSTER");
    cmd.arg(subcommand).arg(slot.get());
    cmd
}

/// The moves of one kind, put together by pair of nodes.
fn jobs(repairs: &[Repair], pick: impl Fn(Step) -> Option<(Scope, Slot, NodeId, NodeId)>) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (scope, slot, from, to) in repairs.iter().flat_map(|repair| &repair.gather).copied().filter_map(pick) {
        match jobs.iter_mut().find(|job| job.from == from && job.to == to) {
            Some(job) => job.slots.push(slot),
            None => jobs.push(Job { from, to, slots: vec![slot], scope, half_moved: true }),
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::id;
    use super::*;

    #[test]
    fn steps_become_commands() {
        let slot = Slot::new(7).unwrap();
        let text = |step| order(&step).map(|cmd| String::from_utf8(cmd.get_packed_command()).unwrap());
        let wire = text(Step::Importing { slot, node: id('a'), from: id('b') }).unwrap();
        assert!(wire.ends_with(&format!("SETSLOT\r\n$1\r\n7\r\n$9\r\nIMPORTING\r\n$40\r\n{}\r\n", id('b'))));
        assert!(text(Step::Disown { slot, node: id('a') }).unwrap().contains("DELSLOTS\r\n$1\r\n7\r\n"));
        assert_eq!(text(Step::Own { slot, node: id('a') }), None);
    }

    #[test]
    fn moves_of_a_pair_go_together() {
        let repair = |n: u16, from, to| {
            let slot = Slot::new(n).unwrap();
            let case = crate::trib::plan::fix::Case::CloseOwner;
            let gather = vec![Step::MoveKeys { slot, from: id(from), to: id(to) }];
            let (secure, close) = (Vec::new(), Vec::new());
            Repair { slot, owner: id(to), chosen: true, holders: Vec::new(), case, secure, gather, close }
        };
        let repairs = [repair(1, 'a', 'b'), repair(2, 'c', 'b'), repair(3, 'a', 'b')];
        let found = jobs(&repairs, |step| match step {
            Step::MoveKeys { slot, from, to } => Some((Scope::Keys, slot, from, to)),
            _ => None,
        });
        assert_eq!(found.iter().map(|job| job.slots.len()).collect::<Vec<_>>(), [2, 1]);
    }
}
