//! The door to one database: every read and every change of a key goes through here.

use super::{AccessPolicy, EventClass, Keyspace, Tables};
use crate::base::{self, Millis, Rng, key_slot};
use crate::data::entry::Entry;
use crate::data::table::{EntryMut, Slot};
use crate::data::value::{Encoding, Value, ValueRef};

/// What becomes of a key's expiry when its value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetExpire {
    Never,
    At(Millis),
    Keep,
}

impl SetExpire {
    /// The new expiry, given the old one.
    fn after(self, old: Option<Millis>) -> Option<Millis> {
        match self {
            SetExpire::Never => None,
            SetExpire::At(at) => Some(at),
            SetExpire::Keep => old,
        }
    }
}

/// Marks an entry as used now.
fn mark_used(entry: &Entry, access: AccessPolicy, now: Millis, no_touch: bool, rng: &mut Rng) {
    if !no_touch {
        let stamp = access.used(entry.access(), now, rng);
        if stamp != entry.access() {
            entry.set_access(stamp);
        }
    }
}

/// One database of a [`Keyspace`].
pub struct Db<'a> {
    pub(super) ks: &'a mut Keyspace,
    pub(super) index: u32,
}

impl Db<'_> {
    /// This database's number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.index
    }

    #[must_use]
    pub fn now(&self) -> Millis {
        self.ks.now
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.ks.dbs[self.index as usize]
    }

    pub(super) fn tables_mut(&mut self) -> &mut Tables {
        &mut self.ks.dbs[self.index as usize]
    }

    pub(super) fn table_of(&self, key: &[u8]) -> usize {
        if !self.ks.slotted {
            return 0;
        }
        match self.ks.slot_hint {
            Some(slot) => {
                debug_assert_eq!(slot, key_slot(key), "a command's keys share a slot");
                slot.index()
            }
            None => key_slot(key).index(),
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.tables().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables().is_empty()
    }

    /// Looks a key up for reading: counts a hit or a miss and marks the value as used.
    pub fn read(&mut self, key: &[u8]) -> Option<&Entry> {
        self.look_up(key, true)
    }

    /// As [`Db::read`] for commands that look at the key and not at its value (EXISTS, TYPE, TTL): without marking it as
    /// used.
    pub fn look(&mut self, key: &[u8]) -> Option<&Entry> {
        self.look_up(key, false)
    }

    fn look_up(&mut self, key: &[u8], used: bool) -> Option<&Entry> {
        let table = self.table_of(key);
        if self.is_due_key(table, key) {
            self.expire_if_due(table, key);
            self.ks.misses += 1;
            self.notify(EventClass::KEY_MISS, "keymiss", key);
            return None;
        }
        let ks = &mut *self.ks;
        let Some(entry) = ks.dbs[self.index as usize].get(table).find(key) else {
            ks.misses += 1;
            ks.events.tell(EventClass::KEY_MISS, "keymiss", self.index, key);
            return None;
        };
        ks.hits += 1;
        mark_used(entry, ks.access, ks.now, ks.no_touch || !used, &mut ks.rng);
        Some(entry)
    }

    /// Looks several keys up as [`Db::read`] does, and gives them side by side.
    pub fn read_all<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> Vec<Option<&Entry>> {
        let found: Vec<bool> = keys.clone().map(|key| self.read(key).is_some()).collect();
        let find = |key| self.tables().get(self.table_of(key)).find(key);
        keys.zip(found).map(|(key, found)| if found { find(key) } else { None }).collect()
    }

    /// Looks a key up without counting and without marking it as used (OBJECT, and what is about to be written).
    pub fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        let table = self.table_of(key);
        if self.expire_if_due(table, key) {
            return None;
        }
        self.tables().get(table).find(key)
    }

    /// Whether the key exists (not counted, not marked).
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.peek(key).is_some()
    }

    /// Looks a key up to change its value in place.
    pub fn write(&mut self, key: &[u8]) -> Option<EntryMut<'_>> {
        let table = self.table_of(key);
        if self.expire_if_due(table, key) {
            return None;
        }
        if self.ks.is_followed() && self.tables().get(table).find(key).is_some() {
            self.opened(table, key);
        }
        let ks = &mut *self.ks;
        let entry = ks.dbs[self.index as usize].in_place(table).find_mut(key)?;
        mark_used(&entry, ks.access, ks.now, ks.no_touch, &mut ks.rng);
        Some(entry)
    }

    /// The key's value to change in place, made by `make` when the key does not exist.
    pub fn write_or_insert(&mut self, key: &[u8], make: impl FnOnce() -> Value) -> EntryMut<'_> {
        let table = self.table_of(key);
        self.expire_if_due(table, key);
        self.opened(table, key);
        let ks = &mut *self.ks;
        let (entry, is_new) = ks.dbs[self.index as usize].find_or_insert(table, key, make);
        if is_new {
            ks.events.tell(EventClass::NEW, "new", self.index, key);
            entry.set_access(ks.access.fresh(ks.now));
        } else {
            mark_used(&entry, ks.access, ks.now, ks.no_touch, &mut ks.rng);
        }
        entry
    }

    /// Adds a key that does not exist.
    pub fn insert(&mut self, key: &[u8], value: Value, expire: Option<Millis>) {
        let table = self.table_of(key);
        self.opened(table, key);
        self.note_fields(key, &value);
        let entry = Entry::new(key, value, expire);
        entry.set_access(self.ks.access.fresh(self.ks.now));
        let old = self.tables_mut().with(table, |t| t.insert(entry));
        debug_assert!(old.is_none(), "insert is for keys that do not exist");
        self.notify(EventClass::NEW, "new", key);
    }

    /// Sets a key to `value`, whatever it held.
    pub fn set(&mut self, key: &[u8], value: Value, expire: SetExpire) {
        let table = self.table_of(key);
        self.expire_if_due(table, key);
        self.opened(table, key);
        self.note_fields(key, &value);
        let fresh = self.ks.access.fresh(self.ks.now);
        let old = self.tables_mut().with(table, |t| match t.slot(key) {
            Slot::Occupied(mut entry) => {
                let expire_at = expire.after(entry.expire_at());
                let old = entry.set_value(value, expire_at);
                entry.set_access(fresh);
                Some(old)
            }
            Slot::Vacant(place) => {
                place.insert(value, expire.after(None)).set_access(fresh);
                None
            }
        });
        match old {
            Some(old) => self.ks.discard(old, self.ks.lazy.server_del),
            None => self.notify(EventClass::NEW, "new", key),
        }
    }

    /// Adds a key that a file tells of; what it does not say of the key's use is as if it were used now. One that is there
    /// is replaced if so asked; else nothing happens, and this is false.
    pub fn load(&mut self, key: &[u8], value: Value, expire: SetExpire, used: Option<u32>, replace: bool) -> bool {
        let table = self.table_of(key);
        self.opened(table, key);
        self.note_fields(key, &value);
        let stamp = used.unwrap_or_else(|| self.ks.access.fresh(self.ks.now));
        let (loaded, old) = self.tables_mut().with(table, |t| match t.slot(key) {
            Slot::Occupied(_) if !replace => (false, None),
            Slot::Occupied(mut entry) => {
                let expire_at = expire.after(entry.expire_at());
                let old = entry.set_value(value, expire_at);
                entry.set_access(stamp);
                (true, Some(old))
            }
            Slot::Vacant(place) => {
                place.insert(value, expire.after(None)).set_access(stamp);
                (true, None)
            }
        });
        if let Some(old) = old {
            self.ks.discard(old, self.ks.lazy.server_del);
        }
        loaded
    }

    /// Makes room for so many keys in total, and for so many that expire, where they all are in one table.
    pub fn reserve(&mut self, keys: usize, volatile: usize) {
        if !self.ks.slotted {
            self.tables_mut().in_place(0).reserve(keys, volatile);
        }
    }

    /// As [`Db::set`], for a value that came from another key, where it was kept in this way: raw strings stay raw.
    pub fn put(&mut self, key: &[u8], value: Value, expire: SetExpire, was: Encoding) {
        self.set(key, value, expire);
        if was == Encoding::Raw
            && let Some(mut entry) = self.write(key)
        {
            entry.make_raw();
        }
    }

    /// Sets a key to a string: the path of SET.
    pub fn set_bytes(&mut self, key: &[u8], text: &[u8], expire: SetExpire) {
        let table = self.table_of(key);
        self.opened(table, key);
        let (now, obeyed) = (self.ks.now, self.ks.obeyed);
        let fresh = self.ks.access.fresh(now);
        let (was_due, is_new, old) = self.tables_mut().with(table, |t| match t.slot(key) {
            Slot::Occupied(mut entry) => {
                let due = !obeyed && entry.expire_at().is_some_and(|at| at <= now);
                let expire_at = expire.after(entry.expire_at().filter(|_| !due));
                let old = entry.set_text(text, expire_at);
                entry.set_access(fresh);
                (due, due, old)
            }
            Slot::Vacant(place) => {
                place.insert_text(text, expire.after(None)).set_access(fresh);
                (false, true, None)
            }
        });
        if let Some(old) = old {
            self.ks.discard(old, self.ks.lazy.server_del);
        }
        if was_due && !self.ks.replica {
            // Overwritten like any other key, but those who follow must hear of its end.
            self.ks.expired_keys += 1;
            self.ks.expired.push((self.index, key.into()));
            self.notify(EventClass::EXPIRED, "expired", key);
        }
        if is_new {
            self.notify(EventClass::NEW, "new", key);
        }
    }

    /// Removes a key. Its entry is the caller's to free.
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let table = self.table_of(key);
        if self.expire_if_due(table, key) { None } else { self.take(table, key) }
    }

    /// Deletes a key in the course of a command whose point is something else. Returns whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.delete_and_free(key, self.ks.lazy.server_del)
    }

    /// Deletes a key; a large value is freed later if `lazily`. Returns whether it was there.
    pub fn delete_and_free(&mut self, key: &[u8], lazily: bool) -> bool {
        let Some(entry) = self.remove(key) else { return false };
        self.ks.discard(entry, lazily);
        true
    }

    pub(super) fn take(&mut self, table: usize, key: &[u8]) -> Option<Entry> {
        if self.ks.is_followed() && self.tables().get(table).find(key).is_some() {
            self.opened(table, key);
        }
        let removed = self.tables_mut().with(table, |t| t.remove(key));
        if let Some(ValueRef::Hash(hash)) = removed.as_ref().map(Entry::value) {
            self.forget_fields(key, hash);
        }
        removed
    }

    /// Sets or removes the expiry of a key. False when there is no such key.
    pub fn set_expire(&mut self, key: &[u8], at: Option<Millis>) -> bool {
        let table = self.table_of(key);
        if self.expire_if_due(table, key) || self.tables().get(table).find(key).is_none() {
            return false;
        }
        self.opened(table, key);
        self.tables_mut().with(table, |t| t.set_expire(key, at))
    }

    /// Some key that is not expired, drawn at random.
    pub fn random_key(&mut self) -> Option<Box<[u8]>> {
        /// On a replica every key may be expired and stay: give up at last.
        const TRIES: usize = 100;
        for left in (0..TRIES).rev() {
            let ks = &mut *self.ks;
            let tables = &ks.dbs[self.index as usize];
            let table = tables.random_table(&mut ks.rng)?;
            let key: Box<[u8]> = tables.get(table).random(&mut ks.rng)?.key().into();
            if !self.expire_if_due(table, &key) || (left == 0 && self.ks.replica) {
                return Some(key);
            }
        }
        None
    }

    /// Up to `max` keys of `slot`, in table order.
    #[must_use]
    pub fn keys_in_slot(&self, slot: base::Slot, max: usize) -> Vec<Box<[u8]>> {
        if !self.ks.slotted {
            return Vec::new();
        }
        let table = self.tables().get(slot.index());
        table.iter().take(max).map(|e| e.key().into()).collect()
    }

    /// A key is about to be changed, added or removed.
    pub(super) fn opened(&mut self, table: usize, key: &[u8]) {
        if !self.ks.is_followed() {
            return;
        }
        if self.ks.observed {
            self.ks.touched.push((self.index, key.into()));
        }
        self.ks.unsettled.add(self.index, key);
        if self.ks.snapshot.is_some() {
            self.ks.snapshot_before_change(self.index, table, key);
        }
    }

    fn is_due_key(&self, table: usize, key: &[u8]) -> bool {
        let table = self.tables().get(table);
        table.volatile_len() > 0
            && table.find(key).and_then(Entry::expire_at).is_some_and(|at| at <= self.ks.now)
            && !self.ks.obeyed
    }

    /// Deletes the key when its time has come (a replica keeps it, hidden). True when the key is not to be seen.
    fn expire_if_due(&mut self, table: usize, key: &[u8]) -> bool {
        let due = self.is_due_key(table, key);
        if due && !self.ks.replica {
            self.delete_expired(table, key);
        }
        due
    }

    pub(super) fn delete_expired(&mut self, table: usize, key: &[u8]) {
        self.opened(table, key);
        self.ks.expired_keys += 1;
        if let Some(entry) = self.tables_mut().with(table, |t| t.remove(key)) {
            let lazily = self.ks.lazy.expire;
            self.ks.discard(entry, lazily);
        }
        self.ks.expired.push((self.index, key.into()));
        self.notify(EventClass::EXPIRED, "expired", key);
    }
}
