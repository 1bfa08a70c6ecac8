//! Databases: lookup, insert and delete, scan, expiry, watch.
//!
//! There is one door for reading a key and one for changing it. The write door handles expiry, notes the key for those
//! who watch it, and tells a running snapshot, so that a handler cannot forget one of them.

mod access;
mod db;
mod event;
mod evict;
mod expire;
mod fields;
mod garbage;
mod prefetch;
mod scan;
mod slot_walk;
mod snapshot;
mod tables;
mod typed;
mod unsettled;

pub use access::AccessPolicy;
pub use db::{Db, SetExpire};
pub use event::{Event, EventClass};
pub use evict::{EvictBy, EvictionPool};
pub use expire::{ExpireCursor, ExpireEffort};
pub use fields::LapsedFields;
pub use garbage::{Garbage, LazyFree};
pub use slot_walk::SlotWalk;
pub use snapshot::{EntrySink, Snapshot};
pub use tables::Tables;
pub use typed::{Typed, TypedMut};

use crate::base::{Millis, Rng, Slot, key_slot};
use crate::data::value::Kind;
use event::Events;
use unsettled::Unsettled;

/// A key that something happened to, and its database.
pub type KeyIn = (u32, Box<[u8]>);

/// All databases of a server, and what the running command has to know and leaves behind.
#[derive(Debug)]
pub struct Keyspace {
    dbs: Vec<Tables>,
    /// One table a hash slot, for cluster mode.
    slotted: bool,
    /// All keys of the running command are in this slot: saves hashing them again.
    slot_hint: Option<Slot>,
    /// Wall time of the running command.
    now: Millis,
    /// A replica hides keys that are logically expired, and leaves deleting them to its primary.
    replica: bool,
    /// The running command comes from the primary or a file: nothing is expired for it.
    obeyed: bool,
    /// The running client asked not to disturb access times.
    no_touch: bool,
    access: AccessPolicy,
    rng: Rng,
    /// The seed of every table, when that is not left to chance.
    fixed_seed: Option<u64>,
    dirty: u64,
    hits: u64,
    misses: u64,
    expired_keys: u64,
    expired_fields: u64,
    expired: Vec<KeyIn>,
    lapsed: Vec<LapsedFields>,
    /// Somebody wants to know which keys are changed.
    observed: bool,
    touched: Vec<KeyIn>,
    /// What was touched counts as changed, although nothing was.
    rewritten: bool,
    events: Events,
    snapshot: Option<Box<Snapshot>>,
    unsettled: Unsettled,
    lazy: LazyFree,
    garbage: Garbage,
}

impl Keyspace {
    /// `databases` empty databases; one table a hash slot when `slotted`.
    #[must_use]
    pub fn new(databases: u32, slotted: bool, mut rng: Rng) -> Keyspace {
        let seed = rng.next_u64();
        Keyspace {
            dbs: (0..databases).map(|_| Tables::new(slotted, seed)).collect(),
            slotted,
            slot_hint: None,
            now: Millis::ZERO,
            replica: false,
            obeyed: false,
            no_touch: false,
            access: AccessPolicy::default(),
            rng,
            fixed_seed: None,
            dirty: 0,
            hits: 0,
            misses: 0,
            expired_keys: 0,
            expired_fields: 0,
            expired: Vec::new(),
            lapsed: Vec::new(),
            observed: false,
            touched: Vec::new(),
            rewritten: false,
            events: Events::default(),
            snapshot: None,
            unsettled: Unsettled::default(),
            lazy: LazyFree::default(),
            garbage: Garbage::default(),
        }
    }

