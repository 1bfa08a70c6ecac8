//! Waits that end by themselves: whose, and when.
//!
//! There is no clock here. The outside is asked (with [`Effect::Alarm`]) to call [`Server::alarm`] at the earliest of
//! these moments, so that a wait ends within milliseconds and not with the next tick of the cron.

use std::collections::BTreeSet;

use super::client::ClientId;
use super::effect::Effect;
use super::server::Server;
use crate::base::Millis;

/// Between two slices of background work.
pub(super) const BACKGROUND_PAUSE_MS: i64 = 2;

/// The moments at which waits of clients end.
#[derive(Debug, Default)]
pub struct Alarms {
    by_time: BTreeSet<(Millis, ClientId)>,
    /// When work goes on that is done in slices beside the commands.
    background: Option<Millis>,
    /// The earliest moment that the outside has been asked for and has not called at yet.
    asked: Option<Millis>,
}

impl Alarms {
    /// Waits that end by themselves.
    #[must_use]
    pub fn waits(&self) -> usize {
        self.by_time.len()
    }

    /// The wait of `id` does not end at `at` any more.
    pub fn clear(&mut self, id: ClientId, at: Option<Millis>) {
        if let Some(at) = at {
            self.by_time.remove(&(at, id));
        }
    }
}

impl Server {
    /// The wait of client `id` ends at `at`.
    pub(super) fn set_alarm(&mut self, id: ClientId, at: Millis) {
        self.alarms.by_time.insert((at, id));
        self.ask_for_alarm();
    }

    /// Work is left that is done in slices: its next one is due in a moment.
    pub(super) fn work_soon(&mut self) {
        self.alarms.background.get_or_insert(Millis(self.now.0 + BACKGROUND_PAUSE_MS));
        self.ask_for_alarm();
    }

    fn ask_for_alarm(&mut self) {
        let waits = self.alarms.by_time.first().map(|(at, _)| *at);
        let Some(at) = waits.into_iter().chain(self.alarms.background).min() else { return };
        if self.alarms.asked.is_none_or(|asked| at < asked) {
            self.alarms.asked = Some(at);
            self.outbox.push(Effect::Alarm { at });
        }
    }

    /// Ends the waits whose time is over at `now`, wall time.
    pub fn alarm(&mut self, now: Millis) {
        self.now = now;
        self.alarms.asked.take_if(|asked| now >= *asked);
        if self.alarms.background.take_if(|at| now >= *at).is_some() {
            self.work_beside();
        }
        while let Some(&(at, id)) = self.alarms.by_time.first()
            && now >= at
        {
            self.alarms.by_time.pop_first();
            self.end_wait(id, false);
        }
        self.ask_for_alarm();
    }
}
