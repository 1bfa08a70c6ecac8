//! The cluster as its nodes see it, at one moment: what every planner and report starts from.
//!
//! Every reachable node is asked for its own CLUSTER NODES, all at the same time. A node's own line says
//! what the node is and owns; the other lines say what it believes of the rest. Nodes that do not answer
//! stay in the view, with the reason: a report that leaves out the dead is of no use to those who look
//! for them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::access::AddrMap;
use super::addr::Addr;
use super::client::{Pool, command, join_all, text_of};
use super::error::{Error, Failure};
use super::nodes_text::{self, Flags, NodeLine};
use super::slots::SlotSet;
use crate::base::{NodeId, Slot};

/// What one node says about all nodes it knows, in the order it says it. Nodes mostly say the same, so in a view they share
/// the lines: a hundred nodes have ten thousand of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub lines: Vec<Rc<NodeLine>>,
}

impl Report {
    /// Reads a CLUSTER NODES reply of `node`; it must contain the node's own line.
    pub fn parse(node: &Addr, text: &str) -> Result<Report, Failure> {
        let unexpected = |reason: String| Failure::Unexpected { node: node.clone(), reason };
        let lines = nodes_text::parse(text).map_err(|e| unexpected(e.to_string()))?;
        if lines.iter().filter(|line| line.flags.contains(Flags::MYSELF)).count() != 1 {
            return Err(unexpected("CLUSTER NODES without exactly one line of its own".to_owned()));
        }
        Ok(Report { lines: lines.into_iter().map(Rc::new).collect() })
    }

    /// Has the report share those lines that somebody else has said in just the same words.
    fn share(mut self, said: &mut HashMap<NodeId, Vec<Rc<NodeLine>>>) -> Report {
        for line in &mut self.lines {
            let known = said.entry(line.id).or_default();
            match known.iter().find(|known| *known == line) {
                Some(same) => *line = Rc::clone(same),
                None => known.push(Rc::clone(line)),
            }
        }
        self.lines.shrink_to_fit();
        self
    }

    /// The node's own line.
    #[must_use]
    pub fn own(&self) -> &NodeLine {
        self.lines.iter().find(|line| line.flags.contains(Flags::MYSELF)).expect("checked when it was read")
    }

    #[must_use]
    pub fn line(&self, id: &NodeId) -> Option<&NodeLine> {
        self.lines.iter().find(|line| line.id == *id).map(Rc::as_ref)
    }

    /// Who owns what according to this node. Nodes agree when their opinions are equal.
    #[must_use]
    pub fn opinion(&self) -> Opinion {
        self.lines.iter().filter(|line| !line.slots.is_empty()).map(|line| (line.id, line.slots.clone())).collect()
    }

    /// Nodes it knows, itself included, without handshakes under way.
    #[must_use]
    pub fn known(&self) -> BTreeSet<NodeId> {
        self.lines.iter().filter(|line| !line.flags.contains(Flags::HANDSHAKE)).map(|line| line.id).collect()
    }
}

/// The owner of every owned slot.
pub type Opinion = BTreeMap<NodeId, SlotSet>;

/// One node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub id: NodeId,
    /// Where this program talks to it.
    pub addr: Addr,
    /// Where the other nodes talk to it: what MIGRATE and CLUSTER MEET have to be told. Differs from
    /// `addr` when the operator came through another address, such as `127.0.0.1` or a forwarded port.
    pub announced: Addr,
    pub hostname: Option<String>,
    pub flags: Flags,
    /// `master`, `slave`, with further flags, as the report prints them.
    pub flags_text: String,
    /// Whom it replicates, if it is a replica and knows.
    pub primary: Option<NodeId>,
    pub config_epoch: u64,
    /// What it owns by its own account; by the others' account when it does not answer.
    pub slots: SlotSet,
    pub migrating: BTreeMap<Slot, NodeId>,
    pub importing: BTreeMap<Slot, NodeId>,
    /// What it says about the cluster, or why it says nothing.
    pub report: Result<Report, Failure>,
}

