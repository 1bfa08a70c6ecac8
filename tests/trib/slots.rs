//! `trib reshard` and `trib rebalance`: slots and keys in motion, under load and in trouble.

use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::support::cluster_client::{ClusterClient, Writer};
use crate::support::{Ran, Server, ServerKind, eventually, redis_cli_is_available};
use crate::{assert_in_order, cluster, trib, trib_with};
use trib::base::{SLOTS, key_slot};

pub fn id_of(server: &Server) -> String {
    server.text("CLUSTER MYID")
}

/// How many slots the server owns by its own account.
pub fn slots_of(server: &Server) -> usize {
    let nodes = server.text("CLUSTER NODES");
    let own = nodes.lines().find(|line| line.contains("myself")).expect("its own line");
    own.split(' ')
        .skip(8)
        .filter(|word| !word.starts_with('['))
        .map(|range| match range.split_once('-') {
            Some((first, last)) => last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1,
            None => 1,
        })
        .sum()
}

/// A key of this slot.
pub fn key_in(slot: u16) -> String {
    static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut keys = vec![String::new(); SLOTS];
        let mut missing = SLOTS;
        for n in 0.. {
            let key = format!("k{n}");
            let place = &mut keys[key_slot(key.as_bytes()).index()];
            if place.is_empty() {
                *place = key;
                missing -= 1;
            }
            if missing == 0 {
                break;
            }
        }
        keys
    });
    KEYS[usize::from(slot)].clone()
}

/// Writes `count` keys to all slots.
pub fn fill(seed: u16, count: usize) {
    let mut client = ClusterClient::new(seed);
    for n in 0..count {
        let key = format!("fill:{n}");
        client.query(redis::cmd("SET").arg(&key).arg(n), &key).expect("the write succeeds");
    }
}

pub fn keys_in(servers: &[Server]) -> usize {
    servers.iter().map(|server| server.call::<usize>("DBSIZE").unwrap()).sum()
}

