//! `trib check` and `trib info`.

use crate::support::{ServerKind, eventually, redis_cli_is_available};
use crate::{assert_in_order, cluster, redis_cli, trib};

#[test]
fn a_healthy_cluster_looks_as_redis_cli_shows_it() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    for (server, key) in servers.iter().zip(["b", "c", "a"]) {
        assert_eq!(server.text(&format!("SET {key} value")), "OK");
    }
    for line in [
        format!("--cluster check {}", servers[1].addr()),
        format!("--cluster check 127.0.0.1 {}", servers[5].port),
        format!("--cluster check {} --cluster-search-multiple-owners", servers[0].addr()),
        format!("--cluster info {}", servers[4].addr()),
    ] {
        let (ours, theirs) = (trib(&line), redis_cli(&line));
        assert_eq!(ours.stdout, theirs.stdout, "{line}");
        assert_eq!((ours.code, ours.stderr.as_str()), (0, ""), "{line}");
    }
    let info = trib(&format!("info {}", servers[0].addr()));
    let id = servers[0].text("CLUSTER MYID");
    assert_in_order(
        &info.stdout,
        &[
            &format!("{} ({}...) -> 1 keys | 5461 slots | 1 slaves.\n", servers[0].addr(), &id[..8]),
            "[OK] 3 keys in 3 masters.\n",
            "0.00 keys per slot on average.\n",
        ],
    );
}

#[test]
fn what_ails_a_cluster_is_found_by_check() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    let ids: Vec<String> = servers.iter().map(|server| server.text("CLUSTER MYID")).collect();

    // A slot that is on its way.
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT 7 MIGRATING {}", ids[1])), "OK");
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[
            &format!("[WARNING] Node {seed} has slots in migrating state (7).\n"),
            "[WARNING] The following slots are open: 7\n",
            "[OK] All 16384 slots covered.\n",
        ],
    );
    assert_eq!(trib(&format!("--cluster check {seed}")).code, 1);
    assert_eq!(servers[0].text("CLUSTER SETSLOT 7 STABLE"), "OK");
    assert_eq!(trib(&format!("check {seed}")).code, 0);

    // A dead replica, which the reference passes over.
    servers[5].kill();
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains(&format!("[ERR] Node {} ({}) is not reachable", servers[5].addr(), ids[5])), "{ran:?}");
    assert_eq!(trib(&format!("--cluster check {seed}")).code, 1);
    servers[5].restart();
    eventually("the replica is back", || trib(&format!("check {seed}")).code == 0);

    // A primary that nobody replaces leaves slots uncovered.
    servers[5].kill();
    servers[2].kill();
    let ran = trib(&format!("check {seed}"));
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.contains("[ERR] Not all 16384 slots are covered by nodes."), "{ran:?}");
    assert!(ran.stderr.contains("slots without an owner: 10923-16383"), "{ran:?}");
}

#[test]
fn a_node_that_disagrees_is_named() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    // The first one gives slot 100 up. No other node claims it, so nothing tells the others.
    assert_eq!(servers[0].text("CLUSTER DELSLOTS 100"), "OK");
    let ran = trib(&format!("check {}", servers[1].addr()));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &["[ERR] Nodes don't agree about configuration!\n", "[ERR] Not all 16384 slots are covered by nodes.\n"],
    );
    let first = servers[0].addr();
    assert!(ran.stderr.contains(&format!("{first} says that {first} does not own 100; others say it does")), "{ran:?}");
    assert!(ran.stderr.contains("slots without an owner: 100\n"), "{ran:?}");
}