impl Node {
    #[must_use]
    pub fn is_primary(&self) -> bool {
        !self.flags.contains(Flags::REPLICA)
    }

    #[must_use]
    pub fn is_replica(&self) -> bool {
        self.flags.contains(Flags::REPLICA)
    }

    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.report.is_ok()
    }

    /// Its address and its id, as far as the cluster still knows where it is.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.addr.host.is_empty() {
            true => self.id.to_string(),
            false => format!("{} ({})", self.addr, self.id),
        }
    }

    fn from_line(line: &NodeLine, addr: Addr, report: Result<Report, Failure>) -> Node {
        let announced = if line.addr.host.is_empty() {
            Addr { host: addr.host.clone(), ..line.addr.clone() }
        } else {
            line.addr.clone()
        };
        Node {
            id: line.id,
            addr,
            announced,
            hostname: line.hostname.clone(),
            flags: line.flags,
            flags_text: line.flags_text.clone(),
            primary: line.primary,
            config_epoch: line.config_epoch,
            slots: line.slots.clone(),
            migrating: line.migrating.clone(),
            importing: line.importing.clone(),
            report,
        }
    }
}

/// Those of `lines` whose nodes are members, as far as is known, and have no answer yet; each once.
fn unasked<'a, T>(
    lines: impl IntoIterator<Item = &'a Rc<NodeLine>>,
    answers: &HashMap<NodeId, T>,
) -> Vec<Rc<NodeLine>> {
    let is_unasked = |line: &&Rc<NodeLine>| !line.flags.contains(Flags::HANDSHAKE) && !answers.contains_key(&line.id);
    let mut unasked: Vec<Rc<NodeLine>> = lines.into_iter().filter(is_unasked).cloned().collect();
    unasked.sort_by_key(|line| line.id);
    unasked.dedup_by_key(|line| line.id);
    unasked
}

/// The whole cluster at one moment. Immutable for planners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterView {
    /// The node asked first comes first, then the primaries in the order of their slots, then the replicas in the
    /// order of their primaries: the same from every node, and from one time to the next.
    pub nodes: Vec<Node>,
    /// How the addresses are translated on the way to the nodes: operators may name nodes as they are reached.
    map: AddrMap,
}

impl ClusterView {
    /// Looks at the cluster that the node at `seed` belongs to.
    pub async fn load(pool: &Pool, seed: &Addr) -> Result<ClusterView, Error> {
        let first = ask(pool, seed).await.map_err(|failure| match failure.reply() {
            Some(text) if text.contains("cluster support disabled") => not_a_cluster_node(seed),
            _ => failure.into(),
        })?;
        let said = RefCell::default();
        let first = first.share(&mut said.borrow_mut());
        let mut answers: HashMap<NodeId, Result<Report, Failure>> = HashMap::new();
        answers.insert(first.own().id, Ok(first.clone()));
        let mut to_ask = unasked(&first.lines, &answers);
        // Normally one round; another one when somebody knows a node that the first one does not.
        while !to_ask.is_empty() {
            let replies = join_all(to_ask.iter().map(|line| async {
                let report = ask_member(pool, line).await?;
                Ok(report.share(&mut said.borrow_mut()))
            }))
            .await;
            answers.extend(to_ask.iter().map(|line| line.id).zip(replies));
            to_ask = unasked(answers.values().flatten().flat_map(|report| &report.lines), &answers);
        }
        Ok(ClusterView { map: pool.access().map.clone(), ..ClusterView::assemble(seed, &first, answers) })
    }

    /// The cluster as one node sees it, without asking the others.
    #[must_use]
    pub fn glance(pool: &Pool, seed: &Addr, report: &Report) -> ClusterView {
        let own = HashMap::from([(report.own().id, Ok(report.clone()))]);
        ClusterView { map: pool.access().map.clone(), ..ClusterView::assemble(seed, report, own) }
    }

