//! What the cluster looks like from here: for commands, reports and the path of every request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::clock::Clock;
use super::conf::push_ranges;
use super::config::EndpointType;
use super::engine::{Engine, Link};
use super::flags::NodeFlags;
use super::io::LinkId;
use super::node::{Node, NodeIdx};
use super::packet::MessageType;
use super::stats::{BusStats, Traffic};
use crate::base::{NodeId, Slot};

/// How a client is connected: it decides which of a node's addresses it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientNet {
    pub tls: bool,
    /// The client's own address, if it is an IP connection.
    pub ip: Option<IpAddr>,
}

/// One node, as far as replies need it.
#[derive(Clone, Debug)]
pub struct NodeView<'a> {
    pub idx: NodeIdx,
    pub node: &'a Node,
    /// Id of its primary.
    pub primary: Option<NodeId>,
    /// Its own, or its primary's where it is a replica.
    pub epoch: u64,
    pub slot_count: usize,
    /// The outbound link is established (always, for myself).
    pub connected: bool,
}

impl NodeView<'_> {
    #[must_use]
    pub fn is_myself(&self) -> bool {
        self.node.is(NodeFlags::MYSELF)
    }

    /// As CLUSTER SHARDS says it: `fail`, `loading` (a replica without data) or `online`.
    #[must_use]
    pub fn health(&self) -> &'static str {
        if self.node.is_failed() {
            "fail"
        } else if self.node.is_replica() && self.node.repl_offset == 0 {
            "loading"
        } else {
            "online"
        }
    }
}

/// The nodes of one shard, the primary first, and its slots.
#[derive(Clone, Debug)]
pub struct ShardView<'a> {
    pub id: NodeId,
    pub slots: Vec<(Slot, Slot)>,
    pub nodes: Vec<NodeView<'a>>,
}

/// One entry of CLUSTER LINKS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkView {
    pub link: LinkId,
    pub node: NodeId,
    pub created: Clock,
    /// Bytes queued, as last told to the engine.
    pub queued: u64,
}

impl LinkView {
    /// `to` for links I opened, `from` for links I accepted.
    #[must_use]
    pub fn direction(&self) -> &'static str {
        match self.link {
            LinkId::Outbound(_) => "to",
            LinkId::Inbound(_) => "from",
        }
    }
}

impl Engine {
    /// Whether `cluster_state` is ok.
    #[must_use]
    pub fn state_ok(&self) -> bool {
        self.state.is_ok()
    }

    #[must_use]
    pub fn my_id(&self) -> NodeId {
        self.myself().id
    }

    #[must_use]
    pub fn my_shard_id(&self) -> NodeId {
        self.myself().shard_id
    }

    #[must_use]
    pub fn me(&self) -> NodeIdx {
        self.me
    }

    #[must_use]
    pub fn am_primary(&self) -> bool {
        self.myself().is_primary()
    }

    /// The primary whose slots I serve: me, or the one I replicate.
    #[must_use]
    pub fn shard_primary(&self) -> NodeIdx {
        self.myself().primary.unwrap_or(self.me)
    }

    /// Changes with every change of a slot's owner, or of a claim to it.
    #[must_use]
    pub fn slots_version(&self) -> u64 {
        self.slots.version()
    }

    #[must_use]
    pub fn slot_owner(&self, slot: Slot) -> Option<NodeIdx> {
        self.slots.owner(slot)
    }

    /// Whether a slot's owner was last heard without it: whoever claims it next is believed.
    #[must_use]
    pub fn is_unclaimed(&self, slot: Slot) -> bool {
        self.slots.is_unclaimed(slot)
    }

    /// Whether a slot is mine.
    #[must_use]
    pub fn owns(&self, slot: Slot) -> bool {
        self.slots.owner(slot) == Some(self.me)
    }

    /// Whether any slot is mine.
    #[must_use]
    pub fn owns_slots(&self) -> bool {
        self.slots.count(self.me) > 0
    }

    /// Whether a slot is served by my shard.
    #[must_use]
    pub fn is_in_my_shard(&self, slot: Slot) -> bool {
        let owner = self.slots.owner(slot);
        owner.is_some_and(|owner| owner == self.shard_primary() || self.same_shard(owner, self.me))
    }

    #[must_use]
    pub fn migrating_to(&self, slot: Slot) -> Option<NodeIdx> {
        self.slots.migrating_to(slot)
    }

    #[must_use]
    pub fn importing_from(&self, slot: Slot) -> Option<NodeIdx> {
        self.slots.importing_from(slot)
    }

