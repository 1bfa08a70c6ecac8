//! `node` beside the servers of today and of yesterday that `.ci/peers` fetches: data of every type by replication, in
//! files and in payloads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use redis::Value;

use crate::support::{Server, ServerKind, eventually};
use crate::{field, role};

pub const REDIS_62: ServerKind = ServerKind::Peer("redis-server-6.2");
pub const REDIS_82: ServerKind = ServerKind::Peer("redis-server-8.2");
pub const VALKEY_81: ServerKind = ServerKind::Peer("valkey-server-8.1");
pub const VALKEY_91: ServerKind = ServerKind::Peer("valkey-server-9.1");

/// What lets `node` read what Redis 8 writes.
const RELAXED: &str = "rdb-version-check relaxed";

/// 2033 and 2128.
const LATER: &str = "2000000000000";
const FAR: &str = "5000000000000";

/// A server of this kind, which sends snapshots at once, and reads those of all others as far as it can.
pub fn start(kind: ServerKind, directives: &str) -> Server {
    let relaxed = if kind == ServerKind::Node { RELAXED } else { "" };
    Server::start(kind, &format!("repl-diskless-sync-delay 0\n{relaxed}\n{directives}"))
}

/// Sends lines over one connection, words separated by blanks.
fn send(server: &Server, lines: &[String]) {
    let mut connection = server.connect();
    for line in lines {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| _ = cmd.arg(word));
        cmd.query::<Value>(&mut connection).unwrap_or_else(|e| panic!("{line} at {:?}: {e}", server.kind));
    }
}

/// Keys of every type, small and large, in two databases.
fn fill(server: &Server, tag: &str) {
    let numbers = |word: &dyn Fn(u32) -> String| (0..600).map(word).collect::<Vec<_>>().join(" ");
    let mut lines = Vec::new();
    for db in [0, 9] {
        lines.push(format!("SELECT {db}"));
        lines.extend(values(tag));
        lines.extend([
            format!("RPUSH {tag}list:large {}", numbers(&|n| format!("{n}{}", "v".repeat(n as usize % 90)))),
            format!("SADD {tag}set:large {}", numbers(&|n| format!("m{n}"))),
            format!("ZADD {tag}zset:large {}", numbers(&|n| format!("{} m{n}", f64::from(n) / 8.0))),
            format!("HSET {tag}hash:large {}", numbers(&|n| format!("f{n} v{n}"))),
            format!("PEXPIREAT {tag}hash:large {FAR}"),
        ]);
    }
    send(server, &lines);
}

/// Commands for small keys of every type.
pub fn values(tag: &str) -> Vec<String> {
    [
        "SET T_string hello",
        "SET T_int 12345",
        "SET T_expiring x PXAT 5000000000000",
        "SETBIT T_bits 1000 1",
        "RPUSH T_list 1 b 3",
        "SADD T_ints 1 -9223372036854775808 7",
        "SADD T_set a b 3",
        "ZADD T_zset 1.5 a -inf b inf c",
        "HSET T_hash f v n 12",
        "PFADD T_hll a b c",
        "GEOADD T_geo 13.361389 38.115556 Palermo",
        "XADD T_stream 1-1 a 1",
        "XADD T_stream 1-2 a 2 b 3",
        "XADD T_stream 5-5 zz 3",
        "XDEL T_stream 1-2",
        "XGROUP CREATE T_stream g 0",
        "XGROUP CREATECONSUMER T_stream g idle",
        "XREADGROUP GROUP g alice COUNT 1 STREAMS T_stream >",
        "XADD T_emptied 1-1 a b",
        "XDEL T_emptied 1-1",
    ]
    .map(|line| line.replace("T_", tag))
    // Redis 6.2 has this form in another command only.
    .map(|line| match line.split_once(" PXAT ") {
        Some((set, at)) => format!("{set};PEXPIREAT {tag}expiring {at}"),
        None => line,
    })
    .iter()
    .flat_map(|line| line.split(';'))
    .map(str::to_owned)
    .collect()
}

