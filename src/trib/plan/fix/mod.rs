//! Fix: bring every slot back to one owner that holds all its keys and is in the middle of nothing.
//!
//! What can be lost here is keys, in one way: a primary that owns a slot and hears of a newer owner drops
//! the keys it holds of it. It does not while the slot is IMPORTING there. So a repair has three parts,
//! which the caller runs for all slots one part after the other: *secure* (every holder of keys but the
//! owner-to-be is set to IMPORTING before anybody claims the slot, then the owner claims it), *gather*
//! (keys travel, which servers allow only once every slot is covered), *close* (the guards go away, when
//! nothing is behind them any more). When gathering fails the guards stay, and nothing is lost.

pub mod coverage;
#[cfg(test)]
mod model;
pub mod policy;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{NodeId, SLOTS, Slot};
use crate::trib::slots::SlotSet;
use crate::trib::view::Node;

/// A reachable primary, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    pub id: NodeId,
    /// The slots it says are its own.
    pub slots: SlotSet,
    /// Its open slots, and the node on the other side.
    pub migrating: BTreeMap<Slot, NodeId>,
    pub importing: BTreeMap<Slot, NodeId>,
    /// How many keys it holds of the slots in question; a slot that is not named counts as none.
    pub keys: BTreeMap<Slot, u64>,
}

impl From<&Node> for NodeFacts {
    /// What the node says of itself; its keys have not been counted yet.
    fn from(node: &Node) -> NodeFacts {
        NodeFacts {
            id: node.id,
            slots: node.slots.clone(),
            migrating: node.migrating.clone(),
            importing: node.importing.clone(),
            keys: BTreeMap::new(),
        }
    }
}

/// One thing to tell one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Forget that the slot is migrating or importing.
    Stable { slot: Slot, node: NodeId },
    /// Guard its keys of the slot until they are fetched; refused by an owner of the slot.
    Importing { slot: Slot, node: NodeId, from: NodeId },
    /// Own the slot no more. The keys stay.
    Disown { slot: Slot, node: NodeId },
    /// Own the slot, in an epoch above all others, and forget that it was open.
    Own { slot: Slot, node: NodeId },
    /// Take note that `owner` owns the slot.
    Assign { slot: Slot, node: NodeId, owner: NodeId },
    /// All keys of the slot from one node to another, the slot itself left as it is.
    MoveKeys { slot: Slot, from: NodeId, to: NodeId },
    /// The slot with its keys, and everybody told.
    MoveSlot { slot: Slot, from: NodeId, to: NodeId },
}

impl Step {
    /// The slot it is about.
    #[must_use]
    pub fn slot(mut self) -> Slot {
        *self.slot_mut()
    }

    /// The same step for another slot.
    #[must_use]
    pub fn at(mut self, other: Slot) -> Step {
        *self.slot_mut() = other;
        self
    }

    fn slot_mut(&mut self) -> &mut Slot {
        match self {
            Step::Stable { slot, .. }
            | Step::Importing { slot, .. }
            | Step::Disown { slot, .. }
            | Step::Own { slot, .. }
            | Step::Assign { slot, .. }
            | Step::MoveKeys { slot, .. }
            | Step::MoveSlot { slot, .. } => slot,
        }
    }
}

/// The situation a repair was made for, numbered as operators know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Case 1: the owner migrates, one node imports: the move is finished.
    Finish { from: NodeId, to: NodeId },
    /// Case 2: nobody migrates, but others import or hold keys: the keys come home.
    BringHome { keys: u64 },
    /// Case 3: several import, the one that was meant is among them: the move is finished, the others closed.
    FinishOne { from: NodeId, to: NodeId },
    /// Case 3: several import, none of them was meant.
    CloseAll,
    /// Case 4: the owner migrates and nobody imports.
    CloseOwner,
}

/// How one slot is put in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub slot: Slot,
    /// Who owns the slot before keys travel.
    pub owner: NodeId,
    /// Whether the owner had to be chosen: nobody or several claimed the slot.
    pub chosen: bool,
    /// Who else holds keys of the slot, and how many.
    pub holders: Vec<(NodeId, u64)>,
    pub case: Case,
    pub secure: Vec<Step>,
    pub gather: Vec<Step>,
    pub close: Vec<Step>,
}

/// The slots that something is wrong with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Migrating or importing somewhere.
    pub open: BTreeSet<Slot>,
    /// Owned by no reachable primary, and not open.
    pub uncovered: BTreeSet<Slot>,
    /// Owned by more than one, or with keys where they do not belong, and not open.
    pub contested: BTreeSet<Slot>,
}

/// Sorts out which slots need a repair. Keys in the wrong place are seen as far as `keys` tells of them.
#[must_use]
pub fn problems(nodes: &[NodeFacts]) -> Problems {
    let mut owners = vec![0usize; SLOTS];
    let mut found = Problems::default();
    for node in nodes {
        node.slots.iter().for_each(|slot| owners[slot.index()] += 1);
        found.open.extend(node.migrating.keys().chain(node.importing.keys()));
    }
    for slot in Slot::all().filter(|slot| !found.open.contains(slot)) {
        match owners[slot.index()] {
            0 => _ = found.uncovered.insert(slot),
            1 => {}
            2.. => _ = found.contested.insert(slot),
        }
    }
    let astray = nodes.iter().flat_map(|node| {
        node.keys.iter().filter(|&(slot, &keys)| keys > 0 && !node.slots.contains(*slot)).map(|(&slot, _)| slot)
    });
    found.contested.extend(astray.filter(|slot| owners[slot.index()] > 0 && !found.open.contains(slot)));
    found
}

