//! Clusters of Valkey 8.1 and 9.1: their whole life, alone and with `node`s, and what only they do.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::connections::trib_json;
use crate::drain::own_line;
use crate::roll::{Restarter, replica_of};
use crate::slots::{fill, id_of, key_in, keys_in, plant, slots_of};
use crate::support::cluster_client::{ClusterClient, Writer};
use crate::support::{Ran, STATE_HOME, Server, ServerKind, eventually, redis_cli_is_available, run};
use crate::{addrs, assert_in_order, matrix, trib, trib_with};

pub const EIGHT: ServerKind = ServerKind::Peer("valkey-server-8.1");
pub const NINE: ServerKind = ServerKind::Peer("valkey-server-9.1");

fn done(line: &str) -> Ran {
    let ran = trib(line);
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    ran
}

/// A cluster of this kind; the nodes in order, the primaries first.
fn cluster(kind: ServerKind, primaries: usize, replicas: usize, directives: &str) -> Option<Vec<Server>> {
    if !kind.is_available() {
        return None;
    }
    let directives = format!("repl-diskless-sync-delay 0\n{directives}");
    let servers = Server::start_many(kind, primaries * (1 + replicas), &directives);
    done(&format!("create --yes --replicas {replicas} {}", addrs(&servers)));
    Some(servers)
}

/// Everything is where it belongs, and nobody holds a key of another's.
fn assert_well(seed: &Server) {
    done(&format!("check --search-multiple-owners {}", seed.addr()));
}

#[test]
fn a_cluster_of_valkey_9() {
    if NINE.is_available() {
        matrix::live(&[NINE]);
    }
}

#[test]
fn two_primaries_are_a_question_of_valkey_cli() {
    if !NINE.is_available() {
        return;
    }
    let question = "Valkey cluster requires at least 3 primary nodes for automatic failover. Are you sure? (type 'yes' to \
                    accept): ";
    let servers = Server::start_many(NINE, 2, "");
    let line = format!("--cluster create {}", addrs(&servers));
    for input in ["no\n", ""] {
        let ran = trib_with(&line, input, &[]);
        assert!(ran.code == 1 && ran.stdout.starts_with(question), "{ran:?}");
    }
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 1, "in our own grammar that is --allow-few");
    let ran = trib_with(&line, "yes\nyes\n", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(&ran.stdout, &[question, "Can I set the above configuration?", "[OK] All 16384 slots covered."]);
    let servers = Server::start_many(NINE, 2, "");
    let ran = trib(&format!("--cluster create {} --cluster-replicas 1 --cluster-yes", addrs(&servers)));
    assert!(ran.code == 0 && !ran.stdout.contains(question), "{ran:?}");
    if ServerKind::Stock.is_available() {
        let of = |kind| Server::start_many(kind, 1, "");
        let mixed: Vec<Server> = of(NINE).into_iter().chain(of(ServerKind::Stock)).collect();
        let ran = trib(&format!("--cluster create {} --cluster-yes", addrs(&mixed)));
        assert!(ran.code == 1 && ran.stdout.contains("*** At least 3 nodes are required."), "{ran:?}");
    }
}

#[test]
fn a_cluster_of_valkey_8() {
    // Each slot that is told of waits for the replicas here: fewer of them than elsewhere are moved.
    let Some(servers) = cluster(EIGHT, 3, 1, "") else { return };
    let new = Server::start_many(EIGHT, 2, "");
    let (seed, ids) = (servers[1].addr(), servers.iter().chain(&new).map(id_of).collect::<Vec<_>>());
    fill(servers[0].port, 600);
    let give = |from: usize, to: usize, slots: usize| {
        done(&format!("reshard --yes --from {} --to {} --slots {slots} {seed}", ids[from], ids[to]));
    };
    give(0, 1, 100);
    give(1, 2, 100);
    assert_eq!(keys_in(&servers[..3]), 600);
    done(&format!("add-node {} {seed}", new[0].addr()));
    done(&format!("add-node --slave --master-id {} {} {seed}", ids[6], new[1].addr()));
    give(0, 6, 150);
    assert!(new[0].call::<usize>("DBSIZE").unwrap() > 0);
    // The last slot that it gives away makes it a replica.
    done(&format!("del-node --drain {seed} {}", ids[6]));
    done(&format!("del-node {seed} {}", ids[7]));
    done(&format!("check {seed}"));
    assert_eq!((keys_in(&servers[..3]), new[0].text("CLUSTER NODES").lines().count()), (600, 1));
    assert_well(&servers[4]);
}

