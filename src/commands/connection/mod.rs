//! The connection group: who a client is and how it speaks.

mod client;
mod hello;
mod session;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[client::COMMANDS, hello::COMMANDS, session::COMMANDS];
