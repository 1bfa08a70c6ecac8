//! What the process asks of the system for itself: no huge pages, a score for the system's killer of processes, CPUs to
//! run on, and a thread for the allocator.

use std::fs;
use std::io;
use std::sync::OnceLock;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::log::Logger;
use super::startup::plain;
use crate::config::{Config, OomScoreAdj};

const SCORE_FILE: &str = "/proc/self/oom_score_adj";

/// Does all that the configuration asks for. What the system refuses is told in the log: the server runs without it.
pub fn at_start(config: &Config, logger: &Logger) {
    if config.disable_thp
        && let Err(error) = rustix::thread::disable_transparent_huge_pages(true)
    {
        logger.warning(format_args!("Failed to disable Transparent Huge Pages: {}", plain(&error.into())));
    }
    if let Err(error) = rate(config, config.replicaof.is_some()) {
        logger.warning(format_args!("Unable to write oom_score_adj: {}", plain(&error)));
    }
    run_allocator_thread(config.jemalloc_bg_thread, logger);
}

/// Whether the allocator has a thread that gives unused pages back.
pub fn run_allocator_thread(on: bool, logger: &Logger) {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(on) {
        logger.warning(format_args!("Can't switch the background thread of the allocator: {error}"));
    }
}

/// The process's score before it was ever changed.
fn score_at_start() -> i32 {
    static SCORE: OnceLock<i32> = OnceLock::new();
    *SCORE.get_or_init(|| read_score().unwrap_or(0))
}

fn read_score() -> Option<i32> {
    fs::read_to_string(SCORE_FILE).ok()?.trim().parse().ok()
}

/// Tells the system how gladly it may end this process when memory runs out: `oom-score-adj`.
///
/// # Errors
/// What the system says: a lower score needs a privilege.
pub fn rate(config: &Config, follows: bool) -> io::Result<()> {
    let score = score(config, follows, score_at_start());
    if read_score() == Some(score) { Ok(()) } else { fs::write(SCORE_FILE, score.to_string()) }
}

/// The score that the configuration asks for, of a process that had `at_start`.
fn score(config: &Config, follows: bool, at_start: i32) -> i32 {
    let [primary, replica, _child] = config.oom_score_adj_values;
    let value = if follows { replica } else { primary };
    match config.oom_score_adj {
        OomScoreAdj::No => at_start,
        OomScoreAdj::Relative => at_start.saturating_add(value).clamp(-1000, 1000),
        OomScoreAdj::Absolute => value.clamp(-1000, 1000),
    }
}

/// The CPUs that a thread may run on.
#[derive(Clone)]
pub struct Cpus(CpuSet);

impl Cpus {
    /// Those of the calling thread, if the system tells.
    #[must_use]
    pub fn current() -> Option<Cpus> {
        sched_getaffinity(None).ok().map(Cpus)
    }

    /// Reads a list such as `0,2,4-7` or `0-7:2`, the latter being every second one; `None` when it is empty or wrong.
    #[must_use]
    pub fn parse(list: &[u8]) -> Option<Cpus> {
        let mut set = CpuSet::new();
        for part in std::str::from_utf8(list).ok()?.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (range, step) = match part.split_once(':') {
                Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
                None => (part, 1),
            };
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
            if first > last || last >= CpuSet::MAX_CPU {
                return None;
            }
            (first..=last).step_by(step).for_each(|cpu| set.set(cpu));
        }
        (set.count() > 0).then_some(Cpus(set))
    }

    /// Lets the calling thread, and those that it starts, run here only. A list without a CPU of this machine is of no
    /// use: then nothing changes.
    pub fn pin(&self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        let of = |oom_score_adj, follows, at_start| {
            let config = Config { oom_score_adj, oom_score_adj_values: [10, 990, 5], ..Config::default() };
            score(&config, follows, at_start)
        };
        assert_eq!(of(OomScoreAdj::No, true, 7), 7);
        assert_eq!(of(OomScoreAdj::Relative, false, 7), 17);
        assert_eq!(of(OomScoreAdj::Relative, true, 100), 1000);
        assert_eq!(of(OomScoreAdj::Absolute, true, 100), 990);
    }

    #[test]
    fn lists_of_cpus() {
        let cpus = |list: &str| {
            let Cpus(set) = Cpus::parse(list.as_bytes())?;
            Some((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect::<Vec<_>>())
        };
        assert_eq!(cpus("0,2, 4-6"), Some(vec![0, 2, 4, 5, 6]));
        assert_eq!(cpus("1-7:3,0"), Some(vec![0, 1, 4, 7]));
        for wrong in ["", ",", "a", "1-", "-1", "2-1", "0-3:0", "5000"] {
            assert_eq!(cpus(wrong), None, "{wrong}");
        }
        // To where the thread may run already.
        Cpus::current().expect("the system tells").pin();
    }
}
