//! One table of the keyspace: its entries by key, and an index of those that expire.
//!
//! A database has one table, or one for each slot in cluster mode, so an empty one takes no memory beside its struct.
//!
//! The index of volatile keys holds second handles to entries that the main table owns. One by one, entries come, change
//! and go through the [place](place) of their key, which keeps the index true; here both are only looked at, or given
//! away as a whole.

mod place;

use super::dict::{self, Dict, Stats};
use super::entry::Entry;
use super::value::Value;
use crate::base::{Millis, Rng};
use place::Alias;
pub use place::{EntryMut, Slot, Vacant};

/// Entries by key, and those with an expiry once more; see the module.
pub struct Table {
    main: Dict<Entry>,
    /// Made when the first key gets an expiry.
    volatile: Option<Box<Dict<Alias>>>,
}

impl Table {
    /// An empty table. Tables with the same seed give equal hashes, and equal places in a scan.
    #[must_use]
    pub const fn with_seed(seed: u64) -> Table {
        Table { main: Dict::with_seed(seed), volatile: None }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.main.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.main.is_empty()
    }

    /// Number of keys with an expiry.
    #[must_use]
    pub fn volatile_len(&self) -> usize {
        self.volatile.as_ref().map_or(0, |volatile| volatile.len())
    }

    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.main.hash(key)
    }

    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<&Entry> {
        self.main.get(key)
    }

    /// `hash` is [`Table::hash`] of `key`, here and below.
    #[inline]
    #[must_use]
    pub fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.main.get_hashed(hash, key)
    }

    /// Asks for the memory that a lookup of this hash will read first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.main.prefetch(hash);
    }

    /// Asks for the memory of the entry with this hash, some time after [`Table::prefetch`].
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.main.prefetch_item(hash);
    }

    #[inline]
    #[must_use]
    pub fn find_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_>> {
        match self.slot(key) {
            Slot::Occupied(entry) => Some(entry),
            Slot::Vacant(_) => None,
        }
    }

    /// The place of `key`, to look at it and then change, remove or fill it without searching again.
    #[inline]
    pub fn slot<'k>(&mut self, key: &'k [u8]) -> Slot<'_, 'k> {
        Slot::of(&mut self.main, &mut self.volatile, key)
    }

    /// Adds an entry, and gives back the one of the same key that it replaces, if any.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        match self.slot(entry.key()) {
            Slot::Occupied(mut old) => Some(old.replace(entry)),
            Slot::Vacant(Vacant { slot, index, .. }) => {
                place::insert_new(slot, index, entry);
                None
            }
        }
    }

    /// Sets the value of `key`, which is made (without expiry) if it is missing. Gives back what was there, so that the
    /// caller may free it when it suits.
    pub fn set_value(&mut self, key: &[u8], value: Value, keep_ttl: bool) -> Option<Entry> {
        match self.slot(key) {
            Slot::Occupied(mut entry) => {
                let expire_at = if keep_ttl { entry.expire_at() } else { None };
                Some(entry.set_value(value, expire_at))
            }
            Slot::Vacant(place) => {
                place.insert(value, None);
                None
            }
        }
    }

    /// Sets a string with this expiry or none: SET. Memory is used again where it fits. Gives the entry, and what it
    /// replaced, unless that was a string overwritten in place.
    pub fn upsert_bytes(&mut self, key: &[u8], text: &[u8], expire_at: Option<Millis>) -> (&Entry, Option<Entry>) {
        match self.slot(key) {
            Slot::Occupied(mut entry) => {
                let old = entry.set_text(text, expire_at);
                (entry.into_ref(), old)
            }
            Slot::Vacant(place) => (place.insert_text(text, expire_at).into_ref(), None),
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.find_mut(key).map(EntryMut::remove)
    }

    /// Gives `key` an expiry or takes it away. Returns whether the key exists.
    pub fn set_expire(&mut self, key: &[u8], expire_at: Option<Millis>) -> bool {
        self.find_mut(key).map(|mut entry| entry.set_expire_at(expire_at)).is_some()
    }

    /// Visits a piece of the table and returns the cursor to go on with; 0 begins and ends. See [`Dict::scan`] for what
    /// is promised while the table changes, and [`dict::position_reached`] for what a cursor tells.
    pub fn scan<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(&'a Entry)) -> u64 {
        self.main.scan(cursor, visit)
    }

    /// As [`Table::scan`], over the keys with an expiry.
    pub fn scan_volatile<'a>(&'a self, cursor: u64, visit: &mut dyn FnMut(&'a Entry)) -> u64 {
        self.volatile.as_ref().map_or(0, |volatile| volatile.scan(cursor, &mut |alias| visit(alias.entry())))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.main.iter()
    }

    /// A random entry; see [`Dict::random`] for how fair it is.
    pub fn random(&self, rng: &mut Rng) -> Option<&Entry> {
        self.main.random(rng)
    }

    /// A random entry among those with an expiry.
    pub fn random_volatile(&self, rng: &mut Rng) -> Option<&Entry> {
        self.volatile.as_ref()?.random(rng).map(Alias::entry)
    }

    /// Visits at least `at_least` entries (all, if there are fewer) from neighbouring buckets at a random place.
    pub fn sample<'a>(&'a self, rng: &mut Rng, at_least: usize, visit: &mut dyn FnMut(&'a Entry)) {
        self.main.sample(rng, at_least, visit);
    }

    /// As [`Table::sample`], over the keys with an expiry.
    pub fn sample_volatile<'a>(&'a self, rng: &mut Rng, at_least: usize, visit: &mut dyn FnMut(&'a Entry)) {
        if let Some(volatile) = &self.volatile {
            volatile.sample(rng, at_least, &mut |alias| visit(alias.entry()));
        }
    }

    #[must_use]
    pub fn is_rehashing(&self) -> bool {
        self.main.is_rehashing() || self.volatile.as_ref().is_some_and(|volatile| volatile.is_rehashing())
    }

    /// Goes on with rehashing, up to `buckets` chains of each table. Returns whether there is more to do.
    pub fn rehash_step(&mut self, buckets: usize) -> bool {
        let main = self.main.rehash_step(buckets);
        let volatile = self.volatile.as_mut().is_some_and(|volatile| volatile.rehash_step(buckets));
        main || volatile
    }

    /// Makes room for this many keys in total, and so many with an expiry among them, ahead of adding them.
    pub fn reserve(&mut self, keys: usize, volatile: usize) {
        self.main.reserve(keys);
        if volatile > 0 {
            let seed = self.main.seed();
            self.volatile.get_or_insert_with(|| Box::new(Dict::with_seed(seed))).reserve(volatile);
        }
    }

    /// Empties the table, in no time, and gives away what was in it.
    #[must_use]
    pub fn take(&mut self) -> Table {
        Table { main: self.main.take(), volatile: self.volatile.take() }
    }

    /// Bytes of the hash tables, without the entries: of all keys, and of those with an expiry once more.
    #[must_use]
    pub fn mem_bytes(&self) -> (usize, usize) {
        let volatile = self.volatile.as_ref().map_or(0, |volatile| size_of::<Dict<Alias>>() + volatile.mem_bytes());
        (self.main.mem_bytes(), volatile)
    }

    /// Sizes of both hash tables.
    #[must_use]
    pub fn stats(&self) -> (Stats, Option<Stats>) {
        (self.main.stats(), self.volatile.as_ref().map(|volatile| volatile.stats()))
    }
}

