//! Slots that nobody has moved by order change hands by failover only, to a newer epoch each time. So whoever a machine takes
//! for their new owner has an epoch that is not older than that under which the last one got them.

use trib::base::{SLOTS, Slot};
use trib::cluster::{Engine, NodeIdx};

use crate::checks::Checks;
use crate::world::World;

/// What a machine believes of each slot: who owns it, and the epoch of that node when it got it. An owner's epoch may rise
/// later for slots that it does not claim any more.
#[derive(Default)]
pub struct Beliefs {
    version: u64,
    slots: Vec<Option<(NodeIdx, u64)>>,
}

impl Beliefs {
    pub fn forget(&mut self) {
        *self = Beliefs::default();
    }

    /// Takes over what an engine believes now. What is wrong with that, if something is: a slot, and the epochs of its last
    /// owner and of its new one.
    fn update(&mut self, engine: &Engine, counts: impl Fn(Slot) -> bool) -> Option<(Slot, u64, u64)> {
        let version = engine.slots_version();
        if version == self.version {
            return None;
        }
        self.version = version;
        self.slots.resize(SLOTS, None);
        let mut wrong = None;
        for (slot, last) in Slot::all().zip(&mut self.slots) {
            // An owner that was heard without it may be followed by anybody, also by one who had the slot before.
            let epoch = |owner| if engine.is_unclaimed(slot) { 0 } else { engine.node(owner).epoch };
            let now = engine.slot_owner(slot).map(|owner| (owner, epoch(owner)));
            if let (Some((before, since)), Some((owner, epoch))) = (last.as_mut(), now)
                && *before == owner
            {
                *since = epoch.min(*since);
                continue;
            }
            if let (Some((_, before)), Some((_, epoch))) = (std::mem::replace(last, now), now)
                && epoch < before
                && counts(slot)
            {
                wrong = wrong.or(Some((slot, before, epoch)));
            }
        }
        wrong
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
