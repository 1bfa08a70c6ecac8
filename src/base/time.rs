//! Time as a value. Nothing outside `node` and `trib` reads a clock: it is handed a [`Millis`].

use std::ops::{Add, AddAssign, Sub};

/// A point in time in milliseconds: since the Unix epoch for wall time, since an arbitrary start for
/// monotonic time. Which of the two is meant is said where it is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub i64);

impl Millis {
    pub const ZERO: Millis = Millis(0);

    /// Whole seconds, rounded down.
    #[must_use]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds from `earlier` to `self`, never negative.
    #[must_use]
    pub fn since(self, earlier: Millis) -> i64 {
        (self.0 - earlier.0).max(0)
    }
}

impl Add<i64> for Millis {
    type Output = Millis;
    fn add(self, ms: i64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }
}

impl AddAssign<i64> for Millis {
    fn add_assign(&mut self, ms: i64) {
        *self = *self + ms;
    }
}

impl Sub<i64> for Millis {
    type Output = Millis;
    fn sub(self, ms: i64) -> Millis {
        Millis(self.0.saturating_sub(ms))
    }
}

impl Sub for Millis {
    type Output = i64;
    fn sub(self, other: Millis) -> i64 {
        self.0.saturating_sub(other.0)
    }
}
