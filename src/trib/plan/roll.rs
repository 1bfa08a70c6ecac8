//! The order in which nodes are restarted so that every slot is served all the time: all replicas first, then each
//! primary, after a replica of it has taken over.

use thiserror::Error;

use crate::base::NodeId;

/// A primary and its replicas that answer, those to be preferred first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    pub primary: NodeId,
    pub has_slots: bool,
    pub replicas: Vec<NodeId>,
}

/// Which nodes are restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    Replicas,
    Primaries,
}

/// What the operator wants.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub only: Option<Only>,
    /// Primaries become primaries again.
    pub back: bool,
    /// Nodes that stay as they are.
    pub skip: Vec<NodeId>,
    /// A primary without a replica is restarted all the same.
    pub allow_downtime: bool,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Restart(NodeId),
    HandOver { from: NodeId, to: NodeId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RollError {
    #[error("node {0} has no replica that could take over: its slots would not be served while it restarts")]
    NoReplica(NodeId),
}

/// Everything to do, in order.
pub fn plan(shards: &[Shard], wish: &Wish) -> Result<Vec<Act>, RollError> {
    let is_due = |id: &NodeId| !wish.skip.contains(id);
    let mut acts = Vec::new();
    if wish.only != Some(Only::Primaries) {
        acts.extend(shards.iter().flat_map(|shard| &shard.replicas).copied().filter(is_due).map(Act::Restart));
    }
    if wish.only == Some(Only::Replicas) {
        return Ok(acts);
    }
    for shard in shards.iter().filter(|shard| is_due(&shard.primary)) {
        let from = shard.primary;
        match shard.replicas.first() {
            Some(&to) if shard.has_slots => {
                acts.extend([Act::HandOver { from, to }, Act::Restart(from)]);
                if wish.back {
                    acts.push(Act::HandOver { from: to, to: from });
                }
            }
            None if shard.has_slots && !wish.allow_downtime => return Err(RollError::NoReplica(from)),
            _ => acts.push(Act::Restart(from)),
        }
    }
    Ok(acts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testkit::id;
    use super::*;

    fn shard(primary: usize, replicas: &[usize]) -> Shard {
        Shard { primary: id(primary), has_slots: true, replicas: replicas.iter().map(|&n| id(n)).collect() }
    }

    /// As letters: `r3` restarts node 3, `0>2` hands over from 0 to 2.
    fn told(shards: &[Shard], wish: &Wish) -> String {
        let short = |id: NodeId| id.as_str()[..1].to_owned();
        let tell = |act: &Act| match *act {
            Act::Restart(node) => format!("r{}", short(node)),
            Act::HandOver { from, to } => format!("{}>{}", short(from), short(to)),
        };
        plan(shards, wish).unwrap().iter().map(tell).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn replicas_come_first_and_primaries_hand_over() {
        let shards = [shard(0, &[2, 3]), shard(1, &[4])];
        let only = |only| Wish { only: Some(only), ..Wish::default() };
        assert_eq!(told(&shards, &Wish::default()), "r2 r3 r4 0>2 r0 1>4 r1");
        assert_eq!(told(&shards, &only(Only::Replicas)), "r2 r3 r4");
        assert_eq!(told(&shards, &only(Only::Primaries)), "0>2 r0 1>4 r1");
        assert_eq!(told(&shards, &Wish { back: true, ..Wish::default() }), "r2 r3 r4 0>2 r0 2>0 1>4 r1 4>1");
        assert_eq!(told(&shards, &Wish { skip: vec![id(0), id(3)], ..Wish::default() }), "r2 r4 1>4 r1");
    }

    #[test]
    fn a_primary_alone_is_restarted_only_if_that_is_wanted() {
        let lone = [shard(0, &[])];
        assert_eq!(plan(&lone, &Wish::default()), Err(RollError::NoReplica(id(0))));
        assert_eq!(told(&lone, &Wish { allow_downtime: true, ..Wish::default() }), "r0");
        assert_eq!(told(&lone, &Wish { only: Some(Only::Replicas), ..Wish::default() }), "");
        let empty = [Shard { has_slots: false, ..shard(0, &[]) }];
        assert_eq!(told(&empty, &Wish::default()), "r0", "nobody misses it");
    }

    proptest! {
        #[test]
        fn everybody_is_restarted_once_and_never_as_the_primary(
            replicas in prop::collection::vec(1usize..4, 1..7),
            back: bool,
        ) {
            let mut next = replicas.len();
            let shards: Vec<Shard> = replicas
                .iter()
                .enumerate()
                .map(|(primary, &count)| {
                    next += count;
                    shard(primary, &(next - count..next).collect::<Vec<_>>())
                })
                .collect();
            let mut primaries: Vec<NodeId> = shards.iter().map(|shard| shard.primary).collect();
            let mut restarted = Vec::new();
            for act in plan(&shards, &Wish { back, ..Wish::default() }).unwrap() {
                match act {
                    Act::Restart(node) => {
                        prop_assert!(!primaries.contains(&node));
                        restarted.push(node);
                    }
                    Act::HandOver { from, to } => {
                        let place = primaries.iter().position(|&id| id == from);
                        prop_assert!(place.is_some(), "{} is no primary", from);
                        primaries[place.unwrap()] = to;
                    }
                }
            }
            restarted.sort_unstable();
            prop_assert_eq!(restarted, (0..next).map(id).collect::<Vec<_>>());
            let first: Vec<NodeId> = shards.iter().map(|shard| shard.primary).collect();
            prop_assert_eq!(primaries == first, back);
        }
    }
}
