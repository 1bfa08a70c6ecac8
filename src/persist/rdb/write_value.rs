//! Writing values: the forms that Redis 7.0 reads.

use super::code::value_type;
use super::output::{push_int_string, push_length, push_string};
use crate::data::value::ValueRef;

/// The type byte that stands in front of the value.
#[must_use]
pub fn type_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Int(_) | ValueRef::Bytes(_) => value_type::STRING,
        ValueRef::List(_) => value_type::LIST,
        ValueRef::Set(_) => value_type::SET,
        ValueRef::Hash(_) => value_type::HASH,
        ValueRef::ZSet(_) => value_type::ZSET,
    }
}

/// Appends the value, without its type byte.
pub fn push_value(out: &mut Vec<u8>, value: ValueRef<'_>, compress: bool) {
    match value {
        ValueRef::Int(n) => push_int_string(out, n),
        ValueRef::Bytes(bytes) => push_string(out, bytes, compress),
        ValueRef::List(_) | ValueRef::Set(_) | ValueRef::Hash(_) | ValueRef::ZSet(_) => push_length(out, 0),
    }
}
