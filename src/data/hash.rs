//! The hash value: fields and values, as a listpack of pairs while small, as a hash table then.
//!
//! A field may expire on its own; then the hash is a table. What is past its time stays until somebody takes it out:
//! [`Live`] shows a hash without it.

mod expiry;
mod live;

pub use live::Live;

use self::expiry::Expiries;
use super::dict::{self, Dict, Stats};
use super::item::all_distinct;
use super::packed::{Held, HeldMut, Packed};
use super::pair::Pair;
use super::value::Encoding;
use super::{Corrupt, Item, Limits, Listpack, listpack, reserve_some, scan_some};
use crate::base::{Millis, Rng};

/// Fields with their values. Never goes back from hash table to listpack.
#[derive(Debug, Default)]
pub struct Hash {
    /// In a listpack field and value in turn, in order of insertion.
    repr: Packed<Table>,
}

struct Table {
    pairs: Dict<Pair>,
    /// Heap bytes of the pairs.
    pair_bytes: usize,
    /// The fields that expire. They are handles of pairs in `pairs`.
    expiries: Expiries,
}

/// A field that was there before it was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaced {
    pub expire_at: Option<Millis>,
}

impl Replaced {
    /// Whether the field was still to be seen.
    #[must_use]
    pub fn was_live(self, now: Millis) -> bool {
        self.expire_at.is_none_or(|at| at > now)
    }
}

impl Hash {
    /// See [`super::value::ValueRef::prefetch_member`].
    pub(super) fn prefetch(&self, field: &[u8]) -> Option<u64> {
        let Some(table) = self.repr.as_full() else {
            self.repr.prefetch();
            return None;
        };
        table.pairs.prefetch_key(field)
    }

    /// See [`super::value::ValueRef::prefetch_found`].
    pub(super) fn prefetch_found(&self, hash: u64) {
        if let Some(table) = self.repr.as_full() {
            table.pairs.prefetch_item(hash);
        }
    }

    #[must_use]
    pub fn new() -> Hash {
        Hash::default()
    }

    /// Takes over a listpack of pairs from a file or payload: they must be complete, and no field twice.
    pub fn from_pack(pack: Listpack, limits: &Limits) -> Result<Hash, Corrupt> {
        let count = pack.len();
        if !count.is_multiple_of(2) {
            return Err(Corrupt("hash with a field without value"));
        }
        if !all_distinct(pack.iter().step_by(2)) {
            return Err(Corrupt("hash with a field twice"));
        }
        let mut hash = Hash { repr: Packed::pack(pack) };
        if count / 2 > limits.hash_max_listpack_entries {
            hash.make_table(limits);
        }
        Ok(hash)
    }

    /// The pairs in the form in which they are written, while they are kept so.
    #[must_use]
    pub fn as_pack(&self) -> Option<&Listpack> {
        self.repr.as_pack()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.len() / 2,
            Held::Full(table) => table.pairs.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn encoding(&self) -> Encoding {
        match self.repr.get() {
            Held::Pack(_) => Encoding::Listpack,
            Held::Full(_) => Encoding::Hashtable,
        }
    }

    /// Sizes of the table, once there is one.
    #[must_use]
    pub fn table_stats(&self) -> Option<Stats> {
        self.repr.as_full().map(|table| table.pairs.stats())
    }

    /// Heap bytes held. O(1).
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        match self.repr.get() {
            Held::Pack(pack) => pack.mem_bytes(),
            Held::Full(table) => {
                size_of::<Table>() + table.pairs.mem_bytes() + table.pair_bytes + table.expiries.mem_bytes()
            }
        }
    }

    /// Prepares for that many pairs to be set: more than a listpack may have make a hash table at once.
    pub fn expect(&mut self, pairs: usize, limits: &Limits) {
        if pairs > limits.hash_max_listpack_entries {
            reserve_some(&mut self.make_table(limits).pairs, pairs);
        }
    }

