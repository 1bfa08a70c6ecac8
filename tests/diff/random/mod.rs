//! Streams of random commands, made from a grammar and a seed, at both servers.
//!
//! A stretch is a thousand commands on an empty dataset, with a seed of its own. At its end the digests of both datasets
//! must agree, and each server must understand the other's RDB file. A stretch that shows a difference is run again with fewer and fewer commands, until none can be spared.
//!
//! - `DIFF_COMMANDS`: how many commands, instead of a short run
//! - `DIFF_SEED`: the seed of the first stretch

mod fields;
mod files;
mod generate;
mod judge;
mod replay;
mod replicas;
mod shrink;
mod tame;
mod template;
mod words;

use std::fmt::Write as _;

use crate::pair::{MODES, Mode, Pair};
use crate::reply::shown;
use crate::support::ServerKind;
use crate::{Oracle, STOCK, VALKEY};
use generate::{Generator, Op};

/// Commands of a stretch.
const STRETCH: usize = 1000;

/// Commands of each mode when nothing else is said.
const SHORT_RUN: usize = 8000;

/// The same with another server, for which there is less to say.
const SHORT_PEER_RUN: usize = 3000;

/// After so many bad stretches the rest can wait.
const REPORTED_MAX: usize = 10;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn run(oracle: Oracle, mode: Mode) {
    if !oracle.kind.is_available() {
        return;
    }
    let short_run = if oracle.kind == ServerKind::Stock { SHORT_RUN } else { SHORT_PEER_RUN };
    let commands = from_env("DIFF_COMMANDS").map_or(short_run, |n| n as usize);
    let first = from_env("DIFF_SEED").unwrap_or(1);
    let grammar = template::Grammar::read(oracle.grammar);
    let mut pair = Pair::start(mode, oracle.kind);
    let mut report = String::new();
    let mut reported = 0;
    for seed in (first..).take(commands.div_ceil(STRETCH)) {
        let ops = Generator::new(&grammar, seed, mode.cluster, oracle.kind != ServerKind::Stock).stretch(STRETCH);
        let Some(difference) = replay::run(&mut pair, &ops) else { continue };
        let _ = writeln!(report, "--- {mode:?}, DIFF_SEED={seed} DIFF_COMMANDS={STRETCH}, command {}", difference.at);
        let _ = writeln!(report, "{difference}");
        if let Some((few, difference)) = shrink::shrink(&mut pair, &ops[..=difference.at], &difference.name) {
            let _ = writeln!(report, "shrunk to:\n{}\n{difference}", listing(&few));
        } else {
            let _ = writeln!(report, "not seen again: a matter of time?");
        }
        reported += 1;
        if reported == REPORTED_MAX {
            break;
        }
    }
    assert!(report.is_empty(), "{report}");
}

fn listing(ops: &[Op]) -> String {
    let line = |op: &Op| format!("  {}{}", if op.client == 0 { "" } else { "(other client) " }, shown(&op.args));
    ops.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn resp2() {
    run(STOCK, MODES[0]);
}

#[test]
fn resp3() {
    run(STOCK, MODES[1]);
}

#[test]
fn cluster_resp2() {
    run(STOCK, MODES[2]);
}

#[test]
fn cluster_resp3() {
    run(STOCK, MODES[3]);
}

#[test]
fn valkey_resp2() {
    run(VALKEY, MODES[0]);
}

#[test]
fn valkey_resp3() {
    run(VALKEY, MODES[1]);
}

#[test]
fn valkey_cluster_resp2() {
    run(VALKEY, MODES[2]);
}

#[test]
fn valkey_cluster_resp3() {
    run(VALKEY, MODES[3]);
}
