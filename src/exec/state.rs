//! What state the server is in, as gates, INFO and replies ask for it.

use super::client::Client;
use super::effect::{Crash, Effect, LogLevel};
use super::server::Server;
use crate::resp::ErrorReply;

/// The Redis level whose behaviour and files this server has.
pub const COMPAT_VERSION: &str = "7.2.4";

impl Server {
    /// `standalone` or `cluster`.
    #[must_use]
    pub fn mode_name(&self) -> &'static str {
        if self.config.cluster_enabled { "cluster" } else { "standalone" }
    }

    /// `master` or `replica`, as HELLO says it.
    #[must_use]
    pub fn role_name(&self) -> &'static str {
        if self.repl.is_primary() { "master" } else { "replica" }
    }

    /// Whether a dataset is being read: most commands have to wait for its end.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        self.loading.is_some_and(|loading| !loading.serving)
    }

    /// Whether a dataset is being read beside the one that is served.
    #[must_use]
    pub fn is_loading_aside(&self) -> bool {
        self.loading.is_some_and(|loading| loading.serving)
    }

    /// Whether a dataset is being loaded that does not come from a primary.
    #[must_use]
    pub fn loads_own_data(&self) -> bool {
        self.loading.as_ref().is_some_and(|loading| !loading.from_primary)
    }

    /// Writes are refused while the dataset cannot be saved as the configuration promises.
    pub(super) fn disk_error(&self) -> Option<ErrorReply> {
        if let Some(reason) = &self.aof_error {
            return Some(ErrorReply::text_of(format!("MISCONF Errors writing to the AOF file: {reason}")));
        }
        let promised = self.config.stop_writes_on_bgsave_error && !self.config.save.is_empty();
        (promised && self.saves.last_failed).then_some(ErrorReply::Static(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands \
             that may modify the data set are disabled, because this instance is configured to report errors during \
             writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for \
             details about the RDB error.",
        ))
    }

    /// Whether a replica that cannot keep what its primary sends applies it nevertheless: else its process ends, since it
    /// would go on as if it had it.
    pub(super) fn applies_unsaved(&mut self) -> bool {
        const TOLD_AGAIN_MS: i64 = 10_000;
        if !self.config.replica_ignore_disk_write_errors {
            self.outbox.push(Effect::Crash(Crash::ReplicaUnsaved));
            return false;
        }
        if self.unsaved_told.is_none_or(|told| self.now.since(told) > TOLD_AGAIN_MS) {
            self.unsaved_told = Some(self.now);
            self.log(LogLevel::Warning, "Replica is applying a command even though it is unable to write to disk.");
        }
        true
    }

    /// A connection that was a replica is gone.
    pub(super) fn forget_replica(&mut self, client: &mut Client) {
        if let Some(id) = client.replica.take() {
            self.replica_gone(id);
        }
    }
}