    /// Makes a hash table of it, whatever its size.
    pub fn make_full(&mut self, limits: &Limits) {
        self.make_table(limits);
    }

    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        match self.repr.get() {
            Held::Pack(pack) => {
                let at = pack.find(pack.start(), field, 2)?;
                Some(pack.item(pack.next(at)))
            }
            Held::Full(table) => table.pairs.get(field).map(|pair| Item::Bytes(pair.value())),
        }
    }

    #[must_use]
    pub fn contains(&self, field: &[u8]) -> bool {
        match self.repr.get() {
            Held::Pack(pack) => pack.find(pack.start(), field, 2).is_some(),
            Held::Full(table) => table.pairs.contains(field),
        }
    }

    /// Sets a field, which does not expire then; says whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.put(field, value, None, limits).is_none()
    }

    /// Sets a field with or without expiry; tells what it replaced.
    pub fn put(&mut self, field: &[u8], value: &[u8], expire_at: Option<Millis>, limits: &Limits) -> Option<Replaced> {
        if let (HeldMut::Pack(pack), None) = (self.repr.get_mut(), expire_at) {
            let small = field.len().max(value.len()) <= limits.hash_max_listpack_value;
            if small && pack.has_room(listpack::entry_bytes(field.len()) + listpack::entry_bytes(value.len())) {
                if let Some(at) = pack.find(pack.start(), field, 2) {
                    pack.replace(pack.next(at), value);
                    return Some(Replaced { expire_at: None });
                }
                if pack.len() / 2 < limits.hash_max_listpack_entries {
                    pack.insert(pack.end(), [field.into(), value.into()]);
                    return None;
                }
            }
        }
        self.make_table(limits).set(Pair::new(field, value, expire_at))
    }

    /// Gives a field an expiry or takes it away. False when there is no such field.
    pub fn set_expiry(&mut self, field: &[u8], expire_at: Option<Millis>, limits: &Limits) -> bool {
        let Some(value) = self.get(field).map(|value| value.to_vec()) else { return false };
        self.put(field, &value, expire_at, limits);
        true
    }

    /// A field's value, and when it expires.
    #[must_use]
    pub fn get_with_expiry(&self, field: &[u8]) -> Option<(Item<'_>, Option<Millis>)> {
        match self.repr.get() {
            Held::Pack(_) => Some((self.get(field)?, None)),
            Held::Full(table) => table.pairs.get(field).map(|pair| (Item::Bytes(pair.value()), pair.expire_at())),
        }
    }

    fn expiries(&self) -> Option<&Expiries> {
        self.repr.as_full().map(|table| &table.expiries)
    }

    /// When the first field expires, if one does. O(log n).
    #[must_use]
    pub fn first_expiry(&self) -> Option<Millis> {
        self.expiries()?.first()
    }

    /// Whether any field expires. O(1).
    #[must_use]
    pub fn has_expiries(&self) -> bool {
        self.expiries().is_some_and(|expiries| !expiries.is_empty())
    }

    /// Takes out the field that expires first, if its time has come by `now`.
    pub fn take_due(&mut self, now: Millis) -> Option<Vec<u8>> {
        let table = self.repr.as_full_mut()?;
        let field = table.expiries.first_due(now)?.to_vec();
        table.remove(&field);
        Some(field)
    }

    /// What there is, as far as commands see it at `now`.
    #[must_use]
    pub fn live(&self, now: Millis) -> Live<'_> {
        Live::new(self, now)
    }

    /// Removes a field; says whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.repr.get_mut() {
            HeldMut::Pack(pack) => match pack.find(pack.start(), field, 2) {
                Some(at) => {
                    pack.remove(at, 2);
                    true
                }
                None => false,
            },
            HeldMut::Full(table) => table.remove(field),
        }
    }

    /// All fields with their values.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        match self.repr.get() {
            Held::Pack(pack) => Iter::Pack(pack.iter()),
            Held::Full(table) => Iter::Table(table.pairs.iter()),
        }
    }

    /// As [`Hash::iter`], with what time every field expires.
    #[must_use]
    pub fn iter_with_expiry(&self) -> WithExpiry<'_> {
        WithExpiry(self.iter())
    }

    /// A random field with its value.
    pub fn random(&self, rng: &mut Rng) -> Option<(Item<'_>, Item<'_>)> {
        match self.repr.get() {
            Held::Pack(pack) => {
                let at = pack.seek(rng.below(pack.len() as u64 / 2) as i64 * 2)?;
                Some((pack.item(at), pack.item(pack.next(at))))
            }
            Held::Full(table) => table.pairs.random(rng).map(items_of),
        }
    }

    /// One step of HSCAN from `cursor` on: visits about `count` fields (all, while small) and returns the cursor to go
    /// on with, 0 at the end.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'_>, Item<'_>, Option<Millis>)) -> u64 {
        match self.repr.get() {
            Held::Pack(_) => {
                self.iter().for_each(|(field, value)| visit(field, value, None));
                0
            }
            Held::Full(table) => scan_some(&table.pairs, cursor, count, |pair| {
                visit(Item::Bytes(pair.field()), Item::Bytes(pair.value()), pair.expire_at());
            }),
        }
    }

    fn make_table(&mut self, limits: &Limits) -> &mut Table {
        self.repr.make_full(|pack| {
            let pairs = Dict::with_seed(limits.hash_seed);
            let mut table = Table { pairs, pair_bytes: 0, expiries: Expiries::default() };
            table.pairs.reserve(pack.len() / 2);
            let mut items = pack.iter();
            while let (Some(field), Some(value)) = (items.next(), items.next()) {
                table.set(Pair::new(&field.to_vec(), &value.to_vec(), None));
            }
            table
        })
    }
}

