//! Ids and entries as replies.

use crate::commands::element;
use crate::data::stream::{Entry, Range, StreamId};
use crate::resp::Reply;

pub fn push_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// `[id, [field, value, …]]`
pub fn push_entry(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2);
    push_id(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (field, value) in entry.fields {
        element::push(reply, field);
        element::push(reply, value);
    }
}

/// Entries up to `count`, or all of them.
pub fn push_entries(reply: &mut Reply, range: Range<'_>, count: Option<usize>) {
    let open = reply.open();
    let mut pushed = 0;
    for entry in range.take(count.unwrap_or(usize::MAX)) {
        push_entry(reply, entry);
        pushed += 1;
    }
    reply.end_array(open, pushed);
}
