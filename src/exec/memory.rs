//! Keeping within `maxmemory` and `maxmemory-clients`: keys and connections that are given up, and values that are freed
//! when there is time.

use super::client::{Client, ClientFlags, ClientId};
use super::effect::Effect;
use super::latency::LatencyEvent;
use super::server::Server;
use crate::config::{ClientsMemory, Config, EvictionPolicy};
use crate::keyspace::{EvictBy, Garbage, LazyFree, Tables};
use crate::resp::Argv;

/// Between two looks at the clock so many keys are evicted.
const KEYS_PER_LOOK: u32 = 16;

/// What an allocator without controls says of each.
const NO_CONTROLS: &str = "No such file or directory";

/// Tells how much memory is in use, at any moment and at little cost. Handed in by the owner.
pub trait MemoryMeter: Send {
    /// Bytes allocated, without what is about to be freed.
    fn used_bytes(&self) -> u64;

    /// Gives pages that nothing uses back to the system.
    fn purge(&self) {}

    /// Reads a number among the allocator's own controls, and sets it if there is a value.
    ///
    /// # Errors
    /// The system's words for why not.
    fn control(&self, _name: &[u8], _value: Option<u64>) -> Result<u64, String> {
        Err(NO_CONTROLS.to_owned())
    }

    /// As [`MemoryMeter::control`], for a text; none can be set.
    ///
    /// # Errors
    /// The system's words for why not.
    fn control_text(&self, _name: &[u8]) -> Result<Vec<u8>, String> {
        Err(NO_CONTROLS.to_owned())
    }

    /// The allocator's own statistics, for people.
    fn report(&self) -> String {
        "The allocator keeps no statistics.".to_owned()
    }
}

/// Whether there is room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// Not yet, but keys can be given up; that goes on with the next command.
    Soon,
    Never,
}

/// How the keys to give up are chosen: by what, and whether only among those with an expiry. `None` under `noeviction`.
fn choice(policy: EvictionPolicy) -> Option<(EvictBy, bool)> {
    match policy {
        EvictionPolicy::NoEviction => None,
        EvictionPolicy::AllKeysLru => Some((EvictBy::Lru, false)),
        EvictionPolicy::VolatileLru => Some((EvictBy::Lru, true)),
        EvictionPolicy::AllKeysLfu => Some((EvictBy::Lfu, false)),
        EvictionPolicy::VolatileLfu => Some((EvictBy::Lfu, true)),
        EvictionPolicy::AllKeysRandom => Some((EvictBy::Random, false)),
        EvictionPolicy::VolatileRandom => Some((EvictBy::Random, true)),
        EvictionPolicy::VolatileTtl => Some((EvictBy::Ttl, true)),
    }
}