#[test]
fn a_cluster_of_valkey_9_and_nodes() {
    if NINE.is_available() {
        matrix::live(&[NINE, ServerKind::Node]);
    }
}

/// Swaps all servers of a cluster for others, one program after the other, while a client writes.
fn swap(from: ServerKind, to: &[ServerKind]) {
    if !redis_cli_is_available() || !to.iter().all(|kind| kind.is_available()) {
        return;
    }
    let Some(servers) = cluster(from, 3, 1, "") else { return };
    fill(servers[0].port, 1000);
    let seed = servers[1].addr();
    let restarter = Restarter::new(&servers);
    let version = |server: &Server| trib::trib::vitals::version(&server.text("INFO server"));
    for kind in to {
        let old = version(&servers[0]);
        let writer = Writer::start(servers[1].port, kind.program().to_str().unwrap(), 100);
        let command = restarter.command(kind.program().to_str().unwrap());
        let words = ["roll", "--yes", "--wait", "60s", "--restart", &command, &seed];
        let ran = run(env!("CARGO_BIN_EXE_trib"), &words, "", &[]);
        assert_eq!(ran.code, 0, "{kind:?}: {ran:?}");
        assert!(writer.finish(servers[1].port) > 0);
        assert!(servers.iter().all(|server| version(server) != old), "{kind:?}");
        assert_well(&servers[1]);
        let primaries = servers.iter().filter(|server| own_line(server).contains("master"));
        let keys: usize = primaries.map(|server| server.call::<usize>("DBSIZE").unwrap()).sum();
        assert!(keys >= 1000, "{keys} keys are left");
    }
}

#[test]
fn valkey_8_becomes_valkey_9() {
    swap(EIGHT, &[NINE]);
}

#[test]
fn valkey_9_is_swapped_for_nodes_and_back() {
    swap(NINE, &[ServerKind::Node, NINE]);
}

#[test]
fn keys_in_the_way_are_not_moved_atomically() {
    // A target that runs Valkey 9 stops when it is to take such a slot, others drop what they have.
    for kind in [NINE, ServerKind::Node] {
        let Some(servers) = cluster(kind, 3, 0, "") else { continue };
        let seed = servers[0].addr();
        for slot in [0, 1, 2] {
            assert_eq!(servers[0].text(&format!("SET {} right", key_in(slot))), "OK");
        }
        plant(&servers, 0, 1, 0, "right");
        plant(&servers, 0, 1, 1, "wrong");
        let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
        let reshard = |extra: &str| trib(&format!("reshard --yes --from {from} --to {to} --slots 3 {extra} {seed}"));
        let ran = reshard("--engine atomic");
        assert_eq!(ran.code, 1, "{ran:?}");
        let text = format!("{} holds keys of slots 0-1 already", servers[1].addr());
        assert!(ran.stdout.contains(&text) && ran.stderr.contains("--engine migrate"), "{ran:?}");
        assert_eq!((slots_of(&servers[0]), servers[1].call::<usize>("DBSIZE").unwrap()), (5461, 2));

        let ran = reshard("");
        assert!(ran.code == 1 && ran.stderr.contains(&text), "{ran:?}");
        assert!(ran.stdout.contains("slot 1: 1 key(s) exist with different values"), "{ran:?}");
        assert!(ran.stderr.contains("2 of 3 slots were moved; open: 1 "), "{ran:?}");
        let moves = trib_json(&format!("call --json {seed} CLUSTER GETSLOTMIGRATIONS")).to_string();
        assert!(moves.contains("2-2") && !moves.contains("0-"), "{moves}");
        done(&format!("fix --replace {seed}"));
        let mut client = ClusterClient::new(servers[2].port);
        for slot in [0, 1, 2] {
            let key = key_in(slot);
            let value = client.query(redis::cmd("GET").arg(&key), &key).unwrap();
            assert_eq!(value, redis::Value::BulkString(b"right".to_vec()), "{kind:?}, slot {slot}");
        }
        assert_eq!((keys_in(&servers), slots_of(&servers[1])), (3, 5465));
        assert_well(&servers[0]);
    }
}

