//! How fast a node answers while it gives or takes keys: the times of the last PINGs.

use std::collections::VecDeque;
use std::time::Duration;

/// As many as give a p99 a meaning.
const KEPT: usize = 100;
/// Of fewer answers two must be slow: one may have been a chance.
const FEW: usize = 10;

/// The last answers of one node, and the question that waits for one. Times are since any fixed moment.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    took: VecDeque<Duration>,
    asked: Option<Duration>,
}

impl Latency {
    pub fn ask(&mut self, now: Duration) {
        self.asked = Some(now);
    }

    pub fn answer(&mut self, now: Duration) {
        let Some(asked) = self.asked.take() else { return };
        if self.took.len() == KEPT {
            self.took.pop_front();
        }
        self.took.push_back(now.saturating_sub(asked));
    }

    /// The time that 99 of 100 answers keep to. A question that is not answered yet counts with the time it has waited,
    /// where that is the longest.
    #[must_use]
    pub fn p99(&self, now: Duration) -> Option<Duration> {
        let waiting = self.asked.map(|asked| now.saturating_sub(asked));
        let mut sorted: Vec<Duration> = self.took.iter().copied().collect();
        sorted.sort_unstable();
        let told = match sorted.len() {
            0 | 1 => None,
            few @ ..FEW => Some(sorted[few - 2]),
            many => Some(sorted[(many * 99).div_ceil(100) - 1]),
        };
        told.max(waiting.filter(|waiting| sorted.last().is_none_or(|longest| waiting > longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn answered(times: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        for time in times {
            latency.ask(ms(0));
            latency.answer(ms(time));
        }
        latency
    }

    #[test]
    fn one_slow_answer_of_a_hundred_is_no_trend() {
        assert_eq!(answered((0..99).map(|_| 1).chain([50])).p99(ms(0)), Some(ms(1)));
        assert_eq!(answered((0..98).map(|_| 1).chain([50, 60])).p99(ms(0)), Some(ms(50)));
        assert_eq!(answered([9]).p99(ms(0)), None, "too few");
        assert_eq!(answered([1, 9, 1]).p99(ms(0)), Some(ms(1)));
        assert_eq!(answered([9, 1, 8]).p99(ms(0)), Some(ms(8)), "two of three are no chance");
        assert_eq!(answered([3; 10]).p99(ms(0)), Some(ms(3)));
    }

    #[test]
    fn old_answers_are_forgotten() {
        assert_eq!(answered((0..100).map(|_| 80).chain((0..100).map(|_| 2))).p99(ms(0)), Some(ms(2)));
    }

    #[test]
    fn a_node_that_does_not_answer_is_slow_already() {
        let mut latency = answered([1; 50]);
        latency.ask(ms(1000));
        assert_eq!(latency.p99(ms(1001)), Some(ms(1)));
        assert_eq!(latency.p99(ms(1300)), Some(ms(300)));
        latency.answer(ms(1300));
        assert_eq!(latency.p99(ms(5000)), Some(ms(300)), "the slowest of 51 is the p99 of them");
    }
}
