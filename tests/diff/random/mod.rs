//! Streams of random commands, made from a grammar and a seed, at both servers.
//!
//! A stretch is a thousand commands on an empty dataset, with a seed of its own. At its end the digests of both datasets
//! must agree, and each server must understand the other's RDB file. A stretch that shows a difference is run again with fewer and fewer commands, until none can be spared.
//!
//! - `DIFF_COMMANDS`: how many commands, instead of a short run
//! - `DIFF_SEED`: the seed of the first stretch

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

use crate::pair::{Mode, Pair};
use crate::reply::shown;
use generate::{Generator, Op};

/// Commands of a stretch.
const STRETCH: usize = 1000;

/// Commands of each mode when nothing else is said.
const SHORT_RUN: usize = 8000;

/// After so many bad stretches the rest can wait.
const REPORTED_MAX: usize = 10;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn run(mode: Mode) {
    if !crate::stock_is_available() {
        return;
    }
    let commands = from_env("DIFF_COMMANDS").map_or(SHORT_RUN, |n| n as usize);
    let first = from_env("DIFF_SEED").unwrap_or(1);
    let grammar = template::Grammar::read();
    let mut pair = Pair::start(mode);
    let mut report = String::new();
    let mut reported = 0;
    for seed in (first..).take(commands.div_ceil(STRETCH)) {
        let ops = Generator::new(&grammar, seed, mode.cluster).stretch(STRETCH);
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
    run(Mode { resp3: false, cluster: false });
}

#[test]
fn resp3() {
    run(Mode { resp3: true, cluster: false });
}

#[test]
fn cluster_resp2() {
    run(Mode { resp3: false, cluster: true });
}

#[test]
fn cluster_resp3() {
    run(Mode { resp3: true, cluster: true });
}
