//! Atomic slot migration between processes: under load, cancelled, and with either end killed at any moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::Value;
use trib::base::{Slot, key_slot};

use crate::support::cluster_client::{ClusterClient, Writer};
use crate::support::{Server, ServerKind, eventually};
use crate::{cluster_of, trib, wait_until_ok};

/// Where no failover is wanted: a busy machine must not cause one.
const PATIENT: &str = "cluster-node-timeout 15000";

/// Three primaries without replicas.
fn three(directives: &str) -> Vec<Server> {
    let servers = Server::start_many(ServerKind::Node, 3, directives);
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    let made = trib(&format!("create --yes --replicas 0 {}", addrs.join(" ")));
    assert_eq!(made.code, 0, "{made:?}");
    wait_until_ok(&servers, 3);
    servers
}

/// Fills slots that belong to `server` with so many keys. Returns them.
fn fill(server: &Server, slots: std::ops::RangeInclusive<u16>, count: usize) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut connection = server.connect();
    let mut n = 0;
    while keys.len() < count {
        let mut pipe = redis::pipe();
        while keys.len() < count && pipe.cmd_iter().count() < 1000 {
            let key = format!("filled:{n}");
            n += 1;
            if slots.contains(&key_slot(key.as_bytes()).get()) {
                pipe.cmd("SET").arg(&key).arg("x".repeat(50)).ignore();
                keys.insert(key);
            }
        }
        pipe.exec(&mut connection).expect("the keys are stored");
    }
    keys
}

/// Large values go in pieces, and are what they would be had nothing moved: a server of its own gets the same commands.
#[test]
fn large_values_move_under_a_writer() {
    const ELEMENTS: usize = 60_000;
    let directives = "enable-debug-command yes";
    let servers = three(&format!("{PATIENT}\n{directives}"));
    let mirror = Server::start(ServerKind::Node, directives);
    let (mut client, mut mirrored) = (ClusterClient::new(servers[0].port), mirror.connect());
    // All in slot 3300.
    let mut both = |line: String| {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| _ = cmd.arg(word));
        let expected = cmd.query::<Value>(&mut mirrored).expect("it is well-formed");
        assert_eq!(client.query(&cmd, "{b}").as_ref(), Ok(&expected), "{line}");
    };
    for from in (0..ELEMENTS).step_by(1000) {
        let words = |word: &dyn Fn(usize) -> String| (from..from + 1000).map(word).collect::<Vec<_>>().join(" ");
        both(format!("HSET {{b}}hash {}", words(&|n| format!("f{n} {n}"))));
        both(format!("SADD {{b}}set {}", words(&|n| format!("m{n}"))));
        both(format!("ZADD {{b}}zset {}", words(&|n| format!("{} m{n}", n % 977))));
        both(format!("RPUSH {{b}}list {}", words(&|n| format!("element{n}"))));
        both(format!("HPEXPIREAT {{b}}hash {} FIELDS 500 {}", 4_000_000_000_000u64 + from as u64, {
            let fields = (from..from + 1000).step_by(2).map(|n| format!("f{n}"));
            fields.collect::<Vec<_>>().join(" ")
        }));
    }
    for n in 0..ELEMENTS / 10 {
        both(format!("XADD {{b}}stream {}-0 f {n} g {}", n + 1, "x".repeat(100)));
    }
    both("XGROUP CREATE {b}stream group 0".to_owned());
    both("PEXPIREAT {b}zset 5000000000000".to_owned());
    migrate(&servers[0], &servers[1], "3300 3300");
    let mut written = 0;
    while !is_over(&servers[0]) {
        let n = written % ELEMENTS;
        both(format!("HSET {{b}}hash f{n} changed new{n} 1"));
        both(format!("HDEL {{b}}hash f{}", ELEMENTS - n));
        both(format!("SADD {{b}}set new{n}"));
        both(format!("SREM {{b}}set m{}", n * 3));
        both(format!("ZINCRBY {{b}}zset 5000 m{}", n * 2));
        both(format!("ZREM {{b}}zset m{}", ELEMENTS - n));
        both(format!("LPUSH {{b}}list left{n}"));
        both(format!("RPOP {{b}}list {}", n % 3 + 1));
        both(format!("XADD {{b}}stream MAXLEN {} {}-1 f {n}", ELEMENTS / 10, ELEMENTS + n));
        written += 1;
    }
    assert_eq!((newest(&servers[0]).0.as_str(), newest(&servers[0]).1.as_str()), ("success", ""));
    assert!(written > 0);
    for key in ["hash", "set", "zset", "list", "stream"] {
        for what in ["DEBUG DIGEST-VALUE", "PEXPIRETIME", "TYPE"] {
            both(format!("{what} {{b}}{key}"));
        }
    }
    for n in 0..100 {
        both(format!("HPEXPIRETIME {{b}}hash FIELDS 3 f{n} f{} new{n}", n * 500));
    }
    both("XINFO GROUPS {b}stream".to_owned());
}