#[test]
fn a_node_that_was_removed_comes_back_when_it_is_let() {
    // Servers tell each other for a while whom to forget; in this test not for a minute.
    for kind in [EIGHT, NINE, ServerKind::Node] {
        let Some(servers) = cluster(kind, 3, 0, "cluster-blacklist-ttl 3") else { continue };
        let new = Server::start_in_cluster_mode(kind, "cluster-blacklist-ttl 3");
        let seed = servers[0].addr();
        done(&format!("add-node {} {seed}", new.addr()));
        let id = id_of(&new);
        done(&format!("del-node {seed} {id}"));
        let ran = done(&format!("add-node {} {seed}", new.addr()));
        assert!(ran.stderr.contains(&format!("Waiting until {} may join again", new.addr())), "{ran:?}");
        for server in &servers {
            let nodes = server.text("CLUSTER NODES");
            assert!(nodes.contains(&id), "{kind:?}: {nodes}");
        }
        // With another ID it is another node, which nobody was told to forget.
        done(&format!("del-node {seed} {id}"));
        assert_eq!(new.text("CLUSTER RESET HARD"), "OK");
        let ran = done(&format!("add-node --slave {} {seed}", new.addr()));
        assert!(!ran.stderr.contains("may join again"), "{ran:?}");
    }
}

#[test]
fn slots_are_covered_where_setslot_waits_for_replicas() {
    for kind in [EIGHT, NINE] {
        let Some(servers) = cluster(kind, 3, 1, "") else { continue };
        let seed = &servers[2];
        fill(servers[0].port, 300);
        for server in &servers {
            // A replica that is told too late knows of it.
            let _ = server.call::<String>("CLUSTER DELSLOTS 7 8 9");
        }
        eventually("all have lost them", || servers.iter().all(|server| !own_line(server).contains(" 0-5460")));
        assert_eq!(trib(&format!("check {}", seed.addr())).code, 3);
        done(&format!("fix --yes {}", seed.addr()));
        assert_well(seed);
        let (owner, other) = (&servers[0], &servers[1]);
        let half_open = format!("CLUSTER SETSLOT 20 MIGRATING {}", id_of(other));
        assert_eq!(owner.text(&half_open), "OK");
        assert_eq!(other.text(&format!("CLUSTER SETSLOT 21 IMPORTING {}", id_of(owner))), "OK");
        done(&format!("fix --yes {}", seed.addr()));
        assert_well(seed);
        assert_eq!(keys_in(&servers[..3]), 300);
    }
}

#[test]
fn keys_of_all_databases_travel_between_valkey_9_nodes() {
    for engine in ["atomic", "migrate"] {
        let Some(servers) = cluster(NINE, 3, 0, "cluster-databases 4") else { return };
        crate::databases::travel(&servers, engine);
        assert_well(&servers[0]);
        let ran = done(&format!("info {}", servers[0].addr()));
        assert!(ran.stdout.contains("[OK] 4 keys in 3 masters.\n"), "{ran:?}");
    }
}

#[test]
fn what_is_seen_saved_and_restored() {
    let Some(servers) = cluster(NINE, 3, 1, "cluster-slot-stats-enabled yes") else { return };
    let seed = servers[4].addr();
    fill(servers[0].port, 600);
    let check = trib_json(&format!("check --json {seed}"));
    assert_eq!(check["nodes"].as_array().unwrap().len(), 6, "{check}");
    assert!(check["nodes"].as_array().unwrap().iter().all(|node| node["version"] == "valkey 9.1.2"), "{check}");
    let ran = done(&format!("status {seed}"));
    assert!(ran.stdout.contains("600") || ran.stdout.contains("5461"), "{ran:?}");
    let hot = trib_json(&format!("slots --hot 3 --json {seed}"));
    assert_eq!(hot.as_array().unwrap().len(), 3, "{hot}");
    done(&format!("slots --hot 3 --by cpu {seed}"));
    let big = trib_json(&format!("bigkeys --json --top 1 {seed}"));
    assert!(big.to_string().contains("fill:"), "{big}");
    done(&format!("config diff {seed}"));
    done(&format!("call --on replicas {seed} PING"));

    let (old, new) = (&servers[0], replica_of(&servers, &servers[0]));
    done(&format!("failover --shard {} {seed}", old.addr()));
    assert!(own_line(new).contains("master") && own_line(old).contains(&id_of(new)));
    done(&format!("failover --to {} {seed}", old.addr()));

    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("saved").display().to_string();
    done(&format!("backup {seed} {dir}"));
    done(&format!("verify {dir} {seed}"));
    let lone = Server::start_in_cluster_mode(NINE, "");
    done(&format!("create --yes --allow-few {}", lone.addr()));
    done(&format!("restore --verify {dir} {}", lone.addr()));
    assert_eq!(lone.call::<usize>("DBSIZE").unwrap(), 600);
    // And into a cluster of another server, from a running one.
    let source = Server::start(NINE, "");
    for n in 0..50 {
        assert_eq!(source.text(&format!("SETEX from:{n} 1000 {n}")), "OK");
    }
    done(&format!("import --verify --copy --from {} {seed}", source.addr()));
    done(&format!("import --copy --via dump --replace --from {} {}", source.addr(), lone.addr()));
    assert_eq!((keys_in(&servers[..3]), keys_in(&[lone])), (650, 650));
    assert_well(&servers[0]);
}

