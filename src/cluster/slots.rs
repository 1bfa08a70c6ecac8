//! Who owns each slot, and which slots are open (on their way from or to this node).
//!
//! One owner per slot is the only truth; a node's own set is derived from it where a bitmap or the
//! ranges are asked for, so that the two can never disagree and a thousand nodes cost no thousand bitmaps.

use std::collections::BTreeMap;

use super::bitmap::{self, Bitmap};
use super::node::NodeIdx;
use crate::base::{Millis, NodeId, SLOTS, Slot};

/// A slot that was handed over to this node.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Who had it.
    pub from: NodeId,
    /// An operator has ordered it. Else the two have agreed on it, and the one who had it may still think better of it.
    pub ordered: bool,
    /// Monotonic.
    pub at: Millis,
}

/// What is known of a node's slots without looking at the owners.
#[derive(Clone, Copy, Debug)]
struct Held {
    count: usize,
    /// It has none below this one: most nodes have a few slots side by side, and who wants them need not look at all.
    from: Slot,
}

#[derive(Debug)]
pub struct SlotTable {
    owners: Vec<Option<NodeIdx>>,
    /// Of nodes that have slots.
    held: BTreeMap<NodeIdx, Held>,
    assigned: usize,
    /// Slots whose owner has stopped claiming them: still bound, free for the next who claims.
    unclaimed: Box<Bitmap>,
    migrating: BTreeMap<Slot, NodeIdx>,
    importing: BTreeMap<Slot, NodeIdx>,
    /// When an operator last bound a slot to another node or opened it for import: monotonic.
    ordered: BTreeMap<Slot, Millis>,
    /// Slots that were handed over to this node, until the one who had them is heard without them.
    taken: BTreeMap<Slot, Taken>,
    version: u64,
}

impl Default for SlotTable {
    fn default() -> SlotTable {
        SlotTable {
            owners: vec![None; SLOTS],
            held: BTreeMap::new(),
            assigned: 0,
            unclaimed: Box::new(bitmap::EMPTY),
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            ordered: BTreeMap::new(),
            taken: BTreeMap::new(),
            version: 0,
        }
    }
}

impl SlotTable {
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<NodeIdx> {
        self.owners[slot.index()]
    }

    /// Slots bound to a node.
    #[must_use]
    pub fn count(&self, node: NodeIdx) -> usize {
        self.held.get(&node).map_or(0, |held| held.count)
    }

    /// Slots bound to any node.
    #[must_use]
    pub fn assigned(&self) -> usize {
        self.assigned
    }

    /// Changes with every change of an owner or a claim.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Binds a slot, whoever had it. Returns whether the owner changed.
    pub fn assign(&mut self, slot: Slot, node: NodeIdx) -> bool {
        self.set_unclaimed(slot, false);
        if self.owners[slot.index()] == Some(node) {
            return false;
        }
        self.unassign(slot);
        self.ordered.remove(&slot);
        self.taken.remove(&slot);
        self.owners[slot.index()] = Some(node);
        let held = self.held.entry(node).or_insert(Held { count: 0, from: slot });
        held.count += 1;
        held.from = held.from.min(slot);
        self.assigned += 1;
        self.version += 1;
        true
    }

    /// Unbinds a slot. Returns whether it was bound.
    pub fn unassign(&mut self, slot: Slot) -> bool {
        self.set_unclaimed(slot, false);
        let Some(old) = self.owners[slot.index()].take() else {
            return false;
        };
        self.assigned -= 1;
        self.version += 1;
        match self.held.get_mut(&old) {
            Some(held) if held.count > 1 => held.count -= 1,
            _ => {
                self.held.remove(&old);
            }
        }
        true
    }

    /// Unbinds all slots of a node. Returns how many there were.
    pub fn unassign_all(&mut self, node: NodeIdx) -> usize {
        let slots: Vec<Slot> = self.of(node).collect();
        for slot in &slots {
            self.unassign(*slot);
        }
        slots.len()
    }

