//! One migration as either end keeps it: whose slots, how far it is, and how it ended.

use super::ranges::SlotRanges;
use crate::base::{Millis, NodeId};
use crate::cluster::Clock;

/// What a migration is called: made and written as node ids are.
pub type JobName = NodeId;

/// A message of its own is sent this often, so that the other end knows that this one is there.
pub(super) const ACK_PERIOD_MS: i64 = 1000;

/// Which way the slots go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Import,
    Export,
}

/// How far a migration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    // Of the source.
    Connecting,
    SendingAuth,
    ReadingAuth,
    SendingEstablish,
    ReadingEstablish,
    WaitingToSnapshot,
    Snapshotting,
    Replicating,
    WaitingToPause,
    FailoverPaused,
    // Of the target.
    WaitingForAck,
    ReceivingSnapshot,
    WaitingForPaused,
    FailoverRequested,
    CleaningUp,
    /// On a replica of the target, and while a file is loaded.
    OccurringOnPrimary,
    // Of both.
    FailoverGranted,
    Success,
    Cancelled,
    Failed,
}

impl State {
    /// As CLUSTER GETSLOTMIGRATIONS shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Connecting => "connecting",
            State::SendingAuth => "sending-auth-command",
            State::ReadingAuth => "reading-auth-response",
            State::SendingEstablish => "sending-establish-command",
            State::ReadingEstablish => "reading-establish-response",
            State::WaitingToSnapshot => "waiting-to-snapshot",
            State::Snapshotting => "snapshotting",
            State::Replicating => "replicating",
            State::WaitingToPause => "waiting-to-pause",
            State::FailoverPaused => "failover-paused",
            State::WaitingForAck => "waiting-for-ack",
            State::ReceivingSnapshot => "receiving-snapshot",
            State::WaitingForPaused => "waiting-for-paused",
            State::FailoverRequested => "failover-requested",
            State::CleaningUp => "cleaning-up",
            State::OccurringOnPrimary => "occurring-on-primary",
            State::FailoverGranted => "failover-granted",
            State::Success => "success",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }

    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, State::Success | State::Cancelled | State::Failed)
    }
}

/// One migration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    pub name: JobName,
    pub operation: Operation,
    pub ranges: SlotRanges,
    /// Both ends; a job that only follows what happens elsewhere knows neither.
    pub source: Option<NodeId>,
    pub target: Option<NodeId>,
    pub state: State,
    /// Why it failed.
    pub message: String,
    /// Wall time: when it was made, entered its state, and heard an ACK last (zero: never).
    pub created: Millis,
    pub updated: Millis,
    pub acked: Millis,
    /// Monotonic: when this end last said that it is there.
    pub(super) told: Millis,
    /// Monotonic: how long the source holds writes back for certain, as either end knows.
    pub(super) paused_until: Option<Millis>,
}

impl Job {
    #[must_use]
    pub fn new(name: JobName, operation: Operation, ranges: SlotRanges, state: State, now: Clock) -> Job {
        Job {
            name,
            operation,
            ranges,
            source: None,
            target: None,
            state,
            message: String::new(),
            created: now.wall,
            updated: now.wall,
            acked: Millis::ZERO,
            told: now.mono,
            paused_until: None,
        }
    }

    pub(super) fn enter(&mut self, now: Clock, state: State) {
        self.state = state;
        self.updated = now.wall;
    }

    pub(super) fn fail(&mut self, now: Clock, state: State, why: &str) {
        self.enter(now, state);
        why.clone_into(&mut self.message);
    }

    /// Whether it is time to say again that this end is there; notes that it does.
    pub(super) fn must_tell(&mut self, now: Clock) -> bool {
        let due = now.mono.since(self.told) >= ACK_PERIOD_MS;
        if due {
            self.told = now.mono;
        }
        due
    }

    /// Slots whose writes wait.
    pub(super) fn holds_writes(&self) -> bool {
        self.operation == Operation::Export && matches!(self.state, State::FailoverPaused | State::FailoverGranted)
    }

    pub(super) fn is_granted(&self) -> bool {
        self.operation == Operation::Export && self.state == State::FailoverGranted
    }
}
