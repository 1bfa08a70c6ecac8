//! Fields of hashes that expire: which keys to look at when, and the cycle that takes the fields out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Db, EventClass, Keyspace};
use crate::base::Millis;
use crate::data::hash::Hash;
use crate::data::value::{Value, ValueMut, ValueRef};

/// Fields taken out of one hash before the next one gets its turn.
const BATCH: usize = 128;

/// The hashes of one database that have fields which expire. A key may be told here although it is gone or its fields
/// have got more time: it is looked at in vain then, and told anew if need be. None is told too late.
#[derive(Debug, Default)]
pub(super) struct FieldExpiries {
    by_key: BTreeMap<Box<[u8]>, Millis>,
    in_order: BTreeSet<(Millis, Box<[u8]>)>,
}

impl FieldExpiries {
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The first field of the hash at `key` expires at `at`.
    fn note(&mut self, key: &[u8], at: Millis) {
        match self.by_key.get(key) {
            Some(known) if *known <= at => return,
            Some(known) => {
                self.in_order.remove(&(*known, key.into()));
            }
            None => {}
        }
        self.by_key.insert(key.into(), at);
        self.in_order.insert((at, key.into()));
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(at) = self.by_key.remove(key) {
            self.in_order.remove(&(at, key.into()));
        }
    }

    /// Takes out a key whose time has come.
    fn take_due(&mut self, now: Millis) -> Option<Box<[u8]>> {
        if self.in_order.first()?.0 > now {
            return None;
        }
        let (_, key) = self.in_order.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

/// Fields that were found expired and taken out: to be propagated.
#[derive(Debug)]
pub struct LapsedFields {
    pub db: u32,
    pub key: Box<[u8]>,
    pub fields: Vec<Vec<u8>>,
    /// They were the last ones: the key is gone too.
    pub key_gone: bool,
}

impl Db<'_> {
    /// The moment at which the running command sees the fields of hashes: what obeys a primary or a file sees all of
    /// them, since it must find what the one it obeys has found.
    #[must_use]
    pub fn field_clock(&self) -> Millis {
        if self.ks.obeyed { Millis(i64::MIN) } else { self.ks.now }
    }

    /// Fields of the hash at `key` may have got an expiry.
    pub fn fields_changed(&mut self, key: &[u8]) {
        let table = self.table_of(key);
        let first = self.tables().get(table).find(key).and_then(|entry| match entry.value() {
            ValueRef::Hash(hash) => hash.first_expiry(),
            _ => None,
        });
        if let Some(at) = first {
            self.tables_mut().fields.note(key, at);
        }
    }

    /// A key gets this value.
    pub(super) fn note_fields(&mut self, key: &[u8], value: &Value) {
        if let Value::Hash(hash) = value
            && let Some(at) = hash.first_expiry()
        {
            self.tables_mut().fields.note(key, at);
        }
    }

    /// A key with this hash is being removed.
    pub(super) fn forget_fields(&mut self, key: &[u8], hash: &Hash) {
        if hash.has_expiries() {
            self.tables_mut().fields.forget(key);
        }
    }

    /// Takes expired fields out of the hash at `key`, not too many at once.
    fn expire_fields(&mut self, key: &[u8]) {
        let (table, now) = (self.table_of(key), self.ks.now);
        let is_due = |hash: &Hash| hash.first_expiry().is_some_and(|at| at <= now);
        match self.tables().get(table).find(key).map(|entry| entry.value()) {
            Some(ValueRef::Hash(hash)) if is_due(hash) => self.opened(table, key),
            _ => return self.fields_changed(key),
        }
        let Some(mut entry) = self.tables_mut().in_place(table).find_mut(key) else { return };
        let ValueMut::Hash(hash) = entry.collection_mut() else { return };
        let fields: Vec<Vec<u8>> = (0..BATCH).map_while(|_| hash.take_due(now)).collect();
        let key_gone = hash.is_empty();
        self.ks.expired_fields += fields.len() as u64;
        self.notify(EventClass::HASH, "hexpired", key);
        if key_gone {
            self.tables_mut().with(table, |t| t.remove(key));
            self.notify(EventClass::GENERIC, "del", key);
        } else {
            self.fields_changed(key);
        }
        self.ks.lapsed.push(LapsedFields { db: self.index, key: key.into(), fields, key_gone });
    }
}

impl Keyspace {
    /// Takes expired fields out of hashes until `more` says stop (then there may be more) or none is left. They are then
    /// in [`Keyspace::take_lapsed_fields`]. A replica leaves that to its primary. True when it was stopped.
    pub fn expire_fields_cycle(&mut self, first_db: u32, mut more: impl FnMut() -> bool) -> bool {
        if self.replica {
            return false;
        }
        let databases = self.databases();
        for n in 0..databases {
            let index = (first_db + n) % databases;
            while let Some(key) = self.dbs[index as usize].fields.take_due(self.now) {
                Db { ks: self, index }.expire_fields(&key);
                if !more() {
                    return true;
                }
            }
        }
        false
    }

