//! The bitmap group: strings as rows of bits, the highest bit of the first byte first.

mod bit;
mod combine;
mod field;
mod search;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[bit::COMMANDS, combine::COMMANDS, field::COMMANDS, search::COMMANDS];
