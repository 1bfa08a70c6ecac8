//! The life of a cluster on every kind of server: stock servers, nodes, and both in one.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::slots::{fill, id_of, key_in, keys_in};
use crate::support::cluster_client::ClusterClient;
use crate::support::{Ran, Server, ServerKind, eventually};
use crate::{addrs, trib};

/// Three primaries, their replicas, and two to come.
const SERVERS: usize = 8;
const KEYS: usize = 600;

/// Patient: see below.
fn done(line: &str) -> Ran {
    let ran = trib(&format!("{line} --read-timeout 60"));
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    ran
}

fn become_well(seed: &str) {
    eventually("the cluster is well", || trib(&format!("check {seed}")).code == 0);
}

/// One kind after the other, so that kinds take turns in every role.
pub fn live(kinds: &[ServerKind]) {
    // Stock servers tell of every slot on its own, which takes a server without optimisation its time on a busy machine.
    let patience = "cluster-node-timeout 15000";
    let servers: Vec<Server> =
        (0..SERVERS).map(|n| Server::start_in_cluster_mode(kinds[n % kinds.len()], patience)).collect();
    let (first, rest) = servers.split_at(6);
    let seed = first[1].addr();
    done(&format!("create --yes --replicas 1 {}", addrs(first)));
    fill(first[0].port, KEYS);
    become_well(&seed);

    // Slots go either way between each pair of kinds.
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        done(&format!("reshard --yes --from {} --to {} --slots 100 {seed}", ids[from], ids[to]));
        become_well(&seed);
    }
    assert_eq!(keys_in(&first[..3]), KEYS);

    // One more primary with a replica of its own, and its share of the slots; then of the keys.
    done(&format!("add-node {} {seed}", rest[0].addr()));
    done(&format!("add-node --slave --master-id {} {} {seed}", ids[6], rest[1].addr()));
    done(&format!("rebalance --use-empty-masters {seed}"));
    assert!(rest[0].call::<usize>("DBSIZE").unwrap() > KEYS / 8);
    let ran = done(&format!("rebalance --by keys --threshold 1 {seed}"));
    let counts: Vec<usize> = first[..3].iter().chain(&rest[..1]).map(|server| server.call("DBSIZE").unwrap()).collect();
    assert!(counts.iter().all(|count| count.abs_diff(KEYS / 4) <= KEYS / 100), "{counts:?} {ran:?}");
    done(&format!("rebalance --by memory {seed}"));
    become_well(&seed);

    // And they leave again.
    done(&format!("rebalance --weight {}=0 {seed}", ids[6]));
    done(&format!("del-node {seed} {}", ids[7]));
    done(&format!("del-node {seed} {}", ids[6]));
    become_well(&seed);
    assert_eq!(keys_in(&first[..3]), KEYS);
    let mut client = ClusterClient::new(first[0].port);
    for n in 0..KEYS {
        let key = format!("fill:{n}");
        let value = client.query(redis::cmd("GET").arg(&key), &key).expect("the read succeeds");
        assert_eq!(value, redis::Value::BulkString(n.to_string().into_bytes()), "{key}");
    }
}

#[test]
fn a_cluster_of_stock_servers() {
    if ServerKind::Stock.is_available() {
        live(&[ServerKind::Stock]);
    }
}

#[test]
fn a_cluster_of_nodes() {
    live(&[ServerKind::Node]);
}

#[test]
fn a_cluster_of_both() {
    if ServerKind::Stock.is_available() {
        live(&[ServerKind::Stock, ServerKind::Node]);
    }
}

#[test]
fn what_slots_cost_on_nodes_that_count_it() {
    let servers = Server::start_many(ServerKind::Node, 3, "cluster-slot-stats-enabled yes");
    done(&format!("create --yes {}", addrs(&servers)));
    let seed = servers[0].addr();
    // What the first node has done counts for nothing by now, and the second has two slots that are used.
    for _ in 0..400 {
        assert_eq!(servers[0].text(&format!("SET {} value", key_in(3))), "OK");
    }
    let ran = trib(&format!("rebalance --by ops --sample 100ms {seed}"));
    assert!(ran.code == 1 && ran.stdout.contains("[ERR] No slot was used within 0.1 s"), "{ran:?}");
    let is_enough = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = servers[1].connect();
            while !is_enough.load(Ordering::Relaxed) {
                for slot in [6000, 6001] {
                    let _: () = redis::cmd("SET").arg(key_in(slot)).arg("value").query(&mut connection).unwrap();
                }
            }
        });
        let ran = trib(&format!("rebalance --by ops --sample 500ms --dry-run --json {seed}"));
        is_enough.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!(ran.code, 4, "{ran:?}");
    let idle = format!("{} has 0 usec of CPU in 0.5 s, its share is ", servers[0].addr());
    assert!(ran.stderr.contains("Measuring for 0.5 s") && ran.stderr.contains(&idle), "{ran:?}");
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let gives = |step: &serde_json::Value| step["from"]["id"] == id_of(&servers[1]);
    assert!(!steps.is_empty() && steps.iter().all(gives), "{plan}");
    // It is done as it was agreed to, though nothing is used any more.
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("plan.json");
    std::fs::write(&file, &ran.stdout).unwrap();
    done(&format!("apply {}", file.display()));
    assert!(crate::slots::slots_of(&servers[1]) < 5462);
    done(&format!("rebalance --threshold 0 {seed}"));
    let zones: Vec<String> =
        servers.iter().zip(["a", "b", "b"]).map(|(server, zone)| format!("--zone {}={zone}", server.addr())).collect();
    let ran = done(&format!("rebalance {} {seed}", zones.join(" ")));
    assert!(ran.stdout.contains("*** No rebalancing needed!"), "{ran:?}");
    let ran = trib(&format!("rebalance --same-zone {seed}"));
    assert!(ran.code == 1 && ran.stdout.contains("[ERR] Nobody knows the zone of "), "{ran:?}");
    let weigh = format!("--weight {}=5 --weight {}=3", id_of(&servers[0]), id_of(&servers[1]));
    let ran = trib(&format!("rebalance --same-zone --dry-run {weigh} {} {seed}", zones.join(" ")));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(!ran.stdout.contains(&format!("to {}: ", servers[0].addr())), "it is alone in its zone: {ran:?}");
    let stock = crate::cluster(3, 0, "");
    let ran = trib(&format!("rebalance --by ops {}", stock[0].addr()));
    assert!(ran.code == 1 && ran.stderr.contains("since Valkey 8"), "{ran:?}");
}
