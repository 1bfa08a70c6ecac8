//! SCAN and KEYS over a database, whatever the number of its tables.

use super::Db;
use crate::base::{SLOTS, Slot};
use crate::data::entry::Entry;

/// Bits of a cursor that name the slot, in cluster mode.
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

impl Db<'_> {
    /// One step of SCAN: calls `each` with entries from `cursor` on and returns the next cursor, 0 at the end. An entry
    /// that is there from the first call to the last is seen at least once. Visits one bucket or empty tables.
    /// With `only`, just that slot's table is walked.
    pub fn scan(&self, cursor: u64, only: Option<Slot>, each: &mut dyn FnMut(&Entry)) -> u64 {
        let tables = self.tables_ref();
        if !self.is_slotted() {
            return tables.get(0).scan(cursor, each);
        }
        let (mut table, mut at) = ((cursor & (SLOTS as u64 - 1)) as usize, cursor >> SLOT_BITS);
        if let Some(slot) = only
            && table != slot.index()
        {
            (table, at) = (slot.index(), 0);
        }
        if only.is_some() && tables.is_hidden(table) {
            return 0;
        }
        if only.is_none() && (tables.get(table).is_empty() || tables.is_hidden(table)) {
            match tables.next_nonempty(table) {
                Some(next) => (table, at) = (next, 0),
                None => return 0,
            }
        }
        at = tables.get(table).scan(at, each);
        if at != 0 {
            return at << SLOT_BITS | table as u64;
        }
        if only.is_some() {
            return 0;
        }
        tables.next_nonempty(table + 1).map_or(0, |next| next as u64)
    }

    /// Calls `each` with every entry that is not hidden, expired ones included.
    pub fn for_each(&self, mut each: impl FnMut(&Entry)) {
        let tables = self.tables_ref();
        let mut next = tables.next_nonempty(0);
        while let Some(table) = next {
            for entry in tables.get(table).iter() {
                each(entry);
            }
            next = tables.next_nonempty(table + 1);
        }
    }

    /// Whether an entry is past its time. A replica hides such keys; a primary has not come across this one yet.
    #[must_use]
    pub fn is_due(&self, entry: &Entry) -> bool {
        entry.expire_at().is_some_and(|at| at <= self.now())
    }

    fn tables_ref(&self) -> &super::Tables {
        self.ks.tables(self.index)
    }

    fn is_slotted(&self) -> bool {
        self.ks.is_slotted()
    }
}
