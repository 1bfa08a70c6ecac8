//! Deleting what is left of slots that belong to others: in slices beside the commands, for it may be a million keys.
//!
//! Nobody can reach these keys any more, and they are hidden from those who list keys. Replicas and the log follow by the
//! deletions in the stream.

use super::import::Event;
use super::{Operation, State};
use crate::base::Slot;
use crate::exec::effect::LogLevel;
use crate::exec::server::Server;
use crate::resp::Argv;

/// How long one slice may take, in microseconds.
const SLICE_USEC: u64 = 1000;

/// Keys that one command deletes.
const KEYS_PER_COMMAND: usize = 64;

impl Server {
    /// Begins to delete the keys of these slots.
    pub(in crate::exec) fn sweep_slots(&mut self, slots: impl IntoIterator<Item = Slot>) {
        let mut keys = 0;
        for slot in slots {
            let here: usize = (0..self.keyspace.databases()).map(|db| self.keyspace.slot_len(db, slot)).sum();
            if here > 0 && self.migrations.sweeping.insert(slot) {
                self.keyspace.set_hidden(slot, true);
                keys += here;
            }
        }
        if keys > 0 {
            self.log(LogLevel::Warning, format!("Deleting {keys} keys of slots that belong to others"));
            self.work_soon();
        }
    }

    /// This node has taken its primary's place. That may have lost slots whose keys it has not deleted to the end: as nobody
    /// else will, it is done here.
    pub(super) fn sweep_after_promotion(&mut self) {
        let Some(engine) = self.cluster.as_deref() else { return };
        let me = Some(engine.me());
        let left: Vec<Slot> = Slot::all()
            .filter(|slot| engine.slot_owner(*slot).is_some_and(|owner| Some(owner) != me))
            .filter(|slot| engine.importing_from(*slot).is_none() && !self.migrations.may_have_brought(*slot))
            .collect();
        self.sweep_slots(left);
    }

    /// One slice. True when something is left.
    pub(in crate::exec) fn sweep_on(&mut self) -> bool {
        if self.migrations.sweeping.is_empty() {
            return false;
        }
        if !self.repl.is_primary() {
            // Whom this node follows now says what it has.
            self.forget_sweep();
            return false;
        }
        let started = self.stopwatch.micros();
        while let Some(&slot) = self.migrations.sweeping.first() {
            if self.delete_some_of(slot) {
                self.end_sweep_of(slot);
            }
            if self.stopwatch.micros().saturating_sub(started) >= SLICE_USEC {
                break;
            }
        }
        self.tell_of_changes(None, true, false);
        self.wake_replicas();
        self.tell_cleaned();
        !self.migrations.sweeping.is_empty()
    }

    /// Deletes some keys of a slot. True when none is left.
    fn delete_some_of(&mut self, slot: Slot) -> bool {
        self.keyspace.begin(self.now, true, false, None);
        for db in 0..self.keyspace.databases() {
            let keys = self.keyspace.db(db).keys_in_slot(slot, KEYS_PER_COMMAND);
            if keys.is_empty() {
                continue;
            }
            let mut argv = Argv::of(&[b"DEL"]);
            for key in &keys {
                self.keyspace.db(db).delete_and_free(key, true);
                argv.push(key);
            }
            self.keyspace.changed(keys.len());
            self.propagate(db, argv.args());
            return false;
        }
        true
    }

    fn end_sweep_of(&mut self, slot: Slot) {
        self.migrations.sweeping.remove(&slot);
        if !self.migrations.is_importing(slot) {
            self.keyspace.set_hidden(slot, false);
        }
    }

    /// Slots that are wanted again, by their owner or as those of an import, must be empty before anything is put there.
    pub(super) fn finish_sweep_of(&mut self, slots: impl IntoIterator<Item = Slot>) {
        for slot in slots {
            if self.migrations.sweeping.contains(&slot) {
                while !self.delete_some_of(slot) {}
                self.end_sweep_of(slot);
                self.tell_of_changes(None, true, false);
            }
        }
    }

    /// Looks whether this node has got slots back whose keys it deletes.
    pub(super) fn settle_swept_slots(&mut self) {
        let Some(engine) = self.cluster.as_deref() else { return };
        let wanted: Vec<Slot> = self
            .migrations
            .sweeping
            .iter()
            .copied()
            .filter(|slot| engine.owns(*slot) || engine.importing_from(*slot).is_some())
            .collect();
        self.finish_sweep_of(wanted);
    }

    pub(super) fn forget_sweep(&mut self) {
        for slot in std::mem::take(&mut self.migrations.sweeping) {
            if !self.migrations.is_importing(slot) {
                self.keyspace.set_hidden(slot, false);
            }
        }
    }

    /// Failed imports whose keys are gone are over.
    pub(super) fn tell_cleaned(&mut self) {
        let cleaned: Vec<_> = self
            .migrations
            .active()
            .filter(|job| job.operation == Operation::Import && job.state == State::CleaningUp)
            .filter(|job| !self.migrations.sweeping.iter().any(|slot| job.ranges.contains(*slot)))
            .map(|job| job.name)
            .collect();
        for name in cleaned {
            self.import_event(name, Event::Cleaned);
        }
    }
}
