//! Reading values of every type and version into the containers of the server.
//!
//! Everything is checked, whoever sent it: structure, duplicates, scores that are no numbers. Collections that
//! come element by element get the encoding that the limits ask for; those that come in a compact form keep
//! it unless they have too many elements.

use std::io::BufRead;

use super::code::{container, module_name, type_name, value_type};
use super::error::{RdbError, Result};
use super::input::Input;
use super::stream::read_stream;
use super::write_value::NO_EXPIRY;
use crate::base::Millis;
use crate::data::hash::Hash;
use crate::data::list::{End, List, Loaded as Node};
use crate::data::set::Set;
use crate::data::value::{Value, int_of};
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
        t::STRING => Loaded::Value(string_value(input.string()?)),
        t::LIST | t::LIST_ZIPLIST | t::LIST_QUICKLIST | t::LIST_QUICKLIST_2 => {
            let list = read_list(input, code, limits)?;
            full(list.len(), || Value::List(list))
        }
        t::SET | t::SET_INTSET | t::SET_LISTPACK => {
            let set = read_set(input, code, limits)?;
            full(set.len(), || Value::Set(set))
        }
        t::HASH | t::HASH_ZIPMAP | t::HASH_ZIPLIST | t::HASH_LISTPACK | t::HASH_EXPIRY => {
            let hash = read_hash(input, code, limits)?;
            full(hash.len(), || Value::Hash(hash))
        }
        t::ZSET_TEXT | t::ZSET | t::ZSET_ZIPLIST | t::ZSET_LISTPACK => {
            let zset = read_zset(input, code, limits)?;
            full(zset.len(), || Value::ZSet(zset))
        }
        t::MODULE => {
            let id = input.length()?;
            return Err(unsupported(format!("a value of module type {}", module_name(id))));
        }
        t::STREAM_1 | t::STREAM_2 | t::STREAM_3 => Loaded::Value(Value::Stream(Box::new(read_stream(input, code)?))),
        t::MODULE_OLD => {
            return Err(unsupported(format!("a {}", type_name(code))));
        }
        _ => return Err(RdbError::UnknownCode { code, offset: input.offset() }),
    })
}

/// Without copying what may be long.
fn string_value(bytes: Vec<u8>) -> Value {
    int_of(&bytes).map_or(Value::Bytes(bytes), Value::Int)
}

fn full(len: usize, value: impl FnOnce() -> Value) -> Loaded {
    if len == 0 { Loaded::Empty } else { Loaded::Value(value()) }
}

