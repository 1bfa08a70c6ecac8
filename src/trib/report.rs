//! The reports on a view: the nodes, and whether the cluster is healthy. Pure: from a view to lines.

use super::nodes_text::Flags;
use super::slots::SlotSet;
use super::ui::{Ui, Wording};
use super::view::{ClusterView, Node};
use super::vitals::Vitals;
use crate::base::{NodeId, SLOTS, Slot};

/// What the cluster check found. Empty everywhere means healthy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    pub disagree: bool,
    pub open: SlotSet,
    pub uncovered: SlotSet,
    /// Nodes that do not answer or that the others hold to have failed.
    pub dead: Vec<NodeId>,
    /// Nodes that answer but say `cluster_state:fail`, or replicas without their primary.
    pub ailing: Vec<NodeId>,
}

impl Health {
    /// Nothing is wrong at all.
    #[must_use]
    pub fn is_well(&self) -> bool {
        *self == Health::default()
    }

    /// Slots can be moved: all agree, nothing is open, everything is covered.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        !self.disagree && self.open.is_empty() && self.uncovered.is_empty()
    }

    /// Looks at a view. Without vitals, only what the view shows is judged.
    #[must_use]
    pub fn examine(view: &ClusterView, vitals: Option<&Vitals>) -> Health {
        let dead = view.nodes.iter().filter(|node| is_dead(node)).map(|node| node.id).collect();
        let ailing = view.reachable().filter(|node| vitals.is_some_and(|v| v.complaint(node).is_some()));
        Health {
            disagree: !view.agree(),
            open: view.open_slots(),
            uncovered: view.covered().complement(),
            dead,
            ailing: ailing.map(|node| node.id).collect(),
        }
    }
}

fn is_dead(node: &Node) -> bool {
    !node.is_reachable() || node.flags.contains(Flags::FAILED)
}

/// Whether slot ranges stand in brackets.
#[must_use]
pub fn slots_text(slots: &SlotSet, wording: Wording) -> String {
    match wording {
        Wording::Trib => slots.to_string(),
        Wording::RedisCli => {
            let range = |(first, last)| if first == last { format!("[{first}]") } else { format!("[{first}-{last}]") };
            slots.ranges().into_iter().map(range).collect::<Vec<_>>().join(",")
        }
    }
}

/// The block of one node: `M: id address` and what follows.
pub fn node(ui: &Ui, view: &ClusterView, node: &Node) {
    node_indented(ui, view, node, "");
}

/// The same within a plan, every line behind `indent`.
pub fn node_indented(ui: &Ui, view: &ClusterView, node: &Node, indent: &str) {
    let letter = if node.is_primary() { 'M' } else { 'S' };
    ui.line(format!("{indent}{letter}: {} {}", node.id, node.addr));
    let count = node.slots.len();
    ui.line(format!("{indent}   slots:{} ({count} slots) {}", slots_text(&node.slots, ui.wording()), node.flags_text));
    if let Some(primary) = node.primary {
        ui.line(format!("{indent}   replicates {primary}"));
    }
    let replicas = view.replicas_of(&node.id).count();
    if replicas > 0 {
        ui.line(format!("{indent}   {replicas} additional replica(s)"));
    }
}

/// The nodes in the order of the report: the classic one is that of the servers' own list.
#[must_use]
pub fn in_order<'v>(ui: &Ui, view: &'v ClusterView) -> Vec<&'v Node> {
    ui.word(view.nodes.iter().collect(), view.as_listed())
}

/// The blocks of all nodes that answer.
pub fn nodes(ui: &Ui, view: &ClusterView) {
    for each in in_order(ui, view).into_iter().filter(|node| node.is_reachable()) {
        node(ui, view, each);
    }
}

/// The whole cluster check, with its result.
pub fn cluster_check(ui: &Ui, view: &ClusterView, vitals: Option<&Vitals>) -> Health {
    let health = open_check(ui, view, vitals);
    coverage_check(ui, view, vitals, &health);
    health
}

/// The first part of the cluster check, up to the open slots.
pub fn open_check(ui: &Ui, view: &ClusterView, vitals: Option<&Vitals>) -> Health {
    ui.heading(format!(">>> Performing Cluster Check (using node {})", view.seed().addr));
    nodes(ui, view);
    agreement_check(ui, view, vitals)
}

/// The cluster check without the list of nodes.
pub fn configuration_check(ui: &Ui, view: &ClusterView, vitals: Option<&Vitals>) -> Health {
    let health = agreement_check(ui, view, vitals);
    coverage_check(ui, view, vitals, &health);
    health
}

