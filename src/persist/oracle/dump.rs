//! DUMP payloads, between a stock server and this room.

use super::start;
use crate::data::Limits;
use crate::data::value::Kind;
use crate::persist::dump::{RestoreError, dump, restore};
use crate::persist::rdb::VersionCheck;
use crate::persist::samples::{chosen, contents, value};

/// What a stock 7.0 server calls the encoding that is called so here.
fn stock_name(ours: &'static str, kind: &str) -> &'static [&'static str] {
    match (kind, ours) {
        ("list", _) => &["quicklist"],
        ("set", "listpack") => &["hashtable"],
        ("string", "raw") => &["raw", "embstr"],
        (_, "int") => &["int"],
        (_, "intset") => &["intset"],
        (_, "listpack") => &["listpack"],
        (_, "hashtable") => &["hashtable"],
        (_, "skiplist") => &["skiplist"],
        (_, "stream") => &["stream"],
        _ => panic!("{ours}"),
    }
}

#[test]
fn a_stock_server_restores_what_we_dump_and_the_other_way_round() {
    let Some(mut oracle) = start(&[]) else { return };
    let limits = Limits::default();
    for (name, kind, elements) in chosen() {
        // Lists in many and in compressed nodes too.
        for making in [limits.clone(), Limits { list_max_listpack_size: 3, list_compress_depth: 1, ..limits.clone() }] {
            let value = value(kind, &elements, &making);
            let (encoding, expected) = contents(value.as_ref());
            for compress in [false, true] {
                let mut payload = Vec::new();
                dump(&mut payload, value.as_ref(), compress);
                oracle.run::<String>(&[b"RESTORE", b"k", b"0", &payload, b"REPLACE"]);
                assert_eq!(oracle.contents(b"k", kind), expected, "{name}");
                let encoded = oracle.run::<String>(&[b"OBJECT", b"ENCODING", b"k"]);
                let names = stock_name(encoding, kind.name());
                assert!(names.contains(&&*encoded), "{name}: {encoded} for {encoding}");
            }
            let theirs = oracle.run::<Vec<u8>>(&[b"DUMP", b"k"]);
            let restored = restore(&theirs, &limits, VersionCheck::Strict).unwrap();
            assert_eq!(contents(restored.as_ref()).1, expected, "{name}");
        }
    }
}

#[test]
fn what_needs_no_compression_is_dumped_byte_for_byte_alike() {
    let Some(mut oracle) = start(&["--rdbcompression", "no"]) else { return };
    let mut compared = 0;
    for (name, kind, elements) in chosen() {
        let value = value(kind, &elements, &Limits::default());
        let (encoding, _) = contents(value.as_ref());
        // Hash tables are walked in an order of their own, and lists are cut into nodes by other rules.
        if encoding == "hashtable" || encoding == "quicklist" {
            continue;
        }
        let mut payload = Vec::new();
        dump(&mut payload, value.as_ref(), false);
        oracle.run::<String>(&[b"RESTORE", b"k", b"0", &payload, b"REPLACE"]);
        let theirs = oracle.run::<Vec<u8>>(&[b"DUMP", b"k"]);
        // A small set is a listpack here, and a hash table there.
        if (kind.name(), encoding) == ("set", "listpack") {
            assert_eq!(theirs.len(), payload.len(), "{name}");
        } else {
            assert_eq!(theirs, payload, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 20);
}

#[test]
fn a_stock_server_and_we_refuse_the_same_damage() {
    let Some(mut oracle) = start(&["--sanitize-dump-payload", "yes"]) else { return };
    let mut rng = crate::base::Rng::seeded(7);
    let (mut refused, mut kept) = (0, 0);
    for (name, kind, elements) in chosen() {
        // Not in hash tables: stock servers do not look for the end of a value whose count was damaged.
        let limits = Limits::default();
        let value = value(kind, &elements, &limits);
        if matches!(contents(value.as_ref()).0, "hashtable" | "skiplist" | "quicklist" | "raw" | "int") {
            continue;
        }
        let mut payload = Vec::new();
        dump(&mut payload, value.as_ref(), false);
        for _ in 0..60 {
            let mut body = payload[..payload.len() - 10].to_vec();
            let at = 1 + rng.below(body.len() as u64 - 1) as usize;
            body[at] ^= 1 << rng.below(8);
            let damaged = super::sign(&body);
            let theirs = oracle.try_run::<String>(&[b"RESTORE", b"k", b"0", &damaged, b"REPLACE"]);
            let ours = restore(&damaged, &limits, VersionCheck::Strict);
            match (theirs, ours) {
                (Ok(_), Ok(ours)) => {
                    // A sorted set that is out of order is put in order here.
                    let (mut theirs, mut ours) = (oracle.contents(b"k", kind), contents(ours.as_ref()).1);
                    if kind == Kind::Stream && theirs[4] != ours[4] {
                        // The first id of a stream is looked up here, and not believed.
                        continue;
                    }
                    theirs.sort();
                    ours.sort();
                    assert_eq!(theirs, ours, "{name}, byte {at}");
                    kept += 1;
                }
                (Err(_), Err(_)) => refused += 1,
                (Ok(_), Err(RestoreError::Format(error))) => {
                    // They take any text for a score, read back lengths in more forms than they write, and look at a
                    // stream less closely: at no order, not at all counts, not at what flags mean, nor at how the
                    // numbers between its parts are written.
                    let known = [
                        "a score that is no number",
                        "a wrong back length",
                        "listpack count mismatch",
                        "stream",
                        "Unknown length encoding",
                        "where a length is expected",
                    ];
                    let known = known.iter().any(|reason| error.to_string().contains(reason));
                    assert!(known, "only we refuse {name}, byte {at}: {error}");
                }
                (Ok(_), Err(error)) => panic!("only we refuse {name}, byte {at}: {error}"),
                (Err(error), Ok(_)) => panic!("only they refuse {name}, byte {at}: {error}"),
            }
        }
    }
    assert!(refused > 100 && kept > 100, "{refused} refused, {kept} kept");
}
