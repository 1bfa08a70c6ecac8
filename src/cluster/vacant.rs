//! Slots on their way to this node that their owner claims no more.
//!
//! It has let them go, most likely to this node: an operator who has told the owner, and has not come to tell the new one,
//! must leave no slot without a master. But it may have let them go to another: a move can be begun twice, and who was to
//! have the slot the first time may not have heard of the second. To claim the slot then, with a new epoch, would take it
//! from where its keys are, and they would be deleted there. So all primaries are asked first: who has the slot says so.

use std::collections::BTreeMap;

use super::clock::Clock;
use super::engine::{Engine, Save};
use super::flags::NodeFlags;
use super::node::NodeIdx;
use crate::base::{Millis, Slot};

impl Engine {
    /// Takes the slots for which nobody else has turned up.
    pub(super) fn tick_vacant(&mut self, now: Clock) {
        let vacant: Vec<Slot> = self
            .slots
            .importing()
            .filter(|(slot, from)| self.slots.is_unclaimed(*slot) && self.slots.owner(*slot) == Some(*from))
            .map(|(slot, _)| slot)
            .collect();
        // Not while I am closed, after a restart or with a minority: I may have been replaced without knowing it, the slot
        // may be my successor's, and the new epoch would take all of its slots back with what I had when I went down.
        if vacant.is_empty() || !self.myself().is_primary() || !self.state.is_ok() {
            self.vacant = BTreeMap::new();
            return;
        }
        let before = std::mem::take(&mut self.vacant);
        self.vacant = vacant.into_iter().map(|slot| (slot, before.get(&slot).copied().unwrap_or(now.mono))).collect();
        // Those who were asked before the last of these slots was let go are asked again, and keep them all waiting.
        let since = self.vacant.values().copied().max().unwrap_or(now.mono);
        let silent = self.silent_primaries(since);
        if silent.is_empty() {
            self.take_vacant();
        }
        for idx in silent {
            if self.can_ping(idx) {
                self.ping_node(now, idx);
            }
        }
    }

    /// The primaries that have not answered a PING that was sent since then; of those that a majority calls failed the
    /// slots are lost anyway.
    fn silent_primaries(&self, since: Millis) -> Vec<NodeIdx> {
        self.nodes
            .iter()
            .filter(|(idx, node)| {
                *idx != self.me
                    && node.is_primary()
                    && !node.is(NodeFlags::HANDSHAKE | NodeFlags::NOADDR | NodeFlags::FAIL)
                    && node.answered.is_none_or(|asked| asked < since)
            })
            .map(|(idx, _)| idx)
            .collect()
    }

    fn take_vacant(&mut self) {
        for (slot, _) in std::mem::take(&mut self.vacant) {
            self.slots.set_importing(slot, None);
            self.bind_slot(slot, self.me);
        }
        self.bump_epoch();
        self.todo.broadcast = true;
        self.todo.save = Save::Now;
    }
}
