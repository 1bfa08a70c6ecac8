//! Some elements of a collection as they are now: for whoever has the rest of it already, or gets it.

use super::rewrite::{Batch, push_expiring};
use crate::data::Item;
use crate::data::value::ValueRef;

/// Appends the commands that make these elements of a hash, a set or a sorted set what they are here, be they there or not.
/// False for other types, whose elements have no names.
pub fn push_elements<'a>(
    out: &mut Vec<u8>,
    key: &[u8],
    value: ValueRef<'_>,
    names: impl Iterator<Item = &'a [u8]> + Clone,
) -> bool {
    match value {
        ValueRef::Hash(hash) => {
            push_gone(out, "HDEL", key, names.clone().filter(|name| !hash.contains(name)));
            let mut batch = Batch::new(out, "HMSET", key);
            for name in names {
                match hash.get_with_expiry(name) {
                    Some((value, None)) => batch.push([Item::Bytes(name), value]),
                    Some((value, Some(at))) => push_expiring(batch.out(), key, Item::Bytes(name), value, at),
                    None => {}
                }
            }
            batch.end();
        }
        ValueRef::Set(set) => {
            push_gone(out, "SREM", key, names.clone().filter(|name| !set.contains(name)));
            let mut batch = Batch::new(out, "SADD", key);
            names.filter(|name| set.contains(name)).for_each(|name| batch.push([Item::Bytes(name)]));
            batch.end();
        }
        ValueRef::ZSet(zset) => {
            push_gone(out, "ZREM", key, names.clone().filter(|name| zset.score(name).is_none()));
            let mut batch = Batch::new(out, "ZADD", key);
            for name in names {
                if let Some(score) = zset.score(name) {
                    batch.push_scored(Item::Bytes(name), score);
                }
            }
            batch.end();
        }
        ValueRef::Int(_) | ValueRef::Bytes(_) | ValueRef::List(_) | ValueRef::Stream(_) => return false,
    }
    true
}

fn push_gone<'a>(out: &mut Vec<u8>, command: &'static str, key: &[u8], names: impl Iterator<Item = &'a [u8]>) {
    let mut batch = Batch::new(out, command, key);
    names.for_each(|name| batch.push([Item::Bytes(name)]));
    batch.end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Millis;
    use crate::data::Limits;
    use crate::data::value::{Kind, Value};
    use crate::persist::samples::value;

    fn commands(value: &Value, names: &[&[u8]]) -> String {
        let mut out = Vec::new();
        assert!(push_elements(&mut out, b"k", value.as_ref(), names.iter().copied()));
        String::from_utf8(out)
            .unwrap()
            .split("\r\n")
            .filter(|word| !word.starts_with(['*', '$']))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_is_there_is_set_and_what_is_not_is_removed() {
        let limits = Limits::default();
        let two = [b"a".to_vec(), b"7".to_vec()];
        let names: [&[u8]; 3] = [b"7", b"gone", b"a"];
        let of = |kind| commands(&value(kind, &two, &limits), &names);
        assert_eq!(of(Kind::Set), "SREM k gone SADD k 7 a ");
        assert_eq!(of(Kind::ZSet), "ZREM k gone ZADD k -1.5 7 0 a ");
        let Value::Hash(mut hash) = value(Kind::Hash, &two, &limits) else { unreachable!() };
        hash.set_expiry(b"a", Some(Millis(99)), &limits);
        let hash = Value::Hash(hash);
        assert_eq!(commands(&hash, &names), "HDEL k gone HSETEX k PXAT 99 FIELDS 1 a value of a HMSET k 7 value of 7 ");
        for kind in [Kind::List, Kind::String, Kind::Stream] {
            let value = value(kind, &two, &limits);
            assert!(!push_elements(&mut Vec::new(), b"k", value.as_ref(), names.iter().copied()));
        }
    }

    #[test]
    fn no_command_carries_more_than_its_share() {
        let names: Vec<Vec<u8>> = (0..129).map(|i| format!("m{i}").into_bytes()).collect();
        let set = value(Kind::Set, &names[..1], &Limits::default());
        let mut out = Vec::new();
        push_elements(&mut out, b"k", set.as_ref(), names.iter().map(Vec::as_slice));
        assert_eq!(out.windows(3).filter(|word| word == b"*66").count(), 2);
    }
}
