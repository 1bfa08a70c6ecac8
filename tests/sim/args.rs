//! The command line of the simulator.

use crate::bugs::{self, Bug};

const USAGE: &str = "usage: cargo test --test sim -- [--seeds N] [--from S] [--seed S] [--nodes N] [--threads N] [--log] [--bug NAME] \
                     [part of a check's name]";

#[derive(Clone, Debug, Default)]
pub struct Args {
    /// How many seeds to run.
    pub seeds: Option<u64>,
    /// The first of them.
    pub from: u64,
    /// Just this one.
    pub seed: Option<u64>,
    pub nodes: Option<usize>,
    pub threads: Option<usize>,
    /// Print the log of the run whatever comes of it.
    pub log: bool,
    /// A mistake that is made on purpose.
    pub bug: Option<Bug>,
    /// Only checks with this in their names.
    pub filter: Option<String>,
}

impl Args {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut args = Args::default();
        while let Some(word) = words.next() {
            if word == "--bug" {
                args.bug = Some(words.next().and_then(|name| bugs::find(&name)).ok_or(USAGE)?);
                continue;
            }
            let mut number = || words.next().and_then(|n| n.parse::<u64>().ok()).ok_or(USAGE);
            match &word[..] {
                "--seeds" => args.seeds = Some(number()?),
                "--from" => args.from = number()?,
                "--seed" => args.seed = Some(number()?),
                "--nodes" => args.nodes = Some(number()? as usize),
                "--threads" => args.threads = Some(number()? as usize),
                "--log" => args.log = true,
                // What `cargo test` may say to any test.
                "--nocapture" | "--quiet" | "-q" | "--show-output" => {}
                "--test-threads" => drop(number()?),
                word if word.starts_with('-') => return Err(USAGE.to_owned()),
                _ => args.filter = Some(word),
            }
        }
        Ok(args)
    }
}
