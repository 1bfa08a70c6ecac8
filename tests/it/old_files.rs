//! RDB files as servers of every age wrote them, built here byte by byte: `node` loads them, and holds what a stock server
//! holds that loads the same.

use std::fs;

use crate::support::{Server, ServerKind};

/// A string with its length in front: one byte of it, or two.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = match bytes.len() {
        len @ 0..64 => vec![len as u8],
        len => (1 << 14 | len as u16).to_be_bytes().to_vec(),
    };
    out.extend_from_slice(bytes);
    out
}

/// A key with its value behind the type byte.
fn key(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &string(name.as_bytes()), value].concat()
}

fn strings(words: &[&str]) -> Vec<u8> {
    words.iter().flat_map(|word| string(word.as_bytes())).collect()
}

/// A ziplist of short strings and small integers.
fn ziplist(items: &[&str]) -> Vec<u8> {
    let (mut body, mut before, mut last) = (Vec::new(), 0, 10);
    for item in items {
        last = 10 + body.len();
        let mut entry = vec![before as u8];
        match item.parse::<i16>() {
            Ok(n @ 0..=12) => entry.push(0xf1 + n as u8),
            Ok(n @ -128..=127) => entry.extend([0xfe, n as u8]),
            Ok(n) => {
                entry.push(0xc0);
                entry.extend(n.to_le_bytes());
            }
            Err(_) => entry.extend(string(item.as_bytes())),
        }
        before = entry.len();
        body.extend(entry);
    }
    let mut out = (body.len() as u32 + 11).to_le_bytes().to_vec();
    out.extend((last as u32).to_le_bytes());
    out.extend((items.len() as u16).to_le_bytes());
    out.extend(body);
    out.push(0xff);
    out
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    string(bytes)
}

fn zipmap(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![pairs.len() as u8];
    for (field, value) in pairs {
        out.push(field.len() as u8);
        out.extend(field.as_bytes());
        // Two bytes are left free behind the value.
        out.extend([value.len() as u8, 2]);
        out.extend(value.as_bytes());
        out.extend([0, 0]);
    }
    out.push(0xff);
    out
}

/// A score as text: its length in front, and bytes of their own for the infinities.
fn score(text: &str) -> Vec<u8> {
    match text {
        "inf" => vec![254],
        "-inf" => vec![255],
        _ => [&[text.len() as u8][..], text.as_bytes()].concat(),
    }
}

/// A stream of the first version: two entries in one node, one group with a pending entry.
fn stream() -> Vec<u8> {
    let pack: Vec<u8> = {
        let entries: &[&[u8]] = &[
            b"\x02\x01",
            b"\x00\x01",
            b"\x01\x01",
            b"\x81f\x02",
            b"\x00\x01", // two live, none deleted, one field: f
            b"\x02\x01",
            b"\x00\x01",
            b"\x00\x01",
            b"\x81a\x02",
            b"\x04\x01", // the entry of the node's own id
            b"\x02\x01",
            b"\x01\x01",
            b"\x00\x01",
            b"\x81b\x02",
            b"\x04\x01", // a millisecond later
        ];
        let body = entries.concat();
        let mut out = (body.len() as u32 + 7).to_le_bytes().to_vec();
        out.extend((entries.len() as u16).to_le_bytes());
        out.extend(body);
        out.push(0xff);
        out
    };
    let id = |ms: u64| [ms.to_be_bytes(), 1u64.to_be_bytes()].concat();
    let mut out = vec![1];
    out.extend(string(&id(5)));
    out.extend(blob(&pack));
    // Length, last id; one group whose last delivered id is the first entry's.
    out.extend([2, 6, 1, 1]);
    out.extend(string(b"group"));
    out.extend([5, 1, 1]);
    out.extend(id(5));
    out.extend(1_600_000_000_000u64.to_le_bytes());
    out.extend([3, 1]);
    out.extend(string(b"consumer"));
    out.extend(1_600_000_000_000u64.to_le_bytes());
    out.push(1);
    out.extend(id(5));
    out
}