/// State and message of the newest migration of a server; empty where it knows of none or does not answer.
fn newest(server: &Server) -> (String, String) {
    let jobs: Vec<Vec<Value>> = server.call("CLUSTER GETSLOTMIGRATIONS").unwrap_or_default();
    let text = |name: &str| {
        let at = jobs.first()?.iter().position(|v| *v == Value::BulkString(name.as_bytes().to_vec()))?;
        match &jobs[0][at + 1] {
            Value::BulkString(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    };
    (text("state").unwrap_or_default(), text("message").unwrap_or_default())
}

fn migrate(from: &Server, to: &Server, slots: &str) {
    let id = to.text("CLUSTER MYID");
    assert_eq!(from.text(&format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slots} NODE {id}")), "OK");
}

fn is_over(server: &Server) -> bool {
    ["success", "failed", "cancelled"].contains(&newest(server).0.as_str())
}

/// Keys of a server, hidden ones included.
fn keys_in(server: &Server, slots: std::ops::RangeInclusive<u16>) -> BTreeSet<String> {
    let mut connection = server.connect();
    let mut pipe = redis::pipe();
    for slot in slots {
        pipe.cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(100_000);
    }
    let keys: Vec<Vec<String>> = pipe.query(&mut connection).expect("the keys are listed");
    keys.into_iter().flatten().collect()
}

/// The port that a server sends clients of a slot to; its own where it serves it.
fn owner_seen_by(server: &Server, slot: u16) -> Option<u16> {
    let ranges: Vec<(u16, u16, Value)> = server
        .call::<Vec<Vec<Value>>>("CLUSTER SLOTS")
        .ok()?
        .into_iter()
        .filter_map(|row| match &row[..] {
            [Value::Int(a), Value::Int(b), node, ..] => Some((*a as u16, *b as u16, node.clone())),
            _ => None,
        })
        .collect();
    let (.., node) = ranges.into_iter().find(|(a, b, _)| (*a..=*b).contains(&slot))?;
    match node {
        Value::Array(fields) => match fields.get(1)? {
            Value::Int(port) => Some(*port as u16),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn slots_go_to_and_fro_under_a_writer_that_notices_nothing() {
    let servers = three(PATIENT);
    let writer = Writer::start(servers[0].port, "counter", 3000);
    let expected = fill(&servers[0], 0..=4000, 20_000);
    let (a, b) = (&servers[0], &servers[1]);
    for (from, to) in [(a, b), (b, a), (a, b)] {
        migrate(from, to, "0 1500 1502 4000");
        eventually("the slots have moved", || newest(from).0 == "success" && newest(to).0 == "success");
    }
    assert!(writer.finish(servers[1].port) > 100);
    let of_fill = |keys: BTreeSet<String>| -> BTreeSet<String> {
        keys.into_iter().filter(|key| key.starts_with("filled:")).collect()
    };
    let at_target = of_fill(keys_in(b, 0..=4000));
    eventually("the source has deleted what it gave away", || {
        keys_in(a, 0..=4000).iter().all(|key| key_slot(key.as_bytes()).get() == 1501)
    });
    let at_source = of_fill(keys_in(a, 1501..=1501));
    assert_eq!(at_target.intersection(&at_source).count(), 0, "no key twice");
    assert_eq!(at_target.union(&at_source).cloned().collect::<BTreeSet<_>>(), expected);
    for server in &servers {
        eventually("all agree", || owner_seen_by(server, 7) == Some(b.port));
    }
    assert_eq!(trib(&format!("check {}", a.addr())).code, 0);
}

/// Redirections that clients of a stock cluster would see while slots are open.
#[test]
fn clients_see_one_moved_and_nothing_else() {
    let servers = three(PATIENT);
    fill(&servers[0], 0..=3000, 30_000);
    let stop = Arc::new(AtomicBool::new(false));
    let longest_us = Arc::new(AtomicU64::new(0));
    let slot_key = (0..).map(|n| format!("k{n}")).find(|k| key_slot(k.as_bytes()) < Slot::new(3000).unwrap()).unwrap();
    let (source, target) = (servers[0].connect(), servers[1].connect());
    let thread = {
        let (stop, longest_us, key) = (Arc::clone(&stop), Arc::clone(&longest_us), slot_key.clone());
        std::thread::spawn(move || {
            let (mut at, mut other, mut moved, mut written) = (source, Some(target), 0, 0u64);
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match redis::cmd("INCR").arg(&key).query::<u64>(&mut at) {
                    Ok(n) => {
                        written += 1;
                        assert_eq!(n, written);
                        longest_us.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
                    }
                    Err(error) => {
                        assert_eq!(error.code(), Some("MOVED"), "{error}");
                        moved += 1;
                        at = other.take().expect("it moved once");
                    }
                }
            }
            (moved, written)
        })
    };
    migrate(&servers[0], &servers[1], "0 3000");
    eventually("the slots have moved", || newest(&servers[0]).0 == "success");
    // Some writes at the new place as well.
    std::thread::sleep(Duration::from_millis(50));
    stop.store(true, Ordering::Relaxed);
    let (moved, written) = thread.join().expect("every write succeeded");
    assert_eq!(moved, 1);
    assert!(written > 0);
    assert_eq!(servers[1].text(&format!("GET {slot_key}")), written.to_string());
}

#[test]
fn a_cancelled_migration_leaves_no_trace() {
    let servers = three(PATIENT);
    let expected = fill(&servers[0], 0..=5000, 100_000);
    migrate(&servers[0], &servers[1], "0 5000");
    let cancelled = servers[0].call::<String>("CLUSTER CANCELSLOTMIGRATIONS");
    assert_eq!(cancelled, Ok("OK".to_owned()), "it cannot be over so soon");
    assert_eq!(newest(&servers[0]).0, "cancelled");
    eventually("the target has given up", || {
        let jobs: Vec<Value> = servers[1].call("CLUSTER GETSLOTMIGRATIONS").unwrap();
        jobs.is_empty() || newest(&servers[1]).0 == "failed"
    });
    assert!(keys_in(&servers[1], 0..=5000).is_empty());
    assert_eq!(keys_in(&servers[0], 0..=5000), expected);
    assert_eq!(servers[0].text("CLUSTER COUNTKEYSINSLOT 6000"), "0");
}

/// Kills one end after a while, brings it back, and looks that the slots have one owner who has all keys.
fn survives_a_kill(directives: &str, victim: usize, after: Duration) {
    let mut servers = three(&format!("{PATIENT}\n{directives}"));
    let expected = fill(&servers[0], 0..=4000, 30_000);
    migrate(&servers[0], &servers[1], "0 4000");
    std::thread::sleep(after);
    servers[victim].kill();
    let killed = Instant::now();
    let other = 1 - victim;
    let over = || is_over(&servers[other]) || newest(&servers[other]).0.is_empty();
    eventually("the survivor has finished or given up", over);
    assert!(killed.elapsed() < Duration::from_secs(12), "it took {:?}", killed.elapsed());
    let seen = newest(&servers[other]);
    servers[victim].restart();
    wait_until_ok(&servers, 3);
    let mut owner = None;
    eventually("all agree on one owner", || {
        let seen: BTreeSet<Option<u16>> =
            servers.iter().flat_map(|server| [0, 2000, 4000].map(|slot| owner_seen_by(server, slot))).collect();
        owner = seen.first().copied().flatten();
        seen.len() == 1
    });
    let has = servers.iter().position(|server| Some(server.port) == owner).expect("one of the three");
    eventually("nobody else has keys of these slots", || keys_in(&servers[1 - has], 0..=4000).is_empty());
    assert!(keys_in(&servers[has], 0..=4000) == expected, "every key once after {after:?}: {seen:?}");
    assert_eq!(trib(&format!("check {}", servers[2].addr())).code, 0);
}

const LOGGED: &str = "appendonly yes\nappendfsync everysec";

#[test]
fn the_source_is_killed_at_some_moments() {
    for ms in [5, 60, 200] {
        survives_a_kill(LOGGED, 0, Duration::from_millis(ms));
    }
}

#[test]
fn the_target_is_killed_at_some_moments() {
    for ms in [5, 60, 200] {
        survives_a_kill(LOGGED, 1, Duration::from_millis(ms));
    }
}

#[test]
fn replicas_of_the_target_follow_and_take_over() {
    let mut servers = cluster_of(&[ServerKind::Node], "cluster-node-timeout 2000");
    wait_until_ok(&servers, 6);
    let expected = fill(&servers[0], 0..=3000, 20_000);
    migrate(&servers[0], &servers[1], "0 3000");
    eventually("the slots have moved", || newest(&servers[0]).0 == "success");
    servers[1].kill();
    // The replica of the second primary.
    let heir = 4;
    eventually("the replica has taken over", || owner_seen_by(&servers[heir], 7) == Some(servers[heir].port));
    assert_eq!(newest(&servers[heir]).0, "success");
    assert!(keys_in(&servers[heir], 0..=3000) == expected, "it has all keys");
    servers[1].restart();
    wait_until_ok(&servers, 6);
    eventually("the source has nothing left", || keys_in(&servers[0], 0..=3000).is_empty());
}

#[test]
fn a_replica_of_the_target_that_is_promoted_in_between_drops_what_has_come() {
    let mut servers = cluster_of(&[ServerKind::Node], "cluster-node-timeout 2000");
    wait_until_ok(&servers, 6);
    let expected = fill(&servers[0], 0..=5000, 80_000);
    migrate(&servers[0], &servers[1], "0 5000");
    let heir = 4;
    eventually("the replica follows", || {
        // On a fast machine it may be over before this looks.
        ["occurring-on-primary", "success"].contains(&newest(&servers[heir]).0.as_str())
    });
    servers[1].kill();
    eventually("the source has noticed", || is_over(&servers[0]));
    let has_it = newest(&servers[0]).0 == "success";
    eventually("the replica has taken over", || crate::role(&servers[heir]) == "master");
    eventually("its import is over", || is_over(&servers[heir]));
    let (owner, other) = if has_it { (heir, 0) } else { (0, heir) };
    eventually("the keys are in one place", || keys_in(&servers[other], 0..=5000).is_empty());
    assert!(keys_in(&servers[owner], 0..=5000) == expected, "every key once");
    assert!(has_it || newest(&servers[heir]).1.contains("A failover occurred during slot import"));
    servers[1].restart();
    wait_until_ok(&servers, 6);
    assert!(keys_in(&servers[owner], 0..=5000) == expected, "still");
}
