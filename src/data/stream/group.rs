//! A consumer group: how far it has read, its consumers, and what they were given and have not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::id::StreamId;
use super::log::Log;
use crate::base::Millis;

/// A consumer's number in its group: never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConsumerId(u64);

/// A consumer group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last entry that was delivered to the group.
    pub last_id: StreamId,
    /// Entries that were ever delivered, as far as that is known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    by_name: BTreeMap<Box<[u8]>, ConsumerId>,
    next_consumer: u64,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    pub consumer: ConsumerId,
    pub delivery: Delivery,
}

/// When an entry was delivered last, and how often it ever was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub at: Millis,
    pub count: u64,
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for something.
    pub seen: Millis,
    /// When it was last given something to hold: read new, or claimed.
    pub active: Option<Millis>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The ids of the entries it holds, in order.
    #[must_use]
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

impl Group {
    #[must_use]
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            consumers: BTreeMap::new(),
            by_name: BTreeMap::new(),
            next_consumer: 0,
        }
    }

    /// The entries that wait for an acknowledgement, in order.
    #[must_use]
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// The consumers by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.by_name.values().map(|id| self.consumer(*id))
    }

    /// The same from the one on that has this name.
    pub fn consumers_from(&self, name: &[u8]) -> impl Iterator<Item = &Consumer> {
        self.by_name.range::<[u8], _>((Bound::Included(name), Bound::Unbounded)).map(|(_, id)| self.consumer(*id))
    }

    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    /// A consumer that exists.
    ///
    /// # Panics
    /// When the number belongs to a consumer that was deleted.
    #[must_use]
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        self.consumers.get(&id).expect("consumers are looked up while they exist")
    }

    /// A consumer that exists, to change.
    ///
    /// # Panics
    /// As [`Group::consumer`].
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers.get_mut(&id).expect("consumers are looked up while they exist")
    }

    /// Adds a consumer; `None` when there is one of that name.
    pub fn create_consumer(&mut self, name: &[u8], seen: Millis, active: Option<Millis>) -> Option<ConsumerId> {
        if self.by_name.contains_key(name) {
            return None;
        }
        let id = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        self.by_name.insert(name.into(), id);
        self.consumers.insert(id, Consumer { name: name.into(), seen, active, pending: BTreeSet::new() });
        Some(id)
    }

    /// Deletes a consumer with what it holds; says how many entries that were.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.by_name.remove(name)?;
        let consumer = self.consumers.remove(&id)?;
        for entry in &consumer.pending {
            self.pending.remove(entry);
        }
        Some(consumer.pending.len())
    }

    /// Gives an entry to a consumer, whoever has it now.
    pub fn assign(&mut self, entry: StreamId, consumer: ConsumerId, delivery: Delivery) {
        let old = self.pending.insert(entry, Pending { consumer, delivery });
        match old {
            Some(old) if old.consumer == consumer => return,
            Some(old) => {
                self.consumer_mut(old.consumer).pending.remove(&entry);
            }
            None => {}
        }
        self.consumer_mut(consumer).pending.insert(entry);
    }

    /// Delivers an entry again to the consumer that holds it.
    pub fn redeliver(&mut self, entry: StreamId, at: Millis) {
        if let Some(pending) = self.pending.get_mut(&entry) {
            pending.delivery = Delivery { at, count: pending.delivery.count.saturating_add(1) };
        }
    }

    /// Forgets an entry that was delivered; says whether it was pending.
    pub fn acknowledge(&mut self, entry: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&entry) else { return false };
        self.consumer_mut(pending.consumer).pending.remove(&entry);
        true
    }

    /// Moves the group on to an entry of `log` that is being delivered, if it has not been there yet. True when it moved.
    pub fn advance(&mut self, log: &Log, to: StreamId) -> bool {
        if to <= self.last_id {
            return false;
        }
        self.entries_read = match self.entries_read {
            Some(read) if !log.has_gap_from(to) => Some(read.saturating_add(1)),
            _ if log.entries_added > 0 => log.rank(to),
            unknown => unknown,
        };
        self.last_id = to;
        true
    }

    /// How many entries of `log` the group has not read, as far as that is known.
    #[must_use]
    pub fn lag(&self, log: &Log) -> Option<i64> {
        if log.entries_added == 0 {
            return Some(0);
        }
        let read = self.entries_read.filter(|_| !log.has_gap_from(self.last_id)).or_else(|| log.rank(self.last_id))?;
        Some(log.entries_added.wrapping_sub(read) as i64)
    }

    /// Heap bytes held, about.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        // Places in a B-tree are used to a half at least, more often to two thirds.
        let place = |bytes: usize| bytes * 3 / 2;
        let names: usize = self.by_name.keys().map(|name| 2 * name.len()).sum();
        names
            + self.consumers.len() * place(size_of::<(ConsumerId, Consumer)>() + size_of::<(Box<[u8]>, ConsumerId)>())
            + self.pending.len() * place(size_of::<(StreamId, Pending)>() + size_of::<StreamId>())
    }
}
