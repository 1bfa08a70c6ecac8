//! The engine: its state, its door, and the order in which consequences leave it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;

use super::bitmap::{self, Bitmap};
use super::blacklist::Blacklist;
use super::breakage::Breakage;
use super::clock::Clock;
use super::config::Config;
use super::election::Election;
use super::flags::NodeFlags;
use super::io::{FollowTarget, Input, LinkId, LocalFacts, LogLevel, Output};
use super::manual::ManualFailover;
use super::node::{Addr, Attributes, Node, NodeIdx, NodeTable};
use super::packet::{self, Header, MessageType, MsgFlags, ReplicaOf};
use super::slots::SlotTable;
use super::state::StateTracker;
use super::stats::BusStats;
use crate::base::{Millis, NodeId, Rng, Slot};

/// One link of the bus.
#[derive(Debug)]
pub(super) struct Link {
    /// Whose it is; an accepted link is nobody's until a known node speaks.
    pub node: Option<NodeIdx>,
    /// Who speaks over an accepted link, as long as I don't know that node.
    pub stranger: Option<NodeId>,
    /// Packets can be sent.
    pub up: bool,
    pub created: Clock,
    /// When a packet came over it.
    pub heard: Option<Clock>,
    pub peer_ip: Option<IpAddr>,
    pub local_ip: Option<IpAddr>,
    /// A packet with EXT_DATA came over it.
    pub ext_seen: bool,
    /// Bytes not sent yet, as last told.
    pub queued: u64,
}

/// When the configuration has to be on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum Save {
    #[default]
    No,
    /// With the next tick: what others would tell me again after a crash.
    Soon,
    /// Before anything else leaves: what I own or have promised.
    Now,
}

/// Consequences that are gathered while an input is handled and acted on once at its end.
#[derive(Debug, Default)]
pub(super) struct Todo {
    pub save: Save,
    pub state: bool,
    pub election: bool,
    pub broadcast: bool,
    pub slots_changed: bool,
}

/// The cluster bus of one node. See the module for how it is driven.
#[derive(Debug)]
pub struct Engine {
    pub(super) cfg: Config,
    pub(super) rng: Rng,
    pub(super) nodes: NodeTable,
    pub(super) me: NodeIdx,
    pub(super) slots: SlotTable,
    /// Slots that are about to be taken, and since when: monotonic.
    pub(super) vacant: BTreeMap<Slot, Millis>,
    pub(super) links: BTreeMap<LinkId, Link>,
    next_link: u64,
    pub(super) current_epoch: u64,
    pub(super) last_vote_epoch: u64,
    pub(super) facts: LocalFacts,
    pub(super) state: StateTracker,
    pub(super) election: Election,
    pub(super) manual: ManualFailover,
    pub(super) granted: super::hand_over::Granted,
    /// Nodes that I suspect, and some that I suspect no longer.
    pub(super) suspects: BTreeSet<NodeIdx>,
    pub(super) blacklist: Blacklist,
    pub(super) stats: BusStats,
    pub(super) todo: Todo,
    /// How many nodes a configuration names that is safely on the disk.
    pub(super) durable_members: usize,
    pub(super) cadence: super::cadence::Cadence,
    /// Whom the replication was last told to follow, and where.
    following: Option<(NodeId, Addr)>,
    pub(super) follow_partial: bool,
    /// The bitmap that headers carry, and for which table version and owner it was made.
    header_slots: (u64, Option<NodeIdx>, Box<Bitmap>),
    pub(super) breakage: Option<Breakage>,
    out: Vec<Output>,
}

impl Engine {
    /// A node that starts for the first time: a random id, no slots, no acquaintances. The first output
    /// is the configuration to save.
    #[must_use]
    pub fn new(cfg: Config, mut rng: Rng, now: Clock) -> Engine {
        let id = NodeId::random(&mut rng);
        let shard = NodeId::random(&mut rng);
        let mut nodes = NodeTable::default();
        let me = nodes.insert(Node::new(id, shard, NodeFlags::MYSELF | NodeFlags::PRIMARY, now));
        let mut engine = Engine::assemble(cfg, rng, nodes, me, SlotTable::default());
        engine.log(LogLevel::Notice, format!("No cluster configuration found, I'm {id}"));
        engine.todo.save = Save::Now;
        engine.settle(now);
        engine
    }

