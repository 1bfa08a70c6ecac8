//! What happens by time and not by command: `hz` times a second.

use super::client::{ClientFlags, Parked};
use super::effect::Effect;
use super::latency::LatencyEvent;
use super::server::Server;
use crate::base::Millis;
use crate::repl::Input;

/// The share of each tick that active expiry may take, in percent.
const EXPIRE_SHARE_PERCENT: u64 = 25;

/// Time for moving buckets of tables that are being resized, in microseconds a tick.
const REHASH_BUDGET_USEC: u64 = 1000;

impl Server {
    /// One tick. `now` is wall time.
    pub fn cron(&mut self, now: Millis) {
        self.now = now;
        self.repl_input(Input::Tick);
        self.alarm(now);
        self.finish_waits();
        self.wake_replicas();
        self.expire_actively();
        self.rehash();
        self.watch_clients();
        self.check_outputs();
        self.end_pauses();
        self.serve_ready();
        self.save_when_due();
        self.rewrite_log_when_due();
        self.shutdown_when_ready();
        let totals = [self.stats.commands, self.stats.net_input_bytes, self.stats.net_output_bytes];
        self.stats.rate.sample(now, totals);
        self.memory_cron();
    }

    fn expire_actively(&mut self) {
        if !self.active_expire || self.is_loading() || self.pause.at(self.now).0 {
            return;
        }
        let budget_usec = 1_000_000 * EXPIRE_SHARE_PERCENT / 100 / u64::from(self.config.hz.max(1));
        let started = self.stopwatch.micros();
        self.keyspace.begin(self.now, false, false, None);
        let stopwatch = &self.stopwatch;
        self.keyspace
            .expire_cycle(&mut self.expire_cursor, || stopwatch.micros().saturating_sub(started) < budget_usec);
        let usec = self.stopwatch.micros().saturating_sub(started);
        self.note_latency(LatencyEvent::ExpireCycle, usec);
        if self.keyspace.has_expired() {
            self.propagate_expired();
        }
        self.publish_events();
        if self.keyspace.has_touched() {
            let touched = self.keyspace.take_touched();
            self.break_watches(None, &touched);
            self.note_ready(touched);
        }
    }

    fn rehash(&mut self) {
        if !self.config.activerehashing {
            return;
        }
        let started = self.stopwatch.micros();
        while self.stopwatch.micros().saturating_sub(started) < REHASH_BUDGET_USEC {
            if !self.keyspace.rehash_step(64) {
                break;
            }
        }
    }

    /// Closes idle clients and ends waits whose time is over.
    fn watch_clients(&mut self) {
        let timeout_ms = self.config.timeout_secs * 1000;
        let (now, Server { clients, outbox, .. }) = (self.now, self);
        for client in clients.iter_mut() {
            let exempt = ClientFlags::REPLICA | ClientFlags::PRIMARY;
            if timeout_ms > 0
                && !client.flags.intersects(exempt)
                && client.parked.is_none()
                && now.since(client.last_interaction) > timeout_ms
            {
                client.flags |= ClientFlags::CLOSE_NOW;
                outbox.push(Effect::Wake(client.id));
            }
        }
    }

    /// Lets clients go on when a pause is over.
    fn end_pauses(&mut self) {
        let now = self.now;
        let over = |until: &Millis| now >= *until;
        let asked = self.pause.asked.take_if(|(until, _)| over(until)).is_some();
        let failover = self.pause.failover.take_if(|until| over(until)).is_some();
        if asked || failover {
            self.retry_parked();
        }
    }

    /// How many clients wait for something.
    #[must_use]
    pub fn blocked_clients(&self) -> usize {
        self.clients
            .iter()
            .filter(|c| matches!(c.parked, Some(Parked::Keys | Parked::Waiting(_) | Parked::Acks { .. })))
            .count()
    }
}
