//! A point-in-time walk over all databases, without fork and without copying.
//!
//! A cursor walks the tables in short slices between commands. Before a key that it has not reached is changed, the
//! write door hands the entry as it is to the sink. Tables that are flushed away belong to the snapshot from then on.
//! So the sink sees every entry exactly once, as it was when the snapshot began, in no particular order.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use super::{Keyspace, Tables};
use crate::base::key_slot;
use crate::data::dict::{hash_bytes, position_reached};
use crate::data::entry::Entry;

/// Where a snapshot goes: a file, a replica, a digest.
pub trait EntrySink: Send {
    /// One entry of database `db` as it was when the snapshot began.
    fn entry(&mut self, db: u32, entry: &Entry);

    /// Whether the entry is to be written in pieces, so that nobody waits for all of it.
    fn is_large(&self, _: &Entry) -> bool {
        false
    }

    /// Takes the next piece of a large entry; other entries may come in between, but no other large one. True when it was
    /// the last piece.
    fn piece(&mut self, db: u32, entry: &Entry) -> bool {
        self.entry(db, entry);
        true
    }

    /// What the sink holds and has not got rid of: a walk waits for a sink that is behind.
    fn pending_bytes(&self) -> usize;

    /// Moves what the sink holds to the end of `into`.
    fn take(&mut self, into: &mut Vec<u8>);

    /// The walk is complete: whatever ends the form of the sink's bytes.
    fn finish(&mut self);
}

/// Where the entries of one database are found.
enum Source {
    /// Still the live database of this number.
    Live(u32),
    /// Flushed away meanwhile.
    Own(Tables),
}

/// Keys by two keyed hashes of 64 bits each, which say as much as the key and take a fraction of its room: a snapshot
/// under full load has a great many of them.
#[derive(Default)]
struct DoneKeys {
    seed: u64,
    keys: HashSet<u128, BuildHasherDefault<Ready>>,
}

impl DoneKeys {
    fn print(&self, db: u32, hash: u64, key: &[u8]) -> u128 {
        u128::from(hash) << 64 | u128::from(hash_bytes(self.seed ^ u64::from(db), key))
    }

    /// False when it was there.
    fn insert(&mut self, db: u32, hash: u64, key: &[u8]) -> bool {
        let print = self.print(db, hash, key);
        self.keys.insert(print)
    }

    /// Whether it was there.
    fn remove(&mut self, db: u32, hash: impl FnOnce() -> u64, key: &[u8]) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let print = self.print(db, hash(), key);
        self.keys.remove(&print)
    }
}

/// What is hashed already needs no hashing.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }
}

/// A large entry that waits for being written, or is.
struct Large {
    db: usize,
    table: usize,
    key: Box<[u8]>,
}

/// A snapshot under way.
pub struct Snapshot {
    sources: Vec<Source>,
    /// The place of the walk: database, table, cursor in the table. A cursor of 0 has not begun the table.
    db: usize,
    table: usize,
    cursor: u64,
    /// Keys ahead of the walk that are done with: handed over early, or younger than the snapshot.
    skip: DoneKeys,
    /// They are behind the walk, or in `skip`; the first one may have been begun.
    large: VecDeque<Large>,
    /// Somebody waits until a large entry is written, or until the sink is emptied.
    awaited: bool,
    sink: Box<dyn EntrySink>,
    written: usize,
    total: usize,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} of {} entries)", self.written, self.total)
    }
}

impl Snapshot {
    /// Entries written, and entries there were at the start.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.written, self.total)
    }

    /// The snapshot's number of the live database `live`, when it still reads from it.
    fn number_of(&self, live: u32) -> Option<usize> {
        self.sources.iter().position(|s| matches!(s, Source::Live(n) if *n == live))
    }

    fn is_past(&self, db: usize, table: usize, hash: u64) -> bool {
        match (db, table).cmp(&(self.db, self.table)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => self.cursor != 0 && position_reached(hash, self.cursor),
        }
    }
}

