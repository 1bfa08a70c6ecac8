//! Memory: its limits, what is given up for them, and what is freed beside the work.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Server, ServerKind, eventually};
use crate::{field, number};

fn info(server: &Server, name: &str) -> u64 {
    number(&field(&server.text("INFO"), name))
}

/// Sets `keys` keys of about 300 bytes each; gives the number of refusals.
fn fill(server: &Server, keys: usize) -> usize {
    let mut connection = server.connect();
    let value = "v".repeat(200);
    let mut refused = 0;
    for first in (0..keys).step_by(100) {
        let mut pipe = redis::pipe();
        for n in first..first + 100 {
            pipe.cmd("SET").arg(format!("key:{n}")).arg(&value).ignore();
        }
        refused += usize::from(pipe.query::<()>(&mut connection).is_err());
    }
    refused
}

#[test]
fn without_eviction_writes_are_refused_and_everything_else_goes_on() {
    let server = Server::start(ServerKind::Node, "maxmemory-policy noeviction");
    assert_eq!(server.text("SET k v"), "OK");
    assert_eq!(server.text(&format!("CONFIG SET maxmemory {}", info(&server, "used_memory") + (2 << 20))), "OK");
    assert!(fill(&server, 20_000) > 0);
    assert_eq!(server.text("CONFIG SET maxmemory 1mb"), "OK");
    let error = server.call::<String>("SET other value").unwrap_err().to_string();
    assert!(error.contains("command not allowed when used memory > 'maxmemory'."), "{error}");
    assert_eq!(server.text("GET k"), "v");
    let mut connection = server.connect();
    let mut ask = |words: &[&str]| redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(&mut connection);
    ask(&["MULTI"]).unwrap();
    assert_eq!(ask(&["GET", "k"]).unwrap_err().code(), Some("OOM"));
    assert_eq!(ask(&["EXEC"]).unwrap_err().code(), Some("EXECABORT"));
    assert_eq!(server.text("DEL k"), "1");
    assert_eq!(server.text("CONFIG SET maxmemory 0"), "OK");
    assert_eq!(server.text("SET other value"), "OK");
}

#[test]
fn keys_are_given_up_within_the_limit_and_on_replicas_too() {
    let server = Server::start(
        ServerKind::Node,
        "maxmemory-policy allkeys-lru\nrepl-backlog-size 1mb\nrepl-diskless-sync-delay 0",
    );
    let replica = Server::start(ServerKind::Node, &format!("replicaof 127.0.0.1 {}", server.port));
    eventually("the link is up", || field(&replica.text("INFO replication"), "master_link_status") == "up");
    let limit = info(&server, "used_memory") + (4 << 20);
    assert_eq!(server.text(&format!("CONFIG SET maxmemory {limit}")), "OK");
    assert_eq!(fill(&server, 40_000), 0, "there is always something to give up");
    assert!(info(&server, "evicted_keys") > 10_000);
    let used = info(&server, "used_memory");
    assert!(used < limit + (1 << 20), "{used} of {limit}");
    assert_eq!(server.text("EXISTS key:39999"), "1", "the latest is not the first to go");
    eventually("the replica has followed", || server.text("DBSIZE") == replica.text("DBSIZE"));
}

#[test]
fn only_volatile_keys_go_under_a_volatile_policy() {
    let server = Server::start(ServerKind::Node, "maxmemory-policy volatile-ttl");
    assert_eq!(server.text("SET stays v"), "OK");
    for n in 0..500 {
        assert_eq!(server.text(&format!("SET goes:{n} {} EX {}", "v".repeat(1000), 1000 + n)), "OK");
    }
    assert_eq!(server.text(&format!("CONFIG SET maxmemory {}", info(&server, "used_memory") - (100 << 10))), "OK");
    assert_eq!(server.text("SET another v"), "OK");
    eventually("some are gone", || info(&server, "evicted_keys") > 50);
    assert_eq!(server.text("EXISTS stays goes:499"), "2", "the first to expire goes first");
    assert_eq!(server.text("EXISTS goes:0"), "0");
}

#[test]
fn a_client_that_takes_too_much_is_closed() {
    let server = Server::start(ServerKind::Node, "maxmemory-clients 3mb");
    let mut greedy = TcpStream::connect(server.addr()).unwrap();
    greedy.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000000\r\n").unwrap();
    let piece = vec![b'x'; 1 << 20];
    // The connection may be gone before all is written.
    for _ in 0..8 {
        let _ = greedy.write_all(&piece);
    }
    let mut end = Vec::new();
    let _ = greedy.read_to_end(&mut end);
    assert!(end.is_empty());
    eventually("it is counted", || info(&server, "evicted_clients") == 1);
    assert_eq!(server.text("PING"), "PONG");
}

#[test]
fn expired_keys_go_by_themselves_and_large_values_are_freed_aside() {
    let server = Server::start(ServerKind::Node, "");
    let mut connection = server.connect();
    let mut pipe = redis::pipe();
    for n in 0..20_000 {
        pipe.cmd("SET").arg(n).arg("v").arg("PX").arg(1 + n % 50).ignore();
    }
    pipe.query::<()>(&mut connection).unwrap();
    eventually("all have expired", || server.text("DBSIZE") == "0");
    add_large(&mut connection, "large");
    assert_eq!(server.text("UNLINK large"), "1");
    eventually("it is freed", || info(&server, "lazyfreed_objects") == 1);
    assert_eq!(info(&server, "lazyfree_pending_objects"), 0);
}

fn add_large(connection: &mut redis::Connection, key: &str) {
    let mut add = redis::cmd("SADD");
    add.arg(key);
    for n in 0..50_000 {
        add.arg(format!("member:{n}"));
    }
    assert_eq!(add.query::<u64>(connection).unwrap(), 50_000);
}

#[test]
fn the_configuration_file_says_what_is_freed_on_the_spot() {
    let server = Server::start(ServerKind::Node, "lazyfree-lazy-server-del no");
    let mut connection = server.connect();
    for key in ["overwritten", "unlinked"] {
        add_large(&mut connection, key);
    }
    assert_eq!(server.text("SET overwritten text"), "OK");
    assert_eq!(server.text("UNLINK unlinked"), "1");
    // Values are freed in order: had the first been left for later, it would be counted by now.
    eventually("the second is freed", || info(&server, "lazyfreed_objects") > 0);
    assert_eq!(info(&server, "lazyfreed_objects"), 1);
}
