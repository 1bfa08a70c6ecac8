//! The end of the server: asked for by a command or a signal, put off for replicas that lag, called off again.

use super::effect::{Effect, LogLevel, ShutdownRequest, Token};
use super::server::Server;
use crate::base::Millis;
use crate::config::ShutdownFlags;
use crate::repl::{Replica, ReplicaState, Version};
use crate::resp::{Argv, ErrorReply};

/// The end that was asked for and has not come yet.
#[derive(Debug)]
pub struct Ending {
    request: ShutdownRequest,
    /// Whoever sent SHUTDOWN: told only when the server does not end.
    waiting: Vec<Token>,
    /// Replicas are waited for until they have acknowledged this offset, at most until then.
    until: Millis,
    offset: u64,
    /// A replica has been told to take over.
    handed_over: bool,
    /// It is being carried out.
    decided: bool,
}

/// How long the replicas have to hear who takes over.
const HAND_OVER_MS: i64 = 1000;

/// The first version that takes over when its primary says so in the stream.
const TAKES_OVER_SINCE: Version = Version { major: 9, minor: 0, patch: 0 };

/// To whoever asked for an end that does not come.
pub const SHUTDOWN_FAILED: ErrorReply = ErrorReply::Static("ERR Errors trying to SHUTDOWN. Check logs.");

impl ShutdownRequest {
    /// What `shutdown-on-sigterm` and `shutdown-on-sigint` ask for.
    #[must_use]
    pub fn of_signal(flags: ShutdownFlags) -> ShutdownRequest {
        let save = flags.contains(ShutdownFlags::SAVE).then_some(true);
        ShutdownRequest {
            save: save.or(flags.contains(ShutdownFlags::NOSAVE).then_some(false)),
            now: flags.contains(ShutdownFlags::NOW),
            force: flags.contains(ShutdownFlags::FORCE),
            safe: flags.contains(ShutdownFlags::SAFE),
            failover: flags.contains(ShutdownFlags::FAILOVER),
        }
    }
}

impl Server {
    /// Whether the server may end as is asked. The log says why not.
    pub fn may_end(&mut self, request: ShutdownRequest) -> bool {
        if !request.safe || !self.is_voting_primary() {
            return true;
        }
        self.log(
            LogLevel::Warning,
            "A primary with slots is needed by its cluster: it is not safe to end, can't exit.",
        );
        false
    }

    /// Ends the server as soon as its replicas have everything. `waiting` is told when it does not end after all.
    pub fn begin_shutdown(&mut self, request: ShutdownRequest, waiting: Option<Token>) {
        if !self.may_end(request) {
            return;
        }
        if let Some(ending) = &mut self.ending {
            ending.waiting.extend(waiting);
            if !request.now {
                return;
            }
        } else {
            self.log(LogLevel::Warning, "User requested shutdown...");
            let timeout_ms = self.config.shutdown_timeout_secs * 1000;
            let ending = Ending {
                request,
                waiting: waiting.into_iter().collect(),
                until: self.now + timeout_ms,
                offset: self.repl.offset(),
                handed_over: false,
                decided: false,
            };
            let waits = !request.now && timeout_ms > 0 && self.lagging(ending.offset) > 0;
            self.ending = Some(ending);
            if waits {
                self.pause.shutdown = true;
                self.settle_expiry();
                self.log(LogLevel::Notice, "Waiting for replicas before shutting down.");
                self.repl.request_acks(self.mono());
                self.drain_repl();
                self.wake_replicas();
                return;
            }
        }
        self.decide_shutdown();
    }

    /// Calls the end off. False when there is none under way, or it cannot be stopped any more.
    pub fn abort_shutdown(&mut self) -> bool {
        if self.ending.as_ref().is_none_or(|ending| ending.decided) {
            return false;
        }
        self.log(LogLevel::Notice, "Shutdown manually aborted.");
        self.shutdown_failed();
        true
    }