impl Table {
    fn set(&mut self, pair: Pair) -> Option<Replaced> {
        self.pair_bytes += pair.mem_bytes();
        self.expiries.add(&pair);
        let old = self.pairs.insert(pair)?;
        self.forget(&old);
        Some(Replaced { expire_at: old.expire_at() })
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let removed = self.pairs.remove(field);
        if let Some(old) = &removed {
            self.forget(old);
        }
        removed.is_some()
    }

    /// A pair has left the table and still exists.
    fn forget(&mut self, pair: &Pair) {
        self.pair_bytes -= pair.mem_bytes();
        self.expiries.remove(pair);
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter()).finish()
    }
}

fn items_of(pair: &Pair) -> (Item<'_>, Item<'_>) {
    (Item::Bytes(pair.field()), Item::Bytes(pair.value()))
}

/// Fields with their values.
pub enum Iter<'a> {
    Pack(listpack::Iter<'a>),
    Table(dict::Iter<'a, Pair>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Pack(items) => Some((items.next()?, items.next()?)),
            Iter::Table(pairs) => pairs.next().map(items_of),
        }
    }
}

/// Fields with their values and expiries.
pub struct WithExpiry<'a>(Iter<'a>);

impl<'a> Iterator for WithExpiry<'a> {
    type Item = (Item<'a>, Item<'a>, Option<Millis>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Iter::Pack(items) => Some((items.next()?, items.next()?, None)),
            Iter::Table(pairs) => {
                pairs.next().map(|pair| (Item::Bytes(pair.field()), Item::Bytes(pair.value()), pair.expire_at()))
            }
        }
    }
}

impl<'a> IntoIterator for &'a Hash {
    type Item = (Item<'a>, Item<'a>);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    fn limits(entries: usize) -> Limits {
        Limits { hash_max_listpack_entries: entries, hash_max_listpack_value: 6, ..Limits::default() }
    }

    #[test]
    fn encodings_follow_the_limits() {
        let limits = limits(2);
        let mut hash = Hash::new();
        assert!(hash.set(b"a", b"sixsix", &limits));
        assert!(hash.set(b"b", b"2", &limits));
        assert!(!hash.set(b"b", b"3", &limits));
        assert_eq!(hash.encoding(), Encoding::Listpack);
        assert!(hash.set(b"c", b"4", &limits));
        assert_eq!(hash.encoding(), Encoding::Hashtable);
        for (field, value) in [("seven77", "x"), ("x", "seven77")] {
            let mut hash = Hash::new();
            hash.set(field.as_bytes(), value.as_bytes(), &limits);
            assert_eq!(hash.encoding(), Encoding::Hashtable);
        }
        let mut hash = Hash::new();
        hash.expect(2, &limits);
        assert_eq!(hash.encoding(), Encoding::Listpack);
        hash.expect(3, &limits);
        assert_eq!(hash.encoding(), Encoding::Hashtable);
    }

