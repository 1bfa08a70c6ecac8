//! How large the append-only log is, and when it is begun anew of itself.

use super::effect::{Effect, LogLevel, Token};
use super::server::Server;
use super::snapshot::{Job, Purpose};
use crate::base::Millis;
use crate::persist::aof::Begun;
use crate::persist::aof::startup::rewrite_pause_secs;
use crate::resp::ErrorReply;

/// After the first base of a log that failed the next try waits this long.
const RETRY_MS: i64 = 1000;

/// The size of the log: what was counted at some offset, and what was appended since.
#[derive(Debug, Default)]
pub struct LogGrowth {
    counted_bytes: u64,
    counted_at: u64,
    /// The size after the last rewrite or at the start: growth is measured against it.
    base_bytes: u64,
    /// The offset at which the rewrite under way began.
    begun_at: u64,
    /// What INFO tells of rewrites.
    pub rewrites: u64,
    pub last_seconds: Option<i64>,
    pub last_failed: bool,
    /// Rewrites that failed in a row, ...
    pub failures: u32,
    /// ... and those that could not even begin, of which INFO does not tell.
    unbegun: u32,
    /// A rewrite that was asked for while another snapshot was under way.
    pub scheduled: bool,
    /// A rewrite that was asked for is about to begin.
    pub beginning: bool,
    /// The log is on, and has no base that it follows on yet.
    needs_base: bool,
    last_try: Option<Millis>,
}

impl LogGrowth {
    /// The log was opened with files of so many bytes.
    pub fn opened(&mut self, bytes: u64, offset: u64) {
        (self.counted_bytes, self.counted_at, self.base_bytes) = (bytes, offset, bytes);
    }

    /// A rewrite begins at this offset of the log.
    pub fn begun(&mut self, offset: u64) {
        self.begun_at = offset;
    }

    /// The offset at which the rewrite under way began.
    #[must_use]
    pub fn begun_at(&self) -> u64 {
        self.begun_at
    }

    /// The log is on, and nothing of it counts before its first base is complete.
    pub fn lacks_base(&mut self) {
        self.needs_base = true;
    }

    /// Whether that is so.
    #[must_use]
    pub fn needs_base(&self) -> bool {
        self.needs_base
    }

    /// The rewrite is finished: its base has so many bytes.
    pub fn rewritten(&mut self, bytes: u64, offset: u64) {
        (self.counted_bytes, self.counted_at) = (bytes, self.begun_at);
        self.base_bytes = self.current_bytes(offset);
    }

    /// `aof_current_size`, with the log at this offset.
    #[must_use]
    pub fn current_bytes(&self, offset: u64) -> u64 {
        self.counted_bytes + offset.saturating_sub(self.counted_at)
    }

    /// `aof_base_size`.
    #[must_use]
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes
    }

    /// A rewrite that somebody asked for comes as soon as it can: earlier failures do not put it off.
    pub fn schedule(&mut self) {
        self.scheduled = true;
        self.forget_failures();
    }

    fn forget_failures(&mut self) {
        (self.failures, self.unbegun) = (0, 0);
    }

    /// How long the log is not begun anew of itself, because that has failed.
    fn pause_ms(&self) -> i64 {
        rewrite_pause_secs(self.failures.saturating_add(self.unbegun)) * 1000
    }

    /// By how many percent the log has grown, if that is as much as asked for.
    fn excess_percent(&self, offset: u64, percentage: u32, min_bytes: u64) -> Option<u64> {
        let current = self.current_bytes(offset);
        if percentage == 0 || current <= min_bytes {
            return None;
        }
        let growth = (u128::from(current) * 100 / u128::from(self.base_bytes.max(1))).saturating_sub(100);
        (growth >= u128::from(percentage)).then_some(u64::try_from(growth).unwrap_or(u64::MAX))
    }
}

