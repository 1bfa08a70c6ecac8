//! The latency monitor: what took at least `latency-monitor-threshold` milliseconds, by kind of event.

use std::collections::{BTreeMap, VecDeque};

use super::server::Server;
use crate::base::Millis;

/// So many samples of an event are kept, one a second at most.
const SAMPLES_MAX: usize = 160;

/// What can take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LatencyEvent {
    /// The append-only file was written.
    AofWrite,
    /// The same: while it was being made durable, while a snapshot was under way, and in quiet times.
    AofWritePendingFsync,
    AofWriteActiveChild,
    AofWriteAlone,
    /// It was made durable before a reply.
    AofFsyncAlways,
    Command,
    /// One round of giving keys up for room.
    EvictionCycle,
    /// One turn of the search for expired keys.
    ExpireCycle,
    /// A command that is declared to be fast.
    FastCommand,
}

impl LatencyEvent {
    const ALL: [LatencyEvent; 9] = [
        LatencyEvent::AofWrite,
        LatencyEvent::AofWritePendingFsync,
        LatencyEvent::AofWriteActiveChild,
        LatencyEvent::AofWriteAlone,
        LatencyEvent::AofFsyncAlways,
        LatencyEvent::Command,
        LatencyEvent::EvictionCycle,
        LatencyEvent::ExpireCycle,
        LatencyEvent::FastCommand,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LatencyEvent::AofWrite => "aof-write",
            LatencyEvent::AofWritePendingFsync => "aof-write-pending-fsync",
            LatencyEvent::AofWriteActiveChild => "aof-write-active-child",
            LatencyEvent::AofWriteAlone => "aof-write-alone",
            LatencyEvent::AofFsyncAlways => "aof-fsync-always",
            LatencyEvent::Command => "command",
            LatencyEvent::EvictionCycle => "eviction-cycle",
            LatencyEvent::ExpireCycle => "expire-cycle",
            LatencyEvent::FastCommand => "fast-command",
        }
    }

    /// The event of this name; names are compared as they are.
    #[must_use]
    pub fn find(name: &[u8]) -> Option<LatencyEvent> {
        LatencyEvent::ALL.into_iter().find(|event| event.name().as_bytes() == name)
    }
}

/// The worst of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub at_secs: i64,
    pub ms: u64,
}

/// The samples of one event, the oldest first; never empty.
#[derive(Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    /// The worst ever, also when its sample is forgotten.
    pub max_ms: u64,
}

impl Series {
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + Clone {
        self.samples.iter().copied()
    }

    #[must_use]
    pub fn latest(&self) -> Sample {
        self.samples.back().copied().unwrap_or_default()
    }

    fn add(&mut self, at_secs: i64, ms: u64) {
        self.max_ms = self.max_ms.max(ms);
        match self.samples.back_mut() {
            Some(last) if last.at_secs == at_secs => last.ms = last.ms.max(ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(Sample { at_secs, ms });
            }
        }
    }
}

/// What was slow.
#[derive(Debug, Default)]
pub struct Latency {
    events: BTreeMap<LatencyEvent, Series>,
}

impl Latency {
    /// By name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (LatencyEvent, &Series)> {
        self.events.iter().map(|(event, series)| (*event, series))
    }

    #[must_use]
    pub fn get(&self, event: LatencyEvent) -> Option<&Series> {
        self.events.get(&event)
    }

    /// Forgets an event. False when there was none.
    pub fn forget(&mut self, event: LatencyEvent) -> bool {
        self.events.remove(&event).is_some()
    }

    /// Forgets all of them, and says how many there were.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }

    /// Counts a sample.
    pub fn note(&mut self, event: LatencyEvent, now: Millis, ms: u64) {
        self.events.entry(event).or_default().add(now.secs(), ms);
    }
}

impl Server {
    /// Keeps that something took `usec`, if that is as long as the monitor is told to look for.
    pub fn note_latency(&mut self, event: LatencyEvent, usec: u64) {
        let (threshold_ms, ms) = (self.config.latency_monitor_threshold_ms, usec / 1000);
        if threshold_ms > 0 && ms >= threshold_ms as u64 {
            self.latency.note(event, self.now, ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst_and_the_oldest_are_forgotten() {
        let mut latency = Latency::default();
        for (ms, took) in [(1000, 30), (1900, 50), (1999, 40), (2000, 20)] {
            latency.note(LatencyEvent::Command, Millis(ms), took);
        }
        let series = latency.get(LatencyEvent::Command).unwrap();
        let shown: Vec<_> = series.samples().map(|s| (s.at_secs, s.ms)).collect();
        assert_eq!((shown, series.max_ms), (vec![(1, 50), (2, 20)], 50));
        for s in 3..200 {
            latency.note(LatencyEvent::Command, Millis(s * 1000), 1);
        }
        let series = latency.get(LatencyEvent::Command).unwrap();
        assert_eq!((series.samples().len(), series.samples().next().unwrap().at_secs), (160, 40));
        assert_eq!(series.max_ms, 50);
        assert!(latency.forget(LatencyEvent::Command));
        assert!(!latency.forget(LatencyEvent::Command));
    }
}
