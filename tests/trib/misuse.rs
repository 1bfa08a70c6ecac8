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
        format!("--cluster info {seed} --cluster-weight a=1 b=2 --cluster-copy --cluster-simulate --cluster-slots x"),
        format!("--cluster check {seed} --cluster-fix-with-unreachable-masters --cluster-replicas 1"),
        format!("--askpass --cluster info {seed}"),
        format!("-u redis://127.0.0.1:1/3 --cluster info {seed}"),
        format!("--cluster call {seed} config get port --pattern x --latency"),
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

/// The options that a redis-cli names in its help, with a value where they have one.
fn options_of_redis_cli() -> Vec<String> {
    let help = redis_cli("--help");
    let text = format!("{}{}", help.stdout, help.stderr);
    let mut options = Vec::new();
    for line in text.lines().take_while(|line| !line.starts_with("Cluster Manager")) {
        let mut words = line.split_whitespace();
        let Some(name) = words.next().filter(|name| name.starts_with('-') && line.find('-') <= Some(2)) else {
            continue;
        };
        let value = if words.next().is_some_and(|word| word.starts_with('<')) { " 1" } else { "" };
        options.push(format!("{name}{value}"));
    }
    options
}

#[test]
fn every_option_of_redis_cli_is_taken_beside_cluster() {
    if !redis_cli_is_available() || !ServerKind::Stock.is_available() {
        return;
    }
    let servers = crate::cluster(3, 0, "");
    let seed = servers[0].addr();
    let options = options_of_redis_cli();
    assert!(options.len() > 55, "{options:?}");
    for option in options {
        let name = option.split(' ').next().unwrap_or_default();
        let with_value = match name {
            // What these do is looked at elsewhere: they speak TLS, print a help or a version, or read stdin. JSON is ours.
            "--tls" | "--help" | "--version" | "-x" | "-X" | "--cluster" | "--json" => continue,
            "-u" => "-u redis://127.0.0.1:1".to_owned(),
            _ => option.clone(),
        };
        for line in [format!("{with_value} --cluster info {seed}"), format!("--cluster info {seed} {with_value}")] {
            let (ours, theirs) = (trib(&line), redis_cli(&line));
            assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{line}: {ours:?} {theirs:?}");
            // It has an opinion about the value, which changes nothing.
            let said = if name == "--show-pushes" { "" } else { &theirs.stderr };
            assert_eq!(ours.stderr.replace("trib", "redis-cli"), said, "{line}");
        }
    }
    for line in [format!("-v --cluster info {seed}"), format!("--cluster info {seed} --version")] {
        let (ours, theirs) = (trib(&line), redis_cli(&line));
        assert_eq!((ours.code, theirs.code), (0, 0), "{line}");
        assert!(ours.stdout.starts_with("trib ") && theirs.stdout.starts_with("redis-cli "), "{ours:?} {theirs:?}");
    }
}

#[test]
fn an_address_may_come_from_stdin() {
    if !redis_cli_is_available() || !ServerKind::Stock.is_available() {
        return;
    }
    let servers = crate::cluster(3, 0, "");
    let seed = servers[0].addr();
    for (line, input) in [
        ("-x --cluster info", format!("{seed}\n")),
        ("-x --cluster info 127.0.0.1", servers[0].port.to_string()),
        ("-X where --cluster info where", seed.clone()),
        ("-X where --cluster info elsewhere", seed.clone()),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (ours, theirs) =
            (crate::trib_with(line, &input, &[]), crate::support::run("redis-cli", &words, &input, &[]));
        assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{line}: {ours:?} {theirs:?}");
        assert_eq!(ours.stderr, theirs.stderr, "{line}");
    }
}

#[test]
fn what_would_be_done_is_not_done_where_a_rehearsal_is_wanted() {
    let dead = format!("127.0.0.1:{}", free_port());
    for sub in ["reshard", "fix", "create", "add-node 127.0.0.1:1"] {
        let ran = trib(&format!("--cluster {sub} {dead} --cluster-simulate"));
        assert!(ran.code == 1 && ran.stderr.contains("would be done, not simulated"), "{ran:?}");
    }
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
