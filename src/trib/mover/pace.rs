//! How many keys to send at once: measured, because nobody knows how big they are.

use std::cell::Cell;
use std::time::Duration;

use super::brake::Brake;

/// The source serves nobody else while it sends: this long at a time is not noticed.
const BURST: Duration = Duration::from_millis(10);
/// More keys at once are not faster, and their values are in the source's memory twice while they travel.
const MOST: usize = 256;
const FIRST: usize = 16;

/// The number of keys that take about [`BURST`], and are no more than the operator allows at once.
pub struct Pace {
    keys: Cell<usize>,
    batch: Option<usize>,
    burst: Duration,
    most: Cell<usize>,
}

impl Pace {
    /// `batch` is the operator's limit for one MIGRATE.
    pub fn new(batch: Option<usize>, brake: &Brake) -> Pace {
        Pace {
            keys: Cell::new(FIRST),
            batch: batch.map(|keys| keys.max(1)),
            burst: brake.burst(BURST),
            most: Cell::new(brake.most_keys(None)),
        }
    }

    /// Never more keys at once than this.
    pub fn limit(&self, most: usize) {
        self.most.set(most.max(1));
    }

    /// Keys in all MIGRATEs of a burst.
    pub fn burst(&self) -> usize {
        self.keys.get().min(self.most.get())
    }

    /// Keys in one MIGRATE.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(MOST).min(self.burst())
    }

    /// Learns from a burst: so many keys took so long.
    pub fn learn(&self, sent: usize, took: Duration) {
        let fitting = sent as f64 * self.burst.as_secs_f64() / took.as_secs_f64().max(1e-6);
        // Slowly up, since the next keys may be bigger; down at once.
        let keys = (fitting as usize).min(self.keys.get() * 2);
        self.keys.set(keys.clamp(1, MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::super::brake::Limits;
    use super::*;

    fn pace(batch: Option<usize>) -> Pace {
        Pace::new(batch, &Brake::new(Limits::default()))
    }

    #[test]
    fn small_keys_go_in_hundreds_and_big_ones_alone() {
        let pace = pace(None);
        for _ in 0..10 {
            pace.learn(pace.burst(), Duration::from_micros(10 * pace.burst() as u64));
        }
        assert_eq!((pace.burst(), pace.batch()), (256, 256));
        pace.learn(256, Duration::from_secs(25));
        assert_eq!(pace.burst(), 1);
        pace.learn(0, Duration::ZERO);
        assert_eq!(pace.burst(), 1);
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
