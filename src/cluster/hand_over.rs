//! Slots that change hands by an atomic migration: the target claims them when their source has granted it.
//!
//! The data travels elsewhere; the engine knows only which slots this node has granted to whom, and what follows for
//! claims and epochs.

use std::collections::BTreeMap;

use super::clock::Clock;
use super::engine::{Engine, Save};
use super::io::LogLevel;
use super::node::NodeIdx;
use super::slots::Taken;
use crate::base::{NodeId, Slot};

/// Slots of mine whose new owner may claim them, whatever the epochs.
#[derive(Debug, Default)]
pub(super) struct Granted(BTreeMap<Slot, NodeId>);

impl Engine {
    /// As the source of migrations: these slots, and no others, are granted to these nodes.
    pub fn grant(&mut self, granted: impl IntoIterator<Item = (Slot, NodeId)>) {
        self.granted = Granted(granted.into_iter().collect());
    }

    /// Whether `sender`, or the shard it belongs to now, was granted a slot of mine.
    pub(super) fn is_granted(&self, slot: Slot, sender: NodeIdx) -> bool {
        let Some(id) = self.granted.0.get(&slot) else { return false };
        self.nodes[sender].id == *id || self.nodes.find(id).is_some_and(|target| self.same_shard(target, sender))
    }

    /// As the target of a migration whose source has granted them: takes these slots with a new epoch, saves, and tells
    /// everybody. The source has stopped writes, so nobody contends.
    pub fn take_over(&mut self, now: Clock, slots: impl IntoIterator<Item = Slot>) {
        for slot in slots {
            let source = self.slots.owner(slot).filter(|owner| *owner != self.me);
            self.slots.set_importing(slot, None);
            self.bind_slot(slot, self.me);
            if let Some(source) = source {
                let from = self.nodes[source].id;
                self.slots.note_taken(slot, Taken { from, ordered: false, at: now.mono });
            }
        }
        self.bump_epoch();
        self.todo.save = Save::Now;
        self.todo.broadcast = true;
        self.settle(now);
    }

    /// As a source whose target was granted slots and has not been heard of: makes sure that a claim that comes late
    /// (the target was killed between its decision and its word) does not win any more, since writes go on here.
    ///
    /// The target's epoch would be one above the highest known, so this takes the one above that. Only where this node
    /// is with the majority: there nobody has seen the claim, or it would have come back in an UPDATE.
    pub fn keep_granted(&mut self, now: Clock) {
        if !self.am_primary() || !self.state_ok() {
            return;
        }
        let epoch = self.max_epoch().saturating_add(2);
        self.current_epoch = epoch;
        self.nodes[self.me].config_epoch = epoch;
        self.log(
            LogLevel::Warning,
            format!("Slots granted to another node were not taken: keeping them in epoch {epoch}"),
        );
        self.todo.save = Save::Now;
        self.todo.broadcast = true;
        self.settle(now);
    }

    /// Whether a slot belongs to `id`, or to the shard that this node is in.
    #[must_use]
    pub fn is_owned_by_shard_of(&self, slot: Slot, id: &NodeId) -> bool {
        let (Some(owner), Some(node)) = (self.slot_owner(slot), self.nodes.find(id)) else { return false };
        owner == node || self.same_shard(owner, node)
    }

    /// Whether any slot is open (SETSLOT IMPORTING; SETSLOT MIGRATING).
    #[must_use]
    pub fn has_open_slots(&self) -> (bool, bool) {
        (self.slots.importing().next().is_some(), self.slots.migrating().next().is_some())
    }

    /// The id that an argument names a known node by, if it does.
    #[must_use]
    pub fn find_id(&self, id: &NodeId) -> Option<NodeIdx> {
        self.nodes.find(id)
    }
}