    /// An engine around tables that were made or loaded.
    pub(super) fn assemble(cfg: Config, rng: Rng, nodes: NodeTable, me: NodeIdx, slots: SlotTable) -> Engine {
        let members = nodes.members();
        let suspects = nodes.iter().filter(|(_, node)| node.is(NodeFlags::PFAIL)).map(|(idx, _)| idx).collect();
        let mut engine = Engine {
            cfg,
            rng,
            nodes,
            me,
            slots,
            vacant: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 1,
            current_epoch: 0,
            last_vote_epoch: 0,
            facts: LocalFacts::default(),
            state: StateTracker::default(),
            election: Election::default(),
            manual: ManualFailover::default(),
            granted: super::hand_over::Granted::default(),
            suspects,
            blacklist: Blacklist::default(),
            stats: BusStats::default(),
            todo: Todo::default(),
            durable_members: members,
            cadence: super::cadence::Cadence::default(),
            following: None,
            follow_partial: true,
            header_slots: (0, None, Box::new(bitmap::EMPTY)),
            breakage: None,
            out: Vec::new(),
        };
        engine.describe_myself();
        engine
    }

    /// Takes a changed configuration over, at once.
    pub fn set_config(&mut self, now: Clock, cfg: Config) {
        self.cfg = cfg;
        self.describe_myself();
        self.todo.save = self.todo.save.max(Save::Soon);
        self.todo.state = true;
        self.settle(now);
    }

    #[must_use]
    pub fn config(&self) -> &Config {
        &self.cfg
    }

    /// Copies what the configuration says about me into my entry.
    fn describe_myself(&mut self) {
        let cfg = &self.cfg;
        let node = &mut self.nodes[self.me];
        node.flags |= NodeFlags::EXTENSIONS | NodeFlags::LIGHT_PUBLISH | NodeFlags::LIGHT_MODULE;
        node.flags.set(NodeFlags::NOFAILOVER, cfg.replica_no_failover);
        node.addr.tcp_port = cfg.announced_tcp_port();
        node.addr.tls_port = cfg.announced_tls_port();
        node.addr.cport = cfg.announced_bus_port();
        if !cfg.announce_ip.is_empty() {
            node.addr.ip.clone_from(&cfg.announce_ip);
        }
        node.attributes = Attributes {
            hostname: cfg.announce_hostname.clone(),
            nodename: cfg.announce_nodename.clone(),
            client_ipv4: cfg.announce_client_ipv4.clone(),
            client_ipv6: cfg.announce_client_ipv6.clone(),
            client_tcp_port: cfg.announce_client_port,
            client_tls_port: cfg.announce_client_tls_port,
            availability_zone: cfg.availability_zone.clone(),
        };
    }

