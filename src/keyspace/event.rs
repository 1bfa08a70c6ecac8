//! Keyspace events: what happened to which key, collected while a command runs and published when it is done.
//!
//! Handlers tell of what they did ([`super::Db::notify`]); the door itself tells of keys that ended, were added or were
//! not found. One queue keeps the order of all of them.

use bitflags::bitflags;

use super::{Db, Keyspace, SetExpire};
use crate::data::value::Value;

bitflags! {
    /// Classes of keyspace events, and the channels they go to: `notify-keyspace-events`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct EventClass: u32 {
        /// `K`: publish to `__keyspace@<db>__:<key>`.
        const KEYSPACE = 1;
        /// `E`: publish to `__keyevent@<db>__:<event>`.
        const KEYEVENT = 1 << 1;
        const GENERIC = 1 << 2;
        const STRING = 1 << 3;
        const LIST = 1 << 4;
        const SET = 1 << 5;
        const HASH = 1 << 6;
        const ZSET = 1 << 7;
        const EXPIRED = 1 << 8;
        const EVICTED = 1 << 9;
        const STREAM = 1 << 10;
        const MODULE = 1 << 11;
        /// `m`: a read found no key. Not part of `A`.
        const KEY_MISS = 1 << 12;
        /// `n`: a key was added. Not part of `A`.
        const NEW = 1 << 13;
        /// `A`: every class but `m` and `n`.
        const ALL = Self::GENERIC.bits() | Self::STRING.bits() | Self::LIST.bits() | Self::SET.bits()
            | Self::HASH.bits() | Self::ZSET.bits() | Self::EXPIRED.bits() | Self::EVICTED.bits()
            | Self::STREAM.bits() | Self::MODULE.bits();
    }
}

/// Something that happened to a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub name: &'static str,
    pub db: u32,
    pub key: Box<[u8]>,
}

/// The queue, and what is let into it.
#[derive(Debug, Default)]
pub(super) struct Events {
    wanted: EventClass,
    queue: Vec<Event>,
}

impl Events {
    /// Costs one branch when nobody wants to know.
    #[inline]
    pub(super) fn tell(&mut self, class: EventClass, name: &'static str, db: u32, key: &[u8]) {
        if self.wanted.intersects(class) {
            self.queue.push(Event { name, db, key: key.into() });
        }
    }
}

impl Keyspace {
    /// Which events are to be collected from now on; none when nobody would hear of them.
    pub fn set_events_wanted(&mut self, wanted: EventClass) {
        self.events.wanted = wanted;
    }

    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.queue.is_empty()
    }

    /// What has happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events.queue)
    }
}

impl Db<'_> {
    /// Ends a command that took `removed` elements out of the collection at `key`: tells of it as `event`, and deletes a
    /// collection in which nothing is left.
    pub fn took_elements(
        &mut self,
        key: &[u8],
        removed: usize,
        is_empty: bool,
        class: EventClass,
        event: &'static str,
    ) {
        if removed > 0 {
            self.notify(class, event, key);
        }
        if is_empty {
            self.remove(key);
            self.notify(EventClass::GENERIC, "del", key);
        }
    }

    /// Ends a command that stores what it found: sets `key` to it and tells of that as `event`, or deletes the key when
    /// nothing was found. Whether anything changed.
    pub fn store_found(&mut self, key: &[u8], found: Option<Value>, class: EventClass, event: &'static str) -> bool {
        if let Some(value) = found {
            self.set(key, value, SetExpire::Never);
            self.notify(class, event, key);
            return true;
        }
        let removed = self.delete(key);
        if removed {
            self.notify(EventClass::GENERIC, "del", key);
        }
        removed
    }

    /// Tells of `event`, which happened to `key` of this database.
    #[inline]
    pub fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.ks.events.tell(class, event, self.index, key);
    }
}
