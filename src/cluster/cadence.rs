//! The heart beat: what happens every tick, whom to PING and when.

use super::clock::Clock;
use super::engine::{Engine, Save};
use super::flags::NodeFlags;
use super::io::{LinkId, LogLevel};
use super::node::NodeIdx;
use super::packet::MessageType;
use crate::base::{Millis, NodeId};

/// How often one node out of a random few is pinged whatever the ping interval.
const SAMPLE_EVERY_MS: i64 = 1000;
/// How many are looked at to find the one heard of longest ago.
const SAMPLE_SIZE: usize = 5;
/// How many nodes a tick tells about newly learned ones. Once round the cluster after the last one was
/// learned: at a thousand nodes that is 6 seconds at a fifth above the usual traffic, for ten nodes it
/// is one tick.
const SPREAD_PER_TICK: usize = 16;
/// For how long after a node was learned packets carry more gossip than usual.
const NEWS_MS: i64 = 5000;

/// What the heart beat remembers between ticks.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    sampled_at: Option<Millis>,
    /// Nodes that have not been pinged yet since a node was learned.
    spread_left: usize,
    spread_after: Option<NodeId>,
    learned_at: Option<Millis>,
}

impl Cadence {
    /// A node was learned: tell all others soon.
    pub(super) fn spread(&mut self, now: Clock, nodes: usize) {
        self.spread_left = nodes;
        self.learned_at = Some(now.mono);
    }

    pub(super) fn has_news(&self, now: Clock) -> bool {
        self.learned_at.is_some_and(|at| now.mono.since(at) < NEWS_MS)
    }
}

impl Engine {
    pub(super) fn on_tick(&mut self, now: Clock) {
        self.blacklist.expire(now.mono);
        self.tick_manual_failover(now);
        self.keep_links(now);
        self.spread_news(now);
        self.ping_a_random_node(now);
        let orphans = self.tick_nodes(now);
        self.tick_vacant(now);
        if self.myself().is_replica() {
            self.leave_chain();
            self.todo.election = true;
            self.consider_migration(now, &orphans);
        }
        if !self.state.is_ok() {
            self.todo.state = true;
        }
        if self.todo.save == Save::Soon {
            let durable = self.knows_many_more();
            self.save_now(durable);
        }
    }

    /// Whether so many nodes were learned since the last durable save that a machine which loses its power now would know
    /// only a small part of its cluster: nobody, at first, and then it would take itself for all of it.
    fn knows_many_more(&self) -> bool {
        self.nodes.members() >= 2 * self.durable_members
    }

    /// Ends handshakes that lead nowhere, closes links that hold too much, opens what is missing.
    fn keep_links(&mut self, now: Clock) {
        let timeout = self.cfg.handshake_timeout_ms();
        let nodes = self.nodes.count() as i64;
        let mut budget = nodes * 100 / (self.cfg.node_timeout_ms / 2).max(1) * 10;
        for idx in self.nodes.indices() {
            let node = &self.nodes[idx];
            if node.is(NodeFlags::MYSELF | NodeFlags::NOADDR) {
                continue;
            }
            if node.in_handshake() && now.since(node.created) > timeout {
                self.remove_node(now, idx);
                continue;
            }
            self.limit_link_memory(now, idx);
            if self.nodes[idx].outbound.is_none() {
                self.reconnect(now, idx, &mut budget);
            } else {
                self.drop_stale_inbound(now, idx, timeout);
                self.meet_again(now, idx, timeout);
            }
        }
    }

    /// Nodes that do not connect to me are likely dead: those are not dialled with every tick.
    fn reconnect(&mut self, now: Clock, idx: NodeIdx, budget: &mut i64) {
        let node = &self.nodes[idx];
        let pause = self.cfg.node_timeout_ms / 20;
        let fresh = node.inbound.is_some() || node.connect_tried.is_none_or(|at| now.mono.since(at) >= pause);
        if fresh || *budget > 0 {
            if !fresh {
                *budget -= 1;
            }
            self.connect(now, idx);
        }
    }

    /// A machine that loses its power does not say goodbye: its link to me looks open for ever. Mine to it had to be opened
    /// anew; when it answers over that and still says nothing over the old one, the old one is gone.
    fn drop_stale_inbound(&mut self, now: Clock, idx: NodeIdx, timeout: i64) {
        let node = &self.nodes[idx];
        let link = |id: Option<LinkId>| id.and_then(|id| self.links.get(&id));
        let (Some(inbound), Some(outbound)) = (link(node.inbound), link(node.outbound)) else { return };
        let heard = inbound.heard.unwrap_or(inbound.created);
        if outbound.up
            && outbound.heard.is_some()
            && outbound.created.mono > heard.mono
            && now.since(outbound.created) > timeout
            && let Some(stale) = node.inbound
        {
            self.close(now, stale);
        }
    }

    /// A node that answers me and yet never connects may have forgotten me: introduce myself again.
    fn meet_again(&mut self, now: Clock, idx: NodeIdx, timeout: i64) {
        let node = &self.nodes[idx];
        if node.in_handshake()
            || node.inbound.is_some()
            || !node.is(NodeFlags::LIGHT_MODULE)
            || node.is(NodeFlags::FAILING)
            || now.mono.since(node.inbound_lost_at) <= timeout
            || node.meet_sent.is_some_and(|at| now.mono.since(at) <= timeout)
        {
            return;
        }
        let Some(link) = node.outbound.filter(|link| self.links.get(link).is_some_and(|l| l.up)) else { return };
        let label = node.label();
        self.log(LogLevel::Notice, format!("Node {label} has not connected back to me: sending a MEET"));
        self.ping(now, idx, link, MessageType::Meet);
    }