    /// From DUMP of redis-server 7.0.
    #[test]
    fn pairs_are_laid_out_as_in_redis() {
        let mut hash = Hash::new();
        for (field, value) in [("name", "trib"), ("count", "-4096"), ("big", "1099511627776"), ("neg", "-0")] {
            hash.set(field.as_bytes(), value.as_bytes(), &Limits::default());
        }
        let expected = b"\x35\0\0\0\x08\0\x84name\x05\x84trib\x05\x85count\x06\xd0\0\x02\x83big\x04\
            \xf4\0\0\0\0\0\x01\0\0\x09\x83neg\x04\x82-0\x03\xff";
        assert_eq!(hash.as_pack().unwrap().bytes(), expected);
    }

    #[test]
    fn payloads_are_checked() {
        let pack = |items: &[&str]| {
            let mut pack = Listpack::new();
            items.iter().for_each(|item| pack.push(item.as_bytes()));
            Hash::from_pack(pack, &limits(2))
        };
        assert!(pack(&["a"]).is_err());
        assert!(pack(&["a", "1", "a", "2"]).is_err());
        assert_eq!(pack(&["a", "1", "1", "a"]).unwrap().encoding(), Encoding::Listpack);
        let large = pack(&["a", "1", "b", "1", "c", "a value beyond the limit"]).unwrap();
        assert_eq!((large.encoding(), large.len()), (Encoding::Hashtable, 3));
    }

    #[test]
    fn a_small_field_is_cheap() {
        let mut hash = Hash::new();
        for i in 0..100 {
            hash.set(format!("field:{i}").as_bytes(), format!("value:{i}").as_bytes(), &Limits::default());
        }
        let each = hash.mem_bytes() as f64 / 100.0;
        assert!(each <= 30.0, "{each} bytes a field");
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => proptest::collection::vec(97u8..100, 0..3),
            4 => (-12i64..12).prop_map(|n| n.to_string().into_bytes()),
            1 => proptest::collection::vec(97u8..100, 5..8),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(
            changes in proptest::collection::vec((0..4u8, text(), text()), 1..120), entries in 0..20usize, seed in any::<u64>()
        ) {
            let limits = limits(entries);
            let mut rng = Rng::seeded(seed);
            let mut hash = Hash::new();
            let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
            for (kind, field, value) in changes {
                if kind == 0 {
                    prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                } else {
                    prop_assert_eq!(hash.set(&field, &value, &limits), model.insert(field, value).is_none());
                }
                prop_assert_eq!(hash.len(), model.len());
                let all: Vec<_> = hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                prop_assert_eq!(all.len(), model.len());
                prop_assert_eq!(all.into_iter().collect::<HashMap<_, _>>(), model.clone());
                match hash.repr.get() {
                    Held::Pack(pack) => prop_assert!(Listpack::validate(pack.bytes()).is_ok()),
                    Held::Full(table) => {
                        let bytes: usize = table.pairs.iter().map(Pair::mem_bytes).sum();
                        prop_assert_eq!(table.pair_bytes, bytes);
                    }
                }
                match hash.random(&mut rng) {
                    Some((field, value)) => prop_assert_eq!(model.get(&field.to_vec()), Some(&value.to_vec())),
                    None => prop_assert!(model.is_empty()),
                }
            }
            for (field, value) in &model {
                prop_assert!(hash.contains(field));
                prop_assert_eq!(hash.get(field).map(|v| v.to_vec()), Some(value.clone()));
            }
            prop_assert!(hash.get(b"not there").is_none() && !hash.contains(b"not there"));
            let mut scanned = HashSet::new();
            let mut cursor = 0;
            loop {
                cursor = hash.scan(cursor, 3, |field, _, _| { scanned.insert(field.to_vec()); });
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(scanned, model.keys().cloned().collect::<HashSet<_>>());
        }
    }
}
