//! Moving no faster than the operator allows: so many keys or bytes a second over all nodes, and not while the nodes of
//! a transfer answer slowly.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::super::addr::Addr;
use super::super::client::{Client, Pool, command, join_all};
use super::super::error::Failure;
use super::budget::Budget;
use super::latency::Latency;
use super::link::Link;
use super::progress::Observer;
use super::{Stop, Trouble};

/// Between two PINGs of a node.
const PROBE_EVERY: Duration = Duration::from_millis(10);
/// A longer wait is cut, to see whether the operator wants to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What servers move by themselves before the answers of the nodes are looked at again.
const KEYS_BETWEEN_LOOKS: u64 = 10_000;
/// MIGRATE makes the source's clients wait; this part of what the operator allows is left to everything else.
const PART_OF_LATENCY: u32 = 2;

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub keys_per_sec: Option<u64>,
    pub bytes_per_sec: Option<u64>,
    /// Nothing is sent while the p99 of a PING is over this.
    pub p99: Option<Duration>,
}

/// Holds back what would be too much.
pub(super) struct Brake {
    limits: Limits,
    begun: Instant,
    keys: RefCell<Option<Budget>>,
    bytes: RefCell<Option<Budget>>,
    latencies: RefCell<BTreeMap<Addr, Latency>>,
    /// Why a node cannot be watched any more.
    blind: RefCell<Option<Failure>>,
    has_said: Cell<bool>,
}

impl Brake {
    #[must_use]
    pub fn new(limits: Limits) -> Brake {
        Brake {
            limits,
            begun: Instant::now(),
            keys: RefCell::new(limits.keys_per_sec.map(Budget::new)),
            bytes: RefCell::new(limits.bytes_per_sec.map(Budget::new)),
            latencies: RefCell::default(),
            blind: RefCell::default(),
            has_said: Cell::new(false),
        }
    }

    #[must_use]
    pub fn counts_bytes(&self) -> bool {
        self.limits.bytes_per_sec.is_some()
    }

    /// The most keys to send at once, where one takes so many bytes on average.
    #[must_use]
    pub fn most_keys(&self, bytes_each: Option<u64>) -> usize {
        let keys = self.keys.borrow().as_ref().map(Budget::portion);
        let bytes = self.bytes.borrow().as_ref().map(Budget::portion).zip(bytes_each);
        let by_bytes = bytes.map(|(bytes, each)| (bytes / each.max(1)).max(1));
        let most = keys.into_iter().chain(by_bytes).min().unwrap_or(u64::MAX);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// The most keys in slots that are open at the same time: a second's worth, so that no slot stays open for long.
    #[must_use]
    pub fn most_open_keys(&self) -> u64 {
        self.limits.keys_per_sec.unwrap_or(u64::MAX)
    }

    /// The most keys that servers move at a time, where one takes so many bytes: a second's worth; `None` for no limit.
    #[must_use]
    pub fn most_keys_atomic(&self, bytes_each: u64) -> Option<u64> {
        let by_bytes = self.limits.bytes_per_sec.map(|bytes| bytes / bytes_each.max(1));
        let by_p99 = self.limits.p99.map(|_| KEYS_BETWEEN_LOOKS);
        self.limits.keys_per_sec.into_iter().chain(by_bytes).chain(by_p99).min()
    }

    /// How long the source may be kept busy at a time.
    #[must_use]
    pub fn burst(&self, usual: Duration) -> Duration {
        self.limits.p99.map_or(usual, |p99| usual.min(p99 / PART_OF_LATENCY))
    }

    /// Waits until so much may go over the link.
    pub async fn admit(
        &self,
        link: &Link<'_>,
        keys: u64,
        bytes: u64,
        stop: &Cell<Stop>,
        observer: &dyn Observer,
    ) -> Result<(), Trouble> {
        loop {
            if stop.get() == Stop::Now {
                return Err(Trouble::Stopped);
            }
            if let Some(failure) = self.blind.borrow().clone() {
                return Err(failure.into());
            }
            let now = self.begun.elapsed();
            let owed = |budget: &RefCell<Option<Budget>>| {
                budget.borrow_mut().as_mut().map_or(Duration::ZERO, |budget| budget.wait(now))
            };
            let mut wait = owed(&self.keys).max(owed(&self.bytes));
            if let Some((node, p99)) = self.slow_end(link, now) {
                if !self.has_said.replace(true) {
                    observer.paused(node, p99);
                }
                wait = wait.max(PROBE_EVERY);
            }
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait.min(LOOK_EVERY)).await;
        }
        for (budget, amount) in [(&self.keys, keys), (&self.bytes, bytes)] {
            if let Some(budget) = &mut *budget.borrow_mut() {
                budget.spend(amount);
            }
        }
        Ok(())
    }

