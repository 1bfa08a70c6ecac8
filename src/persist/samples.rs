//! Values for tests: of every kind and encoding, random or chosen, and what they contain.

use proptest::prelude::*;

use crate::base::Millis;
use crate::data::hash::Hash;
use crate::data::list::{End, List};
use crate::data::set::Set;
use crate::data::stream::{Delivery, Group, NodeLimits, Stream, StreamId};
use crate::data::value::{Kind, Value, ValueRef};
use crate::data::zset::ZSet;
use crate::data::{Item, Limits};

pub type Elements = Vec<Vec<u8>>;

/// Small thresholds, so that small tests meet every encoding.
pub fn small_limits() -> Limits {
    Limits {
        hash_max_listpack_entries: 4,
        hash_max_listpack_value: 30,
        set_max_intset_entries: 6,
        set_max_listpack_entries: 4,
        set_max_listpack_value: 30,
        zset_max_listpack_entries: 4,
        zset_max_listpack_value: 30,
        list_max_listpack_size: 3,
        list_compress_depth: 1,
        ..Limits::default()
    }
}

/// A value of this kind with these elements: members of a set, values of a list, fields of a hash (each with a value made
/// from it), members of a sorted set (with scores that follow from their place).
pub fn value(kind: Kind, elements: &[Vec<u8>], limits: &Limits) -> Value {
    match kind {
        Kind::String => Value::from_bytes(&elements.concat()),
        Kind::List => {
            let mut list = List::new();
            for element in elements {
                list.push(End::Back, element, limits);
            }
            Value::List(list)
        }
        Kind::Set => {
            let mut set = Set::for_member(&elements[0], elements.len(), limits);
            for element in elements {
                set.add(element, limits);
            }
            Value::Set(set)
        }
        Kind::Hash => {
            let mut hash = Hash::new();
            for element in elements {
                hash.set(element, &[b"value of ", &element[..]].concat(), limits);
            }
            Value::Hash(hash)
        }
        Kind::ZSet => {
            let scores = [0.0, -1.5, 3e300, f64::INFINITY, 1e17, 7.0, -0.1, f64::NEG_INFINITY, f64::from(1 << 30)];
            let mut zset = ZSet::new();
            for (element, score) in elements.iter().zip(scores.into_iter().cycle()) {
                zset.insert(element, score, limits);
            }
            Value::ZSet(zset)
        }
        Kind::Stream => Value::Stream(Box::new(stream(elements))),
    }
}

/// Entries with one field or two, in several nodes, some deleted; a group that holds some of them, and an idle one.
fn stream(elements: &[Vec<u8>]) -> Stream {
    let mut stream = Stream::new();
    let log = &mut stream.log;
    for (i, element) in elements.iter().enumerate() {
        let pairs: &[(&[u8], &[u8])] = if i % 4 == 3 { &[(b"f", element), (b"g", b"7")] } else { &[(b"f", element)] };
        let id = StreamId::new(1_600_000_000_000 + i as u64 / 3, i as u64);
        log.append(id, pairs.iter().copied(), NodeLimits { max_bytes: 4096, max_entries: 7 });
    }
    let ids: Vec<StreamId> = log.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    for id in ids.iter().skip(2).step_by(5) {
        log.delete(*id);
    }
    let mut group = Group::new(ids[ids.len() / 2], Some(ids.len() as u64 / 2));
    let [a, b] =
        [&b"alice"[..], b"bob"].map(|name| group.create_consumer(name, Millis(1_650_000_000_000), None).unwrap());
    for (i, entry) in log.range(StreamId::MIN, StreamId::MAX).enumerate().take(100).step_by(3) {
        let delivery = Delivery { at: Millis(1_660_000_000_000 + i as i64), count: i as u64 };
        group.assign(entry.id, if i % 2 == 0 { a } else { b }, delivery);
    }
    stream.groups.insert(b"busy".as_slice().into(), group);
    stream.groups.insert(b"idle".as_slice().into(), Group::new(StreamId::MIN, None));
    stream
}

/// The values of XINFO STREAM FULL but for the sizes of the tree and the times when consumers were seen.
fn stream_contents(stream: &Stream) -> Elements {
    let (log, mut out) = (&stream.log, Elements::new());
    let id = |id: StreamId| id.text().as_bytes().to_vec();
    let int = |n: i64| n.to_string().into_bytes();
    out.extend([int(log.len() as i64), id(log.last_id), id(log.max_deleted_id)]);
    out.extend([int(log.entries_added as i64), id(log.first_id())]);
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        out.push(id(entry.id));
        out.extend(entry.fields.flat_map(|(field, value)| [field.to_vec(), value.to_vec()]));
    }
    for (name, group) in &stream.groups {
        let or_nil = |n: Option<i64>| n.map_or(b"nil".to_vec(), int);
        out.extend([name.to_vec(), id(group.last_id), or_nil(group.entries_read.map(|n| n as i64))]);
        out.extend([or_nil(group.lag(log)), int(group.pending().len() as i64)]);
        for (entry, pending) in group.pending() {
            let consumer = group.consumer(pending.consumer).name().to_vec();
            out.extend([id(*entry), consumer, int(pending.delivery.at.0), int(pending.delivery.count as i64)]);
        }
        for consumer in group.consumers() {
            out.extend([consumer.name().to_vec(), int(consumer.pending().len() as i64)]);
            for entry in consumer.pending() {
                let delivery = group.pending()[entry].delivery;
                out.extend([id(*entry), int(delivery.at.0), int(delivery.count as i64)]);
            }
        }
    }
    out
}

