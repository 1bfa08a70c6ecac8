//! The set group: distinct members without order.

mod algebra;
mod combine;
mod members;
mod sample;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[combine::COMMANDS, members::COMMANDS, sample::COMMANDS];
