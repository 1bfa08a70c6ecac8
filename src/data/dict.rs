//! The hash table of the server: of every database, and of the large sets, hashes and sorted sets.
//!
//! Items are owned pointers to something that knows its own key; the table stores just the pointer and eight bits of
//! the hash, in buckets of two cache lines ([`buckets`]). A lookup hashes once, reads one bucket most of the time, and
//! touches no item but the right one.
//!
//! **Resizing** never stops the world: a second array is made, and every operation that changes the table moves one
//! chain of the old array over. Chains are moved in order of their number, and where an item is to be looked for follows
//! from its hash alone: in the old array while its chain there has not been moved, else in the new one. So lookups
//! probe one array only, and an item never has to be looked for twice.
//!
//! The table is sound whatever its items do: an item that gives another key than before is merely not found.
#![allow(unsafe_code)]

mod buckets;
mod hashing;
mod iter;
mod row;
mod scan;

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

pub use buckets::prefetch;
pub use hashing::hash_bytes;
pub use iter::{IntoIter, Iter};
pub use scan::position_reached;

use buckets::Buckets;
use row::Place;

/// Something that is found by its key. Its type is as large as a pointer.
pub trait Keyed {
    fn key(&self) -> &[u8];

    /// Asks for the memory behind the item with [`prefetch`], because its key is about to be read.
    fn prefetch(&self) {}
}

/// The array doubles when a bucket has more items than this on average. Buckets overflow into children well before;
/// that costs some lookups another cache line but keeps the memory per item between 10 and 14 bytes.
const GROW_ABOVE_PER_BUCKET: usize = 20;
/// An array with fewer items per bucket than this shrinks ...
const SHRINK_BELOW_PER_BUCKET: usize = 2;
/// ... and is left with at most this many.
const SHRINK_TO_PER_BUCKET: usize = 10;
/// Arrays of up to this many buckets are rehashed at once.
const AT_ONCE_BUCKETS: usize = 4;
/// So many items and their buckets are likely to be in the cache.
const IN_CACHE_ITEMS: usize = 2048;
/// Looking for a chain to move, a step passes over this many empty ones at most.
const EMPTY_PER_STEP: usize = 16;

/// While tables are not to be resized, one with this many times the items that it should hold grows all the same.
const GROW_ANYWAY_FACTOR: usize = 5;

/// Whether tables of the process are resized when their number of items asks for it. Read only when it does.
static RESIZING: AtomicBool = AtomicBool::new(true);

/// Lets tables keep the size they have, or not: a switch for tests that look at sizes (DEBUG DICT-RESIZING).
pub fn set_resizing(allowed: bool) {
    RESIZING.store(allowed, Ordering::Relaxed);
}

/// A table of items found by key; see the module.
pub struct Dict<T> {
    main: Buckets<T>,
    len: usize,
    seed: u64,
    moving: Option<Box<Moving<T>>>,
}

/// The array that is being emptied into the main one.
struct Moving<T> {
    from: Buckets<T>,
    /// Chains below this number have been moved.
    next: usize,
}

/// Sizes, for DEBUG HTSTATS and INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub len: usize,
    pub buckets: usize,
    pub child_buckets: usize,
    /// While rehashing: buckets of the old array, and how many of them have been moved.
    pub old_buckets: usize,
    pub old_moved: usize,
}

impl<T> Dict<T> {
    /// An empty table, without memory of its own. Tables with the same seed give equal hashes.
    #[must_use]
    pub const fn with_seed(seed: u64) -> Dict<T> {
        Dict { main: Buckets::none(), len: 0, seed, moving: None }
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
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash under which this table files `key`.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        hash_bytes(self.seed, key)
    }

    #[must_use]
    pub fn is_rehashing(&self) -> bool {
        self.moving.is_some()
    }

    /// Number of buckets, without children; of both arrays while rehashing.
    #[must_use]
    pub fn bucket_count(&self) -> usize {
        self.tables().map(Buckets::count).sum()
    }

    /// Bytes of the arrays and their children, without the items.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.tables().map(Buckets::bytes).sum()
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            len: self.len,
            buckets: self.main.count(),
            child_buckets: self.tables().map(Buckets::children).sum(),
            old_buckets: self.moving.as_ref().map_or(0, |m| m.from.count()),
            old_moved: self.moving.as_ref().map_or(0, |m| m.next),
        }
    }

    /// Empties the table and gives what was in it.
    #[must_use]
    pub fn take(&mut self) -> Dict<T> {
        let seed = self.seed;
        std::mem::replace(self, Dict::with_seed(seed))
    }

    /// Visits all items in no particular order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The one or two arrays.
    fn tables(&self) -> impl Iterator<Item = &Buckets<T>> + Clone {
        std::iter::once(&self.main).chain(self.moving.as_ref().map(|m| &m.from))
    }

    /// The array where an item with this hash is, if it is anywhere.
    #[inline]
    fn table_of(&self, hash: u64) -> &Buckets<T> {
        match &self.moving {
            Some(moving) if moving.from.index(hash) >= moving.next => &moving.from,
            _ => &self.main,
        }
    }

    #[inline]
    fn table_of_mut(&mut self, hash: u64) -> &mut Buckets<T> {
        match &mut self.moving {
            Some(moving) if moving.from.index(hash) >= moving.next => &mut moving.from,
            _ => &mut self.main,
        }
    }

    /// Asks for the memory of the bucket of `hash` ahead of a lookup, for callers who know their next keys.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.table_of(hash).prefetch(hash);
    }
}