/// The dataset in words that every server has: each key with its type, its contents, and when it ends.
pub fn contents(server: &Server, databases: &[u32]) -> Vec<String> {
    let mut connection = server.connect();
    // Where there is no cluster this changes nothing.
    redis::cmd("READONLY").query::<Value>(&mut connection).ok();
    let mut all = Vec::new();
    for db in databases {
        if *db != 0 {
            redis::cmd("SELECT").arg(db).exec(&mut connection).unwrap();
        }
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
        for key in keys {
            let mut ask = |line: &str| -> Value {
                let mut words = line.split(' ');
                let mut cmd = redis::cmd(words.next().expect("a command"));
                words.for_each(|word| _ = cmd.arg(if word == "KEY" { &key } else { word }));
                cmd.query(&mut connection).unwrap_or_else(|e| panic!("{line} {key} at {:?}: {e}", server.kind))
            };
            let kind: String = redis::from_redis_value(ask("TYPE KEY")).unwrap();
            let value = match kind.as_str() {
                "string" => vec![ask("GET KEY")],
                "list" => vec![ask("LRANGE KEY 0 -1")],
                "set" => vec![sorted(ask("SMEMBERS KEY"), 1)],
                "zset" => vec![ask("ZRANGE KEY 0 -1 WITHSCORES")],
                "hash" => vec![sorted(ask("HGETALL KEY"), 2)],
                "stream" => {
                    let mut parts = vec![ask("XRANGE KEY - +"), ask("XLEN KEY")];
                    if key.ends_with("stream") {
                        // Who has waited for how long is another answer every time.
                        let pending = ask("XPENDING KEY g");
                        let consumers = ask("XINFO CONSUMERS KEY g").into_sequence().unwrap().len();
                        parts.extend([pending, Value::Int(consumers as i64)]);
                    }
                    parts
                }
                other => panic!("{key} is a {other}"),
            };
            // Time passes between the questions, but not so much.
            let left: i64 = redis::from_redis_value(ask("PTTL KEY")).unwrap();
            all.push(format!("{db} {key} {kind} {} {value:?}", left / 1_000_000));
        }
    }
    all.sort();
    all
}

fn sorted(value: Value, step: usize) -> Value {
    let items = value.into_sequence().expect("a list");
    let mut groups: Vec<Vec<Value>> = items.chunks(step).map(<[Value]>::to_vec).collect();
    groups.sort_by_key(|group| format!("{group:?}"));
    Value::Array(groups.into_iter().flatten().collect())
}

fn follow(replica: &Server, primary: &Server) {
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    wait_for_link(replica);
}

fn wait_for_link(replica: &Server) {
    eventually(&format!("the link of {:?} is up", replica.kind), || {
        replica.call::<String>("INFO replication").is_ok_and(|info| info.contains("master_link_status:up"))
    });
}

/// Everything that the primary has done stands at its only replica.
fn wait_until_equal(primary: &Server, replica: &Server) {
    let acked: i64 = {
        let mut connection = primary.connect();
        redis::cmd("SET").arg("last").arg("x").exec(&mut connection).unwrap();
        redis::cmd("WAIT").arg(1).arg(20_000).query(&mut connection).unwrap()
    };
    assert_eq!(acked, 1, "{:?} follows {:?}", replica.kind, primary.kind);
    let of = |server: &Server| contents(server, &[0, 9]);
    assert_eq!(of(primary), of(replica), "{:?} follows {:?}", replica.kind, primary.kind);
}