impl Server {
    /// Begins the log anew when it has grown as `auto-aof-rewrite-percentage` and `auto-aof-rewrite-min-size` say.
    pub(super) fn rewrite_log_when_due(&mut self) {
        if !self.may_snapshot() || self.log_growth.beginning || self.is_loading() {
            return;
        }
        if std::mem::take(&mut self.log_growth.scheduled) {
            return self.ask_for_rewrite(None);
        }
        if !self.aof.is_on() {
            return;
        }
        let growth = &self.log_growth;
        let rests = |ms: i64| growth.last_try.is_some_and(|last| self.now.since(last) < ms);
        if growth.needs_base && !rests(RETRY_MS) {
            self.log_growth.last_try = Some(self.now);
            return self.ask_for_rewrite(None);
        }
        let must_wait = rests(growth.pause_ms());
        let config = &self.config;
        let excess = growth.excess_percent(
            self.aof.offset,
            config.auto_aof_rewrite_percentage,
            config.auto_aof_rewrite_min_size,
        );
        if let Some(percent) = excess.filter(|_| !must_wait) {
            self.log_growth.last_try = Some(self.now);
            self.log(LogLevel::Notice, format!("Starting automatic rewriting of AOF on {percent}% growth"));
            self.ask_for_rewrite(None);
        }
    }

    /// Has the log begun anew. Who waits under `token` is told how that went.
    pub fn ask_for_rewrite(&mut self, token: Option<Token>) {
        self.log_growth.beginning = true;
        self.outbox.push(Effect::RewriteAof { token });
    }

    /// The rewrite that was asked for has begun, has to wait, or has failed (`None`).
    pub fn rewrite_begun(&mut self, token: Option<Token>, begun: Option<Begun>) {
        self.log_growth.beginning = false;
        self.log_growth.scheduled |= begun == Some(Begun::NotNow);
        let Some(token) = token else { return };
        self.finish(token, |client| match begun {
            Some(Begun::Yes) => client.reply.simple("Background append only file rewriting started"),
            Some(Begun::NotNow) => client.reply.simple("Background append only file rewriting scheduled"),
            None => client.reply.error(&ErrorReply::Static(
                "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
            )),
        });
    }

    /// A rewrite of the log has ended; `result` holds the bytes of its base.
    pub(super) fn count_rewrite(&mut self, started: Millis, result: &Result<u64, String>) {
        self.log_growth.last_seconds = Some(self.now.since(started) / 1000);
        self.log_growth.last_failed = result.is_err();
        self.log_growth.last_try = Some(self.now);
        match result {
            Ok(bytes) => {
                self.log_growth.forget_failures();
                self.log_growth.needs_base = false;
                self.log_growth.rewrites += 1;
                self.log_growth.rewritten(*bytes, self.aof.offset);
                self.log(LogLevel::Notice, "Background AOF rewrite terminated with success");
                self.log(LogLevel::Notice, "Background AOF rewrite finished successfully");
            }
            Err(error) => {
                self.log_growth.failures += 1;
                self.log(LogLevel::Warning, format!("Background AOF rewrite terminated with error: {error}"));
            }
        }
    }

    /// A rewrite could not even begin.
    pub fn note_failed_rewrite(&mut self, now: Millis) {
        self.now = now;
        self.log_growth.last_failed = true;
        self.log_growth.unbegun += 1;
        self.log_growth.last_try = Some(now);
    }

    /// Gives up the rewrite under way, if there is one.
    pub fn cancel_rewrite(&mut self) {
        self.log_growth.needs_base &= self.aof.is_on();
        if let Some(Job { purpose: Purpose::AofBase, cancelled, .. }) = &mut self.job {
            *cancelled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_begin_is_paused_like_what_fails() {
        let mut growth = LogGrowth { failures: 1, unbegun: 1, ..LogGrowth::default() };
        assert_eq!(growth.pause_ms(), 0);
        growth.unbegun += 1;
        assert_eq!(growth.pause_ms(), 60_000);
        growth.schedule();
        assert_eq!((growth.failures, growth.pause_ms()), (0, 0));
    }

    #[test]
    fn growth_is_measured_against_the_last_rewrite() {
        let mut growth = LogGrowth::default();
        growth.opened(1000, 500);
        assert_eq!(growth.current_bytes(600), 1100);
        assert_eq!(growth.excess_percent(1500, 100, 1000), Some(100));
        assert_eq!(growth.excess_percent(1499, 100, 1000), None);
        assert_eq!(growth.excess_percent(1500, 100, 2000), None);
        assert_eq!(growth.excess_percent(u64::MAX - 1000, 0, 0), None);
        growth.begun(1500);
        growth.rewritten(300, 1600);
        assert_eq!((growth.current_bytes(1600), growth.base_bytes()), (400, 400));
        assert_eq!(growth.excess_percent(2000, 100, 100), Some(100));
    }
}