    /// Puts the nodes' own accounts together. `first` is the account of the node at `seed`; `answers`
    /// holds what each node said, or why it said nothing.
    #[must_use]
    pub fn assemble(seed: &Addr, first: &Report, mut answers: HashMap<NodeId, Result<Report, Failure>>) -> ClusterView {
        let is_known = |line: &&Rc<NodeLine>| !line.flags.contains(Flags::HANDSHAKE);
        let (mut order, mut rest): (Vec<_>, Vec<_>) =
            first.lines.iter().cloned().partition(|line| line.id == first.own().id);
        rest.retain(|line| is_known(&line));
        order.append(&mut rest);
        let listed: BTreeSet<NodeId> = order.iter().map(|line| line.id).collect();
        // What the others dial is what they say, not what a node thinks of itself.
        let mut announced: HashMap<NodeId, Addr> = HashMap::new();
        let mut others: BTreeMap<NodeId, &Rc<NodeLine>> = BTreeMap::new();
        for report in answers.values().flatten() {
            for line in report.lines.iter().filter(is_known) {
                if !line.flags.contains(Flags::MYSELF)
                    && !line.addr.host.is_empty()
                    && !announced.contains_key(&line.id)
                {
                    announced.insert(line.id, line.addr.clone());
                }
                if !listed.contains(&line.id) {
                    others.entry(line.id).or_insert(line);
                }
            }
        }
        order.extend(others.into_values().cloned());
        let mut seen = BTreeSet::new();
        let mut nodes: Vec<Node> = Vec::with_capacity(order.len());
        for line in &order {
            if !seen.insert(line.id) {
                continue;
            }
            let is_first = nodes.is_empty();
            let addr = if is_first { seed.clone() } else { line.addr.clone() };
            let answer = answers
                .remove(&line.id)
                .unwrap_or_else(|| Err(Failure::Connect { node: addr.clone(), reason: "it was not asked".to_owned() }));
            let own = answer.as_ref().map_or(line.as_ref(), Report::own).clone();
            let mut node = Node::from_line(&own, addr, answer);
            if let Some(said) = announced.remove(&node.id) {
                node.announced = said;
            } else if !is_first && !line.addr.host.is_empty() {
                node.announced = line.addr.clone();
            }
            node.flags |= line.flags & (Flags::FAILED | Flags::SUSPECTED | Flags::NO_ADDRESS);
            node.flags.remove(Flags::MYSELF);
            nodes.push(node);
        }
        arrange(&mut nodes);
        ClusterView { nodes, map: AddrMap::default() }
    }

    /// The nodes as the one asked first lists them, itself first, then those that only other nodes know: the order of
    /// redis-cli.
    #[must_use]
    pub fn as_listed(&self) -> Vec<&Node> {
        let lines = self.seed().report.as_ref().map(|report| report.lines.as_slice()).unwrap_or_default();
        let place = |node: &Node| lines.iter().position(|line| line.id == node.id).unwrap_or(usize::MAX);
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes[1..].sort_by_key(|node| place(node));
        nodes
    }

    /// The node that was asked first.
    #[must_use]
    pub fn seed(&self) -> &Node {
        &self.nodes[0]
    }

    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// The node at this address, as dialled or as announced; behind a map that is the address inside or outside.
    #[must_use]
    pub fn node_at(&self, addr: &Addr) -> Option<&Node> {
        let at = |addr: &Addr| self.nodes.iter().find(|node| node.addr == *addr || node.announced == *addr);
        at(addr).or_else(|| at(&self.map.inside(addr)))
    }

    /// The nodes whose id starts with `prefix` (in lower case).
    #[must_use]
    pub fn with_id_prefix(&self, prefix: &str) -> Vec<&Node> {
        let prefix = prefix.to_ascii_lowercase();
        self.nodes.iter().filter(|node| node.id.as_str().starts_with(&prefix)).collect()
    }

