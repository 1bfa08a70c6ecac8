//! The pubsub group: messages to whoever listens.

mod look;
mod publish;
mod subscribe;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[look::COMMANDS, publish::COMMANDS, subscribe::COMMANDS];