    /// The process goes on: whoever wanted it to end is told, and writes go on.
    pub fn shutdown_failed(&mut self) {
        let Some(ending) = self.ending.take() else { return };
        for token in ending.waiting {
            self.finish_ok(token, Err(SHUTDOWN_FAILED));
        }
        if std::mem::take(&mut self.pause.shutdown) {
            self.settle_expiry();
            self.retry_parked();
        }
    }

    /// Ends the server that waits for its replicas when they have everything, or the time is over.
    pub(super) fn shutdown_when_ready(&mut self) {
        let Some(ending) = self.ending.as_ref().filter(|ending| !ending.decided) else { return };
        if self.now >= ending.until || self.lagging(ending.offset) == 0 {
            self.decide_shutdown();
        }
    }

    /// How many replicas have not acknowledged everything up to `offset`.
    fn lagging(&self, offset: u64) -> usize {
        self.repl.replicas().filter(|(_, replica)| replica.ack < offset).count()
    }

    /// Whether it has been decided that the server ends.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.decided)
    }

    /// How long replicas are still waited for before the server ends, in milliseconds; `None` while it is not to end.
    #[must_use]
    pub fn ends_in_ms(&self) -> Option<i64> {
        let ending = self.ending.as_ref().filter(|ending| !ending.decided)?;
        Some(ending.until.since(self.now).max(0))
    }

    fn is_voting_primary(&self) -> bool {
        self.cluster.as_ref().is_some_and(|engine| engine.am_primary() && engine.owns_slots())
    }

    /// Tells the replicas, in the stream, which of them takes over. False when there is nothing to hand over, or nobody who
    /// has everything.
    fn hand_over(&mut self) -> bool {
        let mono = self.mono();
        let Some(ending) = self.ending.as_mut().filter(|ending| ending.request.failover && !ending.handed_over) else {
            return false;
        };
        ending.handed_over = true;
        let offset = ending.offset;
        if !self.is_voting_primary() {
            return false;
        }
        let knows = |replica: &Replica| replica.traits.version.is_some_and(|version| version >= TAKES_OVER_SINCE);
        let has_all = |replica: &Replica| replica.state == ReplicaState::Online && replica.ack >= offset;
        let all_know = self.repl.replicas().all(|(_, replica)| knows(replica));
        let heir = self.repl.replicas().map(|(_, replica)| replica).filter(|replica| all_know && has_all(replica));
        let Some((id, name)) = heir.filter_map(|replica| Some((replica.traits.node_id?, replica.name()))).next() else {
            self.log(LogLevel::Warning, "Unable to find a replica to take over before the end.");
            return false;
        };
        self.log(LogLevel::Notice, format!("Replica {name} is to take over before the end."));
        self.feed_replicas(Argv::of(&[b"CLUSTER", b"FAILOVER", b"FORCE", b"REPLICAID", id.as_bytes()]).args());
        // The answers to the question do not count the question itself.
        let offset = self.repl.offset();
        self.repl.request_acks(mono);
        if let Some(ending) = &mut self.ending {
            (ending.offset, ending.until) = (offset, self.now + HAND_OVER_MS);
        }
        if !std::mem::replace(&mut self.pause.shutdown, true) {
            self.settle_expiry();
        }
        self.drain_repl();
        self.wake_replicas();
        true
    }

    fn decide_shutdown(&mut self) {
        if self.hand_over() {
            return;
        }
        let mono = self.mono();
        let Some(ending) = self.ending.as_mut().filter(|ending| !ending.decided) else { return };
        ending.decided = true;
        let (request, offset) = (ending.request, ending.offset);
        let mut lines = Vec::new();
        for (_, replica) in self.repl.replicas().filter(|(_, replica)| replica.ack < offset) {
            lines.push(format!(
                "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                replica.name(),
                offset - replica.ack,
                replica.lag_secs(mono),
                replica.state.name()
            ));
        }
        let count = self.repl.replicas().count();
        if count > 0 {
            lines.push(format!("{} of {count} replicas are in sync when shutting down.", count - lines.len()));
        }
        for line in lines {
            self.log(LogLevel::Notice, line);
        }
        self.outbox.push(Effect::Shutdown(request));
    }
}