impl<T: Keyed> Dict<T> {
    /// Asks for the bucket of `key` and gives its hash for [`Dict::prefetch_item`], unless the table is so small that
    /// it is likely to be in the cache.
    #[inline]
    pub fn prefetch_key(&self, key: &[u8]) -> Option<u64> {
        (self.len > IN_CACHE_ITEMS).then(|| {
            let hash = self.hash(key);
            self.prefetch(hash);
            hash
        })
    }

    /// Asks for the memory of the items that may be the one with this hash. Reads the bucket, for which
    /// [`Dict::prefetch`] asked a while before.
    #[inline]
    pub fn prefetch_item(&self, hash: u64) {
        let _ = self.table_of(hash).find(hash, |item| {
            item.prefetch();
            false
        });
    }
}

impl<T: Keyed> Dict<T> {
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&T> {
        self.get_hashed(self.hash(key), key)
    }

    /// `hash` is [`Dict::hash`] of `key`, here and below.
    #[inline]
    #[must_use]
    pub fn get_hashed(&self, hash: u64, key: &[u8]) -> Option<&T> {
        let place = self.place_of(hash, key)?;
        // SAFETY: just found, and the table is borrowed as long as the item.
        Some(unsafe { place.item() })
    }

    /// For changes that leave the key as it is.
    #[must_use]
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        self.get_hashed_mut(self.hash(key), key)
    }

    #[must_use]
    pub fn get_hashed_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut T> {
        let place = self.place_of(hash, key)?;
        // SAFETY: just found, and the table is borrowed exclusively as long as the item.
        Some(unsafe { place.item_mut() })
    }

    /// The item with this hash of which `is` says that it is the one. No key is looked at.
    #[must_use]
    pub fn find_mut(&mut self, hash: u64, is: impl Fn(&T) -> bool) -> Option<&mut T> {
        let place = self.table_of(hash).find(hash, is)?;
        // SAFETY: just found, and the table is borrowed exclusively as long as the item.
        Some(unsafe { place.item_mut() })
    }

    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.place_of(self.hash(key), key).is_some()
    }

    #[inline]
    fn place_of(&self, hash: u64, key: &[u8]) -> Option<Place<T>> {
        self.table_of(hash).find(hash, |item| item.key() == key)
    }

    /// The place of `key`, to look at it and then fill, replace or clear it without searching again.
    #[inline]
    pub fn slot(&mut self, hash: u64, key: &[u8]) -> Slot<'_, T> {
        self.step();
        match self.place_of(hash, key) {
            Some(place) => Slot::Occupied(Occupied { dict: self, hash, place }),
            None => Slot::Vacant(Vacant { dict: self, hash }),
        }
    }

    /// Adds an item whose key is not in the table yet (or it would hide, or be hidden by, the one that is).
    pub fn insert_unique(&mut self, item: T) -> &mut T {
        self.insert_unique_hashed(self.hash(item.key()), item)
    }

    pub fn insert_unique_hashed(&mut self, hash: u64, item: T) -> &mut T {
        self.step();
        debug_assert!(self.place_of(hash, item.key()).is_none(), "insert_unique of a key that is there");
        Vacant { dict: self, hash }.insert(item).into_mut()
    }

    /// Adds the item, and gives back the one with the same key that it replaces, if any.
    pub fn insert(&mut self, item: T) -> Option<T> {
        match self.slot(self.hash(item.key()), item.key()) {
            Slot::Occupied(mut slot) => Some(std::mem::replace(&mut *slot, item)),
            Slot::Vacant(slot) => {
                slot.insert(item);
                None
            }
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<T> {
        self.remove_hashed(self.hash(key), key)
    }

    pub fn remove_hashed(&mut self, hash: u64, key: &[u8]) -> Option<T> {
        match self.slot(hash, key) {
            Slot::Occupied(slot) => Some(slot.remove()),
            Slot::Vacant(_) => None,
        }
    }

    /// Takes out the item with this hash of which `is` says that it is the one.
    pub fn remove_where(&mut self, hash: u64, is: impl Fn(&T) -> bool) -> Option<T> {
        self.step();
        let place = self.table_of(hash).find(hash, is)?;
        Some(Occupied { dict: self, hash, place }.remove())
    }

    /// Makes room for `n` items in total ahead of adding them: a hint for loaders.
    pub fn reserve(&mut self, n: usize) {
        let bits = bits_for(n, GROW_ABOVE_PER_BUCKET);
        if self.moving.is_none() && n > 0 && (self.main.is_none() || bits > self.main.bits()) {
            self.resize(bits);
        }
    }

    /// Goes on with rehashing: moves up to `buckets` chains. Returns whether there is more to do. Operations that
    /// change the table do one step by themselves, so this is for tables at rest.
    pub fn rehash_step(&mut self, buckets: usize) -> bool {
        let Some(moving) = &mut self.moving else { return false };
        let mut empty_left = buckets.saturating_mul(EMPTY_PER_STEP);
        let mut left = buckets;
        while left > 0 && empty_left > 0 && moving.next < moving.from.count() {
            if move_chain(&mut moving.from, moving.next, &mut self.main, self.seed) {
                left -= 1;
            } else {
                empty_left -= 1;
            }
            moving.next += 1;
            moving.from.passed(moving.next);
        }
        if moving.next == moving.from.count() {
            moving.from.release();
            self.moving = None;
        }
        self.moving.is_some()
    }

    /// The share of rehashing that every change of the table does.
    #[inline]
    fn step(&mut self) {
        if self.moving.is_some() {
            self.rehash_step(1);
        }
    }

    fn resize(&mut self, bits: u32) {
        let mut from = std::mem::replace(&mut self.main, Buckets::with_bits(bits));
        if from.count() <= AT_ONCE_BUCKETS {
            for index in 0..from.count() {
                move_chain(&mut from, index, &mut self.main, self.seed);
            }
            from.release();
        } else {
            self.moving = Some(Box::new(Moving { from, next: 0 }));
        }
    }

    fn grow_for_one_more(&mut self) {
        let room = self.main.count() * GROW_ABOVE_PER_BUCKET;
        if self.moving.is_none()
            && self.len >= room
            && (RESIZING.load(Ordering::Relaxed) || self.len >= room * GROW_ANYWAY_FACTOR)
        {
            self.resize(bits_for(self.len + 1, GROW_ABOVE_PER_BUCKET));
        }
    }

    fn shrink_if_sparse(&mut self) {
        if self.len == 0 {
            // One bucket is kept: tables that empty and fill again are common.
            if self.moving.is_some() || self.main.bits() > 0 {
                self.main.release();
                if let Some(moving) = &mut self.moving {
                    moving.from.release();
                }
                self.moving = None;
            }
        } else if self.moving.is_none()
            && self.len < self.main.count() * SHRINK_BELOW_PER_BUCKET
            && RESIZING.load(Ordering::Relaxed)
        {
            let bits = bits_for(self.len, SHRINK_TO_PER_BUCKET);
            if bits < self.main.bits() {
                self.resize(bits);
            }
        }
    }
}

/// The least number of bits of an index such that `n` items are not more than `per_bucket` per bucket.
fn bits_for(n: usize, per_bucket: usize) -> u32 {
    n.div_ceil(per_bucket).next_power_of_two().trailing_zeros()
}

/// Moves the items of one chain into another array. Returns whether there were any.
fn move_chain<T: Keyed>(from: &mut Buckets<T>, index: usize, to: &mut Buckets<T>, seed: u64) -> bool {
    from.chain(index).for_each(Keyed::prefetch);
    from.take_chain(index, |item| {
        let hash = hash_bytes(seed, item.key());
        to.insert(hash, item);
    })
}

/// The place of one key in a table.
pub enum Slot<'a, T> {
    Occupied(Occupied<'a, T>),
    Vacant(Vacant<'a, T>),
}

/// The place of an item; dereferences to it.
pub struct Occupied<'a, T> {
    dict: &'a mut Dict<T>,
    hash: u64,
    place: Place<T>,
}

/// The place where an item may be put.
pub struct Vacant<'a, T> {
    dict: &'a mut Dict<T>,
    hash: u64,
}

