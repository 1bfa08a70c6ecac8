//! Links come and go.

use std::net::IpAddr;

use super::clock::Clock;
use super::engine::{Engine, Link};
use super::flags::NodeFlags;
use super::io::LinkId;
use super::node::NodeIdx;
use super::packet::MessageType;

/// How many accepted links may belong to no node, beside two for every known one: who dials in need not be a node.
const STRANGERS_MAX: usize = 512;

impl Engine {
    /// An outbound connection stands: greet the node. A PING whose PONG never came keeps its time, so that
    /// reconnecting does not hide a node that does not answer.
    pub(super) fn on_link_up(&mut self, now: Clock, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.up = true;
        let Some(idx) = link.node else { return };
        let pending = self.nodes[idx].ping_sent;
        let kind = if self.nodes[idx].is(NodeFlags::MEET) { MessageType::Meet } else { MessageType::Ping };
        self.ping(now, idx, id, kind);
        if pending.is_some() {
            self.nodes[idx].ping_sent = pending;
        }
        self.nodes[idx].flags.remove(NodeFlags::MEET);
    }

    /// A connection broke or was refused. A refused one counts as a PING without answer.
    pub(super) fn on_link_down(&mut self, now: Clock, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        if let (Some(idx), LinkId::Outbound(_)) = (link.node, id) {
            self.nodes[idx].ping_sent.get_or_insert(now);
        }
        self.unlink(now, id);
    }

    pub(super) fn on_accepted(&mut self, now: Clock, id: LinkId, peer_ip: IpAddr, local_ip: IpAddr) {
        let link = Link {
            node: None,
            stranger: None,
            up: true,
            created: now,
            heard: None,
            peer_ip: Some(peer_ip.to_canonical()),
            local_ip: Some(local_ip.to_canonical()),
            ext_seen: false,
            queued: 0,
        };
        self.links.insert(id, link);
        self.limit_strangers(now);
    }

    /// Closes the oldest of the accepted links that belong to no node when there are too many.
    fn limit_strangers(&mut self, now: Clock) {
        let most = STRANGERS_MAX + 2 * self.nodes.count();
        if self.links.len() <= most {
            return;
        }
        let mut strangers = self.links.iter().filter(|(_, link)| link.node.is_none()).map(|(id, _)| *id);
        let oldest = strangers.next();
        let others = strangers.count();
        if let Some(oldest) = oldest.filter(|_| others >= most) {
            self.close(now, oldest);
        }
    }

    /// A node became known: it may have been speaking over an accepted link for some time.
    pub(super) fn bind_stranger(&mut self, now: Clock, idx: NodeIdx) {
        let id = self.nodes[idx].id;
        let speaks = |link: &Link| link.node.is_none() && link.stranger == Some(id);
        // The newest, as if it had just replaced the older ones.
        if let Some(link) = self.links.iter().rev().find(|(_, link)| speaks(link)).map(|(link, _)| *link) {
            self.bind_inbound(now, link, idx);
        }
    }

    /// Binds an accepted link to the node that speaks over it, in place of an older one.
    pub(super) fn bind_inbound(&mut self, now: Clock, id: LinkId, idx: NodeIdx) {
        if self.nodes[idx].inbound == Some(id) {
            return;
        }
        if let Some(older) = self.nodes[idx].inbound {
            self.close(now, older);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Some(previous) = link.node.replace(idx) {
            self.nodes[previous].inbound = None;
            self.nodes[previous].inbound_lost_at = now.mono;
        }
        self.nodes[idx].inbound = Some(id);
    }
}
