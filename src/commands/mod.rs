//! The commands, one folder a group, one file a family: declaration and handler together.
//!
//! To add a command, add a [`Command`] to its family's `COMMANDS`; everything else (COMMAND, key extraction, ACL
//! categories, help) follows from the declaration.

#[cfg(test)]
pub mod bench;
pub mod bitmap;
pub mod cluster;
pub mod connection;
pub mod element;
pub mod expiry;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod help;
pub mod hyperloglog;
pub mod list;
pub mod mpop;
pub mod parse;
pub mod pubsub;
pub mod sample;
pub mod scan;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod transactions;
pub mod zset;

use crate::exec::Command;

/// Every family.
#[must_use]
pub fn all() -> Vec<&'static [Command]> {
    [
        bitmap::FAMILIES,
        cluster::FAMILIES,
        connection::FAMILIES,
        generic::FAMILIES,
        geo::FAMILIES,
        hash::FAMILIES,
        hyperloglog::FAMILIES,
        list::FAMILIES,
        pubsub::FAMILIES,
        server::FAMILIES,
        set::FAMILIES,
        stream::FAMILIES,
        string::FAMILIES,
        transactions::FAMILIES,
        zset::FAMILIES,
    ]
    .concat()
}
