//! The hash group: fields with values under one key.

mod fields;
mod increment;
mod sample;
mod scan;
mod write;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] =
    &[fields::COMMANDS, increment::COMMANDS, sample::COMMANDS, scan::COMMANDS, write::COMMANDS];