/// How long one round of eviction may take, in microseconds, by `maxmemory-eviction-tenacity`: half a millisecond up to
/// 10, then 15 percent more for each step, and without end at 100.
fn round_usec(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => 50 * u64::from(tenacity),
        11..=99 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

impl Server {
    /// Bytes that count against `maxmemory`: all but the buffers that a write itself fills, which would make writes evict
    /// keys whose deletion fills the same buffers.
    fn counted_bytes(&self) -> u64 {
        self.memory.used_bytes().saturating_sub(self.uncounted_bytes())
    }

    /// Bytes of the AOF's buffer, and of the backlog as far as slow replicas make it longer than it should be.
    #[must_use]
    pub fn uncounted_bytes(&self) -> u64 {
        (self.aof.unwritten() + self.backlog_excess_bytes) as u64
    }

    /// By how much slow replicas make the backlog longer than it should be.
    #[must_use]
    pub fn backlog_excess_bytes(&self) -> u64 {
        self.backlog_excess_bytes as u64
    }

    /// Each tick: sums up what changes slowly.
    pub(super) fn memory_cron(&mut self) {
        self.backlog_excess_bytes = self.repl.memory().saturating_sub(self.config.repl_backlog_size);
        self.stats.peak_memory_bytes = self.stats.peak_memory_bytes.max(self.memory.used_bytes());
        self.evict_clients();
        self.free_garbage();
    }

    /// Whether more memory is in use than `maxmemory` allows.
    fn is_over_limit(&self) -> bool {
        self.config.maxmemory > 0 && self.counted_bytes() > self.config.maxmemory
    }

    /// Gives keys up until memory is within its limit, or the time for one round is over. `current`: the client whose command
    /// is to run.
    pub(super) fn make_room(&mut self, current: Option<&mut Client>) -> Room {
        if self.is_over_limit() {
            self.over_limit_since.get_or_insert(self.now);
        } else {
            self.note_within_limit();
            return Room::Enough;
        }
        let follows = !self.repl.is_primary() && self.config.replica_ignore_maxmemory;
        // While clients are held back for a failover the dataset has to stay as it is.
        if follows || self.is_loading() || self.paused().0 {
            return Room::Enough;
        }
        let Some((by, volatile)) = choice(self.config.maxmemory_policy) else { return Room::Never };
        let started = self.stopwatch.micros();
        let budget_usec = round_usec(self.config.maxmemory_eviction_tenacity);
        self.keyspace.begin(self.now, false, false, None);
        let mut evicted = 0u32;
        let room = loop {
            if !self.is_over_limit() {
                break Room::Enough;
            }
            let samples = self.config.maxmemory_samples;
            let Some((db, key)) = self.keyspace.choose_victim(&mut self.eviction, by, volatile, samples) else {
                break Room::Never;
            };
            if self.keyspace.db(db).evict(&key) {
                evicted += 1;
                self.stats.evicted_keys += 1;
                let verb: &[u8] = if self.config.lazyfree_lazy_eviction { b"UNLINK" } else { b"DEL" };
                if self.has_stream() {
                    self.propagate(db, Argv::of(&[verb, &key]).args());
                }
                self.free_garbage();
            }
            if evicted.is_multiple_of(KEYS_PER_LOOK) && self.stopwatch.micros().saturating_sub(started) > budget_usec {
                break Room::Soon;
            }
        };
        if room == Room::Enough {
            self.note_within_limit();
        }
        self.tell_of_changes(current, true, true);
        self.note_latency(LatencyEvent::EvictionCycle, self.stopwatch.micros().saturating_sub(started));
        room
    }

    fn note_within_limit(&mut self) {
        if let Some(since) = self.over_limit_since.take() {
            self.stats.over_limit_ms += self.now.since(since).max(0) as u64;
        }
    }

    /// Hands large values that were taken out to the owner, who frees them beside everything else.
    pub(super) fn free_garbage(&mut self) {
        if self.keyspace.has_garbage() {
            let garbage = self.keyspace.take_garbage();
            self.outbox.push(Effect::Free(Box::new(garbage)));
        }
    }

    /// Frees whole databases, now or, if `lazily`, beside everything else.
    pub fn free_tables(&mut self, old: Vec<Tables>, lazily: bool) {
        let garbage = Garbage::of_tables(old);
        if lazily && !garbage.is_empty() {
            self.outbox.push(Effect::Free(Box::new(garbage)));
        }
    }

    /// What the configuration says of freeing later.
    pub(super) fn lazy_free(config: &Config) -> LazyFree {
        LazyFree {
            eviction: config.lazyfree_lazy_eviction,
            expire: config.lazyfree_lazy_expire,
            server_del: config.lazyfree_lazy_server_del,
        }
    }

    /// `maxmemory-clients` in bytes; `None` without a limit.
    fn clients_limit_bytes(&self) -> Option<u64> {
        match self.config.maxmemory_clients {
            ClientsMemory::Bytes(0) => None,
            ClientsMemory::Bytes(n) => Some(n),
            ClientsMemory::Percent(_) if self.config.maxmemory == 0 => None,
            ClientsMemory::Percent(percent) => {
                Some((u128::from(self.config.maxmemory) * u128::from(percent) / 100) as u64)
            }
        }
    }

    /// Closes the connections that take the most memory while all of them together take more than `maxmemory-clients`.
    pub(super) fn evict_clients(&mut self) {
        let Some(limit_bytes) = self.clients_limit_bytes() else { return };
        let mut total = self.clients.memory_bytes() as u64;
        if total <= limit_bytes {
            return;
        }
        let exempt = ClientFlags::NO_EVICT | ClientFlags::CLOSE_NOW;
        let mut may_go: Vec<(u64, ClientId)> = (self.clients.iter())
            .filter(|client| client.counts_as_client() && !client.flags.intersects(exempt))
            .map(|client| (client.memory_bytes() as u64, client.id))
            .collect();
        may_go.sort_unstable();
        while total > limit_bytes
            && let Some((bytes, id)) = may_go.pop()
        {
            total -= bytes;
            self.stats.evicted_clients += 1;
            self.close(id, ClientFlags::CLOSE_NOW);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_lasts_as_long_as_its_tenacity_says() {
        assert_eq!([0, 1, 10].map(round_usec), [0, 50, 500]);
        assert!((570..=580).contains(&round_usec(11)) && round_usec(99) > 60_000_000);
        assert_eq!(round_usec(100), u64::MAX);
    }

    #[test]
    fn every_policy_chooses_as_it_is_called() {
        assert_eq!(choice(EvictionPolicy::NoEviction), None);
        assert_eq!(choice(EvictionPolicy::VolatileTtl), Some((EvictBy::Ttl, true)));
        assert_eq!(choice(EvictionPolicy::AllKeysLfu), Some((EvictBy::Lfu, false)));
    }
}
