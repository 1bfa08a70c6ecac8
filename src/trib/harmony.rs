//! Making nodes agree about who owns what, where gossip alone does not get there.
//!
//! A node takes no news about a slot while it imports it, and may miss a failover that way. Where exactly
//! one primary says that a slot is its own, the others can be told so; telling changes what they believe,
//! never what they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Cmd;

use super::addr::Addr;
use super::client::{Pool, command, join_all};
use super::error::{Error, Failure};
use super::slots::SlotSet;
use super::ui::Ui;
use super::view::{ClusterView, Node};
use super::wait::{self, Look};
use crate::base::NodeId;

/// Most disagreements end by themselves with the next packets.
const GOSSIP: Duration = Duration::from_secs(2);
/// Replicas cannot be told; half a node timeout is what they may need.
const LIMIT: Duration = Duration::from_secs(30);
const PIPELINE: usize = 512;

/// Waits until all nodes agree, telling those primaries that do not. Gives the last view also when they
/// never do: the report on it names them.
pub async fn harmonise(ui: &Ui, pool: &Pool, seed: &Addr) -> Result<ClusterView, Error> {
    if let Ok(view) = agreement(pool, seed, GOSSIP).await {
        return Ok(view);
    }
    let view = ClusterView::load(pool, seed).await?;
    let wrong = corrections(&view);
    for (node, owners) in &wrong {
        let count: usize = owners.values().map(SlotSet::len).sum();
        ui.heading(format!(">>> Telling {} the owners of {count} slots", node.addr));
    }
    for told in join_all(wrong.iter().map(|(node, owners)| tell(pool, node, owners))).await {
        told?;
    }
    match agreement(pool, seed, LIMIT).await {
        Ok(view) => Ok(view),
        Err(_) => ClusterView::load(pool, seed).await,
    }
}

/// Looks at the cluster; where nodes disagree, gives them a moment to hear of the latest change.
pub async fn load(pool: &Pool, seed: &Addr) -> Result<ClusterView, Error> {
    match agreement(pool, seed, GOSSIP).await {
        Ok(view) => Ok(view),
        Err(_) => ClusterView::load(pool, seed).await,
    }
}

async fn agreement(pool: &Pool, seed: &Addr, limit: Duration) -> Result<ClusterView, Error> {
    wait::until(None, limit, async || {
        let view = ClusterView::load(pool, seed).await?;
        Ok(if view.agree() { Look::Done(view) } else { Look::NotYet("the nodes do not agree".to_owned()) })
    })
    .await
}

/// Primaries that are wrong about slots that exactly one primary owns by its own account, with the owners.
fn corrections(view: &ClusterView) -> Vec<(&Node, BTreeMap<NodeId, SlotSet>)> {
    let mut wrong = Vec::new();
    for node in view.primaries() {
        let Ok(report) = &node.report else { continue };
        let mut owners: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
        for owner in view.primaries().filter(|owner| owner.id != node.id) {
            let believed = report.line(&owner.id).map(|line| &line.slots);
            let missing = owner.slots.iter().filter(|slot| {
                !believed.is_some_and(|slots| slots.contains(*slot)) && view.owners_of(*slot).count() == 1
            });
            let missing: SlotSet = missing.collect();
            if !missing.is_empty() {
                owners.insert(owner.id, missing);
            }
        }
        if !owners.is_empty() {
            wrong.push((node, owners));
        }
    }
    wrong
}

/// Tells the node who owns those slots.
pub async fn tell(pool: &Pool, node: &Node, owners: &BTreeMap<NodeId, SlotSet>) -> Result<(), Failure> {
    let client = pool.client(&node.addr).await?;
    let cmds: Vec<Cmd> = owners
        .iter()
        .flat_map(|(owner, slots)| {
            slots.iter().map(|slot| {
                let mut cmd = command("CLUSTER SETSLOT");
                cmd.arg(slot.get()).arg("NODE").arg(owner.as_str());
                cmd
            })
        })
        .collect();
    for part in cmds.chunks(PIPELINE) {
        for reply in client.pipeline(client.timeouts().reply, part).await? {
            reply?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, small, view};
    use super::*;

    #[test]
    fn only_what_one_primary_claims_is_told() {
        assert!(corrections(&small()).is_empty());
        // b has not heard that a owns 3, and both claim 9.
        let view = view(
            "10.0.0.1:7000",
            &[
                "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-9\n\
                 b 10.0.0.2:7000 master - 0 0 2 connected 10-20",
                "b 10.0.0.2:7000 myself,master - 0 0 2 connected 9-20\n\
                 a 10.0.0.1:7000 master - 0 0 1 connected 0-2 4-8",
            ],
        );
        let found = corrections(&view);
        assert_eq!(found.len(), 1);
        let (node, owners) = &found[0];
        assert_eq!(node.id, id('b'));
        assert_eq!(
            owners.iter().map(|(owner, slots)| (*owner, slots.to_string())).collect::<Vec<_>>(),
            [(id('a'), "3".to_owned())]
        );
    }
}