impl Keyspace {
    /// Begins a snapshot of the dataset as it is now.
    ///
    /// # Panics
    /// When one is under way: the owner runs one at a time.
    pub fn begin_snapshot(&mut self, sink: Box<dyn EntrySink>) {
        self.begin_snapshot_of(self.databases(), self.len(), sink);
    }

    /// Begins a snapshot of no data, for those who want only what stands around it.
    ///
    /// # Panics
    /// When one is under way.
    pub fn begin_empty_snapshot(&mut self, sink: Box<dyn EntrySink>) {
        self.begin_snapshot_of(0, 0, sink);
    }

    fn begin_snapshot_of(&mut self, databases: u32, total: usize, sink: Box<dyn EntrySink>) {
        assert!(self.snapshot.is_none(), "one snapshot at a time");
        self.snapshot = Some(Box::new(Snapshot {
            sources: (0..databases).map(Source::Live).collect(),
            db: 0,
            table: 0,
            cursor: 0,
            skip: DoneKeys { seed: self.rng.next_u64(), ..DoneKeys::default() },
            large: VecDeque::new(),
            awaited: false,
            sink,
            written: 0,
            total,
        }));
    }

    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// Lets `f` use the sink of the snapshot under way.
    pub fn snapshot_sink(&mut self, f: impl FnOnce(&mut dyn EntrySink)) {
        if let Some(snapshot) = &mut self.snapshot {
            f(&mut *snapshot.sink);
        }
    }

    /// Gives the snapshot up, finished or not, and its sink back.
    pub fn end_snapshot(&mut self) -> Option<Box<dyn EntrySink>> {
        Some(self.snapshot.take()?.sink)
    }

