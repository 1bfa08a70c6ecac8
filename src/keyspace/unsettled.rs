//! Keys that have been changed, or may have been, while the log on disk does not tell of it yet.
//!
//! Only hashes are kept: where two keys share one, a reply waits without need.

use std::collections::HashSet;

use super::Keyspace;
use crate::data::dict::hash_bytes;

/// Any will do: whoever finds keys that collide makes only himself wait.
const SEED: u64 = 0x5eed_0f10_9a0d_d15c;

/// One round of writing the log.
#[derive(Debug, Default)]
struct Round {
    keys: HashSet<u64>,
    /// Whole databases were emptied or exchanged.
    all: bool,
}

impl Round {
    fn has(&self, hash: u64) -> bool {
        self.all || self.keys.contains(&hash)
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.all = false;
    }
}

/// The keys of the rounds that are not on disk.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    on: bool,
    /// What has not been given to the log's writer yet, ...
    waiting: Round,
    /// ... and what it has and is making durable.
    taken: Round,
}

fn hash(db: u32, key: &[u8]) -> u64 {
    hash_bytes(SEED ^ u64::from(db), key)
}

impl Unsettled {
    pub fn is_on(&self) -> bool {
        self.on
    }

    pub fn add(&mut self, db: u32, key: &[u8]) {
        if self.on {
            self.waiting.keys.insert(hash(db, key));
        }
    }

    pub fn all(&mut self) {
        self.waiting.all |= self.on;
    }
}

impl Keyspace {
    /// Whether changed keys are to be remembered until the log is on disk.
    pub fn note_unsettled(&mut self, on: bool) {
        if self.unsettled.on != on {
            self.unsettled = Unsettled { on, ..Unsettled::default() };
        }
    }

    /// Whether the log on disk may not tell of the last change of `key` yet.
    #[must_use]
    pub fn is_unsettled(&self, db: u32, key: &[u8]) -> bool {
        let hash = hash(db, key);
        self.unsettled.waiting.has(hash) || self.unsettled.taken.has(hash)
    }

    /// What the log holds has been taken to be written.
    pub fn log_taken(&mut self) {
        let Unsettled { waiting, taken, .. } = &mut self.unsettled;
        if taken.keys.is_empty() {
            std::mem::swap(&mut taken.keys, &mut waiting.keys);
        } else {
            taken.keys.extend(waiting.keys.drain());
        }
        taken.all |= std::mem::take(&mut waiting.all);
    }

    /// What was taken is on disk.
    pub fn log_settled(&mut self) {
        self.unsettled.taken.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::data::value::Value;
    use crate::keyspace::SetExpire;

    #[test]
    fn a_key_is_settled_when_its_round_is_on_disk() {
        let mut ks = Keyspace::new(2, false, Rng::seeded(1));
        let set = |ks: &mut Keyspace, key: &[u8]| ks.db(0).set(key, Value::Int(1), SetExpire::Never);
        set(&mut ks, b"before");
        ks.note_unsettled(true);
        set(&mut ks, b"a");
        assert!(ks.is_unsettled(0, b"a") && !ks.is_unsettled(1, b"a") && !ks.is_unsettled(0, b"before"));
        ks.log_taken();
        set(&mut ks, b"b");
        assert!(ks.is_unsettled(0, b"a") && ks.is_unsettled(0, b"b"));
        ks.log_settled();
        assert!(!ks.is_unsettled(0, b"a") && ks.is_unsettled(0, b"b"));
        // Two rounds that are made durable together.
        ks.log_taken();
        ks.flush(Some(1));
        ks.log_taken();
        assert!(ks.is_unsettled(0, b"a"));
        ks.log_settled();
        assert!(!ks.is_unsettled(0, b"a") && !ks.is_unsettled(0, b"b"));
    }
}
