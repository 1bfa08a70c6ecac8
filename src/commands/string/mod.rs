//! The string group.

mod counter;
mod float;
mod get;
mod lcs;
mod msetex;
mod part;
mod set;
mod take;

pub(super) use part::length;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[
    counter::COMMANDS,
    float::COMMANDS,
    get::COMMANDS,
    lcs::COMMANDS,
    msetex::COMMANDS,
    part::COMMANDS,
    set::COMMANDS,
    take::COMMANDS,
];
