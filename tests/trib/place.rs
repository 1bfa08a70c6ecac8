//! Where nodes go: `create --spread`, shards that are written out, replicas that are added, and `trib reset`.

use crate::support::{Server, ServerKind};
use crate::{addrs, assert_in_order, trib, trib_with};

/// The port of the primary that the node replicates.
fn primary_of(server: &Server, servers: &[Server]) -> u16 {
    let nodes = server.text("CLUSTER NODES");
    let own = nodes.lines().find(|line| line.contains("myself")).expect("its own line");
    let id = own.split(' ').nth(3).expect("a primary");
    let primary = servers.iter().find(|other| other.text("CLUSTER MYID") == id);
    primary.unwrap_or_else(|| panic!("{} replicates nobody: {nodes}", server.addr())).port
}

#[test]
fn a_cluster_over_zones_and_one_of_given_shards_from_the_same_nodes() {
    let servers = Server::start_many(ServerKind::Node, 7, "");
    let (spare, servers) = servers.split_last().unwrap();
    let addr = |n: usize| servers[n].addr();

    // The order given would put two replicas beside their primaries.
    let zones = ["a", "a", "b", "b", "c", "c"];
    let said: Vec<String> = (0..6).map(|n| format!("--zone {}={}", addr(n), zones[n])).collect();
    let create = format!("create --yes --replicas 1 --spread zone {}", addrs(servers));
    let ran = trib(&create);
    assert!(ran.code == 1 && ran.stdout.contains("[ERR] The zone of"), "{ran:?}");
    let ran = trib(&format!("{create} {} --zone 127.0.0.9:1=a", said.join(" ")));
    assert!(ran.code == 2 && ran.stderr.contains("127.0.0.9:1, which is none of the nodes"), "{ran:?}");
    let ran = trib(&format!("{create} {}", said.join(" ")));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_in_order(&ran.stdout, &[">>> Spreading 6 nodes over 3 zones\n", "[OK] No replica shares the zone"]);
    let zone_at = |port: u16| zones[servers.iter().position(|server| server.port == port).unwrap()];
    for n in [1, 3, 5] {
        assert_ne!(zone_at(primary_of(&servers[n], servers)), zones[n], "{ran:?}");
    }

    // Another replica goes to a primary elsewhere, of those that have as few.
    let said = said.join(" ");
    let ran = trib(&format!("add-node --as-replica {said} --zone {}=c {} {}", spare.addr(), spare.addr(), addr(5)));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_ne!(zone_at(primary_of(spare, servers)), "c", "{ran:?}");

    // Nodes with keys are not reset by accident, and none of the others either.
    assert_eq!(servers[0].call::<String>("SET b 1").or_else(|_| servers[2].call("SET b 1")).unwrap(), "OK");
    let all = format!("{} {}", addrs(servers), spare.addr());
    let ran = trib(&format!("reset --yes {all}"));
    assert!(ran.code == 1 && ran.stdout.contains("holds 1 keys."), "{ran:?}");
    assert!(servers[5].text("CLUSTER NODES").lines().count() == 7);
    let dry = trib(&format!("reset --flush --dry-run {all}"));
    assert!(dry.code == 4 && dry.stdout.contains("delete all keys"), "{dry:?}");
    let no = trib_with(&format!("reset --flush {all}"), "no\n", &[]);
    assert_eq!(no.code, 5, "{no:?}");
    let before = spare.text("CLUSTER MYID");
    let ran = trib(&format!("reset --yes --flush --hard {all}"));
    assert!(ran.code == 0 && ran.stdout.ends_with("[OK] All 7 nodes were reset.\n"), "{ran:?}");
    assert_ne!(spare.text("CLUSTER MYID"), before);

    // The same nodes, as the operator wants them.
    let shards =
        format!("{}[{}|{}] {}[{}] {}", addr(5), addr(0), spare.addr(), addr(1), addr(2), addr(4)).replace('|', "|");
    let twice = trib(&format!("create --yes {shards} {}[{}]", addr(3), addr(2)));
    assert!(twice.code == 1 && twice.stdout.contains(&format!("[ERR] Node {} is given more than once.", addr(2))));
    assert!(
        twice.stderr.contains(&format!("as a replica of {} and as a replica of {}", addr(1), addr(3))),
        "{twice:?}"
    );
    let ran = trib(&format!("create --yes {shards}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    for (replica, primary) in [(&servers[0], 5), (spare, 5), (&servers[2], 1)] {
        assert_eq!(primary_of(replica, servers), servers[primary].port, "{ran:?}");
        assert!(ran.stdout.contains(&format!("Adding replica {} to {}\n", replica.addr(), addr(primary))));
    }
}

#[test]
fn a_node_that_serves_is_neither_reset_nor_advised_to_be() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = crate::cluster(3, 0, "");
    let fresh = Server::start_many(ServerKind::Stock, 2, "");
    let (one, other) = (servers[0].addr(), servers[1].addr());
    let ran = trib(&format!("reset --yes --hard --flush {one} {}", fresh[0].addr()));
    let told = format!("[ERR] Node {one} serves 5461 slots in a living cluster of 3 nodes.\n");
    assert!(ran.code == 1 && ran.stdout == told && ran.stderr.contains("trib del-node"), "{ran:?}");
    assert_eq!(servers[0].text("CLUSTER NODES").lines().count(), 3);
    for (line, said) in [
        (format!("add-node {other} {one}"), format!("hint: it already is a member of this cluster, as {other}")),
        (
            format!("create --yes {one} {}", addrs(&fresh)),
            format!("hint: {one} serves 5461 slots in a cluster of 3 nodes"),
        ),
    ] {
        let ran = trib(&line);
        assert_eq!(ran.code, 1, "{line}: {ran:?}");
        assert!(ran.stderr.contains(&said) && !ran.stderr.contains("trib reset"), "{line}: {ran:?}");
    }
    let ran = trib(&format!("reset --yes --hard --force {one}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    // Nobody is left who would miss them.
    let ran = trib(&format!("reset --yes {}", addrs(&servers[1..])));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn everything_that_speaks_against_a_cluster_is_said_at_once() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let good = Server::start_in_cluster_mode(ServerKind::Stock, "");
    let alone = Server::start(ServerKind::Stock, "");
    let locked = Server::start_in_cluster_mode(ServerKind::Stock, "requirepass sesame");
    assert_eq!(alone.text("SET key value"), "OK");
    let dead = format!("127.0.0.1:{}", crate::support::free_port());
    let ran = trib(&format!("create --yes {} {} {} {dead}", good.addr(), alone.addr(), locked.addr()));
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in [
        format!("[ERR] Node {} is not configured as a cluster node.", alone.addr()),
        format!("[ERR] Node {} is not empty.", alone.addr()),
        "NOAUTH Authentication required.".to_owned(),
        format!("[ERR] Sorry, can't connect to node {dead}"),
    ] {
        assert!(ran.stdout.contains(&said), "{said}: {ran:?}");
    }
    assert_eq!(good.text("CLUSTER NODES").lines().count(), 1);
    let few = trib(&format!("create --yes {}", good.addr()));
    assert!(few.code == 1 && few.stderr.contains("hint: --allow-few"), "{few:?}");
    // A bus port that nobody listens on is known before anything is changed.
    let bus = crate::support::free_port();
    let ran = trib(&format!("create --dry-run --allow-few {}@{bus}", good.addr()));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains(&format!("[WARNING] The cluster bus port {bus} of {}", good.addr())), "{ran:?}");
}