/// Full synchronisation, the stream, and what comes after a broken link.
fn follows(primary_kind: ServerKind, replica_kind: ServerKind, directives: &str) -> (Server, Server) {
    let (primary, replica) = (start(primary_kind, directives), start(replica_kind, directives));
    fill(&primary, "before:");
    follow(&replica, &primary);
    fill(&primary, "after:");
    wait_until_equal(&primary, &replica);
    assert_eq!(primary.text("CLIENT KILL TYPE replica"), "1");
    fill(&primary, "cut:");
    wait_for_link(&replica);
    wait_until_equal(&primary, &replica);
    assert_eq!(field(&primary.text("INFO stats"), "sync_full"), "1", "it went on where it was");
    (primary, replica)
}

#[test]
fn every_server_follows_node_and_is_followed() {
    let diskless = "repl-diskless-load swapdb";
    let from_disk = "repl-diskless-sync no";
    for (peer, directives) in [(REDIS_82, diskless), (VALKEY_81, from_disk), (VALKEY_91, diskless)] {
        if peer.is_available() {
            follows(peer, ServerKind::Node, directives);
            follows(ServerKind::Node, peer, directives);
        }
    }
    // Redis 6.2 reads no snapshot of anybody who came after it.
    if REDIS_62.is_available() {
        follows(REDIS_62, ServerKind::Node, diskless);
    }
}

#[test]
fn a_second_channel_brings_the_snapshot() {
    for peer in [VALKEY_81, VALKEY_91] {
        if !peer.is_available() {
            return;
        }
        for (primary, replica) in [(peer, ServerKind::Node), (ServerKind::Node, peer)] {
            let (primary, replica) = follows(primary, replica, "dual-channel-replication-enabled yes");
            let valkey = if primary.kind == peer { &primary } else { &replica };
            assert!(valkey.log().to_lowercase().contains("rdb channel"), "{}", valkey.log_tail());
        }
    }
}

#[test]
fn what_a_replica_keeps_is_a_file_for_redis_7_whoever_it_is() {
    for replica in [VALKEY_81, VALKEY_91, ServerKind::Node] {
        if !replica.is_available() {
            continue;
        }
        let (primary, replica) = (start(ServerKind::Node, ""), start(replica, "repl-diskless-load disabled"));
        send(&primary, &["XGROUP CREATE stream g $ MKSTREAM", "SET key value"].map(str::to_owned));
        follow(&replica, &primary);
        let file = std::fs::read(replica.dir().join("dump.rdb")).unwrap();
        assert_eq!(file[..9], *b"REDIS0010", "{:?}", replica.kind);
    }
}

/// A form that tells of it is newer than Redis 7.0: it goes where fields that expire ask for a newer one anyway.
#[test]
fn replicas_are_told_when_consumers_were_active_where_fields_expire() {
    for replica in [VALKEY_81, VALKEY_91, ServerKind::Node] {
        if !replica.is_available() {
            continue;
        }
        let (primary, replica) = (start(ServerKind::Node, ""), start(replica, ""));
        send(
            &primary,
            &[
                "XGROUP CREATE stream g $ MKSTREAM",
                "XGROUP CREATECONSUMER stream g idle",
                "HSET hash field value",
                "HEXPIRE hash 1000 FIELDS 1 field",
            ]
            .map(str::to_owned),
        );
        follow(&replica, &primary);
        let consumers: Vec<std::collections::HashMap<String, Value>> =
            replica.call("XINFO CONSUMERS stream g").unwrap();
        assert_eq!(consumers[0]["inactive"], Value::Int(-1), "{:?}", replica.kind);
    }
}