    /// The door to one database.
    ///
    /// # Panics
    /// When there is no such database: SELECT checks the number.
    pub fn db(&mut self, db: u32) -> Db<'_> {
        assert!((db as usize) < self.dbs.len(), "no database {db}");
        Db { ks: self, index: db }
    }

    #[must_use]
    pub fn databases(&self) -> u32 {
        self.dbs.len() as u32
    }

    #[must_use]
    pub fn is_slotted(&self) -> bool {
        self.slotted
    }

    /// Before a command: the moment, whether its source is obeyed, and the slot that all its keys share.
    pub fn begin(&mut self, now: Millis, obeyed: bool, no_touch: bool, slot: Option<Slot>) {
        self.now = now;
        self.obeyed = obeyed;
        self.no_touch = no_touch;
        self.slot_hint = if self.slotted { slot } else { None };
    }

    /// Counts changes since the last save.
    pub fn changed(&mut self, n: usize) {
        self.dirty += n as u64;
    }

    /// Changes ever made.
    #[must_use]
    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    pub fn set_replica(&mut self, replica: bool) {
        self.replica = replica;
    }

    pub fn set_access_policy(&mut self, access: AccessPolicy) {
        self.access = access;
    }

    #[must_use]
    pub fn access_policy(&self) -> AccessPolicy {
        self.access
    }

    /// Whether changes of keys have to be told to anybody.
    fn is_followed(&self) -> bool {
        self.observed || self.snapshot.is_some() || self.unsettled.is_on()
    }

    pub fn set_observed(&mut self, observed: bool) {
        self.observed = observed;
        if !observed {
            self.touched.clear();
        }
    }

    /// Keys opened for writing since the last call, when observed.
    pub fn take_touched(&mut self) -> Vec<KeyIn> {
        std::mem::take(&mut self.touched)
    }

    /// Transactions that watch a key opened by the running command break, even if the command left everything as it was.
    pub fn rewritten(&mut self) {
        self.rewritten = self.has_touched();
    }

    /// Whether [`Keyspace::rewritten`] was called since the last call.
    pub fn take_rewritten(&mut self) -> bool {
        std::mem::take(&mut self.rewritten)
    }

    #[must_use]
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Keys that were found expired and deleted since the last call: to be propagated.
    pub fn take_expired(&mut self) -> Vec<KeyIn> {
        std::mem::take(&mut self.expired)
    }

    #[must_use]
    pub fn has_expired(&self) -> bool {
        !self.expired.is_empty()
    }

    /// Successful lookups, failed lookups, expired keys, since the start or the last reset.
    #[must_use]
    pub fn lookup_stats(&self) -> (u64, u64, u64) {
        (self.hits, self.misses, self.expired_keys)
    }

    pub fn reset_stats(&mut self) {
        (self.hits, self.misses, self.expired_keys, self.expired_fields) = (0, 0, 0, 0);
    }

    /// Keys and volatile keys of one database.
    #[must_use]
    pub fn sizes(&self, db: u32) -> (usize, usize) {
        let tables = &self.dbs[db as usize];
        (tables.len(), tables.volatile_len())
    }

    /// Heap bytes of the tables of one database, without their entries: all keys, and those with an expiry.
    #[must_use]
    pub fn table_bytes(&self, db: u32) -> (u64, u64) {
        let tables = &self.dbs[db as usize];
        (0..tables.count())
            .map(|n| tables.get(n).mem_bytes())
            .fold((0, 0), |(main, volatile), (m, v)| (main + m as u64, volatile + v as u64))
    }

    /// Keys of all databases but for hidden ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dbs.iter().map(Tables::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dbs.iter().all(Tables::is_empty)
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u32, b: u32) {
        self.unsettled.all();
        self.dbs.swap(a as usize, b as usize);
        self.snapshot_swapped(a, b);
    }

    /// Gives every table this seed, now and whenever a database is emptied. To be called while there are no keys.
    pub fn fix_seed(&mut self, seed: u64) {
        self.fixed_seed = Some(seed);
        for tables in self.dbs.iter_mut().filter(|tables| tables.is_empty()) {
            *tables = Tables::new(self.slotted, seed);
        }
    }

    /// Empties one database, or all of them, and gives the old tables away (freeing them can wait).
    pub fn flush(&mut self, db: Option<u32>) -> Vec<Tables> {
        self.unsettled.all();
        let (from, to) = db.map_or((0, self.databases()), |db| (db, db + 1));
        let mut old = Vec::new();
        for db in from..to {
            if self.dbs[db as usize].is_empty() {
                continue;
            }
            let seed = self.fixed_seed.unwrap_or_else(|| self.rng.next_u64());
            let mut fresh = Tables::new(self.slotted, seed);
            fresh.hide_like(&self.dbs[db as usize]);
            let tables = std::mem::replace(&mut self.dbs[db as usize], fresh);
            old.extend(self.snapshot_keeps(db, tables));
        }
        old
    }

    /// Empties all databases and gives the old tables, to be put back by [`Keyspace::put_back`]; `None` when a snapshot
    /// has taken some of them.
    pub fn set_aside(&mut self) -> Option<Vec<Tables>> {
        self.unsettled.all();
        let mut old = Vec::with_capacity(self.dbs.len());
        for db in 0..self.databases() {
            let seed = self.fixed_seed.unwrap_or_else(|| self.rng.next_u64());
            let mut fresh = Tables::new(self.slotted, seed);
            fresh.hide_like(&self.dbs[db as usize]);
            let tables = std::mem::replace(&mut self.dbs[db as usize], fresh);
            old.extend(self.snapshot_keeps(db, tables));
        }
        (old.len() == self.dbs.len()).then_some(old)
    }

    /// Puts the tables back that were set aside, and gives those away that were filled meanwhile.
    pub fn put_back(&mut self, old: Vec<Tables>) -> Vec<Tables> {
        self.unsettled.all();
        let mut filled = Vec::with_capacity(old.len());
        for (db, mut tables) in (0..self.databases()).zip(old) {
            tables.hide_like(&self.dbs[db as usize]);
            let tables = std::mem::replace(&mut self.dbs[db as usize], tables);
            filled.extend(self.snapshot_keeps(db, tables));
        }
        filled
    }

    /// Puts the databases of `other`, which has as many, in the place of the own ones. Gives the old tables away.
    pub fn take_over(&mut self, other: Keyspace) -> Vec<Tables> {
        self.unsettled.all();
        let mut old = Vec::new();
        for (db, tables) in (0..self.databases()).zip(other.dbs) {
            let tables = std::mem::replace(&mut self.dbs[db as usize], tables);
            old.extend(self.snapshot_keeps(db, tables));
        }
        old
    }

    /// The tables of one database, for those who walk all of it.
    #[must_use]
    pub fn tables(&self, db: u32) -> &Tables {
        &self.dbs[db as usize]
    }

    /// The type of the value under `key` at `now`, found without a trace.
    #[must_use]
    pub fn kind_of(&self, db: u32, key: &[u8], now: Millis) -> Option<Kind> {
        let table = if self.slotted { key_slot(key).index() } else { 0 };
        let entry = self.dbs[db as usize].get(table).find(key)?;
        let is_over = entry.expire_at().is_some_and(|at| at <= now);
        (!is_over).then(|| entry.value().kind())
    }

    /// Number of keys of `slot` in `db` (0 outside cluster mode).
    #[must_use]
    pub fn slot_len(&self, db: u32, slot: Slot) -> usize {
        if self.slotted { self.dbs[db as usize].slot_len(slot) } else { 0 }
    }

    /// Hides the keys of `slot` in all databases from those who list, count or choose keys (SCAN, KEYS, RANDOMKEY, DBSIZE,
    /// eviction, the search for expired keys), or shows them again. Who names a key finds it all the same.
    pub fn set_hidden(&mut self, slot: Slot, hidden: bool) {
        if self.slotted {
            self.dbs.iter_mut().for_each(|tables| tables.set_hidden(slot.index(), hidden));
        }
    }

    /// Moves some buckets of tables that are being resized: work for idle moments. False when none was found for now.
    pub fn rehash_step(&mut self, buckets: usize) -> bool {
        self.dbs.iter_mut().any(|tables| tables.rehash_step(buckets))
    }
}