fn agreement_check(ui: &Ui, view: &ClusterView, vitals: Option<&Vitals>) -> Health {
    let health = Health::examine(view, vitals);
    if health.disagree {
        ui.error("[ERR] Nodes don't agree about configuration!");
        for line in disagreements(view) {
            ui.note(line);
        }
    } else {
        ui.ok("[OK] All nodes agree about slots configuration.");
    }
    ui.heading(">>> Check for open slots...");
    open_slots(ui, view, &health.open);
    health
}

/// The rest of the cluster check.
pub fn coverage_check(ui: &Ui, view: &ClusterView, vitals: Option<&Vitals>, health: &Health) {
    ui.heading(">>> Check slots coverage...");
    if health.uncovered.is_empty() {
        ui.ok(format!("[OK] All {SLOTS} slots covered."));
    } else {
        ui.error(format!("[ERR] Not all {SLOTS} slots are covered by nodes.{}", ui.word("", "\n")));
        ui.note(format!("slots without an owner: {}", health.uncovered));
    }
    for node in view.nodes.iter().filter(|node| health.dead.contains(&node.id)) {
        dead_node(ui, node);
    }
    for node in view.nodes.iter().filter(|node| health.ailing.contains(&node.id)) {
        if let Some(complaint) = vitals.and_then(|vitals| vitals.complaint(node)) {
            ui.error(format!("[ERR] Node {}: {complaint}", node.addr));
        }
    }
}

fn dead_node(ui: &Ui, node: &Node) {
    match &node.report {
        Err(failure) => {
            ui.error(format!("[ERR] Node {} is not reachable: {}", node.full_name(), failure.reason()));
        }
        Ok(_) => ui.error(format!("[ERR] Node {} is held to have failed by the others", node.full_name())),
    }
}

fn open_slots(ui: &Ui, view: &ClusterView, open: &SlotSet) {
    let join = |slots: &mut dyn Iterator<Item = u16>| slots.map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for node in in_order(ui, view).into_iter().filter(|node| node.is_reachable()) {
        for (state, slots) in [("migrating", &node.migrating), ("importing", &node.importing)] {
            if !slots.is_empty() {
                let list = join(&mut slots.keys().map(|slot| slot.get()));
                let list = ui.word(format!("({list})"), list.clone());
                ui.warning(format!("[WARNING] Node {} has slots in {state} state {list}.", node.addr));
            }
        }
    }
    if !open.is_empty() {
        let list = join(&mut open.iter().map(Slot::get));
        ui.warning(format!("[WARNING] The following slots are open: {list}{}", ui.word("", ".")));
    }
}

