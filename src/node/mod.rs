//! The only room of the server that does IO: listeners, connections, bus links, disk, signals, log.

pub mod aof;
pub mod boot;
pub mod bus;
pub mod bus_auth;
pub mod check;
pub mod connection;
pub mod crash;
mod crash_report;
pub mod disk;
pub mod exports;
pub mod gauges;
pub mod incoming;
pub mod listen;
pub mod listeners;
mod load;
pub mod log;
pub mod memory;
pub mod migrate;
pub mod nodes_conf;
pub mod os;
pub mod outgoing;
pub mod primary;
pub mod reconfigure;
pub mod reload;
pub mod restart;
pub mod run;
pub mod shared;
pub mod slowness;
pub mod snapshot;
pub mod startup;
pub mod supervisor;
pub mod syslog;
pub mod tuning;
pub mod unix_socket;
pub mod world;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

/// Runs the server with this command line (the program's name first) until it is shut down.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let argv: Vec<Vec<u8>> = args.into_iter().map(OsStringExt::into_vec).collect();
    match startup::prepare(&argv) {
        Ok(prepared) => run::run(prepared),
        Err(code) => code,
    }
}
