//! Asking for the memory of several keys at once, so that their cache misses overlap instead of following each other.

use super::Keyspace;
use crate::base::key_slot;

/// Most keys that are asked for together. More would push each other out of the cache.
const MAX_KEYS: usize = 128;

/// A database with fewer keys fits into the cache anyway.
const WORTH_IT_KEYS: usize = 4096;

impl Keyspace {
    /// Asks for the buckets of up to 128 keys, then for their entries. Nothing is looked up for good:
    /// a word that is no key costs a little time and changes nothing.
    pub fn prefetch<'k>(&self, db: u32, keys: impl Iterator<Item = &'k [u8]>) {
        let tables = &self.dbs[db as usize];
        if tables.len() < WORTH_IT_KEYS {
            return;
        }
        let mut places = [(0u16, 0u64); MAX_KEYS];
        let mut len = 0;
        for (place, key) in places.iter_mut().zip(keys) {
            let table = if self.slotted { key_slot(key).index() } else { 0 };
            let hash = tables.get(table).hash(key);
            tables.get(table).prefetch(hash);
            *place = (table as u16, hash);
            len += 1;
        }
        for &(table, hash) in &places[..len] {
            tables.get(usize::from(table)).prefetch_entry(hash);
        }
    }
}
