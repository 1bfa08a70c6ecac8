//! Waiting until every node has heard who owns what.
//!
//! Primaries are told; replicas only hear it on the cluster bus. A command that looks at the cluster right
//! after a move must not find nodes that disagree, so a move ends here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::addr::Addr;
use super::super::client::{Pool, join_all};
use super::super::error::Error;
use super::super::plan::SlotMove;
use super::super::slots::SlotSet;
use super::super::view::{self, ClusterView, Report};
use crate::base::NodeId;

/// Gossip needs half a node timeout at most, and those are rarely longer than this.
const LIMIT: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Waits until all nodes of the view that still answer, replicas included, know the new owners of the
/// slots that have moved. `waiting` is called once when it takes longer than a moment.
pub async fn settle(
    pool: &Pool,
    view: &ClusterView,
    moved: &[SlotMove],
    mut waiting: impl FnMut(),
) -> Result<(), Error> {
    let mut owners: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
    for step in moved {
        owners.entry(step.to).or_default().insert(step.slot);
    }
    let mut behind: Vec<&Addr> = view.reachable().map(|node| &node.addr).collect();
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    while !owners.is_empty() {
        let reports = join_all(behind.iter().map(|addr| view::ask(pool, addr))).await;
        // A node that has died meanwhile has no opinion.
        let knows = |report: &Report| owners.iter().all(|(owner, slots)| owns(report, owner, slots));
        behind = behind
            .into_iter()
            .zip(&reports)
            .filter(|(_, r)| r.as_ref().is_ok_and(|r| !knows(r)))
            .map(|(a, _)| a)
            .collect();
        if behind.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            let names: Vec<String> = behind.iter().map(ToString::to_string).collect();
            return Err(Error::timed_out("[ERR] Nodes don't agree about configuration!")
                .hint(format!("the slots are moved, but these nodes have not heard of it: {}", names.join(", "))));
        }
        if !told && begun.elapsed() > Duration::from_secs(1) {
            told = true;
            waiting();
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

fn owns(report: &Report, owner: &NodeId, slots: &SlotSet) -> bool {
    report.line(owner).is_some_and(|line| slots.is_subset(&line.slots))
}
