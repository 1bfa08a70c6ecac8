//! Random crashes, restarts and partitions; what must hold at every moment, and that all ends well.

use std::collections::BTreeMap;

use super::*;
use crate::base::Rng;

/// What each node was seen to have promised.
#[derive(Default)]
struct Witness {
    epochs: BTreeMap<usize, (u64, u64)>,
    /// Which node ever had a configuration epoch as a primary.
    owners: BTreeMap<u64, NodeId>,
}

impl Witness {
    fn look(&mut self, net: &Net, seed: u64) {
        for i in net.alive() {
            let engine = net.engine(i);
            let (current, voted) = self.epochs.entry(i).or_default();
            assert!(engine.last_vote_epoch() >= *voted, "seed {seed}: node {i} forgot a vote");
            assert!(engine.current_epoch() >= engine.last_vote_epoch());
            (*current, *voted) = (engine.current_epoch(), engine.last_vote_epoch());
            let me = engine.node(engine.me());
            if me.node.is_primary() && me.epoch > 0 {
                let owner = *self.owners.entry(me.epoch).or_insert(me.node.id);
                assert_eq!(owner, me.node.id, "seed {seed}: two primaries with epoch {}\n{}", me.epoch, net.report());
            }
        }
    }
}

fn storm(seed: u64, replicas: usize) {
    let mut net = Net::new(3 + 3 * replicas, seed, |c| {
        c.node_timeout_ms = 1000;
        c.replica_validity_factor = 0;
    });
    let count = net.nodes.len();
    net.create(3);
    let mut rng = Rng::seeded(seed ^ 0xc4a05);
    let mut witness = Witness::default();
    for _ in 0..15 {
        let node = rng.below(count as u64) as usize;
        match rng.below(6) {
            0 | 1 if net.alive().len() > count / 2 && net.nodes[node].engine.is_some() => net.kill(node),
            2 if net.nodes[node].engine.is_none() => net.start(node),
            3 => net.partition(&(0..count).map(|_| u32::from(rng.below(3) == 0)).collect::<Vec<_>>()),
            4 => net.heal(),
            _ => {
                let writer = rng.below(count as u64) as usize;
                net.nodes[writer].offset += rng.below(100);
                if net.nodes[node].engine.is_some() {
                    let order = ["FAILOVER", "FAILOVER FORCE"][rng.below(2) as usize];
                    // Refused on primaries and where the primary is down.
                    drop(net.admin(node, order));
                }
            }
        }
        for _ in 0..rng.below(15) + 1 {
            net.run(200);
            witness.look(&net, seed);
        }
    }
    net.heal();
    for i in 0..count {
        if net.nodes[i].engine.is_none() {
            net.start(i);
        }
    }
    net.run_until(90_000, &format!("seed {seed}: calm"), |net| net.all_ok() && net.agree());
    witness.look(&net, seed);
    assert_eq!(
        net.engine(0).slot_map().iter().map(|(a, b, _)| usize::from(b.get() - a.get()) + 1).sum::<usize>(),
        16384
    );
}

#[test]
fn a_small_cluster_survives_storms() {
    for seed in 1..4 {
        storm(seed, 1);
    }
}

#[test]
fn a_cluster_with_two_replicas_each_survives_storms() {
    storm(101, 2);
    // Here a replica learns that its primary is one now before it learns of the primary behind it.
    storm(202, 2);
}
