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
use super::super::wait::{self, Look};
use crate::base::NodeId;

/// Gossip needs half a node timeout at most, and those are rarely longer than this.
const LIMIT: Duration = Duration::from_secs(60);
const SAY_AFTER: Duration = Duration::from_secs(1);

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
    if owners.is_empty() {
        return Ok(());
    }
    let mut behind: Vec<&Addr> = view.reachable().map(|node| &node.addr).collect();
    let begun = Instant::now();
    let mut said = false;
    let result = wait::until(None, LIMIT, async || {
        let reports = join_all(behind.iter().map(|addr| view::ask(pool, addr))).await;
        // A node that has died meanwhile has no opinion.
        let differs = |report: &Report| owners.iter().any(|(owner, slots)| !owns(report, owner, slots));
        let mut reports = reports.iter();
        behind.retain(|_| reports.next().is_some_and(|report| report.as_ref().is_ok_and(differs)));
        let Some(first) = behind.first() else { return Ok(Look::Done(())) };
        if !said && begun.elapsed() > SAY_AFTER {
            said = true;
            waiting();
        }
        Ok(Look::NotYet(format!("{first} has not heard of the new owners")))
    });
    result.await.map_err(|error| error.hint("the slots are moved; see 'trib check' for who disagrees"))
}

fn owns(report: &Report, owner: &NodeId, slots: &SlotSet) -> bool {
    report.line(owner).is_some_and(|line| slots.is_subset(&line.slots))
}

#[cfg(test)]
mod tests {
    use super::super::super::view::tests::{id, small};
    use super::*;
    use crate::base::Slot;

    #[test]
    fn an_owner_owns_at_least_the_slots_in_question() {
        let view = small();
        let report = view.seed().report.as_ref().unwrap();
        let slots = |numbers: &[u16]| numbers.iter().filter_map(|&n| Slot::new(n)).collect::<SlotSet>();
        assert!(owns(report, &id('a'), &slots(&[0, 8191])));
        assert!(!owns(report, &id('a'), &slots(&[0, 8192])));
        assert!(!owns(report, &id('z'), &slots(&[0])));
    }
}
