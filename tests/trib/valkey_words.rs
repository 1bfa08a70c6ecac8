//! `--cluster` for those who come from valkey-cli: the same texts as the real one prints of the same nodes.

use std::path::{Path, PathBuf};

use crate::peers_valkey::{EIGHT, NINE};
use crate::slots::{fill, id_of};
use crate::support::{Ran, Server, peer_is_available, peer_program, run};
use crate::{addrs, assert_in_order, trib, trib_with};

/// A directory with `trib` under the name of valkey-cli.
struct Linked(tempfile::TempDir);

impl Linked {
    fn new() -> Linked {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_trib"), dir.path().join("valkey-cli")).unwrap();
        Linked(dir)
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("valkey-cli")
    }

    fn run(&self, line: &str, input: &str) -> Ran {
        cluster_of(&self.program(), line, input)
    }
}

fn cluster_of(program: &Path, line: &str, input: &str) -> Ran {
    let words: Vec<&str> = std::iter::once("--cluster").chain(line.split_whitespace()).collect();
    run(program.to_str().unwrap(), &words, input, &[])
}

/// The real ones that are there; the tests are written for the older, which `.ci/peers` fetches.
fn real() -> Vec<&'static str> {
    let newer = "valkey-cli-9.1";
    let mut found = Vec::new();
    if EIGHT.is_available() && peer_is_available("valkey-cli-8.1") {
        found.push("valkey-cli-8.1");
        if peer_program(newer).exists() {
            found.push(newer);
        }
    }
    found
}

