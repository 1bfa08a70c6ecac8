//! The connection group: who a client is and how it speaks.

mod hello;
mod session;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[hello::COMMANDS, session::COMMANDS];
