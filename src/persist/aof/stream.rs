//! The commands that make a stream: its entries, its counters, its groups, and what each consumer holds.

use super::rewrite::{push_header, push_item, push_words};
use crate::data::Item;
use crate::data::stream::{Consumer, Group, Stream, StreamId};

/// Appends the commands for one key.
pub(super) fn push_stream(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let key = Item::Bytes(key);
    let log = &stream.log;
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let id = entry.id.text();
        push_header(out, 3 + 2 * entry.fields.len());
        for item in [word("XADD"), key, Item::Bytes(id.as_bytes())] {
            push_item(out, item);
        }
        for (field, value) in entry.fields {
            push_item(out, field);
            push_item(out, value);
        }
    }
    if log.is_empty() {
        // An entry that is gone at once leaves an empty stream behind.
        push_words(out, &[word("XADD"), key, word("MAXLEN"), word("0"), word("0-1"), word("x"), word("y")]);
    }
    let (last, deleted) = (log.last_id.text(), log.max_deleted_id.text());
    let (last, deleted) = (Item::Bytes(last.as_bytes()), Item::Bytes(deleted.as_bytes()));
    let added = Item::Int(log.entries_added as i64);
    push_words(out, &[word("XSETID"), key, last, word("ENTRIESADDED"), added, word("MAXDELETEDID"), deleted]);
    for (name, group) in &stream.groups {
        push_group(out, key, Item::Bytes(name), group);
    }
}

fn word(text: &'static str) -> Item<'static> {
    Item::Bytes(text.as_bytes())
}

fn push_group(out: &mut Vec<u8>, key: Item<'_>, name: Item<'_>, group: &Group) {
    let last = group.last_id.text();
    let read = Item::Int(group.entries_read.map_or(-1, |read| read as i64));
    let id = Item::Bytes(last.as_bytes());
    push_words(out, &[word("XGROUP"), word("CREATE"), key, name, id, word("ENTRIESREAD"), read]);
    for consumer in group.consumers() {
        if consumer.pending().is_empty() {
            let consumer = Item::Bytes(consumer.name());
            push_words(out, &[word("XGROUP"), word("CREATECONSUMER"), key, name, consumer]);
        } else {
            push_pending(out, key, name, group, consumer);
        }
    }
}

/// One command an entry: it creates the consumer as well.
fn push_pending(out: &mut Vec<u8>, key: Item<'_>, name: Item<'_>, group: &Group, consumer: &Consumer) {
    for id in consumer.pending() {
        let Some(pending) = group.pending().get(id) else { continue };
        let text = id.text();
        let delivery = pending.delivery;
        push_words(
            out,
            &[
                word("XCLAIM"),
                key,
                name,
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
}
