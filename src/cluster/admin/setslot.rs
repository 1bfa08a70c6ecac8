//! SETSLOT: opening, closing and handing over one slot.

use super::super::clock::Clock;
use super::super::engine::{Engine, Save};
use super::super::io::{LogLevel, SlotKeys};
use super::super::node::NodeIdx;
use super::super::slots::Taken;
use super::{AdminError, AdminReply, SetSlot, SetSlotAction, shown};

impl Engine {
    /// Whether a SETSLOT would be accepted now. `from_primary`: it came through the replication stream.
    pub fn check_setslot(&self, set: &SetSlot, keys: &dyn SlotKeys, from_primary: bool) -> Result<(), AdminError> {
        self.setslot_target(set, keys, from_primary).map(|_| ())
    }

    /// Performs a SETSLOT that came through the replication stream. As with [`Engine::admin`], what follows from it is left to
    /// [`Engine::finish`], which is to be called before the order is acknowledged.
    pub fn apply_replicated_setslot(
        &mut self,
        now: Clock,
        set: &SetSlot,
        keys: &dyn SlotKeys,
    ) -> Result<AdminReply, AdminError> {
        let reply = self.set_slot(now, set, keys, true);
        self.settle_state(now);
        reply
    }

    /// The node a SETSLOT names, if all else is well too; `None` for STABLE.
    fn setslot_target(
        &self,
        set: &SetSlot,
        keys: &dyn SlotKeys,
        from_primary: bool,
    ) -> Result<Option<NodeIdx>, AdminError> {
        if !self.myself().is_primary() && !from_primary {
            return Err(AdminError::SetSlotReplica);
        }
        let slot = set.slot;
        let mine = self.myself().primary.unwrap_or(self.me);
        let known = |arg: &[u8]| self.find(arg).map_err(|_| AdminError::DontKnow(shown(arg)));
        let other = |arg: &[u8]| {
            let idx = known(arg)?;
            if idx == self.me {
                Err(AdminError::TargetMyself)
            } else if self.nodes[idx].is_replica() {
                Err(AdminError::TargetReplica)
            } else {
                Ok(Some(idx))
            }
        };
        match &set.action {
            SetSlotAction::Stable => Ok(None),
            // A primary knows what it owns, and says so by what it orders.
            SetSlotAction::Migrating(_) if !from_primary && self.slots.owner(slot) != Some(mine) => {
                Err(AdminError::NotOwner(slot))
            }
            SetSlotAction::Importing(_) if !from_primary && self.slots.owner(slot) == Some(mine) => {
                Err(AdminError::AlreadyOwner(slot))
            }
            SetSlotAction::Migrating(arg) | SetSlotAction::Importing(arg) => other(arg),
            SetSlotAction::Node(arg) => {
                let idx = self.find(arg)?;
                if self.nodes[idx].is_replica() {
                    return Err(AdminError::TargetReplica);
                }
                if self.slots.owner(slot) == Some(self.me) && idx != self.me && keys.count(slot) > 0 {
                    return Err(AdminError::SlotHasKeys(slot));
                }
                Ok(Some(idx))
            }
        }
    }

    pub(super) fn set_slot(
        &mut self,
        now: Clock,
        set: &SetSlot,
        keys: &dyn SlotKeys,
        from_primary: bool,
    ) -> Result<AdminReply, AdminError> {
        let target = self.setslot_target(set, keys, from_primary)?;
        let mine = self.myself().primary.unwrap_or(self.me);
        match set.action {
            SetSlotAction::Migrating(_) => {
                // A hand-over that the primary has taken back, as the next one is.
                if self.slots.owner(set.slot) != Some(mine) {
                    self.bind_slot(set.slot, mine);
                }
                self.slots.set_migrating(set.slot, target);
            }
            SetSlotAction::Importing(_) => {
                if let Some(source) = target.filter(|_| self.slots.owner(set.slot) == Some(mine)) {
                    self.bind_slot(set.slot, source);
                }
                self.slots.set_importing(set.slot, target);
                self.slots.note_order(set.slot, now.mono);
            }
            SetSlotAction::Stable => {
                self.slots.set_migrating(set.slot, None);
                self.slots.set_importing(set.slot, None);
            }
            SetSlotAction::Node(_) => {
                if let Some(target) = target {
                    self.hand_over(now, set, target, keys);
                    self.slots.note_order(set.slot, now.mono);
                }
            }
        }
        self.todo.slots_changed = true;
        self.todo.save = Save::Now;
        Ok(AdminReply::Ok)
    }

    /// SETSLOT NODE: the slot is the target's from now on.
    fn hand_over(&mut self, now: Clock, set: &SetSlot, target: NodeIdx, keys: &dyn SlotKeys) {
        let slot = set.slot;
        let mine = self.myself().primary.unwrap_or(self.me);
        if self.slots.migrating_to(slot).is_some() && keys.count(slot) == 0 {
            self.slots.set_migrating(slot, None);
        }
        let was_mine = self.slots.owner(slot) == Some(mine);
        self.bind_slot(slot, target);
        if was_mine && target != mine && self.slots.count(mine) == 0 && self.cfg.allow_replica_migration {
            let label = self.nodes[target].label();
            self.log(LogLevel::Notice, format!("My last slot went to {label}: I am its replica now"));
            self.become_replica_of(target, false);
            return;
        }
        if let Some(source) = self.slots.importing_from(slot).filter(|_| target == mine) {
            self.slots.set_importing(slot, None);
            if mine == self.me {
                let from = self.nodes[source].id;
                self.slots.note_taken(slot, Taken { from, ordered: true, at: now.mono });
                // Nobody else can claim this slot with an epoch as high: the import was agreed on.
                self.bump_epoch();
            }
        }
        if self.myself().is_primary() {
            self.todo.broadcast = true;
        }
    }
}