/// Starts `trib` with a journal of its own.
fn start(journal: &Path, line: &str) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trib"));
    command.arg("--journal").arg(journal).args(line.split_whitespace());
    command.env("XDG_STATE_HOME", STATE_HOME).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn an_atomic_move_that_is_cut_off_goes_on_and_back() {
    let Some(servers) = cluster(NINE, 3, 0, "") else { return };
    fill(servers[0].port, 3000);
    let (from, to, seed) = (id_of(&servers[0]), id_of(&servers[1]), servers[2].addr());
    // A few slots at a time, or it would be over at once.
    let slowly = "--max-keys-per-sec 200";
    let reshard = format!("reshard --yes {slowly} --from {from} --to {to} --slots 5000 {seed}");
    for signal in ["-INT", "-KILL"] {
        let home = tempfile::tempdir().unwrap();
        let journal = format!("--journal {}", home.path().display());
        let run = start(home.path(), &reshard);
        eventually("slots are on their way", || slots_of(&servers[0]) < 5300);
        assert!(Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap().success());
        let ended = run.wait_with_output().unwrap();
        if signal == "-INT" {
            let told = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{told}");
            assert_in_order(
                &told,
                &["Stopping when", " of 5000 slots were moved, and none is left open", "trib resume"],
            );
            assert_well(&servers[2]);
        }
        let gone = 5461 - slots_of(&servers[0]);
        assert!(gone > 0 && gone < 5000, "{signal}: {gone} slots moved");
        done(&format!("resume {journal}"));
        assert_eq!((slots_of(&servers[0]), slots_of(&servers[1]), keys_in(&servers)), (461, 10_462, 3000), "{signal}");
        done(&format!("undo --yes {journal}"));
        assert_eq!((slots_of(&servers[0]), slots_of(&servers[1]), keys_in(&servers)), (5461, 5462, 3000), "{signal}");
        assert_well(&servers[2]);
    }
}

#[test]
fn a_failover_in_the_middle_of_an_atomic_move() {
    for victim in [0, 1] {
        let Some(servers) = cluster(NINE, 3, 1, "") else { return };
        fill(servers[0].port, 3000);
        let seed = servers[2].addr();
        let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
        let heir = replica_of(&servers, &servers[victim]);
        let home = tempfile::tempdir().unwrap();
        let line = format!("reshard --yes --max-keys-per-sec 100 --from {from} --to {to} --slots 1500 {seed}");
        let run = start(home.path(), &line);
        eventually("slots are on their way", || slots_of(&servers[0]) < 5300);
        assert_eq!(heir.text("CLUSTER FAILOVER"), "OK");
        let ended = run.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stdout));
        eventually("the old primary has heard of it", || own_line(&servers[victim]).contains("slave"));
        done(&format!("fix --yes {seed}"));
        // What was left goes on with those who lead the shards now.
        let journal = format!("--journal {}", home.path().display());
        let job = trib_json(&format!("jobs --json {journal}"))[0]["id"].as_str().unwrap().to_owned();
        done(&format!("resume {job} {journal}"));
        let leads = |n: usize| if n == victim { heir } else { &servers[n] };
        let slots = [0, 1, 2].map(|n| slots_of(leads(n)));
        let keys: usize = (0..3).map(|n| leads(n).call::<usize>("DBSIZE").unwrap()).sum();
        assert_eq!((slots, keys), ([3961, 6962, 5461], 3000), "{victim}");
        assert_well(&servers[2]);
    }
}
