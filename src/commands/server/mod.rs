//! The server group.

mod replication;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[replication::COMMANDS];
