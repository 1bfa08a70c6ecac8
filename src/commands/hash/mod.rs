//! The hash group: fields with values under one key.

mod expire;
mod fields;
mod increment;
mod lifetime;
mod sample;
mod scan;
mod setex;
mod take;
#[cfg(test)]
mod tests;
mod ttl;
mod write;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[
    expire::COMMANDS,
    fields::COMMANDS,
    increment::COMMANDS,
    sample::COMMANDS,
    scan::COMMANDS,
    setex::COMMANDS,
    take::COMMANDS,
    ttl::COMMANDS,
    write::COMMANDS,
];
