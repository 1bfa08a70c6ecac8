//! Whether the cluster is in a state to serve.
//!
//! A primary that restarts, or comes back from a minority, may have been replaced meanwhile without
//! knowing it, so it stays closed for a while: what it acknowledged would be lost. One that restarts opens
//! only when a majority has answered it, too. Stock servers take whoever their file calls healthy for
//! reachable until the node timeout is over: where the network is gone they serve for that long.
//!
//! A node that has not served since it was created (or reset) has nothing to be replaced in and nothing to
//! lose; it opens as soon as it sees a majority and covered slots, which is what lets a new cluster start at
//! once.

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::io::{LogLevel, Output};
use crate::base::Millis;

/// How long a restarted primary stays closed in any case.
const RESTART_DELAY_MS: i64 = 2000;

#[derive(Debug, Default)]
pub(super) struct StateTracker {
    ok: bool,
    /// Owned slots when it was loaded: may have been replaced while it was away.
    restarted: bool,
    /// That, or has been open with slots since: has something to lose.
    has_past: bool,
    /// Monotonic.
    first_evaluated_at: Option<Millis>,
    /// Monotonic; last time it was with a minority.
    minority_at: Option<Millis>,
}

impl StateTracker {
    pub(super) fn is_ok(&self) -> bool {
        self.ok
    }

    /// Marks a node that owned slots in an earlier life.
    pub(super) fn set_restarted(&mut self) {
        self.restarted = true;
        self.has_past = true;
    }

    /// Back to a node that has nothing to lose (CLUSTER RESET).
    pub(super) fn clear_past(&mut self) {
        self.restarted = false;
        self.has_past = false;
    }
}

impl Engine {
    /// Whether the delay after a restart is over; until then a primary neither serves nor votes.
    pub(super) fn is_safe_to_join(&self, now: Clock) -> bool {
        !self.myself().is_primary()
            || !self.state.restarted
            || self.state.first_evaluated_at.is_some_and(|at| now.mono.since(at) >= RESTART_DELAY_MS)
    }

    /// Evaluates the state anew.
    pub(super) fn update_state(&mut self, now: Clock) {
        self.state.first_evaluated_at.get_or_insert(now.mono);
        let (mut size, mut reachable, mut answered, mut failed_slots) = (0, 0, 0, 0);
        for idx in self.slots.owners() {
            let node = &self.nodes[idx];
            if node.is_failed() {
                failed_slots += self.slots.count(idx);
            }
            if node.is_primary() {
                size += 1;
                reachable += usize::from(!node.is(NodeFlags::FAILING));
                answered += usize::from(idx == self.me || node.answered.is_some());
            }
        }
        let covered = self.slots.assigned() == crate::base::SLOTS && failed_slots == 0;
        let majority = reachable > size / 2;
        if !majority {
            self.state.minority_at = Some(now.mono);
        }
        if !self.is_safe_to_join(now) {
            return;
        }
        let ok = majority && (covered || !self.cfg.require_full_coverage);
        if ok && !self.state.ok && self.state.has_past && self.myself().is_primary() {
            let back_for = self.state.minority_at.map_or(i64::MAX, |at| now.mono.since(at));
            let is_alone = self.state.restarted && answered <= size / 2;
            if is_alone || back_for < self.cfg.rejoin_delay_ms() {
                return;
            }
        }
        if ok && self.is_voting(self.me) {
            self.state.has_past = true;
        }
        if ok != self.state.ok {
            self.state.ok = ok;
            let why = match (ok, majority) {
                (true, _) => "",
                (false, true) => ": some slots are not served",
                (false, false) => ": I am part of a minority partition",
            };
            let word = if ok { "ok" } else { "fail" };
            self.log(LogLevel::Notice, format!("Cluster state changed: {word}{why}"));
            self.emit(Output::StateChanged { ok });
        }
    }
}