    /// Handles one input; take the outputs afterwards.
    pub fn handle(&mut self, now: Clock, input: Input<'_>) {
        match input {
            Input::LinkUp { link } => self.on_link_up(now, link),
            Input::LinkDown { link } => self.on_link_down(now, link),
            Input::Accepted { link, peer_ip, local_ip } => self.on_accepted(now, link, peer_ip, local_ip),
            Input::Packet { link, bytes } => self.on_packet(now, link, bytes),
            Input::LinkQueue { link, bytes } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.queued = bytes;
                }
            }
            Input::Facts(facts) => self.on_facts(facts),
            Input::Tick => self.on_tick(now),
        }
        self.settle(now);
    }

    /// What is to be done, in order. Empties the queue.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output> {
        self.out.drain(..)
    }

    #[must_use]
    pub fn has_outputs(&self) -> bool {
        !self.out.is_empty()
    }

    fn on_facts(&mut self, facts: LocalFacts) {
        self.facts = facts;
        self.nodes[self.me].repl_offset = facts.repl_offset;
        self.check_manual_offset();
    }

    /// Acts on what handling an input left to do. The order matters: an election may change slots, slots
    /// the state; what is saved protects what is broadcast.
    pub(super) fn settle(&mut self, now: Clock) {
        self.settle_state(now);
        self.finish(now);
    }

    /// What has to be done at once. The rest may wait for [`Engine::finish`], once for several commands.
    pub(super) fn settle_state(&mut self, now: Clock) {
        if std::mem::take(&mut self.todo.election) {
            self.run_election(now);
        }
        if self.todo.slots_changed {
            self.todo.slots_changed = false;
            self.todo.state = true;
            self.emit(Output::SlotsChanged);
        }
        if std::mem::take(&mut self.todo.state) {
            self.update_state(now);
        }
        self.follow_primary();
    }

    /// Whether commands have left something for [`Engine::finish`].
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.todo.save == Save::Now || self.todo.broadcast
    }

    /// Saves, then tells the others, what several commands together have changed. Every other input does so, too.
    pub fn finish(&mut self, now: Clock) {
        self.save_if_due();
        if std::mem::take(&mut self.todo.broadcast) {
            self.broadcast_pong(now);
        }
    }

    /// What I own or have promised goes to the disk before anything that others see.
    fn save_if_due(&mut self) {
        if self.todo.save == Save::Now {
            self.save_now(true);
        }
    }

    /// Emits the configuration to save; what is emitted later waits for it.
    pub(super) fn save_now(&mut self, fsync: bool) {
        self.todo.save = Save::No;
        if fsync {
            self.durable_members = self.nodes.members();
        }
        let text = self.config_text();
        self.emit(Output::SaveConfig { text, fsync });
    }

    pub(super) fn save_soon(&mut self) {
        self.todo.save = self.todo.save.max(Save::Soon);
    }

    /// Tells the replication whom to follow, when that or its address has changed.
    fn follow_primary(&mut self) {
        let Some(primary) = self.nodes[self.me].primary else {
            self.following = None;
            return;
        };
        let node = &self.nodes[primary];
        if node.addr.ip.is_empty() || node.in_handshake() {
            return;
        }
        let current = (node.id, node.addr.clone());
        if self.following.as_ref() == Some(&current) {
            return;
        }
        let target = FollowTarget {
            id: node.id,
            ip: node.addr.ip.clone(),
            port: node.addr.tcp_port,
            tls_port: node.addr.tls_port,
            try_partial: self.follow_partial,
        };
        self.following = Some(current);
        self.follow_partial = true;
        self.save_if_due();
        self.emit(Output::Follow(target));
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.out.push(output);
    }

    pub(super) fn log(&mut self, level: LogLevel, text: String) {
        self.emit(Output::Log { level, text });
    }

    pub(super) fn myself(&self) -> &Node {
        &self.nodes[self.me]
    }

    /// The epoch under which a node's slots are owned: for a replica its primary's.
    pub(super) fn epoch_of(&self, idx: NodeIdx) -> u64 {
        let node = &self.nodes[idx];
        self.nodes[node.primary.unwrap_or(idx)].config_epoch
    }

    /// A primary with slots: its reports and votes count.
    pub(super) fn is_voting(&self, idx: NodeIdx) -> bool {
        self.nodes[idx].is_primary() && self.slots.count(idx) > 0
    }

    /// Number of voting primaries.
    pub(super) fn size(&self) -> usize {
        self.slots.owners().filter(|idx| self.nodes[*idx].is_primary()).count()
    }

    /// How many voting primaries are a majority.
    pub(super) fn quorum(&self) -> usize {
        self.size() / 2 + 1
    }

    pub(super) fn same_shard(&self, a: NodeIdx, b: NodeIdx) -> bool {
        self.nodes[a].shard_id == self.nodes[b].shard_id
    }

    /// A node from the ports a packet carries: which one comes first depends on `tls-cluster`.
    pub(super) fn addr_from_wire(&self, ip: &str, port: u16, pport: u16, cport: u16) -> Addr {
        let (tcp_port, tls_port) = if self.cfg.tls_cluster { (pport, port) } else { (port, pport) };
        Addr { ip: ip.to_owned(), tcp_port, tls_port, cport }
    }

    /// The two client ports in the order packets carry them.
    pub(super) fn ports_to_wire(&self, addr: &Addr) -> (u16, u16) {
        if self.cfg.tls_cluster { (addr.tls_port, addr.tcp_port) } else { (addr.tcp_port, addr.tls_port) }
    }

    /// My header for a packet of this kind.
    pub(super) fn header(&mut self, kind: MessageType) -> Header<'_> {
        self.refresh_header();
        self.fresh_header(kind)
    }

    /// Brings the bitmap that headers carry up to date.
    pub(super) fn refresh_header(&mut self) {
        let whose = self.myself().primary.unwrap_or(self.me);
        if self.header_slots.0 != self.slots.version() || self.header_slots.1 != Some(whose) {
            self.header_slots = (self.slots.version(), Some(whose), self.slots.bitmap_of(whose));
        }
    }

    /// My header, after [`Engine::refresh_header`].
    pub(super) fn fresh_header(&self, kind: MessageType) -> Header<'_> {
        let whose = self.myself().primary.unwrap_or(self.me);
        let node = &self.nodes[self.me];
        let (port, pport) = self.ports_to_wire(&node.addr);
        let mut mflags = MsgFlags::empty();
        mflags.set(MsgFlags::PAUSED, node.is_primary() && self.manual.is_active());
        mflags.set(MsgFlags::EXT_DATA, kind.is_ping_family());
        Header {
            kind,
            port,
            pport,
            cport: node.addr.cport,
            current_epoch: self.current_epoch,
            config_epoch: self.nodes[whose].config_epoch,
            offset: self.facts.repl_offset,
            sender: Some(node.id),
            slots: &self.header_slots.2,
            replica_of: node.primary.map_or(ReplicaOf::Nobody, |primary| ReplicaOf::Node(self.nodes[primary].id)),
            my_ip: &self.cfg.announce_ip,
            flags: node.flags,
            state_ok: self.state.is_ok(),
            mflags,
        }
    }

    /// Queues a packet on a link, if that is up.
    pub(super) fn send(&mut self, link: LinkId, kind: MessageType, bytes: Bytes) {
        if self.links.get(&link).is_some_and(|l| l.up) {
            self.save_if_due();
            self.stats.sent.count(kind, bytes.len());
            self.emit(Output::Send { link, bytes });
        }
    }

    /// The same on a node's outbound link, if there is one.
    pub(super) fn send_to(&mut self, idx: NodeIdx, kind: MessageType, bytes: Bytes) {
        if let Some(link) = self.nodes[idx].outbound {
            self.send(link, kind, bytes);
        }
    }

    /// Queues one packet for all nodes that are past their handshake.
    pub(super) fn broadcast(&mut self, kind: MessageType, bytes: &Bytes) {
        for idx in self.nodes.indices() {
            if !self.nodes[idx].is(NodeFlags::MYSELF | NodeFlags::HANDSHAKE) {
                self.send_to(idx, kind, bytes.clone());
            }
        }
    }

    pub(super) fn bare_packet(&mut self, kind: MessageType) -> Bytes {
        packet::encode_bare(&self.header(kind)).into()
    }

    /// Opens the outbound link of a node that has none.
    pub(super) fn connect(&mut self, now: Clock, idx: NodeIdx) {
        let node = &mut self.nodes[idx];
        if node.outbound.is_some() || node.addr.ip.is_empty() || node.is(NodeFlags::MYSELF | NodeFlags::NOADDR) {
            return;
        }
        let link = LinkId::Outbound(self.next_link);
        self.next_link += 1;
        node.outbound = Some(link);
        node.connect_tried = Some(now.mono);
        let (ip, port) = (node.addr.ip.clone(), node.addr.cport);
        let entry = Link {
            node: Some(idx),
            stranger: None,
            up: false,
            created: now,
            heard: None,
            peer_ip: None,
            local_ip: None,
            ext_seen: false,
            queued: 0,
        };
        self.links.insert(link, entry);
        self.emit(Output::Connect { link, ip, port });
    }

    /// Closes a link and forgets it.
    pub(super) fn close(&mut self, now: Clock, link: LinkId) {
        if self.unlink(now, link) {
            self.emit(Output::Close { link });
        }
    }

    /// Forgets a link. Returns whether it was known.
    pub(super) fn unlink(&mut self, now: Clock, id: LinkId) -> bool {
        let Some(link) = self.links.remove(&id) else {
            return false;
        };
        if let Some(idx) = link.node {
            let node = &mut self.nodes[idx];
            if node.outbound == Some(id) {
                node.outbound = None;
            }
            if node.inbound == Some(id) {
                node.inbound = None;
                node.inbound_lost_at = now.mono;
            }
        }
        true
    }

    pub(super) fn close_outbound(&mut self, now: Clock, idx: NodeIdx) {
        if let Some(link) = self.nodes[idx].outbound {
            self.close(now, link);
        }
    }

    /// Removes a node and every reference to it.
    pub(super) fn remove_node(&mut self, now: Clock, idx: NodeIdx) {
        debug_assert!(idx != self.me, "a node does not remove itself");
        for link in [self.nodes[idx].outbound, self.nodes[idx].inbound].into_iter().flatten() {
            self.close(now, link);
        }
        if self.slots.unassign_all(idx) > 0 {
            self.todo.slots_changed = true;
        }
        self.slots.redirect_open(idx, None);
        if let Some(primary) = self.nodes[idx].primary {
            self.detach_replica(primary, idx);
        }
        for replica in std::mem::take(&mut self.nodes[idx].replicas) {
            self.nodes[replica].primary = None;
        }
        for other in self.nodes.indices() {
            self.nodes[other].reports.remove(&idx);
        }
        self.manual.forget(idx);
        self.suspects.remove(&idx);
        self.nodes.remove(idx);
        self.todo.state = true;
        self.save_soon();
    }

    /// Binds a slot to a node. A primary that gets its first slot in a cluster with replicas becomes one
    /// that replicas may migrate to.
    pub(super) fn bind_slot(&mut self, slot: Slot, idx: NodeIdx) {
        if self.slots.count(idx) == 0 && self.nodes.iter().any(|(_, node)| !node.replicas.is_empty()) {
            self.nodes[idx].flags |= NodeFlags::MIGRATE_TO;
        }
        if self.slots.assign(slot, idx) {
            self.todo.slots_changed = true;
        }
    }

    /// Whether a manual failover is under way that this node takes part in.
    #[must_use]
    pub fn is_in_manual_failover(&self) -> bool {
        self.manual.is_active()
    }

    /// Whether the manual failover in progress waits for `LocalFacts::repl_offset` to reach the primary's.
    #[must_use]
    pub fn manual_failover_waits_for_offset(&self) -> bool {
        self.manual.waits_for_offset()
    }
}
