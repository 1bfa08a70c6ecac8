//! What is wrong with a cluster, or may become so: each with how bad it is and the command that mends it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::nodes_text::Flags;
use super::report::{self, Health};
use super::table;
use super::view::{ClusterView, Node};
use super::vitals::{Vital, Vitals};
use crate::base::{NodeId, SLOTS};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, but would not survive something that happens.
    Warn,
    /// Does not work.
    Error,
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// A word for programs: `dead-node`, `open-slots`.
    pub kind: &'static str,
    /// The address of the node in question.
    pub node: Option<String>,
    pub text: String,
    /// What mends it.
    pub mend: Option<String>,
}

/// A replica that is further behind is worth a word.
const LAG_BYTES: u64 = 1 << 20;
/// So much of `maxmemory` is nearly all of it.
const MEMORY_PERCENT: u64 = 90;
/// Percent from the mean at which slots count as uneven.
const UNEVEN_PERCENT: f64 = 10.0;
/// The same for what slots hold, which is never quite even.
const UNEVEN_LOAD_PERCENT: f64 = 20.0;
/// With fewer keys, or less memory, on a primary it is not worth a word.
const KEYS_WORTH: u64 = 1000;
const MEMORY_WORTH: u64 = 64 << 20;

/// Everything that a view and the nodes' condition show, the worst first.
#[must_use]
pub fn find(view: &ClusterView, vitals: &Vitals) -> Vec<Finding> {
    let mut found = Findings { view, seed: view.seed().addr.to_string(), list: Vec::new() };
    found.slots(&Health::examine(view, Some(vitals)));
    found.nodes(vitals);
    found.links();
    found.replicas(vitals);
    found.balance(vitals);
    found.versions(vitals);
    found.list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found.list
}