#[test]
fn fields_that_expire_travel_between_node_and_valkey() {
    if !VALKEY_91.is_available() {
        return;
    }
    for (primary, replica) in [(ServerKind::Node, VALKEY_91), (VALKEY_91, ServerKind::Node)] {
        let (primary, replica) = (start(primary, ""), start(replica, ""));
        let fields = |server: &Server, key: &str| {
            let at: Vec<i64> = server.call(&format!("HPEXPIRETIME {key} FIELDS 3 a b c")).unwrap();
            at
        };
        let lines = |key: &str| {
            [
                format!("HSET {key} a 1 b 2 c 3"),
                format!("HPEXPIREAT {key} {LATER} FIELDS 1 b"),
                format!("HGETEX {key} PXAT {FAR} FIELDS 1 c"),
            ]
        };
        send(&primary, &lines("before"));
        follow(&replica, &primary);
        send(&primary, &lines("after"));
        wait_until_equal(&primary, &replica);
        for key in ["before", "after"] {
            assert_eq!(
                fields(&replica, key),
                [-1, 2_000_000_000_000, 5_000_000_000_000],
                "{key} at {:?}",
                replica.kind
            );
        }
        send(&primary, &["HPEXPIRE after 20 FIELDS 1 a".to_owned()]);
        eventually("the field ends at both", || [&primary, &replica].iter().all(|s| s.text("HLEN after") == "2"));
    }
}