    /// The nodes that answered.
    pub fn reachable(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_reachable())
    }

    /// The nodes that did not answer, or that others hold to have failed.
    pub fn unreachable(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.is_reachable())
    }

    /// Reachable primaries, with or without slots.
    pub fn primaries(&self) -> impl Iterator<Item = &Node> {
        self.reachable().filter(|node| node.is_primary())
    }

    /// Reachable replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Node> {
        self.reachable().filter(|node| node.is_replica())
    }

    /// Reachable replicas of this primary.
    pub fn replicas_of(&self, primary: &NodeId) -> impl Iterator<Item = &Node> {
        let primary = *primary;
        self.replicas().filter(move |node| node.primary == Some(primary))
    }

    /// The reachable primary with the fewest replicas, the first one of equals; `except` is left out.
    #[must_use]
    pub fn primary_with_fewest_replicas(&self, except: Option<&NodeId>) -> Option<&Node> {
        self.primaries().filter(|node| Some(&node.id) != except).min_by_key(|node| self.replicas_of(&node.id).count())
    }

    /// The slots that some reachable primary owns by its own account.
    #[must_use]
    pub fn covered(&self) -> SlotSet {
        let mut covered = SlotSet::new();
        for node in self.primaries() {
            covered.extend_from(&node.slots);
        }
        covered
    }

    /// Reachable primaries that own `slot` by their own account.
    pub fn owners_of(&self, slot: Slot) -> impl Iterator<Item = &Node> {
        self.primaries().filter(move |node| node.slots.contains(slot))
    }

    /// Slots that are migrating or importing somewhere.
    #[must_use]
    pub fn open_slots(&self) -> SlotSet {
        self.reachable().flat_map(|node| node.migrating.keys().chain(node.importing.keys())).copied().collect()
    }

    /// The different opinions about who owns what, each with the nodes that hold it, in view order.
    #[must_use]
    pub fn opinions(&self) -> Vec<(Opinion, Vec<&Node>)> {
        let mut opinions: Vec<(BTreeMap<NodeId, &SlotSet>, Vec<&Node>)> = Vec::new();
        for node in &self.nodes {
            let Ok(report) = &node.report else { continue };
            let owners = report.lines.iter().filter(|line| !line.slots.is_empty());
            let opinion: BTreeMap<NodeId, &SlotSet> = owners.map(|line| (line.id, &line.slots)).collect();
            match opinions.iter_mut().find(|(known, _)| *known == opinion) {
                Some((_, holders)) => holders.push(node),
                None => opinions.push((opinion, vec![node])),
            }
        }
        let owned = |(opinion, holders): (BTreeMap<NodeId, &SlotSet>, Vec<_>)| {
            (opinion.into_iter().map(|(id, slots)| (id, slots.clone())).collect(), holders)
        };
        opinions.into_iter().map(owned).collect()
    }

    /// Whether all reachable nodes agree on who owns what.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.opinions().len() <= 1
    }
}

/// Puts all but the first one into the order that [`ClusterView::nodes`] promises.
fn arrange(nodes: &mut [Node]) {
    let by_slots = |node: &Node| (node.slots.iter().next().map_or(u16::MAX, Slot::get), node.announced.to_string());
    let shards: HashMap<NodeId, (u16, String)> =
        nodes.iter().filter(|node| node.is_primary()).map(|node| (node.id, by_slots(node))).collect();
    nodes[1..].sort_by_cached_key(|node| {
        let primary = node.primary.as_ref().and_then(|id| shards.get(id)).cloned();
        let shard = if node.is_primary() { Some(by_slots(node)) } else { primary };
        (node.is_replica(), shard.is_none(), shard, node.announced.to_string())
    });
}

/// What to say when a server runs without cluster mode.
#[must_use]
pub fn not_a_cluster_node(addr: &Addr) -> Error {
    Error::failed(format!("[ERR] Node {addr} is not configured as a cluster node."))
        .hint(format!("start the server at {addr} with 'cluster-enabled yes'"))
}

