//! `trib create`.

use std::collections::BTreeMap;

use crate::support::{Ran, Server, ServerKind, redis_cli_is_available};
use crate::{addrs, assert_in_order, redis_cli, trib, trib_with};

/// A key for each primary of a cluster of three: slots 3300, 7365 and 15495.
const KEYS: [&str; 3] = ["b", "c", "a"];

#[test]
fn six_nodes_of_one_host_become_three_primaries_and_their_replicas_in_order() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 6, "");
    let ran = trib_with(&format!("create --replicas 1 {}", addrs(&servers)), "yes\n", &[]);
    // The first write succeeds at once.
    for (server, key) in servers.iter().zip(KEYS) {
        assert_eq!(server.text(&format!("SET {key} value")), "OK");
    }
    assert_eq!(ran.code, 0, "{ran:?}");
    let addr = |i: usize| servers[i].addr();
    assert_in_order(
        &ran.stdout,
        &[
            ">>> Creating cluster\n",
            ">>> Performing hash slots allocation on 6 nodes...\n",
            &format!("Using 3 masters:\n{}\n{}\n{}\n", addr(0), addr(1), addr(2)),
            &format!("Adding replica {} to {}\n", addr(3), addr(0)),
            &format!("Adding replica {} to {}\n", addr(4), addr(1)),
            &format!("Adding replica {} to {}\n", addr(5), addr(2)),
            &format!("{}\n   slots:0-5460 (5461 slots) master\n", addr(0)),
            &format!("{}\n   slots:5461-10922 (5462 slots) master\n", addr(1)),
            &format!("{}\n   slots:10923-16383 (5461 slots) master\n", addr(2)),
            "Can I set the above configuration? (type 'yes' to accept): ",
            ">>> Nodes configuration updated\n",
            ">>> Assign a different config epoch to each node\n",
            ">>> Sending CLUSTER MEET messages to join the cluster\n",
            "Waiting for the cluster to join...",
            &format!(">>> Performing Cluster Check (using node {})\n", addr(0)),
            "[OK] All nodes agree about slots configuration.\n",
            ">>> Check for open slots...\n",
            ">>> Check slots coverage...\n",
            "[OK] All 16384 slots covered.\n",
        ],
    );
    let ids: Vec<String> = servers.iter().map(|server| server.text("CLUSTER MYID")).collect();
    for (replica, primary) in [(3, 0), (4, 1), (5, 2)] {
        // Every node has heard of it, not only the two.
        for server in &servers {
            let nodes = server.text("CLUSTER NODES");
            let line = nodes.lines().find(|line| line.starts_with(&ids[replica])).expect("known to all");
            assert!(line.contains(&format!("slave {}", ids[primary])), "{nodes}");
        }
    }
    let epochs: Vec<String> = servers[..3].iter().map(|server| info(server, "cluster_my_epoch")).collect();
    assert_eq!(epochs, ["1", "2", "3"]);
}

fn info(server: &Server, field: &str) -> String {
    let text = server.text("CLUSTER INFO");
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
}

/// Lines outside of the node blocks in order; lines of the blocks, which come in any order, counted.
fn shape(ran: &Ran, servers: &[Server]) -> (Vec<String>, BTreeMap<String, usize>) {
    let mut lines = Vec::new();
    let mut blocks = BTreeMap::new();
    for line in ran.stdout.lines() {
        let mut line = line.to_owned();
        for (i, server) in servers.iter().enumerate() {
            line = line.replace(&server.addr(), &format!("node-{i}"));
        }
        let words = line.split(' ').map(|word| match word.len() == 40 && !word.contains('-') {
            true => "ID",
            false => word,
        });
        line = words.collect::<Vec<_>>().join(" ");
        if line.starts_with("Adding replica") {
            // redis-cli exchanges replicas at random; ours stay in order.
            line = "Adding replica".to_owned();
        }
        if line.starts_with("M: ") || line.starts_with("S: ") || line.starts_with("   ") {
            *blocks.entry(line).or_insert(0) += 1;
        } else {
            lines.push(line.trim_matches('.').to_owned());
        }
    }
    (lines, blocks)
}

