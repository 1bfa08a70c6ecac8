//! Roles change and servers restart: nobody loads everything anew who has it already.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Server, ServerKind, eventually};
use crate::{field, number, role};

use ServerKind::{Node, Stock};

const DIRECTIVES: &str = "repl-diskless-sync-delay 0\nenable-debug-command local\nrepl-ping-replica-period 1";

fn info(server: &Server, section: &str, name: &str) -> String {
    field(&server.text(&format!("INFO {section}")), name)
}

/// How many replicas were brought up with a snapshot, and how many went on where they were.
fn syncs(server: &Server) -> (u64, u64) {
    (number(&info(server, "stats", "sync_full")), number(&info(server, "stats", "sync_partial_ok")))
}

fn is_linked(replica: &Server) -> bool {
    let text = replica.call::<String>("INFO replication").unwrap_or_default();
    text.contains("role:slave") && text.contains("master_link_status:up")
}

fn follow(replica: &Server, primary: &Server) {
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    eventually("the link is up", || is_linked(replica));
}

/// What is written at the one arrives at the other.
fn assert_follows(replica: &Server, primary: &Server) {
    let stamp = primary.text("DBSIZE");
    assert_eq!(primary.text(&format!("SET stamp:{stamp} {stamp}")), "OK");
    eventually("the datasets are equal", || {
        primary.text("DEBUG DIGEST") == replica.call::<String>("DEBUG DIGEST").unwrap_or_default()
    });
}

fn fill(server: &Server) {
    for i in 0..100 {
        assert_eq!(server.text(&format!("SET key{i} {i}")), "OK");
    }
    assert_eq!(server.text("RPUSH list a b c"), "3");
}

fn shut_down(server: &mut Server) {
    let _ = server.call::<String>("SHUTDOWN SAVE");
    eventually("it has ended", || server.has_ended());
    server.restart();
}

fn is_missing(kinds: &[ServerKind]) -> bool {
    !kinds.iter().all(|kind| kind.is_available())
}

fn primary_restarts(primary: ServerKind, replica: ServerKind) {
    if is_missing(&[primary, replica]) {
        return;
    }
    let mut primary = Server::start(primary, DIRECTIVES);
    let replica = Server::start(replica, DIRECTIVES);
    follow(&replica, &primary);
    fill(&primary);
    shut_down(&mut primary);
    eventually("the replica is back", || is_linked(&replica) && syncs(&primary) == (0, 1));
    assert_follows(&replica, &primary);
}

#[test]
fn a_node_that_was_shut_down_lets_its_replica_go_on() {
    primary_restarts(Node, Node);
    primary_restarts(Node, Stock);
}

#[test]
fn a_node_goes_on_from_a_stock_primary_that_was_shut_down() {
    primary_restarts(Stock, Node);
}

fn replica_restarts(primary: ServerKind, replica: ServerKind) {
    if is_missing(&[primary, replica]) {
        return;
    }
    let primary = Server::start(primary, DIRECTIVES);
    let mut replica = Server::start(replica, &format!("{DIRECTIVES}\nreplicaof 127.0.0.1 {}", primary.port));
    eventually("the link is up", || is_linked(&replica));
    fill(&primary);
    assert_follows(&replica, &primary);
    shut_down(&mut replica);
    eventually("the replica is back", || is_linked(&replica));
    assert_eq!(syncs(&primary), (1, 1));
    assert_follows(&replica, &primary);
}

#[test]
fn a_replica_that_was_shut_down_goes_on() {
    replica_restarts(Node, Node);
    replica_restarts(Stock, Node);
    replica_restarts(Node, Stock);
}

/// A chain of three; the one in the middle is promoted, and the head follows it.
fn chain(kinds: [ServerKind; 3]) {
    if is_missing(&kinds) {
        return;
    }
    let [head, middle, tail] = kinds.map(|kind| Server::start(kind, DIRECTIVES));
    fill(&head);
    follow(&middle, &head);
    follow(&tail, &middle);
    assert_follows(&tail, &head);
    // What the replicas have changes nothing in the stream.
    assert_eq!(info(&tail, "replication", "master_replid"), info(&head, "replication", "master_replid"));

    assert_eq!(middle.text("REPLICAOF NO ONE"), "OK");
    eventually("the tail has gone on", || is_linked(&tail) && syncs(&middle) == (1, 1));
    assert_follows(&tail, &middle);
    follow(&head, &middle);
    eventually("the head has gone on", || syncs(&middle) == (1, 2));
    assert_follows(&head, &middle);
    assert_follows(&tail, &middle);
}

#[test]
fn chains_stay_together() {
    chain([Node, Node, Node]);
}

#[test]
fn chains_with_stock_servers_stay_together() {
    chain([Stock, Node, Stock]);
    chain([Node, Stock, Node]);
}

