//! What damaged and hostile bytes are thrown at: everything that reads what came from outside. A target must neither
//! panic nor go on for ever, and what it accepts must be sound: it can be walked, written again and read once more.

use std::io::Cursor;

use trib::base::crc64::crc64;
use trib::data::Limits;
use trib::data::listpack::Listpack;
use trib::data::value::Value;
use trib::persist::aof::{AofReader, Record};
use trib::persist::dump::{dump, restore};
use trib::persist::rdb::{Event, RdbReader, ReadOptions, VersionCheck};
use trib::resp::client::ReplyParser;
use trib::resp::request::{Batch, RequestLimits, RequestParser};

pub type Target = fn(&[u8]);

pub const TARGETS: &[(&str, Target)] = &[
    ("request", request),
    ("reply", reply),
    ("listpack", listpack),
    ("payload", payload),
    ("snapshot", snapshot),
    ("log", log),
    ("bus", super::bus::bus),
];

/// The version of the payloads that are made here.
const PAYLOAD_VERSION: u16 = 10;

/// A client's bytes, arriving in pieces whose size the first byte says.
pub fn request(input: &[u8]) {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let (mut parser, mut batch, mut buf) = (RequestParser::default(), Batch::default(), Vec::new());
    let limits = RequestLimits { bulk_max_bytes: 1 << 20, authenticated: piece & 1 == 0, inline: piece & 2 == 0 };
    for part in bytes.chunks(usize::from(piece) + 1) {
        buf.extend_from_slice(part);
        if parser.parse(&mut buf, limits, &mut batch).is_err() {
            return;
        }
        for n in 0..batch.len() {
            assert!(batch.command(&buf, n).iter().map(<[u8]>::len).sum::<usize>() <= buf.len());
        }
        batch.clear();
        let done = parser.safe_to_drop();
        buf.drain(..done);
        parser.shift(done);
    }
}

/// A server's bytes, as `trib` reads them.
pub fn reply(input: &[u8]) {
    let mut parser = ReplyParser::default();
    parser.feed(input);
    while let Ok(Some(_)) = parser.next_reply() {}
}

/// The bytes of a listpack: what passes the check can be read from both ends and changed.
pub fn listpack(input: &[u8]) {
    let Ok(mut pack) = Listpack::validate(input) else { return };
    let forward: Vec<_> = pack.iter().map(|item| item.to_vec()).collect();
    let mut backward: Vec<_> = pack.iter().rev().map(|item| item.to_vec()).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), pack.len());
    pack.push(&b"more"[..]);
    pack.remove(pack.start(), 1);
    assert_eq!(pack.len(), forward.len());
    Listpack::validate(pack.bytes()).expect("a sound listpack stays sound");
}

/// The body of a payload of RESTORE: type and value, to which the right ending is added here.
pub fn payload(input: &[u8]) {
    let mut bytes = input.to_vec();
    bytes.extend_from_slice(&PAYLOAD_VERSION.to_le_bytes());
    let crc = crc64(0, &bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let limits = Limits::default();
    let Ok(value) = restore(&bytes, &limits, VersionCheck::Relaxed) else { return };
    let written = |value: Value| {
        let mut out = Vec::new();
        dump(&mut out, value.as_ref(), true);
        out
    };
    let read =
        |bytes: &[u8]| restore(bytes, &limits, VersionCheck::Relaxed).expect("what was written here is read here");
    // The first reading may choose another encoding than the input had; after that nothing changes any more.
    let settled = written(read(&written(value)));
    assert_eq!(settled.len(), written(read(&settled)).len());
}

/// A snapshot file.
pub fn snapshot(input: &[u8]) {
    let options = ReadOptions { verify_checksum: false, ..ReadOptions::default() };
    let Ok(mut reader) = RdbReader::open(Cursor::new(input), options, &Limits::default()) else { return };
    while let Ok(event) = reader.next() {
        match event {
            Event::End { .. } => return,
            Event::Entry(entry) => dump(&mut Vec::new(), entry.value.as_ref(), false),
            _ => {}
        }
    }
}

/// An append-only file.
pub fn log(input: &[u8]) {
    let mut reader = AofReader::new(Cursor::new(input), 0);
    while let Ok(Some(record)) = reader.next() {
        if let Record::Command(args) = record {
            assert!(args.iter().map(<[u8]>::len).sum::<usize>() <= input.len());
        }
    }
    assert!(reader.good_up_to() <= input.len() as u64);
}