#[test]
fn the_cluster_grammar_prints_what_redis_cli_prints() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let theirs = Server::start_many(ServerKind::Stock, 6, "");
    let ours = Server::start_many(ServerKind::Stock, 6, "");
    let line = |servers: &[Server]| format!("--cluster create {} --cluster-replicas 1", addrs(servers));
    let their_run = crate::run("redis-cli", &line(&theirs).split(' ').collect::<Vec<_>>(), "yes\n", &[]);
    let our_run = trib_with(&line(&ours), "yes\n", &[]);
    assert_eq!((our_run.code, their_run.code), (0, 0), "{our_run:?}");
    assert_eq!(shape(&our_run, &ours), shape(&their_run, &theirs));
    assert_eq!(ours[0].text("SET b value"), "OK");
}

#[test]
fn without_replicas_and_with_one_too_many() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let three = Server::start_many(ServerKind::Stock, 3, "");
    assert_eq!(trib(&format!("create --yes {}", addrs(&three))).code, 0);
    assert_eq!(info(&three[2], "cluster_size"), "3");

    let seven = Server::start_many(ServerKind::Stock, 7, "");
    // Host names are looked up; the servers themselves take only addresses.
    let named = addrs(&seven).replace("127.0.0.1", "localhost");
    let ran = trib(&format!("create --yes --replicas 1 {named}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(&format!("Adding replica localhost:{} to localhost:{}", seven[6].port, seven[0].port)));
    let id = seven[0].text("CLUSTER MYID");
    let replicas: Vec<String> = seven[0].call(&format!("CLUSTER REPLICAS {id}")).unwrap();
    assert_eq!(replicas.len(), 2);
}

#[test]
fn a_password_for_all_nodes() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 6, "requirepass sesame\nmasterauth sesame");
    let line = format!("--cluster create --cluster-replicas 1 {}", addrs(&servers));
    let denied = trib_with(&line, "yes\n", &[]);
    assert_eq!(denied.code, 1);
    assert!(denied.stdout.contains("NOAUTH Authentication required."), "{denied:?}");
    let wrong = trib(&format!("create -a wrong --replicas 1 {}", addrs(&servers)));
    assert_eq!(wrong.code, 1);
    assert!(wrong.stdout.contains("WRONGPASS") && wrong.stderr.contains("hint: check the password"), "{wrong:?}");
    assert_strangers(&servers);

    // A replica that could not follow is found before anything is changed.
    assert_eq!(redis_cli(&format!("-a sesame -p {} CONFIG SET masterauth open", servers[4].port)).code, 0);
    let ran = trib(&format!("create --yes -a sesame --replicas 1 {}", addrs(&servers)));
    let text = format!("[ERR] {} could not log in to its primary {}", servers[4].addr(), servers[1].addr());
    assert!(ran.code == 1 && ran.stdout.contains(&text), "{ran:?}");
    assert_eq!(redis_cli(&format!("-a sesame -p {} CONFIG SET masterauth sesame", servers[4].port)).code, 0);

    let ran = trib_with(&format!("-a sesame {line}"), "yes\n", &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("Warning: Using a password"));
    let checked = trib_with(&format!("check {}", servers[4].addr()), "", &[("REDISCLI_AUTH", "sesame")]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
}

/// Asserts that the nodes know nobody and own nothing.
fn assert_strangers(servers: &[Server]) {
    for server in servers {
        let nodes = server.text("CLUSTER NODES");
        assert_eq!(nodes.lines().count(), 1, "{nodes}");
        assert_eq!(info(server, "cluster_slots_assigned"), "0");
    }
}