impl Repair {
    /// Who owns the slot in the end.
    #[must_use]
    pub fn home(&self) -> NodeId {
        match self.case {
            Case::Finish { to, .. } | Case::FinishOne { to, .. } => to,
            Case::BringHome { .. } | Case::CloseAll | Case::CloseOwner => self.owner,
        }
    }
}

impl NodeFacts {
    /// How many keys of the slot it holds, as far as known.
    #[must_use]
    pub fn holds(&self, slot: Slot) -> u64 {
        self.keys.get(&slot).copied().unwrap_or(0)
    }

    fn is_open(&self, slot: Slot) -> bool {
        self.migrating.contains_key(&slot) || self.importing.contains_key(&slot)
    }
}

/// The repair of a slot that is open or contested. `None` when there are no nodes.
#[must_use]
pub fn repair(slot: Slot, nodes: &[NodeFacts]) -> Option<Repair> {
    let owner = choose_owner(slot, nodes)?;
    Some(repair_with(slot, owner, nodes))
}

/// The one that claims the slot; of several, or where nobody does, the one with most keys; without keys
/// one that prepared to import, then one that was to give it away, then the one with the fewest slots.
fn choose_owner(slot: Slot, nodes: &[NodeFacts]) -> Option<NodeId> {
    let claimed = nodes.iter().any(|node| node.slots.contains(slot));
    let candidates = nodes.iter().enumerate().filter(|(_, node)| !claimed || node.slots.contains(slot));
    let best = candidates.max_by_key(|&(index, node)| {
        (
            node.holds(slot),
            node.importing.contains_key(&slot),
            node.migrating.contains_key(&slot),
            std::cmp::Reverse((node.slots.len(), index)),
        )
    });
    best.map(|(_, node)| node.id)
}

/// The repair that makes `owner`, one of `nodes`, the owner, or the source of the move it is in.
fn repair_with(slot: Slot, owner: NodeId, nodes: &[NodeFacts]) -> Repair {
    let owning = nodes.iter().find(|node| node.id == owner).expect("the owner is one of the nodes");
    let others: Vec<&NodeFacts> = nodes.iter().filter(|node| node.id != owner).collect();
    let chosen = nodes.iter().filter(|node| node.slots.contains(slot)).count() != 1;
    let holders: Vec<(NodeId, u64)> =
        others.iter().map(|node| (node.id, node.holds(slot))).filter(|&(_, keys)| keys > 0).collect();
    // Whoever is part of it: imports, or has keys that are not where clients look for them.
    let parties = others.iter().filter(|n| n.importing.contains_key(&slot) || n.holds(slot) > 0).count();
    let migrating = owning.migrating.get(&slot).copied().filter(|_| !chosen);
    let target = migrating.and_then(|meant| finish_at(slot, meant, &others));

    let (mut secure, mut gather, mut close) = (Vec::new(), Vec::new(), Vec::new());
    let mut guarded = Vec::new();
    for node in &others {
        let id = node.id;
        let claims = node.slots.contains(slot);
        if claims {
            if node.is_open(slot) {
                secure.push(Step::Stable { slot, node: id });
            }
            secure.push(Step::Disown { slot, node: id });
        }
        let guards = node.importing.contains_key(&slot) && !claims;
        let needs_guard = node.holds(slot) > 0 || target == Some(id);
        if needs_guard && !guards {
            secure.push(Step::Importing { slot, node: id, from: owner });
        }
        if needs_guard || (node.is_open(slot) && !claims) {
            guarded.push(id);
        }
    }
    if chosen {
        secure.push(Step::Own { slot, node: owner });
    } else if target.is_none() && owning.is_open(slot) {
        secure.push(Step::Stable { slot, node: owner });
    }
    for node in &others {
        // A node that gives up keys has to know an owner, or it refuses to let them go.
        if chosen || node.holds(slot) > 0 {
            secure.push(Step::Assign { slot, node: node.id, owner });
        }
    }
    let home = target.unwrap_or(owner);
    for &(from, _) in holders.iter().filter(|&&(from, _)| from != home) {
        gather.push(Step::MoveKeys { slot, from, to: home });
    }
    if let Some(to) = target {
        gather.push(Step::MoveSlot { slot, from: owner, to });
    }
    close.extend(guarded.into_iter().filter(|&node| node != home).map(|node| Step::Stable { slot, node }));

    let case = match (migrating, target, parties) {
        (Some(_), Some(to), 1) => Case::Finish { from: owner, to },
        (_, Some(to), _) => Case::FinishOne { from: owner, to },
        (Some(_), None, 0) => Case::CloseOwner,
        (Some(_), None, 2..) => Case::CloseAll,
        _ => Case::BringHome { keys: holders.iter().map(|&(_, keys)| keys).sum() },
    };
    Repair { slot, owner, chosen, holders, case, secure, gather, close }
}

/// Where a migration of the slot can be finished: at the node it was meant for, when that one has begun
/// to import; when that one is gone, at the only one that imports.
fn finish_at(slot: Slot, meant: NodeId, others: &[&NodeFacts]) -> Option<NodeId> {
    match others.iter().find(|node| node.id == meant) {
        Some(node) => (node.importing.contains_key(&slot) || node.holds(slot) > 0).then_some(meant),
        None => {
            let mut importing = others.iter().filter(|node| node.importing.contains_key(&slot));
            match (importing.next(), importing.next()) {
                (Some(only), None) => Some(only.id),
                _ => None,
            }
        }
    }
}
