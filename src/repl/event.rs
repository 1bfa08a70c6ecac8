//! What goes into the engine and what comes out of it.

use std::fmt;

use bytes::Bytes;

use super::config::Config;
use super::history::ReplId;
use super::replconf::{RdbFilter, Version};
use super::transfer::{Framing, MARK_LEN};

/// A replica of this node: the id of its client connection, chosen by the owner of the connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplicaId(pub u64);

/// One attempt to reach the primary. Events of an older attempt are ignored, so they may arrive late.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

impl LinkId {
    const SECOND: u64 = 1 << 63;

    /// The link beside this one that a dual-channel synchronisation opens for the snapshot.
    #[must_use]
    pub fn second(self) -> LinkId {
        LinkId(self.0 | LinkId::SECOND)
    }

    #[must_use]
    pub fn is_second(self) -> bool {
        self.0 & LinkId::SECOND != 0
    }
}

/// One snapshot for one or more replicas.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId(pub u64);

/// Where a primary is to be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// Whether both name the same server, letter by letter (host names without case).
    #[must_use]
    pub fn is_same(&self, other: &Endpoint) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The history that a snapshot file was saved under (its fields `repl-id` and `repl-offset`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavedHistory {
    pub id: ReplId,
    pub offset: u64,
}

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed. Expected about ten times a second; everything periodic hangs on it.
    Tick,
    /// Directives changed.
    Reconfigure(Box<Config>),
    /// The data are loaded and links may be opened; `saved` if the file was an RDB that told its history.
    Booted {
        saved: Option<SavedHistory>,
    },

    // Serving side.
    /// The connection of a client that may be a replica is gone. Unknown ids are fine: send it for every client.
    ClientGone(ReplicaId),
    /// The snapshot's point in time is *now*: whatever is propagated from here on is not in it.
    SnapshotStarted(SnapshotId),
    /// It cannot be started yet (another save runs): ask again in a second.
    SnapshotPostponed(SnapshotId),
    /// Bytes of a socket snapshot were taken by this replica's connection.
    SnapshotProgress(ReplicaId),
    /// The snapshot is complete. Socket: its bytes are queued on every replica's connection. Disk: the file is `len` bytes.
    SnapshotDone {
        snapshot: SnapshotId,
        len: u64,
    },
    SnapshotFailed(SnapshotId),
    /// The whole file of [`Output::SendSnapshotFile`] is queued on this replica's connection.
    FileSent(ReplicaId),

    // Following side.
    /// The connection of [`Output::Connect`] stands.
    LinkUp(LinkId),
    /// It could not be made, or broke, or was closed by the primary.
    LinkDown(LinkId),
    /// Bytes from the primary, in order.
    FromPrimary {
        link: LinkId,
        bytes: Bytes,
    },
    /// The bytes that were applied are no commands: the place where the stream was resumed is not where a command begins, or
    /// what came before was not what it should have been.
    StreamBroken,
    /// The load that ended with [`Output::EndLoad`] succeeded or failed. Not to be sent after [`Output::AbortLoad`].
    LoadDone {
        ok: bool,
    },
    /// The AOF is on disk up to this offset of the history: told in acknowledgements. `None` when there is no AOF.
    Fsynced(Option<u64>),
}

/// Where a snapshot's bytes go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotTarget {
    /// Into a file, which is then sent with its length in front.
    Disk,
    /// Straight to the replicas' connections. The engine itself sends the mark before and after.
    Socket { mark: [u8; MARK_LEN] },
}

/// A snapshot to be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRequest {
    pub snapshot: SnapshotId,
    pub target: SnapshotTarget,
    /// Who gets it. A replica that goes away meanwhile is told by [`Output::CloseReplica`] or known by its closed connection.
    pub replicas: Vec<ReplicaId>,
    /// What to leave out.
    pub filter: RdbFilter,
    /// The version all the receivers reported; `None` when they did not: write what the oldest supported server reads.
    pub version: Option<Version>,
}

/// Why a replica's connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CloseReason {
    #[error("no acknowledgement within repl-timeout")]
    AckTimeout,
    #[error("the snapshot made no progress within repl-timeout")]
    TransferTimeout,
    #[error("it fell behind more than the replica output buffer limit")]
    OutputLimit,
    #[error("the snapshot failed")]
    SnapshotFailed,
    #[error("it asked for a snapshot only, and has it")]
    SnapshotOnly,
    #[error("the replication history changed")]
    HistoryChanged,
}

/// How important a log line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    Debug,
    Notice,
    Warning,
}

/// Something to be done outside, in the order given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    // Serving side.
    /// Queue these bytes on the replica's connection.
    ToReplica {
        replica: ReplicaId,
        bytes: Bytes,
    },
    /// Close the replica's connection, if asked so after what is queued on it is written. It is forgotten already.
    CloseReplica {
        replica: ReplicaId,
        after_flush: bool,
        reason: CloseReason,
    },
    /// Take a snapshot: answer with `SnapshotStarted` at its point in time (or `Postponed`, or `Failed`), then `Done` or `Failed`.
    StartSnapshot(SnapshotRequest),
    /// Nobody waits for this snapshot any more.
    CancelSnapshot(SnapshotId),
    /// Queue the snapshot's file on the replica's connection, then say `FileSent`.
    SendSnapshotFile {
        snapshot: SnapshotId,
        replica: ReplicaId,
    },
    /// A replica acknowledged more: look again at the clients in WAIT.
    AcksAdvanced,

    // Following side.
    /// Open a connection to the primary; an older one, if any, was told to be closed before.
    Connect {
        link: LinkId,
        to: Endpoint,
    },
    SendToPrimary {
        link: LinkId,
        bytes: Bytes,
    },
    CloseLink(LinkId),
    /// A snapshot begins to arrive: `history` is what the data will be once loaded (`None` from a primary without PSYNC).
    BeginLoad {
        history: Option<SavedHistory>,
        framing: Framing,
    },
    /// The next bytes of the snapshot.
    LoadChunk(Bytes),
    /// The snapshot arrived completely: load it (or finish loading it), then say `LoadDone`.
    EndLoad,
    /// Drop the snapshot that was begun; there will be no `EndLoad`, and no `LoadDone` is expected.
    AbortLoad,
    /// The stream begins. A full synchronisation selects the database that the snapshot's field `repl-stream-db` told; one that goes on
    /// where it stopped (`resumed`) keeps the database selected before, or database 0 if this node was itself the primary before.
    StreamBegins {
        resumed: bool,
    },
    /// The next bytes of the stream. Execute them and hand every finished unit back to `Engine::applied`.
    Apply(Bytes),
    /// The stream broke off: forget what was not applied (a half command, an open MULTI).
    StreamEnds,

    /// FAILOVER: hold clients' writes, expiry and eviction back, or let them go again (to the new primary, if this node is none
    /// any more).
    PauseWrites(bool),

    Log {
        level: LogLevel,
        text: String,
    },
}