fn unsupported(what: String) -> RdbError {
    RdbError::Unsupported { what: what.into(), key: None }
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
        container::PACKED => Ok(Node::Packed(input.checked(Listpack::validate(&bytes))?)),
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
        value_type::HASH_EXPIRY => {
            let count = input.length()?;
            for _ in 0..count {
                let (field, value) = (input.string()?, input.string()?);
                let expire_at = match input.i64_le()? {
                    NO_EXPIRY => None,
                    at if at < NO_EXPIRY => return Err(input.corrupt("Hash field with an expiry before all time")),
                    at => Some(Millis(at)),
                };
                if hash.put(&field, &value, expire_at, limits).is_some() {
                    return Err(input.corrupt("Duplicate hash fields detected"));
                }
            }
            hash.make_full(limits);
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

pub(super) fn read_listpack<R: BufRead>(input: &mut Input<R>) -> Result<Listpack> {
    let blob = input.string()?;
    input.checked(Listpack::validate(&blob))
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

#[cfg(test)]
mod tests {
    use super::super::output::{push_length, push_string};
    use super::*;
    use crate::persist::samples::{Elements, contents, small_limits};
    use crate::persist::ziplist::tests::build as build_ziplist;

    /// The encoding and contents of a value, or why there is none.
    fn read(code: u8, body: &[u8]) -> std::result::Result<(&'static str, Elements), String> {
        let mut input = Input::new(body);
        match read_value(&mut input, code, &small_limits()) {
            Ok(Loaded::Value(value)) => {
                assert_eq!(input.offset(), body.len() as u64);
                Ok(contents(value.as_ref()))
            }
            Ok(Loaded::Empty) => Err("empty".to_owned()),
            Err(RdbError::Corrupt { reason, .. }) => Err(reason.into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn strings(words: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in words {
            push_string(&mut out, word.as_bytes(), true);
        }
        out
    }

    fn counted(count: u64, words: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        push_length(&mut out, count);
        out.extend(strings(words));
        out
    }

    fn blob(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_string(&mut out, bytes, true);
        out
    }

    fn ziplist(words: &[&str]) -> Vec<u8> {
        let items: Vec<_> = words
            .iter()
            .map(|word| word.parse().map_or(crate::data::Item::Bytes(word.as_bytes()), crate::data::Item::Int))
            .collect();
        blob(&build_ziplist(&items))
    }

    fn listpack(words: &[&str]) -> Vec<u8> {
        let mut pack = Listpack::new();
        words.iter().for_each(|word| pack.push(word.as_bytes()));
        blob(pack.bytes())
    }

    fn intset(ints: &[i16]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, ints.len() as u8, 0, 0, 0];
        bytes.extend(ints.iter().flat_map(|n| n.to_le_bytes()));
        blob(&bytes)
    }

    fn elements(words: &[&str]) -> Elements {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lists_of_every_version() {
        let abc = elements(&["a", "7", "c"]);
        let node = |kind: u64, body: &[u8]| {
            let mut out = Vec::new();
            push_length(&mut out, kind);
            out.extend_from_slice(body);
            out
        };
        let in_nodes = |nodes: &[Vec<u8>]| [&[nodes.len() as u8][..], &nodes.concat()].concat();
        for (code, body) in [
            (value_type::LIST, counted(3, &["a", "7", "c"])),
            (value_type::LIST_ZIPLIST, ziplist(&["a", "7", "c"])),
            (value_type::LIST_QUICKLIST, in_nodes(&[ziplist(&["a", "7"]), ziplist(&[]), ziplist(&["c"])])),
            (
                value_type::LIST_QUICKLIST_2,
                in_nodes(&[node(2, &listpack(&["a"])), node(1, &strings(&["7"])), node(2, &listpack(&["c"]))]),
            ),
            (value_type::LIST_QUICKLIST_2, in_nodes(&[node(2, &listpack(&["a", "7", "c"]))])),
        ] {
            assert_eq!(read(code, &body).unwrap().1, abc, "type {code}");
        }
        assert_eq!(read(value_type::LIST, &counted(5, &["a", "b", "c", "d", "e"])).unwrap().0, "quicklist");
        assert_eq!(read(value_type::LIST_ZIPLIST, &ziplist(&["a", "b", "c"])).unwrap().0, "listpack");
        for (code, body, reason) in [
            (value_type::LIST, vec![0], "empty"),
            (value_type::LIST_QUICKLIST, in_nodes(&[ziplist(&[])]), "empty"),
            (
                value_type::LIST_QUICKLIST_2,
                in_nodes(&[node(3, &strings(&["a"]))]),
                "Quicklist node of an unknown container",
            ),
            (value_type::LIST_QUICKLIST_2, in_nodes(&[node(1, &strings(&[""]))]), "Quicklist node of no bytes"),
            (value_type::LIST_QUICKLIST_2, in_nodes(&[node(2, &strings(&["a"]))]), "listpack shorter than its header"),
            (value_type::LIST_ZIPLIST, strings(&["a"]), "Ziplist integrity check failed"),
        ] {
            assert_eq!(read(code, &body).unwrap_err(), reason, "type {code}");
        }
    }

    #[test]
    fn sets_of_every_version() {
        for (code, body, encoding, members) in [
            (value_type::SET, counted(3, &["a", "7", "c"]), "listpack", &["7", "a", "c"][..]),
            (value_type::SET, counted(2, &["8", "7"]), "intset", &["7", "8"]),
            (value_type::SET, counted(5, &["a", "b", "c", "d", "e"]), "hashtable", &["a", "b", "c", "d", "e"]),
            (value_type::SET_LISTPACK, listpack(&["a", "7"]), "listpack", &["7", "a"]),
            (value_type::SET_LISTPACK, listpack(&["a", "b", "c", "d", "e"]), "hashtable", &["a", "b", "c", "d", "e"]),
            (value_type::SET_INTSET, intset(&[1, 2]), "intset", &["1", "2"]),
            (value_type::SET_INTSET, intset(&[1, 2, 3, 4, 5, 6, 7]), "hashtable", &["1", "2", "3", "4", "5", "6", "7"]),
        ] {
            assert_eq!(read(code, &body), Ok((encoding, elements(members))), "type {code}");
        }
        assert_eq!(read(value_type::SET, &[0]).unwrap_err(), "empty");
        assert_eq!(read(value_type::SET, &counted(2, &["a", "a"])).unwrap_err(), "Duplicate set members detected");
        assert_eq!(read(value_type::SET, &counted(2, &["7", "7"])).unwrap_err(), "Duplicate set members detected");
        assert!(read(value_type::SET_LISTPACK, &listpack(&["a", "a"])).is_err());
        assert!(read(value_type::SET_INTSET, &intset(&[2, 1])).is_err());
        assert!(read(value_type::SET_INTSET, &intset(&[])).is_err());
    }

    #[test]
    fn hashes_of_every_version() {
        let pairs = elements(&["f", "1", "g", "two"]);
        let zipmap = blob(b"\x02\x01f\x01\x001\x01g\x03\x01two \xff");
        for (code, body) in [
            (value_type::HASH, counted(2, &["f", "1", "g", "two"])),
            (value_type::HASH_ZIPMAP, zipmap),
            (value_type::HASH_ZIPLIST, ziplist(&["f", "1", "g", "two"])),
            (value_type::HASH_LISTPACK, listpack(&["f", "1", "g", "two"])),
        ] {
            assert_eq!(read(code, &body), Ok(("listpack", pairs.clone())), "type {code}");
        }
        let five = ["a", "1", "b", "2", "c", "3", "d", "4", "e", "5"];
        let wide = "x".repeat(31);
        assert_eq!(read(value_type::HASH, &counted(5, &five)).unwrap().0, "hashtable");
        assert_eq!(read(value_type::HASH_ZIPLIST, &ziplist(&five)).unwrap().0, "hashtable");
        assert_eq!(read(value_type::HASH, &counted(1, &["a", &wide])).unwrap().0, "hashtable");
        // A blob keeps its form whatever the size of its elements.
        assert_eq!(read(value_type::HASH_LISTPACK, &listpack(&["a", &wide])).unwrap().0, "listpack");
        for (code, body) in [
            (value_type::HASH, counted(2, &["f", "1", "f", "2"])),
            (value_type::HASH_ZIPLIST, ziplist(&["f", "1", "f", "2"])),
            (value_type::HASH_LISTPACK, listpack(&["f", "1", "f", "2"])),
            (value_type::HASH_LISTPACK, listpack(&["f", "1", "g"])),
            (value_type::HASH_ZIPMAP, blob(b"\x02\x01f\x01\x001\x01f\x01\x002\xff")),
            (value_type::HASH_ZIPMAP, blob(b"\x00\xff")),
        ] {
            assert!(read(code, &body).is_err(), "type {code}");
        }
        assert_eq!(read(value_type::HASH_LISTPACK, &listpack(&[])).unwrap_err(), "empty");
    }

    #[test]
    fn sorted_sets_of_every_version() {
        let pairs = elements(&["b", "-1.5", "a", "7"]);
        let text = [&counted(2, &["a"])[..], b"\x017", &strings(&["b"]), b"\x04-1.5"].concat();
        let binary =
            [&counted(2, &["a"])[..], &7f64.to_le_bytes(), &strings(&["b"]), &(-1.5f64).to_le_bytes()].concat();
        for (code, body) in [
            (value_type::ZSET_TEXT, text),
            (value_type::ZSET, binary),
            (value_type::ZSET_ZIPLIST, ziplist(&["b", "-1.5", "a", "7"])),
            (value_type::ZSET_LISTPACK, listpack(&["b", "-1.5", "a", "7"])),
        ] {
            assert_eq!(read(code, &body), Ok(("listpack", pairs.clone())), "type {code}");
        }
        let nan = [&counted(1, &["a"])[..], &f64::NAN.to_le_bytes()].concat();
        assert_eq!(read(value_type::ZSET, &nan).unwrap_err(), "Zset with NAN score detected");
        let nan = [&counted(1, &["a"])[..], b"\xfd"].concat();
        assert_eq!(read(value_type::ZSET_TEXT, &nan).unwrap_err(), "Zset with NAN score detected");
        let twice = [&counted(2, &["a"])[..], b"\x017", &strings(&["a"]), b"\x018"].concat();
        assert_eq!(read(value_type::ZSET_TEXT, &twice).unwrap_err(), "Duplicate zset fields detected");
        assert!(read(value_type::ZSET_ZIPLIST, &ziplist(&["a", "nan"])).is_err());
        assert_eq!(read(value_type::ZSET, &[0]).unwrap_err(), "empty");
    }

    #[test]
    fn counts_that_nothing_backs_are_cheap() {
        let huge = b"\x81\x00\x00\xff\xff\xff\xff\xff\xff";
        for code in [
            value_type::LIST,
            value_type::SET,
            value_type::HASH,
            value_type::ZSET,
            value_type::LIST_QUICKLIST_2,
            value_type::STREAM_2,
        ] {
            assert!(read(code, huge).unwrap_err().starts_with("Short read"), "type {code}");
        }
    }

    #[test]
    fn fields_with_expiry() {
        let field = |name: &[u8], at: i64| [b"\x01", name, b"\x01v", &at.to_le_bytes()].concat();
        let read = |pairs: &[Vec<u8>]| {
            let body = [&[pairs.len() as u8][..], &pairs.concat()].concat();
            read_value(&mut Input::new(&body[..]), value_type::HASH_EXPIRY, &Limits::default())
        };
        let Ok(Loaded::Value(Value::Hash(hash))) = read(&[field(b"a", -1), field(b"b", 77)]) else { panic!("a hash") };
        assert_eq!(hash.get_with_expiry(b"a").map(|(_, at)| at), Some(None));
        assert_eq!(hash.get_with_expiry(b"b").map(|(_, at)| at), Some(Some(Millis(77))));
        // Written again it is the same.
        let (mut again, reader) = (Vec::new(), crate::persist::rdb::Reader::Valkey9);
        let value = Value::Hash(hash);
        crate::persist::rdb::write_value::push_value(&mut again, value.as_ref(), false, reader);
        assert_eq!(again.len(), 1 + 2 * (2 + 2 + 8));
        assert!(matches!(read(&[field(b"a", -1)]), Ok(Loaded::Value(Value::Hash(hash))) if hash.as_pack().is_none()));
        assert!(matches!(read(&[]), Ok(Loaded::Empty)));
        assert!(read(&[field(b"a", -2)]).is_err());
        assert!(read(&[field(b"a", 5), field(b"a", 6)]).is_err());
    }

    #[test]
    fn what_the_data_model_lacks_is_named() {
        for (code, body, text) in [
            (value_type::MODULE, &b"\x03"[..], "a value of module type AAAAAAAAA is not supported yet"),
            (
                value_type::MODULE,
                b"\x81\x00\x00\x00\x00\x00\x00\x04\x03",
                "a value of module type AAAAAAAAB is not supported yet",
            ),
        ] {
            assert_eq!(read(code, body).unwrap_err(), text);
        }
    }
}