/// A full synchronisation of a server that has other data.
fn loads(primary: ServerKind, replica: ServerKind, of_primary: &str, of_replica: &str) {
    if is_missing(&[primary, replica]) {
        return;
    }
    let primary = Server::start(primary, &format!("{DIRECTIVES}\n{of_primary}"));
    let replica = Server::start(replica, &format!("{DIRECTIVES}\n{of_replica}"));
    fill(&primary);
    let value = "x".repeat(100_000);
    for i in 0..20 {
        assert_eq!(primary.text(&format!("SET large{i} {value}")), "OK");
    }
    assert_eq!(replica.text("SET own 1"), "OK");
    follow(&replica, &primary);
    assert_follows(&replica, &primary);
    assert_eq!((syncs(&primary), replica.text("EXISTS own").as_str()), ((1, 0), "0"));
}

#[test]
fn snapshots_are_taken_in_every_way() {
    for way in ["disabled", "on-empty-db", "swapdb", "flush-before-load"] {
        for sync in ["yes", "no"] {
            let of_primary = format!("repl-diskless-sync {sync}");
            loads(Node, Node, &of_primary, &format!("repl-diskless-load {way}\nrdb-del-sync-files yes"));
            loads(Stock, Node, &of_primary, &format!("repl-diskless-load {way}\nappendonly yes"));
        }
    }
    for way in ["disabled", "swapdb"] {
        loads(Node, Stock, "", &format!("repl-diskless-load {way}"));
    }
}

/// A full synchronisation while a client writes: the replica has all of it at the end.
fn loads_under_writes(of_primary: &str, of_replica: &str, syncs_wanted: (u64, u64)) {
    let primary = Server::start(Node, &format!("{DIRECTIVES}\n{of_primary}"));
    let replica = Server::start(Node, &format!("{DIRECTIVES}\n{of_replica}"));
    let value = "x".repeat(1000);
    let mut connection = primary.connect();
    for i in 0..5 {
        let mut pipe = redis::pipe();
        (0..1000).for_each(|k| _ = pipe.cmd("SET").arg(format!("key{}", i * 1000 + k)).arg(&value).ignore());
        pipe.exec(&mut connection).unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = primary.connect();
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let mut pipe = redis::pipe();
                for _ in 0..50 {
                    n += 7919;
                    pipe.cmd("APPEND").arg(format!("key{}", n % 5000)).arg(n).ignore();
                    pipe.cmd("RPUSH").arg(format!("list{}", n % 10)).arg(n).ignore();
                }
                pipe.exec(&mut connection).unwrap();
            }
        });
        follow(&replica, &primary);
        let before = number(&info(&replica, "replication", "slave_repl_offset"));
        eventually("the stream goes on", || {
            number(&info(&replica, "replication", "slave_repl_offset")) > before + 50_000
        });
        stop.store(true, Ordering::Relaxed);
    });
    assert_follows(&replica, &primary);
    assert_eq!(syncs(&primary), syncs_wanted, "{of_primary} {of_replica}");
}

#[test]
fn writes_during_a_full_synchronisation_arrive() {
    loads_under_writes("", "", (1, 0));
    loads_under_writes("repl-diskless-sync no", "repl-diskless-load swapdb", (1, 0));
    loads_under_writes("", "repl-diskless-load flush-before-load", (1, 0));
}

#[test]
fn with_two_links_the_stream_comes_beside_the_snapshot() {
    let dual = "dual-channel-replication-enabled yes";
    loads_under_writes(dual, dual, (1, 1));
    loads_under_writes(dual, &format!("{dual}\nrepl-diskless-load swapdb"), (1, 1));
    // One side alone does it in the old way.
    loads_under_writes(dual, "", (1, 0));
    loads_under_writes("", dual, (1, 0));
}

/// FAILOVER with a replica that takes over and a sibling that goes along.
fn hands_over(primary: ServerKind, target: ServerKind) {
    if is_missing(&[primary, target]) {
        return;
    }
    let [primary, target, sibling] = [primary, target, Node].map(|kind| Server::start(kind, DIRECTIVES));
    fill(&primary);
    follow(&target, &primary);
    follow(&sibling, &primary);
    assert_eq!(primary.text(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 20000", target.port)), "OK");
    eventually("the roles have changed", || role(&target) == "master" && is_linked(&primary));
    assert_eq!(info(&primary, "replication", "master_failover_state"), "no-failover");
    assert_eq!(syncs(&target), (0, 1));
    assert_follows(&primary, &target);
    follow(&sibling, &target);
    assert_eq!(syncs(&target), (0, 2));
    assert_follows(&sibling, &target);
    // And back again, without naming anybody.
    assert_eq!(sibling.text("REPLICAOF NO ONE"), "OK");
    eventually("only one replica is left", || info(&target, "replication", "connected_slaves") == "1");
    assert_eq!(target.text("FAILOVER"), "OK");
    eventually("the roles are as before", || role(&primary) == "master" && is_linked(&target));
    assert_follows(&target, &primary);
}

#[test]
fn failover_between_nodes() {
    hands_over(Node, Node);
}

#[test]
fn failover_between_nodes_and_stock_servers() {
    hands_over(Node, Stock);
    hands_over(Stock, Node);
}
