//! The fields of a hash that expire, in the order in which they do.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;

use crate::base::Millis;
use crate::data::pair::Pair;

/// A handle of a pair that the hash's table owns. It orders by its place in memory, and is followed only to read the
/// field: the table takes it out of the index before the pair is gone.
struct Alias(ManuallyDrop<Pair>);

impl Alias {
    fn of(pair: &Pair) -> Alias {
        // SAFETY: the table takes the handle out of the index before the pair is gone, and it is never dropped itself.
        Alias(unsafe { pair.alias() })
    }
}

impl Ord for Alias {
    fn cmp(&self, other: &Alias) -> Ordering {
        self.0.address().cmp(&other.0.address())
    }
}

impl PartialOrd for Alias {
    fn partial_cmp(&self, other: &Alias) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alias {
    fn eq(&self, other: &Alias) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Alias {}

#[derive(Default)]
struct Index(BTreeSet<(Millis, Alias)>);

/// The index; made when the first field gets an expiry, so that hashes without any pay a pointer.
#[derive(Default)]
pub(super) struct Expiries(Option<Box<Index>>);

impl Expiries {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// About what the index holds on the heap: its nodes are at least half full.
    pub fn mem_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |index| index.0.len() * size_of::<(Millis, Alias)>() * 4 / 3)
    }

    /// A pair comes into the table.
    pub fn add(&mut self, pair: &Pair) {
        if let Some(at) = pair.expire_at() {
            self.0.get_or_insert_default().0.insert((at, Alias::of(pair)));
        }
    }

    /// A pair has left the table and still exists.
    pub fn remove(&mut self, pair: &Pair) {
        if let (Some(at), Some(index)) = (pair.expire_at(), &mut self.0) {
            index.0.remove(&(at, Alias::of(pair)));
            if index.0.is_empty() {
                self.0 = None;
            }
        }
    }

    /// When the first field expires.
    pub fn first(&self) -> Option<Millis> {
        self.0.as_ref()?.0.first().map(|(at, _)| *at)
    }

    /// The field that expires first, if its time has come.
    pub fn first_due(&self, now: Millis) -> Option<&[u8]> {
        let (at, alias) = self.0.as_ref()?.0.first()?;
        (*at <= now).then(|| alias.0.field())
    }

    /// How many fields are past their time. O(their number).
    pub fn count_due(&self, now: Millis) -> usize {
        self.0.as_ref().map_or(0, |index| index.0.iter().take_while(|(at, _)| *at <= now).count())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::base::{Millis, Rng};
    use crate::data::hash::Hash;
    use crate::data::pair::Pair;
    use crate::data::value::Encoding;
    use crate::data::{Item, Limits};

    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

    fn text(item: Item<'_>) -> Vec<u8> {
        item.to_vec()
    }

    /// What a hash shows at `now`, and that all its ways of looking agree.
    fn check(hash: &Hash, model: &Model, now: i64) -> Result<(), TestCaseError> {
        let live = hash.live(Millis(now));
        let shown: BTreeMap<_, _> = model.iter().filter(|(_, (_, at))| at.is_none_or(|at| at > now)).collect();
        prop_assert_eq!(live.len(), shown.len());
        let seen: BTreeMap<_, _> = live.iter().map(|(field, value)| (text(field), text(value))).collect();
        prop_assert_eq!(seen.len(), shown.len());
        for (field, (value, at)) in model {
            let is_shown = shown.contains_key(field);
            prop_assert_eq!(seen.get(field), is_shown.then_some(value));
            prop_assert_eq!(live.get(field).map(text), is_shown.then(|| value.clone()));
            prop_assert_eq!(live.contains(field), is_shown);
            let kept = hash.get_with_expiry(field).map(|(value, at)| (text(value), at));
            prop_assert_eq!(kept, Some((value.clone(), at.map(Millis))));
        }
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = live.scan(cursor, 3, |field, value| drop(scanned.insert(text(field), text(value))));
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(&scanned, &seen);
        let drawn = live.random(&mut Rng::seeded(now as u64)).map(|(field, value)| (text(field), text(value)));
        prop_assert_eq!(drawn.is_some(), !seen.is_empty());
        prop_assert!(drawn.is_none_or(|(field, value)| seen.get(&field) == Some(&value)));
        let first = model.values().filter_map(|(_, at)| *at).min();
        prop_assert_eq!((hash.first_expiry(), hash.has_expiries()), (first.map(Millis), first.is_some()));
        Ok(())
    }

    proptest! {
        #[test]
        fn fields_end_in_order(
            acts in prop::collection::vec((0..5u8, 0..30u8, prop::option::of(1..50i64)), 0..150), entries in 0..20usize,
        ) {
            let limits = Limits { hash_max_listpack_entries: entries, ..Limits::default() };
            let (mut hash, mut model) = (Hash::new(), Model::new());
            for (n, (kind, field, at)) in acts.into_iter().enumerate() {
                let (field, value) = (vec![b'f', field], n.to_string().into_bytes());
                match kind {
                    0 => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                    1 => {
                        prop_assert_eq!(hash.set_expiry(&field, at.map(Millis), &limits), model.contains_key(&field));
                        model.entry(field).and_modify(|(_, old)| *old = at);
                    }
                    2 if n % 8 == 0 => {
                        let now = at.unwrap_or(20);
                        let mut last = 0;
                        while let Some(field) = hash.take_due(Millis(now)) {
                            let (_, at) = model.remove(&field).expect("it was there");
                            let at = at.expect("it had an expiry");
                            prop_assert!((last..=now).contains(&at));
                            last = at;
                        }
                    }
                    _ => {
                        let old = hash.put(&field, &value, at.map(Millis), &limits).map(|old| old.expire_at);
                        let expected = model.insert(field, (value, at)).map(|(_, at)| at.map(Millis));
                        prop_assert_eq!(old, expected);
                    }
                }
                if n % 10 == 0 {
                    check(&hash, &model, n as i64 % 50)?;
                }
            }
            check(&hash, &model, 25)?;
        }
    }

    #[test]
    fn fields_without_expiry_cost_what_they_did() {
        let limits = Limits { hash_max_listpack_entries: 0, ..Limits::default() };
        let (mut plain, mut ending) = (Hash::new(), Hash::new());
        for n in 0..1000 {
            plain.set(format!("field:{n}").as_bytes(), b"value", &limits);
            ending.put(format!("field:{n}").as_bytes(), b"value", Some(Millis(n)), &limits);
        }
        let pair = Pair::new(b"field:999", b"value", None);
        assert_eq!(pair.mem_bytes(), 32);
        assert!(plain.mem_bytes() < ending.mem_bytes());
        while ending.take_due(Millis(i64::MAX)).is_some() {}
        assert!(ending.is_empty() && !ending.has_expiries());
        let mut hash = Hash::new();
        hash.set(b"a", b"1", &Limits::default());
        assert_eq!(hash.encoding(), Encoding::Listpack);
        hash.set_expiry(b"a", Some(Millis(5)), &Limits::default());
        assert_eq!(hash.encoding(), Encoding::Hashtable);
        hash.set_expiry(b"a", None, &Limits::default());
        assert_eq!(hash.encoding(), Encoding::Hashtable);
    }
}
