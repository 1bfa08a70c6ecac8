//! The string group.

mod counter;
mod get;
mod part;
mod set;
mod take;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[counter::COMMANDS, get::COMMANDS, part::COMMANDS, set::COMMANDS, take::COMMANDS];
