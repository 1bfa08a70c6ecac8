//! Slots that nobody has moved by order change hands by failover only, to a newer epoch each time. So whom a machine takes
//! for their owner has an epoch that never goes back while the machine runs.

use trib::base::Slot;
use trib::cluster::Engine;

use crate::checks::Checks;
use crate::world::World;

/// What a machine believes: ranges of slots in ascending order, with the epoch of whoever owns them.
#[derive(Default)]
pub struct Beliefs {
    version: u64,
    ranges: Vec<(Slot, Slot, u64)>,
}

/// A slot of both lists with an older epoch in `now` than in `before`: the slot, and both epochs.
fn older(
    before: &[(Slot, Slot, u64)],
    now: &[(Slot, Slot, u64)],
    counts: impl Fn(Slot) -> bool,
) -> Option<(Slot, u64, u64)> {
    let mut rest = before;
    for &(first, last, epoch) in now {
        while let Some(((known_first, known_last, known), behind)) = rest.split_first() {
            let found = (*known > epoch).then(|| {
                let shared = first.max(*known_first).get()..=last.min(*known_last).get();
                shared.filter_map(Slot::new).find(|slot| counts(*slot))
            });
            if let Some(slot) = found.flatten() {
                return Some((slot, *known, epoch));
            }
            if *known_last > last {
                break;
            }
            rest = behind;
        }
    }
    None
}

impl Beliefs {
    pub fn forget(&mut self) {
        *self = Beliefs::default();
    }

    /// Takes over what an engine believes now. What it says is wrong with that, if something is.
    fn update(&mut self, engine: &Engine, counts: impl Fn(Slot) -> bool) -> Option<(Slot, u64, u64)> {
        let version = engine.slots_version();
        if version == self.version {
            return None;
        }
        let map = engine.slot_map();
        let ranges = map.into_iter().map(|(first, last, owner)| (first, last, engine.node(owner).epoch)).collect();
        let before = std::mem::replace(&mut self.ranges, ranges);
        self.version = version;
        older(&before, &self.ranges, counts)
    }
}

impl World {
    /// Looks at whom a machine takes for the owners of slots.
    pub fn check_owners(&mut self, node: usize) {
        let Some(engine) = self.nodes[node].engine() else { return };
        let Checks { beliefs, touched, .. } = &mut self.checks;
        let wrong = beliefs[node].update(engine, |slot| touched[slot.index()] == 0);
        if let Some((slot, before, now)) = wrong {
            self.fail(|| format!("node {node}: slot {slot} went back from an owner of epoch {before} to one of {now}"));
        }
    }
}
