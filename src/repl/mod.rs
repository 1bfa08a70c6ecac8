//! The engine of replication: a state machine without IO, clock or randomness of its own.
//!
//! One [`Engine`] is both sides of a node: it serves replicas, and it follows a primary if there is one. It is fed with
//! [`Input`]s and the requests of clients, and drained of [`Output`]s, which are performed in order.
//!
//! # How it is used
//!
//! Serving side. REPLCONF, SYNC and PSYNC go to [`Engine::replconf`] and [`Engine::sync`]. Every write goes once to
//! [`Engine::propagate`]. After a batch, for each replica of [`Engine::ready`], what [`Engine::pending`] shows is written to its
//! connection and reported with [`Engine::advance`]: the stream is kept once and not copied per replica. What is queued by
//! [`Output::ToReplica`] goes to the same connection, before whatever is pending later. A snapshot is asked for with
//! [`Output::StartSnapshot`]; its bytes go from the snapshot to the connections without passing the engine.
//!
//! Following side. [`Engine::follow`] and [`Engine::promote`] change the role. Bytes from the primary go in as they come
//! ([`Input::FromPrimary`]); a snapshot comes out between `BeginLoad` and `EndLoad`, the stream as `Apply`. Every unit of the
//! stream that was executed goes back with [`Engine::applied`], which makes it count and passes it on.
//!
//! With dual-channel synchronisation the snapshot comes over a second link ([`LinkId::second`]), which is opened and closed like
//! the first.
//!
//! [`Input::ClientGone`] is due for every client connection that closes, [`Input::Tick`] about ten times a second, and
//! [`Input::Booted`] once, when the data are loaded.

mod answers;
mod backlog;
mod config;
mod engine;
mod event;
mod facts;
mod failover;
mod follower;
mod full_sync;
mod handshake;
mod history;
mod loading;
mod primary;
mod psync;
mod replconf;
mod replica_set;
mod second;
mod select;
mod stream;
mod transfer;
mod view;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sim;

pub use config::{Config, DisklessLoad};
pub use engine::{Engine, Followed};
pub use event::{
    CloseReason, Endpoint, Input, LinkId, LogLevel, Output, ReplicaId, SavedHistory, SnapshotId, SnapshotRequest,
    SnapshotTarget,
};
pub use failover::{FailoverError, FailoverRequest};
pub use history::{History, Previous, ReplId};
pub use psync::{SyncError, SyncKind, SyncRequest, Synced};
pub use replconf::{RdbFilter, ReplconfError, ReplconfReply, Traits, Version};
pub use replica_set::{Replica, ReplicaState};
pub use select::command;
pub use transfer::{Framing, MARK_LEN};
pub use view::{RoleReplica, RoleView};