/// The entries of a table, taken out. A huge table is dropped in slices with `entries.by_ref().take(n)`.
pub struct IntoIter {
    entries: dict::IntoIter<Entry>,
    /// The handles are let go after the entries, without looking at what they point to.
    aliases: Option<dict::IntoIter<Alias>>,
}

impl Iterator for IntoIter {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        // As many handles as entries are let go with each, so that no slice has to free the whole index at its end.
        if let Some(aliases) = &mut self.aliases
            && aliases.next().is_none()
        {
            self.aliases = None;
        }
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for IntoIter {}

impl IntoIterator for Table {
    type Item = Entry;
    type IntoIter = IntoIter;
    fn into_iter(self) -> IntoIter {
        IntoIter { entries: self.main.into_iter(), aliases: self.volatile.map(|volatile| volatile.into_iter()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Rng;
    use crate::data::value::{Kind, ValueMut, ValueRef};

    /// What a key holds: its text (or "list") and expiry.
    type Model = BTreeMap<u16, (Vec<u8>, Option<i64>)>;

    fn key(n: u16) -> Vec<u8> {
        format!("key:{n}").into_bytes()
    }

    fn number(entry: &Entry) -> u16 {
        std::str::from_utf8(&entry.key()[4..]).unwrap().parse().unwrap()
    }

    fn content(entry: &Entry) -> (Vec<u8>, Option<i64>) {
        let text = match entry.value() {
            ValueRef::Int(n) => n.to_string().into_bytes(),
            ValueRef::Bytes(bytes) => bytes.to_vec(),
            other => other.kind().name().as_bytes().to_vec(),
        };
        (text, entry.expire_at().map(|at| at.0))
    }

    fn all(table: &Table) -> Model {
        table.iter().map(|entry| (number(entry), content(entry))).collect()
    }

    /// The keys with an expiry, by the index.
    fn indexed(table: &Table) -> Model {
        let mut found = Model::new();
        let mut cursor = 0;
        loop {
            cursor = table.scan_volatile(cursor, &mut |entry| {
                assert!(found.insert(number(entry), content(entry)).is_none());
            });
            if cursor == 0 {
                return found;
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Upsert(Vec<u8>, Option<i64>),
        Insert(Vec<u8>, Option<i64>),
        List(bool),
        Expire(Option<i64>),
        Append(Vec<u8>),
        SetInt(i64),
        Remove,
        Rehash,
    }

    fn op() -> impl Strategy<Value = Op> {
        let text = || {
            prop_oneof![
                2 => prop::collection::vec(any::<u8>(), 0..150),
                1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            ]
        };
        prop_oneof![
            4 => (text(), any::<Option<i64>>()).prop_map(|(text, at)| Op::Upsert(text, at)),
            1 => (text(), any::<Option<i64>>()).prop_map(|(text, at)| Op::Insert(text, at)),
            1 => any::<bool>().prop_map(Op::List),
            3 => any::<Option<i64>>().prop_map(Op::Expire),
            2 => text().prop_map(Op::Append),
            1 => any::<i64>().prop_map(Op::SetInt),
            3 => Just(Op::Remove),
            1 => Just(Op::Rehash),
        ]
    }

    fn apply(table: &mut Table, model: &mut Model, n: u16, op: &Op) {
        let key = key(n);
        match op {
            Op::Upsert(text, at) => {
                let (entry, _) = table.upsert_bytes(&key, text, at.map(Millis));
                assert_eq!(content(entry), (text.clone(), *at));
                model.insert(n, (text.clone(), *at));
            }
            Op::Insert(text, at) => {
                let old = table.insert(Entry::from_text(&key, text, at.map(Millis)));
                assert_eq!(old.map(|old| content(&old)), model.insert(n, (text.clone(), *at)));
            }
            Op::List(keep_ttl) => {
                let old = table.set_value(&key, Value::List(Default::default()), *keep_ttl);
                let expire_at = model.get(&n).and_then(|(_, at)| if *keep_ttl { *at } else { None });
                assert_eq!(old.map(|old| content(&old)), model.insert(n, (b"list".to_vec(), expire_at)));
                let Some(mut entry) = table.find_mut(&key) else { panic!("just set") };
                assert!(matches!(entry.collection_mut(), ValueMut::List(_)));
            }
            Op::Expire(at) => {
                assert_eq!(table.set_expire(&key, at.map(Millis)), model.contains_key(&n));
                model.entry(n).and_modify(|(_, old)| *old = *at);
            }
            Op::Append(more) => {
                if let Some(mut entry) = table.find_mut(&key)
                    && entry.kind() == Kind::String
                {
                    entry.make_raw().unwrap().extend_from_slice(more);
                    model.entry(n).and_modify(|(text, _)| text.extend_from_slice(more));
                }
            }
            Op::SetInt(int) => {
                if let Some(mut entry) = table.find_mut(&key) {
                    entry.set_access(9);
                    entry.set_int(*int);
                    assert_eq!(entry.access(), 9);
                    model.entry(n).and_modify(|(text, _)| *text = int.to_string().into_bytes());
                }
            }
            Op::Remove => {
                assert_eq!(table.remove(&key).map(|entry| content(&entry)), model.remove(&n));
            }
            Op::Rehash => {
                table.rehash_step(3);
            }
        }
        assert_eq!(table.find(&key).map(content), model.get(&n).cloned());
    }

    fn check(table: &Table, model: &Model) {
        assert_eq!(&all(table), model);
        let volatile: Model =
            model.iter().filter(|(_, (_, at))| at.is_some()).map(|(n, it)| (*n, it.clone())).collect();
        assert_eq!((table.len(), table.volatile_len()), (model.len(), volatile.len()));
        assert_eq!(indexed(table), volatile);
    }

    #[test]
    fn an_empty_table_costs_its_struct() {
        let mut table = Table::with_seed(1);
        assert_eq!(size_of::<Table>(), 48);
        assert_eq!(table.mem_bytes(), (0, 0));
        assert!(table.remove(b"x").is_none() && table.find(b"x").is_none() && table.take().is_empty());
        let mut rng = Rng::seeded(1);
        assert!(table.random(&mut rng).is_none() && table.random_volatile(&mut rng).is_none());
        assert_eq!(table.scan_volatile(5, &mut |_| ()), 0);
    }

    #[test]
    fn a_taken_table_lives_on_by_itself_and_is_dropped_in_slices() {
        let mut table = Table::with_seed(1);
        table.reserve(5000, 2500);
        for n in 0..5000 {
            table.upsert_bytes(&key(n), &[b'v'; 200], (n % 2 == 0).then_some(Millis(1)));
        }
        let old = table.take();
        assert!(table.is_empty() && table.volatile_len() == 0);
        table.upsert_bytes(&key(1), b"new", Some(Millis(2)));
        assert_eq!((old.len(), old.volatile_len(), indexed(&old).len()), (5000, 2500, 2500));
        let mut entries = old.into_iter();
        while entries.len() > 100 {
            entries.by_ref().take(100).for_each(drop);
        }
        drop(entries);
        assert_eq!(table.find(&key(1)).map(content), Some((b"new".to_vec(), Some(2))));
    }

    #[test]
    fn random_volatile_gives_only_keys_that_expire() {
        let mut table = Table::with_seed(1);
        for n in 0..500 {
            table.upsert_bytes(&key(n), b"v", (n % 10 == 0).then_some(Millis(1)));
        }
        let mut rng = Rng::seeded(1);
        for _ in 0..500 {
            assert_eq!(number(table.random_volatile(&mut rng).unwrap()) % 10, 0);
        }
        let mut seen = 0;
        table.sample_volatile(&mut rng, 20, &mut |entry| {
            assert_eq!(number(entry) % 10, 0);
            seen += 1;
        });
        assert!(seen >= 20);
    }

    #[test]
    fn memory_per_key() {
        let mut table = Table::with_seed(1);
        for n in 0..20_000 {
            table.upsert_bytes(format!("key:{n:012}").as_bytes(), &[b'v'; 64], None);
        }
        while table.rehash_step(100) {}
        let entries: usize = table.iter().map(Entry::mem_bytes).sum();
        let per_key = (entries + table.mem_bytes().0) as f64 / 20_000.0;
        assert!(per_key <= 114.0, "{per_key}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn agrees_with_a_map(ops in prop::collection::vec((0..60u16, op()), 0..400)) {
            let mut table = Table::with_seed(4);
            let mut model = Model::new();
            for (i, (n, op)) in ops.iter().enumerate() {
                apply(&mut table, &mut model, *n, op);
                if i % 16 == 0 {
                    check(&table, &model);
                }
            }
            check(&table, &model);
        }

        /// As above, with enough keys to be rehashing most of the time.
        #[test]
        fn agrees_with_a_map_while_rehashing(ops in prop::collection::vec((0..4000u16, 1..800u16, op()), 1..25)) {
            let mut table = Table::with_seed(4);
            let mut model = Model::new();
            for (from, count, op) in &ops {
                for n in *from..from + count {
                    apply(&mut table, &mut model, n, op);
                }
                check(&table, &model);
            }
        }
    }
}
