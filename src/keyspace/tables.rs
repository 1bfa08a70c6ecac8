//! One database: a table a hash slot in cluster mode, else a single one. One type serves both.

use std::collections::BTreeSet;
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
    /// Tables whose keys are here and not to be seen by those who list, count or choose keys: in none of the sums above.
    hidden: BTreeSet<usize>,
    hidden_len: usize,
    /// Where the search for tables that are being resized goes on.
    rehash_at: usize,
    /// Tables in a row, up to there, that are not being resized since anything was changed.
    quiet: usize,
}

/// How many tables one search for those that are being resized looks at.
const REHASH_LOOKS: usize = 512;

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
            hidden: BTreeSet::new(),
            hidden_len: 0,
            rehash_at: 0,
            quiet: 0,
        }
    }

    /// Keys that are not hidden.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key at all, hidden ones included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len + self.hidden_len == 0
    }

    #[must_use]
    pub fn is_hidden(&self, table: usize) -> bool {
        !self.hidden.is_empty() && self.hidden.contains(&table)
    }

    /// Hides the keys of a table from those who list, count or choose keys, or shows them again.
    pub(super) fn set_hidden(&mut self, table: usize, hidden: bool) {
        let (len, volatile) = (self.tables[table].len(), self.tables[table].volatile_len());
        if hidden && self.hidden.insert(table) {
            self.hidden_len += len;
            self.len -= len;
            self.volatile -= volatile;
            count_in(&mut self.sums, table, -(len as i64));
        } else if !hidden && self.hidden.remove(&table) {
            self.hidden_len -= len;
            self.len += len;
            self.volatile += volatile;
            count_in(&mut self.sums, table, len as i64);
        }
    }

    /// Empty tables take the place of others: hidden is what was hidden.
    pub(super) fn hide_like(&mut self, other: &Tables) {
        self.hidden.clone_from(&other.hidden);
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
        self.quiet = 0;
        let t = &mut self.tables[table];
        let (len, volatile) = (t.len(), t.volatile_len());
        let result = change(t);
        let (new_len, new_volatile) = (t.len(), t.volatile_len());
        if self.is_hidden(table) {
            self.hidden_len = self.hidden_len + new_len - len;
            return result;
        }
        self.volatile = self.volatile + new_volatile - volatile;
        if new_len != len {
            self.len = self.len + new_len - len;
            count_in(&mut self.sums, table, new_len as i64 - len as i64);
        }
        result
    }

    /// Access that changes no number of keys.
    pub(super) fn in_place(&mut self, table: usize) -> &mut Table {
        self.quiet = 0;
        &mut self.tables[table]
    }

    /// The entry of `key`, made without expiry if it is missing, and whether it was made.
    pub(super) fn find_or_insert(
        &mut self,
        table: usize,
        key: &[u8],
        make: impl FnOnce() -> Value,
    ) -> (EntryMut<'_>, bool) {
        let hidden = self.is_hidden(table);
        self.quiet = 0;
        match self.tables[table].slot(key) {
            table::Slot::Occupied(entry) => (entry, false),
            table::Slot::Vacant(place) => {
                if hidden {
                    self.hidden_len += 1;
                } else {
                    self.len += 1;
                    count_in(&mut self.sums, table, 1);
                }
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

    /// The first table from `from` on that holds a key, hidden or not.
    #[must_use]
    pub fn next_nonempty_of_all(&self, from: usize) -> Option<usize> {
        let hidden = self.hidden.range(from..).copied().find(|table| !self.tables[*table].is_empty());
        let shown = self.next_nonempty(from);
        shown.into_iter().chain(hidden).min()
    }

    /// The first table from `from` on that holds a key and is not hidden.
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

    /// Moves some buckets of the next table that is being resized. False when there was none among the few that one call
    /// looks at: thousands of tables are not for walking through ten times a second, nor for looking at again while
    /// nothing happens.
    pub(super) fn rehash_step(&mut self, buckets: usize) -> bool {
        let looks = self.tables.len().min(REHASH_LOOKS);
        if self.quiet >= self.tables.len() {
            self.rehash_at = (self.rehash_at + looks) % self.tables.len();
            return false;
        }
        for _ in 0..looks {
            let table = &mut self.tables[self.rehash_at];
            if table.is_rehashing() {
                // It comes to its end before others have their turn.
                table.rehash_step(buckets);
                self.quiet = 0;
                return true;
            }
            self.quiet += 1;
            self.rehash_at = (self.rehash_at + 1) % self.tables.len();
        }
        false
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

    #[test]
    fn tables_are_resized_one_after_the_other() {
        let mut tables = Tables::new(true, 1);
        for table in [3usize, 700, SLOTS - 1] {
            // The last key makes the table grow, and no further one helps.
            for n in 0.. {
                tables.with(table, |t| t.insert(Entry::new(format!("{n}").as_bytes(), Value::Int(1), None)));
                if tables.get(table).is_rehashing() {
                    break;
                }
            }
        }
        // Once round at the most, and a few steps for each.
        let mut calls = 0;
        while [3, 700, SLOTS - 1].iter().any(|&table| tables.get(table).is_rehashing()) {
            tables.rehash_step(64);
            calls += 1;
            assert!(calls < 100, "every table has its turn");
        }
        assert!((0..SLOTS / REHASH_LOOKS).all(|_| !tables.rehash_step(64)), "nothing is left");
    }

    #[test]
    fn hidden_tables_are_in_no_sum_and_are_kept() {
        let mut tables = Tables::new(true, 1);
        let insert = |tables: &mut Tables, table: usize, n: u32| {
            let key = format!("{table}:{n}");
            tables.with(table, |t| t.insert(Entry::new(key.as_bytes(), Value::Int(1), None)));
        };
        insert(&mut tables, 7, 0);
        insert(&mut tables, 9, 0);
        tables.set_hidden(7, true);
        tables.set_hidden(7, true);
        insert(&mut tables, 7, 1);
        let (_, is_new) = tables.find_or_insert(7, b"7:2", || Value::Int(1));
        assert!(is_new);
        assert_eq!((tables.len(), tables.get(7).len()), (1, 3));
        assert_eq!((tables.next_nonempty(0), tables.next_nonempty_of_all(0)), (Some(9), Some(7)));
        tables.with(9, |t| t.remove(b"9:0").is_some());
        assert_eq!(tables.len(), 0, "only hidden keys are left");
        assert!(!tables.is_empty() && tables.random_table(&mut Rng::seeded(1)).is_none());
        tables.set_hidden(7, false);
        assert_eq!((tables.len(), tables.next_nonempty(0)), (3, Some(7)));
        tables.with(7, |t| t.remove(b"7:0").is_some());
        assert_eq!(tables.len(), 2);
    }
}
