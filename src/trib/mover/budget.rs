//! A rate that is kept: so much a second, whoever spends it.

use std::time::Duration;

/// What may be spent at once after a time of rest, as a part of a second.
const REST: f64 = 0.1;

/// Refills with time, up to a little. What is spent may be more than there is, since nothing that is moved can be cut
/// in pieces: then time has to pass until the debt is paid. Times are since any fixed moment.
#[derive(Clone, Debug)]
pub struct Budget {
    per_sec: f64,
    /// Negative while something is owed.
    left: f64,
    at: Duration,
}

impl Budget {
    #[must_use]
    pub fn new(per_sec: u64) -> Budget {
        let per_sec = per_sec.max(1) as f64;
        Budget { per_sec, left: per_sec * REST, at: Duration::ZERO }
    }

    /// How long to wait before more may be spent.
    pub fn wait(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_sec).min(self.per_sec * REST);
        self.at = self.at.max(now);
        match self.left < 0.0 {
            // A day is as good as for ever: who waits looks again before that.
            true => Duration::from_secs_f64((-self.left / self.per_sec).min(86_400.0)),
            false => Duration::ZERO,
        }
    }

    pub fn spend(&mut self, amount: u64) {
        self.left -= amount as f64;
    }

    /// The most to spend at once, so that the rate is kept without long silences.
    #[must_use]
    pub fn portion(&self) -> u64 {
        ((self.per_sec * REST) as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_debt_is_paid_by_waiting() {
        let mut budget = Budget::new(100);
        assert_eq!((budget.wait(Duration::ZERO), budget.portion()), (Duration::ZERO, 10));
        budget.spend(60);
        assert_eq!(budget.wait(Duration::ZERO), Duration::from_millis(500));
        assert_eq!(budget.wait(Duration::from_millis(400)), Duration::from_millis(100));
        assert_eq!(budget.wait(Duration::from_secs(9)), Duration::ZERO);
        budget.spend(20);
        assert_eq!(budget.wait(Duration::from_secs(9)), Duration::from_millis(100), "rest is not saved up");
        assert_eq!(Budget::new(0).portion(), 1);
    }

    proptest! {
        #[test]
        fn the_rate_is_kept(per_sec in 1u64..10_000, amounts in prop::collection::vec(1u64..5000, 1..50)) {
            let mut budget = Budget::new(per_sec);
            let (mut now, mut spent) = (Duration::ZERO, 0);
            for amount in amounts {
                now += budget.wait(now);
                let allowed = per_sec as f64 * (now.as_secs_f64() + REST);
                prop_assert!(spent as f64 <= allowed + 1e-3, "{} spent of {}", spent, allowed);
                budget.spend(amount);
                spent += amount;
            }
            // And it is used up: nobody waits longer than what was spent takes.
            prop_assert!(now.as_secs_f64() <= spent as f64 / per_sec as f64 + 1e-3);
        }
    }
}
