//! Counting entries without walking them: which one a given entry was, of all that were ever added.
//!
//! Entries are trimmed from the front, and that keeps the count exact. Deleting one in the middle does not: from then on
//! the answer is only known where no deleted entry lies between.

use super::id::StreamId;
use super::log::Log;

impl Log {
    /// Whether nothing is missing between the first entry and the last.
    fn is_whole(&self) -> bool {
        self.is_empty() || self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id()
    }

    /// Whether an entry with this id or a greater one was deleted from among others.
    #[must_use]
    pub fn has_gap_from(&self, id: StreamId) -> bool {
        !self.is_whole() && id <= self.max_deleted_id
    }

    /// How many entries had been added when the one with this id was, itself included; `None` when that cannot be told.
    #[must_use]
    pub fn rank(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id || id > self.first_id() || !self.is_whole() {
            return None;
        }
        let trimmed = self.entries_added.wrapping_sub(self.len());
        Some(if id < self.first_id() { trimmed } else { trimmed.wrapping_add(1) })
    }
}
