//! The dataset on a disk that fails, tears and forgets: thousands of small lives of a server, each from one seed, with
//! commands, rewrites, saves and crashes between any two operations of the disk. After each crash the server must start,
//! hold a state that it really had, and have lost nothing that was durable.
//!
//! `CRASH_SEEDS=10000 cargo test --release --test crash` is the long run; `CRASH_SEED=n` runs one seed alone.

mod disk;
mod life;

use disk::SimDisk;
use life::{Keeps, live};
use trib::persist::aof::{Log, LogFile, Manifest, Place};

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

#[test]
fn a_start_that_changes_nothing_needs_no_room() {
    let disk = SimDisk::new(1);
    let place = Place { dir: "/data/log".into(), name: "a".to_owned(), keep_history: false };
    let open = |manifest: &Manifest| {
        let mut log = Log::new(disk.clone());
        log.open(place.clone(), manifest.clone()).map(|()| log.manifest().clone())
    };
    let manifest = open(&Manifest::default()).unwrap();
    disk.fill_up();
    assert_eq!(open(&manifest).unwrap(), manifest);
    // One that is not on disk yet has to be written.
    let history = vec![LogFile { name: b"a.old".to_vec(), seq: 1 }];
    assert!(open(&Manifest { history, ..manifest }).is_err());
}