    fn slow_end<'l>(&self, link: &'l Link<'_>, now: Duration) -> Option<(&'l Addr, Duration)> {
        let limit = self.limits.p99?;
        let latencies = self.latencies.borrow();
        [&link.source.addr, &link.target.addr].into_iter().find_map(|addr| {
            let p99 = latencies.get(addr)?.p99(now)?;
            (p99 > limit).then_some((addr, p99))
        })
    }

    /// Watches the nodes for as long as it is polled. Each on a connection of its own, since on the usual one a PING
    /// would stand behind the keys.
    pub async fn watch(&self, pool: &Pool, nodes: Vec<&Addr>) -> Infallible {
        if self.limits.p99.is_some() {
            join_all(nodes.into_iter().map(|addr| async move {
                let failure = self.ping(pool, addr).await;
                // The others are watched on, but the run ends with this.
                self.blind.borrow_mut().get_or_insert(failure);
            }))
            .await;
        }
        std::future::pending().await
    }

    /// Until that fails.
    async fn ping(&self, pool: &Pool, addr: &Addr) -> Failure {
        let client = match Client::dial(addr, pool.access()).await {
            Ok(client) => client,
            Err(failure) => return failure,
        };
        let ping = command("PING");
        loop {
            self.note(addr, Latency::ask);
            match client.call(&ping).await {
                // Whatever it answers, it answers.
                Ok(_) | Err(Failure::Reply { .. }) => self.note(addr, Latency::answer),
                Err(failure) => return failure,
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    fn note(&self, addr: &Addr, what: fn(&mut Latency, Duration)) {
        let now = self.begun.elapsed();
        what(self.latencies.borrow_mut().entry(addr.clone()).or_default(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_follow_from_the_rates() {
        let limits = |keys, bytes| Limits { keys_per_sec: keys, bytes_per_sec: bytes, p99: None };
        assert_eq!(Brake::new(limits(None, None)).most_keys(Some(5)), usize::MAX);
        assert_eq!(Brake::new(limits(Some(200), None)).most_keys(None), 20);
        assert_eq!(Brake::new(limits(Some(200), Some(1000))).most_keys(Some(10)), 10);
        assert_eq!(Brake::new(limits(None, Some(1000))).most_keys(Some(1_000_000)), 1, "one key is the least");
        assert_eq!(Brake::new(limits(None, None)).most_keys_atomic(10), None);
        assert_eq!(Brake::new(limits(Some(200), Some(1000))).most_keys_atomic(10), Some(100));
    }

    #[test]
    fn bursts_stay_below_the_latency_that_is_allowed() {
        let p99 = |ms| Limits { p99: Some(Duration::from_millis(ms)), ..Limits::default() };
        let usual = Duration::from_millis(10);
        assert_eq!(Brake::new(Limits::default()).burst(usual), usual);
        assert_eq!(Brake::new(p99(100)).burst(usual), usual);
        assert_eq!(Brake::new(p99(4)).burst(usual), Duration::from_millis(2));
    }
}