/// Which replica goes to which primary is chance there, and in order here.
fn without_pairs(text: &str) -> String {
    let cut = |line: &str| match line.trim_start() {
        line if line.starts_with("Adding replica ") => "Adding replica".to_owned(),
        line if line.starts_with("replicates ") => "   replicates".to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// Runs the real one and ours, and compares all that is printed and the exit code.
fn assert_same(real: &str, ours: &Linked, line: &str, input: &str, clean: fn(&str) -> String) {
    let theirs = cluster_of(&peer_program(real), line, input);
    let ours = ours.run(line, input);
    let shown = |ran: &Ran| (ran.code, clean(&ran.stdout), clean(&ran.stderr));
    assert_eq!(shown(&ours), shown(&theirs), "{real} --cluster {line}");
}

#[test]
fn valkey_cli_and_a_link_of_its_name_print_the_same() {
    let tools = real();
    if tools.is_empty() {
        return;
    }
    let link = Linked::new();
    let servers = Server::start_many(EIGHT, 6, "repl-diskless-sync-delay 0");
    let (all, seed, host_port) = (addrs(&servers), servers[1].addr(), format!("127.0.0.1 {}", servers[0].port));
    let two = addrs(&servers[..2]);
    for real in &tools {
        for (line, input) in [
            (format!("create {all} --cluster-replicas 1"), "no\n"),
            (format!("create {all}"), "no\n"),
            (format!("create {two}"), "no\n"),
            (format!("create {all} --cluster-replicas 2"), "no\n"),
            (format!("create {two} 127.0.0.1:1"), ""),
            ("create nonsense".to_owned(), ""),
            ("nonsense".to_owned(), ""),
        ] {
            assert_same(real, &link, &line, input, without_pairs);
        }
    }
    let made = link.run(&format!("create {all} --cluster-replicas 1 --cluster-yes"), "");
    assert_eq!(made.code, 0, "{made:?}");
    assert_in_order(
        &made.stdout,
        &[
            ">>> Performing hash slots allocation on 6 node(s)...\nPrimary[0] -> Slots 0 - 5460\n",
            ">>> Trying to optimize replicas allocation for anti-affinity\n",
            "[WARNING] Some replicas are in the same host as their primary\n",
            "[OK] All 16384 slots covered.",
        ],
    );
    fill(servers[0].port, 300);
    let ids: Vec<String> = servers.iter().map(id_of).collect();
    let new = Server::start_many(EIGHT, 1, "");
    let add = format!("add-node {} {seed} --cluster-replica --cluster-primary-id", new[0].addr());
    for real in &tools {
        for line in [
            format!("check {seed}"),
            format!("check {host_port}"),
            format!("check {seed} --cluster-search-multiple-owners"),
            format!("info {seed}"),
            format!("fix {seed}"),
            "check 127.0.0.1:1".to_owned(),
            "info nonsense".to_owned(),
            "check".to_owned(),
            format!("check {seed} --cluster-nonsense"),
            format!("rebalance {seed}"),
            format!("rebalance {seed} --cluster-weight zz=1"),
            format!("reshard {seed} --cluster-slots 5 --cluster-from zz --cluster-to {}", ids[0]),
            format!("reshard {seed} --cluster-slots 5 --cluster-from {} --cluster-to zz", ids[0]),
            format!("reshard {seed} --cluster-slots 5 --cluster-from {} --cluster-to {}", ids[0], ids[3]),
            format!("{add} zz"),
            format!("add-node 127.0.0.1:1 {seed}"),
            format!("del-node {seed} zz"),
            format!("del-node {seed} {}", ids[0]),
            format!("call {seed} dbsize --cluster-only-primaries"),
            format!("call {seed} ping --cluster-only-replicas"),
            format!("set-timeout {seed} 10"),
            format!("import {seed}"),
            format!("import {seed} --cluster-from {}", servers[0].addr()),
        ] {
            assert_same(real, &link, &line, "", str::to_owned);
        }
    }
    if let Some(newer) = tools.iter().find(|tool| tool.ends_with("9.1")) {
        let reshard = format!("reshard {seed} --cluster-slots 3 --cluster-from {} --cluster-to {}", ids[0], ids[1]);
        assert_same(newer, &link, &reshard, "no\n", str::to_owned);
        assert_same(newer, &link, &format!("backup {seed} /nonexistent"), "", str::to_owned);
    }
    let moved = link.run(
        &format!("reshard {seed} --cluster-slots 2 --cluster-from {} --cluster-to {} --cluster-yes", ids[0], ids[1]),
        "",
    );
    assert_eq!(moved.code, 0, "{moved:?}");
    let plan = format!("  Resharding plan:\n    Moving slot range 0-1 from {}\n", ids[0]);
    let (from, to) = (servers[0].addr(), servers[1].addr());
    assert_in_order(&moved.stdout, &[&plan, &format!("Moving slot 1 from {from} to {to}")]);

    let joined = link.run(&format!("{add} {}", ids[0]), "");
    assert_eq!(joined.code, 0, "{joined:?}");
    let removed = link.run(&format!("del-node {seed} {}", id_of(&new[0])), "");
    let last = format!("[OK] Node {} removed from the cluster.\n", id_of(&new[0]));
    assert!(removed.code == 0 && removed.stdout.ends_with(&last), "{removed:?}");

    // Files of one are those of the other.
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let programs = [peer_program(tools[0]), link.program()];
    let [theirs, ours] = [0, 1].map(|n| {
        let ran = cluster_of(&programs[n], &format!("backup {seed} {}", dirs[n].path().display()), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains("SYNC sent to primary, writing "), "{ran:?}");
        let files = std::fs::read_dir(dirs[n].path()).unwrap().map(|entry| entry.unwrap().file_name());
        files.collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(ours, theirs);
    let verified = trib(&format!("verify {}", dirs[1].path().display()));
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[test]
fn whoever_comes_from_valkey_cli_reads_its_words() {
    if !EIGHT.is_available() {
        return;
    }
    let servers = Server::start_many(EIGHT, 3, "");
    let made = trib(&format!("--cluster create {} --cluster-yes", addrs(&servers)));
    assert!(made.code == 0 && made.stdout.contains("Master[0] -> Slots 0 - 5460\n"), "{made:?}");
    let seed = servers[0].addr();
    let (masters, primaries) = ("[OK] 0 keys in 3 masters.\n", "[OK] 0 keys in 3 primaries.\n");
    for (line, env, expected) in [
        ("--cluster info", &[][..], masters),
        ("--cluster info", &[("REDISCLI_CLUSTER_YES", "1")], masters),
        ("--cluster info", &[("VALKEYCLI_CLUSTER_YES", "1")], primaries),
        ("--cluster info --cluster-use-empty-primaries", &[], primaries),
        ("--cluster info --cluster-use-empty-masters", &[], masters),
        ("info", &[("VALKEYCLI_CLUSTER_YES", "1")], masters),
    ] {
        let ran = trib_with(&format!("{line} {seed}"), "", env);
        assert!((ran.stdout + &ran.stderr).contains(expected), "{line} {env:?}");
    }
    let id = id_of(&servers[0]);
    let ran = trib(&format!("--cluster rebalance {seed} --cluster-use-empty-primaries --cluster-weight zz=1"));
    assert!(ran.code == 1 && ran.stdout.contains("*** No such primary node zz\n"), "{ran:?}");
    let ran = trib(&format!("--cluster rebalance {seed} --cluster-use-empty-masters --cluster-weight zz=1"));
    assert!(ran.code == 1 && ran.stdout.contains("*** No such master node zz\n"), "{ran:?}");
    let dialog = "3\nzz\n";
    let ran = Linked::new().run(&format!("reshard {seed} --cluster-to {id}"), dialog);
    assert!(
        ran.stdout.contains("*** The specified node (zz) is not known or not a primary, please retry.\n"),
        "{ran:?}"
    );
    let help = Linked::new().run("help", "");
    assert!(help.code == 1 && help.stdout.contains("--cluster-primary-id <arg>\n"), "{help:?}");
}

#[test]
fn an_atomic_move_is_one_line_as_in_valkey_cli() {
    if !NINE.is_available() {
        return;
    }
    let servers = Server::start_many(NINE, 3, "");
    assert_eq!(trib(&format!("create --yes {}", addrs(&servers))).code, 0);
    let (from, to) = (id_of(&servers[0]), id_of(&servers[1]));
    let ran = trib(&format!(
        "--cluster reshard {} --cluster-from {from} --cluster-to {to} --cluster-slots 3 --cluster-yes \
         --cluster-use-atomic-slot-migration",
        servers[2].addr()
    ));
    let moved = format!(
        "  Resharding plan:\n    Moving slot range 0-2 from {from}\nMoving slot range 0-2 from {} to {} via atomic slot \
         migration###\n",
        servers[0].addr(),
        servers[1].addr()
    );
    assert!(ran.code == 0 && ran.stdout.ends_with(&moved), "{ran:?}");
}
