//! `rdb-key-save-delay` and `key-load-delay`: a save or a load that takes its time, so that what happens meanwhile can be
//! tried out.

use std::time::Duration;

/// No pause is shorter: what is due sooner is put together.
const TICK: Duration = Duration::from_millis(1);

/// How much of a delay is due.
#[derive(Debug, Default)]
pub struct Slowness {
    owed: Duration,
}

impl Slowness {
    /// So many keys have passed, each of which takes so many microseconds; a negative number is that of keys that take one
    /// microsecond together.
    pub fn add(&mut self, delay_usec: i64, keys: u64) {
        self.owed = self.owed.saturating_add(match u64::try_from(delay_usec) {
            Ok(each) => Duration::from_micros(each.saturating_mul(keys)),
            Err(_) => Duration::from_nanos(keys.saturating_mul(1000) / delay_usec.unsigned_abs()),
        });
    }

    /// Whether there is a pause to be made.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.owed >= TICK
    }

    /// The pause that is due, but no more than `max` of it at once.
    pub fn take(&mut self, max: Duration) -> Option<Duration> {
        if !self.is_due() {
            return None;
        }
        let now = self.owed.min(max);
        self.owed -= now;
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_put_together() {
        let mut slowness = Slowness::default();
        let take = |slowness: &mut Slowness| slowness.take(Duration::from_millis(100)).map(|due| due.as_micros());
        slowness.add(0, 1000);
        slowness.add(300, 3);
        assert_eq!(take(&mut slowness), None);
        slowness.add(300, 1);
        assert_eq!(take(&mut slowness), Some(1200));
        slowness.add(-10, 100_000);
        assert_eq!(take(&mut slowness), Some(10_000));
        slowness.add(150_000, 1);
        assert_eq!(
            [take(&mut slowness), take(&mut slowness), take(&mut slowness)],
            [Some(100_000), Some(50_000), None]
        );
    }
}
