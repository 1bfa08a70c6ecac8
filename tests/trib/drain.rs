//! `trib drain`, `trib del-node --drain` and `trib forget-failed`: nodes that go, on purpose or not.

use crate::connections::trib_json;
use crate::slots::{fill, id_of, keys_in, slots_of};
use crate::support::cluster_client::Writer;
use crate::support::{Server, ServerKind, eventually};
use crate::{assert_in_order, cluster, trib};

/// Its own line of CLUSTER NODES.
pub fn own_line(server: &Server) -> String {
    let nodes = server.text("CLUSTER NODES");
    nodes.lines().find(|line| line.contains("myself")).expect("its own line").to_owned()
}

fn is_known_to(id: &str, server: &Server) -> bool {
    server.text("CLUSTER NODES").contains(id)
}

#[test]
fn a_drained_node_is_empty_and_the_others_share_its_slots() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    // With and without a server that makes itself a replica when it has given its last slot.
    for migration in ["yes", "no"] {
        let servers = cluster(3, 1, &format!("cluster-allow-replica-migration {migration}"));
        let seed = servers[1].addr();
        fill(servers[0].port, 1000);
        let planned = trib_json(&format!("drain --dry-run --json {seed} {}", servers[0].addr()));
        let slots: Vec<&str> = planned["steps"].as_array().unwrap().iter().map(|s| s["do"].as_str().unwrap()).collect();
        assert_eq!(slots, ["move-slots", "move-slots"], "{planned}");
        assert_eq!(slots_of(&servers[0]), 5461, "a dry run moves nothing");
        let writer = Writer::start(servers[0].port, "live", 200);
        let ran = trib(&format!("drain {seed} {}", id_of(&servers[0])));
        writer.finish(servers[1].port);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_in_order(
            &ran.stdout,
            &[
                &format!(">>> Draining {}: 5461 slots\n", servers[0].addr()),
                "Moving 2731 slots from",
                &format!("[OK] Node {} owns no slots any more.\n", servers[0].addr()),
            ],
        );
        assert_eq!([slots_of(&servers[0]), slots_of(&servers[1]), slots_of(&servers[2])], [0, 8192, 8192]);
        assert_eq!(own_line(&servers[0]).contains("slave"), migration == "yes");
        assert_eq!(trib(&format!("check {seed}")).code, 0);
        let ran = trib(&format!("drain {} {}", servers[2].addr(), servers[0].addr()));
        assert_eq!(
            ran.code,
            i32::from(migration == "yes"),
            "a replica cannot be drained, an empty primary is: {ran:?}"
        );
    }
}

#[test]
fn a_node_is_removed_with_its_slots_moved_away() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    for (migration, replicas) in [("yes", "spread"), ("yes", "remove"), ("no", "spread")] {
        let servers = cluster(3, 1, &format!("cluster-allow-replica-migration {migration}"));
        let seed = servers[1].addr();
        fill(servers[1].port, 1000);
        let leaving = id_of(&servers[0]);
        let of_it = |server: &&Server| own_line(server).contains(&leaving) && own_line(server).contains("slave");
        let replica = servers.iter().find(of_it).expect("it has a replica");
        let ran = trib(&format!("del-node {seed} {leaving}"));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(&format!("trib del-node --drain {seed} {leaving}")), "{ran:?}");
        let writer = Writer::start(servers[1].port, "live", 200);
        let ran = trib(&format!("del-node --drain --replicas {replicas} {seed} {}", &leaving[..10]));
        let written = writer.finish(servers[1].port);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(written > 0);
        let stays =
            |server: &&Server| id_of(server) != leaving && (replicas == "spread" || id_of(server) != id_of(replica));
        let rest: Vec<&Server> = servers.iter().filter(stays).collect();
        for server in &rest {
            assert!(!is_known_to(&leaving, server), "{migration} {replicas}: {} has forgotten it", server.addr());
            assert_eq!(is_known_to(&id_of(replica), server), replicas == "spread");
        }
        assert_eq!(servers[0].text("CLUSTER NODES").lines().count(), 1);
        assert_eq!(servers[0].text("DBSIZE"), "0");
        if replicas == "spread" {
            let line = own_line(replica);
            assert!(line.contains("slave") && !line.contains(&leaving), "{line}");
        }
        assert_eq!(trib(&format!("check {seed}")).code, 0);
        assert!(keys_in(&servers[1..3]) >= 1000);
    }
}

#[test]
fn failed_nodes_are_forgotten_and_owners_are_named() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 2, "cluster-node-timeout 1000\ncluster-replica-no-failover yes");
    let seed = servers[1].addr();
    let ran = trib(&format!("forget-failed {seed}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[OK] There is no failed node that could be forgotten.\n"));
    let of = |primary: &Server| {
        let id = id_of(primary);
        servers[3..].iter().position(|server| own_line(server).contains(&id)).expect("it has a replica") + 3
    };
    let (replica, other) = (of(&servers[1]), of(&servers[0]));
    let (dead, heir) = (id_of(&servers[replica]), id_of(&servers[other]));
    servers[replica].kill();
    let fails = |server: &Server, id: &str| {
        let nodes = server.text("CLUSTER NODES");
        nodes.lines().any(|line| line.starts_with(id) && (line.contains(",fail ") || line.contains(",fail,")))
    };
    eventually("it is held to have failed", || [1, 2, 0].iter().all(|&n| fails(&servers[n], &dead)));
    let ran = trib(&format!("forget-failed --dry-run {seed}"));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(is_known_to(&dead, &servers[1]));
    assert_eq!(crate::trib_with(&format!("forget-failed {seed}"), "no\n", &[]).code, 5);
    let ran = trib(&format!("forget-failed --yes {seed}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("[OK] 1 node(s) forgotten.\n"), "{ran:?}");
    for n in (0..servers.len()).filter(|&n| n != replica) {
        assert!(!is_known_to(&dead, &servers[n]), "{}", servers[n].addr());
    }

    // An owner of slots is only named.
    let owner = id_of(&servers[0]);
    servers[0].kill();
    eventually("it is held to have failed", || fails(&servers[1], &owner) && fails(&servers[2], &owner));
    let ran = trib(&format!("forget-failed --yes {seed}"));
    assert_eq!(ran.code, 3, "{ran:?}");
    let others: Vec<&Server> = servers[3..].iter().filter(|server| server.port != servers[replica].port).collect();
    assert!(others.iter().any(|server| ran.stdout.contains(&format!("trib failover --forced --to {}", id_of(server)))));
    assert!(ran.stdout.contains("has failed and owns 5461 slots"), "{ran:?}");
    assert!(is_known_to(&owner, &servers[1]) && is_known_to(&heir, &servers[1]));
}