/// The keys that files of each version brought with them for the first time; a newer one has the older ones' too.
fn born_in(version: u8) -> Vec<u8> {
    let intset = [&2u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"\xff\xff\x05\x00\xe8\x03"].concat();
    match version {
        1 => [
            key(0, "string", &string(b"a string")),
            key(0, "byte", &[0xc0, 0x85]),
            key(0, "short", &[0xc1, 0x39, 0x30]),
            key(0, "int", &[0xc2, 0x15, 0xcd, 0x5b, 0x07]),
            // Two literal bytes, and 38 that are found two bytes back.
            key(0, "compressed", &[0xc3, 6, 40, 1, b'a', b'b', 0xe0, 0x1d, 1]),
            key(1, "list", &[&[3][..], &strings(&["one", "2", "three"])].concat()),
            key(2, "set", &[&[2][..], &strings(&["x", "17"])].concat()),
            key(
                3,
                "zset",
                &[
                    &[4][..],
                    &[string(b"a"), score("1.5")].concat(),
                    &[string(b"b"), score("-17")].concat(),
                    &[string(b"c"), score("inf")].concat(),
                    &[string(b"d"), score("-inf")].concat(),
                ]
                .concat(),
            ),
            key(4, "hash", &[&[2][..], &strings(&["f", "v", "g", "12"])].concat()),
            [&[0xfd][..], &2_000_000_000u32.to_le_bytes(), &key(0, "by second", &string(b"x"))].concat(),
            [&[0xfd][..], &1_000_000_000u32.to_le_bytes(), &key(0, "gone", &string(b"x"))].concat(),
        ]
        .concat(),
        2 => [
            key(9, "zipmap", &blob(&zipmap(&[("f", "v"), ("gg", "12")]))),
            key(10, "ziplist", &blob(&ziplist(&["one", "2", "-3", "400", "five"]))),
            key(11, "intset", &blob(&intset)),
            key(12, "zset of ziplist", &blob(&ziplist(&["a", "1", "b", "2.5"]))),
        ]
        .concat(),
        3 => [&[0xfc][..], &2_000_000_000_123u64.to_le_bytes(), &key(0, "by millisecond", &string(b"x"))].concat(),
        4 => key(13, "hash of ziplist", &blob(&ziplist(&["f", "v", "g", "12"]))),
        7 => {
            let nodes = [&[2][..], &blob(&ziplist(&["a", "1"])), &blob(&ziplist(&["b", "-200"]))].concat();
            key(14, "quicklist", &nodes)
        }
        8 => {
            let members =
                [&string(b"m")[..], &2.5f64.to_le_bytes(), &string(b"n"), &(-1e300f64).to_le_bytes()].concat();
            let long = [&[0x81, 0, 0, 0, 0, 0, 0, 0, 4][..], b"long"].concat();
            [key(5, "zset of doubles", &[&[2][..], &members].concat()), key(0, "long length", &long)].concat()
        }
        9 => [
            key(15, "stream", &stream()),
            [&[0xf8, 9][..], &key(0, "idle", &string(b"x"))].concat(),
            [&[0xf9, 9][..], &key(0, "frequent", &string(b"x"))].concat(),
        ]
        .concat(),
        _ => Vec::new(),
    }
}

fn file(version: u8) -> Vec<u8> {
    let mut out = format!("REDIS{version:04}").into_bytes();
    if version >= 7 {
        out.push(0xfa);
        out.extend(strings(&["redis-ver", "3.2.0"]));
        out.push(0xfa);
        out.extend(strings(&["what nobody knows", "x"]));
    }
    out.extend([0xfe, 0]);
    if version >= 7 {
        out.extend([0xfb, 10, 1]);
    }
    out.extend((1..=version).flat_map(born_in));
    out.extend([0xfe, 5]);
    out.extend(key(0, "elsewhere", &string(b"x")));
    out.push(0xff);
    if version >= 5 {
        // No checksum.
        out.extend([0; 8]);
    }
    out
}

fn with_file(kind: ServerKind, file: &[u8]) -> Server {
    let mut server = Server::start(kind, "enable-debug-command yes");
    server.kill();
    fs::write(server.dir().join("dump.rdb"), file).unwrap();
    server.restart();
    server
}

#[test]
fn files_of_every_old_version_load_as_a_stock_server_loads_them() {
    for (version, keys) in [(1, 10), (2, 14), (3, 15), (4, 16), (5, 16), (6, 16), (7, 17), (8, 19), (9, 22)] {
        let bytes = file(version);
        let node = with_file(ServerKind::Node, &bytes);
        assert_eq!(node.text("DBSIZE"), keys.to_string(), "version {version}");
        assert_eq!(node.text("GET compressed"), "ab".repeat(20), "version {version}");
        assert_eq!(node.text("ZSCORE zset c"), "inf");
        if version == 9 {
            assert_eq!(node.text("XLEN stream"), "2");
            let pending: (u64, String, String, Vec<(String, String)>) = node.call("XPENDING stream group").unwrap();
            assert_eq!(pending, (1, "5-1".into(), "5-1".into(), vec![("consumer".into(), "1".into())]));
        }
        if ServerKind::Stock.is_available() {
            let stock = with_file(ServerKind::Stock, &bytes);
            assert_eq!(node.text("DEBUG DIGEST"), stock.text("DEBUG DIGEST"), "version {version}");
        }
    }
}

#[test]
fn what_is_not_understood_is_named() {
    // Auxiliary data of a module "testmodul", and a value of one.
    let id: u64 = {
        let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let number = |c: u8| characters.iter().position(|other| *other == c).unwrap() as u64;
        b"testmodul".iter().fold(0, |id, c| id << 6 | number(*c)) << 10 | 1
    };
    let id = [&[0x81][..], &id.to_be_bytes()].concat();
    let aux = [&[0xf7][..], &id, &[2, 1, 0]].concat();
    let value = key(7, "k", &[&id[..], &[0]].concat());
    for (record, why) in [(aux, "testmodul"), (value, "testmodul"), (key(8, "k", b""), "8")] {
        let bytes = [&b"REDIS0009\xfe\x00"[..], &record, &[0xff], &[0; 8]].concat();
        let mut server = Server::start(ServerKind::Node, "");
        server.kill();
        let path = server.dir().join("dump.rdb");
        fs::write(&path, &bytes).unwrap();
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_node"))
            .arg(server.dir().join("redis.conf"))
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1));
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.contains(why), "not {why:?} in\n{said}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
