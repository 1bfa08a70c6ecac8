//! Fields of hashes that end before their hash does: seen, kept on disk, and told to replicas.

use crate::field;
use crate::support::{Server, ServerKind, eventually};

fn numbers(server: &Server, command: &str) -> Vec<i64> {
    server.call(command).unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// A hash with a field that stays and one that ends late.
fn fill(server: &Server) {
    assert_eq!(server.text("HSET h stays 1 ends 2"), "2");
    assert_eq!(numbers(server, "HEXPIRE h 1000 FIELDS 2 ends missing"), [1, -2]);
}

fn check(server: &Server) {
    let left = numbers(server, "HTTL h FIELDS 3 stays ends missing");
    assert_eq!((left[0], left[2]), (-1, -2));
    assert!((900..=1000).contains(&left[1]), "{left:?}");
}

#[test]
fn fields_end_and_take_their_hash_with_them() {
    let server = Server::start(ServerKind::Node, "");
    assert_eq!(server.text("HSETEX h PX 20 FIELDS 2 a 1 b 2"), "1");
    assert_eq!(server.text("OBJECT ENCODING h"), "hashtable");
    eventually("the key is gone", || server.text("EXISTS h") == "0");
    assert_eq!(field(&server.text("INFO stats"), "expired_fields"), "2");
    assert_eq!(server.text("HSETEX h FNX EX 100 FIELDS 1 a 1"), "1");
    assert_eq!(server.text("HSETEX h FNX EX 100 FIELDS 2 a 1 b 2"), "0");
    assert_eq!(server.text("HSETEX h FXX KEEPTTL FIELDS 1 a 5"), "1");
    assert_eq!(server.text("HINCRBY h a 2"), "7");
    assert!(numbers(&server, "HTTL h FIELDS 1 a")[0] > 90);
    assert_eq!(server.text("HSET h a 1"), "0");
    assert_eq!(numbers(&server, "HTTL h FIELDS 1 a"), [-1]);
    assert_eq!(server.call::<Vec<String>>("HGETEX h EXAT 1 FIELDS 1 a").unwrap(), ["1"]);
    assert_eq!(server.text("EXISTS h"), "0");
}

#[test]
fn fields_past_their_time_are_not_seen_though_they_are_there() {
    let server = Server::start(ServerKind::Node, "enable-debug-command local");
    let _: redis::Value = server.call("DEBUG SET-ACTIVE-EXPIRE 0").unwrap();
    assert_eq!(server.text("HSET h a 1 b 2"), "2");
    assert_eq!(numbers(&server, "HPEXPIRE h 5 FIELDS 1 a"), [1]);
    eventually("the field is not seen", || server.text("HEXISTS h a") == "0");
    assert_eq!(server.call::<Vec<String>>("HKEYS h").unwrap(), ["b"]);
    assert_eq!(server.call::<Vec<String>>("HRANDFIELD h 5").unwrap(), ["b"]);
    assert_eq!(server.text("HLEN h"), "2");
    assert_eq!(server.text("HDEL h a"), "0");
    assert_eq!(server.text("HSETNX h a 3"), "1");
    assert_eq!(server.text("HGET h a"), "3");
    assert_eq!(numbers(&server, "HTTL h FIELDS 1 a"), [-1]);
}

#[test]
fn lifetimes_survive_restarts_and_payloads() {
    for directives in ["save 3600 1", "appendonly yes\nappendfsync always"] {
        let mut server = Server::start(ServerKind::Node, directives);
        fill(&server);
        let _: redis::Value = server.call("SAVE").unwrap();
        server.restart();
        check(&server);
    }
    let server = Server::start(ServerKind::Node, "");
    fill(&server);
    let mut connection = server.connect();
    let payload: Vec<u8> = redis::cmd("DUMP").arg("h").query(&mut connection).unwrap();
    assert_eq!(server.text("DEL h"), "1");
    redis::cmd("RESTORE").arg("h").arg(0).arg(payload).exec(&mut connection).unwrap();
    assert_eq!(server.text("COPY h other"), "1");
    assert_eq!(server.text("RENAME other h"), "OK");
    check(&server);
}

#[test]
fn a_replica_ends_fields_when_its_primary_does() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0");
    let replica = Server::start(ServerKind::Node, "");
    fill(&primary);
    let _: redis::Value = replica.call(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).unwrap();
    eventually("the link is up", || field(&replica.text("INFO replication"), "master_link_status") == "up");
    check(&replica);
    assert_eq!(primary.text("HSET short a 1 b 2 c 3"), "3");
    assert_eq!(numbers(&primary, "HPEXPIRE short 20 FIELDS 1 a"), [1]);
    assert_eq!(numbers(&primary, "HPERSIST h FIELDS 1 ends"), [1]);
    eventually("the field is gone", || replica.text("HLEN short") == "2");
    assert_eq!(numbers(&primary, "HPEXPIRE short 20 FIELDS 2 b c"), [1, 1]);
    eventually("the key is gone", || replica.text("EXISTS short") == "0");
    assert_eq!(numbers(&replica, "HTTL h FIELDS 1 ends"), [-1]);
}