    /// Slots on their way out, with the ids of their targets.
    pub fn migrating_slots(&self) -> impl Iterator<Item = (Slot, NodeId)> + '_ {
        self.slots.migrating().map(|(slot, idx)| (slot, self.nodes[idx].id))
    }

    /// Slots on their way in, with the ids of their sources.
    pub fn importing_slots(&self) -> impl Iterator<Item = (Slot, NodeId)> + '_ {
        self.slots.importing().map(|(slot, idx)| (slot, self.nodes[idx].id))
    }

    #[must_use]
    pub fn current_epoch(&self) -> u64 {
        self.current_epoch
    }

    #[must_use]
    pub fn last_vote_epoch(&self) -> u64 {
        self.last_vote_epoch
    }

    /// Number of known nodes, myself and handshakes included.
    #[must_use]
    pub fn known_nodes(&self) -> usize {
        self.nodes.count()
    }

    #[must_use]
    pub fn stats(&self) -> &BusStats {
        &self.stats
    }

    #[must_use]
    pub fn node(&self, idx: NodeIdx) -> NodeView<'_> {
        let node = &self.nodes[idx];
        let up = |link: LinkId| self.links.get(&link).is_some_and(|l| l.up);
        NodeView {
            idx,
            node,
            primary: node.primary.map(|primary| self.nodes[primary].id),
            epoch: self.epoch_of(idx),
            slot_count: self.slots.count(idx),
            connected: idx == self.me || node.outbound.is_some_and(up),
        }
    }

    /// All known nodes in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.nodes.iter().map(|(idx, _)| self.node(idx))
    }

    /// The ranges of all owners.
    #[must_use]
    pub fn slot_ranges(&self) -> BTreeMap<NodeIdx, Vec<(Slot, Slot)>> {
        self.slots.ranges()
    }

    /// The ranges of CLUSTER SLOTS in ascending order: first, last, owner.
    #[must_use]
    pub fn slot_map(&self) -> Vec<(Slot, Slot, NodeIdx)> {
        let ranges = self.slots.ranges();
        let each = ranges.iter().flat_map(|(idx, list)| list.iter().map(|(first, last)| (*first, *last, *idx)));
        let mut map: Vec<_> = each.collect();
        map.sort_unstable();
        map
    }

    /// The replicas of a primary in the order of their ids.
    pub fn replicas(&self, primary: NodeIdx) -> impl Iterator<Item = NodeView<'_>> {
        let mut list: Vec<NodeIdx> = self.nodes[primary].replicas.iter().copied().collect();
        list.sort_unstable_by_key(|idx| self.nodes[*idx].id);
        list.into_iter().map(|idx| self.node(idx))
    }

    /// The shards in the order of their ids. Nodes in handshake are not in any.
    #[must_use]
    pub fn shards(&self) -> Vec<ShardView<'_>> {
        let ranges = self.slots.ranges();
        let mut shards: BTreeMap<NodeId, ShardView<'_>> = BTreeMap::new();
        for view in self.nodes().filter(|view| !view.node.in_handshake()) {
            let id = view.node.shard_id;
            let shard = shards.entry(id).or_insert_with(|| ShardView { id, slots: Vec::new(), nodes: Vec::new() });
            shard.slots.extend(ranges.get(&view.idx).into_iter().flatten());
            if view.node.is_primary() {
                shard.nodes.insert(0, view);
            } else {
                shard.nodes.push(view);
            }
        }
        shards.into_values().collect()
    }

    /// The links of known nodes.
    pub fn links(&self) -> impl Iterator<Item = LinkView> + '_ {
        self.links.iter().filter_map(|(link, entry)| {
            let node = self.nodes[entry.node?].id;
            Some(LinkView { link: *link, node, created: entry.created, queued: entry.queued })
        })
    }

    /// Bytes that all links take, with what they have queued.
    #[must_use]
    pub fn links_bytes(&self) -> u64 {
        let each = std::mem::size_of::<Link>() + std::mem::size_of::<LinkId>();
        self.links.values().map(|link| each as u64 + link.queued).sum()
    }

    /// Whether a link belongs to a node that is past its handshake.
    #[must_use]
    pub fn knows_link(&self, link: LinkId) -> bool {
        let node = self.links.get(&link).and_then(|entry| entry.node);
        node.is_some_and(|idx| !self.nodes[idx].in_handshake())
    }

    /// COUNT-FAILURE-REPORTS.
    pub fn failure_reports(&mut self, now: Clock, idx: NodeIdx) -> usize {
        self.count_reports(now, idx)
    }

    /// The address a client is shown for a node, whatever the preferred endpoint.
    #[must_use]
    pub fn ip_for(&self, idx: NodeIdx, client: ClientNet) -> &str {
        let node = &self.nodes[idx];
        let special = match client.ip {
            Some(IpAddr::V4(_)) => &node.attributes.client_ipv4,
            Some(IpAddr::V6(_)) => &node.attributes.client_ipv6,
            None => return &node.addr.ip,
        };
        if special.is_empty() { &node.addr.ip } else { special }
    }

    /// The port a client is shown for a node.
    #[must_use]
    pub fn port_for(&self, idx: NodeIdx, client: ClientNet) -> u16 {
        let node = &self.nodes[idx];
        let (announced, real) = if client.tls {
            (node.attributes.client_tls_port, node.addr.tls_port)
        } else {
            (node.attributes.client_tcp_port, node.addr.tcp_port)
        };
        if announced == 0 { real } else { announced }
    }

    /// The host a client is redirected to: by the preferred endpoint, `?` for a hostname that is not
    /// known, empty for "the host you already use".
    #[must_use]
    pub fn endpoint(&self, idx: NodeIdx, client: ClientNet) -> &str {
        match self.cfg.preferred_endpoint {
            EndpointType::Ip => self.ip_for(idx, client),
            EndpointType::Hostname => match self.nodes[idx].attributes.hostname.as_str() {
                "" => "?",
                hostname => hostname,
            },
            EndpointType::Unknown => "",
        }
    }

    /// One line of CLUSTER NODES, without its end.
    fn push_node_line(&self, out: &mut String, idx: NodeIdx, ranges: &[(Slot, Slot)], client: ClientNet) {
        let node = &self.nodes[idx];
        let (ip, port) = (self.ip_for(idx, client), self.port_for(idx, client));
        let _ = write!(out, "{} {ip}:{port}@{}", node.id, node.addr.cport);
        if !node.attributes.hostname.is_empty() {
            let _ = write!(out, ",{}", node.attributes.hostname);
        }
        self.push_tail(out, idx, ranges);
    }

    /// CLUSTER NODES.
    #[must_use]
    pub fn nodes_text(&self, client: ClientNet) -> String {
        let ranges = self.slots.ranges();
        let mut out = String::with_capacity(160 * self.nodes.count());
        for (idx, _) in self.nodes.iter() {
            self.push_node_line(&mut out, idx, ranges.get(&idx).map_or(&[], Vec::as_slice), client);
            out.push('\n');
        }
        out
    }

    /// The line of one node, as CLUSTER REPLICAS gives it.
    #[must_use]
    pub fn node_line(&self, idx: NodeIdx, client: ClientNet) -> String {
        let ranges = self.slots.ranges();
        let mut out = String::new();
        self.push_node_line(&mut out, idx, ranges.get(&idx).map_or(&[], Vec::as_slice), client);
        out
    }

    /// A node's slots as text, `0-5460 6000`.
    #[must_use]
    pub fn ranges_text(&self, idx: NodeIdx) -> String {
        let mut out = String::new();
        push_ranges(&mut out, self.slots.ranges().get(&idx).map_or(&[], Vec::as_slice));
        out.trim_start().to_owned()
    }

    /// CLUSTER INFO.
    #[must_use]
    pub fn info_text(&self) -> String {
        let (mut slots_pfail, mut slots_fail) = (0, 0);
        let (mut nodes_pfail, mut nodes_fail, mut voting_pfail, mut voting_fail) = (0, 0, 0, 0);
        for (idx, node) in self.nodes.iter() {
            let slots = self.slots.count(idx);
            let voting = usize::from(self.is_voting(idx));
            if node.is_failed() {
                slots_fail += slots;
                nodes_fail += 1;
                voting_fail += voting;
            } else if node.is(NodeFlags::PFAIL) {
                slots_pfail += slots;
                nodes_pfail += 1;
                voting_pfail += voting;
            }
        }
        let assigned = self.slots.assigned();
        let state = if self.state_ok() { "ok" } else { "fail" };
        let mut out = format!("cluster_state:{state}\r\n");
        for (name, value) in [
            ("cluster_slots_assigned", assigned),
            ("cluster_slots_ok", assigned - slots_pfail - slots_fail),
            ("cluster_slots_pfail", slots_pfail),
            ("cluster_slots_fail", slots_fail),
            ("cluster_nodes_pfail", nodes_pfail),
            ("cluster_nodes_fail", nodes_fail),
            ("cluster_voting_nodes_pfail", voting_pfail),
            ("cluster_voting_nodes_fail", voting_fail),
            ("cluster_known_nodes", self.nodes.count()),
            ("cluster_size", self.size()),
        ] {
            let _ = write!(out, "{name}:{value}\r\n");
        }
        let _ = write!(out, "cluster_current_epoch:{}\r\n", self.current_epoch);
        let _ = write!(out, "cluster_my_epoch:{}\r\n", self.epoch_of(self.me));
        for (name, traffic) in [("sent", &self.stats.sent), ("received", &self.stats.received)] {
            push_traffic(&mut out, name, traffic);
        }
        for (name, of) in BYTE_COUNTERS {
            for (direction, traffic) in [("sent", &self.stats.sent), ("received", &self.stats.received)] {
                let _ = write!(out, "cluster_stats_{name}_{direction}:{}\r\n", of(traffic));
            }
        }
        let _ = write!(out, "total_cluster_links_buffer_limit_exceeded:{}\r\n", self.stats.links_over_limit);
        out
    }
}

type ByteCounter = (&'static str, fn(&Traffic) -> u64);

const BYTE_COUNTERS: [ByteCounter; 3] =
    [("bytes", |t| t.bytes), ("pubsub_bytes", |t| t.pubsub_bytes), ("module_bytes", |t| t.module_bytes)];

fn push_traffic(out: &mut String, direction: &str, traffic: &Traffic) {
    for kind in MessageType::ALL {
        let count = traffic.messages(kind);
        if count > 0 {
            let _ = write!(out, "cluster_stats_messages_{}_{direction}:{count}\r\n", kind.stats_name());
        }
    }
    let _ = write!(out, "cluster_stats_messages_{direction}:{}\r\n", traffic.total());
}
