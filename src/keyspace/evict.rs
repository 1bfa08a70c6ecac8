//! Which key to give up when memory is short.
//!
//! Keeping all keys in the order of their use would cost memory on every key, so a few are looked at, drawn at random,
//! and the best of them and of those remembered from the draws before is the victim: close to the true order at a
//! fraction of its price.

use super::{Db, EventClass, Keyspace, Tables};
use crate::base::Rng;
use crate::data::entry::Entry;
use crate::data::table::Table;

/// Candidates remembered between draws.
const POOL: usize = 16;

/// How often a table is drawn at random in search of one with volatile keys before all are gone through.
const DRAWS: usize = 16;

/// By what the victim is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictBy {
    /// Least recently used.
    Lru,
    /// Least frequently used.
    Lfu,
    /// Closest to its expiry.
    Ttl,
    Random,
}

#[derive(Debug)]
struct Candidate {
    /// The higher, the better a victim.
    score: u64,
    db: u32,
    key: Box<[u8]>,
}

/// The best victims seen so far, the best last.
#[derive(Debug, Default)]
pub struct EvictionPool {
    candidates: Vec<Candidate>,
    /// The database that the next random victim is looked for in.
    next_db: u32,
}

impl EvictionPool {
    /// Forgets everybody: scores of another policy mean something else.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }

    fn offer(&mut self, score: u64, db: u32, key: &[u8]) {
        let at = self.candidates.partition_point(|c| c.score < score);
        if at == 0 && self.candidates.len() == POOL {
            return;
        }
        if self.candidates.iter().any(|c| c.db == db && *c.key == *key) {
            return;
        }
        self.candidates.insert(at, Candidate { score, db, key: key.into() });
        if self.candidates.len() > POOL {
            self.candidates.remove(0);
        }
    }
}

impl Keyspace {
    /// The next victim, only among keys with an expiry when `volatile`. `samples` keys of every database are looked at.
    /// `None` when there is no key to give up.
    pub fn choose_victim(
        &mut self,
        pool: &mut EvictionPool,
        by: EvictBy,
        volatile: bool,
        samples: usize,
    ) -> Option<(u32, Box<[u8]>)> {
        if by == EvictBy::Random {
            return self.random_victim(pool, volatile);
        }
        loop {
            let mut seen = 0;
            for db in 0..self.databases() {
                seen += self.sample_into(pool, db, by, volatile, samples);
            }
            if seen == 0 {
                return None;
            }
            // Those remembered may be gone, or have lost their expiry.
            while let Some(best) = pool.candidates.pop() {
                let table = self.db(best.db).table_of(&best.key);
                let entry = self.dbs[best.db as usize].get(table).find(&best.key);
                if entry.is_some_and(|e| !volatile || e.expire_at().is_some()) {
                    return Some((best.db, best.key));
                }
            }
        }
    }

    /// Offers about `samples` keys of one database to the pool. Returns how many were looked at.
    fn sample_into(&mut self, pool: &mut EvictionPool, db: u32, by: EvictBy, volatile: bool, samples: usize) -> usize {
        let Keyspace { dbs, rng, access, now, .. } = self;
        let tables = &dbs[db as usize];
        let available = if volatile { tables.volatile_len() } else { tables.len() };
        let mut seen = 0;
        // A table of one slot may have fewer keys than are wanted.
        for _ in 0..samples {
            if seen >= samples.min(available) {
                break;
            }
            let Some(table) = some_table(tables, volatile, rng) else { break };
            let mut visit = |entry: &Entry| {
                seen += 1;
                let score = match by {
                    EvictBy::Lfu => u64::from(255 - access.frequency(entry.access(), *now)),
                    EvictBy::Ttl => entry.expire_at().map_or(0, |at| u64::MAX - at.0.max(0) as u64),
                    EvictBy::Lru | EvictBy::Random => {
                        u64::from(super::AccessPolicy::idle_seconds(entry.access(), *now))
                    }
                };
                pool.offer(score, db, entry.key());
            };
            if volatile {
                table.sample_volatile(&mut table_rng(rng), samples, &mut visit);
            } else {
                table.sample(&mut table_rng(rng), samples, &mut visit);
            }
        }
        seen
    }

    fn random_victim(&mut self, pool: &mut EvictionPool, volatile: bool) -> Option<(u32, Box<[u8]>)> {
        let databases = self.databases();
        for _ in 0..databases {
            pool.next_db = (pool.next_db + 1) % databases;
            let db = pool.next_db;
            let Keyspace { dbs, rng, .. } = self;
            let Some(table) = some_table(&dbs[db as usize], volatile, rng) else { continue };
            let entry = if volatile { table.random_volatile(rng) } else { table.random(rng) };
            if let Some(entry) = entry {
                return Some((db, entry.key().into()));
            }
        }
        None
    }
}

/// A generator of its own for one draw: the keyspace's is borrowed beside the table.
fn table_rng(rng: &mut Rng) -> Rng {
    Rng::seeded(rng.next_u64())
}