    /// Fields that were taken out since the last call.
    pub fn take_lapsed_fields(&mut self) -> Vec<LapsedFields> {
        std::mem::take(&mut self.lapsed)
    }

    /// Fields that expired since the start or the last reset.
    #[must_use]
    pub fn expired_fields(&self) -> u64 {
        self.expired_fields
    }

    /// Hashes of one database that have fields which expire; some more while keys go.
    #[must_use]
    pub fn keys_with_expiring_fields(&self, db: u32) -> usize {
        self.dbs[db as usize].fields.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::data::Limits;
    use crate::keyspace::SetExpire;

    /// A hash whose field `n` expires at `n`, for all of `expiries`, and one that stays.
    fn hash(expiries: std::ops::Range<i64>, stays: bool) -> Value {
        let mut hash = Hash::new();
        for at in expiries {
            hash.put(at.to_string().as_bytes(), b"v", Some(Millis(at)), &Limits::default());
        }
        if stays {
            hash.set(b"stays", b"v", &Limits::default());
        }
        Value::Hash(hash)
    }

    fn keyspace(now: i64) -> Keyspace {
        let mut ks = Keyspace::new(2, false, Rng::seeded(1));
        ks.begin(Millis(now), false, false, None);
        ks
    }

    fn len(ks: &mut Keyspace, db: u32, key: &[u8]) -> Option<usize> {
        match ks.db(db).peek(key)?.value() {
            ValueRef::Hash(hash) => Some(hash.len()),
            _ => None,
        }
    }

    #[test]
    fn the_cycle_takes_out_what_is_due() {
        let mut ks = keyspace(0);
        ks.db(0).insert(b"some", hash(1..1001, true), None);
        ks.db(1).set(b"all", hash(1..4, false), SetExpire::Never);
        ks.db(1).set(b"later", hash(5000..5003, false), SetExpire::Never);
        ks.expire_fields_cycle(0, || true);
        assert!(ks.take_lapsed_fields().is_empty());
        ks.begin(Millis(1000), false, false, None);
        // One batch, then the clock says stop.
        ks.expire_fields_cycle(1, || false);
        let lapsed = ks.take_lapsed_fields();
        assert_eq!(lapsed.len(), 1);
        assert_eq!((lapsed[0].db, lapsed[0].fields.len(), lapsed[0].key_gone), (1, 3, true));
        assert_eq!(len(&mut ks, 1, b"all"), None);
        ks.expire_fields_cycle(0, || true);
        assert_eq!(ks.take_lapsed_fields().iter().map(|lapsed| lapsed.fields.len()).sum::<usize>(), 1000);
        assert_eq!((len(&mut ks, 0, b"some"), len(&mut ks, 1, b"later")), (Some(1), Some(3)));
        assert_eq!((ks.keys_with_expiring_fields(0), ks.keys_with_expiring_fields(1)), (0, 1));
        assert_eq!(ks.expired_fields(), 1003);
    }

    #[test]
    fn keys_that_change_meanwhile_do_no_harm() {
        let mut ks = keyspace(0);
        ks.db(0).insert(b"gone", hash(1..2, true), None);
        ks.db(0).insert(b"replaced", hash(1..2, true), None);
        ks.db(0).remove(b"gone");
        ks.db(0).set(b"replaced", hash(50..60, true), SetExpire::Never);
        ks.begin(Millis(10), false, false, None);
        ks.expire_fields_cycle(0, || true);
        assert!(ks.take_lapsed_fields().is_empty());
        ks.begin(Millis(55), false, false, None);
        ks.expire_fields_cycle(0, || true);
        assert_eq!(len(&mut ks, 0, b"replaced"), Some(5));
    }

    #[test]
    fn a_replica_waits_for_its_primary() {
        let mut ks = keyspace(10);
        ks.db(0).insert(b"h", hash(1..5, false), None);
        ks.set_replica(true);
        ks.expire_fields_cycle(0, || true);
        assert_eq!(len(&mut ks, 0, b"h"), Some(4));
    }
}