/// Who differs from the opinion most nodes hold, and in what.
#[must_use]
pub fn disagreements(view: &ClusterView) -> Vec<String> {
    let opinions = view.opinions();
    let Some((common, _)) = opinions.iter().rev().max_by_key(|(_, holders)| holders.len()) else {
        return Vec::new();
    };
    let name = |id: &NodeId| view.node(id).map_or_else(|| id.to_string(), |node| node.addr.to_string());
    let mut lines = Vec::new();
    for (opinion, holders) in &opinions {
        if opinion == common {
            continue;
        }
        let who = holders.iter().map(|node| node.addr.to_string()).collect::<Vec<_>>().join(", ");
        let say = if holders.len() == 1 { "says" } else { "say" };
        let owners: std::collections::BTreeSet<&NodeId> = opinion.keys().chain(common.keys()).collect();
        for owner in owners {
            let empty = SlotSet::new();
            let (theirs, usual) = (opinion.get(owner).unwrap_or(&empty), common.get(owner).unwrap_or(&empty));
            let more: SlotSet = theirs.iter().filter(|slot| !usual.contains(*slot)).collect();
            let less: SlotSet = usual.iter().filter(|slot| !theirs.contains(*slot)).collect();
            if !more.is_empty() {
                lines.push(format!("{who} {say} that {} owns {more}; others say it does not", name(owner)));
            }
            if !less.is_empty() {
                lines.push(format!("{who} {say} that {} does not own {less}; others say it does", name(owner)));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::ui::tests::captured;
    use super::super::view::tests::{small, view};
    use super::*;

    #[test]
    fn a_healthy_cluster_in_redis_tribs_words() {
        let (ui, out, _) = captured(Wording::Trib, "");
        assert!(cluster_check(&ui, &small(), None).is_well());
        insta::assert_snapshot!(out.text(), @r"
        >>> Performing Cluster Check (using node 127.0.0.1:7000)
        M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 127.0.0.1:7000
           slots:0-8191 (8192 slots) master
           1 additional replica(s)
        M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 10.0.0.2:7000
           slots:8192-16383 (8192 slots) master
        S: cccccccccccccccccccccccccccccccccccccccc 10.0.0.3:7000
           slots: (0 slots) slave
           replicates aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        [OK] All nodes agree about slots configuration.
        >>> Check for open slots...
        >>> Check slots coverage...
        [OK] All 16384 slots covered.
        ");
    }

    #[test]
    fn a_healthy_cluster_in_redis_clis_words() {
        let (ui, out, _) = captured(Wording::RedisCli, "");
        assert!(cluster_check(&ui, &small(), None).is_well());
        insta::assert_snapshot!(out.text(), @r"
        >>> Performing Cluster Check (using node 127.0.0.1:7000)
        M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 127.0.0.1:7000
           slots:[0-8191] (8192 slots) master
           1 additional replica(s)
        M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 10.0.0.2:7000
           slots:[8192-16383] (8192 slots) master
        S: cccccccccccccccccccccccccccccccccccccccc 10.0.0.3:7000
           slots: (0 slots) slave
           replicates aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        [OK] All nodes agree about slots configuration.
        >>> Check for open slots...
        >>> Check slots coverage...
        [OK] All 16384 slots covered.
        ");
    }

    fn broken() -> ClusterView {
        view(
            "10.0.0.1:7000",
            &[
                "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8191 [7->-b] [9->-b]\n\
                 b 10.0.0.2:7000 master - 0 0 2 connected 8192-16383\n\
                 c 10.0.0.3:7000 slave,fail a 0 0 1 disconnected",
                "b 10.0.0.2:7000 myself,master - 0 0 2 connected 8192-16380 [7-<-a]\n\
                 a 10.0.0.1:7000 master - 0 0 1 connected 0-8191\n\
                 c 10.0.0.3:7000 slave a 0 0 1 connected",
            ],
        )
    }

    #[test]
    fn everything_wrong_is_said_and_found() {
        let (ui, out, err) = captured(Wording::Trib, "");
        let health = cluster_check(&ui, &broken(), None);
        assert!(health.disagree && !health.is_consistent() && !health.is_well());
        assert_eq!(health.open.to_string(), "7,9");
        assert_eq!(health.uncovered.to_string(), "16381-16383");
        assert_eq!(health.dead.len(), 1);
        insta::assert_snapshot!(out.text(), @r"
        >>> Performing Cluster Check (using node 10.0.0.1:7000)
        M: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 10.0.0.1:7000
           slots:0-8191 (8192 slots) master
        M: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 10.0.0.2:7000
           slots:8192-16380 (8189 slots) master
        [ERR] Nodes don't agree about configuration!
        >>> Check for open slots...
        [WARNING] Node 10.0.0.1:7000 has slots in migrating state (7,9).
        [WARNING] Node 10.0.0.2:7000 has slots in importing state (7).
        [WARNING] The following slots are open: 7,9
        >>> Check slots coverage...
        [ERR] Not all 16384 slots are covered by nodes.
        [ERR] Node 10.0.0.3:7000 (cccccccccccccccccccccccccccccccccccccccc) is not reachable: Connection refused
        ");
        insta::assert_snapshot!(err.text(), @r"
        10.0.0.2:7000 says that 10.0.0.2:7000 does not own 16381-16383; others say it does
        slots without an owner: 16381-16383
        ");
    }

    #[test]
    fn everything_wrong_in_redis_clis_words() {
        let (ui, out, _) = captured(Wording::RedisCli, "");
        configuration_check(&ui, &broken(), None);
        insta::assert_snapshot!(out.text(), @r"
        [ERR] Nodes don't agree about configuration!
        >>> Check for open slots...
        [WARNING] Node 10.0.0.1:7000 has slots in migrating state 7,9.
        [WARNING] Node 10.0.0.2:7000 has slots in importing state 7.
        [WARNING] The following slots are open: 7,9.
        >>> Check slots coverage...
        [ERR] Not all 16384 slots are covered by nodes.

        [ERR] Node 10.0.0.3:7000 (cccccccccccccccccccccccccccccccccccccccc) is not reachable: Connection refused
        ");
    }
}