/// What a value contains, in an order that does not depend on its encoding, and the name of that encoding.
pub fn contents(value: ValueRef<'_>) -> (&'static str, Elements) {
    let text = |item: Item<'_>| item.to_vec();
    match value {
        ValueRef::Int(n) => ("int", vec![n.to_string().into_bytes()]),
        ValueRef::Bytes(bytes) => ("raw", vec![bytes.to_vec()]),
        ValueRef::List(list) => {
            let mut elements = Vec::new();
            list.for_each(0..list.len(), |item| elements.push(item.to_vec()));
            (list.encoding().name(), elements)
        }
        ValueRef::Set(set) => {
            let mut elements: Elements = set.iter().map(text).collect();
            elements.sort();
            (set.encoding().name(), elements)
        }
        ValueRef::Hash(hash) => {
            let mut pairs: Vec<_> = hash.iter().map(|(field, value)| [text(field), text(value)]).collect();
            pairs.sort();
            (hash.encoding().name(), pairs.concat())
        }
        ValueRef::ZSet(zset) => {
            let pairs = zset.iter().map(|(member, score)| [text(member), score.to_string().into_bytes()]);
            (zset.encoding().name(), pairs.flatten().collect())
        }
        ValueRef::Stream(stream) => ("stream", stream_contents(stream)),
    }
}

pub fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::ZSet, Kind::Stream])
}

/// Between 1 and 20 elements, not necessarily distinct.
pub fn any_elements() -> impl Strategy<Value = Elements> {
    let ints = prop_oneof![-20i64..200, any::<i32>().prop_map(i64::from), any::<i64>()];
    let element = prop_oneof![
        4 => ints.clone().prop_map(|n| n.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 20usize..300).prop_map(|(byte, times)| vec![byte; times]),
        1 => prop::collection::vec(any::<u8>(), 60..300),
    ];
    prop_oneof![
        prop::collection::vec(element, 1..20),
        prop::collection::vec(ints.prop_map(|n| n.to_string().into_bytes()), 1..20),
    ]
}

/// Chosen values: every kind in every encoding under the standard thresholds, with long and awkward elements.
pub fn chosen() -> Vec<(String, Kind, Elements)> {
    let numbered = |count: usize| -> Elements { (0..count).map(|i| format!("element:{i}").into_bytes()).collect() };
    let ints = |count: i64| -> Elements { (0..count).map(|i| (i * i * i - 1000).to_string().into_bytes()).collect() };
    let noise: Vec<u8> = {
        let mut rng = crate::base::Rng::seeded(42);
        (0..20_000).map(|_| rng.next_u64() as u8).collect()
    };
    let awkward = vec![b"".to_vec(), b"\r\n\0\xff".to_vec(), b"-0".to_vec(), b"007".to_vec(), vec![b'x'; 70]];
    let sizes = [
        ("one", numbered(1)),
        ("few", numbered(5)),
        ("many", numbered(3000)),
        ("few ints", ints(10)),
        ("wide ints", vec![b"-9223372036854775808".to_vec(), b"5".to_vec(), b"4294967296".to_vec()]),
        ("many ints", ints(2000)),
        ("awkward", awkward),
        ("large", vec![vec![b'a'; 9000], noise.clone(), b"0123456789".repeat(5000), b"small".to_vec()]),
    ];
    let mut all = Vec::new();
    for kind in [Kind::List, Kind::Set, Kind::Hash, Kind::ZSet, Kind::Stream] {
        for (name, elements) in &sizes {
            all.push((format!("{kind}: {name}"), kind, elements.clone()));
        }
    }
    for text in [&b""[..], b"7", b"-129", b"70000", b"12345678901", b"9223372036854775807", b"007", &[b'a'; 20]] {
        all.push((format!("string: {}", text.escape_ascii()), Kind::String, vec![text.to_vec()]));
    }
    all.push(("string: noise".to_owned(), Kind::String, vec![noise]));
    all.push(("string: long".to_owned(), Kind::String, vec![b"0123456789".repeat(20_000)]));
    all
}
