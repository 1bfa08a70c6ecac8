//! The server as a state machine: clients, gates, call, effects, transactions, cron.
//!
//! The path of a command: `node` parses a batch, [`Server::run_batch`] looks each command up, asks the gates, calls the
//! handler, and propagates, counts and notifies once. What has to happen outside leaves as an [`Effect`].

pub mod acks;
pub mod alarm;
mod blocked;
pub mod call;
pub mod client;
pub mod clients_cron;
pub mod cluster;
pub mod commandlog;
mod cron;
pub mod ctx;
pub mod effect;
pub mod frozen;
mod gates;
pub mod histogram;
pub mod keys;
pub mod latency;
pub mod loading;
pub mod log_growth;
pub mod memory;
mod migrate;
mod monitor;
pub mod multi;
mod output;
mod prefetch;
pub mod propagate;
pub mod pubsub;
pub mod push;
pub mod rdb_load;
mod reconfigure;
pub mod replication;
mod route;
mod secrets;
pub mod server;
pub mod settled;
pub mod shutdown;
pub mod slot_migration;
pub mod slot_orders;
pub mod slot_stats;
pub mod snapshot;
pub mod spec;
pub mod state;
pub mod stats;
mod suspended;
pub mod table;
pub mod tracking;

pub use blocked::Wait;
pub use client::{Client, ClientId};
pub use ctx::Ctx;
pub use effect::{Effect, Token, World};
pub use server::{Server, Setup};
pub use spec::{Acl, Arg, Begin, Command, Done, Find, Flags, Group, KeyFlags, KeySpec};