#[test]
fn roles_change_hands_without_a_lost_write() {
    for peer in [REDIS_82, VALKEY_91] {
        if !peer.is_available() {
            return;
        }
        let (mut primary, mut replica) = (start(peer, ""), start(ServerKind::Node, ""));
        follow(&replica, &primary);
        let mut written = 0;
        for _ in 0..3 {
            for _ in 0..100 {
                written = number(&primary, "INCR counter");
            }
            assert_eq!(primary.text(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 10000", replica.port)), "OK");
            // Writes are held back, and then refused; none is lost.
            while let Ok(count) = primary.call::<i64>("INCR counter") {
                written = count;
            }
            eventually("the other is the primary", || role(&replica) == "master" && role(&primary) == "slave");
            std::mem::swap(&mut primary, &mut replica);
            assert_eq!(number(&primary, "GET counter"), written, "{:?}", primary.kind);
            wait_for_link(&replica);
        }
    }
}

fn number(server: &Server, command: &str) -> i64 {
    server.call(command).unwrap_or_else(|e| panic!("{command}: {e}"))
}

/// Starts the server in its place as one of another kind, with a line more in its configuration.
pub fn swap(server: &mut Server, kind: ServerKind, line: &str) {
    server.kill();
    let path = server.dir().join("redis.conf");
    let text = std::fs::read_to_string(&path).unwrap().replace(RELAXED, "");
    std::fs::write(&path, format!("{text}\n{line}\n")).unwrap();
    server.kind = kind;
    server.restart();
}

#[test]
fn files_are_read_by_node_and_by_who_wrote_them() {
    let preamble = "appendonly yes\naof-use-rdb-preamble yes";
    for (peer, directives) in [
        (VALKEY_81, preamble),
        (VALKEY_91, preamble),
        (VALKEY_91, ""),
        (VALKEY_81, ""),
        (REDIS_82, "appendonly yes\naof-use-rdb-preamble no"),
    ] {
        if !peer.is_available() {
            continue;
        }
        let mut server = Server::start(peer, directives);
        fill(&server, "base:");
        if directives.is_empty() {
            assert_eq!(server.text("SAVE"), "OK");
        } else {
            send(&server, &["BGREWRITEAOF".to_owned()]);
            eventually("it is rewritten", || field(&server.text("INFO persistence"), "aof_rewrite_in_progress") == "0");
            fill(&server, "tail:");
        }
        let expected = contents(&server, &[0, 9]);
        for kind in [ServerKind::Node, peer] {
            swap(&mut server, kind, "");
            assert_eq!(contents(&server, &[0, 9]), expected, "{kind:?} reads the files of {peer:?}");
            if directives.is_empty() {
                assert_eq!(server.text("SAVE"), "OK");
            }
        }
    }
}

#[test]
fn what_redis_8_writes_is_read_where_that_is_wanted_and_known() {
    if !REDIS_82.is_available() {
        return;
    }
    let mut server = Server::start(REDIS_82, "appendonly yes");
    send(&server, &values(""));
    send(&server, &["BGREWRITEAOF".to_owned()]);
    eventually("it is rewritten", || field(&server.text("INFO persistence"), "aof_rewrite_in_progress") == "0");
    let payload = |server: &Server, key: &str| -> Vec<u8> { server.call(&format!("DUMP {key}")).unwrap() };
    let restore = |server: &Server, payload: Vec<u8>| {
        let mut connection = server.connect();
        redis::cmd("RESTORE").arg("restored").arg(0).arg(payload).arg("REPLACE").query::<String>(&mut connection)
    };
    let hash = payload(&server, "hash");
    send(&server, &["HSET other a 1".to_owned(), format!("HPEXPIREAT other {LATER} FIELDS 1 a")]);
    let expiring = payload(&server, "other");
    send(&server, &["DEL other".to_owned()]);

    let strict = Server::start(ServerKind::Node, "");
    let refused = restore(&strict, hash.clone()).unwrap_err();
    assert_eq!(refused.detail(), Some("DUMP payload version or checksum are wrong"));
    assert_eq!(strict.text("CONFIG SET rdb-version-check relaxed"), "OK");
    assert_eq!(restore(&strict, hash).unwrap(), "OK");
    assert_eq!(strict.text("HGET restored n"), "12");
    let refused = restore(&strict, expiring).unwrap_err().to_string();
    assert!(refused.contains("Unsupported foreign data type: 25"), "{refused}");

    let expected = contents(&server, &[0]);
    swap(&mut server, ServerKind::Node, RELAXED);
    assert_eq!(contents(&server, &[0]), expected);
}

#[test]
fn keys_migrate_both_ways() {
    for peer in [REDIS_82, VALKEY_81, VALKEY_91] {
        if !peer.is_available() {
            continue;
        }
        let (there, node) = (start(peer, ""), start(ServerKind::Node, ""));
        send(&there, &values(""));
        let expected = contents(&there, &[0]);
        for (from, to) in [(&there, &node), (&node, &there)] {
            let keys: Vec<String> = from.call("KEYS *").unwrap();
            let line = format!("MIGRATE 127.0.0.1 {} {{}} 0 5000 KEYS {}", to.port, keys.join(" "));
            let mut cmd = redis::cmd("MIGRATE");
            line.split(' ').skip(1).for_each(|word| _ = cmd.arg(if word == "{}" { "" } else { word }));
            assert_eq!(cmd.query::<String>(&mut from.connect()).unwrap(), "OK", "from {:?}", from.kind);
            assert_eq!((from.text("DBSIZE"), contents(to, &[0])), ("0".to_owned(), expected.clone()), "{:?}", to.kind);
        }
    }
}

#[test]
fn who_wants_functions_only_gets_no_data() {
    let primary = start(ServerKind::Node, "");
    send(&primary, &["SET key not-compressible-at-all".to_owned()]);
    for (filter, has_data) in [("", true), (" rdb-filter-only functions", false)] {
        let mut link = TcpStream::connect(primary.addr()).unwrap();
        write!(link, "REPLCONF capa eof rdb-only 1{filter}\r\n").unwrap();
        // Nothing may be on its way when the snapshot is asked for.
        link.read_exact(&mut [0; 5]).unwrap();
        link.write_all(b"SYNC\r\n").unwrap();
        link.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut snapshot, mut chunk) = (Vec::new(), [0; 4096]);
        // The mark that follows `$EOF:` stands behind the snapshot, too.
        let text = loop {
            let len = link.read(&mut chunk).expect("the snapshot comes");
            snapshot.extend_from_slice(&chunk[..len]);
            let text = String::from_utf8_lossy(&snapshot).into_owned();
            let mark = text.split_once("$EOF:").and_then(|(_, rest)| rest.get(..40));
            if mark.is_some_and(|mark| text.matches(mark).count() == 2) {
                break text;
            }
            assert_ne!(len, 0, "{text}");
        };
        assert!(text.contains("REDIS0010"), "{text}");
        assert_eq!(text.contains("not-compressible"), has_data, "{filter:?}: {text}");
    }
}
