//! The active side of expiry: finds keys whose time has come although nobody asks for them.

use super::{Db, Keyspace};

/// How hard expired keys are looked for: `active-expire-effort`, 1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpireEffort(pub u32);

impl ExpireEffort {
    /// Keys looked at in one step.
    fn sample(self) -> usize {
        20 + 5 * self.above_least() as usize
    }

    /// A database is left when at most this share of a sample was expired, in percent: what is left is not worth the
    /// time, and its turn comes again.
    fn acceptable_percent(self) -> usize {
        10 - self.above_least() as usize
    }

    /// The share of CPU the search may take, in percent.
    #[must_use]
    pub fn share_percent(self) -> u64 {
        25 + 2 * u64::from(self.above_least())
    }

    fn above_least(self) -> u32 {
        self.0.clamp(1, 10) - 1
    }
}

/// Where the search goes on next time: each database has a place of its own, so that none is seen from its beginning
/// over and over.
#[derive(Clone, Debug, Default)]
pub struct ExpireCursor {
    db: usize,
    places: Vec<Place>,
    /// For each database the mean of what the keys looked at had still to live, the latest counting most.
    mean_ttl_ms: Vec<f64>,
    /// How many percent of the keys with an expiry are expired and still there, about: what the cycles found.
    stale_percent: f64,
}

/// How much one key counts in the mean of what is left to live.
const MEAN_SHARE: f64 = 0.02;

/// How much one cycle counts in the share of expired keys.
const CYCLE_SHARE: f64 = 0.05;

impl ExpireCursor {
    /// What the keys with an expiry of a database have still to live, about; 0 when that is not known.
    #[must_use]
    pub fn mean_ttl_ms(&self, db: u32) -> i64 {
        self.mean_ttl_ms.get(db as usize).map_or(0, |mean| *mean as i64)
    }

    /// How many percent of the keys with an expiry are expired and still there, about.
    #[must_use]
    pub fn stale_percent(&self) -> f64 {
        self.stale_percent
    }

    /// A cycle has looked at so many keys and found so many of them expired.
    fn note_cycle(&mut self, seen: usize, expired: usize) {
        let found = if seen > 0 { expired as f64 * 100.0 / seen as f64 } else { 0.0 };
        self.stale_percent += (found - self.stale_percent) * CYCLE_SHARE;
    }
}

/// A table, and the cursor of a scan in it.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    table: usize,
    cursor: u64,
}

impl Keyspace {
    /// Looks at samples of the volatile keys from where it stopped last and deletes the expired ones. A database is
    /// left when a sample holds few of them. Ends when all databases were seen, or as soon as `more`, asked after every
    /// sample, says stop: the caller's share of CPU. True when there is more to find. The deleted keys are then in
    /// [`Keyspace::take_expired`].
    pub fn expire_cycle(
        &mut self,
        at: &mut ExpireCursor,
        effort: ExpireEffort,
        mut more: impl FnMut() -> bool,
    ) -> bool {
        if self.replica {
            return false;
        }
        at.places.resize(self.dbs.len(), Place::default());
        at.mean_ttl_ms.resize(self.dbs.len(), 0.0);
        let (mut all_seen, mut all_deleted) = (0, 0);
        for _ in 0..self.dbs.len() {
            loop {
                let (seen, deleted) = self.expire_sample(at, effort.sample());
                (all_seen, all_deleted) = (all_seen + seen, all_deleted + deleted);
                if deleted * 100 <= seen * effort.acceptable_percent() {
                    break;
                }
                if !more() {
                    at.note_cycle(all_seen, all_deleted);
                    return true;
                }
            }
            at.db = (at.db + 1) % self.dbs.len();
        }
        at.note_cycle(all_seen, all_deleted);
        false
    }

