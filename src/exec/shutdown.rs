//! The end of the server: asked for by a command or a signal, put off for replicas that lag, called off again.

use super::effect::{Effect, LogLevel, ShutdownRequest, Token};
use super::server::Server;
use crate::base::Millis;
use crate::config::ShutdownFlags;
use crate::resp::ErrorReply;

/// The end that was asked for and has not come yet.
#[derive(Debug)]
pub struct Ending {
    request: ShutdownRequest,
    /// Whoever sent SHUTDOWN: told only when the server does not end.
    waiting: Vec<Token>,
    /// Replicas are waited for until they have acknowledged this offset, at most until then.
    until: Millis,
    offset: u64,
    /// It is being carried out.
    decided: bool,
}

impl ShutdownRequest {
    /// What `shutdown-on-sigterm` and `shutdown-on-sigint` ask for.
    #[must_use]
    pub fn of_signal(flags: ShutdownFlags) -> ShutdownRequest {
        let save = flags.contains(ShutdownFlags::SAVE).then_some(true);
        ShutdownRequest {
            save: save.or(flags.contains(ShutdownFlags::NOSAVE).then_some(false)),
            now: flags.contains(ShutdownFlags::NOW),
            force: flags.contains(ShutdownFlags::FORCE),
        }
    }
}

impl Server {
    /// Ends the server as soon as its replicas have everything. `waiting` is told when it does not end after all.
    pub fn begin_shutdown(&mut self, request: ShutdownRequest, waiting: Option<Token>) {
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
            self.finish_ok(token, Err(ErrorReply::Static("ERR Errors trying to SHUTDOWN. Check logs.")));
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

    /// How long replicas are still waited for before the server ends, in milliseconds; `None` while it is not to end.
    #[must_use]
    pub fn ends_in_ms(&self) -> Option<i64> {
        let ending = self.ending.as_ref().filter(|ending| !ending.decided)?;
        Some(ending.until.since(self.now).max(0))
    }

    fn decide_shutdown(&mut self) {
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
