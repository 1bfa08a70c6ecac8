//! How many keys to send at once: measured, because nobody knows how big they are and how long the way is.
//!
//! A MIGRATE carries keys of one slot, and its source waits for the target's answer before it does anything else. So it
//! costs a round trip between the two, however few keys it carries, and some time for each key. Which is which shows when
//! MIGRATEs of different sizes have been seen. Where the round trip is long, keys that would fit into one MIGRATE are not
//! spread over several; where keys are big, there are few of them in each.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::brake::Brake;

/// The source serves nobody else while it sends: this long at a time is not noticed.
const BURST: Duration = Duration::from_millis(10);
/// More keys at once are not faster where the way is short, and their values are in the source's memory twice while they
/// travel.
const MOST: usize = 256;
/// The same where the way is long.
const MOST_FAR: usize = 1024;
const FIRST: usize = 16;
/// One burst in so many is smaller, where bursts that are all alike would teach nothing.
const PROBE_EVERY: u32 = 8;

/// The number of keys that take about [`BURST`], and are no more than the operator allows at once.
pub struct Pace {
    keys: Cell<usize>,
    batch: Option<usize>,
    burst: Duration,
    most: Cell<usize>,
    costs: RefCell<Costs>,
    bursts: Cell<u32>,
}

impl Pace {
    /// `batch` is the operator's limit for one MIGRATE.
    pub fn new(batch: Option<usize>, brake: &Brake) -> Pace {
        Pace {
            keys: Cell::new(FIRST),
            batch: batch.map(|keys| keys.max(1)),
            burst: brake.burst(BURST),
            most: Cell::new(brake.most_keys(None)),
            costs: RefCell::default(),
            bursts: Cell::new(0),
        }
    }

    /// Never more keys at once than this.
    pub fn limit(&self, most: usize) {
        self.most.set(most.max(1));
    }

    /// The most keys in all MIGRATEs of a burst.
    pub fn burst(&self) -> usize {
        self.keys.get().min(self.most.get())
    }

    /// The most keys in one MIGRATE.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(usize::MAX).min(self.burst())
    }

    /// Whether a burst of so many MIGRATEs with so many keys is short enough.
    pub fn fits(&self, commands: usize, keys: usize) -> bool {
        keys <= self.burst() && self.expected(commands, keys) <= self.burst
    }

    /// How long that keeps the source busy, as far as is known.
    pub fn expected(&self, commands: usize, keys: usize) -> Duration {
        let costs = self.costs.borrow();
        Duration::from_secs_f64(costs.command * commands as f64 + costs.key * keys as f64)
    }

    /// Learns from a burst: so many MIGRATEs with so many keys took so long.
    pub fn learn(&self, commands: usize, keys: usize, took: Duration) {
        if commands == 0 || keys == 0 {
            return;
        }
        let mut costs = self.costs.borrow_mut();
        costs.learn(keys as f64 / commands as f64, took.as_secs_f64() / commands as f64);
        // The round trip is paid anyway: what is to be short is what comes to it.
        let fitting = self.burst.as_secs_f64() / costs.key.max(1e-9);
        let far = costs.command / costs.key.max(1e-9);
        let most = MOST.saturating_add(far as usize).min(MOST_FAR);
        // Slowly up, since the next keys may be bigger; down at once.
        let wanted = (fitting as usize).min(self.keys.get() * 2).clamp(1, most);
        self.bursts.set(self.bursts.get().wrapping_add(1));
        let is_probe = costs.is_uniform() && wanted < MOST && self.bursts.get().is_multiple_of(PROBE_EVERY);
        self.keys.set(if is_probe { wanted.div_ceil(2) } else { wanted });
    }
}

/// What a MIGRATE costs, in seconds: by itself, and for each of its keys. The straight line through those seen of late.
#[derive(Debug, Default)]
struct Costs {
    command: f64,
    key: f64,
    is_known: bool,
    /// The means of keys and seconds, and how the keys vary, alone and with the seconds.
    keys: f64,
    took: f64,
    variance: f64,
    covariance: f64,
}

