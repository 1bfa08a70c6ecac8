//! What the mover tells while it works.

use crate::base::Slot;

/// Hears of every step as it happens. Jobs are named by their position.
pub trait Observer {
    /// So many keys are to be moved in all; new ones may appear, others may go.
    fn counted(&self, _keys: u64) {}
    fn begun(&self, _job: usize) {}
    fn keys_moved(&self, _keys: u64) {}
    /// The slot is at its target; so many keys went with it.
    fn slot_moved(&self, _job: usize, _slot: Slot, _keys: u64) {}
    fn ended(&self, _job: usize) {}
    /// Ctrl-C was pressed; what is in flight is finished first.
    fn stopping(&self) {}
}

/// Says nothing.
pub struct Silent;

impl Observer for Silent {}
