//! The generic group: what can be done with any key.

mod copy;
mod delete;
mod dump;
mod expire;
mod migrate;
mod object;
mod rename;
mod scan;
mod sort;
mod ttl;

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
