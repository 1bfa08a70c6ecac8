//! Runs seeds, on two threads where that helps, and says how a broken one is seen again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::args::Args;
use crate::plan::Plan;
use crate::queue::SEC;
use crate::run::{Outcome, run};

/// Seeds that every change has to pass.
const GATE_SEEDS: u64 = 30;

/// The last lines of a broken run's log that are shown when not all are asked for.
const SHOWN_LINES: usize = 200;

/// One thing that every change has to pass.
type Check = fn(&Args) -> bool;

/// The sums over many runs.
#[derive(Default)]
struct Sums {
    events: AtomicU64,
    faults: AtomicU64,
    acked: AtomicU64,
    waited: AtomicU64,
    promotions: AtomicU64,
    virtual_secs: AtomicU64,
}

pub fn main(args: &Args) -> ExitCode {
    if let Some(seed) = args.seed {
        return one(seed, args);
    }
    if args.seeds.is_some() {
        let ok = many(args.from, args.seeds.unwrap_or(GATE_SEEDS), args);
        return if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let checks: [(&str, Check); 2] = [("same_seed_same_trace", same_trace), ("fixed_seeds", gate)];
    let mut failed = false;
    for (name, check) in checks {
        if args.filter.as_ref().is_none_or(|filter| name.contains(filter)) {
            let ok = check(args);
            println!("sim {name} ... {}", if ok { "ok" } else { "FAILED" });
            failed |= !ok;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A run that may panic.
fn safely(seed: u64, args: &Args, readable: bool) -> Outcome {
    let attempt = catch_unwind(AssertUnwindSafe(|| run(Plan::of_seed(seed, args.nodes), readable)));
    attempt.unwrap_or_else(|_| Outcome::panicked())
}

fn replay_command(seed: u64, args: &Args) -> String {
    let nodes = args.nodes.map_or(String::new(), |nodes| format!(" --nodes {nodes}"));
    format!("cargo test --test sim -- --seed {seed}{nodes}")
}

fn one(seed: u64, args: &Args) -> ExitCode {
    let outcome = safely(seed, args, true);
    let shown = if args.log { usize::MAX } else { SHOWN_LINES };
    if args.log || outcome.broken.is_some() {
        let from = outcome.log.len().saturating_sub(shown);
        outcome.log[from..].iter().for_each(|line| println!("{line}"));
    }
    println!(
        "seed {seed}: trace {:016x}, {} events, {} faults, {} promotions, {} writes acknowledged, {} confirmed by WAIT",
        outcome.hash, outcome.events, outcome.faults, outcome.promotions, outcome.acked, outcome.waited
    );
    match outcome.broken {
        None => ExitCode::SUCCESS,
        Some(what) => {
            println!("seed {seed} is broken {what}");
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, count: u64, args: &Args) -> bool {
    let (next, sums, broken) = (AtomicU64::new(from), Sums::default(), Mutex::new(Vec::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..args.threads.unwrap_or(2) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let outcome = safely(seed, args, false);
                    sums.add(&outcome);
                    if let Some(what) = outcome.broken {
                        println!("seed {seed} is broken {what}\n  replay: {}", replay_command(seed, args));
                        if let Ok(mut broken) = broken.lock() {
                            broken.push(seed);
                        }
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap_or_default();
    sums.print(count, broken.len(), begun.elapsed().as_secs_f64());
    broken.is_empty()
}

fn gate(args: &Args) -> bool {
    many(0, GATE_SEEDS, args)
}

/// The same seed gives the same trace twice, another seed another.
fn same_trace(args: &Args) -> bool {
    (0..4).all(|seed| {
        let (first, second) = (safely(seed, args, false), safely(seed, args, true));
        let other = safely(seed + 1, args, false);
        if first.hash != second.hash || first.hash == other.hash {
            println!("seed {seed}: {:016x}, then {:016x}; the next: {:016x}", first.hash, second.hash, other.hash);
        }
        first.hash == second.hash && first.events == second.events && first.hash != other.hash
    })
}

impl Sums {
    fn add(&self, outcome: &Outcome) {
        self.events.fetch_add(outcome.events, Relaxed);
        self.faults.fetch_add(outcome.faults, Relaxed);
        self.acked.fetch_add(outcome.acked, Relaxed);
        self.waited.fetch_add(outcome.waited, Relaxed);
        self.promotions.fetch_add(outcome.promotions, Relaxed);
        self.virtual_secs.fetch_add(outcome.virtual_time / SEC, Relaxed);
    }

    fn print(&self, seeds: u64, broken: usize, secs: f64) {
        println!(
            "{seeds} seeds, {broken} broken, {secs:.1} s ({:.1} ms a seed): {} virtual seconds, {} events, {} faults, {} \
             promotions, {} writes acknowledged, {} confirmed by WAIT",
            secs * 1000.0 / seeds as f64,
            self.virtual_secs.load(Relaxed),
            self.events.load(Relaxed),
            self.faults.load(Relaxed),
            self.promotions.load(Relaxed),
            self.acked.load(Relaxed),
            self.waited.load(Relaxed),
        );
    }
}
