//! What an engine knows: asked by whoever decides or reports with it.

use super::engine::Engine;
use super::event::{Endpoint, LinkId, ReplicaId, SavedHistory};
use super::follower::{Follower, Phase};
use super::history::History;
use super::replica_set::{Replica, ReplicaState};
use crate::base::Millis;

impl Engine {
    /// Whether the node follows no other.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.follower.is_none()
    }

    /// Whom the node follows.
    #[must_use]
    pub fn followed(&self) -> Option<&Endpoint> {
        self.follower.as_ref().map(|f| &f.endpoint)
    }

    /// Whether the stream from the primary flows.
    #[must_use]
    pub fn is_link_up(&self) -> bool {
        self.follower.as_ref().is_some_and(Follower::is_connected)
    }

    /// Milliseconds since the data were last known to be those of the primary; `None` on a primary, and if they never were.
    #[must_use]
    pub fn data_age_ms(&self, now: Millis) -> Option<i64> {
        let follower = self.follower.as_ref()?;
        let since = if follower.is_connected() { Some(follower.last_io) } else { follower.down_since };
        since.map(|since| now.since(since))
    }

    /// Whether what is here are not data of the primary that is followed: another's, or what is left of a load.
    #[must_use]
    pub fn is_data_foreign(&self) -> bool {
        self.follower.as_ref().is_some_and(|follower| follower.foreign)
    }

    /// Whether more bytes may be read from a link to the primary.
    #[must_use]
    pub fn accepts_bytes(&self, link: LinkId) -> bool {
        self.follower.as_ref().is_none_or(|follower| follower.accepts_bytes(link))
    }

    /// `master_repl_offset`. Remembered for a client after its write, it is what WAIT compares with.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.primary.stream.history.offset
    }

    #[must_use]
    pub fn history(&self) -> &History {
        &self.primary.stream.history
    }

    /// What a snapshot file saved now tells in `repl-id`, `repl-offset` and `repl-stream-db`. `primary_db` is the database
    /// selected by the primary's stream; it is used on a replica only. `None` if the data belong to no shared history.
    #[must_use]
    pub fn save_info(&self, primary_db: u32) -> Option<(SavedHistory, u32)> {
        let stream = &self.primary.stream;
        let db = match &self.follower {
            None if stream.backlog.is_some() => stream.select.db().unwrap_or(0),
            Some(follower) if follower.can_resume => primary_db,
            _ => return None,
        };
        Some((SavedHistory { id: stream.history.id, offset: stream.history.offset }, db))
    }

    /// How many replicas acknowledged everything up to `offset` (WAIT).
    #[must_use]
    pub fn acked_by(&self, offset: u64) -> usize {
        self.primary.replicas.online().filter(|(_, r)| r.ack >= offset).count()
    }

    /// How far this server's own AOF is on disk; `None` when there is none.
    #[must_use]
    pub fn fsynced(&self) -> Option<u64> {
        self.fsynced
    }

    /// How many replicas have everything up to `offset` in their AOF on disk (WAITAOF).
    #[must_use]
    pub fn fsynced_by(&self, offset: u64) -> usize {
        self.primary.replicas.online().filter(|(_, r)| r.fsynced >= offset).count()
    }

    /// Whether writes are allowed by `min-replicas-to-write`.
    #[must_use]
    pub fn has_enough_good_replicas(&self, now: Millis) -> bool {
        let wanted = self.config.min_replicas_to_write;
        wanted == 0
            || self.config.min_replicas_max_lag_secs == 0
            || !self.is_primary()
            || self.primary.good(now, self.config.min_replicas_max_lag_secs) >= wanted
    }

    /// A replica of this node.
    #[must_use]
    pub fn replica(&self, id: ReplicaId) -> Option<&Replica> {
        self.primary.replicas.get(id)
    }

    /// The replicas of this node, in order of connection.
    pub fn replicas(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        self.primary.replicas.iter()
    }

    /// Online replicas that did not acknowledge everything yet (for SHUTDOWN).
    pub fn lagging(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        let end = self.offset();
        self.primary.replicas.online().filter(move |(_, r)| r.ack != end)
    }

    /// Bytes of memory the stream's tail takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.primary.stream.backlog.as_ref().map_or(0, super::backlog::Backlog::memory)
    }

    /// Whether a replica is being brought up by a full synchronisation.
    #[must_use]
    pub fn is_serving_snapshot(&self) -> bool {
        self.primary.replicas.iter().any(|(_, r)| r.state != ReplicaState::Online)
    }

    /// Whether a snapshot from the primary is arriving or being loaded.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.follower
            .as_ref()
            .is_some_and(|f| matches!(f.phase, Phase::Transfer { .. } | Phase::Dual(_) | Phase::Loading { .. }))
    }
}
