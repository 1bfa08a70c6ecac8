//! A model of what servers do with the steps of a repair, to prove repairs against.
//!
//! The model is hostile: after every step the claims that the repair itself has made travel to any nodes
//! in any order, and a node that owned the slot and has no guard drops its keys at once, as servers do.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::testkit::id;
use super::*;

/// One node's state for the one slot of the test.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Who owns the slot, as this node knows.
    owner: Option<NodeId>,
    migrating: Option<NodeId>,
    importing: Option<NodeId>,
    keys: BTreeSet<u32>,
    /// Since when it owns the slot, where it does.
    epoch: u64,
    /// Whether the repair made it claim the slot, so that others hear of it.
    announces: bool,
}

#[derive(Clone, Debug)]
struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    epoch: u64,
}

impl Cluster {
    fn facts(&self, slot: Slot) -> Vec<NodeFacts> {
        let facts = self.nodes.iter().map(|(&id, node)| NodeFacts {
            id,
            slots: (node.owner == Some(id)).then_some(slot).into_iter().collect(),
            migrating: node.migrating.map(|to| (slot, to)).into_iter().collect(),
            importing: node.importing.map(|from| (slot, from)).into_iter().collect(),
            keys: [(slot, node.keys.len() as u64)].into(),
        });
        facts.collect()
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a step names a node of the cluster")
    }

    fn claim(&mut self, id: NodeId) {
        self.epoch += 1;
        let epoch = self.epoch;
        let node = self.node(id);
        (node.owner, node.migrating, node.importing) = (Some(id), None, None);
        (node.epoch, node.announces) = (epoch, true);
    }

    /// One node hears what another one claims.
    fn gossip(&mut self, from: NodeId, to: NodeId) {
        let speaker = self.nodes[&from].clone();
        let listener = self.node(to);
        if !speaker.announces || speaker.owner != Some(from) || listener.importing.is_some() || from == to {
            return;
        }
        if listener.owner == Some(to) {
            if listener.epoch > speaker.epoch {
                return;
            }
            listener.keys.clear();
            listener.migrating = None;
        }
        listener.owner = Some(from);
    }

    fn move_keys(&mut self, from: NodeId, to: NodeId) {
        let source = &self.nodes[&from];
        assert!(source.migrating.is_some() || source.importing.is_some(), "the source does not let keys go");
        assert!(source.owner.is_some(), "the source knows no owner");
        let target = &self.nodes[&to];
        let takes = target.importing.is_some() || (target.owner == Some(to) && target.migrating.is_none());
        assert!(takes, "the target does not take keys");
        let mut keys = std::mem::take(&mut self.node(from).keys);
        self.node(to).keys.append(&mut keys);
    }

    /// Does what servers do; panics where one of them would refuse.
    fn apply(&mut self, step: Step) {
        match step {
            Step::Stable { node, .. } => {
                let node = self.node(node);
                (node.migrating, node.importing) = (None, None);
            }
            Step::Importing { node: id, from, .. } => {
                let node = self.node(id);
                assert_ne!(node.owner, Some(id), "an owner does not import");
                node.importing = Some(from);
            }
            Step::Disown { node: id, .. } => {
                let node = self.node(id);
                assert_eq!(node.owner, Some(id), "not its to disown");
                (node.owner, node.importing, node.announces) = (None, None, false);
            }
            Step::Own { node, .. } => self.claim(node),
            Step::Assign { node: id, owner, .. } => {
                let node = self.node(id);
                assert!(node.owner != Some(id) || owner == id || node.keys.is_empty(), "still holds keys");
                node.owner = Some(owner);
            }
            Step::MoveKeys { from, to, .. } => self.move_keys(from, to),
            Step::MoveSlot { from, to, .. } => {
                assert_eq!(self.nodes[&from].owner, Some(from), "not its to move");
                self.node(to).importing = Some(from);
                self.node(from).migrating = Some(to);
                self.move_keys(from, to);
                self.claim(to);
                for (&id, node) in &mut self.nodes {
                    node.owner = Some(to);
                    if id == from {
                        node.migrating = None;
                    }
                }
            }
        }
    }
}

prop_compose! {
    /// Any state a slot can be found in: claims, flags, also towards nodes that are gone, and keys anywhere.
    fn any_cluster()(
        states in prop::collection::vec(
            (prop::option::of(0usize..6), prop::option::weighted(0.4, 0usize..6), prop::option::weighted(0.4, 0usize..6),
             prop::collection::btree_set(0u32..20, 0..4)),
            1..5,
        ),
    ) -> Cluster {
        let count = states.len() as u64;
        let nodes = states.into_iter().enumerate().map(|(n, (owner, migrating, importing, keys))| {
            let owner = owner.map(id);
            let owns = owner == Some(id(n));
            // Servers hold at most one of the flags: an owner migrates, anybody else imports.
            let migrating = migrating.map(id).filter(|other| owns && *other != id(n));
            let importing = importing.map(id).filter(|other| !owns && *other != id(n));
            let epoch = n as u64 + 1;
            (id(n), Node { owner, migrating, importing, keys, epoch, announces: false })
        });
        Cluster { nodes: nodes.collect(), epoch: count }
    }
}

