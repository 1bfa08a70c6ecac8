//! The cluster group.

mod admin;
mod client;
mod declarations;
mod keys;
mod migration;
mod topology;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[declarations::COMMANDS, client::COMMANDS];
