//! DUMP payloads, between a stock server and this room.

use super::start;
use crate::data::Limits;
use crate::data::value::Value;
use crate::persist::dump::{dump, restore};
use crate::persist::rdb::VersionCheck;

#[test]
fn strings_are_dumped_alike() {
    let Some(mut oracle) = start(&[]) else { return };
    for text in [&b""[..], b"7", b"-129", b"70000", b"12345678901", b"9223372036854775807", b"007", &[b'a'; 20]] {
        let mut ours = Vec::new();
        dump(&mut ours, Value::from_bytes(text).as_ref(), true);
        oracle.run::<String>(&[b"SET", b"k", text]);
        assert_eq!(oracle.run::<Vec<u8>>(&[b"DUMP", b"k"]), ours, "{}", text.escape_ascii());
    }
    for text in [vec![b'a'; 21], b"0123456789".repeat(1000), (0..=255).cycle().take(70_000).collect()] {
        let mut ours = Vec::new();
        dump(&mut ours, Value::from_bytes(&text).as_ref(), true);
        assert!(ours.len() < text.len());
        oracle.run::<String>(&[b"RESTORE", b"k", b"0", &ours, b"REPLACE"]);
        assert_eq!(oracle.run::<Vec<u8>>(&[b"GET", b"k"]), text);
        let theirs = oracle.run::<Vec<u8>>(&[b"DUMP", b"k"]);
        match restore(&theirs, &Limits::default(), VersionCheck::Strict) {
            Ok(Value::Bytes(restored)) => assert_eq!(restored, text),
            other => panic!("{other:?}"),
        }
    }
}
