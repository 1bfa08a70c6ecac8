//! The place of one key in a table: where its entry is changed, removed or added, together with its handle in the index
//! of those that expire.
//!
//! What keeps the index sound is local to this file: a handle is in it exactly while its entry is in the main table and
//! has an expiry. Nobody gets an `&mut Entry` to an entry in a table; changes go through [`EntryMut`], which follows an
//! entry that moves to other memory, and takes its handle out of the index before the entry goes.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use crate::base::Millis;
use crate::data::dict::{self, Dict, Keyed};
use crate::data::entry::Entry;
use crate::data::value::{Value, ValueMut};

/// A handle of the index. The main table owns the entry.
pub(super) struct Alias(ManuallyDrop<Entry>);

impl Alias {
    pub(super) fn entry(&self) -> &Entry {
        &self.0
    }
}

impl Keyed for Alias {
    fn key(&self) -> &[u8] {
        self.0.key()
    }

    fn prefetch(&self) {
        Keyed::prefetch(&*self.0);
    }
}

/// The index as seen from the place of one key.
pub(super) struct Index<'a> {
    hash: u64,
    seed: u64,
    volatile: &'a mut Option<Box<Dict<Alias>>>,
}

impl Index<'_> {
    /// The handle of an entry that has an expiry.
    fn alias_of(&mut self, entry: &Entry) -> Option<&mut Alias> {
        self.volatile.as_mut()?.find_mut(self.hash, |alias| alias.0.is_same(entry))
    }

    fn add(&mut self, entry: &Entry) {
        let volatile = self.volatile.get_or_insert_with(|| Box::new(Dict::with_seed(self.seed)));
        volatile.insert_unique_hashed(self.hash, Alias(entry.alias()));
    }

    /// Lets the handle of an entry go. All entries of the index, this one included, are still alive.
    fn remove(&mut self, entry: &Entry) {
        if let Some(volatile) = self.volatile {
            volatile.remove_where(self.hash, |alias| alias.0.is_same(entry));
        }
    }
}

/// The place of one key in a table.
pub enum Slot<'a, 'k> {
    Occupied(EntryMut<'a>),
    Vacant(Vacant<'a, 'k>),
}

/// The place where the key that was looked for may be added.
pub struct Vacant<'a, 'k> {
    key: &'k [u8],
    pub(super) slot: dict::Vacant<'a, Entry>,
    pub(super) index: Index<'a>,
}

impl<'a, 'k> Slot<'a, 'k> {
    /// `volatile` is the index of `main`.
    #[inline]
    pub(super) fn of(main: &'a mut Dict<Entry>, volatile: &'a mut Option<Box<Dict<Alias>>>, key: &'k [u8]) -> Self {
        // The hash is not left to the caller: entry and handle are found by the same one or not at all.
        let hash = main.hash(key);
        let index = Index { hash, seed: main.seed(), volatile };
        match main.slot(hash, key) {
            dict::Slot::Occupied(slot) => Slot::Occupied(EntryMut { slot, index }),
            dict::Slot::Vacant(slot) => Slot::Vacant(Vacant { key, slot, index }),
        }
    }
}

impl<'a> Vacant<'a, '_> {
    pub fn insert(self, value: Value, expire_at: Option<Millis>) -> EntryMut<'a> {
        insert_new(self.slot, self.index, Entry::new(self.key, value, expire_at))
    }

    /// Adds a string: a number if its text is one.
    pub fn insert_text(self, text: &[u8], expire_at: Option<Millis>) -> EntryMut<'a> {
        insert_new(self.slot, self.index, Entry::from_text(self.key, text, expire_at))
    }
}

/// Adds an entry whose key was looked for and not found.
pub(super) fn insert_new<'a>(slot: dict::Vacant<'a, Entry>, mut index: Index<'a>, entry: Entry) -> EntryMut<'a> {
    if entry.expire_at().is_some() {
        index.add(&entry);
    }
    EntryMut { slot: slot.insert(entry), index }
}

/// An entry in a table, held for change. Reading goes through [`Entry`], to which it dereferences.
pub struct EntryMut<'a> {
    slot: dict::Occupied<'a, Entry>,
    index: Index<'a>,
}

impl Deref for EntryMut<'_> {
    type Target = Entry;
    #[inline]
    fn deref(&self) -> &Entry {
        &self.slot
    }
}

impl<'a> EntryMut<'a> {
    #[must_use]
    pub fn into_ref(self) -> &'a Entry {
        self.slot.into_mut()
    }

    /// Makes the value this number, in place if it is stored as a number already. Gives back what it replaced
    /// otherwise.
    pub fn set_int(&mut self, n: i64) -> Option<Entry> {
        if self.slot.set_int(n) { None } else { Some(self.set_value(Value::Int(n), self.expire_at())) }
    }

    /// The buffer of a string, which is made a raw one if it is not yet; absent if the value is not a string.
    pub fn make_raw(&mut self) -> Option<&mut Vec<u8>> {
        // The handle is found while the entry still is where the handle says.
        let alias = if self.slot.expire_at().is_some() { self.index.alias_of(&self.slot) } else { None };
        self.slot.make_raw()?;
        if let Some(alias) = alias {
            *alias = Alias(self.slot.alias());
        }
        self.slot.make_raw()
    }

    /// A collection held for change, where it is.
    pub fn collection_mut(&mut self) -> ValueMut<'_> {
        self.slot.collection_mut()
    }

    /// Sets value and expiry together, keeping the access stamp. Gives back what it replaced.
    pub fn set_value(&mut self, value: Value, expire_at: Option<Millis>) -> Entry {
        let entry = Entry::new(self.key(), value, expire_at);
        entry.set_access(self.access());
        self.replace(entry)
    }

    /// Sets value and expiry together, as a string. Memory is used again where it fits; otherwise what was replaced is
    /// given back.
    pub fn set_text(&mut self, text: &[u8], expire_at: Option<Millis>) -> Option<Entry> {
        if self.slot.overwrite_text(text, expire_at) {
            return None;
        }
        let entry = Entry::from_text(self.key(), text, expire_at);
        entry.set_access(self.access());
        Some(self.replace(entry))
    }

    pub fn set_expire_at(&mut self, expire_at: Option<Millis>) {
        let had_one = self.slot.expire_at().is_some();
        if had_one && expire_at.is_none() {
            self.index.remove(&self.slot);
        }
        self.slot.set_expire_at(expire_at);
        if !had_one && expire_at.is_some() {
            self.index.add(&self.slot);
        }
    }

    /// Takes the entry out of the table.
    #[must_use]
    pub fn remove(mut self) -> Entry {
        if self.slot.expire_at().is_some() {
            self.index.remove(&self.slot);
        }
        self.slot.remove()
    }

    /// Puts an entry of the same key in the place of this one, which is given back.
    #[must_use]
    pub fn replace(&mut self, entry: Entry) -> Entry {
        assert_eq!(self.key(), entry.key(), "an entry is replaced by one of the same key");
        match (self.slot.expire_at(), entry.expire_at()) {
            (None, None) => {}
            (None, Some(_)) => self.index.add(&entry),
            (Some(_), None) => self.index.remove(&self.slot),
            (Some(_), Some(_)) => {
                if let Some(alias) = self.index.alias_of(&self.slot) {
                    *alias = Alias(entry.alias());
                }
            }
        }
        std::mem::replace(&mut *self.slot, entry)
    }
}
