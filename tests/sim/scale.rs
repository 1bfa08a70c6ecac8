//! Large clusters: how long it takes until all slots are served again after many primaries have died at once.

use crate::plan::Plan;
use crate::queue::{MS, Micros, SEC};
use crate::world::World;

/// How often the world is looked at.
const LOOK_EVERY: Micros = 50 * MS;

impl World {
    /// Whether every slot has a live primary that serves it.
    fn all_served(&self) -> bool {
        let engines = self.nodes.iter().filter_map(|machine| machine.engine());
        let serving = engines.filter(|engine| engine.am_primary() && engine.state_ok());
        let served: usize = serving.map(|engine| engine.node(engine.me()).slot_count).sum();
        served == trib::base::SLOTS
    }
}

/// Builds a cluster of so many primaries with one replica each, kills some of the primaries, and says whether all slots
/// are served again in time.
pub fn kill_many(seed: u64, primaries: usize, victims: usize, limit: Micros) -> bool {
    let mut world = World::new(Plan::large(seed, primaries), false);
    world.start_all();
    let until = world.now + 30 * SEC;
    while !world.all_served() && world.now < until {
        let next = world.now + LOOK_EVERY;
        world.run(next, |_| false);
    }
    // Two node timeouts: replicas have their primaries' data, and everybody has been heard of.
    let settled = world.now + 2 * world.plan.node_timeout;
    world.run(settled, |_| false);
    let begun = world.now;
    for victim in 0..victims {
        world.crash(victim * primaries / victims);
    }
    // The dead are still counted as owners until they are replaced: they serve nothing.
    while world.broken.is_none() && world.now < begun + 6 * limit {
        let next = world.now + LOOK_EVERY;
        world.run(next, |_| false);
        if world.all_served() {
            break;
        }
    }
    let took = world.now - begun;
    println!(
        "{} nodes, {victims} of {primaries} primaries killed: all slots served again after {} ms of virtual time{}",
        2 * primaries,
        took / MS,
        world.broken.as_ref().map_or(String::new(), |what| format!(", broken {what}"))
    );
    world.broken.is_none() && took <= limit
}
