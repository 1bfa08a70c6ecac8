//! Elements of collections as replies.

use crate::data::Item;
use crate::resp::Reply;

/// Writes an element as a bulk string.
pub fn push(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_int(n),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}
