//! `trib add-node` and `trib del-node`.

use crate::support::{Server, ServerKind, eventually};
use crate::{assert_in_order, cluster, trib};

fn id(server: &Server) -> String {
    server.text("CLUSTER MYID")
}

#[test]
fn nodes_come_and_go() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 1, "");
    let new = Server::start_many(ServerKind::Stock, 3, "");
    let seed = servers[0].addr();

    // An empty primary, which takes slots at once.
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    let _: String = redis::cmd("FUNCTION").arg("LOAD").arg(library).query(&mut servers[0].connect()).unwrap();
    let ran = trib(&format!("add-node {} {seed}", new[0].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[
            &format!(">>> Adding node {} to cluster {seed}\n", new[0].addr()),
            &format!(">>> Performing Cluster Check (using node {seed})\n"),
            "[OK] All 16384 slots covered.\n",
            &format!(">>> Send CLUSTER MEET to node {} to make it join the cluster.\n", new[0].addr()),
            "[OK] New node added correctly.\n",
        ],
    );
    assert!(new[0].text("CLUSTER INFO").contains("cluster_state:ok"));
    let functions: redis::Value = new[0].call("FUNCTION LIST").unwrap();
    assert!(matches!(functions, redis::Value::Array(list) if list.len() == 1), "the functions came along");

    // A replica of just that one, and one of whoever has the fewest.
    let ran = trib(&format!("add-node --slave --master-id {} {} {seed}", id(&new[0]), new[1].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[
            "Waiting for the cluster to join...",
            &format!(">>> Configure node as replica of {}.\n", new[0].addr()),
            "[OK] New node added correctly.\n",
        ],
    );
    let ran = trib(&format!("--cluster add-node {} {seed} --cluster-slave", new[2].addr()));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("Automatically selected master "), "{ran:?}");
    assert_eq!(trib(&format!("check {seed}")).code, 0);

    // A primary leaves; its replica gets another one.
    let leaving = id(&new[0]);
    let ran = trib(&format!("del-node {seed} {leaving}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(
        &ran.stdout,
        &[
            &format!(">>> Removing node {leaving} from cluster {seed}\n"),
            ">>> Sending CLUSTER FORGET messages to the cluster...\n",
            &format!(">>> {} as replica of ", new[1].addr()),
            ">>> Sending CLUSTER RESET SOFT to the deleted node.\n",
        ],
    );
    for server in servers.iter().chain(&new[1..]) {
        assert!(!server.text("CLUSTER NODES").contains(&leaving), "forgotten by {}", server.addr());
    }
    assert_eq!(new[0].text("CLUSTER NODES").lines().count(), 1);
    let line = new[1].text("CLUSTER NODES");
    assert!(line.contains("myself,slave"), "{line}");

    // It can come back.
    assert_eq!(trib(&format!("add-node --slave {} {seed}", new[0].addr())).code, 0);
    assert_eq!(trib(&format!("check {seed}")).code, 0);
}

#[test]
fn a_dead_node_is_removed_by_its_id() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let mut servers = cluster(3, 1, "");
    let seed = servers[0].addr();
    let dead = id(&servers[5]);
    servers[5].kill();
    let ran = trib(&format!("del-node {seed} {}", &dead[..12]));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stdout.contains("RESET"), "{ran:?}");
    for server in &servers[..5] {
        assert!(!server.text("CLUSTER NODES").contains(&dead));
    }
    assert_eq!(trib(&format!("check {seed}")).code, 0);
}

#[test]
fn members_that_cannot_be_are_refused() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "");
    let seed = servers[0].addr();
    let new = Server::start_in_cluster_mode(ServerKind::Stock, "");
    let alone = Server::start(ServerKind::Stock, "");
    let dead = format!("127.0.0.1:{}", crate::support::free_port());
    let unknown = "0123456789012345678901234567890123456789";
    let owner = id(&servers[1]);
    for (line, said) in [
        (format!("add-node {dead} {seed}"), format!("[ERR] Sorry, can't connect to node {dead}")),
        (
            format!("add-node {} {seed}", alone.addr()),
            format!("[ERR] Node {} is not configured as a cluster node.", alone.addr()),
        ),
        (format!("add-node {} {seed}", servers[1].addr()), format!("[ERR] Node {} is not empty.", servers[1].addr())),
        (
            format!("add-node --slave --master-id {unknown} {} {seed}", new.addr()),
            format!("[ERR] No such master ID {unknown}"),
        ),
        (format!("del-node {seed} {unknown}"), format!("[ERR] No such node ID {unknown}")),
        (
            format!("del-node {seed} {owner}"),
            format!("[ERR] Node {} is not empty! Reshard data away and try again.", servers[1].addr()),
        ),
    ] {
        for grammar in ["", "--cluster "] {
            let line = match grammar {
                "" => line.clone(),
                _ => format!(
                    "--cluster {}",
                    line.replace("--slave", "--cluster-slave").replace("--master-id", "--cluster-master-id")
                ),
            };
            let ran = trib(&line);
            assert_eq!(ran.code, 1, "{line}: {ran:?}");
            assert!(ran.stdout.contains(&said), "{line}: {ran:?}");
        }
    }
    assert_eq!(new.text("CLUSTER NODES").lines().count(), 1);
    // An unhealthy cluster takes nobody in.
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT 7 MIGRATING {owner}")), "OK");
    let ran = trib(&format!("add-node {} {seed}", new.addr()));
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(new.text("CLUSTER NODES").lines().count(), 1);
    eventually("the cluster is as it was", || servers[0].text("CLUSTER NODES").lines().count() == 3);
}
