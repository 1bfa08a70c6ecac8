//! Drain: all slots of some primaries to the others, and no other slot.
//!
//! The slots go where there is most room: the receivers are filled up to a common level, in proportion to their
//! weights, and whoever is above that level already gets nothing. Where the receivers were balanced before, they are
//! afterwards, rounded as a rebalance rounds.

use thiserror::Error;

use super::Transfer;
use super::rebalance::{self, Balance, Weighted};
use crate::base::NodeId;

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DrainError {
    #[error("there is no other primary that could take the slots")]
    NobodyLeft,
}

/// The transfers that empty the nodes of `leaving`. A node whose weight is 0 receives nothing.
pub fn plan(nodes: &[Weighted], leaving: &[NodeId]) -> Result<Vec<Transfer>, DrainError> {
    let leaves = |node: &Weighted| leaving.contains(&node.primary.id);
    let given: usize = nodes.iter().filter(|node| leaves(node)).map(|node| node.primary.slots.len()).sum();
    if given == 0 {
        return Ok(Vec::new());
    }
    let receivers: Vec<usize> = (0..nodes.len()).filter(|&i| !leaves(&nodes[i]) && nodes[i].weight > 0.0).collect();
    let filled = fill(nodes, receivers, given)?;
    let balances: Vec<Balance> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let slots = node.primary.slots.len();
            let filled = filled.iter().find(|(receiver, _)| *receiver == index);
            let target = filled.map_or(if leaves(node) { 0 } else { slots }, |&(_, target)| target);
            Balance { id: node.primary.id, slots, target }
        })
        .collect();
    Ok(rebalance::transfers(nodes, &balances))
}

/// How many slots each receiver owns when `given` more are spread over them. Those above the common level are left
/// out: what they have is no longer to be shared, so the level of the others sinks, and the next may be above it.
fn fill(nodes: &[Weighted], mut receivers: Vec<usize>, given: usize) -> Result<Vec<(usize, usize)>, DrainError> {
    loop {
        let slots: Vec<usize> = receivers.iter().map(|&i| nodes[i].primary.slots.len()).collect();
        let weights: Vec<f64> = receivers.iter().map(|&i| nodes[i].weight).collect();
        let shares = rebalance::exact_shares(&weights, given + slots.iter().sum::<usize>());
        let shares = shares.filter(|shares| !shares.is_empty()).ok_or(DrainError::NobodyLeft)?;
        let level = |at: usize| shares[at] - slots[at] as f64;
        let mut at = 0;
        let before = receivers.len();
        receivers.retain(|_| {
            at += 1;
            // Rounding may put a node that is exactly at the level a little above it.
            level(at - 1) > -1e-6
        });
        if receivers.len() == before {
            return Ok(receivers.into_iter().zip(rebalance::round(&slots, &shares)).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testkit::{apply, id, owning};
    use super::super::{SlotMove, moves};
    use super::*;

    fn weighted(counts: &[usize], weights: &[f64]) -> Vec<Weighted> {
        owning(counts).into_iter().zip(weights).map(|(primary, &weight)| Weighted { primary, weight }).collect()
    }

    /// The counts after the drain of the first `leaving` nodes, and the moves.
    fn drained(counts: &[usize], weights: &[f64], leaving: usize) -> (Vec<usize>, Vec<SlotMove>) {
        let ids: Vec<NodeId> = (0..leaving).map(id).collect();
        let transfers = plan(&weighted(counts, weights), &ids).unwrap();
        let moves: Vec<SlotMove> = transfers.iter().flat_map(moves).collect();
        let mut after = owning(counts);
        apply(&mut after, &moves);
        (after.iter().map(|node| node.slots.len()).collect(), moves)
    }

    #[test]
    fn the_slots_go_where_there_is_room() {
        assert_eq!(drained(&[90, 10, 100, 40], &[1.0; 4], 1).0, [0, 70, 100, 70]);
        assert_eq!(drained(&[90, 50, 50], &[1.0, 1.0, 2.0], 1).0, [0, 63, 127]);
        assert_eq!(drained(&[10, 50, 50], &[1.0, 0.0, 1.0], 1).0, [0, 50, 60], "who weighs nothing gets nothing");
        assert_eq!(drained(&[3, 4, 5461], &[1.0; 3], 2).0, [0, 0, 5468]);
        assert!(plan(&weighted(&[0, 5], &[1.0; 2]), &[id(0)]).unwrap().is_empty());
    }

    #[test]
    fn someone_must_take_them() {
        assert_eq!(plan(&weighted(&[5, 5], &[1.0; 2]), &[id(0), id(1)]), Err(DrainError::NobodyLeft));
        assert_eq!(plan(&weighted(&[5, 5], &[1.0, 0.0]), &[id(0)]), Err(DrainError::NobodyLeft));
    }

    /// The least that the fullest, then the next fullest, and so on, can be: every way to deal out `given`.
    fn fairest(counts: &mut Vec<usize>, at: usize, given: usize, best: &mut Option<Vec<usize>>) {
        if at + 1 == counts.len() {
            counts[at] += given;
            let mut sorted = counts.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            if best.as_ref().is_none_or(|best| sorted < *best) {
                *best = Some(sorted);
            }
            counts[at] -= given;
            return;
        }
        for part in 0..=given {
            counts[at] += part;
            fairest(counts, at + 1, given - part, best);
            counts[at] -= part;
        }
    }

    proptest! {
        #[test]
        fn small_drains_are_as_fair_as_can_be(
            leaving in 1usize..9,
            mut kept in prop::collection::vec(0usize..12, 1..4),
        ) {
            let counts = [vec![leaving], kept.clone()].concat();
            let (after, _) = drained(&counts, &vec![1.0; counts.len()], 1);
            let mut best = None;
            fairest(&mut kept, 0, leaving, &mut best);
            let mut got = after[1..].to_vec();
            got.sort_unstable_by(|a, b| b.cmp(a));
            prop_assert_eq!(Some(got), best);
        }

        #[test]
        fn only_what_leaves_is_moved_and_all_of_it(
            nodes in prop::collection::vec((0usize..1500, 0.01f64..50.0), 2..8),
            leaving in 1usize..3,
        ) {
            let leaving = leaving.min(nodes.len() - 1);
            let (counts, weights): (Vec<usize>, Vec<f64>) = nodes.into_iter().unzip();
            let (after, moves) = drained(&counts, &weights, leaving);
            let given: usize = counts[..leaving].iter().sum();
            prop_assert_eq!(moves.len(), given);
            prop_assert!(after[..leaving].iter().all(|&left| left == 0));
            // Everybody who got something is at the common level, give or take one; nobody was above it before.
            let level = after[leaving..]
                .iter()
                .zip(&counts[leaving..])
                .zip(&weights[leaving..])
                .filter(|((now, was), _)| now > was)
                .map(|((&now, _), weight)| (now as f64 - 1.0) / weight)
                .fold(0.0, f64::max);
            for ((&now, &was), &weight) in after[leaving..].iter().zip(&counts[leaving..]).zip(&weights[leaving..]) {
                prop_assert!(now >= was);
                prop_assert!((now as f64 + 1.0) / weight >= level - 1e-6, "{} of weight {} could take more", now, weight);
            }
        }
    }
}
