//! The command-line tool: look, plan, show, apply.
//!
//! One run: look at the cluster ([`view`], through [`client`]), let a pure planner decide, show the plan,
//! ask, apply it, verify, and turn the end into an exit code ([`error`]). It talks to any Redis or Valkey.

use std::ffi::OsString;
use std::process::ExitCode;

pub mod access;
pub mod addr;
pub mod agreement;
pub mod cli;
pub mod client;
pub mod cmd;
pub mod dial;
pub mod error;
pub mod evidence;
pub mod ferry;
pub mod findings;
pub mod forget;
pub mod found;
pub mod fresh;
pub mod grammar;
pub mod harmony;
pub mod inventory;
pub mod join;
pub mod journal;
pub mod keycount;
pub mod keytext;
pub mod loads;
pub mod local;
pub mod lock;
pub mod manifest;
pub mod mover;
pub mod nodes_text;
pub mod options;
pub mod pick;
pub mod plan;
pub mod planned;
pub mod preflight;
pub mod promote;
pub mod prompt;
pub mod quarantine;
mod redis_cli;
pub mod reform;
pub mod rehome;
pub mod rejoin;
pub mod repair;
pub mod report;
pub mod restart;
pub mod session;
pub mod shard;
pub mod shards;
pub mod shell;
pub mod slots;
pub mod slotstats;
pub mod snapshot;
pub mod table;
pub mod tls;
pub mod ui;
pub mod uri;
pub mod view;
pub mod vitals;
pub mod vocabulary;
pub mod wait;
pub mod zones;

use cmd::{Command, Context};
use error::Error;
use options::Options;
use ui::{Ui, Wording};

/// Runs the program: `args` begins with the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::parse(args, |name| std::env::var(name).ok()) {
        Ok((command, options)) => run(&command, options),
        Err(exit) => exit.finish(),
    }
}

fn run(command: &Command, mut options: Options) -> ExitCode {
    let ui = Ui::new(&options);
    if options.warn_password {
        ui.note("Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.");
    }
    let wording = options.wording;
    let (result, how_to_go_on) = match options.complete(&ui) {
        Ok(()) => block_on(command, options, &ui),
        Err(error) => (Err(error), None),
    };
    if let Err(error) = &result {
        ui.end(error);
    }
    if let Some(hint) = how_to_go_on {
        ui.note(hint);
    }
    exit_code(wording, &result)
}

/// The end of the work, and how to go on where it was cut off.
fn block_on(command: &Command, options: Options, ui: &Ui) -> (Result<(), Error>, Option<String>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return (Err(Error::failed(format!("[ERR] cannot start: {e}"))), None),
    };
    let ctx = Context::new(options, ui);
    let result = runtime.block_on(async {
        tokio::select! {
            result = command.run(&ctx) => result,
            () = ctx.session.watch(ui) => unreachable!("it never ends"),
        }
    });
    let how_to_go_on = ctx.session.finish(ui, &result);
    (result, how_to_go_on)
}

/// redis-cli knows only 0 and 1; our own grammar tells the ends apart.
fn exit_code(wording: Wording, result: &Result<(), Error>) -> ExitCode {
    match (result, wording) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(_), Wording::RedisCli) => ExitCode::FAILURE,
        (Err(error), Wording::Trib) => ExitCode::from(error.kind as u8),
    }
}
