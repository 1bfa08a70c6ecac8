//! `node` as a process: real sockets, real files, the real bus, alone and beside stock servers.

#[path = "../support/mod.rs"]
mod support;

mod acks;
mod alone;
mod bad_input;
mod blocking;
mod capabilities;
mod check;
mod clients;
mod cluster;
mod cluster_auth;
mod cluster_commands;
mod cluster_files;
mod damaged;
mod debug;
mod durability;
mod ending;
mod faults;
mod fields;
mod incoming;
mod kill;
mod loading;
mod logs;
mod memory;
mod migrate;
mod moves;
mod old_files;
mod peers;
mod peers_cluster;
mod pubsub;
mod replication;
mod resync;
mod rewrites;
mod running;
mod slot_migration;
mod streams;

use support::{Ran, Server, ServerKind, eventually, run};

/// Runs `trib` with the words of one line.
fn trib(line: &str) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    run(env!("CARGO_BIN_EXE_trib"), &words, "", &[])
}

/// A cluster of three primaries with a replica each, on servers of these kinds in turn.
fn cluster_of(kinds: &[ServerKind], directives: &str) -> Vec<Server> {
    let directives = format!("repl-diskless-sync-delay 0\n{directives}");
    let servers: Vec<Server> =
        (0..6).map(|i| Server::start_in_cluster_mode(kinds[i % kinds.len()], &directives)).collect();
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    let made = trib(&format!("create --yes --replicas 1 {}", addrs.join(" ")));
    assert_eq!(made.code, 0, "{made:?}");
    servers
}

/// A line of INFO, CLUSTER INFO or the like.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).trim().to_owned()
}

/// A field that is a number.
fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number"))
}

fn role(server: &Server) -> String {
    server.call::<Vec<redis::Value>>("ROLE").map_or_else(
        |_| String::new(),
        |values| match values.first() {
            Some(redis::Value::BulkString(word)) => String::from_utf8_lossy(word).into_owned(),
            _ => String::new(),
        },
    )
}

/// Waits until every server says the cluster is ok and knows `nodes` of them.
fn wait_until_ok(servers: &[Server], nodes: usize) {
    for server in servers {
        eventually(&format!("{} sees the cluster ok", server.addr()), || {
            let info = server.call::<String>("CLUSTER INFO").unwrap_or_default();
            info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{nodes}\r"))
        });
    }
}
