//! The 24 bits of each value that remember when, or how often, it was used.

use crate::base::{Millis, Rng};

/// How the bits are kept: the maxmemory policy decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessPolicy {
    /// Seconds, modulo 2^24.
    #[default]
    Lru,
    /// Minutes in the high 16 bits, a logarithmic counter in the low 8.
    Lfu { log_factor: u32, decay_minutes: u32 },
}

/// The counter a new value starts with, so that it is not evicted at once.
const LFU_INIT: u32 = 5;

impl AccessPolicy {
    /// The bits of a value created now.
    #[must_use]
    pub fn fresh(self, now: Millis) -> u32 {
        match self {
            AccessPolicy::Lru => seconds(now),
            AccessPolicy::Lfu { .. } => minutes(now) << 8 | LFU_INIT,
        }
    }

    /// The bits after a use.
    #[must_use]
    pub fn used(self, bits: u32, now: Millis, rng: &mut Rng) -> u32 {
        match self {
            AccessPolicy::Lru => seconds(now),
            AccessPolicy::Lfu { log_factor, .. } => {
                let counter = self.frequency(bits, now);
                let base = counter.saturating_sub(LFU_INIT);
                let grows = counter < 255 && rng.unit() < 1.0 / f64::from(base * log_factor + 1);
                minutes(now) << 8 | (counter + u32::from(grows))
            }
        }
    }

    /// The counter of OBJECT FREQ, decayed to now.
    #[must_use]
    pub fn frequency(self, bits: u32, now: Millis) -> u32 {
        let AccessPolicy::Lfu { decay_minutes, .. } = self else { return bits & 0xff };
        let elapsed = minutes(now).wrapping_sub(bits >> 8) & 0xffff;
        (bits & 0xff).saturating_sub(elapsed.checked_div(decay_minutes).unwrap_or(0))
    }

    /// The bits of a value of which somebody else tells how long it has not been used, or how often it was: only what
    /// this policy keeps can be taken over.
    #[must_use]
    pub fn told(self, idle_seconds: Option<u64>, counter: Option<u8>, now: Millis) -> Option<u32> {
        match self {
            AccessPolicy::Lru => idle_seconds.map(|seconds| AccessPolicy::idle_for(seconds, now)),
            AccessPolicy::Lfu { .. } => counter.map(|counter| AccessPolicy::counted(counter, now)),
        }
    }

    /// The LRU bits of a value last used that long ago.
    #[must_use]
    fn idle_for(idle_seconds: u64, now: Millis) -> u32 {
        let now = now.secs() as u64;
        now.saturating_sub(idle_seconds) as u32 & 0x00ff_ffff
    }

    /// The LFU bits of a value whose counter stood at `counter` just now.
    #[must_use]
    fn counted(counter: u8, now: Millis) -> u32 {
        minutes(now) << 8 | u32::from(counter)
    }

    /// Seconds since the last use (OBJECT IDLETIME).
    #[must_use]
    pub fn idle_seconds(bits: u32, now: Millis) -> u32 {
        seconds(now).wrapping_sub(bits) & 0x00ff_ffff
    }
}

fn seconds(now: Millis) -> u32 {
    now.secs() as u32 & 0x00ff_ffff
}

fn minutes(now: Millis) -> u32 {
    (now.secs() / 60) as u32 & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lru_counts_seconds_around_the_wrap() {
        let bits = AccessPolicy::Lru.fresh(Millis(((1 << 24) - 1) * 1000));
        assert_eq!(AccessPolicy::idle_seconds(bits, Millis((1 << 24) * 1000 + 4000)), 5);
    }

    #[test]
    fn bits_can_be_told() {
        let now = Millis(1 << 40);
        assert_eq!(AccessPolicy::idle_seconds(AccessPolicy::idle_for(1000, now), now), 1000);
        let lfu = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
        assert_eq!(lfu.frequency(AccessPolicy::counted(77, now), now), 77);
        assert_eq!(lfu.told(Some(5), Some(77), now), Some(AccessPolicy::counted(77, now)));
        assert_eq!(AccessPolicy::Lru.told(Some(5), Some(77), now), Some(AccessPolicy::idle_for(5, now)));
        assert_eq!((lfu.told(Some(5), None, now), AccessPolicy::Lru.told(None, Some(7), now)), (None, None));
    }

    #[test]
    fn lfu_grows_with_use_and_decays_with_time() {
        let policy = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
        let mut rng = Rng::seeded(1);
        let mut bits = policy.fresh(Millis::ZERO);
        assert_eq!(policy.frequency(bits, Millis::ZERO), 5);
        for _ in 0..1000 {
            bits = policy.used(bits, Millis::ZERO, &mut rng);
        }
        let grown = policy.frequency(bits, Millis::ZERO);
        assert!((10..40).contains(&grown), "{grown}");
        assert_eq!(policy.frequency(bits, Millis(3 * 60_000)), grown - 3);
        assert_eq!(policy.frequency(bits, Millis(1000 * 60_000)), 0);
    }
}
