//! WAIT and WAITAOF between processes.

use std::time::{Duration, Instant};

use redis::Connection;

use crate::support::{Server, ServerKind, eventually};

/// Sends the words of one line.
fn call<T: redis::FromRedisValue>(client: &mut Connection, line: &str) -> redis::RedisResult<T> {
    let mut words = line.split_whitespace();
    let mut cmd = redis::cmd(words.next().expect("a command"));
    words.for_each(|word| {
        cmd.arg(word);
    });
    cmd.query(client)
}

fn pair(client: &mut Connection, line: &str) -> (i64, i64) {
    call(client, line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn follow(replica: &Server, primary: &Server) {
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    eventually("the replica is in step", || replica.text("INFO replication").contains("master_link_status:up"));
}

#[test]
fn the_own_disk() {
    for policy in ["always", "everysec"] {
        let server = Server::start(ServerKind::Node, &format!("appendonly yes\nappendfsync {policy}"));
        let mut client = server.connect();
        for i in 0..3 {
            let _: () = call(&mut client, &format!("SET a {i}")).unwrap();
            assert_eq!(pair(&mut client, "WAITAOF 1 0 0"), (1, 0), "{policy}");
        }
    }
    let server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync no");
    let mut client = server.connect();
    let _: () = call(&mut client, "SET a 1").unwrap();
    assert_eq!(pair(&mut client, "WAITAOF 1 0 50"), (0, 0));
    assert_eq!(pair(&mut client, "WAITAOF 0 0 0"), (0, 0));
    // The log's last act is to be durable.
    let waiting = std::thread::spawn({
        let mut client = server.connect();
        move || {
            let _: () = call(&mut client, "SET a 2").unwrap();
            pair(&mut client, "WAITAOF 1 0 0")
        }
    });
    eventually("it waits", || server.text("INFO clients").contains("blocked_clients:1\r"));
    assert_eq!(server.text("CONFIG SET appendonly no"), "OK");
    let words = "WAITAOF cannot be used when numlocal is set but appendonly is disabled";
    assert_eq!(waiting.join().unwrap(), (1, 0));
    let error = call::<(i64, i64)>(&mut client, "WAITAOF 1 0 0").unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
    // One that has just been begun counts as soon as it has a base.
    assert_eq!(server.text("CONFIG SET appendfsync always appendonly yes"), "OK");
    let _: () = call(&mut client, "SET a 3").unwrap();
    assert_eq!(pair(&mut client, "WAITAOF 1 0 0"), (1, 0));
}

#[test]
fn the_disks_of_replicas() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0");
    let logging = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    let forgetful = Server::start(ServerKind::Node, "");
    follow(&logging, &primary);
    follow(&forgetful, &primary);
    let mut client = primary.connect();
    for i in 0..3 {
        let _: () = call(&mut client, &format!("SET a {i}")).unwrap();
        assert_eq!(call::<i64>(&mut client, "WAIT 2 0").unwrap(), 2);
        assert_eq!(pair(&mut client, "WAITAOF 0 1 0"), (0, 1));
    }
    let _: () = call(&mut client, "SET a 9").unwrap();
    assert_eq!(pair(&mut client, "WAITAOF 0 2 100").1, 1);
    let error = call::<(i64, i64)>(&mut logging.connect(), "WAITAOF 0 0 0").unwrap_err().to_string();
    assert!(error.contains("WAITAOF cannot be used with replica instances"), "{error}");
}

#[test]
fn an_acknowledgement_is_told_at_once() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0\nhz 1");
    let replica = Server::start(ServerKind::Node, "");
    follow(&replica, &primary);
    let mut client = primary.connect();
    // Not with the next tick, nor with the replica's acknowledgement of each second.
    let waited = (0..10).map(|i| {
        let _: () = call(&mut client, &format!("SET a {i}")).unwrap();
        let started = Instant::now();
        assert_eq!(call::<i64>(&mut client, "WAIT 1 0").unwrap(), 1);
        started.elapsed()
    });
    let shortest = waited.min().unwrap();
    assert!(shortest < Duration::from_millis(100), "{shortest:?}");
}

#[test]
fn a_stock_replica_acknowledges_without_its_disk() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0");
    let replica = Server::start(ServerKind::Stock, "appendonly yes\nappendfsync always");
    follow(&replica, &primary);
    let mut client = primary.connect();
    let _: () = call(&mut client, "SET a 1").unwrap();
    assert_eq!(call::<i64>(&mut client, "WAIT 1 0").unwrap(), 1);
    assert_eq!(pair(&mut client, "WAITAOF 0 1 50"), (0, 0));
}

/// With `appendfsync always` a reply that could show what is not on disk waits, and others do not.
#[test]
fn replies_wait_for_the_disk_only_where_they_show_what_is_not_on_it() {
    let server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    let _: () = server.call("SET other value").unwrap();
    let mut reader = server.connect();
    let mut writers: Vec<_> = (0..4).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for (i, writer) in writers.iter_mut().enumerate() {
            scope.spawn(move || {
                for n in 1..=50u64 {
                    let told: u64 = redis::cmd("INCR").arg(format!("n{i}")).query(writer).unwrap();
                    assert_eq!(told, n);
                }
            });
        }
        for _ in 0..200 {
            let mut pipe = redis::pipe();
            pipe.cmd("GET").arg("other").cmd("PING").cmd("GET").arg("n0").cmd("DBSIZE").cmd("GET").arg("other");
            let (first, pong, _, size, last): (String, String, Option<u64>, u64, String) =
                pipe.query(&mut reader).unwrap();
            assert_eq!((first.as_str(), pong.as_str(), last.as_str()), ("value", "PONG", "value"));
            assert!((1..=5).contains(&size));
        }
    });
    let sum: u64 = (0..4).map(|i| server.call::<u64>(&format!("GET n{i}")).unwrap()).sum();
    assert_eq!(sum, 200);
}
