//! Clusters of `node`s, and of `node`s and stock servers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Server, ServerKind, eventually, redis_cli_is_available, run};
use crate::{cluster_of, role, trib, wait_until_ok};

/// Where no failover is wanted: a busy machine must not cause one.
const PATIENT: &str = "repl-diskless-sync-delay 0\ncluster-node-timeout 15000";

/// A key of each third of the slots.
const KEYS: [&str; 3] = ["b", "c", "a"];

/// Kills the primary of the first shard; its replica takes over; the old primary comes back as a replica with its data.
fn survives_a_lost_primary(servers: &mut [Server]) {
    for (key, server) in KEYS.iter().zip(servers.iter()) {
        assert_eq!(server.text(&format!("SET {key} before")), "OK");
    }
    // What is acknowledged is not yet what every replica has: wait for it.
    let acked: i64 = {
        let mut connection = servers[0].connect();
        redis::cmd("SET").arg("b").arg("kept").exec(&mut connection).unwrap();
        redis::cmd("WAIT").arg(1).arg(10_000).query(&mut connection).unwrap()
    };
    assert_eq!(acked, 1);
    servers[0].kill();
    eventually("writes succeed again on the replica", || {
        servers[3].call::<String>("SET b after").is_ok_and(|reply| reply == "OK")
    });
    assert_eq!(role(&servers[3]), "master");
    servers[0].restart();
    eventually("the old primary is a replica", || role(&servers[0]) == "slave");
    eventually("and has the data", || {
        let mut connection = servers[0].connect();
        redis::cmd("READONLY").exec(&mut connection).is_ok()
            && redis::cmd("GET").arg("b").query::<String>(&mut connection).is_ok_and(|value| value == "after")
    });
    wait_until_ok(servers, 6);
}

#[test]
fn a_cluster_of_nodes_survives_a_lost_primary() {
    let mut servers = cluster_of(&[ServerKind::Node], "");
    wait_until_ok(&servers, 6);
    survives_a_lost_primary(&mut servers);
}

#[test]
fn in_a_mixed_cluster_a_stock_replica_takes_over_from_a_node() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Primaries: node, stock, node; replicas: stock, node, stock.
    let mut servers = cluster_of(&[ServerKind::Node, ServerKind::Stock], "");
    wait_until_ok(&servers, 6);
    assert_eq!((servers[0].kind, servers[3].kind), (ServerKind::Node, ServerKind::Stock));
    survives_a_lost_primary(&mut servers);
}

#[test]
fn in_a_mixed_cluster_a_node_takes_over_from_a_stock_primary() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster_of(&[ServerKind::Stock, ServerKind::Node], "");
    wait_until_ok(&servers, 6);
    assert_eq!((servers[0].kind, servers[3].kind), (ServerKind::Stock, ServerKind::Node));
    survives_a_lost_primary(&mut servers);
}

#[test]
fn redis_cli_follows_redirections() {
    if !redis_cli_is_available() {
        return;
    }
    let servers = cluster_of(&[ServerKind::Node], "");
    let port = servers[0].port.to_string();
    for key in KEYS {
        let ran = run("redis-cli", &["-c", "-p", &port, "SET", key, "value"], "", &[]);
        assert!(ran.stdout.contains("OK"), "{ran:?}");
        let ran = run("redis-cli", &["-c", "-p", &port, "GET", key], "", &[]);
        assert!(ran.stdout.contains("value"), "{ran:?}");
    }
    let ran = run("redis-cli", &["-p", &port, "SET", "foo", "bar"], "", &[]);
    assert!(ran.stdout.starts_with("MOVED 12182 127.0.0.1:"), "{ran:?}");
}

#[test]
fn redis_cli_runs_a_cluster_of_nodes() {
    if !redis_cli_is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Node, 7, PATIENT);
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addrs[..6].iter().map(String::as_str));
    create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
    let ran = run("redis-cli", &create, "", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("[OK] All 16384 slots covered."), "{ran:?}");
    wait_until_ok(&servers[..6], 6);
    let (from, to) = (servers[0].text("CLUSTER MYID"), servers[1].text("CLUSTER MYID"));
    let mut reshard = vec!["--cluster", "reshard", &addrs[0], "--cluster-from", &from, "--cluster-to", &to];
    reshard.extend(["--cluster-slots", "150", "--cluster-yes"]);
    let ran = run("redis-cli", &reshard, "", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let check = || run("redis-cli", &["--cluster", "check", &addrs[0]], "", &[]).code;
    eventually("redis-cli's check is content", || check() == 0);
    let ran = run("redis-cli", &["--cluster", "rebalance", &addrs[0]], "", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("Rebalancing across 3 nodes"), "{ran:?}");
    let ran = run("redis-cli", &["--cluster", "add-node", &addrs[6], &addrs[0]], "", &[]);
    assert!(ran.stdout.contains("[OK] New node added correctly."), "{ran:?}");
    wait_until_ok(&servers, 7);
    let ran = run("redis-cli", &["--cluster", "del-node", &addrs[0], &servers[6].text("CLUSTER MYID")], "", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    wait_until_ok(&servers[..6], 6);
}

#[test]
fn a_reshard_under_load_loses_nothing_and_shows_no_error() {
    let servers = cluster_of(&[ServerKind::Node], PATIENT);
    wait_until_ok(&servers, 6);
    let urls: Vec<String> = servers.iter().map(|s| format!("redis://{}/", s.addr())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let client = redis::cluster::ClusterClient::new(urls).unwrap();
            let mut connection = client.get_connection().unwrap();
            let mut written = 0u64;
            while !stop.load(Ordering::Relaxed) {
                redis::cmd("SET")
                    .arg(format!("key:{written}"))
                    .arg(written)
                    .exec(&mut connection)
                    .unwrap_or_else(|e| panic!("write {written}: {e}"));
                written += 1;
            }
            written
        })
    };
    let (from, to) = (servers[0].text("CLUSTER MYID"), servers[1].text("CLUSTER MYID"));
    let ran = trib(&format!("reshard --from {from} --to {to} --slots 500 --yes {}", servers[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = trib(&format!("rebalance {}", servers[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().expect("no write failed");
    assert!(written > 100, "only {written} writes were made meanwhile");
    let keys: u64 = servers[..3].iter().map(|s| s.call::<u64>("DBSIZE").unwrap()).sum();
    assert_eq!(keys, written, "every key exactly once");
    assert_eq!(trib(&format!("check {}", servers[0].addr())).code, 0);
}
