//! The dataset on a disk that fails, tears and forgets: thousands of small lives of a server, each from one seed, with
//! commands, rewrites, saves and crashes between any two operations of the disk. After each crash the server must start,
//! hold a state that it really had, and have lost nothing that was durable.
//!
//! `CRASH_SEEDS=10000 cargo test --release --test crash` is the long run; `CRASH_SEED=n` runs one seed alone.

mod disk;
mod life;

use std::collections::BTreeSet;
use std::path::Path;

use disk::SimDisk;
use life::{Keeps, live};
use trib::persist::aof::{BaseFormat, Begun, Log, LogFile, Manifest, Place};
use trib::persist::disk::Disk;

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

#[test]
fn no_increment_has_the_name_of_one_that_is_about_to_be_deleted() {
    let disk = SimDisk::new(1);
    let place = Place { dir: "/data/log".into(), name: "a".to_owned(), keep_history: false };
    let mut log = Log::new(disk.clone());
    log.open(place.clone(), Manifest::default()).unwrap();
    let mut seen = BTreeSet::new();
    let mut is_new = |log: &Log<SimDisk>| seen.insert(log.manifest().increments.last().unwrap().name.clone());
    assert!(is_new(&log));
    for round in 0..6 {
        for switched in [false, true] {
            if switched {
                log.close();
                log.find(place.clone()).unwrap();
            }
            assert_eq!(log.begin_rewrite(|_| Some(BaseFormat::Rdb)).unwrap(), Begun::Yes);
            let temp = Path::new("/data/log/temp");
            disk.create(temp).unwrap();
            log.finish_rewrite(temp).unwrap();
            // Who deletes them may come to it only when the next one is there.
            let garbage = log.garbage();
            log.forget(&garbage);
            assert!(is_new(&log), "round {round}, {switched}: {:?}", log.manifest());
        }
    }
}