#[test]
fn a_reshard_is_over_when_all_nodes_agree() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    fill(servers[0].port, 2000);
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let seed = servers[0].addr();
    for round in 0..5 {
        let (from, to) = if round % 2 == 0 { (&from, &to) } else { (&to, &from) };
        let ran = trib(&format!("reshard --from {} --to {} --slots 300 --yes {seed}", &from[..12], &to[..12]));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_in_order(
            &ran.stdout,
            &["[OK] All 16384 slots covered.", "Ready to move 300 slots.", "  Resharding plan:\n", "    Moving slots "],
        );
        // A replica that has not heard of it would make this fail, here and with redis-cli.
        let ran = trib(&format!("check {}", servers[5].addr()));
        assert_eq!(ran.code, 0, "{ran:?}");
        let ran = crate::redis_cli(&format!("--cluster check {}", servers[4].addr()));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(slots_of(&servers[0]), 5461 - 300);
    let ran = trib(&format!("rebalance --threshold 0 {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(&ran.stdout, &[">>> Rebalancing across 3 nodes. Total weight = 3.00\n", "Moving 300 slots from"]);
    assert!(!ran.stdout.contains('#'), "a log has no marks: {ran:?}");
    assert_eq!([slots_of(&servers[0]), slots_of(&servers[1]), slots_of(&servers[2])], [5461, 5462, 5461]);
    assert_eq!(keys_in(&servers[..3]), 2000);
    let ran = trib(&format!("--cluster rebalance {seed}"));
    assert!(ran.stdout.ends_with("*** No rebalancing needed! All nodes are within the 2.00% threshold.\n"), "{ran:?}");
}

#[test]
fn the_dialog_is_read_from_a_pipe() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let (from, to) = (id_of(&servers[1]), id_of(&servers[0]));
    let seed = servers[2].addr();
    for grammar in ["reshard", "--cluster reshard"] {
        let line = format!("{grammar} {seed}");
        let answers = format!("0\n5\n{to}\n{from}\ndone\nyes\n");
        let ran = trib_with(&line, &answers, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_in_order(
            &ran.stdout,
            &[
                "How many slots do you want to move (from 1 to 16384)? ",
                "How many slots do you want to move (from 1 to 16384)? ",
                "What is the receiving node ID? ",
                "Please enter all the source node IDs.\n",
                "Source node #1: ",
                "Source node #2: ",
                "Ready to move 5 slots.\n  Source nodes:\n",
                "  Destination node:\n",
                "Do you want to proceed with the proposed reshard plan (yes/no)? ",
                if grammar == "reshard" { "Moving 5 slots from " } else { "Moving slot " },
            ],
        );
        let no = trib_with(&line, &format!("5\n{to}\nall\nno\n"), &[]);
        let cut = trib_with(&line, &format!("5\n{to}\n"), &[]);
        let (declined, failed) = if grammar == "reshard" { (5, 1) } else { (1, 1) };
        assert_eq!((no.code, cut.code), (declined, failed), "{no:?} {cut:?}");
    }
    assert_eq!(slots_of(&servers[0]), 5461 + 10);
    let ran = trib(&format!("reshard --from all --to {to} --slots 7 --dry-run {seed}"));
    assert_eq!((ran.code, slots_of(&servers[0])), (4, 5471), "{ran:?}");
    let ran = trib(&format!("reshard --from {to} --to {to} --slots 7 --yes {seed}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.ends_with("*** It is not possible to use the target node as source node.\n"), "{ran:?}");
    assert_eq!(trib(&format!("reshard --from all --to {to} --slots 0 --yes {seed}")).code, 2);
}

#[test]
fn writers_notice_nothing() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    fill(servers[0].port, 5000);
    let writers: Vec<Writer> = (0..2).map(|n| Writer::start(servers[n].port, &format!("w{n}"), 3000)).collect();
    let ids: Vec<String> = servers[..3].iter().map(id_of).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let ran = trib(&format!("reshard --from {} --to {} --slots 4000 --yes {seed}", ids[from], ids[to]));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let ran = trib(&format!("rebalance --weight {}=3 {seed}", ids[1]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let commands: u64 = writers.into_iter().map(|writer| writer.finish(servers[0].port)).sum();
    assert!(commands > 1000, "the writers were there all the time: {commands}");
    let mut client = ClusterClient::new(servers[2].port);
    for n in 0..5000 {
        let key = format!("fill:{n}");
        let value = client.query(redis::cmd("GET").arg(&key), &key).unwrap();
        assert_eq!(value, redis::Value::BulkString(n.to_string().into_bytes()), "{key}");
    }
    assert_eq!(trib(&format!("check --search-multiple-owners {seed}")).code, 0);
}

#[test]
fn weights_decide_and_empty_nodes_wait_to_be_asked() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "cluster-allow-replica-migration no\n");
    let new = Server::start_in_cluster_mode(ServerKind::Stock, "");
    let seed = servers[0].addr();
    assert_eq!(trib(&format!("add-node {} {seed}", new.addr())).code, 0);
    let ran = trib(&format!("rebalance {seed}"));
    assert!(ran.stdout.contains("No rebalancing needed!"), "{ran:?}");
    let ran = trib(&format!("rebalance --use-empty-masters --simulate {seed}"));
    assert_eq!((ran.code, slots_of(&new)), (0, 0), "{ran:?}");
    assert_eq!(ran.stdout.matches('#').count(), 4096, "{ran:?}");
    let ran = trib(&format!("rebalance --use-empty-masters {seed}"));
    assert_eq!((ran.code, slots_of(&new)), (0, 4096), "{ran:?}");
    let drained = id_of(&servers[2]);
    let ran = trib(&format!("--cluster rebalance {seed} --cluster-weight {}=0 {}=2", drained, id_of(&new)));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!([slots_of(&servers[0]), slots_of(&servers[2]), slots_of(&new)], [4096, 0, 8192]);
    for (server, limit) in servers.iter().chain([&new]).zip(["100mb", "300mb", "0", "400mb"]) {
        let _: String = server.text(&format!("CONFIG SET maxmemory {limit}"));
    }
    let ran = trib(&format!("rebalance --auto-weights {seed}"));
    assert_eq!((ran.code, slots_of(&servers[2])), (0, 0), "a node without slots waits to be asked: {ran:?}");
    assert_eq!([slots_of(&servers[0]), slots_of(&servers[1]), slots_of(&new)], [2048, 6144, 8192]);
    // Without a limit it is the memory of the machine.
    let _: String = servers[0].text("CONFIG SET maxmemory 0");
    let ran = trib(&format!("rebalance --auto-weights --dry-run {seed}"));
    assert!(ran.code == 4 && ran.stdout.contains(&format!("to {seed}: ")), "{ran:?}");
    let ran = trib(&format!("rebalance --weight zz=1 {seed}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "*** No such master node zz\n"));
}

#[test]
fn passwords_and_other_addresses_are_passed_on_rightly() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "requirepass se'cret\nmasterauth se'cret\n".replace('\'', "").as_str());
    let env = [("REDISCLI_AUTH", "secret")];
    for n in 0..200 {
        // Only those of its slots are taken; that is enough to have keys there.
        let _ = servers[0].call::<String>(&format!("SET a:{n} x"));
    }
    let keys: usize = servers[0].call("DBSIZE").unwrap();
    assert!(keys > 10);
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    // The name works here, but the servers know each other as 127.0.0.1.
    let seed = format!("localhost:{}", servers[1].port);
    let ran = trib_with(&format!("reshard --from {from} --to {to} --slots 5461 --yes {seed}"), "", &env);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(servers[1].call::<usize>("DBSIZE").unwrap(), keys);
}

/// Puts a key of a slot onto a server that does not own the slot.
pub fn plant(servers: &[Server], owner: usize, at: usize, slot: u16, value: &str) {
    let key = key_in(slot);
    let _: String = servers[at].text(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id_of(&servers[owner])));
    let mut connection = servers[at].connect();
    redis::cmd("ASKING").exec(&mut connection).unwrap();
    redis::cmd("SET").arg(key).arg(value).exec(&mut connection).unwrap();
    let _: String = servers[at].text(&format!("CLUSTER SETSLOT {slot} STABLE"));
}

#[test]
fn keys_in_the_way_are_compared() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let reshard = |extra: &str| trib(&format!("reshard --from {from} --to {to} --slots 2 --yes {extra} {seed}"));
    for slot in [0, 1] {
        let _: String = servers[0].text(&format!("SET {} right", key_in(slot)));
    }
    // Equal values: an earlier MIGRATE whose answer was lost.
    plant(&servers, 0, 1, 0, "right");
    plant(&servers, 0, 1, 1, "wrong");
    let ran = reshard("");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("slot 1: 1 key(s) exist with different values"), "{ran:?}");
    assert!(ran.stderr.contains("1 of 2 slots were moved; open: 1 "), "{ran:?}");
    assert!(ran.stderr.contains(&format!("trib fix {seed} --replace")), "{ran:?}");
    // Clients are still served, the right value.
    let mut client = ClusterClient::new(servers[2].port);
    let mut value_of = |slot| {
        let key = key_in(slot);
        client.query(redis::cmd("GET").arg(&key), &key).unwrap()
    };
    let right = redis::Value::BulkString(b"right".to_vec());
    assert_eq!([value_of(0), value_of(1)], [right.clone(), right.clone()]);
    assert_eq!(trib(&format!("check {seed}")).code, 3);
    assert_eq!(trib(&format!("fix {seed}")).code, 1);
    let ran = trib(&format!("fix {seed} --replace"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[">>> Case 1: Moving slot 1 from", "Moving 1 slot from", "[OK] All 16384 slots covered."],
    );
    assert_eq!([value_of(0), value_of(1)], [right.clone(), right]);
    assert_eq!(slots_of(&servers[1]), 5464);
}

/// A move of many keys that has begun: a thread that gives its end.
fn begin_to_move(servers: &[Server], extra: &str) -> std::thread::JoinHandle<Ran> {
    fill(servers[0].port, 30_000);
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let line = format!("reshard --from {from} --to {to} --slots 5000 --yes {extra} {}", servers[2].addr());
    let moving = std::thread::spawn(move || trib(&line));
    eventually("keys are on their way", || servers[0].call::<usize>("DBSIZE").unwrap() < 9900);
    moving
}

#[test]
fn ctrl_c_stops_between_slots() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    fill(servers[0].port, 30_000);
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let line = format!("reshard --from {from} --to {to} --slots 5000 --yes --pipeline 1 {}", servers[2].addr());
    let child = Command::new(env!("CARGO_BIN_EXE_trib"))
        .args(line.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("slots are on their way", || slots_of(&servers[0]) < 5400);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert_in_order(
        &told,
        &["Stopping when the slots in flight are done", " of 5000 slots were moved, and none is left open"],
    );
    let gone = 5461 - slots_of(&servers[0]);
    assert!(gone > 0 && gone < 5000, "{gone} slots moved");
    assert_eq!(trib(&format!("check --search-multiple-owners {}", servers[5].addr())).code, 0);
    assert_eq!(keys_in(&servers[..3]), 30_000);
}

#[test]
fn a_failover_in_the_middle_is_mended() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    for victim in [0, 1] {
        let servers = cluster(3, 1, "");
        let seed = servers[2].addr();
        let epoch = || {
            let info = servers[1].text("CLUSTER INFO");
            info.lines().find(|line| line.starts_with("cluster_my_epoch:")).unwrap().to_owned()
        };
        let before = epoch();
        let moving = begin_to_move(&servers, "--pipeline 1");
        // With its first slot the target takes a new epoch, which an election at the same moment could take as well.
        eventually("the target has its first slot", || epoch() != before);
        let _: String = servers[3 + victim].text("CLUSTER FAILOVER");
        eventually("the replica has taken over", || {
            servers[3 + victim].text("INFO replication").contains("role:master")
        });
        let ran = moving.join().unwrap();
        assert_eq!(ran.code, 1, "{ran:?}");
        eventually("the old primary has heard of it", || {
            servers[victim].text("INFO replication").contains("role:slave")
        });
        let ran = trib(&format!("fix --yes {seed}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let ran = trib(&format!("check --search-multiple-owners {seed}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let held: usize = (0..3)
            .map(|n| {
                let at = if n == victim { &servers[3 + n] } else { &servers[n] };
                at.call::<usize>("DBSIZE").unwrap()
            })
            .sum();
        assert_eq!(held, 30_000);
    }
}

#[test]
fn a_target_that_dies_leaves_nothing_lost() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 0, "appendonly yes\ncluster-require-full-coverage no\n");
    let seed = servers[2].addr();
    let moving = begin_to_move(&servers, "--timeout 500");
    let begun = Instant::now();
    servers[1].kill();
    let ran = moving.join().unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it did not wait for ever");
    assert!(ran.stderr.contains(&format!("trib fix {seed}")), "{ran:?}");
    servers[1].restart();
    eventually("the nodes see each other again", || {
        let is_well = |server: &Server| server.text("CLUSTER INFO").contains("cluster_state:ok");
        servers.iter().all(|server| !server.text("CLUSTER NODES").contains("fail") && is_well(server))
    });
    let ran = trib(&format!("fix --yes {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(keys_in(&servers), 30_000);
    let ran = trib(&format!("check --search-multiple-owners {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
}
