//! FAILOVER: a primary hands its role over to one of its replicas, without losing a write.
//!
//! Writes are paused until a replica has acknowledged everything; then this node becomes that replica's replica, and its
//! PSYNC carries the word that makes the other a primary. Whatever goes wrong leaves this node the primary it was.

use super::engine::{Engine, cx};
use super::event::{Endpoint, LogLevel, Output, ReplicaId};
use super::replica_set::{Replica, ReplicaState};
use crate::base::Millis;

/// `FAILOVER [TO host port [FORCE]] [TIMEOUT ms]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FailoverRequest {
    /// The replica to hand over to; `None` for the first that is ready.
    pub target: Option<Endpoint>,
    /// Go on at the timeout even if the target did not acknowledge everything.
    pub force: bool,
    pub timeout_ms: Option<i64>,
}

/// Texts as on the wire, behind the `-`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FailoverError {
    #[error("ERR No failover in progress.")]
    NotInProgress,
    #[error("ERR FAILOVER already in progress.")]
    InProgress,
    #[error("ERR FAILOVER is not valid when server is a replica.")]
    IsReplica,
    #[error("ERR FAILOVER requires connected replicas.")]
    NoReplicas,
    #[error("ERR FAILOVER with force option requires both a timeout and target HOST and IP.")]
    ForceWithoutTarget,
    #[error("ERR FAILOVER target HOST and PORT is not a replica.")]
    NotAReplica,
    #[error("ERR FAILOVER target replica is not online.")]
    NotOnline,
}

/// A handover under way.
pub(super) struct Failover {
    request: FailoverRequest,
    deadline: Option<Millis>,
    /// Whether the role was given up already and the target has yet to take it.
    handing_over: bool,
}

impl Failover {
    /// `master_failover_state`.
    pub fn name(failover: Option<&Failover>) -> &'static str {
        match failover {
            None => "no-failover",
            Some(failover) if failover.handing_over => "failover-in-progress",
            Some(_) => "waiting-for-sync",
        }
    }
}

fn address(replica: &Replica) -> Endpoint {
    Endpoint { host: replica.ip().to_owned(), port: replica.traits.listening_port }
}

impl Engine {
    /// Starts to hand the role over. What comes of it shows in the outputs `PauseWrites`.
    ///
    /// # Errors
    /// With the text for the client.
    pub fn start_failover(&mut self, now: Millis, request: FailoverRequest) -> Result<(), FailoverError> {
        if self.failover.is_some() {
            return Err(FailoverError::InProgress);
        }
        if !self.is_primary() {
            return Err(FailoverError::IsReplica);
        }
        if self.primary.replicas.is_empty() {
            return Err(FailoverError::NoReplicas);
        }
        if request.force && (request.timeout_ms.is_none() || request.target.is_none()) {
            return Err(FailoverError::ForceWithoutTarget);
        }
        if let Some(target) = &request.target {
            let found = self.replicas().find(|(_, r)| address(r).is_same(target));
            match found {
                None => return Err(FailoverError::NotAReplica),
                Some((_, replica)) if replica.state != ReplicaState::Online => return Err(FailoverError::NotOnline),
                Some(_) => {}
            }
        }
        let deadline = request.timeout_ms.map(|ms| now + ms);
        self.failover = Some(Failover { request, deadline, handing_over: false });
        self.out.push_back(Output::PauseWrites(true));
        self.pause_stream(now, true);
        self.advance_failover(now);
        Ok(())
    }

    /// FAILOVER ABORT.
    ///
    /// # Errors
    /// If there is nothing to abort.
    pub fn abort_failover(&mut self, now: Millis) -> Result<(), FailoverError> {
        if self.failover.is_none() {
            return Err(FailoverError::NotInProgress);
        }
        self.give_failover_up(now, "Failover manually aborted");
        Ok(())
    }

    /// Whether a handover is under way: REPLICAOF is refused with `REPLICAOF not allowed while failing over.`
    #[must_use]
    pub fn is_failing_over(&self) -> bool {
        self.failover.is_some()
    }

    /// Takes the next step if its condition is met. Called after everything that may meet it.
    pub(super) fn advance_failover(&mut self, now: Millis) {
        let Some(failover) = &self.failover else { return };
        if failover.handing_over {
            match self.follower.as_mut().and_then(|f| f.failover_answer.take()) {
                None => {}
                Some(true) => {
                    cx!(self, now).notice("Failover succeeded: the target took the role over".to_owned());
                    self.end_failover(now);
                }
                Some(false) => self.give_failover_up(now, "Failover target rejected psync request"),
            }
            return;
        }
        let overdue = failover.deadline.is_some_and(|deadline| now >= deadline);
        if let Some(target) = self.caught_up() {
            self.hand_over(now, target);
        } else if overdue {
            match failover.request.target.clone().filter(|_| failover.request.force) {
                Some(target) => self.hand_over(now, target),
                None => self.give_failover_up(now, "Replica never caught up before timeout"),
            }
        }
    }

    /// A replica (the target, if one was named) that acknowledged everything.
    fn caught_up(&self) -> Option<Endpoint> {
        let wanted = self.failover.as_ref()?.request.target.as_ref();
        let end = self.offset();
        let ready = |(_, r): &(ReplicaId, &Replica)| {
            !r.held && r.ack == end && wanted.is_none_or(|wanted| address(r).is_same(wanted))
        };
        self.primary.replicas.online().find(ready).map(|(_, r)| address(r))
    }

    fn hand_over(&mut self, now: Millis, target: Endpoint) {
        let text = format!("Failover target is {target}, becoming its replica");
        self.out.push_back(Output::Log { level: LogLevel::Notice, text });
        if let Some(failover) = &mut self.failover {
            failover.handing_over = true;
        }
        self.begin_following(now, target, true);
    }

    fn give_failover_up(&mut self, now: Millis, why: &str) {
        self.out.push_back(Output::Log { level: LogLevel::Warning, text: format!("Aborting failover: {why}") });
        self.promote(now);
        self.end_failover(now);
    }

    /// Ends a handover, if there is one, whatever came of it.
    pub(super) fn end_failover(&mut self, now: Millis) {
        if self.failover.take().is_some() {
            self.pause_stream(now, false);
            self.out.push_back(Output::PauseWrites(false));
        }
    }
}
