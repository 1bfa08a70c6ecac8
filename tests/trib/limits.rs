//! Moving no faster than is allowed, and not where there is no room.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::slots::{id_of, key_in, keys_in};
use crate::support::{Server, ServerKind, eventually};
use crate::{addrs, cluster, trib};

/// Puts a value of so many bytes in each of the first slots.
fn fill_slots(server: &Server, slots: u16, bytes: usize) {
    let mut pipeline = redis::pipe();
    for slot in 0..slots {
        pipeline.cmd("SET").arg(key_in(slot)).arg(vec![b'x'; bytes]).ignore();
    }
    pipeline.query::<()>(&mut server.connect()).unwrap();
}

fn reshard(servers: &[Server], slots: u16, options: &str) -> crate::support::Ran {
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    trib(&format!("reshard --yes --from {from} --to {to} --slots {slots} {options} {}", servers[2].addr()))
}

#[test]
fn rates_are_kept() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let nodes = Server::start_many(ServerKind::Node, 3, "");
    assert_eq!(trib(&format!("create --yes {}", addrs(&nodes))).code, 0);
    let stock = cluster(3, 0, "");
    for (servers, options, bytes, least_ms) in [
        // A tenth of a second's worth may go at once, and the last portion is not waited for.
        (&stock, "--max-keys-per-sec 40", 10, 1000),
        (&stock, "--max-bytes-per-sec 300kb", 10_000, 1000),
        // What the servers move by themselves they move in portions of a second.
        (&nodes, "--max-keys-per-sec 40", 10, 800),
        (&nodes, "--engine migrate --max-keys-per-sec 40", 10, 1000),
    ] {
        fill_slots(&servers[0], 60, bytes);
        let begun = Instant::now();
        let ran = reshard(servers, 60, options);
        let took = begun.elapsed();
        assert_eq!(ran.code, 0, "{options}: {ran:?}");
        assert!(took >= Duration::from_millis(least_ms), "{options}: {took:?}");
        assert_eq!(servers[1].call::<usize>("DBSIZE").unwrap(), 60);
        assert_eq!(trib(&format!("check {}", servers[2].addr())).code, 0);
        let (from, to) = (id_of(&servers[1]), id_of(&servers[0]));
        let back = trib(&format!("reshard --yes --from {from} --to {to} --slots 60 {}", servers[2].addr()));
        assert_eq!(back.code, 0, "{back:?}");
    }
}

fn used_memory(server: &Server) -> u64 {
    let info = server.text("INFO memory");
    info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok()).unwrap()
}

#[test]
fn a_target_without_room_is_refused_before_anything_moves() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    fill_slots(&servers[0], 50, 100_000);
    let used = used_memory(&servers[1]);
    let limit = |bytes: u64| assert_eq!(servers[1].text(&format!("CONFIG SET maxmemory {bytes}")), "OK");
    limit(used + 1_000_000);
    let ran = reshard(&servers, 50, "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("in 50 keys would come") && ran.stderr.contains("--ignore-memory"), "{ran:?}");
    assert_eq!((keys_in(&servers[..1]), keys_in(&servers[1..])), (50, 0));
    assert_eq!(trib(&format!("check {}", servers[2].addr())).code, 0, "no slot is open");
    let ran = reshard(&servers, 50, "--ignore-memory");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("OOM"), "it was tried: {ran:?}");
    limit(used + 100_000_000);
    let seed = servers[2].addr();
    eventually("what was begun is finished", || trib(&format!("fix {seed}")).code == 0);
    assert_eq!(trib(&format!("rebalance --weight {}=2 {seed}", id_of(&servers[1]))).code, 0);
    assert_eq!(keys_in(&servers), 50);
}

#[test]
fn a_big_key_that_no_sample_meets_is_found_before_anything_moves() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    // One of many slots, and not of those that are looked at first.
    fill_slots(&servers[0], 200, 10);
    let big = key_in(199);
    for _ in 0..50 {
        let _: usize = servers[0].call(&format!("APPEND {big} {}", "x".repeat(100_000))).unwrap();
    }
    let used = used_memory(&servers[1]);
    assert_eq!(servers[1].text("CONFIG SET maxmemory-policy allkeys-lru"), "OK");
    assert_eq!(servers[1].text(&format!("CONFIG SET maxmemory {}", used + 2_000_000)), "OK");
    let ran = reshard(&servers, 200, "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("in 200 keys would come"), "{ran:?}");
    assert_eq!((keys_in(&servers[..1]), keys_in(&servers[1..])), (200, 0));
    // What is small itself goes, whatever its neighbours are like.
    let ran = reshard(&servers, 150, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(keys_in(&servers), 200);
}

#[test]
fn a_slow_node_is_given_a_rest() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "enable-debug-command yes\ncluster-node-timeout 15000");
    fill_slots(&servers[0], 60, 10);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It ends by itself, too, or the reshard would never be over.
            for _ in 0..60 {
                if !is_over.load(Ordering::Relaxed) {
                    assert_eq!(servers[0].text("DEBUG SLEEP 0.2"), "OK");
                }
            }
        });
        let ran = reshard(&servers, 60, "--max-keys-per-sec 100 --pause-if-p99-over 100");
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains("Pausing while "), "{ran:?}");
    });
    assert_eq!(keys_in(&servers), 60);
}
