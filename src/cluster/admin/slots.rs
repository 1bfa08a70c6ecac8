//! ADDSLOTS, DELSLOTS, FLUSHSLOTS.

use super::super::bitmap;
use super::super::engine::{Engine, Save};
use super::super::io::SlotKeys;
use super::{AdminError, AdminReply};
use crate::base::Slot;

impl Engine {
    /// All or nothing: every slot is looked at before one changes.
    fn check_slots(&self, slots: &[Slot], add: bool) -> Result<(), AdminError> {
        let mut seen = Box::new(bitmap::EMPTY);
        for slot in slots {
            match self.slots.owner(*slot) {
                Some(_) if add => return Err(AdminError::SlotBusy(*slot)),
                None if !add => return Err(AdminError::SlotUnassigned(*slot)),
                _ => {}
            }
            if bitmap::contains(&seen, *slot) {
                return Err(AdminError::SlotTwice(*slot));
            }
            bitmap::insert(&mut seen, *slot);
        }
        Ok(())
    }

    pub(super) fn add_slots(&mut self, slots: &[Slot]) -> Result<AdminReply, AdminError> {
        self.check_slots(slots, true)?;
        for slot in slots {
            self.slots.set_importing(*slot, None);
            self.bind_slot(*slot, self.me);
        }
        Ok(self.slots_ordered())
    }

    pub(super) fn del_slots(&mut self, slots: &[Slot]) -> Result<AdminReply, AdminError> {
        self.check_slots(slots, false)?;
        for slot in slots {
            self.slots.unassign(*slot);
        }
        Ok(self.slots_ordered())
    }

    /// Gives up all my slots.
    pub(super) fn flush_slots(&mut self, keys: &dyn SlotKeys) -> Result<AdminReply, AdminError> {
        if !keys.is_empty() {
            return Err(AdminError::FlushSlotsKeys);
        }
        self.slots.unassign_all(self.me);
        Ok(self.slots_ordered())
    }

    /// The others are told at once, not with the next PING: a new cluster need not wait for them.
    fn slots_ordered(&mut self) -> AdminReply {
        self.todo.slots_changed = true;
        self.todo.save = Save::Now;
        self.todo.broadcast = true;
        AdminReply::Ok
    }
}
