//! What goes into the engine and what comes out of it.

use std::net::IpAddr;

use bytes::Bytes;

use crate::base::{Millis, NodeId, Slot};

/// One TCP connection of the bus. The engine numbers those it asks for, the caller those it accepts; the
/// two kinds never collide. A number is not used twice in the life of an engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LinkId {
    /// Opened by [`Output::Connect`].
    Outbound(u64),
    /// Announced by [`Input::Accepted`].
    Inbound(u64),
}

/// Something that happened outside.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An outbound connection is established.
    LinkUp { link: LinkId },
    /// A connection is gone, or could not be established.
    LinkDown { link: LinkId },
    /// A connection was accepted on the bus port.
    Accepted { link: LinkId, peer_ip: IpAddr, local_ip: IpAddr },
    /// One whole packet, cut by [`super::frame::next`].
    Packet { link: LinkId, bytes: &'a [u8] },
    /// Memory held by what a link has not sent yet; told when it has changed much, before a tick.
    LinkQueue { link: LinkId, bytes: u64 },
    /// The facts of the rest of the server; told before a tick and whenever they jump (see [`LocalFacts`]).
    Facts(LocalFacts),
    /// Every 100 ms.
    Tick,
}

/// What the rest of the server knows and the engine needs: told, not asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LocalFacts {
    /// Bytes of replication stream: produced as a primary, processed as a replica. Headers carry it, a
    /// manual failover waits for it: tell it at once while `Engine::manual_failover_waits_for_offset`.
    pub repl_offset: u64,
    /// As a replica: how fresh the data is.
    pub data: DataAge,
}

/// The state of a replica's link to its primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DataAge {
    /// Not connected to this primary since the start: how old the data are is not known.
    #[default]
    Never,
    /// What is here are not data of this primary's shard: those of another, or what is left of a load.
    Foreign,
    /// Connected and synchronised; the last byte came at this monotonic time.
    LinkedSince { last_io: Millis },
    /// The link went down at this monotonic time.
    DownSince(Millis),
}

/// How grave a log line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// Whom to replicate from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FollowTarget {
    pub id: NodeId,
    pub ip: String,
    /// Plain client port; 0: none.
    pub port: u16,
    /// TLS client port; 0: none.
    pub tls_port: u16,
    /// False: the histories are not related (another shard): do not ask for a partial resync.
    pub try_partial: bool,
}

/// Something to do outside. Outputs are performed in order; what stands behind a [`Output::SaveConfig`]
/// is not performed before that is done, because it is what protects a vote from being given twice.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Write `nodes.conf`: to a temporary file, renamed over the old one; with `fsync`, durable before going on.
    SaveConfig {
        text: String,
        fsync: bool,
    },
    /// Connect; answered by `LinkUp` or `LinkDown`.
    Connect {
        link: LinkId,
        ip: String,
        port: u16,
    },
    /// Queue a packet on a link.
    Send {
        link: LinkId,
        bytes: Bytes,
    },
    /// Close a link, whatever it still has queued. Not answered.
    Close {
        link: LinkId,
    },
    /// I am a primary now: stop replicating, keep the data.
    Promote,
    /// I am a replica of this node now (or still, at another address).
    Follow(FollowTarget),
    /// Hold back writes, expiry and eviction until this monotonic time (manual failover). Replaces an earlier one.
    PauseWrites {
        until: Millis,
    },
    /// Stop holding back.
    Unpause,
    /// Slots changed hands: cached replies and blocked clients must be looked at again.
    SlotsChanged,
    /// `cluster_state` changed.
    StateChanged {
        ok: bool,
    },
    /// Delete what is left in these slots and propagate the deletions: they belong to others now.
    DeleteSlotKeys(Vec<Slot>),
    /// A message for local subscribers.
    PublishLocal {
        channel: Bytes,
        message: Bytes,
        sharded: bool,
    },
    /// Drop all data (CLUSTER RESET of a replica, REPLICATE NO ONE).
    FlushAll,
    Log {
        level: LogLevel,
        text: String,
    },
}

/// The keys of this server, as far as slot administration must know them.
pub trait SlotKeys {
    /// Keys in this slot.
    fn count(&self, slot: Slot) -> usize;
    /// Whether no database holds any key.
    fn is_empty(&self) -> bool;
}
