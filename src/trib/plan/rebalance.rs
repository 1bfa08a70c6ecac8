//! Rebalance: give every primary the number of slots its weight asks for, with as few moves as possible.
//!
//! A target is the exact share rounded down or up, and the targets add up to the slots there are. Which
//! shares are rounded up is free: a node that has slots to spare is rounded up first, since every slot it
//! keeps is a slot that need not move. So a balanced cluster stays as it is, whatever way it was rounded.

use std::cmp::Reverse;

use thiserror::Error;

use super::{Primary, Transfer};
use crate::base::NodeId;

/// A primary and its part of the whole: `weight` is finite and not negative.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    pub primary: Primary,
    pub weight: f64,
}

/// Where one primary stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub id: NodeId,
    /// Slots owned now.
    pub slots: usize,
    /// Slots owned when every share is met.
    pub target: usize,
}

impl Balance {
    /// Slots too many; negative when there are too few.
    #[must_use]
    pub fn surplus(&self) -> i64 {
        self.slots as i64 - self.target as i64
    }

    /// Whether the node is off its target by more than `threshold` percent of the slots it has. A node
    /// without slots that should have some is off at any threshold.
    #[must_use]
    pub fn is_off(&self, threshold: f64) -> bool {
        match self.slots {
            0 => self.target > 0,
            slots => (100.0 - 100.0 * self.target as f64 / slots as f64).abs() > threshold,
        }
    }
}

/// What is to be done, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// In the order the nodes were given.
    pub balances: Vec<Balance>,
    /// Empty when no node is off by more than the threshold.
    pub transfers: Vec<Transfer>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RebalanceError {
    #[error("all weights are zero: no node could take the slots")]
    NoWeight,
}

/// The moves that bring every node to its target, if any is off by more than `threshold` percent.
pub fn plan(nodes: &[Weighted], threshold: f64) -> Result<Rebalance, RebalanceError> {
    let slots: Vec<usize> = nodes.iter().map(|node| node.primary.slots.len()).collect();
    let weights: Vec<f64> = nodes.iter().map(|node| node.weight).collect();
    let targets = targets(&slots, &weights)?;
    let balances: Vec<Balance> = nodes
        .iter()
        .zip(targets)
        .map(|(node, target)| Balance { id: node.primary.id, slots: node.primary.slots.len(), target })
        .collect();
    let transfers = match balances.iter().any(|balance| balance.is_off(threshold)) {
        true => transfers(nodes, &balances),
        false => Vec::new(),
    };
    Ok(Rebalance { balances, transfers })
}

/// How many slots each node should own: its exact share rounded down or up, the sum unchanged.
fn targets(slots: &[usize], weights: &[f64]) -> Result<Vec<usize>, RebalanceError> {
    let total: usize = slots.iter().sum();
    if total == 0 {
        return Ok(vec![0; slots.len()]);
    }
    Ok(round(slots, &exact_shares(weights, total).ok_or(RebalanceError::NoWeight)?))
}

/// The part of `total` that each weight asks for; `None` where all weights are zero.
pub(super) fn exact_shares(weights: &[f64], total: usize) -> Option<Vec<f64>> {
    // Dividing by the greatest weight first keeps the sum finite, however great the weights are.
    let greatest = weights.iter().copied().fold(0.0, f64::max);
    if greatest <= 0.0 {
        return None;
    }
    let sum: f64 = weights.iter().map(|weight| weight / greatest).sum();
    Some(weights.iter().map(|weight| total as f64 * (weight / greatest) / sum).collect())
}

/// Rounds the shares of nodes that own `slots` now; the sum of the shares is a whole number.
pub(super) fn round(slots: &[usize], exact: &[f64]) -> Vec<usize> {
    /// A share closer than this to a whole number is that number: floating point is not exact.
    const WHOLE: f64 = 1e-6;
    let total = exact.iter().sum::<f64>().round() as usize;
    let mut targets: Vec<usize> = exact.iter().map(|share| (share + WHOLE).floor() as usize).collect();
    let mut fractional: Vec<usize> = (0..slots.len()).filter(|&i| exact[i] - targets[i] as f64 > WHOLE).collect();
    fractional.sort_by(|&a, &b| {
        let to_spare = |i: usize| slots[i] > targets[i];
        let fraction = |i: usize| exact[i] - targets[i] as f64;
        to_spare(b).cmp(&to_spare(a)).then(fraction(b).total_cmp(&fraction(a))).then(a.cmp(&b))
    });
    let left = total - targets.iter().sum::<usize>();
    for &index in &fractional[..left] {
        targets[index] += 1;
    }
    targets
}