    /// The nodes that have slots.
    pub fn owners(&self) -> impl Iterator<Item = NodeIdx> + '_ {
        self.held.keys().copied()
    }

    /// The slots of a node in ascending order.
    pub fn of(&self, node: NodeIdx) -> impl Iterator<Item = Slot> + '_ {
        let (count, from) = self.held.get(&node).map_or((0, 0), |held| (held.count, held.from.index()));
        let owners = self.owners.iter().enumerate().skip(from);
        let mine = owners.filter(move |(_, owner)| **owner == Some(node)).take(count);
        mine.filter_map(|(index, _)| Slot::new(index as u16))
    }

    /// The slots of a node as packets carry them.
    #[must_use]
    pub fn bitmap_of(&self, node: NodeIdx) -> Box<Bitmap> {
        bitmap::collect(self.of(node))
    }

    /// The same without those the node has stopped claiming: what an UPDATE may say about it.
    #[must_use]
    pub fn claimed_bitmap_of(&self, node: NodeIdx) -> Box<Bitmap> {
        bitmap::collect(self.of(node).filter(|slot| !self.is_unclaimed(*slot)))
    }

    /// The contiguous ranges of every owner, each in ascending order, from one walk over the table.
    #[must_use]
    pub fn ranges(&self) -> BTreeMap<NodeIdx, Vec<(Slot, Slot)>> {
        let mut ranges: BTreeMap<NodeIdx, Vec<(Slot, Slot)>> = BTreeMap::new();
        let slot = |index: usize| Slot::new(index as u16);
        let mut first = 0;
        for run in self.owners.chunk_by(|a, b| a == b) {
            let last = first + run.len() - 1;
            if let (Some(node), Some(from), Some(to)) = (run[0], slot(first), slot(last)) {
                ranges.entry(node).or_default().push((from, to));
            }
            first = last + 1;
        }
        ranges
    }

    #[must_use]
    pub fn is_unclaimed(&self, slot: Slot) -> bool {
        bitmap::contains(&self.unclaimed, slot)
    }

    pub fn set_unclaimed(&mut self, slot: Slot, unclaimed: bool) {
        if self.is_unclaimed(slot) != unclaimed {
            self.version += 1;
            if unclaimed {
                bitmap::insert(&mut self.unclaimed, slot);
            } else {
                bitmap::remove(&mut self.unclaimed, slot);
            }
        }
    }

    /// The node a slot of mine is on its way to.
    #[must_use]
    pub fn migrating_to(&self, slot: Slot) -> Option<NodeIdx> {
        self.migrating.get(&slot).copied()
    }

    /// The node a slot comes to me from.
    #[must_use]
    pub fn importing_from(&self, slot: Slot) -> Option<NodeIdx> {
        self.importing.get(&slot).copied()
    }

    /// An operator has said something about a slot that its owner may have to hear yet.
    pub fn note_order(&mut self, slot: Slot, at: Millis) {
        self.ordered.insert(slot, at);
    }

    /// When that was, if the slot has not gone to another by itself since.
    #[must_use]
    pub fn ordered_at(&self, slot: Slot) -> Option<Millis> {
        self.ordered.get(&slot).copied()
    }

    /// A slot of mine was handed over. Who had it may not know it yet.
    pub fn note_taken(&mut self, slot: Slot, taken: Taken) {
        self.taken.insert(slot, taken);
    }

    /// How that was, as long as the one who had it has not been heard without it.
    #[must_use]
    pub fn taken(&self, slot: Slot) -> Option<Taken> {
        self.taken.get(&slot).copied()
    }

    /// A node was heard, and this is what it claims.
    pub fn note_let_go(&mut self, node: &NodeId, claimed: &Bitmap) {
        self.taken.retain(|slot, taken| taken.from != *node || bitmap::contains(claimed, *slot));
    }

    pub fn set_migrating(&mut self, slot: Slot, to: Option<NodeIdx>) {
        match to {
            Some(node) => self.migrating.insert(slot, node),
            None => self.migrating.remove(&slot),
        };
    }

    pub fn set_importing(&mut self, slot: Slot, from: Option<NodeIdx>) {
        match from {
            Some(node) => self.importing.insert(slot, node),
            None => self.importing.remove(&slot),
        };
    }

    /// Open slots on their way out, with their targets.
    pub fn migrating(&self) -> impl Iterator<Item = (Slot, NodeIdx)> + '_ {
        self.migrating.iter().map(|(slot, node)| (*slot, *node))
    }

    /// Open slots on their way in, with their sources.
    pub fn importing(&self) -> impl Iterator<Item = (Slot, NodeIdx)> + '_ {
        self.importing.iter().map(|(slot, node)| (*slot, *node))
    }

    pub fn close_all(&mut self) {
        self.migrating.clear();
        self.importing.clear();
    }

    /// References to `old` in open slots become references to `new`, or go away.
    pub fn redirect_open(&mut self, old: NodeIdx, new: Option<NodeIdx>) {
        for open in [&mut self.migrating, &mut self.importing] {
            match new {
                Some(new) => open.values_mut().filter(|node| **node == old).for_each(|node| *node = new),
                None => open.retain(|_, node| *node != old),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(n: u16) -> Slot {
        Slot::new(n).unwrap()
    }

    #[test]
    fn ranges_end_where_the_owner_changes() {
        let (a, b) = (NodeIdx::for_test(1), NodeIdx::for_test(2));
        let mut table = SlotTable::default();
        for n in [0, 1, 2, 5, 7, 16383] {
            table.assign(slot(n), a);
        }
        table.assign(slot(6), b);
        let ranges = table.ranges();
        let plain = |node| ranges[&node].iter().map(|(x, y)| (x.get(), y.get())).collect::<Vec<_>>();
        assert_eq!(plain(a), [(0, 2), (5, 5), (7, 7), (16383, 16383)]);
        assert_eq!(plain(b), [(6, 6)]);
    }

    #[test]
    fn a_slot_that_changes_hands_is_claimed_again() {
        let (a, b) = (NodeIdx::for_test(1), NodeIdx::for_test(2));
        let mut table = SlotTable::default();
        table.assign(slot(3), a);
        table.set_unclaimed(slot(3), true);
        assert_eq!(bitmap::count(&table.claimed_bitmap_of(a)), 0);
        assert!(table.assign(slot(3), b));
        assert!(!table.is_unclaimed(slot(3)));
    }

    proptest! {
        #[test]
        fn counts_follow_owners(steps in proptest::collection::vec((0u16..64, 0u32..4), 0..300)) {
            let mut table = SlotTable::default();
            let mut model: BTreeMap<u16, u32> = BTreeMap::new();
            for (s, node) in steps {
                if node == 0 {
                    prop_assert_eq!(table.unassign(slot(s)), model.remove(&s).is_some());
                } else {
                    let changed = model.insert(s, node) != Some(node);
                    prop_assert_eq!(table.assign(slot(s), NodeIdx::for_test(node)), changed);
                }
            }
            prop_assert_eq!(table.assigned(), model.len());
            for node in 1..4 {
                let idx = NodeIdx::for_test(node);
                let expected: Vec<u16> = model.iter().filter(|(_, n)| **n == node).map(|(s, _)| *s).collect();
                prop_assert_eq!(table.count(idx), expected.len());
                prop_assert_eq!(table.of(idx).map(Slot::get).collect::<Vec<_>>(), expected);
            }
        }
    }
}
