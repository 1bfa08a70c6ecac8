//! Waiting until every node has heard who owns what.
//!
//! Primaries are told; replicas only hear it on the cluster bus. A command that looks at the cluster right
//! after a move must not find nodes that disagree, so a move ends here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::addr::Addr;
use super::super::client::{Pool, join_all};
use super::super::error::Error;
use super::super::harmony;
use super::super::plan::SlotMove;
use super::super::slots::SlotSet;
use super::super::view::{self, ClusterView, Node, Report};
use super::super::wait::{self, Look};
use crate::base::{NodeId, Slot};

/// Gossip needs half a node timeout at most, and those are rarely longer than this.
const LIMIT: Duration = Duration::from_secs(60);
const SAY_AFTER: Duration = Duration::from_secs(1);
/// Packets on their way have arrived by then; also between two tries.
const TELL_AFTER: Duration = Duration::from_millis(300);

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
    let mut told = begun;
    let result = wait::until(None, LIMIT, async || {
        let reports = join_all(behind.iter().map(|addr| view::ask(pool, addr))).await;
        for report in reports.iter().flatten() {
            inherit(&mut owners, report);
        }
        // A node that has died meanwhile has no opinion.
        let differs = |report: &Report| owners.iter().any(|(owner, slots)| !owns(report, owner, slots));
        let mut reports = reports.iter();
        behind.retain(|_| reports.next().is_some_and(|report| report.as_ref().is_ok_and(differs)));
        let Some(first) = behind.first() else { return Ok(Look::Done(())) };
        if !said && begun.elapsed() > SAY_AFTER {
            said = true;
            waiting();
        }
        if told.elapsed() > TELL_AFTER {
            tell_again(pool, view, &owners).await;
            told = Instant::now();
        }
        Ok(Look::NotYet(format!("{first} has not heard of the new owners")))
    });
    result.await.map_err(|error| error.hint("the slots are moved; see 'trib check' for who disagrees"))
}

/// A new owner that replicates another node by now has been taken over by that.
fn inherit(owners: &mut BTreeMap<NodeId, SlotSet>, report: &Report) {
    let own = report.own();
    if let Some(heir) = own.primary
        && let Some(slots) = owners.remove(&own.id)
    {
        owners.entry(heir).or_default().extend_from(&slots);
    }
}

/// Tells primaries once more who owns what. Whoever cannot be told is waited for like everybody else.
async fn tell_again(pool: &Pool, view: &ClusterView, owners: &BTreeMap<NodeId, SlotSet>) {
    let Ok(now) = ClusterView::load(pool, &view.seed().addr).await else { return };
    let missing = unheard(&now, owners);
    join_all(missing.iter().map(|(node, owners)| harmony::tell(pool, node, owners))).await;
}

/// Primaries that take others for the owners, with the slots, where nobody else says that a slot is his own.
fn unheard<'v>(
    view: &'v ClusterView,
    owners: &BTreeMap<NodeId, SlotSet>,
) -> Vec<(&'v Node, BTreeMap<NodeId, SlotSet>)> {
    let is_free = |slot: Slot, owner: &NodeId| view.owners_of(slot).all(|other| other.id == *owner);
    let missing = |node: &Node| -> BTreeMap<NodeId, SlotSet> {
        let Ok(report) = &node.report else { return BTreeMap::new() };
        let of_one = owners.iter().map(|(owner, slots)| {
            let known = report.line(owner).map(|line| &line.slots);
            let is_missing = |slot: &Slot| !known.is_some_and(|known| known.contains(*slot)) && is_free(*slot, owner);
            (*owner, slots.iter().filter(is_missing).collect::<SlotSet>())
        });
        of_one.filter(|(_, slots)| !slots.is_empty()).collect()
    };
    let told = view.primaries().map(|node| (node, missing(node)));
    told.filter(|(_, owners)| !owners.is_empty()).collect()
}

fn owns(report: &Report, owner: &NodeId, slots: &SlotSet) -> bool {
    report.line(owner).is_some_and(|line| slots.is_subset(&line.slots))
}

#[cfg(test)]
mod tests {
    use super::super::super::view::tests::{id, pair, small};
    use super::*;

    #[test]
    fn an_owner_owns_at_least_the_slots_in_question() {
        let view = small();
        let report = view.seed().report.as_ref().unwrap();
        let slots = |numbers: &[u16]| numbers.iter().filter_map(|&n| Slot::new(n)).collect::<SlotSet>();
        assert!(owns(report, &id('a'), &slots(&[0, 8191])));
        assert!(!owns(report, &id('a'), &slots(&[0, 8192])));
        assert!(!owns(report, &id('z'), &slots(&[0])));
    }

    #[test]
    fn who_takes_an_owner_s_place_owns_its_slots() {
        let view = small();
        let slots: SlotSet = [3, 4].into_iter().filter_map(Slot::new).collect();
        let mut owners = BTreeMap::from([(id('c'), slots.clone()), (id('b'), SlotSet::new())]);
        for node in view.reachable() {
            inherit(&mut owners, node.report.as_ref().unwrap());
        }
        let primary = view.node(&id('c')).unwrap().primary.expect("it is a replica");
        assert_eq!(owners.get(&primary).map(SlotSet::to_string), Some(slots.to_string()));
        assert!(!owners.contains_key(&id('c')) && owners.contains_key(&id('b')));
    }

    #[test]
    fn who_lost_a_slot_again_is_told_unless_somebody_claims_it() {
        // 3 and 4 have moved from b to a, who does not know of 3, and b has kept 4.
        let view = pair(["0-2", "3-9"], ["4-9", "0-3"]);
        let slots = |numbers: &[u16]| numbers.iter().filter_map(|&n| Slot::new(n)).collect::<SlotSet>();
        let found = unheard(&view, &BTreeMap::from([(id('a'), slots(&[3, 4]))]));
        let found: Vec<_> = found.iter().map(|(node, owners)| (node.id, owners[&id('a')].to_string())).collect();
        assert_eq!(found, [(id('a'), "3".to_owned())]);
    }
}
