//! What a repair is based on: what each node says about the slot, and what it holds of it.

use crate::base::Slot;
use crate::trib::plan::fix::NodeFacts;
use crate::trib::view::ClusterView;

/// A line for every primary that has to do with the slot.
#[must_use]
pub fn about(slot: Slot, view: &ClusterView, nodes: &[NodeFacts]) -> Vec<String> {
    nodes.iter().filter_map(|facts| line(slot, view, facts)).collect()
}

fn line(slot: Slot, view: &ClusterView, facts: &NodeFacts) -> Option<String> {
    let node = view.node(&facts.id)?;
    let addr = |id| view.node(id).map_or_else(|| format!("{id}, which is gone"), |node| node.addr.to_string());
    let mut says = Vec::new();
    if facts.slots.contains(slot) {
        says.push(format!("owns it since epoch {}", node.config_epoch));
    }
    says.extend(facts.migrating.get(&slot).map(|to| format!("migrates it to {}", addr(to))));
    says.extend(facts.importing.get(&slot).map(|from| format!("imports it from {}", addr(from))));
    let keys = facts.holds(slot);
    if says.is_empty() && keys == 0 {
        return None;
    }
    says.push(match keys {
        1 => "holds 1 key".to_owned(),
        keys => format!("holds {keys} keys"),
    });
    Some(format!("   {}: {}", node.addr, says.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::view;

    #[test]
    fn every_node_that_has_to_do_with_the_slot_is_heard() {
        let view = view(
            "10.0.0.1:7000",
            &[
                "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8190 [7->-b]\n\
                 b 10.0.0.2:7000 master - 0 0 2 connected 8192-16380",
                "b 10.0.0.2:7000 myself,master - 0 0 2 connected 8192-16380 [7-<-z]\n\
                 a 10.0.0.1:7000 master - 0 0 1 connected 0-8190",
            ],
        );
        let mut nodes: Vec<NodeFacts> = view.primaries().map(NodeFacts::from).collect();
        let slot = |n| Slot::new(n).unwrap();
        nodes[1].keys.insert(slot(7), 3);
        nodes[1].keys.insert(slot(9), 1);
        let gone = "z".repeat(40);
        assert_eq!(
            about(slot(7), &view, &nodes),
            [
                "   10.0.0.1:7000: owns it since epoch 1, migrates it to 10.0.0.2:7000, holds 0 keys".to_owned(),
                format!("   10.0.0.2:7000: imports it from {gone}, which is gone, holds 3 keys"),
            ]
        );
        assert_eq!(about(slot(9), &view, &nodes).len(), 2);
        assert!(about(slot(16383), &view, &nodes).is_empty(), "nobody's");
    }
}
