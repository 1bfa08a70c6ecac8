//! The server group: the server and its databases as wholes.

mod keyspace;
mod replication;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[keyspace::COMMANDS, replication::COMMANDS];
