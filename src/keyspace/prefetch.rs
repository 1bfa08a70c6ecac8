//! Asking for the memory of several keys at once, so that their cache misses overlap instead of following each other.

use super::Keyspace;
use crate::base::key_slot;

/// Most keys that are asked for together. More would push each other out of the cache.
const MAX_KEYS: usize = 128;

/// What most clients send at once is not made to pay for the room of so many.
const FEW_KEYS: usize = 16;

/// A database with fewer keys fits into the cache anyway.
const WORTH_IT_KEYS: usize = 4096;

/// A key that is about to be looked up, and the member of its value that is, if any.
pub type Wanted<'k> = (&'k [u8], Option<&'k [u8]>);

impl Keyspace {
    /// Asks for the buckets of up to 128 keys, then for their entries, and the same for members of large sets and
    /// hashes. Nothing is looked up for good: a word that is no key costs a little time and changes nothing.
    pub fn prefetch<'k>(&self, db: u32, wanted: impl Iterator<Item = Wanted<'k>>) {
        if wanted.size_hint().1.is_some_and(|most| most <= FEW_KEYS) {
            self.prefetch_up_to::<FEW_KEYS>(db, wanted);
        } else {
            self.prefetch_up_to::<MAX_KEYS>(db, wanted);
        }
    }

    fn prefetch_up_to<'k, const N: usize>(&self, db: u32, wanted: impl Iterator<Item = Wanted<'k>>) {
        let tables = &self.dbs[db as usize];
        let is_large = tables.len() >= WORTH_IT_KEYS;
        let mut places = [(0u16, 0u64, Wanted::default()); N];
        let mut len = 0;
        for (place, (key, member)) in places.iter_mut().zip(wanted) {
            if !is_large && member.is_none() {
                continue;
            }
            let table = if self.slotted { key_slot(key).index() } else { 0 };
            let hash = tables.get(table).hash(key);
            if is_large {
                tables.get(table).prefetch(hash);
            }
            *place = (table as u16, hash, (key, member));
            len += 1;
        }
        let places = &places[..len];
        if is_large {
            for &(table, hash, _) in places {
                tables.get(usize::from(table)).prefetch_entry(hash);
            }
        }
        let mut members = [None; N];
        for (found, &(table, hash, (key, member))) in members.iter_mut().zip(places) {
            let Some(member) = member else { continue };
            let Some(entry) = tables.get(usize::from(table)).find_hashed(hash, key) else { continue };
            let value = entry.value();
            *found = value.prefetch_member(member).map(|hash| (value, hash));
        }
        for (value, hash) in members[..len].iter().flatten() {
            value.prefetch_found(*hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::data::Limits;
    use crate::data::hash::Hash;
    use crate::data::set::Set;
    use crate::data::value::Value;
    use crate::keyspace::{SetExpire, Typed};

    /// There is nothing to see from outside but that any words will do: keys and members, there or not, many or few.
    #[test]
    fn any_words_will_do() {
        let limits = Limits::default();
        for slotted in [false, true] {
            let (mut set, mut hash) = (Set::new(), Hash::new());
            for n in 0..5000 {
                set.add(format!("m{n}").as_bytes(), &limits);
                hash.set(format!("m{n}").as_bytes(), b"v", &limits);
            }
            let mut ks = Keyspace::new(1, slotted, Rng::seeded(1));
            ks.db(0).set(b"set", Value::Set(set), SetExpire::Never);
            ks.db(0).set(b"hash", Value::Hash(hash), SetExpire::Never);
            for keys in [0, 5000] {
                for n in 0..keys {
                    ks.db(0).set(format!("k{n}").as_bytes(), Value::Int(n), SetExpire::Never);
                }
                let words: Vec<Vec<u8>> = (0..300).map(|n| format!("m{n}").into_bytes()).collect();
                let keys = [&b"set"[..], b"hash", b"k7", b"missing", b""].into_iter().cycle();
                ks.prefetch(0, keys.clone().zip(words.iter().map(|word| Some(&word[..]))));
                ks.prefetch(0, keys.zip([None; 300]));
                assert_eq!(ks.db(0).read(b"set").and_then(|e| e.set().ok().map(Set::len)), Some(5000));
            }
        }
    }
}
