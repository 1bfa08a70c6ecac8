//! The only room of the server that does IO: listeners, connections, bus links, disk, signals, log.

pub mod connection;
pub mod listen;
pub mod log;
pub mod os;
pub mod shared;
pub mod supervisor;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::commands;
use crate::config::Config;
use crate::exec::server::Facts;
use crate::exec::table::CommandTable;
use crate::exec::{Server, Setup};
use shared::{MachineStopwatch, Shared, now};

/// Runs the server with these command-line arguments (without the program's name) until it is shut down.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut config = Config::default();
    let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    for pair in words.chunks(2) {
        let change =
            config.with_set(&[(pair[0].trim_start_matches('-').as_bytes(), pair[1].as_bytes())], true).unwrap();
        config = change.config;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(config));
    ExitCode::SUCCESS
}

async fn run(config: Config) {
    let port = config.port;
    let server = Server::new(Setup {
        commands: CommandTable::new(&commands::all()),
        stopwatch: Box::<MachineStopwatch>::default(),
        seed: 7,
        now: now(),
        facts: Facts::default(),
        config,
    });
    let shared = Arc::new(Shared::new(server));
    let threads = Arc::new(listen::IoThreads::start(tokio::runtime::Handle::current(), 1).unwrap());
    let listener = listen::bind("127.0.0.1".parse().unwrap(), port, 511).unwrap();
    tokio::spawn(listen::accept_clients(Arc::clone(&shared), threads, listener));
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        shared.with(|server| server.cron(now()));
    }
}