/// A table of the database that holds a key, or a volatile one.
fn some_table<'a>(tables: &'a Tables, volatile: bool, rng: &mut Rng) -> Option<&'a Table> {
    if !volatile {
        return Some(tables.get(tables.random_table(rng)?));
    }
    if tables.volatile_len() == 0 {
        return None;
    }
    for _ in 0..DRAWS {
        let table = tables.get(tables.random_table(rng)?);
        if table.volatile_len() > 0 {
            return Some(table);
        }
    }
    let start = rng.below(tables.count() as u64) as usize;
    (start..tables.count()).chain(0..start).map(|i| tables.get(i)).find(|table| table.volatile_len() > 0)
}

impl Db<'_> {
    /// Gives a key up to make room. False when it is not there.
    pub fn evict(&mut self, key: &[u8]) -> bool {
        let table = self.table_of(key);
        let Some(entry) = self.take(table, key) else { return false };
        self.notify(EventClass::EVICTED, "evicted", key);
        let lazily = self.ks.lazy.eviction;
        self.ks.discard(entry, lazily);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Millis;
    use crate::data::value::Value;
    use crate::keyspace::{AccessPolicy, SetExpire};

    fn keyspace(slotted: bool) -> Keyspace {
        Keyspace::new(2, slotted, Rng::seeded(3))
    }

    fn add(ks: &mut Keyspace, n: u32, now: Millis, expire: SetExpire) {
        ks.begin(now, false, false, None);
        ks.db(n % 2).set(format!("k{n}").as_bytes(), Value::Int(1), expire);
    }

    fn number(key: &[u8]) -> u32 {
        std::str::from_utf8(&key[1..]).unwrap().parse().unwrap()
    }

    /// The numbers of the victims in their order, each evicted before the next is chosen.
    fn victims(ks: &mut Keyspace, by: EvictBy, volatile: bool, count: usize) -> Vec<u32> {
        let mut pool = EvictionPool::default();
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let Some((db, key)) = ks.choose_victim(&mut pool, by, volatile, 10) else { break };
            assert!(ks.db(db).evict(&key));
            chosen.push(number(&key));
        }
        chosen
    }

    #[test]
    fn the_oldest_half_goes_first_with_few_mistakes() {
        for slotted in [false, true] {
            let mut ks = keyspace(slotted);
            for n in 0..2000 {
                add(&mut ks, n, Millis(1_000_000 + i64::from(n) * 1000), SetExpire::Never);
            }
            let chosen = victims(&mut ks, EvictBy::Lru, false, 1000);
            let wrong = chosen.iter().filter(|n| **n >= 1200).count();
            assert!(wrong < 50, "{wrong} of the younger ones were taken");
            assert_eq!(ks.len(), 1000);
        }
    }

    #[test]
    fn seldom_used_keys_go_before_often_used_ones() {
        let mut ks = keyspace(false);
        ks.set_access_policy(AccessPolicy::Lfu { log_factor: 1, decay_minutes: 1 });
        for n in 0..1000 {
            add(&mut ks, n, Millis(1000), SetExpire::Never);
        }
        for _ in 0..60 {
            for n in (0..1000).step_by(2) {
                ks.db(0).read(format!("k{n}").as_bytes());
            }
        }
        let chosen = victims(&mut ks, EvictBy::Lfu, false, 300);
        assert!(chosen.iter().filter(|n| **n % 2 == 0).count() < 15);
    }

    #[test]
    fn the_next_to_expire_goes_first_and_the_others_stay() {
        for slotted in [false, true] {
            let mut ks = keyspace(slotted);
            for n in 0..400 {
                let at = SetExpire::At(Millis(10_000_000 + i64::from(n) * 1000));
                add(&mut ks, n, Millis(1000), if n < 100 { at } else { SetExpire::Never });
            }
            let chosen = victims(&mut ks, EvictBy::Ttl, true, 1000);
            assert_eq!(chosen.len(), 100, "only volatile keys are given up");
            let early = chosen[..50].iter().filter(|n| **n < 60).count();
            assert!(early > 40, "{early}");
            assert_eq!(ks.len(), 300);
        }
    }

    #[test]
    fn random_victims_come_from_all_databases() {
        for volatile in [false, true] {
            let mut ks = keyspace(true);
            for n in 0..200 {
                add(&mut ks, n, Millis(1000), SetExpire::At(Millis(99_000)));
            }
            let mut chosen = victims(&mut ks, EvictBy::Random, volatile, 1000);
            assert!(chosen[..20].iter().any(|n| n % 2 == 0) && chosen[..20].iter().any(|n| n % 2 == 1));
            chosen.sort_unstable();
            assert_eq!(chosen, (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_values_are_left_to_be_freed_later() {
        let mut ks = keyspace(false);
        let limits = crate::data::Limits::default();
        let mut set = crate::data::set::Set::new();
        for n in 0..1000 {
            set.add(format!("member:{n}").as_bytes(), &limits);
        }
        ks.db(0).set(b"large", Value::Set(set), SetExpire::Never);
        add(&mut ks, 2, Millis(1000), SetExpire::Never);
        assert!(ks.db(0).evict(b"k2") && !ks.has_garbage());
        assert!(ks.db(0).evict(b"large") && !ks.db(0).evict(b"large"));
        let garbage = ks.take_garbage();
        assert_eq!(garbage.objects(), 1);
        assert!(garbage.bytes() > 10_000);
    }
}
