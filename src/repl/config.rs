//! The directives that replication obeys, as plain values. Whoever owns the table of directives fills
//! this in and hands over a new one after each change.

/// How a replica takes the snapshot of a full synchronisation (`repl-diskless-load`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DisklessLoad {
    /// To a file first; the old data stays until the file is complete.
    #[default]
    Disabled,
    /// Straight from the socket, if there are no data that could be lost.
    WhenDbEmpty,
    /// Straight from the socket into a second keyspace, swapped in at the end.
    SwapDb,
    /// Straight from the socket, after emptying the keyspace.
    FlushBeforeLoad,
}

/// The replication directives. Defaults are those of a stock server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `repl-backlog-size`.
    pub backlog_size_bytes: u64,
    /// `repl-backlog-ttl`; 0 keeps the backlog of a primary without replicas for ever.
    pub backlog_ttl_secs: u64,
    pub diskless_sync: bool,
    pub diskless_sync_delay_secs: u64,
    /// Start without waiting for the delay when this many replicas wait; 0 for no such number.
    pub diskless_sync_max_replicas: usize,
    pub diskless_load: DisklessLoad,
    /// `dual-channel-replication-enabled`.
    pub dual_channel: bool,
    /// `repl-timeout`.
    pub timeout_secs: u64,
    /// `repl-ping-replica-period`.
    pub ping_period_secs: u64,
    pub min_replicas_to_write: usize,
    pub min_replicas_max_lag_secs: u64,
    /// The replica class of `client-output-buffer-limit`; 0 for no limit.
    pub output_hard_limit_bytes: u64,
    pub output_soft_limit_bytes: u64,
    pub output_soft_limit_secs: u64,
    /// `primaryuser` (`masteruser`).
    pub primary_user: Option<Vec<u8>>,
    /// `primaryauth` (`masterauth`).
    pub primary_auth: Option<Vec<u8>>,
    /// `replica-announce-ip`.
    pub announce_ip: Option<String>,
    /// The port told to the primary: `replica-announce-port`, else the listening (or TLS) port.
    pub announce_port: u16,
    /// This node's id, told to the primary in cluster mode.
    pub cluster_node_id: Option<crate::base::NodeId>,
    pub replica_priority: u64,
    pub replica_read_only: bool,
    pub replica_announced: bool,
    /// Whether the AOF is on: a primary that streams to nobody still counts its writes then.
    pub append_only: bool,
    /// The version a replica reports, `x.y.z`.
    pub version: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            backlog_size_bytes: 10 << 20,
            backlog_ttl_secs: 3600,
            diskless_sync: true,
            diskless_sync_delay_secs: 5,
            diskless_sync_max_replicas: 0,
            diskless_load: DisklessLoad::Disabled,
            dual_channel: false,
            timeout_secs: 60,
            ping_period_secs: 10,
            min_replicas_to_write: 0,
            min_replicas_max_lag_secs: 10,
            output_hard_limit_bytes: 256 << 20,
            output_soft_limit_bytes: 64 << 20,
            output_soft_limit_secs: 60,
            primary_user: None,
            primary_auth: None,
            announce_ip: None,
            announce_port: 6379,
            cluster_node_id: None,
            replica_priority: 100,
            replica_read_only: true,
            replica_announced: true,
            append_only: false,
            version: "9.1.2".to_owned(),
        }
    }
}

impl Config {
    /// `repl-timeout` in milliseconds.
    #[must_use]
    pub(super) fn timeout_ms(&self) -> i64 {
        ms(self.timeout_secs)
    }

    /// How far a replica may fall behind before it is dropped, or `None`. Never below the backlog's own size,
    /// since what the backlog holds anyway costs nothing to keep.
    pub(super) fn hard_limit(&self) -> Option<u64> {
        (self.output_hard_limit_bytes > 0).then(|| self.output_hard_limit_bytes.max(self.backlog_size_bytes))
    }

    /// How far a replica may be behind for the soft limit's time.
    pub(super) fn soft_limit(&self) -> Option<u64> {
        (self.output_soft_limit_bytes > 0).then(|| self.output_soft_limit_bytes.max(self.backlog_size_bytes))
    }
}

/// Seconds of a directive as milliseconds, without overflow.
pub(super) fn ms(secs: u64) -> i64 {
    i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX)
}