    /// Looks at about `wanted` volatile keys of the cursor's database and deletes the expired ones among them. Returns
    /// how many were looked at and how many deleted; fewer than wanted at the end of the database.
    fn expire_sample(&mut self, at: &mut ExpireCursor, wanted: usize) -> (usize, usize) {
        let (mut seen, mut deleted) = (0, 0);
        let (db, now) = (at.db, self.now);
        let (place, mean_ttl_ms) = (&mut at.places[db], &mut at.mean_ttl_ms[db]);
        if self.dbs[db].volatile_len() == 0 {
            *mean_ttl_ms = 0.0;
        }
        while seen < wanted {
            let Some(table) = self.next_volatile(db, place) else {
                // Round again next time.
                *place = Place::default();
                break;
            };
            let mut due = Vec::new();
            while seen < wanted {
                place.cursor = self.dbs[db].get(table).scan_volatile(place.cursor, &mut |entry| {
                    seen += 1;
                    let left_ms = entry.expire_at().map_or(0, |at| at.since(now));
                    if left_ms <= 0 {
                        due.push(Box::<[u8]>::from(entry.key()));
                    } else if *mean_ttl_ms == 0.0 {
                        *mean_ttl_ms = left_ms as f64;
                    } else {
                        *mean_ttl_ms += (left_ms as f64 - *mean_ttl_ms) * MEAN_SHARE;
                    }
                });
                if place.cursor == 0 {
                    place.table = table + 1;
                    break;
                }
            }
            deleted += due.len();
            let mut db = Db { ks: self, index: db as u32 };
            for key in &due {
                db.delete_expired(table, key);
            }
        }
        (seen, deleted)
    }

    /// The table to go on with, or `None` when this database is done.
    fn next_volatile(&self, db: usize, at: &mut Place) -> Option<usize> {
        let tables = &self.dbs[db];
        if tables.volatile_len() == 0 {
            return None;
        }
        loop {
            let table = tables.next_nonempty(at.table)?;
            if table != at.table {
                *at = Place { table, cursor: 0 };
            }
            if tables.get(table).volatile_len() > 0 {
                return Some(table);
            }
            at.table += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Millis, Rng};
    use crate::data::value::Value;
    use crate::keyspace::SetExpire;

    fn keyspace(slotted: bool, keys: u32, expired: impl Fn(u32) -> bool) -> Keyspace {
        let mut ks = Keyspace::new(3, slotted, Rng::seeded(1));
        for n in 0..keys {
            let at = if expired(n) { Millis(1000) } else { Millis(1_000_000) };
            ks.db(n % 3).set(format!("k{n}").as_bytes(), Value::Int(1), SetExpire::At(at));
        }
        ks.begin(Millis(2000), false, false, None);
        ks
    }

    #[test]
    fn what_has_expired_is_found_in_slices() {
        for slotted in [false, true] {
            let mut ks = keyspace(slotted, 3000, |_| true);
            let (mut at, mut slices) = (ExpireCursor::default(), 0);
            while ks.expire_cycle(&mut at, ExpireEffort(1), || false) {
                slices += 1;
                assert!(slices < 1000);
            }
            assert!(ks.is_empty());
            assert!(slices > 50, "a slice ends when it is told: {slices}");
            assert_eq!(ks.take_expired().len(), 3000);
        }
    }

    #[test]
    fn few_expired_keys_are_not_worth_the_whole_walk_but_are_found_in_the_end() {
        let mut ks = keyspace(false, 30_000, |n| n % 1000 < 3);
        let mut at = ExpireCursor::default();
        let mut samples = 0;
        assert!(!ks.expire_cycle(&mut at, ExpireEffort(1), || {
            samples += 1;
            true
        }));
        assert!(samples < 20, "{samples}");
        let mut cycles = 0;
        while ks.take_expired().len() + ks.len() > 29_910 || ks.len() > 29_910 {
            ks.expire_cycle(&mut at, ExpireEffort(1), || true);
            cycles += 1;
            assert!(cycles < 3000, "{} are left", ks.len());
        }
    }
}
