//! Reshard: take a number of slots from some primaries and give them to one.
//!
//! Every source gives in proportion to what it owns. Shares are rounded the way operators know from
//! the classic tools (the biggest source rounds up, the others down), and what rounding leaves over is
//! then handed out one slot each, so that exactly the number asked for moves.

use std::cmp::Reverse;

use thiserror::Error;

use super::{Primary, Transfer};
use crate::base::NodeId;

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReshardError {
    #[error("no source nodes given")]
    NoSources,
    #[error("it is not possible to use the target node as source node")]
    TargetIsSource,
    #[error("the source nodes own only {available} of the {wanted} slots asked for")]
    TooFewSlots { wanted: usize, available: usize },
}

/// How many slots each source gives, in the order of `owned` (slots owned by each source, biggest
/// first). The sum is `wanted`, and nobody gives more than it owns; `wanted` is at most the sum of `owned`.
#[must_use]
pub fn shares(owned: &[usize], wanted: usize) -> Vec<usize> {
    let total: usize = owned.iter().sum();
    assert!(wanted <= total, "{wanted} slots asked of nodes that own {total}");
    if total == 0 {
        return vec![0; owned.len()];
    }
    let mut shares: Vec<usize> = owned.iter().map(|own| wanted * own / total).collect();
    // The remainder of the division, in units of 1/total: who was cut most gets back first.
    let mut cut: Vec<(usize, usize)> = owned.iter().map(|own| wanted * own % total).zip(0..).collect();
    if let Some((remainder, _)) = cut.first_mut()
        && *remainder > 0
    {
        *remainder = usize::MAX;
    }
    cut.sort_by_key(|&(remainder, index)| (Reverse(remainder), index));
    let left = wanted - shares.iter().sum::<usize>();
    for &(_, index) in &cut[..left] {
        shares[index] += 1;
    }
    shares
}

/// The transfers that bring `wanted` slots of `sources` to `to`: sources by slots owned, biggest first
/// (ties as given), from each its lowest slots. A source whose share is nothing is left out.
pub fn plan(sources: &[&Primary], to: NodeId, wanted: usize) -> Result<Vec<Transfer>, ReshardError> {
    if sources.is_empty() {
        return Err(ReshardError::NoSources);
    }
    if sources.iter().any(|source| source.id == to) {
        return Err(ReshardError::TargetIsSource);
    }
    let mut sources = sources.to_vec();
    sources.sort_by_key(|source| Reverse(source.slots.len()));
    let owned: Vec<usize> = sources.iter().map(|source| source.slots.len()).collect();
    let available = owned.iter().sum();
    if wanted > available {
        return Err(ReshardError::TooFewSlots { wanted, available });
    }
    let shares = shares(&owned, wanted);
    Ok(sources
        .iter()
        .zip(shares)
        .filter(|&(_, share)| share > 0)
        .map(|(source, share)| Transfer { from: source.id, to, slots: source.slots.iter().take(share).collect() })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testkit::{apply, id, owning};
    use super::super::{SlotMove, moves};
    use super::*;

    #[test]
    fn the_biggest_source_rounds_up() {
        // 100 of 5461 + 5462 + 5461: the exact shares are 33.3 each.
        let nodes = owning(&[5461, 5462, 5461, 0]);
        let sources: Vec<&Primary> = nodes[..3].iter().collect();
        let transfers = plan(&sources, id(3), 100).unwrap();
        let told: Vec<_> = transfers.iter().map(|t| (t.from, t.to, t.slots.len())).collect();
        assert_eq!(told, [(id(1), id(3), 34), (id(0), id(3), 33), (id(2), id(3), 33)]);
        assert_eq!(transfers[0].slots.first(), nodes[1].slots.iter().next().as_ref());
    }

    #[test]
    fn what_rounding_leaves_over_moves_too() {
        // Four exact shares of 2.5: rounding up one and down three would move only 9.
        assert_eq!(shares(&[10, 10, 10, 10], 10), [3, 3, 2, 2]);
        assert_eq!(shares(&[7, 1, 1], 9), [7, 1, 1]);
        assert_eq!(shares(&[0, 0], 0), [0, 0]);
    }

    #[test]
    fn impossible_requests_are_told_apart() {
        let nodes = owning(&[10, 5]);
        assert_eq!(plan(&[], id(1), 1), Err(ReshardError::NoSources));
        assert_eq!(plan(&[&nodes[0], &nodes[1]], id(1), 1), Err(ReshardError::TargetIsSource));
        let error = plan(&[&nodes[0]], id(1), 11).unwrap_err();
        assert_eq!(error, ReshardError::TooFewSlots { wanted: 11, available: 10 });
        assert_eq!(error.to_string(), "the source nodes own only 10 of the 11 slots asked for");
    }

    proptest! {
        #[test]
        fn exactly_the_asked_number_moves_in_proportion(
            owned in prop::collection::vec(0usize..3000, 1..6),
            portion in 0.0f64..=1.0,
        ) {
            let total: usize = owned.iter().sum();
            let wanted = (total as f64 * portion) as usize;
            let mut nodes = owning(&[owned.clone(), vec![0]].concat());
            let to = nodes.last().unwrap().id;
            let before = nodes.clone();
            let sources: Vec<&Primary> = before[..owned.len()].iter().collect();
            let moves: Vec<SlotMove> = plan(&sources, to, wanted).unwrap().iter().flat_map(moves).collect();
            prop_assert_eq!(moves.len(), wanted);
            apply(&mut nodes, &moves);
            prop_assert_eq!(nodes.last().unwrap().slots.len(), wanted);
            for (node, had) in nodes.iter().zip(&owned) {
                let given = had - node.slots.len();
                let exact = wanted as f64 * *had as f64 / total.max(1) as f64;
                prop_assert!((given as f64 - exact).abs() < 1.0, "gave {} instead of {}", given, exact);
                // The lowest went: whatever stayed is above whatever left.
                let gone = moves.iter().filter(|m| m.from == node.id).map(|m| m.slot).max();
                if let (Some(gone), Some(kept)) = (gone, node.slots.iter().next()) {
                    prop_assert!(gone < kept);
                }
            }
        }
    }
}
