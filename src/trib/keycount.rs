//! How many keys every primary holds of every slot, its own and others'.

use std::collections::HashMap;

use super::client::{Pool, command, join_all};
use super::error::Failure;
use super::slots::SlotSet;
use super::view::{ClusterView, Node};
use super::vitals::Vitals;
use crate::base::{NodeId, Slot};

/// Commands in one write: large enough to hide the round trip, small enough to answer in time.
const BATCH: usize = 1024;

/// Keys of every slot, by node. Nodes that were not asked have none.
#[derive(Clone, Debug, Default)]
pub struct KeyCounts {
    by_node: HashMap<NodeId, Vec<u64>>,
}

impl KeyCounts {
    #[must_use]
    pub fn get(&self, node: &NodeId, slot: Slot) -> u64 {
        self.by_node.get(node).and_then(|counts| counts.get(slot.index())).copied().unwrap_or(0)
    }

    pub fn set(&mut self, node: NodeId, slot: Slot, keys: u64) {
        let counts = self.by_node.entry(node).or_insert_with(|| vec![0; crate::base::SLOTS]);
        counts[slot.index()] = keys;
    }
}

/// Counts on all reachable primaries at the same time.
pub async fn load(pool: &Pool, view: &ClusterView) -> Result<KeyCounts, Failure> {
    load_some(pool, view, &Slot::all().collect::<Vec<_>>()).await
}

/// The same for these slots only; the others count as empty.
pub async fn load_some(pool: &Pool, view: &ClusterView, slots: &[Slot]) -> Result<KeyCounts, Failure> {
    let primaries: Vec<&Node> = view.primaries().collect();
    let results = join_all(primaries.iter().map(|node| count(pool, node, slots))).await;
    let mut counts = KeyCounts::default();
    for (node, result) in primaries.iter().zip(results) {
        for (&slot, keys) in slots.iter().zip(result?) {
            counts.set(node.id, slot, keys);
        }
    }
    Ok(counts)
}

/// How many keys of each slot the node holds, in all databases.
pub async fn count(pool: &Pool, node: &Node, slots: &[Slot]) -> Result<Vec<u64>, Failure> {
    let mut counts = vec![0; slots.len()];
    for database in 0..pool.databases(&node.addr).await? {
        for (sum, keys) in counts.iter_mut().zip(count_in(pool, node, database, slots).await?) {
            *sum += keys;
        }
    }
    Ok(counts)
}

async fn count_in(pool: &Pool, node: &Node, database: u32, slots: &[Slot]) -> Result<Vec<u64>, Failure> {
    let client = pool.client_in(&node.addr, database).await?;
    let mut counts = Vec::with_capacity(slots.len());
    for batch in slots.chunks(BATCH) {
        let cmds: Vec<redis::Cmd> = batch
            .iter()
            .map(|slot| {
                let mut cmd = command("CLUSTER COUNTKEYSINSLOT");
                cmd.arg(slot.get());
                cmd
            })
            .collect();
        for reply in client.pipeline(client.timeouts().reply, &cmds).await? {
            match reply? {
                redis::Value::Int(n) => counts.push(u64::try_from(n).unwrap_or(0)),
                _ => {
                    let reason = "COUNTKEYSINSLOT is no number".to_owned();
                    return Err(Failure::Unexpected { node: node.addr.clone(), reason });
                }
            }
        }
    }
    Ok(counts)
}

/// Keys that nobody can reach: a primary holds them, of these slots, and does not own those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphans<'v> {
    pub node: &'v Node,
    pub keys: u64,
    pub slots: SlotSet,
}

/// Looks for orphans where a primary has more keys in all than its own slots have: to ask every primary about every slot
/// takes long where there are many.
pub async fn orphans<'v>(pool: &Pool, view: &'v ClusterView, vitals: &Vitals) -> Result<Vec<Orphans<'v>>, Failure> {
    let looks = view.primaries().map(|node| async {
        let keys = vitals.get(&node.id).map_or(0, |vital| vital.keys);
        // Keys of slots that come in belong there.
        let (own, others): (Vec<Slot>, Vec<Slot>) =
            Slot::all().partition(|slot| node.slots.contains(*slot) || node.importing.contains_key(slot));
        if keys == 0 || count(pool, node, &own).await?.iter().sum::<u64>() >= keys {
            return Ok(None);
        }
        let held = others.iter().copied().zip(count(pool, node, &others).await?);
        let held: Vec<(Slot, u64)> = held.filter(|&(_, keys)| keys > 0).collect();
        let slots = held.iter().map(|&(slot, _)| slot).collect();
        let keys = held.iter().map(|(_, keys)| keys).sum();
        Ok((keys > 0).then_some(Orphans { node, keys, slots }))
    });
    let looks: Result<Vec<_>, Failure> = join_all(looks).await.into_iter().collect();
    Ok(looks?.into_iter().flatten().collect())
}

/// Slots that more than one reachable primary owns by its own account or holds keys of.
#[must_use]
pub fn multiple_owners<'v>(view: &'v ClusterView, counts: &KeyCounts) -> Vec<(Slot, Vec<&'v Node>)> {
    let owners_of = |slot: Slot| -> Vec<&'v Node> {
        view.primaries().filter(|node| node.slots.contains(slot) || counts.get(&node.id, slot) > 0).collect()
    };
    // An open slot has keys on both sides by design.
    let open = view.open_slots();
    let contested = Slot::all().filter(|slot| !open.contains(*slot)).map(|slot| (slot, owners_of(slot)));
    contested.filter(|(_, owners)| owners.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, small};
    use super::*;

    #[test]
    fn keys_on_a_stranger_make_it_an_owner() {
        let view = small();
        let mut counts = KeyCounts::default();
        counts.set(id('a'), Slot::new(5).unwrap(), 3);
        assert!(multiple_owners(&view, &counts).is_empty());
        counts.set(id('b'), Slot::new(5).unwrap(), 1);
        let found = multiple_owners(&view, &counts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.get(), 5);
        assert_eq!(found[0].1.iter().map(|node| node.id).collect::<Vec<_>>(), [id('a'), id('b')]);
    }
}
