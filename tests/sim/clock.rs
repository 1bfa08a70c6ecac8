//! The clocks of one simulated machine: monotonic time follows the world's, wall time may jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use trib::base::Millis;
use trib::exec::server::Stopwatch;

use crate::queue::Micros;

/// Wall time when a run begins, in microseconds since 1970.
const EPOCH_US: i64 = 1_700_000_000_000_000;

/// What one look at the clock costs: work that is limited by time has to come to its limit.
const LOOK_US: u64 = 2;

#[derive(Default)]
struct Cell {
    /// The world's time.
    world: AtomicU64,
    /// The last reading: the clock never goes back.
    last: AtomicU64,
    /// How far wall time is off.
    wall_offset_us: AtomicI64,
}

/// Shared by a machine and the server that runs on it.
#[derive(Clone, Default)]
pub struct NodeClock(Arc<Cell>);

impl NodeClock {
    pub fn set(&self, now: Micros) {
        self.0.world.store(now, Relaxed);
    }

    /// Wall time jumps, forward or back.
    pub fn jump(&self, us: i64) {
        self.0.wall_offset_us.fetch_add(us, Relaxed);
    }

    /// Wall time in milliseconds, as commands and the bus are told it.
    pub fn wall(&self) -> Millis {
        let mono = self.0.world.load(Relaxed).max(self.0.last.load(Relaxed));
        Millis((EPOCH_US + mono as i64 + self.0.wall_offset_us.load(Relaxed)) / 1000)
    }

    /// How long it is until wall time is `at`, if it does not jump.
    pub fn until(&self, at: Millis) -> Micros {
        (at.since(self.wall()) as Micros) * 1000
    }
}

impl Stopwatch for NodeClock {
    fn micros(&self) -> u64 {
        let reading = self.0.world.load(Relaxed).max(self.0.last.load(Relaxed) + LOOK_US);
        self.0.last.store(reading, Relaxed);
        reading
    }

    fn wall_micros(&self) -> i64 {
        EPOCH_US + self.micros() as i64 + self.0.wall_offset_us.load(Relaxed)
    }
}
