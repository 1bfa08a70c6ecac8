//! The dataset on a disk that fails, tears and forgets: thousands of small lives of a server, each from one seed, with
//! commands, rewrites, saves and crashes between any two operations of the disk. After each crash the server must start,
//! hold a state that it really had, and have lost nothing that was durable.
//!
//! `CRASH_SEEDS=10000 cargo test --release --test crash` is the long run; `CRASH_SEED=n` runs one seed alone.

mod disk;
mod life;

use life::{Keeps, live};

/// Seeds in the short run.
const SEEDS: u64 = 40;

/// Seeds that once showed a mistake, for the short run as well.
const TELLING: [u64; 1] = [3639];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn run(keeps: Keeps) {
    let seeds: Vec<u64> = match number("CRASH_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CRASH_SEEDS").unwrap_or(SEEDS)).chain(TELLING).collect(),
    };
    let mut told = life::Told::default();
    for &seed in &seeds {
        told.add(live(seed, keeps));
    }
    eprintln!("{keeps:?}: {} seeds, {told:?}", seeds.len());
    if seeds.len() as u64 >= SEEDS {
        // A run in which nothing happened shows nothing.
        assert!(told.crashes > SEEDS && told.snapshots > SEEDS / 4 && told.refusals > 0, "{told:?}");
    }
}

#[test]
fn what_always_has_answered_is_there() {
    run(Keeps::Always);
}

#[test]
fn what_everysec_has_made_durable_is_there() {
    run(Keeps::EverySecond);
}

#[test]
fn the_last_complete_save_is_there() {
    run(Keeps::Saves);
}
