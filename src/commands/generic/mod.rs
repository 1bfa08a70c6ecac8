//! The generic group: what can be done with any key.

mod delete;
mod migrate;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[delete::COMMANDS, migrate::COMMANDS];