impl<T> Deref for Occupied<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the table is held, unchanged since the place was found.
        unsafe { self.place.item() }
    }
}

impl<T> DerefMut for Occupied<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the table is held exclusively, unchanged since the place was found.
        unsafe { self.place.item_mut() }
    }
}

impl<'a, T: Keyed> Occupied<'a, T> {
    #[must_use]
    pub fn into_mut(self) -> &'a mut T {
        // SAFETY: the table is held exclusively for `'a`, unchanged since the place was found.
        unsafe { self.place.item_mut() }
    }

    pub fn remove(self) -> T {
        // SAFETY: the place was found in this array with this hash, and nothing has changed since.
        let item = unsafe { self.dict.table_of_mut(self.hash).take(self.hash, self.place) };
        self.dict.len -= 1;
        self.dict.shrink_if_sparse();
        item
    }
}

impl<'a, T: Keyed> Vacant<'a, T> {
    /// Puts in an item whose key is the one that was looked for.
    pub fn insert(self, item: T) -> Occupied<'a, T> {
        let Vacant { dict, hash } = self;
        debug_assert_eq!(dict.hash(item.key()), hash);
        dict.grow_for_one_more();
        dict.len += 1;
        let place = dict.table_of_mut(hash).insert(hash, item);
        Occupied { dict, hash, place }
    }
}

#[cfg(test)]
mod tests;
