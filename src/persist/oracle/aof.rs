//! Append-only logs, between a stock server and this room.

use std::io::BufReader;

use super::start_in;
use crate::persist::aof::manifest::Manifest;
use crate::persist::aof::{AofReader, BaseFormat, Feed, LogFile, Record, names};
use crate::resp::args::{Argv, push_command};

const LOG: &str = "log with blanks.aof";

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    push_command(&mut out, Argv::of(words).args());
    out
}

#[test]
fn a_stock_server_loads_our_log() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("appendonlydir");
    std::fs::create_dir(&log_dir).unwrap();

    let mut manifest = Manifest::default();
    manifest.replace_base(manifest.next_base(LOG, BaseFormat::Commands), true);
    let increment = manifest.open_increment(LOG, 0).clone();
    let write = |name: &[u8], text: &[u8]| std::fs::write(log_dir.join(String::from_utf8_lossy(name).as_ref()), text);
    let mut base = Vec::new();
    Feed::default().append(&mut base, 0, None, &command(&[b"SET", b"k", b"from base"]));
    write(&manifest.base.as_ref().unwrap().name, &base).unwrap();
    let mut appended = Vec::new();
    let mut feed = Feed::default();
    for (db, secs, words) in [(0, 100, [&b"APPEND"[..], b"k", b" and more"]), (5, 101, [b"SET", b"five", b"\r\n\0"])] {
        feed.append(&mut appended, db, Some(secs), &command(&words));
    }
    write(&increment.name, &appended).unwrap();
    write(names::manifest(LOG).as_bytes(), &manifest.format()).unwrap();

    let Some(mut oracle) = start_in(dir, &["--appendonly", "yes", "--appendfilename", LOG]) else { return };
    assert_eq!(oracle.run::<Vec<u8>>(&[b"GET", b"k"]), b"from base and more");
    oracle.run::<String>(&[b"SELECT", b"5"]);
    assert_eq!(oracle.run::<Vec<u8>>(&[b"GET", b"five"]), b"\r\n\0");
}

#[test]
fn we_read_the_log_of_a_stock_server() {
    let dir = tempfile::tempdir().unwrap();
    // Writes are postponed while a background fsync runs, so there is none.
    let args =
        ["--appendonly", "yes", "--appendfilename", LOG, "--aof-timestamp-enabled", "yes", "--appendfsync", "no"];
    let Some(mut oracle) = start_in(dir, &args) else { return };
    oracle.run::<String>(&[b"SET", b"k", b"v"]);
    oracle.run::<String>(&[b"SELECT", b"3"]);
    oracle.run::<i64>(&[b"EVAL", b"redis.call('SET','a','1') return redis.call('INCR','a')", b"1", b"a"]);

    let log_dir = oracle.dir().join("appendonlydir");
    let manifest = Manifest::parse(&std::fs::read(log_dir.join(names::manifest(LOG))).unwrap()).unwrap();
    let expected_base = LogFile { name: names::base(LOG, 1, BaseFormat::Rdb), seq: 1 };
    assert_eq!(manifest.base, Some(expected_base));
    assert_eq!(manifest.increments, [LogFile { name: names::increment(LOG, 1), seq: 1 }]);

    let file = std::fs::File::open(log_dir.join(format!("{LOG}.1.incr.aof"))).unwrap();
    let length = file.metadata().unwrap().len();
    let mut reader = AofReader::new(BufReader::new(file), 0);
    let (mut commands, mut annotations) = (Vec::new(), 0);
    while let Some(record) = reader.next().unwrap() {
        match record {
            Record::Command(args) => {
                commands.push(args.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "));
            }
            Record::Annotation(text) => {
                assert!(text.starts_with(b"#TS:"));
                annotations += 1;
            }
        }
    }
    assert_eq!(commands, ["SELECT 0", "SET k v", "SELECT 3", "MULTI", "SET a 1", "INCR a", "EXEC"]);
    assert!(annotations > 0);
    assert_eq!(reader.good_up_to(), length);
}
