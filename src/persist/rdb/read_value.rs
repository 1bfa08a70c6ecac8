//! Reading values of every type and version into the containers of the server.
//!
//! Everything is checked, whoever sent it: structure, duplicates, scores that are no numbers. Collections that
//! come element by element get the encoding that the limits ask for; those that come in a compact form keep
//! it unless they have too many elements.

use std::io::BufRead;

use super::code::{container, type_name, value_type};
use super::error::{RdbError, Result};
use super::input::Input;
use crate::data::hash::Hash;
use crate::data::list::{End, List, Loaded as Node};
use crate::data::set::Set;
use crate::data::value::Value;
use crate::data::zset::ZSet;
use crate::data::{Corrupt, Intset, Limits, Listpack, listpack};
use crate::persist::ziplist::Ziplist;
use crate::persist::zipmap::Zipmap;

/// What stood in the input.
#[derive(Debug)]
pub enum Loaded {
    Value(Value),
    /// A collection without elements. Old servers left such keys behind; they do not exist.
    Empty,
}

/// Reads a value of this type; the input stands behind the type byte (and the key).
pub fn read_value<R: BufRead>(input: &mut Input<R>, code: u8, limits: &Limits) -> Result<Loaded> {
    use value_type as t;
    Ok(match code {
        t::STRING => Loaded::Value(Value::from_bytes(&input.string()?)),
        t::LIST | t::LIST_ZIPLIST | t::LIST_QUICKLIST | t::LIST_QUICKLIST_2 => {
            let list = read_list(input, code, limits)?;
            full(list.len(), || Value::List(Box::new(list)))
        }
        t::SET | t::SET_INTSET | t::SET_LISTPACK => {
            let set = read_set(input, code, limits)?;
            full(set.len(), || Value::Set(Box::new(set)))
        }
        t::HASH | t::HASH_ZIPMAP | t::HASH_ZIPLIST | t::HASH_LISTPACK => {
            let hash = read_hash(input, code, limits)?;
            full(hash.len(), || Value::Hash(Box::new(hash)))
        }
        t::ZSET_TEXT | t::ZSET | t::ZSET_ZIPLIST | t::ZSET_LISTPACK => {
            let zset = read_zset(input, code, limits)?;
            full(zset.len(), || Value::ZSet(Box::new(zset)))
        }
        t::MODULE => {
            let id = input.length()?;
            return Err(unsupported(format!("a value of module type {}", module_name(id))));
        }
        t::MODULE_OLD | t::STREAM_1 | t::STREAM_2 | t::STREAM_3 | t::HASH_EXPIRY => {
            return Err(unsupported(format!("a {}", type_name(code))));
        }
        _ => return Err(RdbError::UnknownCode { code, offset: input.offset() }),
    })
}

fn full(len: usize, value: impl FnOnce() -> Value) -> Loaded {
    if len == 0 { Loaded::Empty } else { Loaded::Value(value()) }
}

fn unsupported(what: String) -> RdbError {
    RdbError::Unsupported { what: what.into(), key: None }
}

/// The nine characters in the upper 54 bits of a module type's id.
fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| char::from(CHARACTERS[(id >> (58 - 6 * i)) as usize & 63])).collect()
}

fn read_list<R: BufRead>(input: &mut Input<R>, code: u8, limits: &Limits) -> Result<List> {
    let count = if code == value_type::LIST_ZIPLIST { 1 } else { input.length()? };
    if code == value_type::LIST {
        let mut list = List::new();
        for _ in 0..count {
            list.push(End::Back, &input.string()?, limits);
        }
        return Ok(list);
    }
    let nodes: Result<Vec<Node>> = (0..count)
        .map(|_| match code {
            value_type::LIST_QUICKLIST_2 => read_node(input),
            _ => {
                let blob = input.string()?;
                Ok(Node::Packed(input.checked(repack(&blob))?))
            }
        })
        .collect();
    Ok(List::from_nodes(nodes?, limits))
}

fn read_node<R: BufRead>(input: &mut Input<R>) -> Result<Node> {
    let kind = input.length()?;
    let bytes = input.string()?;
    match kind {
        _ if bytes.is_empty() => Err(input.corrupt("Quicklist node of no bytes")),
        container::PLAIN => Ok(Node::Plain(bytes)),
        container::PACKED => Ok(Node::Packed(input.checked(Listpack::validate(bytes))?)),
        _ => Err(input.corrupt("Quicklist node of an unknown container")),
    }
}

