//! Clusters of `node` and of the servers that `.ci/peers` fetches: one bus, one view, and slots that change hands.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use crate::peers::{REDIS_82, VALKEY_81, VALKEY_91, contents, start, swap, values};
use crate::support::cluster_client::{ClusterClient, Writer};
use crate::support::{Server, ServerKind, eventually};
use crate::{cluster_of, role, wait_until_ok};

/// Where no failover is wanted: a busy machine must not cause one.
const PATIENT: &str = "cluster-node-timeout 15000";

/// CLUSTER NODES without what every node sees with its own eyes, and without open slots, which are its own.
fn view(server: &Server) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let flags = words[2].trim_start_matches("myself,");
        let slots: Vec<&str> = words[8..].iter().copied().filter(|range| !range.starts_with('[')).collect();
        (words[0].to_owned(), format!("{} {flags} {} {} {slots:?}", words[1], words[3], words[6]))
    };
    server.text("CLUSTER NODES").lines().map(line).collect()
}

/// CLUSTER SHARDS and SLOTS, in one order.
fn maps(server: &Server) -> Vec<String> {
    let text = |value: &Value| format!("{value:?}");
    let mut parts = Vec::new();
    for shard in server.call::<Vec<BTreeMap<String, Value>>>("CLUSTER SHARDS").unwrap() {
        let nodes: Vec<BTreeMap<String, Value>> = redis::from_redis_value(shard["nodes"].clone()).unwrap();
        for mut node in nodes {
            // Told by every packet anew.
            node.remove("replication-offset");
            parts.push(format!("{:?} {:?} {node:?}", shard.get("id"), shard["slots"]));
        }
    }
    for range in server.call::<Vec<Vec<Value>>>("CLUSTER SLOTS").unwrap() {
        let mut nodes: Vec<String> = range[2..].iter().map(text).collect();
        nodes.sort();
        parts.push(format!("{:?} {nodes:?}", &range[..2]));
    }
    parts.sort();
    parts
}

fn wait_until_agreed(servers: &[Server]) {
    eventually("all see the same", || {
        let first = view(&servers[0]);
        servers.iter().all(|server| view(server) == first)
    });
}

