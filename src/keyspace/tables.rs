//! One database: a table a hash slot in cluster mode, else a single one. One type serves both.

use std::fmt;

use super::fields::FieldExpiries;
use crate::base::{Rng, SLOTS, Slot};
use crate::data::table::{self, EntryMut, Table};
use crate::data::value::Value;

/// The tables of one database, with the sums that make DBSIZE and RANDOMKEY cheap.
pub struct Tables {
    tables: Box<[Table]>,
    len: usize,
    volatile: usize,
    /// Hashes with fields that expire.
    pub(super) fields: FieldExpiries,
    /// Keys per table as a Fenwick tree, only when there are many: finds the table of the n-th key in 14 steps.
    sums: Box<[u32]>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tables({} keys, {} volatile)", self.len, self.volatile)
    }
}

impl Tables {
    #[must_use]
    pub fn new(slotted: bool, seed: u64) -> Tables {
        let n = if slotted { SLOTS } else { 1 };
        Tables {
            tables: (0..n).map(|_| Table::with_seed(seed)).collect(),
            len: 0,
            volatile: 0,
            fields: FieldExpiries::default(),
            sums: if slotted { vec![0; SLOTS + 1].into() } else { Box::default() },
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    #[must_use]
    pub fn slot_len(&self, slot: Slot) -> usize {
        self.tables[slot.index()].len()
    }

    /// Number of tables: 1, or one a slot.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tables.len()
    }

    #[must_use]
    pub fn get(&self, table: usize) -> &Table {
        &self.tables[table]
    }

    /// Changes one table and keeps the sums true.
    pub(super) fn with<T>(&mut self, table: usize, change: impl FnOnce(&mut Table) -> T) -> T {
        let t = &mut self.tables[table];
        let (len, volatile) = (t.len(), t.volatile_len());
        let result = change(t);
        let (new_len, new_volatile) = (t.len(), t.volatile_len());
        self.volatile = self.volatile + new_volatile - volatile;
        if new_len != len {
            self.len = self.len + new_len - len;
            count_in(&mut self.sums, table, new_len as i64 - len as i64);
        }
        result
    }

    /// Access that changes no number of keys.
    pub(super) fn in_place(&mut self, table: usize) -> &mut Table {
        &mut self.tables[table]
    }

    /// The entry of `key`, made without expiry if it is missing, and whether it was made.
    pub(super) fn find_or_insert(
        &mut self,
        table: usize,
        key: &[u8],
        make: impl FnOnce() -> Value,
    ) -> (EntryMut<'_>, bool) {
        match self.tables[table].slot(key) {
            table::Slot::Occupied(entry) => (entry, false),
            table::Slot::Vacant(place) => {
                self.len += 1;
                count_in(&mut self.sums, table, 1);
                (place.insert(make(), None), true)
            }
        }
    }

    /// A table, drawn with the weight of its keys. `None` when there is no key.
    pub fn random_table(&self, rng: &mut Rng) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        Some(if self.sums.is_empty() { 0 } else { self.table_of_nth(rng.below(self.len as u64) as u32) })
    }

    fn table_of_nth(&self, mut n: u32) -> usize {
        let mut at = 0;
        let mut step = SLOTS;
        while step > 0 {
            if at + step <= SLOTS && self.sums[at + step] <= n {
                at += step;
                n -= self.sums[at];
            }
            step /= 2;
        }
        at
    }

    /// The first table from `from` on that holds a key.
    #[must_use]
    pub fn next_nonempty(&self, from: usize) -> Option<usize> {
        if from >= self.tables.len() {
            return None;
        }
        if self.sums.is_empty() {
            return (self.len > 0).then_some(0);
        }
        let mut before = 0;
        let mut i = from;
        while i > 0 {
            before += self.sums[i];
            i -= i & i.wrapping_neg();
        }
        ((before as usize) < self.len).then(|| self.table_of_nth(before))
    }

    pub(super) fn rehash_step(&mut self, buckets: usize) -> bool {
        let mut left = false;
        for table in &mut self.tables {
            if table.is_rehashing() {
                left |= table.rehash_step(buckets);
            }
        }
        left
    }
}

/// Adds to the number of keys in `table`.
fn count_in(sums: &mut [u32], table: usize, delta: i64) {
    let mut i = table + 1;
    while i < sums.len() {
        sums[i] = (i64::from(sums[i]) + delta) as u32;
        i += i & i.wrapping_neg();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::entry::Entry;
    use crate::data::value::Value;

    #[test]
    fn sums_find_tables() {
        let mut tables = Tables::new(true, 1);
        for table in [0usize, 5, 5, 9000, SLOTS - 1] {
            let key = format!("{table}:{}", tables.len());
            tables.with(table, |t| t.insert(Entry::new(key.as_bytes(), Value::Int(1), None)));
        }
        assert_eq!(tables.len(), 5);
        assert_eq!((0..5).map(|n| tables.table_of_nth(n)).collect::<Vec<_>>(), [0, 5, 5, 9000, SLOTS - 1]);
        assert_eq!(tables.next_nonempty(0), Some(0));
        assert_eq!(tables.next_nonempty(1), Some(5));
        assert_eq!(tables.next_nonempty(6), Some(9000));
        assert_eq!(tables.next_nonempty(SLOTS - 1), Some(SLOTS - 1));
        tables.with(SLOTS - 1, |t| t.remove(b"16383:4").is_some());
        assert_eq!(tables.next_nonempty(9001), None);
    }
}
