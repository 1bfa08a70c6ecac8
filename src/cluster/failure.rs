//! Failure detection: from "I cannot reach it" through reports to "it has failed", and back.

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::io::LogLevel;
use super::node::NodeIdx;
use super::packet::{self, MessageType};
use crate::base::{Millis, NodeId};

impl Engine {
    /// I have not heard of a node for T although I asked.
    pub(super) fn suspect(&mut self, now: Clock, idx: NodeIdx) {
        self.nodes[idx].flags |= NodeFlags::PFAIL;
        self.suspects.insert(idx);
        let label = self.nodes[idx].label();
        self.log(LogLevel::Debug, format!("*** NODE {label} possibly failing"));
        self.todo.state = true;
        self.save_soon();
        if self.is_voting(self.me) {
            let quorum = self.quorum();
            self.consider_fail(now, idx, quorum);
        }
    }

    /// A voting primary reports a node as failing. The time is rounded up to a second.
    pub(super) fn add_report(&mut self, now: Clock, idx: NodeIdx, reporter: NodeIdx) {
        let at = Millis((now.mono.0.saturating_add(999)).div_euclid(1000) * 1000);
        if self.nodes[idx].reports.insert(reporter, at).is_none() {
            let (reporter, label) = (self.nodes[reporter].label(), self.nodes[idx].label());
            self.log(LogLevel::Verbose, format!("Node {reporter} reported node {label} as not reachable"));
        }
    }

    pub(super) fn withdraw_report(&mut self, idx: NodeIdx, reporter: NodeIdx) {
        let reports = &mut self.nodes[idx].reports;
        if !reports.is_empty() && reports.remove(&reporter).is_some() {
            let (reporter, label) = (self.nodes[reporter].label(), self.nodes[idx].label());
            self.log(LogLevel::Verbose, format!("Node {reporter} reported node {label} is back online"));
        }
    }

    /// Reports on a node that are still of use; older ones are dropped.
    pub(super) fn count_reports(&mut self, now: Clock, idx: NodeIdx) -> usize {
        let life = self.cfg.node_timeout_ms * 2;
        let reports = &mut self.nodes[idx].reports;
        reports.retain(|_, at| now.mono.since(*at) <= life);
        reports.len()
    }

    /// Declares a node failed if I suspect it and a majority of the voting primaries, which is `quorum`, does.
    pub(super) fn consider_fail(&mut self, now: Clock, idx: NodeIdx, quorum: usize) {
        let node = &self.nodes[idx];
        if !node.is(NodeFlags::PFAIL) || node.is_failed() {
            return;
        }
        let own = usize::from(self.is_voting(self.me));
        // With old reports they are not enough: nothing has to be looked at.
        if node.reports.len() + own < quorum || self.count_reports(now, idx) + own < quorum {
            return;
        }
        let label = self.nodes[idx].label();
        self.log(LogLevel::Notice, format!("Marking node {label} as failing (quorum reached)."));
        self.mark_failed(now, idx);
        self.broadcast_fail(idx);
    }

    pub(super) fn mark_failed(&mut self, now: Clock, idx: NodeIdx) {
        let node = &mut self.nodes[idx];
        node.flags.remove(NodeFlags::PFAIL);
        node.flags |= NodeFlags::FAIL;
        node.failed_at = now.mono;
        if self.myself().primary == Some(idx) {
            self.nodes[self.me].flags |= NodeFlags::PRIMARY_FAILED;
            self.todo.election = true;
        }
        self.todo.state = true;
        self.save_soon();
    }

    pub(super) fn broadcast_fail(&mut self, idx: NodeIdx) {
        let id = self.nodes[idx].id;
        let bytes = packet::encode_fail(&self.header(MessageType::Fail), &id).into();
        self.broadcast(MessageType::Fail, &bytes);
    }

    /// A known node passes on that another has failed.
    pub(super) fn on_fail_message(&mut self, now: Clock, sender: NodeIdx, id: &NodeId) {
        let Some(idx) = self.nodes.find(id) else { return };
        if idx == self.me || self.nodes[idx].is_failed() {
            return;
        }
        let (sender, label) = (self.nodes[sender].label(), self.nodes[idx].label());
        self.log(LogLevel::Notice, format!("FAIL message received from {sender} about {label}"));
        self.mark_failed(now, idx);
    }

    /// A node answered my PING.
    pub(super) fn on_pong(&mut self, now: Clock, idx: NodeIdx) {
        let node = &mut self.nodes[idx];
        node.pong_received = Some(now);
        if let Some(sent) = node.ping_sent.take() {
            node.answered = Some(sent.mono);
        }
        if node.is(NodeFlags::PFAIL) {
            node.flags.remove(NodeFlags::PFAIL);
            self.todo.state = true;
            self.save_soon();
        } else if node.is_failed() {
            self.undo_fail(now, idx);
        }
    }

    /// A failed node is reachable again. One with slots has to wait: its replicas had the right to
    /// replace it, and only if nobody has done so after 2T it stays the owner.
    fn undo_fail(&mut self, now: Clock, idx: NodeIdx) {
        let node = &self.nodes[idx];
        if self.is_voting(idx) && now.mono.since(node.failed_at) <= self.cfg.node_timeout_ms * 2 {
            return;
        }
        let label = node.label();
        self.log(LogLevel::Notice, format!("Clear FAIL state for node {label}: it is reachable again"));
        self.nodes[idx].flags.remove(NodeFlags::FAIL);
        if self.myself().primary == Some(idx) {
            self.nodes[self.me].flags.remove(NodeFlags::PRIMARY_FAILED);
        }
        self.todo.state = true;
        self.save_soon();
    }
}
