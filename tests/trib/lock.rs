//! One operator at a time.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::slots::{fill, id_of, keys_in, slots_of};
use crate::support::{Ran, STATE_HOME, Server, ServerKind, eventually};
use crate::{cluster, trib, trib_with};

/// Somebody else's claim, on every server, as long as the connections live.
fn claim(servers: &[Server]) -> Vec<redis::Connection> {
    let name = "trib-lock:ff00:rebalance:77:ann@far";
    let one = |server: &Server| {
        let mut connection = server.connect();
        redis::cmd("CLIENT").arg("SETNAME").arg(name).exec(&mut connection).unwrap();
        connection
    };
    servers.iter().map(one).collect()
}

fn begin(line: String) -> std::thread::JoinHandle<Ran> {
    std::thread::spawn(move || trib(&line))
}

#[test]
fn a_second_operator_is_told_who_the_first_is() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let reshard = format!("reshard --yes --from {from} --to {to} --slots 5 {seed}");
    let theirs = claim(&servers);
    for line in [&reshard, &format!("--cluster {reshard}").replace("--yes", ""), &format!("set-timeout {seed} 2345")] {
        let ran = trib(line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert!(ran.stdout.contains("[ERR] The cluster is locked by ann@far (pid 77, rebalance, since "), "{ran:?}");
    }
    assert!(trib(&reshard).stderr.contains("--lock-wait"));
    // Who only looks is not kept from it, and sees them.
    assert_eq!(trib(&format!("{reshard} --dry-run")).code, 4);
    let ran = trib(&format!("check {seed}"));
    assert!(ran.code == 0 && ran.stdout.contains("[WARNING] The cluster is locked by ann@far"), "{ran:?}");
    assert!(trib(&format!("status {seed}")).stderr.contains("Locked by ann@far"));

    // Waiting ends when they do.
    let waiting = begin(format!("{reshard} --lock-wait 60s"));
    let tries = |server: &Server| server.text("CLIENT LIST").lines().any(|line| line.contains(":reshard:"));
    eventually("it tries", || tries(&servers[0]));
    drop(theirs);
    let ran = waiting.join().unwrap();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("Waiting: the cluster is locked by ann@far"), "{ran:?}");
    assert_eq!(slots_of(&servers[1]), 5467);

    // A broken lock is one whose connections are closed.
    let mut theirs = claim(&servers);
    let ran = trib(&format!("{reshard} --force"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("Breaking the lock of ann@far"), "{ran:?}");
    assert!(theirs.iter_mut().all(|connection| redis::cmd("PING").exec(connection).is_err()));
    assert!(!trib(&format!("check {seed}")).stdout.contains("locked"));
}

#[test]
fn operators_take_turns() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    fill(servers[0].port, 1000);
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    let line = |from: usize, to: usize| {
        let seed = servers[from].addr();
        format!("reshard --yes --lock-wait 2m --from {} --to {} --slots 200 {seed}", ids[from], ids[to])
    };
    let all = [line(0, 1), line(0, 1), line(1, 2), line(2, 0)].map(begin);
    for running in all {
        let ran = running.join().unwrap();
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!([0, 1, 2].map(|n| slots_of(&servers[n])), [5461 - 200, 5462 + 200, 5461]);
    assert_eq!(keys_in(&servers), 1000);
    let ran = trib(&format!("check {}", servers[2].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn the_same_nodes_do_not_become_two_clusters() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 5, "");
    let create = |nodes: &[Server]| begin(format!("create --yes {}", crate::addrs(nodes)));
    let (one, other) = (create(&servers[..3]), create(&servers[2..]));
    let (one, other) = (one.join().unwrap(), other.join().unwrap());
    assert!((one.code == 0) != (other.code == 0), "{one:?} {other:?}");
    let refused = if one.code == 0 { other } else { one };
    assert!(refused.stdout.contains("is locked by") || refused.stdout.contains("is not empty"), "{refused:?}");
}

/// A reshard that is slow by itself, so that neither an idle machine nor a busy one decides how far it gets.
fn slowly(servers: &[Server]) -> String {
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    format!("reshard --yes --from {from} --to {to} --max-keys-per-sec 200")
}

/// The process of one that has begun.
fn slowly_moving(servers: &[Server]) -> Child {
    let line = format!("{} --slots 5000 {}", slowly(servers), servers[2].addr());
    let mut command = Command::new(env!("CARGO_BIN_EXE_trib"));
    command.args(line.split(' ')).env("XDG_STATE_HOME", STATE_HOME);
    let mut moving = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    eventually("slots are on their way", || {
        assert_eq!(moving.try_wait().unwrap(), None, "{line}");
        slots_of(&servers[0]) < 5461
    });
    moving
}

#[test]
fn a_lock_goes_with_the_one_who_held_it() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[2].addr();
    fill(servers[0].port, 9000);
    let mut killed = slowly_moving(&servers);
    let holder = format!("(pid {}, reshard", killed.id());
    assert!(trib(&format!("check {seed}")).stdout.contains(&holder));
    killed.kill().unwrap();
    killed.wait().unwrap();
    eventually("it is gone", || !trib(&format!("check {seed}")).stdout.contains("is locked by"));
    assert_eq!(trib(&format!("fix --yes {seed}")).code, 0);

    // One whose lock is broken stops by itself, with its slots closed. The last slot stays: a node without any would
    // become a replica, with keys that are not its own.
    let rest = slots_of(&servers[0]) - 1;
    let moving = begin(format!("{} --slots {rest} {seed}", slowly(&servers)));
    eventually("slots are on their way", || moving.is_finished() || slots_of(&servers[0]) <= rest);
    let ran = trib(&format!("set-timeout --force {seed} 2345"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = moving.join().unwrap();
    if slots_of(&servers[0]) > 1 {
        assert!(ran.code == 1 && ran.stdout.contains("*** The lock was taken away by "), "{ran:?}");
    }
    assert_eq!(trib(&format!("check --search-multiple-owners {seed}")).code, 0);
    assert_eq!(keys_in(&servers), 9000);
}

#[test]
fn who_was_stuck_finds_the_lock_broken_though_the_breaker_has_gone() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[2].addr();
    fill(servers[0].port, 9000);
    let stuck = slowly_moving(&servers);
    let pid = Pid::from_child(&stuck);
    kill_process(pid, Signal::STOP).unwrap();
    assert_eq!(trib(&format!("set-timeout --force {seed} 2345")).code, 0);
    kill_process(pid, Signal::CONT).unwrap();
    let ran = stuck.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("*** The lock was taken away by somebody who is gone by now: stopping."), "{said}");
    assert!(slots_of(&servers[0]) > 461, "it has stopped long before its end");
    assert_eq!(trib(&format!("fix --yes {seed}")).code, 0);
    assert_eq!(keys_in(&servers), 9000);
}

#[test]
fn who_may_not_see_connections_works_without_a_lock() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    for server in &servers {
        assert_eq!(server.text("ACL SETUSER ops on >pw ~* &* +@all -client|list"), "OK");
    }
    let env = [("REDISCLI_AUTH", "pw")];
    let ran = trib_with(&format!("set-timeout --user ops {} 2345", servers[0].addr()), "", &env);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("Warning: working without the cluster's lock: ") && ran.stderr.contains("NOPERM"));
}
