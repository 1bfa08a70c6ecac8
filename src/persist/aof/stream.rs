//! The commands that make a stream: its entries, its counters, its groups, and what each consumer holds.

use std::ops::Bound;

use super::rewrite::{push_header, push_item, push_words};
use crate::data::Item;
use crate::data::stream::{Consumer, Group, Stream, StreamId};

/// Where in a stream the next piece begins. The names are those of a group and of a consumer.
#[derive(Clone, Debug)]
pub enum Place {
    /// At the entry with this id, or a later one.
    Entry(StreamId),
    Group(Box<[u8]>),
    /// At an entry that a group's consumer holds.
    Consumer(Box<[u8]>, Box<[u8]>, StreamId),
}

impl Default for Place {
    fn default() -> Place {
        Place::Entry(StreamId::MIN)
    }
}

/// Appends commands for a part of a stream, of little more than `max_bytes`. True when it was the last.
pub(super) fn push_piece(out: &mut Vec<u8>, key: &[u8], stream: &Stream, place: &mut Place, max_bytes: usize) -> bool {
    let mut piece = Piece { end: out.len().saturating_add(max_bytes), out, key: Item::Bytes(key), stream };
    loop {
        let next = match place {
            Place::Entry(from) => piece.push_entries(*from),
            Place::Group(name) => piece.push_group(name),
            Place::Consumer(name, consumer, from) => piece.push_consumers(name, consumer, *from),
        };
        let Some(next) = next else { return true };
        *place = next;
        if piece.is_full() {
            return false;
        }
    }
}

fn word(text: &'static str) -> Item<'static> {
    Item::Bytes(text.as_bytes())
}

/// A piece under way. What appends tells what follows; `None` at the end.
struct Piece<'a> {
    out: &'a mut Vec<u8>,
    /// How long `out` may become.
    end: usize,
    key: Item<'a>,
    stream: &'a Stream,
}

impl Piece<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= self.end
    }

    fn push_entries(&mut self, from: StreamId) -> Option<Place> {
        let (key, log) = (self.key, &self.stream.log);
        for entry in log.range(from, StreamId::MAX) {
            if self.is_full() {
                return Some(Place::Entry(entry.id));
            }
            let id = entry.id.text();
            push_header(self.out, 3 + 2 * entry.fields.len());
            for item in [word("XADD"), key, Item::Bytes(id.as_bytes())] {
                push_item(self.out, item);
            }
            for (field, value) in entry.fields {
                push_item(self.out, field);
                push_item(self.out, value);
            }
        }
        if log.is_empty() {
            // An entry that is gone at once leaves an empty stream behind.
            push_words(self.out, &[word("XADD"), key, word("MAXLEN"), word("0"), word("0-1"), word("x"), word("y")]);
        }
        let (last, deleted) = (log.last_id.text(), log.max_deleted_id.text());
        let (last, deleted) = (Item::Bytes(last.as_bytes()), Item::Bytes(deleted.as_bytes()));
        let added = Item::Int(log.entries_added as i64);
        push_words(self.out, &[word("XSETID"), key, last, word("ENTRIESADDED"), added, word("MAXDELETEDID"), deleted]);
        self.stream.groups.keys().next().cloned().map(Place::Group)
    }

    fn push_group(&mut self, name: &[u8]) -> Option<Place> {
        let group = self.stream.groups.get(name)?;
        let last = group.last_id.text();
        let read = Item::Int(group.entries_read.map_or(-1, |read| read as i64));
        let (name_item, id) = (Item::Bytes(name), Item::Bytes(last.as_bytes()));
        push_words(self.out, &[word("XGROUP"), word("CREATE"), self.key, name_item, id, word("ENTRIESREAD"), read]);
        match group.consumers().next() {
            Some(first) => Some(Place::Consumer(name.into(), first.name().into(), StreamId::MIN)),
            None => self.group_after(name),
        }
    }

    fn push_consumers(&mut self, name: &[u8], from: &[u8], held_from: StreamId) -> Option<Place> {
        let group = self.stream.groups.get(name)?;
        let mut first = held_from;
        for consumer in group.consumers_from(from) {
            if self.is_full() {
                return Some(Place::Consumer(name.into(), consumer.name().into(), first));
            }
            if consumer.pending().is_empty() {
                let consumer = Item::Bytes(consumer.name());
                let name = Item::Bytes(name);
                push_words(self.out, &[word("XGROUP"), word("CREATECONSUMER"), self.key, name, consumer]);
            }
            for id in consumer.pending().range(first..) {
                if self.is_full() {
                    return Some(Place::Consumer(name.into(), consumer.name().into(), *id));
                }
                self.push_claim(name, group, consumer, *id);
            }
            first = StreamId::MIN;
        }
        self.group_after(name)
    }

    /// One command an entry: it creates the consumer as well.
    fn push_claim(&mut self, name: &[u8], group: &Group, consumer: &Consumer, id: StreamId) {
        let Some(pending) = group.pending().get(&id) else { return };
        let text = id.text();
        let delivery = pending.delivery;
        push_words(
            self.out,
            &[
                word("XCLAIM"),
                self.key,
                Item::Bytes(name),
                Item::Bytes(consumer.name()),
                Item::Int(0),
                Item::Bytes(text.as_bytes()),
                word("TIME"),
                Item::Int(delivery.at.0),
                word("RETRYCOUNT"),
                Item::Int(delivery.count as i64),
                word("JUSTID"),
                word("FORCE"),
            ],
        );
    }

    fn group_after(&self, name: &[u8]) -> Option<Place> {
        let mut after = self.stream.groups.range::<[u8], _>((Bound::Excluded(name), Bound::Unbounded));
        after.next().map(|(name, _)| Place::Group(name.clone()))
    }
}
