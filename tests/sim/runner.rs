//! Runs seeds, on two threads where that helps, and says how a broken one is seen again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::args::Args;
use crate::bugs;
use crate::plan::Plan;
use crate::queue::SEC;
use crate::run::{Outcome, run};
use crate::scale;
use crate::transcript;

/// Seeds that every change has to pass.
const GATE_SEEDS: u64 = 24;

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
    let checks: [(&str, Check); 5] = [
        ("same_seed_same_trace", same_trace),
        ("fixed_seeds", gate),
        ("broken_on_purpose", broken_on_purpose),
        ("hundred_nodes", hundred_nodes),
        ("transcript_finds_what_is_false", transcript::finds_what_is_false),
    ];
    let mut failed = false;
    for (name, check) in checks {
        // The search for mistakes takes long: it is run by its name.
        let wanted = |filter: &String| name.contains(filter.as_str());
        if args.filter.as_ref().map_or(name != "broken_on_purpose", wanted) {
            let ok = check(args);
            println!("sim {name} ... {}", if ok { "ok" } else { "FAILED" });
            failed |= !ok;
        }
    }
    failed |= !transcript::check(args);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A run that may panic.
fn safely(seed: u64, args: &Args, readable: bool) -> Outcome {
    let mut plan = Plan::of_seed(seed, args.nodes);
    plan.bug = args.bug;
    let attempt = catch_unwind(AssertUnwindSafe(|| run(plan, readable)));
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

/// Every mistake is seen within so many seeds.
const BUG_SEEDS: u64 = 400;

/// What a mistake breaks with a seed that is well without it.
fn broken_by(bug: bugs::Bug, seed: u64, args: &Args) -> Option<String> {
    let args = Args { bug: Some(bug), ..args.clone() };
    let what = safely(seed, &args, false).broken?;
    let without = safely(seed, &Args { bug: None, ..args }, false);
    without.broken.is_none().then_some(what)
}

fn broken_on_purpose(args: &Args) -> bool {
    bugs::ALL.iter().fold(true, |ok, &(name, bug)| {
        let seen = (0..BUG_SEEDS).find_map(|seed| Some((seed, broken_by(bug, seed, args)?)));
        match &seen {
            Some((seed, what)) => {
                println!("{name}: seen with seed {seed}: {}", what.lines().next().unwrap_or_default());
            }
            None => println!("{name}: not seen with {BUG_SEEDS} seeds"),
        }
        ok && seen.is_some()
    })
}

/// A hundred nodes: all slots are served again within 6 s after a third of the primaries was killed. Or so many as are
/// asked for, a tenth of which are killed, within 10 s.
fn hundred_nodes(args: &Args) -> bool {
    match args.nodes {
        None => scale::kill_many(1, 50, 16, 6 * SEC),
        // A tenth of all machines, and a little more time.
        Some(nodes) => scale::kill_many(1, nodes / 2, nodes / 10, 10 * SEC),
    }
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
