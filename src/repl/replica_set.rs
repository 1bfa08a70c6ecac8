//! The replicas of this node, and what is known of each.

use std::collections::BTreeMap;

use super::event::{ReplicaId, SnapshotId};
use super::replconf::Traits;
use crate::base::Millis;

/// How far an attached replica is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaState {
    /// Waits for a snapshot to start.
    WaitStart,
    /// Its snapshot is being written (to a file) or sent (to its socket).
    WaitEnd(SnapshotId),
    /// The snapshot's file is being sent.
    SendBulk(SnapshotId),
    /// Loads a snapshot that it gets over a second link, while the stream already comes over this one.
    BgTransfer,
    /// This second link has brought the snapshot, and waits for the first one to ask for the stream.
    Transmitted,
    /// Gets the stream.
    Online,
}

impl ReplicaState {
    /// The word in INFO.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ReplicaState::WaitStart | ReplicaState::WaitEnd(_) => "wait_bgsave",
            ReplicaState::SendBulk(_) => "send_bulk",
            ReplicaState::BgTransfer => "bg_transfer",
            ReplicaState::Transmitted => "rdb_transmitted",
            ReplicaState::Online => "online",
        }
    }
}

/// An attached replica.
#[derive(Clone, Debug)]
pub struct Replica {
    pub traits: Traits,
    /// Address of its connection.
    pub peer_ip: String,
    pub state: ReplicaState,
    /// It came with SYNC: it neither got an offset nor acknowledges.
    pub legacy: bool,
    pub attached_at: Millis,
    /// Position up to which the stream was given to its connection.
    pub sent: u64,
    /// It is online, but the stream waits for its first acknowledgement.
    pub held: bool,
    /// Highest offset acknowledged as applied, and as fsynced.
    pub ack: u64,
    pub fsynced: u64,
    pub ack_at: Millis,
    /// Last sign that its snapshot makes progress.
    pub(super) progress_at: Millis,
    pub(super) over_soft_since: Option<Millis>,
    /// This second link keeps the stream behind its snapshot for the first one, which has not asked for it yet.
    pub(super) pins: bool,
}

impl Replica {
    /// Whether the stream goes to its connection.
    #[must_use]
    pub(super) fn is_fed(&self) -> bool {
        !self.held && matches!(self.state, ReplicaState::Online | ReplicaState::BgTransfer)
    }

    /// What its connection is there for, as INFO says it.
    #[must_use]
    pub fn link_name(&self) -> &'static str {
        if self.traits.rdb_channel {
            "rdb-channel"
        } else if self.state == ReplicaState::BgTransfer {
            "main-channel"
        } else {
            "replica"
        }
    }

    /// The address to show: the one it told, else its connection's.
    #[must_use]
    pub fn ip(&self) -> &str {
        self.traits.ip.as_deref().unwrap_or(&self.peer_ip)
    }

    /// Address and port, for the log.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.ip(), self.traits.listening_port)
    }

    /// Seconds since the last acknowledgement, if it is online.
    #[must_use]
    pub fn lag_secs(&self, now: Millis) -> i64 {
        if self.state == ReplicaState::Online { now.since(self.ack_at) / 1000 } else { 0 }
    }

    /// The snapshot it gets.
    #[must_use]
    pub fn snapshot(&self) -> Option<SnapshotId> {
        match self.state {
            ReplicaState::WaitEnd(id) | ReplicaState::SendBulk(id) => Some(id),
            ReplicaState::WaitStart | ReplicaState::BgTransfer | ReplicaState::Transmitted | ReplicaState::Online => {
                None
            }
        }
    }

    /// The position it has yet to read from, unless it has no place in the stream yet or never will.
    pub(super) fn needs(&self) -> Option<u64> {
        (self.state != ReplicaState::WaitStart && (!self.traits.rdb_only || self.pins)).then_some(self.sent)
    }
}

/// Replicas by their connection, in order of connection.
#[derive(Default)]
pub(super) struct ReplicaSet {
    /// Told by clients that did not ask for the stream yet.
    greetings: BTreeMap<ReplicaId, Traits>,
    attached: BTreeMap<ReplicaId, Replica>,
}

impl ReplicaSet {
    /// Where REPLCONF of this client is kept.
    pub fn traits_mut(&mut self, id: ReplicaId) -> &mut Traits {
        match self.attached.get_mut(&id) {
            Some(replica) => &mut replica.traits,
            None => self.greetings.entry(id).or_default(),
        }
    }

    /// Attaches a client under what it told before.
    pub fn attach(&mut self, id: ReplicaId, peer_ip: String, legacy: bool, now: Millis) -> &mut Replica {
        let traits = self.greetings.remove(&id).unwrap_or_default();
        self.attached.entry(id).or_insert(Replica {
            traits,
            peer_ip,
            state: ReplicaState::WaitStart,
            legacy,
            attached_at: now,
            sent: 0,
            held: false,
            ack: 0,
            fsynced: 0,
            ack_at: now,
            progress_at: now,
            over_soft_since: None,
            pins: false,
        })
    }

    /// Forgets a client; gives its state if it was attached.
    pub fn remove(&mut self, id: ReplicaId) -> Option<Replica> {
        self.greetings.remove(&id);
        self.attached.remove(&id)
    }

    pub fn get(&self, id: ReplicaId) -> Option<&Replica> {
        self.attached.get(&id)
    }

    pub fn get_mut(&mut self, id: ReplicaId) -> Option<&mut Replica> {
        self.attached.get_mut(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        self.attached.iter().map(|(id, replica)| (*id, replica))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ReplicaId, &mut Replica)> {
        self.attached.iter_mut().map(|(id, replica)| (*id, replica))
    }

    pub fn len(&self) -> usize {
        self.attached.len()
    }

    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Ids of the replicas that `is` holds for, to go through while the set changes.
    pub fn ids(&self, is: impl Fn(&Replica) -> bool) -> Vec<ReplicaId> {
        self.iter().filter(|(_, replica)| is(replica)).map(|(id, _)| id).collect()
    }

    pub fn online(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        self.iter().filter(|(_, replica)| replica.state == ReplicaState::Online)
    }
}
