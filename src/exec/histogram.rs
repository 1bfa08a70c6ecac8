//! How long the calls of one command took, counted in buckets that keep two digits: of a histogram's
//! size whatever the number of calls.

/// Values below this are counted exactly; above, every doubling has half as many buckets, so that a bucket is less than
/// one percent wide.
const EXACT: u64 = 256;
const PER_DOUBLING: usize = EXACT as usize / 2;
/// log2 of [`PER_DOUBLING`].
const PER_DOUBLING_BITS: u32 = PER_DOUBLING.trailing_zeros();

/// Longer calls count as this long: one second.
const MAX_NS: u64 = 1_000_000_000;

/// Where LATENCY HISTOGRAM begins: 1024 ns are its first microsecond.
const FIRST_STEP_NS: u64 = 1024;

/// Durations of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; bucket(MAX_NS) + 1].into_boxed_slice(), total: 0 }
    }
}

/// The bucket of a duration.
fn bucket(ns: u64) -> usize {
    let shift = shift(ns);
    (shift as usize) * PER_DOUBLING + (ns >> shift) as usize
}

/// How many low bits of a duration its bucket leaves open.
fn shift(ns: u64) -> u32 {
    (u64::BITS - ns.leading_zeros()).saturating_sub(PER_DOUBLING_BITS + 1)
}

/// The longest duration that is counted in the same bucket.
fn longest_like(ns: u64) -> u64 {
    let shift = shift(ns);
    (((ns >> shift) + 1) << shift) - 1
}

/// The longest duration of a bucket.
fn longest_in(bucket: usize) -> u64 {
    let shift = (bucket / PER_DOUBLING).saturating_sub(1);
    let lowest = ((bucket - shift * PER_DOUBLING) as u64) << shift;
    longest_like(lowest)
}

impl Histogram {
    /// Counts a call.
    pub fn record(&mut self, usec: u64) {
        let ns = usec.saturating_mul(1000).clamp(1, MAX_NS);
        self.counts[bucket(ns)] += 1;
        self.total += 1;
    }

    /// How many calls were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration in nanoseconds within which `percent` of the calls ended, up to the width of a bucket.
    #[must_use]
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = ((percent / 100.0 * self.total as f64 + 0.5) as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return longest_in(bucket);
            }
        }
        0
    }

    /// How many calls took at most so many microseconds, for durations that double; steps in which nothing was counted
    /// are left out.
    #[must_use]
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let (mut step, mut next, mut seen, mut told) = (FIRST_STEP_NS, 0, 0, 0);
        while told < self.total {
            let end = bucket(step).min(self.counts.len() - 1);
            seen += self.counts[next..=end].iter().sum::<u64>();
            next = end + 1;
            if seen > told {
                steps.push((longest_like(step) / 1000, seen));
                told = seen;
            }
            step *= 2;
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_keep_two_digits() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.percentile_ns(50.0), histogram.cumulative()), (0, vec![]));
        for usec in [0, 1, 1, 3, 500, 2_000_000] {
            histogram.record(usec);
        }
        assert_eq!(histogram.percentile_ns(0.0), 1);
        assert_eq!(histogram.percentile_ns(50.0), 1003);
        assert_eq!(histogram.percentile_ns(100.0), 1_002_438_655);
        assert_eq!(histogram.cumulative(), [(1, 3), (4, 4), (528, 5), (1_082_130, 6)]);
        assert_eq!(histogram.total(), 6);
    }

    proptest! {
        #[test]
        fn a_bucket_is_less_than_a_percent_wide(ns in 1..MAX_NS) {
            let top = longest_in(bucket(ns));
            prop_assert_eq!(top, longest_like(ns));
            prop_assert_eq!(bucket(top), bucket(ns));
            prop_assert!(top >= ns && top - ns <= ns / 100);
        }
    }
}