impl Costs {
    /// What the last one counts beside all before it.
    const WEIGHT: f64 = 0.25;
    /// Keys that vary by less than this part of their mean show nothing but noise.
    const UNIFORM: f64 = 0.1;

    fn learn(&mut self, keys: f64, took: f64) {
        if !self.is_known {
            (self.is_known, self.keys, self.took) = (true, keys, took);
        }
        let (more_keys, longer) = (keys - self.keys, took - self.took);
        self.keys += Self::WEIGHT * more_keys;
        self.took += Self::WEIGHT * longer;
        self.variance = (1.0 - Self::WEIGHT) * (self.variance + Self::WEIGHT * more_keys * more_keys);
        self.covariance = (1.0 - Self::WEIGHT) * (self.covariance + Self::WEIGHT * more_keys * longer);
        if !self.is_uniform() {
            self.command = self.took - self.covariance / self.variance * self.keys;
        }
        // What the command does not explain is the keys' doing, so that bigger ones show at once.
        self.command = self.command.clamp(0.0, took);
        self.key = (took - self.command) / keys;
    }

    fn is_uniform(&self) -> bool {
        self.variance <= (Self::UNIFORM * self.keys).powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::brake::Limits;
    use super::*;

    fn pace(batch: Option<usize>) -> Pace {
        Pace::new(batch, &Brake::new(Limits::default()))
    }

    /// Bursts of one MIGRATE from slots of so many keys, that take so many microseconds by themselves and for each key;
    /// the most keys in a MIGRATE after some of them.
    fn run(pace: &Pace, slot: usize, command: u64, key: u64) -> usize {
        let mut left = slot;
        let mut most = 0;
        for burst in 0..100 {
            let keys = left.min(pace.batch());
            left = if left == keys { slot } else { left - keys };
            pace.learn(1, keys, Duration::from_micros(command + key * keys as u64));
            most = if burst < 80 { 0 } else { most.max(keys) };
        }
        most
    }

    #[test]
    fn small_keys_go_in_hundreds_and_big_ones_alone() {
        assert_eq!(run(&pace(None), 10_000, 0, 10), 256);
        let pace = pace(None);
        assert_eq!(run(&pace, 10_000, 50, 4), 256 + 12);
        pace.learn(1, 256, Duration::from_secs(25));
        assert_eq!(pace.burst(), 1);
        assert!(run(&pace, 10_000, 50, 5000) <= 2, "10 ms");
        pace.learn(1, 0, Duration::ZERO);
        assert!(pace.burst() >= 1);
    }

    #[test]
    fn a_long_way_does_not_make_parcels_small() {
        for round_trip in [2_000, 10_000, 100_000] {
            assert_eq!(run(&pace(None), 60, round_trip, 4), 60, "{round_trip} us");
            assert!(run(&pace(None), 1000, round_trip, 4) > 700, "{round_trip} us");
            assert!(run(&pace(None), 1000, round_trip, 1000) <= 12, "big keys, {round_trip} us");
        }
    }

    #[test]
    fn the_source_is_not_kept_busy_by_many_commands_either() {
        let pace = pace(None);
        run(&pace, 60, 2000, 4);
        assert!(pace.fits(4, 240), "{:?}", pace.expected(4, 240));
        assert!(!pace.fits(5, 250), "{:?}", pace.expected(5, 250));
        assert!(!pace.fits(1, 2000), "too many keys");
    }

    #[test]
    fn the_operators_limit_holds_for_one_migrate() {
        let pace = pace(Some(10));
        assert_eq!((pace.burst(), pace.batch()), (16, 10));
        pace.limit(3);
        assert_eq!((pace.burst(), pace.batch()), (3, 3));
    }

    #[test]
    fn rates_limit_what_goes_at_once() {
        let limits = Limits { keys_per_sec: Some(50), ..Limits::default() };
        assert_eq!(Pace::new(None, &Brake::new(limits)).burst(), 5);
        assert_eq!(pace(Some(0)).batch(), 1);
    }
}
