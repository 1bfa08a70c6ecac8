//! `trib` and `node`: the cluster operator's tool and the server it is bundled with.
//!
//! The map, room by room; a room uses only rooms above it:
//!
//! - [`base`]: leaf helpers without state: slots, time, randomness, globs, numbers as text, checksums
//! - [`resp`]: the wire protocol, without IO: request parser, reply writer, every error text
//! - [`data`]: the containers and the values built from them
//! - [`keyspace`]: databases: lookup, expiry, scan, watch, snapshot
//! - [`pubsub`]: who listens to which channels, patterns and shard channels
//! - [`config`]: the one table of directives, and the configuration file
//! - [`persist`]: RDB, DUMP and AOF formats over `Read` and `Write`
//! - [`cluster`]: the engine of the cluster bus, without IO (uses only `base` and `resp`)
//! - [`repl`]: the engine of replication, without IO (uses only `base` and `resp`)
//! - [`exec`]: the server as a state machine: clients, gates, call, effects, transactions, cron
//! - [`commands`]: one folder a group, one file a family: declaration, handler and tests together
//! - [`node`]: the only room of the server that does IO
//! - [`trib`]: the command-line tool (uses `base`, `resp` and the RDB reader of `persist` only)
//!
//! The layer rule is checked from the `use` lines by `tests/tidy`.

pub mod base;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod data;
pub mod exec;
pub mod keyspace;
pub mod node;
pub mod persist;
pub mod pubsub;
pub mod repl;
pub mod resp;
pub mod trib;