fn read_set<R: BufRead>(input: &mut Input<R>, code: u8, limits: &Limits) -> Result<Set> {
    match code {
        value_type::SET_INTSET => {
            let blob = input.string()?;
            Ok(Set::from_intset(input.checked(Intset::validate(blob))?, limits))
        }
        value_type::SET_LISTPACK => {
            let pack = read_listpack(input)?;
            input.checked(Set::from_pack(pack, limits))
        }
        _ => {
            let count = input.length()?;
            if count == 0 {
                return Ok(Set::new());
            }
            let first = input.string()?;
            let mut set = Set::for_member(&first, expected(count, limits), limits);
            set.add(&first, limits);
            for _ in 1..count {
                if !set.add(&input.string()?, limits) {
                    return Err(input.corrupt("Duplicate set members detected"));
                }
            }
            Ok(set)
        }
    }
}

fn read_hash<R: BufRead>(input: &mut Input<R>, code: u8, limits: &Limits) -> Result<Hash> {
    let mut hash = Hash::new();
    match code {
        value_type::HASH_LISTPACK => {
            let pack = read_listpack(input)?;
            return input.checked(Hash::from_pack(pack, limits));
        }
        value_type::HASH_ZIPLIST => {
            let blob = input.string()?;
            return input.checked(repack(&blob).and_then(|pack| Hash::from_pack(pack, limits)));
        }
        value_type::HASH_ZIPMAP => {
            let blob = input.string()?;
            let map = Zipmap::parse(&blob).ok_or_else(|| input.corrupt("Zipmap integrity check failed"))?;
            for (field, value) in map.iter() {
                if !hash.set(field, value, limits) {
                    return Err(input.corrupt("Hash zipmap with dup elements, or big length"));
                }
            }
        }
        _ => {
            let count = input.length()?;
            hash.expect(expected(count, limits), limits);
            for _ in 0..count {
                let (field, value) = (input.string()?, input.string()?);
                if !hash.set(&field, &value, limits) {
                    return Err(input.corrupt("Duplicate hash fields detected"));
                }
            }
        }
    }
    Ok(hash)
}

fn read_zset<R: BufRead>(input: &mut Input<R>, code: u8, limits: &Limits) -> Result<ZSet> {
    match code {
        value_type::ZSET_LISTPACK => {
            let pack = read_listpack(input)?;
            input.checked(ZSet::from_pack(pack, limits))
        }
        value_type::ZSET_ZIPLIST => {
            let blob = input.string()?;
            input.checked(repack(&blob).and_then(|pack| ZSet::from_pack(pack, limits)))
        }
        _ => {
            let count = input.length()?;
            let mut zset = ZSet::new();
            zset.expect(expected(count, limits), 0, limits);
            for _ in 0..count {
                let member = input.string()?;
                let score = if code == value_type::ZSET { input.f64_le()? } else { input.f64_text()? };
                if score.is_nan() {
                    return Err(input.corrupt("Zset with NAN score detected"));
                }
                if zset.insert(&member, score, limits).is_some() {
                    return Err(input.corrupt("Duplicate zset fields detected"));
                }
            }
            Ok(zset)
        }
    }
}

/// How many elements to announce to a collection that is being filled: enough for it to choose its encoding, without
/// reserving memory for what a damaged count promises.
fn expected(count: u64, limits: &Limits) -> usize {
    let thresholds = [
        limits.hash_max_listpack_entries,
        limits.set_max_intset_entries,
        limits.set_max_listpack_entries,
        limits.zset_max_listpack_entries,
    ];
    let enough = thresholds.into_iter().fold(0, usize::max).saturating_add(1);
    usize::try_from(count).unwrap_or(usize::MAX).min(enough)
}

fn read_listpack<R: BufRead>(input: &mut Input<R>) -> Result<Listpack> {
    let blob = input.string()?;
    input.checked(Listpack::validate(blob))
}

/// The elements of a ziplist as a listpack.
fn repack(blob: &[u8]) -> std::result::Result<Listpack, Corrupt> {
    let list = Ziplist::parse(blob).ok_or(Corrupt("Ziplist integrity check failed"))?;
    let mut pack = Listpack::new();
    for item in list.iter() {
        if !pack.has_room(listpack::entry_bytes(item.len_as_text())) {
            return Err(Corrupt("ziplist too large"));
        }
        pack.push(item);
    }
    Ok(pack)
}