/// Pairs those who have too many with those who have too few, the greatest of both first, so that few
/// pairs of nodes have to talk. Every giver parts with its lowest slots.
pub(super) fn transfers(nodes: &[Weighted], balances: &[Balance]) -> Vec<Transfer> {
    let ranked = |sign: i64| {
        let mut side: Vec<(usize, usize)> = balances
            .iter()
            .enumerate()
            .filter_map(|(i, balance)| usize::try_from(sign * balance.surplus()).ok().map(|n| (n, i)))
            .filter(|&(n, _)| n > 0)
            .collect();
        side.sort_by_key(|&(n, i)| (Reverse(n), i));
        side
    };
    let mut takers = ranked(-1).into_iter();
    let mut taker = takers.next();
    let mut transfers = Vec::new();
    for (mut spare, giver) in ranked(1) {
        let mut slots = nodes[giver].primary.slots.iter();
        while spare > 0
            && let Some((wanted, taking)) = &mut taker
        {
            let count = spare.min(*wanted);
            let slots = slots.by_ref().take(count).collect();
            transfers.push(Transfer { from: balances[giver].id, to: balances[*taking].id, slots });
            spare -= count;
            *wanted -= count;
            if *wanted == 0 {
                taker = takers.next();
            }
        }
    }
    transfers
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

    fn all_moves(plan: &Rebalance) -> Vec<SlotMove> {
        plan.transfers.iter().flat_map(moves).collect()
    }

    #[test]
    fn a_balanced_cluster_stays_as_it_is_at_any_threshold() {
        for counts in [[5461, 5462, 5461], [5461, 5461, 5462]] {
            let plan = plan(&weighted(&counts, &[1.0; 3]), 0.0).unwrap();
            assert!(plan.transfers.is_empty(), "{plan:?}");
        }
    }

    #[test]
    fn an_empty_node_takes_a_part_of_everyone() {
        let plan = plan(&weighted(&[5461, 5462, 5461, 0], &[1.0; 4]), 2.0).unwrap();
        let told: Vec<_> = plan.transfers.iter().map(|t| (t.from, t.to, t.slots.len())).collect();
        assert_eq!(told, [(id(1), id(3), 1366), (id(0), id(3), 1365), (id(2), id(3), 1365)]);
    }

    #[test]
    fn a_weight_of_zero_drains() {
        let plan = plan(&weighted(&[5461, 5462, 5461], &[0.0, 1.0, 3.0]), 2.0).unwrap();
        assert_eq!(plan.balances.iter().map(|b| b.target).collect::<Vec<_>>(), [0, 4096, 12288]);
    }

    #[test]
    fn within_the_threshold_nothing_moves() {
        let nodes = weighted(&[5500, 5440, 5444], &[1.0; 3]);
        assert!(plan(&nodes, 2.0).unwrap().transfers.is_empty());
        assert_eq!(all_moves(&plan(&nodes, 0.5).unwrap()).len(), 38);
    }

    #[test]
    fn someone_must_take_the_slots() {
        assert_eq!(plan(&weighted(&[1, 2], &[0.0, 0.0]), 2.0), Err(RebalanceError::NoWeight));
        assert!(plan(&[], 2.0).unwrap().transfers.is_empty());
    }

    /// The least number of moves over every way to round the exact shares that keeps the sum.
    fn least_moves(slots: &[usize], exact: &[f64], at: usize, left: i64, moved: usize) -> usize {
        if at == slots.len() {
            return if left == 0 { moved } else { usize::MAX };
        }
        let down = exact[at].floor() as i64;
        (down - 1..=down + 2)
            .filter(|&target| target >= 0 && (target as f64 - exact[at]).abs() < 1.0 - 1e-7)
            .map(|target| {
                let spare = (slots[at] as i64 - target).max(0) as usize;
                least_moves(slots, exact, at + 1, left - target, moved + spare)
            })
            .min()
            .unwrap_or(usize::MAX)
    }

    proptest! {
        #[test]
        fn weights_are_met_within_rounding_by_the_least_moves(
            nodes in prop::collection::vec((0usize..2000, prop_oneof![Just(0.0), Just(1.0), 0.001f64..100.0]), 1..6),
        ) {
            let (counts, mut weights): (Vec<usize>, Vec<f64>) = nodes.into_iter().unzip();
            weights[0] = weights[0].max(0.5);
            let total: usize = counts.iter().sum();
            let sum: f64 = weights.iter().sum();
            let exact: Vec<f64> = weights.iter().map(|w| total as f64 * w / sum).collect();
            let plan = plan(&weighted(&counts, &weights), 0.0).unwrap();
            let moves = all_moves(&plan);
            prop_assert_eq!(moves.len(), least_moves(&counts, &exact, 0, total as i64, 0));
            let mut after = owning(&counts);
            apply(&mut after, &moves);
            for (node, share) in after.iter().zip(&exact) {
                prop_assert!((node.slots.len() as f64 - share).abs() < 1.0);
            }
            prop_assert!(plan.transfers.len() < counts.len().max(1));
            // A second run finds nothing to do.
            let after: Vec<Weighted> =
                after.into_iter().zip(&weights).map(|(primary, &weight)| Weighted { primary, weight }).collect();
            prop_assert!(super::plan(&after, 0.0).unwrap().transfers.is_empty());
        }

        #[test]
        fn any_weights_give_the_slots_there_are(
            nodes in prop::collection::vec((0usize..16384, 0.0f64..=f64::MAX), 1..40),
        ) {
            let (counts, mut weights): (Vec<usize>, Vec<f64>) = nodes.into_iter().unzip();
            weights[0] = weights[0].max(f64::MIN_POSITIVE);
            let targets = targets(&counts, &weights).unwrap();
            prop_assert_eq!(targets.iter().sum::<usize>(), counts.iter().sum::<usize>());
        }
    }
}
