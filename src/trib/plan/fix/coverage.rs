//! Slots that nobody owns: who is to own them.
//!
//! Keys decide where there are any. Slots without keys are spread over the primaries so that those with
//! few slots catch up, in ranges as long as possible: a table of short ranges is slow to read, for people
//! and for clients.

use std::collections::BTreeSet;

use super::{NodeFacts, Repair, choose_owner, repair_with};
use crate::base::{NodeId, Slot};

/// Repairs of uncovered slots, by where their keys are: what the operator is asked about one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// No reachable primary has keys.
    pub none: Vec<Repair>,
    /// One has.
    pub single: Vec<Repair>,
    /// Several have: the keys have to be brought together.
    pub multi: Vec<Repair>,
}

impl Coverage {
    pub fn all(&self) -> impl Iterator<Item = &Repair> {
        [&self.none, &self.single, &self.multi].into_iter().flatten()
    }
}

/// Finds an owner for each of `uncovered`. Without nodes there is nobody to own anything.
#[must_use]
pub fn cover(uncovered: &BTreeSet<Slot>, nodes: &[NodeFacts]) -> Coverage {
    let mut coverage = Coverage::default();
    let mut without_keys = Vec::new();
    for &slot in uncovered {
        match nodes.iter().filter(|node| node.holds(slot) > 0).count() {
            0 => without_keys.push(slot),
            holders => {
                let owner = choose_owner(slot, nodes).expect("somebody holds keys");
                let repair = repair_with(slot, owner, nodes);
                if holders == 1 { &mut coverage.single } else { &mut coverage.multi }.push(repair);
            }
        }
    }
    let mut slots = without_keys.into_iter();
    for (owner, share) in spread(slots.len(), nodes) {
        coverage.none.extend(slots.by_ref().take(share).map(|slot| repair_with(slot, owner, nodes)));
    }
    coverage
}

/// Hands out `count` slots so that the smallest become as big as possible, a part for each node.
fn spread(mut count: usize, nodes: &[NodeFacts]) -> Vec<(NodeId, usize)> {
    let mut sizes: Vec<(usize, usize)> = nodes.iter().map(|node| node.slots.len()).zip(0..).collect();
    sizes.sort_unstable();
    let mut parts = vec![0; nodes.len()];
    // Raise the lowest to the level of the next, then both to the one after: water in a stepped basin.
    for raised in 1..=sizes.len() {
        let level = sizes[raised - 1].0;
        let room = sizes.get(raised).map_or(usize::MAX, |&(next, _)| (next - level) * raised);
        let poured = count.min(room);
        for (position, &(_, index)) in sizes[..raised].iter().enumerate() {
            parts[index] += poured / raised + usize::from(position < poured % raised);
        }
        count -= poured;
        if count == 0 {
            break;
        }
    }
    nodes.iter().map(|node| node.id).zip(parts).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::super::testkit::{id, owning};
    use super::*;

    fn facts(counts: &[usize]) -> Vec<NodeFacts> {
        let facts = owning(counts).into_iter().map(|primary| NodeFacts {
            id: primary.id,
            slots: primary.slots,
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            keys: BTreeMap::new(),
        });
        facts.collect()
    }

    fn uncovered(nodes: &[NodeFacts]) -> BTreeSet<Slot> {
        Slot::all().filter(|slot| nodes.iter().all(|node| !node.slots.contains(*slot))).collect()
    }

    #[test]
    fn keys_decide_and_the_rest_is_spread_in_ranges() {
        let mut nodes = facts(&[8000, 6000, 0]);
        let slot = |n| Slot::new(n).unwrap();
        nodes[1].keys.insert(slot(14001), 3);
        nodes[0].keys.insert(slot(14002), 1);
        nodes[1].keys.insert(slot(14002), 2);
        let coverage = cover(&uncovered(&nodes), &nodes);
        let owners = |repairs: &[Repair]| repairs.iter().map(|r| (r.slot.get(), r.owner)).collect::<Vec<_>>();
        assert_eq!(owners(&coverage.single), [(14001, id(1))]);
        assert_eq!(owners(&coverage.multi), [(14002, id(1))]);
        assert_eq!(coverage.none.len(), 2382);
        assert!(coverage.none.iter().all(|repair| repair.owner == id(2)), "the empty one has room for all");
        assert_eq!(cover(&uncovered(&[]), &[]), Coverage::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_smallest_catch_up(counts in prop::collection::vec(0usize..3000, 1..5)) {
            let nodes = facts(&counts);
            let missing = uncovered(&nodes);
            let coverage = cover(&missing, &nodes);
            let covered: BTreeSet<Slot> = coverage.none.iter().map(|repair| repair.slot).collect();
            prop_assert_eq!(&covered, &missing);
            let given = |node: &NodeFacts| coverage.none.iter().filter(|r| r.owner == node.id).count();
            let least = nodes.iter().map(|node| node.slots.len() + given(node)).min().unwrap();
            for node in &nodes {
                // Whoever was given anything is as small as the smallest, within one.
                prop_assert!(given(node) == 0 || node.slots.len() + given(node) <= least + 1);
            }
            // One range of the list for each node.
            let mut owners: Vec<NodeId> = coverage.none.iter().map(|repair| repair.owner).collect();
            owners.dedup();
            prop_assert!(owners.len() <= nodes.len());
        }
    }
}
