//! The cluster group.

mod admin;
mod client;
mod declarations;
mod keys;
mod migration;
mod scan;
mod slot_stats;
mod topology;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[declarations::COMMANDS, client::COMMANDS, scan::COMMANDS];
