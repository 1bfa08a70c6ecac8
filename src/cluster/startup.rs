//! What follows from the data that was loaded at start.

use super::clock::Clock;
use super::engine::{Engine, Save};
use super::io::{LogLevel, Output, SlotKeys};
use crate::base::Slot;

impl Engine {
    /// Called once the data set is loaded: a primary adopts slots that it holds keys of and nobody owns,
    /// and drops the keys of slots that others own.
    pub fn verify_keys(&mut self, now: Clock, keys: &dyn SlotKeys) {
        if !self.am_primary() {
            return;
        }
        let (mut adopted, mut foreign) = (0usize, Vec::new());
        for slot in Slot::all() {
            let owner = self.slots.owner(slot);
            if owner == Some(self.me) || self.slots.importing_from(slot).is_some() || keys.count(slot) == 0 {
                continue;
            }
            if owner.is_none() {
                self.bind_slot(slot, self.me);
                adopted += 1;
            } else {
                foreign.push(slot);
            }
        }
        if adopted > 0 {
            self.log(LogLevel::Notice, format!("I have keys for {adopted} unassigned slots: taking responsibility"));
            self.todo.save = Save::Now;
        }
        if !foreign.is_empty() {
            self.log(
                LogLevel::Notice,
                format!("I have keys for {} slots that others own: dropping them", foreign.len()),
            );
            self.emit(Output::DeleteSlotKeys(foreign));
        }
        self.settle(now);
    }
}
