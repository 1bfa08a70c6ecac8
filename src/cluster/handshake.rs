//! How nodes get to know each other: MEET, handshakes, and nodes learned from gossip.
//!
//! Nothing here waits for a tick: a node that is to be met is connected to at once, and what is learned
//! is passed on with the next ticks (see `cadence`), so that a new cluster is complete within moments
//! whatever the node timeout.

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::io::{LinkId, LogLevel};
use super::node::{Addr, Node, NodeIdx};
use super::packet::{GossipEntry, Header};
use crate::base::{Millis, NodeId};

/// How many handshakes may be in progress: four times the largest cluster. Strangers may ask to be let in, and none of
/// them may fill the memory.
const HANDSHAKES_MAX: usize = 4096;

impl Engine {
    /// Begins a handshake with whoever listens at `addr`. `meet`: ask to be let in. `None`: one is in
    /// progress already, or too many are.
    pub(super) fn start_handshake(&mut self, now: Clock, addr: Addr, meet: bool) -> Option<NodeIdx> {
        let shaking = self.nodes.iter().filter(|(_, node)| node.in_handshake());
        let mut count = 0;
        for (_, node) in shaking {
            if node.addr.ip == addr.ip && node.addr.cport == addr.cport {
                return None;
            }
            count += 1;
        }
        if count >= HANDSHAKES_MAX {
            self.log(LogLevel::Warning, format!("No handshake with {}:{}: too many in progress", addr.ip, addr.cport));
            return None;
        }
        let (id, shard) = (NodeId::random(&mut self.rng), NodeId::random(&mut self.rng));
        let mut flags = NodeFlags::HANDSHAKE;
        flags.set(NodeFlags::MEET, meet);
        let mut node = Node::new(id, shard, flags, now);
        node.addr = addr;
        let idx = self.nodes.insert(node);
        self.connect(now, idx);
        Some(idx)
    }

    /// The address a packet's sender can be reached at: what it announces, else where it came from.
    fn sender_addr(&self, link: LinkId, header: &Header<'_>) -> Addr {
        let peer = || self.links.get(&link).and_then(|l| l.peer_ip).map(|ip| ip.to_string()).unwrap_or_default();
        let ip = if header.my_ip.is_empty() { peer() } else { header.my_ip.to_owned() };
        self.addr_from_wire(&ip, header.port, header.pport, header.cport)
    }

    /// A node I do not know asks to be let in: remember it under a random id, and connect back to learn
    /// the real one from an address that answers.
    pub(super) fn on_meet_from_stranger(&mut self, now: Clock, link: LinkId, header: &Header<'_>) {
        if self.links.get(&link).is_none_or(|l| l.node.is_some()) {
            return;
        }
        let addr = self.sender_addr(link, header);
        if let Some(idx) = self.start_handshake(now, addr, false) {
            self.bind_inbound(now, link, idx);
        }
    }

    /// A MEET from a node I have known for a while: it does not see a link from me, so mine is of no use.
    pub(super) fn on_repeated_meet(&mut self, now: Clock, sender: NodeIdx) {
        if now.since(self.nodes[sender].created) > self.cfg.handshake_timeout_ms() {
            self.close_outbound(now, sender);
        }
    }

    /// The node I shake hands with answered on the link I opened. Returns it if it is a member now.
    pub(super) fn complete_handshake(&mut self, now: Clock, idx: NodeIdx, header: &Header<'_>) -> Option<NodeIdx> {
        let id = header.sender?;
        if let Some(known) = self.nodes.find(&id) {
            if known != self.me {
                let ip =
                    if header.my_ip.is_empty() { self.nodes[idx].addr.ip.clone() } else { header.my_ip.to_owned() };
                let addr = self.addr_from_wire(&ip, header.port, header.pport, header.cport);
                self.update_addr(now, known, addr);
            }
            if let Some(inbound) = self.nodes[idx].inbound.filter(|_| known != self.me) {
                self.bind_inbound(now, inbound, known);
            }
            self.log(LogLevel::Verbose, format!("Handshake: {id} is known already, the address is taken over"));
            self.remove_node(now, idx);
            return None;
        }
        self.nodes.rename(idx, id);
        let node = &mut self.nodes[idx];
        node.flags.remove(NodeFlags::HANDSHAKE | NodeFlags::MEET);
        let replica = header.flags.contains(NodeFlags::REPLICA);
        node.flags |= if replica { NodeFlags::REPLICA } else { NodeFlags::PRIMARY };
        node.created = now;
        self.log(LogLevel::Notice, format!("Handshake with node {id} completed"));
        self.on_learned(now, idx);
        Some(idx)
    }

    /// Takes over where a known node is now. Its link to the old place is dropped.
    pub(super) fn update_addr(&mut self, now: Clock, idx: NodeIdx, addr: Addr) {
        if idx == self.me || addr.ip.is_empty() || self.nodes[idx].addr == addr {
            return;
        }
        let label = self.nodes[idx].label();
        self.log(LogLevel::Warning, format!("Address updated for node {label}, now {}:{}", addr.ip, addr.tcp_port));
        self.nodes[idx].addr = addr;
        self.nodes[idx].flags.remove(NodeFlags::NOADDR);
        self.close_outbound(now, idx);
        self.connect(now, idx);
        self.save_soon();
    }

    /// The same from a PING of its own.
    pub(super) fn update_addr_from_ping(&mut self, now: Clock, sender: NodeIdx, link: LinkId, header: &Header<'_>) {
        let addr = self.sender_addr(link, header);
        self.update_addr(now, sender, addr);
    }

    /// A known node speaks of one I do not know.
    pub(super) fn learn_from_gossip(&mut self, now: Clock, id: NodeId, entry: &GossipEntry<'_>) {
        if entry.flags.intersects(NodeFlags::NOADDR | NodeFlags::HANDSHAKE)
            || entry.ip.is_empty()
            || self.blacklist.contains(&id, now.mono)
        {
            return;
        }
        let replica = entry.flags.contains(NodeFlags::REPLICA);
        let mut flags = if replica { NodeFlags::REPLICA } else { NodeFlags::PRIMARY };
        flags |= entry.flags & NodeFlags::FAIL;
        let shard = NodeId::random(&mut self.rng);
        let mut node = Node::new(id, shard, flags, now);
        // When it failed is not told: so long ago that it is believed again as soon as it answers.
        node.failed_at = Millis(i64::MIN / 2);
        node.addr = self.addr_from_wire(entry.ip, entry.port, entry.pport, entry.cport);
        let idx = self.nodes.insert(node);
        self.connect(now, idx);
        self.on_learned(now, idx);
    }

    fn on_learned(&mut self, now: Clock, idx: NodeIdx) {
        self.bind_stranger(now, idx);
        self.cadence.spread(now, self.nodes.count());
        self.save_soon();
        self.todo.state = true;
    }
}
