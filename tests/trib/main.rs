//! `trib` as its users run it, against stock servers and beside redis-cli.

#[path = "../support/mod.rs"]
mod support;

mod atomic;
mod backup;
mod connections;
mod create;
mod databases;
mod defects;
mod dialogs;
mod drain;
mod errors;
mod faults;
mod fix;
mod generated;
mod import;
mod inventory;
mod jobs;
mod kills;
mod limits;
mod links;
mod local;
mod lock;
mod look;
mod matrix;
mod members;
mod mishaps;
mod misuse;
mod peers_redis;
mod peers_valkey;
mod place;
mod plans;
mod roll;
mod shell;
mod slots;
mod snapshots;
mod transcript;
mod undo;
mod valkey_words;
mod work;

use support::{Ran, Server, ServerKind, run};

/// Runs `trib` with the words of one line.
fn trib(line: &str) -> Ran {
    trib_with(line, "", &[])
}

fn trib_with(line: &str, input: &str, env: &[(&str, &str)]) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    run(env!("CARGO_BIN_EXE_trib"), &words, input, env)
}

fn redis_cli(line: &str) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    run("redis-cli", &words, "", &[])
}

/// The addresses, separated by blanks.
fn addrs(servers: &[Server]) -> String {
    servers.iter().map(Server::addr).collect::<Vec<_>>().join(" ")
}

/// A cluster of stock servers that is up: `primaries * (1 + replicas)` of them, in order.
fn cluster(primaries: usize, replicas: usize, directives: &str) -> Vec<Server> {
    // Replicas need not wait for others to be fed with.
    let directives = format!("repl-diskless-sync-delay 0\n{directives}");
    let servers = Server::start_many(ServerKind::Stock, primaries * (1 + replicas), &directives);
    let password = directives.lines().find_map(|line| line.strip_prefix("requirepass ")).unwrap_or_default();
    let line = format!("create --yes --replicas {replicas} {}", addrs(&servers));
    let made = trib_with(&line, "", &[("REDISCLI_AUTH", password)]);
    assert_eq!(made.code, 0, "{made:?}");
    servers
}

/// Asserts that `lines` stand in the text, each after the one before.
fn assert_in_order(text: &str, lines: &[&str]) {
    let mut rest = text;
    for line in lines {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is missing, or too early, in\n{text}"));
        rest = &rest[at + line.len()..];
    }
}
