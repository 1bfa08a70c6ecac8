//! What the state machine asks of the world: everything that is IO leaves through here, in order.

use std::net::IpAddr;

use super::client::ClientId;
use super::slot_migration::ExportLink;
use crate::base::Millis;
use crate::config::Config;

/// Names a request to the outside whose answer finishes a parked client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One thing for the world to do. Performed in the order in which they were asked.
#[derive(Debug)]
pub enum Effect {
    /// The client has output, may go on, or is to be closed: see to it.
    Wake(ClientId),
    /// Call [`super::Server::alarm`] at this moment. An earlier one takes the place of a later one.
    Alarm { at: Millis },
    /// An output of the cluster engine: links, packets, the configuration file.
    Bus(crate::cluster::Output),
    /// An output of the replication engine towards the primary's link.
    ToPrimary(crate::repl::Output),
    /// Connect to `host:port`, send `request`, read `replies` replies, and answer with [`super::Server::migrated`].
    Migrate(Box<MigrateRequest>),
    /// Open the connection of a slot migration and report with [`super::Server::export_connected`]; then give what comes
    /// to [`super::Server::export_received`], write what [`super::Server::export_pull`] gives, and report the end with
    /// [`super::Server::export_lost`].
    OpenExport { link: ExportLink, host: String, port: u16 },
    /// The connection has something to be pulled.
    WakeExport(ExportLink),
    /// Close the connection, whatever is under way on it. Not reported.
    CloseExport(ExportLink),
    /// A snapshot has begun: call [`super::Server::snapshot_slice`] until it is complete, carry its bytes to where they
    /// belong, and report with [`super::Server::snapshot_ended`].
    SnapshotStarted,
    /// Queue the file of a finished snapshot on a replica's connection, then tell the replication engine.
    SendSnapshotFile { snapshot: crate::repl::SnapshotId, replica: crate::repl::ReplicaId },
    /// Write the configuration file anew and answer to the token. `whole`: with every directive, at its default or not.
    RewriteConfig { token: Token, whole: bool },
    /// Make this text the durable content of nodes.conf.
    SaveNodesConf { token: Token, text: String },
    /// Do what a changed configuration needs before it holds (sockets, directory, limits), and answer with
    /// [`super::Server::config_applied`].
    ApplyConfig(Box<ConfigRequest>),
    /// Directives were changed that something outside depends on.
    Reconfigure { names: Vec<&'static str> },
    /// The AOF is off: a base that was begun since it was closed is not to switch it on again.
    CloseAof,
    /// Begin a new base of the AOF, and report with [`super::Server::rewrite_begun`]. Who waits under the token is told.
    RewriteAof { token: Option<Token> },
    /// Stand still for so long (DEBUG SLEEP).
    Sleep { micros: u64, token: Token },
    /// Read the dataset from its files and answer to the token (DEBUG RELOAD, DEBUG LOADAOF).
    Reload(ReloadRequest),
    /// End the process badly (DEBUG PANIC and its like).
    Crash(Crash),
    /// Begin the process anew (DEBUG RESTART, DEBUG CRASH-AND-RECOVER). The token is answered when that fails.
    Restart(RestartRequest),
    /// Free these large values beside everything else.
    Free(Box<crate::keyspace::Garbage>),
    /// End the process.
    Shutdown(ShutdownRequest),
    /// A line for the log.
    Log(LogLevel, String),
}

/// A dataset that is to be read again.
#[derive(Clone, Copy, Debug)]
pub struct ReloadRequest {
    pub token: Token,
    pub source: ReloadSource,
}

/// Where from, and what happens to what is there.
#[derive(Clone, Copy, Debug)]
pub enum ReloadSource {
    /// The RDB file, written before if `save`. With `flush` the databases are emptied; with `merge` keys of the file take
    /// the place of those that are there, else they are an error.
    File { save: bool, flush: bool, merge: bool },
    /// The append-only log.
    Log,
}

/// How a process can end that nobody asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Assertion,
    Panic,
    Segfault,
    OutOfMemory,
    /// A replica cannot keep what its primary sends.
    ReplicaUnsaved,
}

/// How the process is to begin anew.
#[derive(Clone, Copy, Debug)]
pub struct RestartRequest {
    pub token: Token,
    pub delay_ms: u64,
    /// The configuration is rewritten and the dataset saved before; else everything ends where it is.
    pub graceful: bool,
}

/// A CONFIG SET that something outside has to agree to.
#[derive(Debug)]
pub struct ConfigRequest {
    pub token: Token,
    /// Names and values as they were sent.
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the client may do what `enable-protected-configs local` allows.
    pub local: bool,
    /// The configuration as it would be.
    pub config: Config,
    /// The directives whose values are others now.
    pub names: Vec<&'static str>,
}

/// How the process is to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShutdownRequest {
    /// Save the dataset, or do not; by default it is saved when there are save points.
    pub save: Option<bool>,
    /// Do not wait for replicas.
    pub now: bool,
    /// End even when saving fails.
    pub force: bool,
    /// Do not end as long as a cluster needs this node: as a primary with slots.
    pub safe: bool,
    /// As a primary of a cluster let a replica take over first.
    pub failover: bool,
}

/// The keys of one MIGRATE on their way.
#[derive(Debug)]
pub struct MigrateRequest {
    pub token: Token,
    pub host: String,
    pub port: u16,
    pub timeout_ms: u64,
    /// Commands before the keys (AUTH, SELECT); each must answer without an error.
    pub preamble: Vec<u8>,
    pub preamble_replies: usize,
    /// One RESTORE a key, encoded.
    pub restores: Vec<u8>,
    pub keys: usize,
}

/// What became of a MIGRATE.
#[derive(Debug)]
pub enum MigrateOutcome {
    /// Per key, in order: stored, or the target's error.
    Answered(Vec<Result<(), String>>),
    ConnectFailed,
    /// The link failed after some keys were answered.
    Failed {
        answered: Vec<Result<(), String>>,
        reading: bool,
    },
    /// AUTH or SELECT was refused.
    Refused(String),
}

/// Levels of the log, as `loglevel` filters them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// Who performs effects: `node` on the real machine, the simulator on its own.
pub trait World {
    fn perform(&mut self, effect: Effect);
}

/// An address as INFO and the bus show it.
#[must_use]
pub fn shown_addr(ip: IpAddr, port: u16) -> String {
    match ip {
        IpAddr::V4(v4) => format!("{v4}:{port}"),
        IpAddr::V6(v6) => format!("[{v6}]:{port}"),
    }
}
