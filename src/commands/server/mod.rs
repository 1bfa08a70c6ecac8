//! The server group: the server and its databases as wholes.

mod command;
mod commandlog;
mod config;
mod debug;
mod failover;
mod info;
mod keyspace;
mod latency;
mod lolwut;
mod memory;
mod monitor;
mod replication;
mod saving;
mod time;
mod wait;

use crate::exec::Command;

pub const FAMILIES: &[&[Command]] = &[
    command::COMMANDS,
    commandlog::COMMANDS,
    config::COMMANDS,
    debug::COMMANDS,
    failover::COMMANDS,
    info::COMMANDS,
    keyspace::COMMANDS,
    latency::COMMANDS,
    lolwut::COMMANDS,
    memory::COMMANDS,
    monitor::COMMANDS,
    replication::COMMANDS,
    saving::COMMANDS,
    time::COMMANDS,
    wait::COMMANDS,
];
