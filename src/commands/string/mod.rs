//! The string group.

mod get;
mod set;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[get::COMMANDS, set::COMMANDS];