    /// Walks on while `more` agrees (asked after every bucket) and the sink holds at most `pending_max` bytes. True when
    /// the walk is complete: then [`Keyspace::end_snapshot`] gives the sink back.
    pub fn snapshot_step(&mut self, pending_max: usize, mut more: impl FnMut() -> bool) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return false };
        let done = loop {
            if snapshot.large.is_empty() {
                if !self.walk_bucket(&mut snapshot) {
                    break true;
                }
            } else {
                self.write_piece(&mut snapshot);
            }
            if snapshot.sink.pending_bytes() > pending_max || !more() {
                break false;
            }
        };
        self.snapshot = Some(snapshot);
        done
    }

    /// Visits one bucket. False at the end of all databases.
    fn walk_bucket(&self, snapshot: &mut Snapshot) -> bool {
        while snapshot.db < snapshot.sources.len() {
            let Snapshot { sources, db, table, cursor, skip, large, sink, written, .. } = snapshot;
            let tables = match &sources[*db] {
                Source::Live(n) => &self.dbs[*n as usize],
                Source::Own(tables) => tables,
            };
            if *cursor == 0 {
                let Some(next) = tables.next_nonempty_of_all(*table) else {
                    (*db, *table) = (*db + 1, 0);
                    continue;
                };
                *table = next;
            }
            let number = *db as u32;
            let source = tables.get(*table);
            *cursor = source.scan(*cursor, &mut |entry| {
                if skip.remove(number, || source.hash(entry.key()), entry.key()) {
                    return;
                }
                if sink.is_large(entry) {
                    large.push_back(Large { db: *db, table: *table, key: entry.key().into() });
                } else {
                    sink.entry(number, entry);
                    *written += 1;
                }
            });
            if *cursor == 0 {
                *table += 1;
            }
            return true;
        }
        false
    }

    /// Writes the next piece of the first large entry.
    fn write_piece(&self, snapshot: &mut Snapshot) {
        let Some(Large { db, table, key }) = snapshot.large.front() else { return };
        let tables = match &snapshot.sources[*db] {
            Source::Live(n) => &self.dbs[*n as usize],
            Source::Own(tables) => tables,
        };
        // The write door does not let it go unwritten.
        let over = tables.get(*table).find(key).is_none_or(|entry| snapshot.sink.piece(*db as u32, entry));
        if over {
            snapshot.large.pop_front();
            snapshot.written += 1;
        }
    }

    /// Whether whoever wants to change `key` has to wait: it is large, and the snapshot, which takes it next, has not
    /// written it yet; or what was handed over early is more than `pending_max` bytes.
    pub fn waits_for_snapshot(&mut self, live: u32, key: &[u8], pending_max: usize) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return false };
        let waits = snapshot.sink.pending_bytes() > pending_max || self.wants_first(&mut snapshot, live, key);
        snapshot.awaited |= waits;
        self.snapshot = Some(snapshot);
        waits
    }

    fn wants_first(&self, snapshot: &mut Snapshot, live: u32, key: &[u8]) -> bool {
        let Some(db) = snapshot.number_of(live) else { return false };
        if snapshot.large.iter().any(|large| large.db == db && *large.key == *key) {
            return true;
        }
        let table = if self.slotted { key_slot(key).index() } else { 0 };
        let source = self.dbs[live as usize].get(table);
        let is_large = source.find(key).is_some_and(|entry| snapshot.sink.is_large(entry));
        let hash = source.hash(key);
        if !is_large || snapshot.is_past(db, table, hash) || !snapshot.skip.insert(db as u32, hash, key) {
            return false;
        }
        snapshot.large.push_back(Large { db, table, key: key.into() });
        true
    }

    /// Whether somebody waits for the snapshot, and need not do so any longer.
    pub fn snapshot_released(&mut self) -> bool {
        self.snapshot.as_mut().is_some_and(|snapshot| {
            let released = snapshot.awaited && snapshot.large.is_empty();
            snapshot.awaited &= !released;
            released
        })
    }

    /// The write door's duty: `key` of table `table` of live database `live` is about to change.
    pub(super) fn snapshot_before_change(&mut self, live: u32, table: usize, key: &[u8]) {
        let Some(mut snapshot) = self.snapshot.take() else { return };
        if let Some(db) = snapshot.number_of(live) {
            let source = self.dbs[live as usize].get(table);
            if let Some(n) = snapshot.large.iter().position(|large| large.db == db && *large.key == *key) {
                // Those who can wait do; the others (the primary, the passing of time) cannot.
                snapshot.large.remove(n);
                if let Some(entry) = source.find(key) {
                    match n {
                        0 => while !snapshot.sink.piece(db as u32, entry) {},
                        _ => snapshot.sink.entry(db as u32, entry),
                    }
                    snapshot.written += 1;
                }
            }
            let hash = source.hash(key);
            if !snapshot.is_past(db, table, hash)
                && snapshot.skip.insert(db as u32, hash, key)
                && let Some(entry) = source.find(key)
            {
                snapshot.sink.entry(db as u32, entry);
                snapshot.written += 1;
            }
        }
        self.snapshot = Some(snapshot);
    }

    /// The tables of live database `live` are thrown away. Gives them back when no snapshot needs them.
    pub(super) fn snapshot_keeps(&mut self, live: u32, tables: Tables) -> Option<Tables> {
        let Some(snapshot) = &mut self.snapshot else { return Some(tables) };
        match snapshot.number_of(live) {
            Some(db) if db >= snapshot.db || snapshot.large.iter().any(|large| large.db == db) => {
                snapshot.sources[db] = Source::Own(tables);
                None
            }
            _ => Some(tables),
        }
    }

    /// Two live databases have changed places.
    pub(super) fn snapshot_swapped(&mut self, a: u32, b: u32) {
        for source in self.snapshot.iter_mut().flat_map(|s| &mut s.sources) {
            if let Source::Live(n) = source {
                *n = if *n == a {
                    b
                } else if *n == b {
                    a
                } else {
                    *n
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::base::{Millis, Rng};
    use crate::data::value::{Value, ValueRef};
    use crate::keyspace::SetExpire;
    use proptest::prelude::*;

    type Seen = Arc<Mutex<Vec<((u32, Vec<u8>), i64)>>>;

    /// Every third number is large: it comes in three pieces, between which others may come.
    struct Collect(Seen, Option<(Vec<u8>, u32)>);

    fn number(entry: &Entry) -> i64 {
        let ValueRef::Int(n) = entry.value() else { panic!("only integers here") };
        n
    }

    impl EntrySink for Collect {
        fn entry(&mut self, db: u32, entry: &Entry) {
            self.0.lock().unwrap().push(((db, entry.key().to_vec()), number(entry)));
        }
        fn is_large(&self, entry: &Entry) -> bool {
            number(entry) % 3 == 0
        }
        fn piece(&mut self, db: u32, entry: &Entry) -> bool {
            let (key, count) = self.1.take().unwrap_or((entry.key().to_vec(), 0));
            assert_eq!(key, entry.key(), "a large entry is finished before the next one begins");
            if count < 2 {
                self.1 = Some((key, count + 1));
                return false;
            }
            self.entry(db, entry);
            true
        }
        fn pending_bytes(&self) -> usize {
            0
        }
        fn take(&mut self, _: &mut Vec<u8>) {}
        fn finish(&mut self) {}
    }

    #[derive(Clone, Debug)]
    enum Act {
        Set(u32, u8, i64),
        Remove(u32, u8),
        Flush(u32),
        Swap(u32, u32),
        Walk(u8),
        /// Somebody asks whether he has to wait before he changes the key.
        Ask(u32, u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            8 => (0u32..3, any::<u8>(), any::<i64>()).prop_map(|(d, k, v)| Act::Set(d, k, v)),
            4 => (0u32..3, any::<u8>()).prop_map(|(d, k)| Act::Remove(d, k)),
            1 => (0u32..3).prop_map(Act::Flush),
            1 => (0u32..3, 0u32..3).prop_map(|(a, b)| Act::Swap(a, b)),
            4 => any::<u8>().prop_map(|n| Act::Walk(n % 8)),
            4 => (0u32..3, any::<u8>()).prop_map(|(d, k)| Act::Ask(d, k)),
        ]
    }

    fn apply(ks: &mut Keyspace, act: &Act) {
        match act {
            Act::Set(db, key, value) => ks.db(*db).set(&[*key], Value::Int(*value), SetExpire::Never),
            Act::Remove(db, key) => drop(ks.db(*db).remove(&[*key])),
            Act::Flush(db) => drop(ks.flush(Some(*db))),
            Act::Swap(a, b) => ks.swap(*a, *b),
            Act::Ask(db, key) => _ = ks.waits_for_snapshot(*db, &[*key], usize::MAX),
            Act::Walk(n) => {
                let mut left = *n;
                ks.snapshot_step(usize::MAX, || {
                    left = left.saturating_sub(1);
                    left > 0
                });
            }
        }
    }

    proptest! {
        /// Whatever happens meanwhile, the sink sees the dataset of the start, each entry once.
        #[test]
        fn sees_the_dataset_of_the_start(
            slotted: bool,
            before in proptest::collection::vec(act(), 0..200),
            during in proptest::collection::vec(act(), 0..300),
        ) {
            let mut ks = Keyspace::new(3, slotted, Rng::seeded(1));
            ks.begin(Millis(1), false, false, None);
            for act in &before {
                apply(&mut ks, act);
            }
            let mut expected = BTreeMap::new();
            for db in 0..3 {
                ks.db(db).for_each(|e| {
                    let ValueRef::Int(n) = e.value() else { unreachable!() };
                    expected.insert((db, e.key().to_vec()), n);
                });
            }
            let seen = Seen::default();
            ks.begin_snapshot(Box::new(Collect(Arc::clone(&seen), None)));
            for act in &during {
                apply(&mut ks, act);
            }
            while !ks.snapshot_step(usize::MAX, || true) {}
            ks.end_snapshot();
            let seen = seen.lock().unwrap().clone();
            prop_assert_eq!(seen.len(), expected.len());
            prop_assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
