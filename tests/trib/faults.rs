//! Nodes that hang in the middle of an operation: a bounded wait, a clear error, and nothing lost.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::slots::{id_of, key_in, keys_in};
use crate::support::{Ran, Server, ServerKind, eventually, run};
use crate::{addrs, cluster, trib};

fn signal(server: &Server, name: &str) {
    assert!(Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap().success());
}

/// Runs `trib` beside the test.
fn begin(line: String) -> std::thread::JoinHandle<(Ran, Duration)> {
    std::thread::spawn(move || {
        let begun = Instant::now();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ran = run(env!("CARGO_BIN_EXE_trib"), &words, "", &[]);
        (ran, begun.elapsed())
    })
}

#[test]
fn a_target_that_hangs_in_the_middle_of_a_reshard() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // Nobody takes over meanwhile.
    let servers = cluster(3, 0, "cluster-node-timeout 60000");
    let seed = servers[2].addr();
    // Many slots with a key each are many MIGRATEs in one burst.
    let mut pipeline = redis::pipe();
    for slot in 0..200 {
        pipeline.cmd("SET").arg(key_in(slot)).arg(vec![b'x'; 100_000]).ignore();
    }
    pipeline.query::<()>(&mut servers[0].connect()).unwrap();
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let moving =
        begin(format!("reshard --yes --timeout 2000 --read-timeout 2 --from {from} --to {to} --slots 200 {seed}"));
    eventually("some keys have left", || servers[1].call::<usize>("DBSIZE").is_ok_and(|keys| keys > 0));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || moving.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = moving.join().unwrap();
    if ran.code == 0 {
        // It was faster than the signal.
        assert_eq!(keys_in(&servers), 200);
        return;
    }
    assert!(took < Duration::from_secs(60), "{took:?} {ran:?}");
    assert!(ran.stderr.contains("slots were moved"), "{ran:?}");
    eventually("fix puts it in order", || trib(&format!("fix {seed}")).code == 0);
    assert_eq!(trib(&format!("check {seed}")).code, 0);
    assert_eq!(keys_in(&servers), 200);
}

#[test]
fn a_node_that_hangs_in_the_middle_of_a_create() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 3, "");
    // Its bus port is said to be another one, so joining takes until the time is up.
    let wrong =
        format!("{} {} {}@{}", servers[0].addr(), servers[1].addr(), servers[2].addr(), crate::support::free_port());
    let creating = begin(format!("create --yes --wait 20 --read-timeout 1 {wrong}"));
    eventually("it has begun", || servers[1].text("CLUSTER INFO").contains("cluster_slots_assigned:5462"));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || creating.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = creating.join().unwrap();
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(took < Duration::from_secs(30), "{took:?} {ran:?}");
    assert!(ran.stdout.contains(&format!("[ERR] Node {} could not be reset.", servers[1].addr())), "{ran:?}");
    let reset = format!("trib reset --hard {}", servers[1].addr());
    assert!(ran.stderr.contains(&format!("2 of 3 nodes were reset; before the next attempt: {reset}")), "{ran:?}");
    let ran = trib(&format!("reset --yes --hard {}", servers[1].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    eventually("they can be used again", || trib(&format!("create --yes {}", addrs(&servers))).code == 0);
}

#[test]
fn a_node_that_hangs_in_the_middle_of_an_import() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "cluster-node-timeout 60000");
    let source = Server::start(ServerKind::Stock, "");
    let mut pipeline = redis::pipe();
    for n in 0..20_000 {
        pipeline.cmd("SET").arg(format!("key:{n}")).arg(vec![b'x'; 1000]).ignore();
    }
    pipeline.query::<()>(&mut source.connect()).unwrap();
    let import = format!("import --timeout 2000 --read-timeout 2 --from {} {}", source.addr(), servers[0].addr());
    let importing = begin(import.clone());
    eventually("some keys have come", || servers[1].call::<usize>("DBSIZE").is_ok_and(|keys| keys > 0));
    signal(&servers[1], "-STOP");
    eventually("the command ends", || importing.is_finished());
    signal(&servers[1], "-CONT");
    let (ran, took) = importing.join().unwrap();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(ran.code != 0 || source.text("DBSIZE") == "0", "{:?}", ran.code);
    // Nothing is lost, and the same command brings the rest. What was on its way may be on both sides.
    let ran = trib(&format!("{import} --replace"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((keys_in(&servers), source.text("DBSIZE").as_str()), (20_000, "0"));
}