fn check(mut cluster: Cluster, gossip: &[(usize, usize)]) -> Result<(), TestCaseError> {
    let slot = Slot::new(7).unwrap();
    let keys: BTreeSet<u32> = cluster.nodes.values().flat_map(|node| node.keys.clone()).collect();
    let before = cluster.facts(slot);
    let uncovered = before.iter().all(|node| node.slots.is_empty() && !node.is_open(slot));
    let repair = if uncovered {
        let coverage = coverage::cover(&[slot].into(), &before);
        [coverage.none, coverage.single, coverage.multi].concat().pop()
    } else {
        repair(slot, &before)
    };
    let repair = repair.expect("there are nodes");
    let mut gossip = gossip.iter().cycle();
    for &step in repair.secure.iter().chain(&repair.gather).chain(&repair.close) {
        cluster.apply(step);
        for &(from, to) in gossip.by_ref().take(5) {
            let count = cluster.nodes.len();
            cluster.gossip(id(from % count), id(to % count));
        }
        let left: BTreeSet<u32> = cluster.nodes.values().flat_map(|node| node.keys.clone()).collect();
        prop_assert_eq!(&left, &keys, "{:?} of {:?} lost keys", step, repair);
    }
    let owner = cluster.nodes.values().find(|node| !node.keys.is_empty()).map(|node| node.owner);
    for (id, node) in &cluster.nodes {
        prop_assert!(node.migrating.is_none() && node.importing.is_none(), "{} is open after {:?}", id, repair);
        prop_assert!(node.keys.is_empty() || node.owner == Some(*id), "keys without owner after {:?}", repair);
    }
    let owners: Vec<_> = cluster.nodes.iter().filter(|(id, node)| node.owner == Some(**id)).collect();
    prop_assert_eq!(owners.len(), 1, "owners after {:?}", repair);
    prop_assert!(owner.is_none_or(|owner| owner == Some(*owners[0].0)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn every_repair_keeps_every_key_and_leaves_one_owner(
        cluster in any_cluster(),
        gossip in prop::collection::vec((0usize..5, 0usize..5), 1..40),
    ) {
        check(cluster, &gossip)?;
    }
}

/// A cluster of three where node 0 owns the slot, changed by the test.
fn three(change: impl FnOnce(&mut [Node; 3])) -> Vec<NodeFacts> {
    let mut nodes = [Node::default(), Node::default(), Node::default()];
    for node in &mut nodes {
        node.owner = Some(id(0));
    }
    change(&mut nodes);
    let nodes = nodes.into_iter().enumerate().map(|(n, node)| (id(n), node)).collect();
    Cluster { nodes, epoch: 3 }.facts(Slot::new(7).unwrap())
}

fn case(facts: &[NodeFacts]) -> Case {
    repair(Slot::new(7).unwrap(), facts).unwrap().case
}

#[test]
fn the_cases_have_their_classic_numbers() {
    let (from, to) = (id(0), id(1));
    let migrates = |nodes: &mut [Node; 3]| nodes[0].migrating = Some(to);
    assert_eq!(case(&three(migrates)), Case::CloseOwner);
    let begun = three(|nodes| {
        migrates(nodes);
        nodes[1].importing = Some(from);
        nodes[1].keys.insert(1);
    });
    assert_eq!(case(&begun), Case::Finish { from, to });
    let several = three(|nodes| {
        migrates(nodes);
        nodes[1].importing = Some(from);
        nodes[2].importing = Some(from);
    });
    assert_eq!(case(&several), Case::FinishOne { from, to });
    let none_meant = three(|nodes| {
        nodes[0].migrating = Some(id(9));
        nodes[1].importing = Some(from);
        nodes[2].importing = Some(from);
    });
    assert_eq!(case(&none_meant), Case::CloseAll);
    let importing_only = three(|nodes| {
        nodes[2].importing = Some(from);
        nodes[2].keys.extend([1, 2]);
    });
    assert_eq!(case(&importing_only), Case::BringHome { keys: 2 });
}

#[test]
fn the_keys_decide_between_several_owners() {
    let slot = Slot::new(7).unwrap();
    let facts = three(|nodes| {
        nodes[1].owner = Some(id(1));
        nodes[1].keys.extend([1, 2]);
        nodes[0].keys.insert(3);
    });
    assert!(problems(&facts).contested.contains(&slot));
    assert_eq!(problems(&facts).uncovered.len(), 16383);
    let repair = repair(slot, &facts).unwrap();
    assert_eq!((repair.owner, repair.chosen), (id(1), true));
    assert_eq!(repair.holders, [(id(0), 1)]);
    assert_eq!(repair.gather, [Step::MoveKeys { slot, from: id(0), to: id(1) }]);
}
