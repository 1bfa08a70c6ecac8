//! A walk over some slots of all databases, in short slices between commands.
//!
//! Unlike a snapshot it has no point in time. Whoever walks is told of later changes elsewhere, and asks here which keys
//! the walk has passed: as with snapshots that is a comparison of places, no entry carries a mark.

use super::Keyspace;
use crate::base::{Slot, key_slot};
use crate::data::dict::position_reached;
use crate::data::entry::Entry;

/// How far a walk over some slots is.
#[derive(Debug)]
pub struct SlotWalk {
    /// In ascending order.
    slots: Vec<Slot>,
    db: u32,
    /// The next slot of `slots` in this database.
    at: usize,
    /// The place in that slot's table; 0 where it has not begun.
    cursor: u64,
}

impl SlotWalk {
    /// A walk over these slots that has not begun.
    #[must_use]
    pub fn new(mut slots: Vec<Slot>) -> SlotWalk {
        slots.sort_unstable();
        slots.dedup();
        SlotWalk { slots, db: 0, at: 0, cursor: 0 }
    }
}

impl Keyspace {
    /// Visits the next bucket that holds keys. False when there is none left.
    pub fn walk_slots(&self, walk: &mut SlotWalk, visit: &mut dyn FnMut(u32, &Entry)) -> bool {
        while walk.db < self.databases() {
            let tables = self.tables(walk.db);
            let Some(slot) = walk.slots.get(walk.at) else {
                (walk.db, walk.at) = (walk.db + 1, 0);
                continue;
            };
            let table = tables.get(slot.index());
            if walk.cursor == 0 && table.is_empty() {
                walk.at += 1;
                continue;
            }
            walk.cursor = table.scan(walk.cursor, &mut |entry| visit(walk.db, entry));
            walk.at += usize::from(walk.cursor == 0);
            return true;
        }
        false
    }

    /// Whether the walk has passed the place of `key`, which is in one of its slots.
    #[must_use]
    pub fn has_walked(&self, walk: &SlotWalk, db: u32, key: &[u8]) -> bool {
        let slot = key_slot(key);
        let here = (walk.db, walk.slots.get(walk.at).map_or(usize::MAX, |slot| slot.index()));
        match (db, slot.index()).cmp(&here) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => {
                walk.cursor != 0 && position_reached(self.tables(db).get(slot.index()).hash(key), walk.cursor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Rng;
    use crate::data::value::{Value, ValueRef};
    use crate::keyspace::SetExpire;
    use proptest::prelude::*;

    fn value(entry: &Entry) -> i64 {
        let ValueRef::Int(n) = entry.value() else { unreachable!("only integers are set") };
        n
    }

    proptest! {
        /// Who is told of every change of a key that the walk has passed, and only of those, ends with what is there.
        #[test]
        fn a_copy_that_follows_what_was_passed_is_complete(
            before in proptest::collection::vec((0u32..2, 0u16..600, any::<i64>()), 0..400),
            during in proptest::collection::vec((0u32..2, 0u16..600, any::<i64>(), any::<bool>(), 0u8..4), 0..400),
        ) {
            let mut ks = Keyspace::new(2, true, Rng::seeded(1));
            let tags = ["a", "b", "c", "d"];
            // Three of the four slots move.
            let slots: Vec<Slot> = tags[..3].iter().map(|tag| key_slot(tag.as_bytes())).collect();
            let name = |n: u16| format!("{{{}}}{n}", tags[usize::from(n % 4)]);
            for (db, n, value) in before {
                ks.db(db).set(name(n).as_bytes(), Value::Int(value), SetExpire::Never);
            }
            let mut walk = SlotWalk::new(slots.clone());
            let mut copy = BTreeMap::new();
            let step = |ks: &Keyspace, walk: &mut SlotWalk, copy: &mut BTreeMap<_, _>| {
                ks.walk_slots(walk, &mut |db, entry| {
                    let old = copy.insert((db, entry.key().to_vec()), value(entry));
                    assert!(old.is_none(), "sent twice");
                })
            };
            for (db, n, value, set, steps) in during {
                let key = name(n).into_bytes();
                let moves = slots.contains(&key_slot(&key));
                let passed = moves && ks.has_walked(&walk, db, &key);
                if set {
                    ks.db(db).set(&key, Value::Int(value), SetExpire::Never);
                } else {
                    drop(ks.db(db).remove(&key));
                }
                prop_assert_eq!(passed, moves && ks.has_walked(&walk, db, &key));
                if passed && set {
                    copy.insert((db, key), value);
                } else if passed {
                    copy.remove(&(db, key));
                }
                for _ in 0..steps {
                    step(&ks, &mut walk, &mut copy);
                }
            }
            while step(&ks, &mut walk, &mut copy) {}
            let mut expected = BTreeMap::new();
            for db in 0..2 {
                for slot in &slots {
                    for entry in ks.tables(db).get(slot.index()).iter() {
                        expected.insert((db, entry.key().to_vec()), value(entry));
                    }
                }
            }
            prop_assert_eq!(copy, expected);
        }
    }
}