struct Findings<'v> {
    view: &'v ClusterView,
    seed: String,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, kind: &'static str, node: Option<&Node>, text: String, mend: Option<String>) {
        let node = node.map(|node| node.addr.to_string());
        self.list.push(Finding { severity, kind, node, text, mend });
    }

    fn slots(&mut self, health: &Health) {
        let fix = || Some(format!("trib fix {}", self.seed));
        let mut told = Vec::new();
        for line in report::disagreements(self.view) {
            told.push(("disagreement", format!("{line}; {}", self.epochs()), fix()));
        }
        if !health.open.is_empty() {
            told.push(("open-slots", format!("slots are migrating or importing: {}", health.open), fix()));
        }
        if !health.uncovered.is_empty() {
            told.push(("uncovered-slots", format!("slots without an owner: {}", health.uncovered), fix()));
        }
        for (kind, text, mend) in told {
            self.add(Severity::Error, kind, None, text, mend);
        }
    }

    /// The epochs that decide between claims.
    fn epochs(&self) -> String {
        let owners = self.view.primaries().filter(|node| !node.slots.is_empty());
        let told: Vec<String> = owners.map(|node| format!("{} since epoch {}", node.addr, node.config_epoch)).collect();
        format!("owners: {}", told.join(", "))
    }

    fn nodes(&mut self, vitals: &Vitals) {
        for node in &self.view.nodes {
            match &node.report {
                Err(failure) => {
                    let heir = self.view.replicas_of(&node.id).find(|replica| replica.is_reachable());
                    let seed = &self.seed;
                    let mend = match (node.slots.is_empty(), heir) {
                        // It lives, and does not let us in.
                        _ if failure.reply().is_some() && !failure.is_loading() => {
                            failure.hint().unwrap_or_else(|| format!("look at {} and its log", node.addr))
                        }
                        (true, _) => format!("start it again, or: trib del-node {seed} {}", node.id),
                        // Which it does by itself where most primaries are left.
                        (false, Some(heir)) => {
                            format!(
                                "start it again, or have {} take over: trib failover --forced --to {0} {seed}",
                                heir.addr
                            )
                        }
                        (false, None) => {
                            format!("start it again, or: trib fix --fix-with-unreachable-masters {seed}")
                        }
                    };
                    let text = format!("{} is not reachable: {}", node.full_name(), failure.reason());
                    self.add(Severity::Error, "dead-node", Some(node), text, Some(mend));
                }
                Ok(_) if node.flags.contains(Flags::FAILED) => {
                    let text = format!("{} is held to have failed by the others", node.addr);
                    let mend = "look at its cluster bus port, which the others cannot reach".to_owned();
                    self.add(Severity::Error, "failed-node", Some(node), text, Some(mend));
                }
                Ok(_) => {
                    if let Some(complaint) = vitals.complaint(node).or_else(|| vitals.fed_in_vain(node)) {
                        self.add(
                            Severity::Error,
                            "ailing-node",
                            Some(node),
                            format!("{}: {complaint}", node.addr),
                            None,
                        );
                    }
                }
            }
        }
        let mut names: BTreeMap<NodeId, BTreeSet<String>> = BTreeMap::new();
        let lines = self.view.nodes.iter().filter_map(|node| node.report.as_ref().ok());
        for line in lines.flat_map(|report| &report.lines) {
            if !line.addr.host.is_empty() && !line.flags.intersects(Flags::MYSELF | Flags::HANDSHAKE) {
                names.entry(line.id).or_default().insert(line.addr.to_string());
            }
        }
        for (id, addrs) in names.iter().filter(|(_, addrs)| addrs.len() > 1) {
            let addrs = addrs.iter().cloned().collect::<Vec<_>>().join(" and ");
            let text = format!(
                "node {id} is known as {addrs}: two nodes with a copied nodes.conf, or an address that changed"
            );
            self.add(Severity::Warn, "duplicate-id", self.view.node(id), text, None);
        }
    }

    /// Who cannot reach whom on the cluster bus, though both answer.
    fn links(&mut self) {
        let mut told = Vec::new();
        for node in self.view.reachable() {
            let lacking: Vec<String> = self
                .view
                .reachable()
                .filter(|other| {
                    let line = |report: &super::view::Report| report.line(&node.id).map(|line| line.connected);
                    other.id != node.id && other.report.as_ref().ok().and_then(line) == Some(false)
                })
                .map(|other| other.addr.to_string())
                .collect();
            if !lacking.is_empty() {
                let port = node.announced.bus_port_or_usual();
                let text =
                    format!("the cluster bus of {} (port {port}) has no link from {}", node.addr, lacking.join(", "));
                told.push((node, text, format!("open port {port} on {} for all nodes", node.announced.host)));
            }
        }
        for (node, text, mend) in told {
            self.add(Severity::Warn, "no-bus-link", Some(node), text, Some(mend));
        }
    }

    fn replicas(&mut self, vitals: &Vitals) {
        let hosts: BTreeSet<&str> = self.view.nodes.iter().map(|node| node.announced.host.as_str()).collect();
        let zones: BTreeSet<&str> =
            self.view.nodes.iter().filter_map(|node| vitals.get(&node.id)).map(|vital| vital.zone.as_str()).collect();
        if hosts.len() == 1 && self.view.nodes.len() > 1 {
            self.add(Severity::Note, "one-host", None, "all nodes are on one host".to_owned(), None);
        }
        for primary in self.view.primaries().filter(|node| !node.slots.is_empty()) {
            if self.view.replicas_of(&primary.id).next().is_none() {
                let text =
                    format!("{} has no replica: its {} slots are lost with it", primary.addr, primary.slots.len());
                let mend = format!("trib add-node --slave --master-id {} NEW {}", primary.id, self.seed);
                self.add(Severity::Warn, "no-replica", Some(primary), text, Some(mend));
            }
            for replica in self.view.replicas_of(&primary.id) {
                if hosts.len() > 1 && replica.announced.host == primary.announced.host {
                    let text = format!("{} is on the host of its primary {}", replica.addr, primary.addr);
                    self.add(Severity::Warn, "same-host", Some(replica), text, None);
                }
                let Some((ours, theirs)) = vitals.get(&replica.id).zip(vitals.get(&primary.id)) else { continue };
                if zones.len() > 1 && !ours.zone.is_empty() && ours.zone == theirs.zone {
                    let text =
                        format!("{} is in the zone of its primary {} ({})", replica.addr, primary.addr, ours.zone);
                    self.add(Severity::Warn, "same-zone", Some(replica), text, None);
                }
                let lag = theirs.offset.saturating_sub(ours.offset);
                if lag > LAG_BYTES {
                    let text = format!("{} is {} behind its primary {}", replica.addr, table::bytes(lag), primary.addr);
                    self.add(Severity::Warn, "lag", Some(replica), text, None);
                }
            }
        }
    }

    fn balance(&mut self, vitals: &Vitals) {
        for node in self.view.reachable() {
            let Some(vital) = vitals.get(&node.id) else { continue };
            let limit = vital.memory_limit_bytes;
            if limit > 0 && vital.memory_bytes / 100 * 100 >= limit / 100 * MEMORY_PERCENT {
                let text = format!(
                    "{} uses {} of the {} it may use",
                    node.addr,
                    table::bytes(vital.memory_bytes),
                    table::bytes(limit)
                );
                self.add(Severity::Warn, "memory", Some(node), text, Some(format!("trib rebalance {}", self.seed)));
            }
        }
        let owners: Vec<&Node> = self.view.primaries().filter(|node| !node.slots.is_empty()).collect();
        let mean = SLOTS as f64 / owners.len().max(1) as f64;
        for node in owners {
            let off = (node.slots.len() as f64 - mean) / mean * 100.0;
            if off.abs() > UNEVEN_PERCENT {
                let text = format!("{} owns {} slots, {off:+.0} % of an even share", node.addr, node.slots.len());
                self.add(
                    Severity::Note,
                    "uneven-slots",
                    Some(node),
                    text,
                    Some(format!("trib rebalance {}", self.seed)),
                );
            }
        }
        self.uneven(vitals, "uneven-keys", "keys", KEYS_WORTH, |vital| vital.keys, |keys| table::count(keys, "key"));
        self.uneven(vitals, "uneven-memory", "memory", MEMORY_WORTH, |vital| vital.memory_bytes, table::bytes);
        for node in self.view.primaries().filter(|node| node.slots.is_empty()) {
            let text = format!("{} is a primary without slots", node.addr);
            let mend = format!("trib rebalance --use-empty-masters {}", self.seed);
            self.add(Severity::Note, "empty-primary", Some(node), text, Some(mend));
        }
    }

    /// Primaries that have much more or less than their share of what can be shared out.
    fn uneven(
        &mut self,
        vitals: &Vitals,
        kind: &'static str,
        by: &str,
        worth: u64,
        of: impl Fn(&Vital) -> u64,
        shown: impl Fn(u64) -> String,
    ) {
        let owners = self.view.primaries().filter(|node| !node.slots.is_empty());
        let held: Vec<(&Node, u64)> = owners.filter_map(|node| Some((node, of(vitals.get(&node.id)?)))).collect();
        let mean = held.iter().map(|(_, held)| held).sum::<u64>() / held.len().max(1) as u64;
        if mean < worth {
            return;
        }
        for (node, held) in held {
            let off = (held as f64 - mean as f64) / mean as f64 * 100.0;
            if off.abs() > UNEVEN_LOAD_PERCENT {
                let text = format!("{} holds {}, {off:+.0} % of an even share", node.addr, shown(held));
                let mend = format!("trib rebalance --by {by} {}", self.seed);
                self.add(Severity::Note, kind, Some(node), text, Some(mend));
            }
        }
    }

    fn versions(&mut self, vitals: &Vitals) {
        let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
        for vital in self.view.reachable().filter_map(|node| vitals.get(&node.id)) {
            *versions.entry(&vital.version).or_default() += 1;
        }
        if versions.len() > 1 {
            let told: Vec<String> = versions.iter().map(|(version, nodes)| format!("{nodes} of {version}")).collect();
            self.add(Severity::Warn, "version-skew", None, format!("the nodes differ: {}", told.join(", ")), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::error::Failure;
    use super::super::view::tests::{id, small, view};
    use super::*;

    fn kinds(view: &ClusterView, least: Severity) -> Vec<&'static str> {
        let found = find(view, &Vitals::default());
        found.iter().filter(|finding| finding.severity >= least).map(|finding| finding.kind).collect()
    }

    #[test]
    fn what_would_not_survive_a_failure_is_a_warning() {
        let found = find(&small(), &Vitals::default());
        let warned: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Warn).collect();
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!((warned[0].kind, warned[0].node.as_deref()), ("no-replica", Some("10.0.0.2:7000")));
        assert!(warned[0].mend.as_ref().unwrap().starts_with("trib add-node --slave --master-id bbbb"));
    }

    #[test]
    fn what_is_uneven_is_a_note() {
        let vital = |keys, memory_bytes| Vital { keys, memory_bytes, ..Vital::default() };
        let notes = |a: Vital, b: Vital| {
            let vitals = Vitals::from(HashMap::from([(id('a'), a), (id('b'), b)]));
            let found = find(&small(), &vitals);
            let told: Vec<String> = found
                .into_iter()
                .filter(|finding| finding.kind.starts_with("uneven"))
                .map(|finding| format!("{}: {} ({})", finding.kind, finding.text, finding.mend.unwrap()))
                .collect();
            told
        };
        assert_eq!(notes(vital(900, 0), vital(500, 0)), [""; 0], "too few to speak of");
        assert_eq!(notes(vital(1100, 70 << 20), vital(1000, 70 << 20)), [""; 0]);
        assert_eq!(
            notes(vital(3000, 200 << 20), vital(1000, 100 << 20)),
            [
                "uneven-keys: 127.0.0.1:7000 holds 3000 keys, +50 % of an even share (trib rebalance --by keys 127.0.0.1:7000)",
                "uneven-keys: 10.0.0.2:7000 holds 1000 keys, -50 % of an even share (trib rebalance --by keys 127.0.0.1:7000)",
                "uneven-memory: 127.0.0.1:7000 holds 200.0 MB, +33 % of an even share (trib rebalance --by memory 127.0.0.1:7000)",
                "uneven-memory: 10.0.0.2:7000 holds 100.0 MB, -33 % of an even share (trib rebalance --by memory 127.0.0.1:7000)",
            ]
        );
    }

    #[test]
    fn the_dead_have_heirs_or_not() {
        let mend = |replica: &str| {
            let lines = format!("b 10.0.0.2:1 master,fail - 0 0 2 disconnected 1\n{replica}");
            let own = "a 10.0.0.1:1 myself,master - 0 0 1 connected 0";
            let replica = replica.replace("slave", "myself,slave");
            let view = view("10.0.0.1:1", &[&format!("{own}\n{lines}"), &replica]);
            let found = find(&view, &Vitals::default());
            found.into_iter().find(|finding| finding.kind == "dead-node").unwrap().mend.unwrap()
        };
        assert!(
            mend("c 10.0.0.3:1 slave b 0 0 2 connected").ends_with("trib failover --forced --to 10.0.0.3:1 10.0.0.1:1")
        );
        assert!(mend("c 10.0.0.3:1 slave a 0 0 2 connected").contains("--fix-with-unreachable-masters"));
        let mut barred = small();
        let node = &mut barred.nodes[1];
        node.report = Err(Failure::Reply { node: node.addr.clone(), text: "WRONGPASS invalid".to_owned() });
        let found = find(&barred, &Vitals::default());
        let dead = found.into_iter().find(|finding| finding.kind == "dead-node").unwrap();
        let mend = dead.mend.unwrap();
        assert!(mend.contains("password") && !mend.contains("fix"), "{mend}");
    }

    #[test]
    fn errors_come_first_and_name_the_remedy() {
        let view = view(
            "10.0.0.1:7000",
            &[
                "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8191 [7->-b]\n\
                 b 10.0.0.2:7000 master - 0 0 2 disconnected 8192-16383\n\
                 c 10.0.0.1:7001 slave a 0 0 1 connected",
                "b 10.0.0.2:7000 myself,master - 0 0 2 connected 8192-16380\n\
                 a 10.0.0.1:7000 master - 0 0 1 connected 0-8191\n\
                 c 10.0.0.9:7001 slave a 0 0 1 connected",
            ],
        );
        let errors = kinds(&view, Severity::Error);
        for kind in ["disagreement", "open-slots", "uncovered-slots", "dead-node", "ailing-node"] {
            assert!(errors.contains(&kind), "{kind} in {errors:?}");
        }
        let all = kinds(&view, Severity::Note);
        assert_eq!(all[..errors.len()], errors[..]);
        for kind in ["no-bus-link", "duplicate-id", "no-replica"] {
            assert!(all.contains(&kind), "{kind} in {all:?}");
        }
        let disagreement = find(&view, &Vitals::default()).remove(0);
        assert!(disagreement.text.contains("10.0.0.2:7000 since epoch 2"), "{}", disagreement.text);
    }
}