fn take_over(replica: &Server) {
    // A vote that another server refuses, for it has not heard yet who is whose replica, is not asked for again.
    eventually(&format!("{:?} takes over", replica.kind), || {
        let asked = replica.call::<String>("CLUSTER FAILOVER");
        asked.is_err() || {
            for _ in 0..100 {
                if role(replica) == "master" {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            role(replica) == "master"
        }
    });
    assert_eq!(role(replica), "master");
}

#[test]
fn a_cluster_of_valkey_and_node_has_one_view_and_survives_lost_primaries() {
    if !VALKEY_91.is_available() {
        return;
    }
    // Primaries: valkey, node, valkey; replicas: node, valkey, node.
    let mut servers = cluster_of(&[VALKEY_91, ServerKind::Node], "");
    wait_until_ok(&servers, 6);
    for (i, server) in servers.iter().enumerate() {
        for line in [
            format!("cluster-announce-hostname host-{i}.example"),
            format!("cluster-announce-human-nodename name-{i}"),
            format!("cluster-announce-client-ipv4 192.0.2.{i}"),
            format!("cluster-announce-client-port {}", 7000 + i),
            format!("availability-zone zone-{i}"),
        ] {
            assert_eq!(server.text(&format!("CONFIG SET {line}")), "OK");
        }
    }
    eventually("the names have gone round", || {
        servers.iter().all(|server| {
            let (nodes, shards) = (server.text("CLUSTER NODES"), maps(server).concat());
            (0..6).all(|i| nodes.contains(&format!("host-{i}.")) && shards.contains(&format!("zone-{i}")))
        })
    });
    wait_until_agreed(&servers);
    eventually("SHARDS and SLOTS say the same", || maps(&servers[0]) == maps(&servers[1]));
    assert!(maps(&servers[1]).concat().contains("int(7000)"), "{:?}", maps(&servers[1]));

    // A node is lost of either kind: the other kind has its replica.
    for (lost, heir) in [(0, 3), (1, 4)] {
        servers[lost].kill();
        eventually("the replica is elected", || role(&servers[heir]) == "master");
        servers[lost].restart();
        eventually("the old primary is its replica", || role(&servers[lost]) == "slave");
        wait_until_ok(&servers, 6);
        eventually("and has its data", || servers[lost].text("INFO replication").contains("master_link_status:up"));
        // Who still holds it for lost would elect its replica again.
        eventually("nobody holds it for lost", || !servers.iter().any(|s| s.text("CLUSTER NODES").contains("fail")));
        take_over(&servers[lost]);
        wait_until_agreed(&servers);
    }
    // One that goes away in order gives its place to a replica first.
    for (ends, heir) in [(0, 3), (1, 4)] {
        let mut link = servers[ends].connect();
        eventually("the replica is online", || servers[ends].text("INFO replication").contains("state=online"));
        assert!(redis::cmd("SHUTDOWN").arg("FAILOVER").query::<String>(&mut link).is_err(), "it ends");
        eventually("it has ended", || servers[ends].has_ended());
        eventually("the replica has taken over", || role(&servers[heir]) == "master");
        servers[ends].restart();
        wait_until_ok(&servers, 6);
    }
}

#[test]
fn slots_go_both_ways_between_valkey_and_node() {
    if !VALKEY_91.is_available() {
        return;
    }
    let servers = cluster_of(&[VALKEY_91, ServerKind::Node], PATIENT);
    wait_until_ok(&servers, 6);
    wait_until_agreed(&servers);
    // All in slot 3300, which is the first server's.
    let mut client = ClusterClient::new(servers[0].port);
    for line in values("{b}") {
        let mut cmd = redis::cmd(line.split(' ').next().unwrap());
        line.split(' ').skip(1).for_each(|word| _ = cmd.arg(word));
        client.query(&cmd, "{b}").unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    client.query(redis::cmd("HSET").arg("{b}fields").arg("a").arg(1).arg("b").arg(2), "{b}").unwrap();
    let line = "HPEXPIREAT {b}fields 5000000000000 FIELDS 1 a";
    let mut cmd = redis::cmd("HPEXPIREAT");
    line.split(' ').skip(1).for_each(|word| _ = cmd.arg(word));
    client.query(&cmd, "{b}").unwrap();
    let expected = contents(&servers[0], &[0]);

    let writer = Writer::start(servers[0].port, "{b}written", 50);
    for (from, to) in [(0, 1), (1, 0)] {
        let (source, target) = (&servers[from], &servers[to]);
        let id = target.text("CLUSTER MYID");
        assert_eq!(source.text(&format!("CLUSTER MIGRATESLOTS SLOTSRANGE 3300 3301 NODE {id}")), "OK");
        eventually("the migration is over", || !is_under_way(source));
        assert_eq!((state(source), state(target)), ("success".to_owned(), "success".to_owned()), "{:?}", source.kind);
        let names = |server: &Server| jobs(server)[0].keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(source), names(target));
        eventually("nothing is left at the source", || source.text("CLUSTER COUNTKEYSINSLOT 3300") == "0");
    }
    assert!(writer.finish(servers[0].port) > 0);
    let kept = |server: &Server| -> Vec<String> {
        contents(server, &[0]).into_iter().filter(|line| !line.contains("{b}written")).collect()
    };
    assert_eq!(kept(&servers[0]), expected);
    eventually("its replica has them, too", || kept(&servers[3]) == expected);

    // One that is taken back leaves nothing behind.
    for (from, to, slot) in [(0, 1, 3300), (1, 0, 7365)] {
        let mut link = servers[from].connect();
        let mut pipe = redis::pipe();
        let tag = if from == 0 { "b" } else { "c" };
        (0..20_000).for_each(|n| _ = pipe.cmd("SET").arg(format!("{{{tag}}}{n}")).arg("x".repeat(100)).ignore());
        pipe.exec(&mut link).unwrap();
        let keys = servers[from].text(&format!("CLUSTER COUNTKEYSINSLOT {slot}"));
        let id = servers[to].text("CLUSTER MYID");
        assert_eq!(servers[from].text(&format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {id}")), "OK");
        assert_eq!(servers[from].text("CLUSTER CANCELSLOTMIGRATIONS"), "OK");
        assert_eq!(state(&servers[from]), "cancelled");
        eventually("the target has given up", || !is_under_way(&servers[to]));
        eventually("and kept nothing", || servers[to].text(&format!("CLUSTER COUNTKEYSINSLOT {slot}")) == "0");
        assert_eq!(servers[from].text(&format!("CLUSTER COUNTKEYSINSLOT {slot}")), keys);
    }

    // The way of before: one key after the other. Replicas hear of open slots.
    let (source, target) = (&servers[0], &servers[1]);
    let (from, to) = (source.text("CLUSTER MYID"), target.text("CLUSTER MYID"));
    assert_eq!(target.text(&format!("CLUSTER SETSLOT 0 IMPORTING {from}")), "OK");
    assert_eq!(source.text(&format!("CLUSTER SETSLOT 0 MIGRATING {to}")), "OK");
    for (server, mark) in [(&servers[3], format!("[0->-{to}]")), (&servers[4], format!("[0-<-{from}]"))] {
        assert!(server.text("CLUSTER NODES").contains(&mark), "{mark} at {:?}", server.kind);
    }
    for server in [target, source] {
        assert_eq!(server.text(&format!("CLUSTER SETSLOT 0 NODE {to}")), "OK");
    }
    wait_until_agreed(&servers);
}

/// The migrations a server knows of, the newest first.
fn jobs(server: &Server) -> Vec<BTreeMap<String, String>> {
    server.call("CLUSTER GETSLOTMIGRATIONS").unwrap()
}

fn state(server: &Server) -> String {
    jobs(server).first().map(|job| job["state"].clone()).unwrap_or_default()
}

fn is_under_way(server: &Server) -> bool {
    !["", "success", "failed", "cancelled"].contains(&state(server).as_str())
}

#[test]
fn the_secret_of_redis_8_is_neither_shown_nor_replaced() {
    if !REDIS_82.is_available() || !VALKEY_81.is_available() {
        return;
    }
    let cluster = "cluster-enabled yes\ncluster-node-timeout 2000";
    let node = start(ServerKind::Node, &format!("{cluster}\ncluster-announce-client-ipv4 192.0.2.9"));
    // Valkey shows what Redis sends.
    let servers = [
        start(REDIS_82, cluster),
        start(VALKEY_81, cluster),
        start(REDIS_82, cluster),
        start(ServerKind::Node, cluster),
    ];
    for server in &servers {
        assert_eq!(node.text(&format!("CLUSTER MEET 127.0.0.1 {}", server.port)), "OK");
    }
    let shown = |by: &Server, port: u16| -> Option<String> {
        // The secret has no end, and so is followed by whatever comes.
        let nodes = by.call::<Vec<u8>>("CLUSTER NODES").unwrap();
        let nodes = String::from_utf8_lossy(&nodes);
        let line = nodes.lines().find(|line| line.contains(&format!(":{port}@")) && !line.contains("handshake"))?;
        Some(line.split([' ', ':']).nth(1)?.to_owned())
    };
    eventually("they know each other, and each other's addresses", || {
        shown(&servers[3], node.port).as_deref() == Some("192.0.2.9")
            && shown(&servers[1], node.port).as_deref() == Some("192.0.2.9")
            && shown(&servers[1], servers[0].port).is_some_and(|secret| secret.len() >= 40)
            && shown(&servers[1], servers[2].port).is_some_and(|secret| secret.len() >= 40)
    });
    for by in [&node, &servers[3]] {
        for redis in [&servers[0], &servers[2]] {
            assert_eq!(shown(by, redis.port).as_deref(), Some("127.0.0.1"));
        }
    }
}

#[test]
fn a_place_in_a_cluster_is_taken_over_by_the_other_kind() {
    if !VALKEY_91.is_available() {
        return;
    }
    let mut servers = Server::start_many(VALKEY_91, 3, PATIENT);
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    assert_eq!(crate::trib(&format!("create --yes --replicas 0 {}", addrs.join(" "))).code, 0);
    wait_until_ok(&servers, 3);
    let other = servers[1].text("CLUSTER MYID");
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT 7 MIGRATING {other}")), "OK");
    for line in ["CONFIG SET availability-zone here", "CONFIG SET maxmemory 100mb", "CONFIG SET appendonly yes"] {
        assert_eq!(servers[0].text(line), "OK");
    }
    assert_eq!(servers[0].text("SET b value"), "OK");
    assert_eq!(servers[0].text("CONFIG REWRITE"), "OK");
    wait_until_agreed(&servers);
    let before = view(&servers[0]);
    eventually("the log is begun", || servers[0].text("INFO persistence").contains("aof_rewrite_in_progress:0"));
    for kind in [ServerKind::Node, VALKEY_91] {
        assert_eq!(servers[0].text("CLUSTER SAVECONFIG"), "OK");
        swap(&mut servers[0], kind, "");
        wait_until_ok(&servers, 3);
        assert_eq!((view(&servers[0]), servers[0].text("GET b")), (before.clone(), "value".to_owned()), "{kind:?}");
        let mark = format!("[7->-{other}]");
        assert!(servers[0].text("CLUSTER NODES").contains(&mark), "{kind:?} knows the open slot");
        assert_eq!(servers[0].call::<Vec<String>>("CONFIG GET maxmemory").unwrap()[1], "104857600");
        assert_eq!(servers[0].text("CONFIG REWRITE"), "OK");
        wait_until_agreed(&servers);
    }
}