/// CLUSTER NODES of one node.
pub async fn ask(pool: &Pool, addr: &Addr) -> Result<Report, Failure> {
    let reply = pool.call(addr, &command("CLUSTER NODES")).await?;
    let text = text_of(&reply)
        .ok_or_else(|| Failure::Unexpected { node: addr.clone(), reason: "CLUSTER NODES is no text".to_owned() })?;
    Report::parse(addr, &text)
}

async fn ask_member(pool: &Pool, line: &NodeLine) -> Result<Report, Failure> {
    let addr = &line.addr;
    if line.flags.contains(Flags::NO_ADDRESS) || addr.host.is_empty() || addr.port == 0 {
        return Err(Failure::Connect { node: addr.clone(), reason: "its address is not known".to_owned() });
    }
    let report = ask(pool, addr).await?;
    let found = report.own().id;
    if found != line.id {
        return Err(Failure::Unexpected {
            node: addr.clone(),
            reason: format!("node {found} answers there, not {}", line.id),
        });
    }
    Ok(report)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A 40-character id that starts with the letter and is filled with it.
    pub(crate) fn id(letter: char) -> NodeId {
        NodeId::parse(letter.to_string().repeat(40).as_bytes()).unwrap()
    }

    /// A view from what each node answered. A text in which a single letter stands for an id, and which
    /// names no reply for a node, is what the tests of planners and reports are written in.
    pub(crate) fn view(seed: &str, replies: &[&str]) -> ClusterView {
        let mut answers = HashMap::new();
        let mut first = None;
        for text in replies {
            let addr: Addr = seed.parse().unwrap();
            let report = Report::parse(&addr, &spell_out(text)).unwrap();
            first.get_or_insert_with(|| report.clone());
            answers.insert(report.own().id, Ok(report));
        }
        let first = first.unwrap();
        for line in &first.lines {
            let reason = "Connection refused".to_owned();
            answers.entry(line.id).or_insert_with(|| Err(Failure::Connect { node: line.addr.clone(), reason }));
        }
        ClusterView::assemble(&seed.parse().unwrap(), &first, answers)
    }

    /// Two primaries: what each of them says of its own slots, and then of the other's.
    pub(crate) fn pair(first: [&str; 2], second: [&str; 2]) -> ClusterView {
        let [own, others] = first;
        let of_first = format!(
            "a 10.0.0.1:7000 myself,master - 0 0 1 connected {own}\nb 10.0.0.2:7000 master - 0 0 2 connected {others}"
        );
        let [own, others] = second;
        let of_second = format!(
            "b 10.0.0.2:7000 myself,master - 0 0 2 connected {own}\na 10.0.0.1:7000 master - 0 0 1 connected {others}"
        );
        view("10.0.0.1:7000", &[&of_first, &of_second])
    }

    #[test]
    fn what_is_said_twice_is_kept_once() {
        let text = |flags: &str| {
            spell_out(&format!(
                "a 127.0.0.1:1@11 {flags} - 0 0 1 connected 0-9\nb 127.0.0.1:2@12 myself - 0 0 2 connected\n"
            ))
        };
        let mut said = HashMap::new();
        let [one, same, other] = ["master", "master", "slave"]
            .map(|flags| Report::parse(&"127.0.0.1:1".parse().unwrap(), &text(flags)).unwrap().share(&mut said));
        let is_shared = |a: &Report, b: &Report, line: usize| Rc::ptr_eq(&a.lines[line], &b.lines[line]);
        assert!(one == same && is_shared(&one, &same, 0) && is_shared(&one, &same, 1));
        assert!(one != other && !is_shared(&one, &other, 0) && is_shared(&one, &other, 1));
    }

    #[test]
    fn each_member_is_asked_once_and_a_stranger_never() {
        let text = "a 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-16383\n\
                    b 127.0.0.1:2@12 handshake - 0 0 0 connected\n\
                    c 127.0.0.1:3@13 master - 0 0 2 connected\n";
        let report = Report::parse(&"127.0.0.1:1".parse().unwrap(), &spell_out(text)).unwrap();
        let asked = unasked(report.lines.iter().chain(&report.lines), &HashMap::from([(id('a'), ())]));
        assert_eq!(asked.iter().map(|line| line.id).collect::<Vec<_>>(), [id('c')]);
    }

    /// Replaces words of one letter, also behind `->-` and `-<-`, by 40 times that letter.
    fn spell_out(text: &str) -> String {
        let spell = |word: &str| -> String {
            if let Some((slot, id)) = word.split_once("->-").or_else(|| word.split_once("-<-")) {
                let arrow = if word.contains("->-") { "->-" } else { "-<-" };
                return format!("{slot}{arrow}{}]", id.trim_end_matches(']').repeat(40));
            }
            match word.len() == 1 && word.chars().all(|c| c.is_ascii_lowercase()) {
                true => word.repeat(40),
                false => word.to_owned(),
            }
        };
        text.lines().map(|line| line.split(' ').map(spell).collect::<Vec<_>>().join(" ") + "\n").collect()
    }

    /// Two primaries and a replica of the first, seen by all three.
    pub(crate) fn small() -> ClusterView {
        view(
            "127.0.0.1:7000",
            &[
                "a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191\n\
                 b 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383\n\
                 c 10.0.0.3:7000@17000 slave a 0 0 1 connected",
                "b 10.0.0.2:7000@17000 myself,master - 0 0 2 connected 8192-16383\n\
                 a 10.0.0.1:7000@17000 master - 0 0 1 connected 0-8191\n\
                 c 10.0.0.3:7000@17000 slave a 0 0 1 connected",
                "c 10.0.0.3:7000@17000 myself,slave a 0 0 1 connected\n\
                 b 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383\n\
                 a 10.0.0.1:7000@17000 master - 0 0 1 connected 0-8191",
            ],
        )
    }

    #[test]
    fn a_healthy_view_agrees_and_covers_everything() {
        let view = small();
        assert_eq!(view.seed().addr.to_string(), "127.0.0.1:7000");
        assert_eq!(view.seed().announced.to_string(), "10.0.0.1:7000");
        assert!(view.agree());
        assert_eq!(view.covered(), SlotSet::full());
        assert_eq!(view.replicas_of(&id('a')).count(), 1);
        assert_eq!(view.primary_with_fewest_replicas(None).unwrap().id, id('b'));
        assert_eq!(view.owners_of(Slot::new(9000).unwrap()).next().unwrap().id, id('b'));
        assert_eq!(view.with_id_prefix("C")[0].id, id('c'));
        assert_eq!(view.node_at(&"10.0.0.2:7000".parse().unwrap()).unwrap().id, id('b'));
        let outside = "gate:17000".parse().unwrap();
        assert_eq!(view.node_at(&outside), None);
        let map = AddrMap { entries: vec!["10.0.0.2:7000=gate:17000".parse().unwrap()] };
        let view = ClusterView { map, ..view };
        assert_eq!(view.node_at(&outside).unwrap().id, id('b'));
    }

    #[test]
    fn silent_nodes_stay_in_the_view_with_their_reason() {
        let view = view(
            "10.0.0.1:7000",
            &["a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 [7->-b]\n\
               b 10.0.0.2:7000@17000 master,fail - 0 0 2 disconnected 8192-16383"],
        );
        let dead = view.unreachable().next().unwrap();
        assert_eq!(dead.id, id('b'));
        assert!(dead.flags.contains(Flags::FAILED));
        assert_eq!(dead.slots.len(), 8192);
        assert_eq!(view.covered().len(), 8192, "what a dead node owned is not covered");
        assert_eq!(view.open_slots().to_string(), "7");
    }

    #[test]
    fn different_opinions_are_kept_apart() {
        let stranger = "d 10.0.0.4:7000 master - 0 0 0 connected";
        let view = pair(["0-8191", "8192-16383"], ["8192-16383", &format!("0-8000\n{stranger}")]);
        assert!(!view.agree());
        assert_eq!(view.opinions().len(), 2);
        assert_eq!(view.nodes.last().unwrap().id, id('d'), "known to one other node only");
    }
}
