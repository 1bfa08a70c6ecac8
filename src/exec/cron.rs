//! What happens by time and not by command: `hz` times a second.

use super::alarm::BACKGROUND_PAUSE_MS;
use super::client::Parked;
use super::latency::LatencyEvent;
use super::memory::Room;
use super::server::Server;
use crate::base::Millis;
use crate::keyspace::ExpireEffort;
use crate::repl::Input;

/// With `dynamic-hz` a tick looks after no more clients than this, as long as there are not more ticks than [`HZ_MAX`].
const CLIENTS_PER_TICK: usize = 200;
const HZ_MAX: u32 = 500;

/// Time for moving buckets of tables that are being resized, in microseconds a tick.
const REHASH_BUDGET_USEC: u64 = 1000;

impl Server {
    /// One tick. `now` is wall time.
    pub fn cron(&mut self, now: Millis) {
        self.now = now;
        if self.switches.cron_paused {
            return;
        }
        self.repl_input(Input::Tick);
        self.alarm(now);
        self.wake_replicas();
        self.work_beside();
        self.announce_changes();
        self.rehash();
        self.clients_cron();
        self.end_pauses();
        self.serve_ready();
        self.save_when_due();
        self.rewrite_log_when_due();
        self.shutdown_when_ready();
        let stats = &self.stats;
        let network = [stats.net_input_bytes, stats.net_output_bytes, stats.repl_input_bytes, stats.repl_output_bytes];
        let [input, output, repl_input, repl_output] = network;
        let totals = [stats.commands, input, output, repl_input, repl_output, stats.turns];
        self.stats.rate.sample(now, totals);
        self.memory_cron();
    }

    /// How often a second there is a tick: `hz`, or with `dynamic-hz` oftener when there are many clients.
    #[must_use]
    pub fn hz(&self) -> u32 {
        let mut hz = self.config.hz;
        while self.config.dynamic_hz && hz < HZ_MAX && self.clients.len() / hz as usize > CLIENTS_PER_TICK {
            hz = (hz * 2).min(HZ_MAX);
        }
        hz
    }

    /// One slice of the work that is done beside the commands. When more is left the next one follows soon, so that the
    /// share of CPU is taken in pieces that no client notices.
    pub(super) fn work_beside(&mut self) {
        if self.suspended.is_some() {
            return;
        }
        let expiring = self.expire_actively();
        let sweeping = self.sweep_on();
        if self.make_room(None) == Room::Soon || expiring || sweeping {
            self.work_soon();
        }
        self.free_garbage();
    }

    /// Deletes expired keys for one slice. True when there are more.
    fn expire_actively(&mut self) -> bool {
        if !self.active_expire || self.is_loading() || self.paused().0 {
            return false;
        }
        let effort = ExpireEffort(self.config.active_expire_effort);
        let budget_usec = BACKGROUND_PAUSE_MS as u64 * 10 * effort.share_percent();
        let started = self.stopwatch.micros();
        self.keyspace.begin(self.now, false, false, None);
        let stopwatch = &self.stopwatch;
        // Fields of hashes may take half of it; keys have what is left.
        let spent_usec = || stopwatch.micros().saturating_sub(started);
        let first_db = (started % u64::from(self.keyspace.databases())) as u32;
        let mut left = self.keyspace.expire_fields_cycle(first_db, || spent_usec() < budget_usec / 2);
        left |= self.keyspace.expire_cycle(&mut self.expire_cursor, effort, || spent_usec() < budget_usec);
        let usec = self.stopwatch.micros().saturating_sub(started);
        self.note_latency(LatencyEvent::ExpireCycle, usec);
        self.stats.expire_cycle_us += usec;
        self.stats.expire_cycles_cut += u64::from(left);
        self.propagate_expired();
        self.tell_of_changes(None, true, true);
        left
    }

    /// What the keys with an expiry of a database have still to live, about, in milliseconds.
    #[must_use]
    pub fn average_ttl_ms(&self, db: u32) -> i64 {
        self.expire_cursor.mean_ttl_ms(db)
    }

    /// How many percent of the keys with an expiry are expired and still there, about.
    #[must_use]
    pub fn stale_percent(&self) -> f64 {
        self.expire_cursor.stale_percent()
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

    /// Lets clients go on when a pause is over.
    fn end_pauses(&mut self) {
        let (now, mono) = (self.now, self.mono());
        let asked = self.pause.asked.take_if(|(until, _)| now >= *until).is_some();
        let failover = self.pause.failover.take_if(|until| mono >= *until).is_some();
        if asked || failover {
            self.settle_expiry();
            self.retry_parked();
        }
    }

    /// How many clients wait for something.
    #[must_use]
    pub fn blocked_clients(&self) -> usize {
        self.clients
            .iter()
            .filter(|c| {
                matches!(c.parked, Some(Parked::Keys | Parked::Waiting(_) | Parked::Acks(_) | Parked::SlotOrders))
            })
            .count()
    }
}