#[test]
fn what_cannot_become_a_cluster_is_refused_and_left_alone() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 5, "");
    let alone = Server::start(ServerKind::Stock, "");
    let (one, two, three) = (servers[0].addr(), servers[1].addr(), servers[2].addr());
    let dead = format!("127.0.0.1:{}", crate::support::free_port());

    // Two of them know each other.
    assert_eq!(servers[3].text(&format!("CLUSTER MEET 127.0.0.1 {}", servers[4].port)), "OK");
    crate::support::eventually("they know each other", || servers[3].text("CLUSTER NODES").lines().count() == 2);
    let busy = servers[3].addr();

    for (line, said) in [
        (format!("{one} {two} {dead}"), format!("[ERR] Sorry, can't connect to node {dead}\n")),
        (
            format!("{one} {two} {}", alone.addr()),
            format!("[ERR] Node {} is not configured as a cluster node.", alone.addr()),
        ),
        (
            format!("{one} {two} {busy}"),
            format!("[ERR] Node {busy} is not empty. Either the node already knows other nodes"),
        ),
        (format!("{one} {two} {one} {three}"), format!("[ERR] Node {one} is given more than once.")),
        (format!("{one} {two} {three} localhost:{}", servers[2].port), "are the same node".to_owned()),
        (format!("{one} {two}"), "*** Redis Cluster requires at least 3 master nodes.".to_owned()),
        (format!("--replicas 1 {one} {two} {three}"), "*** At least 6 nodes are required.".to_owned()),
    ] {
        for grammar in ["create --yes", "--cluster create --cluster-yes"] {
            let ran = trib(&format!("{grammar} {line}"));
            assert_eq!(ran.code, 1, "{line}: {ran:?}");
            if grammar.starts_with("create") || !line.contains(&dead) {
                assert!(ran.stdout.contains(&said), "{line}: {ran:?}");
            } else {
                assert!(ran.stderr.contains(&format!("Could not connect to Redis at {dead}")), "{ran:?}");
            }
        }
    }
    assert_strangers(&servers[..3]);

    // A node with a key is not empty either; the complaint goes away with the key.
    let full = format!("{one} {two} {three}");
    assert_eq!(servers[0].text("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    crate::support::eventually("it takes a key", || servers[0].call::<String>("SET key value").is_ok());
    let ran = trib(&format!("create --yes {full}"));
    assert!(ran.code == 1 && ran.stdout.contains(&format!("[ERR] Node {one} is not empty.")), "{ran:?}");
    assert_eq!(servers[0].text("FLUSHALL"), "OK");
    let ran = trib(&format!("create --yes {full}"));
    assert!(ran.code == 1 && ran.stdout.contains("already owns 16384 slots"), "{ran:?}");
    assert_eq!(servers[0].text("CLUSTER FLUSHSLOTS"), "OK");
    let ran = trib(&format!("create --yes {full}"));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn no_is_an_answer_and_silence_is_not() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 3, "");
    let addrs = addrs(&servers);
    for (grammar, input, code) in
        [("create", "no\n", 5), ("create", "", 1), ("--cluster create", "no\n", 0), ("--cluster create", "", 1)]
    {
        let ran = trib_with(&format!("{grammar} {addrs}"), input, &[]);
        assert_eq!(ran.code, code, "{grammar} {input:?}: {ran:?}");
        assert!(!ran.stdout.contains(">>> Nodes configuration updated"));
    }
    assert_strangers(&servers);
    let consent = [("REDISCLI_CLUSTER_YES", "1")];
    assert_eq!(trib_with(&format!("--cluster create {addrs}"), "", &consent).code, 0);
}

#[test]
fn nodes_that_cannot_join_are_left_as_they_were() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = Server::start_many(ServerKind::Stock, 3, "");
    // Nobody listens on the bus port that the third one is said to have.
    let wrong =
        format!("{} {} {}@{}", servers[0].addr(), servers[1].addr(), servers[2].addr(), crate::support::free_port());
    let ran = trib(&format!("create --yes --wait 3 {wrong}"));
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.stderr.contains("open the cluster bus ports"), "{ran:?}");
    assert_strangers(&servers);
    let ran = trib(&format!("create --yes {}", addrs(&servers)));
    assert_eq!(ran.code, 0, "the same nodes can be used at once: {ran:?}");
    assert_eq!(redis_cli(&format!("-p {} PING", servers[0].port)).stdout, "PONG\n");
}
