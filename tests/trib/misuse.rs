//! Command lines that are wrong, and what both grammars say and return.

use crate::support::{ServerKind, free_port, redis_cli_is_available};
use crate::{redis_cli, trib};

#[test]
fn redis_clis_mistakes_are_ours() {
    if !redis_cli_is_available() {
        return;
    }
    for line in [
        "--cluster nonsense",
        "--cluster create",
        "--cluster check",
        "--cluster add-node 127.0.0.1:1",
        "--cluster del-node 127.0.0.1:1",
        "--cluster call 127.0.0.1:1",
        "--cluster set-timeout 127.0.0.1:1",
        "--cluster check 127.0.0.1:1 --cluster-nonsense",
        "--cluster create nonsense 127.0.0.1:1 127.0.0.1:2",
        "--cluster info nonsense",
        "--cluster set-timeout nonsense 1000",
        "--cluster call nonsense ping",
        "--cluster add-node 127.0.0.1:1 nonsense",
        "--cluster reshard 127.0.0.1:1 --cluster-slots",
    ] {
        let (ours, theirs) = (trib(line), redis_cli(line));
        assert_eq!(ours.code, theirs.code, "{line}: {ours:?} {theirs:?}");
        let said = |ran: &crate::Ran| format!("{}{}", ran.stdout, ran.stderr).trim().to_owned();
        assert_eq!(said(&ours), said(&theirs), "{line}");
    }
}

#[test]
fn a_dead_seed_is_named_in_both_grammars() {
    let dead = format!("127.0.0.1:{}", free_port());
    for sub in ["check", "info"] {
        let ran = trib(&format!("{sub} {dead}"));
        assert_eq!((ran.code, ran.stdout), (1, format!("[ERR] Sorry, can't connect to node {dead}\n")));
        assert!(ran.stderr.contains("Connection refused"), "{}", ran.stderr);
        let ran = trib(&format!("--cluster {sub} {dead}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert_eq!(ran.stderr, format!("Could not connect to Redis at {dead}: Connection refused\n"));
    }
}

#[test]
fn what_redis_cli_takes_twice_or_ignores_is_no_mistake() {
    if !redis_cli_is_available() || !ServerKind::Stock.is_available() {
        return;
    }
    let servers = crate::cluster(3, 0, "");
    let seed = servers[0].addr();
    for line in [
        format!("--cluster check {seed} --cluster-yes --cluster-yes --verbose --verbose"),
        format!("--cluster rebalance {seed} --cluster-threshold 5 --cluster-threshold 2"),
        format!("--cluster info {seed} -r 2 -i 1 -d , --csv --show-pushes no --quoted-input"),
        format!("-r 2 -i 1 -d , --csv --show-pushes no --quoted-input --cluster info {seed}"),
        format!("--cluster call {seed} ping --cluster-only-masters --cluster-only-replicas"),
    ] {
        let (ours, theirs) = (trib(&line), redis_cli(&line));
        assert_eq!((ours.code, theirs.code), (0, 0), "{line}: {ours:?} {theirs:?}");
        assert_eq!(ours.stdout, theirs.stdout, "{line}");
    }
    let ran = trib(&format!("call --only-masters --only-replicas {seed} ping"));
    assert!(ran.code == 2 && ran.stderr.contains("No node is both"), "{ran:?}");
    // More slots than there are: all that the source has.
    let ids: Vec<String> = servers.iter().map(crate::slots::id_of).collect();
    let ran = trib(&format!(
        "--cluster reshard {seed} --cluster-from {} --cluster-to {} --cluster-slots 99999 --cluster-yes",
        ids[0], ids[1]
    ));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(crate::slots::slots_of(&servers[0]), 0);
}

#[test]
fn a_server_without_cluster_mode_is_named() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let alone = crate::Server::start(ServerKind::Stock, "");
    let ran = trib(&format!("check {}", alone.addr()));
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout, format!("[ERR] Node {} is not configured as a cluster node.\n", alone.addr()));
    assert!(ran.stderr.contains("cluster-enabled yes"), "{}", ran.stderr);
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    for line in ["--help", "help", "--version", "--cluster help", "check"] {
        let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_trib"));
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = run.args(line.split(' ')).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code().is_some_and(|code| code <= 2) && !said.contains("panicked"), "{line}: {said}");
    }
}

#[test]
fn help_is_given_in_both_grammars() {
    let ran = trib("help");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("Usage: trib"), "{}", ran.stdout);
    let ran = trib("help create");
    assert!(ran.code == 0 && ran.stdout.contains("--replicas"), "{ran:?}");
    assert_eq!(trib("help nonsense").code, 2);
    let ran = trib("--cluster help");
    assert_eq!(ran.code, 1, "as redis-cli has it");
    assert!(ran.stdout.starts_with("Cluster Manager Commands:\n"), "{ran:?}");
}
