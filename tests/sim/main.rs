//! A whole cluster in one deterministic process: the real server, the real engines, the real commands, and a world in
//! which everything goes wrong. See `world.rs` for how it hangs together.
//!
//! `cargo test --test sim -- --seeds 1000` runs a thousand seeds; `--seed 17` runs one and prints its log if an invariant
//! breaks. Situations with a name are transcripts: see `transcript/mod.rs`; `cargo test --test sim -- partition` runs those
//! with that in their names.
//!
//! A large cluster that loses a tenth of its machines at once is one command, too, which takes minutes and 4 GB of memory:
//! `cargo test --profile quick --test sim -- --nodes 1000 hundred_nodes`. Without `--nodes` it is a hundred nodes and a third
//! of the primaries.

mod actors;
mod args;
mod bugs;
mod checks;
mod client;
mod clock;
mod desk;
mod disk;
mod ending;
mod exports;
mod faults;
mod incoming;
mod log;
mod machine;
mod migrate;
mod net;
mod oaths;
mod operator;
mod owners;
mod perform;
mod plan;
mod power;
mod process;
mod queue;
mod run;
mod runner;
mod scale;
mod session;
mod trace;
mod transcript;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::Args::parse(std::env::args().skip(1)) {
        Ok(args) => runner::main(&args),
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}
