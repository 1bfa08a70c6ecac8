//! The generic group: what can be done with any key.

mod copy;
mod delete;
mod dump;
pub(in crate::commands) mod expire;
mod migrate;
mod object;
mod rename;
mod scan;
mod sort;
pub(in crate::commands) mod ttl;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[
    copy::COMMANDS,
    delete::COMMANDS,
    dump::COMMANDS,
    expire::COMMANDS,
    migrate::COMMANDS,
    object::COMMANDS,
    rename::COMMANDS,
    scan::COMMANDS,
    sort::COMMANDS,
    ttl::COMMANDS,
];
