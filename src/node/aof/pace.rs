//! When the next round of the disk begins, under `appendfsync always`.
//!
//! Those whose replies have just left write again at once, most likely. To wait for all of them makes the fewest rounds,
//! but the server rests during each; to begin with half of them lets it serve one half while the disk works for the
//! other. A slow disk asks for the one, a quick one for the other.

use std::time::Duration;

/// A wait for more writers is at most this long.
const WAIT_MAX: Duration = Duration::from_millis(2);

/// A new reading counts for this part of an estimate, ...
const WEIGHT: u32 = 8;

/// ... and for no more than this many times the estimate: one slow round says little of the next.
const OUTLIER: u32 = 4;

/// How long things take, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sync: Option<Duration>,
    /// Until one more of those who have been answered is back.
    turn: Option<Duration>,
}

impl Pace {
    pub fn synced(&mut self, took: Duration) {
        note(&mut self.sync, took);
    }

    /// So many came while they were waited for.
    pub fn came(&mut self, writers: u64, took: Duration) {
        if let Ok(writers @ 1..) = u32::try_from(writers) {
            note(&mut self.turn, took / writers);
        }
    }

    /// How many of so many writers are to be there before the next round.
    pub fn wanted(&self, writers: u64) -> u64 {
        let (Some(sync), Some(turn)) = (self.sync, self.turn) else { return writers };
        let all = turn.saturating_mul(u32::try_from(writers).unwrap_or(u32::MAX));
        if sync < all { writers.div_ceil(2) } else { writers }
    }

    /// How long to wait for so many of them, after a round that took so long: half as long again as they should need, or
    /// half of what they have waited already.
    pub fn patience(&self, wanted: u64, took: Duration) -> Duration {
        let turns = self.turn.unwrap_or_default().saturating_mul(u32::try_from(wanted).unwrap_or(u32::MAX));
        (turns.saturating_mul(3).max(took) / 2).min(WAIT_MAX)
    }
}

fn note(estimate: &mut Option<Duration>, reading: Duration) {
    *estimate = Some(match *estimate {
        None => reading,
        Some(old) => (old * (WEIGHT - 1) + reading.min(old.max(Duration::from_micros(1)) * OUTLIER)) / WEIGHT,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    fn pace(sync: u64, turn: u64) -> Pace {
        let mut pace = Pace::default();
        pace.synced(us(sync));
        pace.came(10, us(turn * 10));
        pace
    }

    #[test]
    fn a_quick_disk_works_for_one_half_while_the_other_is_served() {
        assert_eq!(pace(100, 10).wanted(50), 25);
        assert_eq!(pace(100, 10).wanted(51), 26);
        assert_eq!(pace(100, 10).wanted(11), 6);
        assert_eq!(pace(100, 10).wanted(2), 2, "two are served sooner than the disk is done");
        assert_eq!(pace(1300, 10).wanted(50), 50, "a slow one for all at once");
    }

    #[test]
    fn what_is_not_known_yet_is_found_out() {
        let mut pace = Pace::default();
        assert_eq!(pace.wanted(50), 50);
        pace.synced(us(100));
        assert_eq!(pace.wanted(50), 50);
        pace.came(0, us(1000));
        assert_eq!(pace.wanted(50), 50, "nobody came");
        pace.came(5, us(50));
        assert_eq!(pace.wanted(50), 25);
    }

    #[test]
    fn one_slow_round_is_no_slow_disk() {
        let mut pace = pace(100, 10);
        pace.synced(Duration::from_secs(1));
        assert_eq!(pace.wanted(50), 25);
        for _ in 0..40 {
            pace.synced(us(5000));
        }
        assert_eq!(pace.wanted(50), 50);
    }

    #[test]
    fn waits_are_short() {
        assert_eq!(Pace::default().patience(50, us(100)), us(50));
        assert_eq!(pace(100, 10).patience(40, us(100)), us(600), "they are about to come");
        assert_eq!(pace(100, 10).patience(2, us(100)), us(50));
        assert_eq!(Pace::default().patience(50, Duration::from_secs(1)), WAIT_MAX);
        assert_eq!(pace(100, 5000).patience(40, us(100)), WAIT_MAX);
    }
}
