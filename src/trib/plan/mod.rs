//! The planners: pure functions from what was seen to what is to be done.
//!
//! Nothing here touches a socket or a clock. A planner is handed plain facts (who owns which slots, who
//! holds keys of which slot) and returns typed steps, which the caller shows, asks about and applies.

pub mod balance;
pub mod create;
pub mod drain;
pub mod failed;
pub mod fix;
pub mod flow;
pub mod rebalance;
pub mod reshard;
pub mod roles;
pub mod roll;
pub mod spread;
pub mod weights;

use super::slots::SlotSet;
use super::view::Node;
use crate::base::{NodeId, Slot};

/// A primary as the slot planners see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    pub id: NodeId,
    pub slots: SlotSet,
}

impl From<&Node> for Primary {
    fn from(node: &Node) -> Primary {
        Primary { id: node.id, slots: node.slots.clone() }
    }
}

/// One slot that changes hands, with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotMove {
    pub slot: Slot,
    pub from: NodeId,
    pub to: NodeId,
}

/// Slots that change hands between one pair of primaries, in the order they are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub from: NodeId,
    pub to: NodeId,
    pub slots: Vec<Slot>,
}

/// The moves of a transfer, one by one.
pub fn moves(transfer: &Transfer) -> impl Iterator<Item = SlotMove> + '_ {
    transfer.slots.iter().map(|&slot| SlotMove { slot, from: transfer.from, to: transfer.to })
}

#[cfg(test)]
pub(crate) mod testkit {
    //! Small clusters for the planners' tests.

    use super::{Primary, SlotMove};
    use crate::base::{NodeId, Slot};

    /// An id that is recognisable in a failure message: the digit `n` repeated, `n` below 36.
    pub fn id(n: usize) -> NodeId {
        let digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[n];
        NodeId::parse(&[digit; 40]).expect("40 lower-case letters or digits")
    }

    /// Primaries 0, 1, … owning that many slots each, dealt out in ascending order.
    pub fn owning(counts: &[usize]) -> Vec<Primary> {
        let mut slots = Slot::all();
        counts
            .iter()
            .enumerate()
            .map(|(n, &count)| Primary { id: id(n), slots: slots.by_ref().take(count).collect() })
            .collect()
    }

    /// Carries the moves out; panics where a slot is moved that its source does not own at that time.
    pub fn apply(primaries: &mut [Primary], moves: &[SlotMove]) {
        for step in moves {
            let from = primaries.iter_mut().find(|p| p.id == step.from).expect("a known source");
            assert!(from.slots.contains(step.slot), "slot {} is not at its source", step.slot);
            from.slots.remove(step.slot);
            let to = primaries.iter_mut().find(|p| p.id == step.to).expect("a known target");
            assert!(!to.slots.contains(step.slot), "slot {} is already at its target", step.slot);
            to.slots.insert(step.slot);
        }
    }
}
