//! The subcommands, one file each: its options (whose doc comments are the help) and what it does.

use clap::Subcommand;

use super::cli::Options;
use super::client::Pool;
use super::error::Error;
use super::ui::Ui;

pub mod check;
pub mod create;
pub mod info;

/// What a subcommand works with.
pub struct Context<'a> {
    pub options: Options,
    pub ui: &'a Ui,
    pub pool: Pool,
}

/// What is to be done.
#[derive(Subcommand)]
pub enum Command {
    Create(create::Args),
    Check(check::Args),
    Info(info::Args),
}

impl Command {
    /// Does it.
    pub async fn run(&self, ctx: &Context<'_>) -> Result<(), Error> {
        match self {
            Command::Create(args) => create::run(ctx, args).await,
            Command::Check(args) => check::run(ctx, args).await,
            Command::Info(args) => info::run(ctx, args).await,
        }
    }
}