    fn limit_link_memory(&mut self, now: Clock, idx: NodeIdx) {
        let limit = self.cfg.link_sendbuf_limit;
        if limit == 0 {
            return;
        }
        for link in [self.nodes[idx].outbound, self.nodes[idx].inbound].into_iter().flatten() {
            if self.links.get(&link).is_some_and(|l| l.queued > limit) {
                let label = self.nodes[idx].label();
                self.log(LogLevel::Warning, format!("Closing a link of node {label}: its queue is above the limit"));
                self.stats.links_over_limit += 1;
                self.close(now, link);
            }
        }
    }

    /// Whether a PING to this node can be sent and is not under way already.
    pub(super) fn can_ping(&self, idx: NodeIdx) -> bool {
        let node = &self.nodes[idx];
        !node.is(NodeFlags::MYSELF | NodeFlags::HANDSHAKE)
            && node.ping_sent.is_none()
            && node.outbound.is_some_and(|link| self.links.get(&link).is_some_and(|l| l.up))
    }

    pub(super) fn ping_node(&mut self, now: Clock, idx: NodeIdx) {
        if let Some(link) = self.nodes[idx].outbound {
            self.ping(now, idx, link, MessageType::Ping);
        }
    }

    fn spread_news(&mut self, now: Clock) {
        if self.cadence.spread_left == 0 {
            return;
        }
        let most = self.cadence.spread_left.min(SPREAD_PER_TICK);
        let after = self.cadence.spread_after.unwrap_or(self.myself().id);
        let batch = self.nodes.round_robin(&after, most);
        self.cadence.spread_left -= most;
        self.cadence.spread_after = batch.last().map(|idx| self.nodes[*idx].id);
        for idx in batch {
            if self.can_ping(idx) {
                self.ping_node(now, idx);
            }
        }
    }

    fn ping_a_random_node(&mut self, now: Clock) {
        if self.cadence.sampled_at.is_some_and(|at| now.mono.since(at) < SAMPLE_EVERY_MS) {
            return;
        }
        self.cadence.sampled_at = Some(now.mono);
        let mut drawn = Vec::with_capacity(SAMPLE_SIZE);
        self.nodes.sample(&mut self.rng, SAMPLE_SIZE, |idx, _| {
            drawn.push(idx);
            true
        });
        let pong_time = |idx: &NodeIdx| self.nodes[*idx].pong_received.map(|at| at.mono);
        let stalest = drawn.into_iter().filter(|idx| self.can_ping(*idx)).min_by_key(pong_time);
        if let Some(idx) = stalest {
            self.ping_node(now, idx);
        }
    }

    /// Per node: orphans, links that went silent, due PINGs, possible failures. Returns the orphaned primaries.
    fn tick_nodes(&mut self, now: Clock) -> Vec<NodeIdx> {
        let timeout = self.cfg.node_timeout_ms;
        let mut orphans = Vec::new();
        for idx in self.nodes.indices() {
            if self.nodes[idx].is(NodeFlags::MYSELF | NodeFlags::NOADDR | NodeFlags::HANDSHAKE) {
                continue;
            }
            if self.update_orphan(now, idx) {
                orphans.push(idx);
            }
            self.drop_silent_link(now, idx);
            if self.can_ping(idx) {
                let due = |at: Clock| now.since(at) > self.cfg.ping_interval_ms();
                if self.nodes[idx].pong_received.is_none_or(due) || self.manual.is_for(idx) {
                    self.ping_node(now, idx);
                    continue;
                }
            }
            self.await_connection(now, idx);
            let node = &self.nodes[idx];
            let Some(sent) = node.ping_sent else { continue };
            let silence = node.data_received.map_or(i64::MAX, |at| now.since(at));
            if now.since(sent).min(silence) > timeout && !node.is(NodeFlags::FAILING) {
                self.suspect(now, idx);
            }
        }
        orphans
    }

    /// A connection that is still being opened when a PING is due counts as a PING without answer:
    /// otherwise a peer whose packets vanish would never be suspected.
    fn await_connection(&mut self, now: Clock, idx: NodeIdx) {
        let interval = self.cfg.ping_interval_ms();
        let node = &mut self.nodes[idx];
        if node.ping_sent.is_none() && node.pong_received.is_none_or(|at| now.since(at) > interval) {
            node.ping_sent = Some(now);
        }
    }

    /// A link over which nothing comes back may be half open: try a new one before T is over.
    fn drop_silent_link(&mut self, now: Clock, idx: NodeIdx) {
        let node = &self.nodes[idx];
        let timeout = self.cfg.node_timeout_ms;
        let Some(link) = node.outbound.and_then(|link| self.links.get(&link)) else { return };
        let silent = |at: Option<Clock>| at.map_or(i64::MAX, |at| now.since(at)) > timeout / 2;
        if now.since(link.created) > timeout
            && node.ping_sent.is_some_and(|at| now.since(at) > timeout / 2)
            && silent(node.data_received)
        {
            self.close_outbound(now, idx);
        }
    }
}
