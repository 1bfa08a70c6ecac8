//! `trib apply`: a plan that was made by a dry run, carried out.

use std::io::Read;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Parser;

use super::{Command, Context};
use crate::trib::cli::Cli;
use crate::trib::dial;
use crate::trib::error::Error;
use crate::trib::planned::Plan;

/// Carry out a plan that '--dry-run --json' has printed
///
/// Refuses when the cluster has changed since, or when the same command would now do something else. The plan
/// holds no secrets: give the connection options again.
#[derive(clap::Args)]
pub struct Args {
    /// The file with the plan; - for stdin
    #[arg(value_name = "PLAN")]
    file: PathBuf,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let plan = Plan::parse(&read(&args.file)?)?;
    let command = command_of(&plan.command)?;
    if matches!(command, Command::Apply(_) | Command::Up(_) | Command::Down(_)) {
        return Err(Error::usage("[ERR] This is no plan of trib's: such a command makes none."));
    }
    // The operator has agreed to what the plan says, and nothing else will be done.
    ctx.ui.agree_to_all();
    let mut options = ctx.options.clone();
    options.words.clone_from(&plan.command);
    let session = Rc::clone(&ctx.session);
    let ctx = Context { agreed: Some(plan), session, ..Context::new(options, ctx.ui) };
    Box::pin(command.run(&ctx)).await
}

/// The command that these words are, in redis-trib's grammar.
pub fn command_of(words: &[String]) -> Result<Command, Error> {
    let words = ["trib".to_owned()].into_iter().chain(words.iter().cloned());
    let cli = Cli::try_parse_from(words);
    Ok(cli.map_err(|e| Error::usage(format!("[ERR] The plan's command cannot be read: {e}")))?.command)
}

fn read(file: &PathBuf) -> Result<String, Error> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|e| {
        let why = dial::without_number(&e.to_string()).to_owned();
        Error::failed(format!("[ERR] The plan {} cannot be read: {why}", file.display()))
            .hint("a command that changes something prints its plan with --dry-run --json")
    })?;
    Ok(text)
}
