//! Sound inputs to begin from: one of every kind that the targets read.

use trib::base::Millis;
use trib::data::hash::Hash;
use trib::data::list::{End, List};
use trib::data::listpack::Listpack;
use trib::data::set::Set;
use trib::data::stream::{Stream, StreamId};
use trib::data::value::Value;
use trib::data::zset::ZSet;
use trib::data::{Limits, stream};
use trib::persist::dump::dump;
use trib::persist::rdb::{Access, Aux, RdbWriter, WriteOptions};

/// Values of every type, small and large, of numbers and of text.
fn values() -> Vec<Value> {
    let limits = Limits::default();
    let mut values = vec![Value::Int(-7), Value::Bytes(b"text".to_vec()), Value::Bytes(vec![b'a'; 300])];
    for count in [1, 5, 300] {
        for text in ["", "member:"] {
            let words: Vec<Vec<u8>> = (0..count).map(|n| format!("{text}{n}").into_bytes()).collect();
            let (mut list, mut set, mut hash, mut zset) = (List::new(), Set::new(), Hash::new(), ZSet::new());
            for (n, word) in words.iter().enumerate() {
                list.push(End::Back, word, &limits);
                set.add(word, &limits);
                hash.set(word, b"value", &limits);
                zset.insert(word, n as f64 / 3.0, &limits);
            }
            values.push(Value::List(list));
            values.push(Value::Set(set));
            values.push(Value::Hash(hash));
            values.push(Value::ZSet(zset));
        }
        values.push(Value::Stream(Box::new(stream_of(count))));
    }
    values
}

fn stream_of(count: u64) -> Stream {
    let mut made = Stream::new();
    let limits = stream::NodeLimits::default();
    for n in 0..count {
        let fields: Vec<(&[u8], &[u8])> = vec![(b"field", b"value"), (b"n", b"12")];
        made.log.append(StreamId { ms: 1000 + n, seq: 0 }, fields.iter().copied(), limits);
    }
    let mut group = stream::Group::new(StreamId { ms: 1001, seq: 0 }, Some(2));
    let consumer = group.create_consumer(b"reader", Millis(5000), None).expect("the first of its name");
    let delivery = stream::Delivery { at: Millis(6000), count: 1 };
    group.assign(StreamId { ms: 1000, seq: 0 }, consumer, delivery);
    made.groups.insert(b"group".as_slice().into(), group);
    made
}

/// Bodies of payloads, without version and checksum.
fn payloads() -> Vec<Vec<u8>> {
    let bodies = values().into_iter().map(|value| {
        let mut out = Vec::new();
        dump(&mut out, value.as_ref(), true);
        out.truncate(out.len() - 10);
        out
    });
    bodies.collect()
}

fn snapshots() -> Vec<Vec<u8>> {
    let aux = Aux { server_version: "7.2.4", ctime_secs: 1, used_memory_bytes: 2, replication: None, aof_base: false };
    let files = [true, false].map(|compress| {
        let mut out = Vec::new();
        let mut writer = RdbWriter::begin(&mut out, WriteOptions { compress, ..WriteOptions::default() }, &aux);
        let values = values();
        writer.select(&mut out, 0, values.len(), 1);
        for (n, value) in values.iter().enumerate() {
            let expire = (n == 3).then_some(Millis(1 << 41));
            writer.entry(&mut out, format!("key:{n}").as_bytes(), value.as_ref(), expire, Access::Untracked);
        }
        writer.finish(&mut out);
        out
    });
    files.into()
}

fn listpacks() -> Vec<Vec<u8>> {
    let mut pack = Listpack::new();
    for text in [&b"text"[..], b"12", b"-70000", &[b'x'; 70], &[b'y'; 5000]] {
        pack.push(text);
    }
    vec![Listpack::new().bytes().to_vec(), pack.bytes().to_vec()]
}

/// The sound inputs of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = |all: &[&[u8]]| all.iter().map(|text| text.to_vec()).collect();
    match target {
        "request" => texts(&[
            b"\x03*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n",
            b"\xffset k \"a b\\x41\\n\" 'c'\r\n*0\r\n*-1\r\n",
        ]),
        "reply" => texts(&[
            b"*3\r\n+OK\r\n:12\r\n$-1\r\n-ERR no\r\n",
            b"%1\r\n+a\r\n,1.5\r\n~2\r\n#t\r\n_\r\n>2\r\n+x\r\n(123456789012345678901\r\n=7\r\ntxt:abc\r\n",
        ]),
        "listpack" => listpacks(),
        "payload" => payloads(),
        "snapshot" => snapshots(),
        "log" => texts(&[
            b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:1700000000\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$4\r\nEXEC\r\n",
        ]),
        "bus" => super::bus::seeds(),
        other => panic!("no seeds for {other}"),
    }
}
