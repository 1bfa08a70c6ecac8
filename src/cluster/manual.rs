//! Manual failover: a healthy primary hands over to one of its replicas without losing a write.
//!
//! The replica asks (MFSTART), the primary holds back writes and says so, with its offset, in its
//! headers; when the replica has processed that offset it asks for votes.

use super::clock::Clock;
use super::engine::Engine;
use super::io::{LinkId, LogLevel, Output};
use super::node::NodeIdx;
use super::packet::MessageType;
use crate::base::Millis;

/// The manual failover in progress, on either side.
#[derive(Debug, Default)]
pub(super) struct ManualFailover {
    /// Monotonic: when it is given up. `None`: there is none.
    end: Option<Millis>,
    /// As a primary: who takes over.
    replica: Option<NodeIdx>,
    /// As a primary: writes are held back.
    paused: bool,
    /// As a replica: where the primary has stopped.
    primary_offset: Option<u64>,
    /// As a replica: votes may be asked for.
    can_start: bool,
}

impl ManualFailover {
    pub(super) fn is_active(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn may_start(&self) -> bool {
        self.is_active() && self.can_start
    }

    /// Whether a node is the replica that takes over from me.
    pub(super) fn is_for(&self, idx: NodeIdx) -> bool {
        self.is_active() && self.replica == Some(idx)
    }

    pub(super) fn waits_for_offset(&self) -> bool {
        self.is_active() && !self.can_start && self.primary_offset.is_some()
    }

    pub(super) fn forget(&mut self, idx: NodeIdx) {
        if self.replica == Some(idx) {
            self.replica = None;
        }
    }
}

impl Engine {
    pub(super) fn reset_manual_failover(&mut self) {
        if self.manual.paused {
            self.emit(Output::Unpause);
        }
        self.manual = ManualFailover::default();
    }

    pub(super) fn tick_manual_failover(&mut self, now: Clock) {
        if self.manual.end.is_some_and(|end| now.mono > end) {
            self.log(LogLevel::Warning, "Manual failover timed out.".to_owned());
            self.reset_manual_failover();
            self.election.reset();
        }
        self.check_manual_offset();
    }

    /// Begins one on the replica's side. `forced`: without the primary's consent.
    pub(super) fn start_manual_failover(&mut self, now: Clock, forced: bool) {
        self.reset_manual_failover();
        self.election.reset();
        self.manual.end = Some(now.mono + self.cfg.manual_failover_timeout_ms);
        self.manual.can_start = forced;
        if forced {
            self.todo.election = true;
        } else if let Some(primary) = self.myself().primary {
            let bytes = self.bare_packet(MessageType::MfStart);
            self.send_to(primary, MessageType::MfStart, bytes);
        }
    }

    /// One of my replicas asks to take over.
    pub(super) fn on_mfstart(&mut self, now: Clock, link: LinkId, sender: NodeIdx) {
        if !self.myself().is_primary() || self.nodes[sender].primary != Some(self.me) {
            return;
        }
        self.reset_manual_failover();
        let timeout = self.cfg.manual_failover_timeout_ms;
        self.manual.end = Some(now.mono + timeout);
        self.manual.replica = Some(sender);
        self.manual.paused = true;
        // Twice as long as the failover may take, so that writes never resume under a replica that is
        // about to win.
        self.emit(Output::PauseWrites { until: now.mono + 2 * timeout });
        let label = self.nodes[sender].label();
        self.log(LogLevel::Warning, format!("Manual failover requested by replica {label}."));
        // Over the link it asked on, so that it learns the offset now.
        let pending = self.nodes[sender].ping_sent;
        self.ping(now, sender, link, MessageType::Ping);
        self.nodes[sender].ping_sent = pending;
    }

    /// My primary says that it has paused at this offset.
    pub(super) fn on_primary_paused(&mut self, offset: u64) {
        if self.manual.is_active() && !self.manual.can_start && self.manual.primary_offset.is_none() {
            self.manual.primary_offset = Some(offset);
            self.log(LogLevel::Warning, format!("Primary's offset for the manual failover is {offset}"));
            self.check_manual_offset();
        }
    }

    /// Starts the election when all of the primary's stream is processed.
    pub(super) fn check_manual_offset(&mut self) {
        if self.manual.waits_for_offset() && self.manual.primary_offset == Some(self.facts.repl_offset) {
            self.manual.can_start = true;
            self.todo.election = true;
            self.log(
                LogLevel::Warning,
                "All of the primary's stream is processed: manual failover can start".to_owned(),
            );
        }
    }
}
