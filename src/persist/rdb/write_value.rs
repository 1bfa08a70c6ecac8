//! Writing values: the forms that Redis 7.0 reads, but for hashes whose fields expire and for streams if the reader
//! knows more of them.
//!
//! Compact encodings go out as the bytes they are kept in. Small sets are the exception: 7.0 has no listpack for
//! them, so they are written member by member.

use super::code::{Reader, container, value_type};
use super::output::{push_compressed, push_int_string, push_length, push_string};
use super::stream::push_stream;
use crate::data::Item;
use crate::data::hash::Hash;
use crate::data::list::{List, NodeRef, Stored};
use crate::data::set::Set;
use crate::data::value::ValueRef;
use crate::data::zset::ZSet;

/// Stands for the expiry of a field that has none.
pub(super) const NO_EXPIRY: i64 = -1;

/// The type byte that stands in front of the value.
#[must_use]
pub fn type_of(value: ValueRef<'_>, reader: Reader) -> u8 {
    match value {
        ValueRef::Int(_) | ValueRef::Bytes(_) => value_type::STRING,
        ValueRef::List(_) => value_type::LIST_QUICKLIST_2,
        ValueRef::Set(set) if set.as_intset().is_some() => value_type::SET_INTSET,
        ValueRef::Set(_) => value_type::SET,
        ValueRef::Hash(hash) if hash.as_pack().is_some() => value_type::HASH_LISTPACK,
        ValueRef::Hash(hash) if tells_expiry(hash, reader) => value_type::HASH_EXPIRY,
        ValueRef::Hash(_) => value_type::HASH,
        ValueRef::ZSet(zset) if zset.as_pack().is_some() => value_type::ZSET_LISTPACK,
        ValueRef::ZSet(_) => value_type::ZSET,
        ValueRef::Stream(_) if tells_activity(reader) => value_type::STREAM_3,
        ValueRef::Stream(_) => value_type::STREAM_2,
    }
}

/// Appends the value, without its type byte.
pub fn push_value(out: &mut Vec<u8>, value: ValueRef<'_>, compress: bool, reader: Reader) {
    match value {
        ValueRef::Int(n) => push_int_string(out, n),
        ValueRef::Bytes(bytes) => push_string(out, bytes, compress),
        ValueRef::List(list) => push_list(out, list, compress),
        ValueRef::Set(set) => push_set(out, set, compress),
        ValueRef::Hash(hash) => push_hash(out, hash, compress, tells_expiry(hash, reader)),
        ValueRef::ZSet(zset) => push_zset(out, zset, compress),
        ValueRef::Stream(stream) => push_stream(out, stream, compress, reader),
    }
}

fn push_list(out: &mut Vec<u8>, list: &List, compress: bool) {
    let nodes = list.nodes();
    push_length(out, nodes.len() as u64);
    nodes.for_each(|node| push_node(out, node, compress));
}

pub(super) fn push_node(out: &mut Vec<u8>, NodeRef { plain, stored }: NodeRef<'_>, compress: bool) {
    push_length(out, if plain { container::PLAIN } else { container::PACKED });
    match stored {
        Stored::Raw(bytes) => push_string(out, bytes, compress),
        Stored::Lzf { packed, size } => push_compressed(out, packed, size),
    }
}

fn push_set(out: &mut Vec<u8>, set: &Set, compress: bool) {
    if let Some(ints) = set.as_intset() {
        return push_string(out, ints.bytes(), compress);
    }
    push_length(out, set.len() as u64);
    for member in set {
        push_item(out, member, compress);
    }
}

/// Whether it is written when each consumer was active last. Without it they pass for active when they were seen last.
pub(super) fn tells_activity(reader: Reader) -> bool {
    reader >= Reader::Redis72
}

/// Whether the expiry of fields is written. Without it they stay for ever where they are read.
pub(super) fn tells_expiry(hash: &Hash, reader: Reader) -> bool {
    reader == Reader::Valkey9 && hash.has_expiries()
}

fn push_hash(out: &mut Vec<u8>, hash: &Hash, compress: bool, with_expiry: bool) {
    if let Some(pack) = hash.as_pack() {
        return push_string(out, pack.bytes(), compress);
    }
    push_length(out, hash.len() as u64);
    for (field, value, expire_at) in hash.iter_with_expiry() {
        push_item(out, field, compress);
        push_item(out, value, compress);
        if with_expiry {
            out.extend_from_slice(&expire_at.map_or(NO_EXPIRY, |at| at.0).to_le_bytes());
        }
    }
}

/// Elements go from the highest score to the lowest: a reader that inserts them one by one then always inserts at
/// the front of its skiplist.
fn push_zset(out: &mut Vec<u8>, zset: &ZSet, compress: bool) {
    if let Some(pack) = zset.as_pack() {
        return push_string(out, pack.bytes(), compress);
    }
    push_length(out, zset.len() as u64);
    for (member, score) in zset.iter().rev() {
        push_item(out, member, compress);
        out.extend_from_slice(&score.to_le_bytes());
    }
}

pub(in crate::persist) fn push_item(out: &mut Vec<u8>, item: Item<'_>, compress: bool) {
    match item {
        Item::Int(n) => push_int_string(out, n),
        Item::Bytes(bytes) => push_string(out, bytes, compress),
    }
}
