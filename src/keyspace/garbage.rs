//! What was taken out of the keyspace and is not freed yet.
//!
//! Freeing a value of a million elements takes longer than a client should wait, so it is handed to somebody who has the
//! time. Small values are freed on the spot: handing them over would cost more.

use super::{Keyspace, Tables};
use crate::data::entry::Entry;

/// A value of more allocations than this is not freed on the spot.
const ALLOCATIONS_MAX: usize = 64;

/// Values and whole databases that wait for being freed. Dropping it frees them.
#[derive(Debug, Default)]
pub struct Garbage {
    entries: Vec<Entry>,
    tables: Vec<Tables>,
    bytes: usize,
}

impl Garbage {
    /// Old databases.
    #[must_use]
    pub fn of_tables(tables: Vec<Tables>) -> Garbage {
        // The memory of a whole database is not counted: nobody makes room by flushing.
        Garbage { tables, ..Garbage::default() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.tables.is_empty()
    }

    /// Keys in it.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.entries.len() + self.tables.iter().map(Tables::len).sum::<usize>()
    }

    /// Bytes that the values take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// For which reasons values are freed later: `lazyfree-lazy-*`.
#[derive(Clone, Copy, Debug)]
pub struct LazyFree {
    pub eviction: bool,
    pub expire: bool,
    /// Values overwritten, or replaced as a whole by a command.
    pub server_del: bool,
}

impl Default for LazyFree {
    fn default() -> LazyFree {
        LazyFree { eviction: true, expire: true, server_del: true }
    }
}

impl Keyspace {
    pub fn set_lazy_free(&mut self, lazy: LazyFree) {
        self.lazy = lazy;
    }

    /// Frees an entry that was taken out: now, or later when it is large and `lazily` is set.
    pub(super) fn discard(&mut self, entry: Entry, lazily: bool) {
        if lazily && entry.allocations() > ALLOCATIONS_MAX {
            self.garbage.bytes += entry.mem_bytes();
            self.garbage.entries.push(entry);
        }
    }

    #[must_use]
    pub fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    pub fn take_garbage(&mut self) -> Garbage {
        std::mem::take(&mut self.garbage)
    }
}
