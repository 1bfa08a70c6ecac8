//! The time as the engine is told it.

use crate::base::Millis;

/// One moment on both clocks. Decisions use `mono`, which never jumps; what is shown, stored or sent to
/// other nodes uses `wall`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Clock {
    /// Since the Unix epoch.
    pub wall: Millis,
    /// Since an arbitrary start.
    pub mono: Millis,
}

impl Clock {
    /// Milliseconds passed since `earlier` on the monotonic clock, never negative.
    #[must_use]
    pub fn since(self, earlier: Clock) -> i64 {
        self.mono.since(earlier.mono)
    }
}
