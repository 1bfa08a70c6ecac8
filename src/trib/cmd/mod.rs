//! The subcommands, one file each: its options (whose doc comments are the help) and what it does.

use clap::Subcommand;

use super::cli::Options;
use super::client::Pool;
use super::error::Error;
use super::ui::Ui;

pub mod add_node;
pub mod call;
pub mod check;
pub mod create;
pub mod del_node;
pub mod down;
pub mod fix;
pub mod help;
pub mod import;
pub mod info;
pub mod ps;
pub mod rebalance;
pub mod reshard;
pub mod set_timeout;
pub mod up;

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
    Fix(fix::Args),
    Reshard(reshard::Args),
    Rebalance(rebalance::Args),
    AddNode(add_node::Args),
    DelNode(del_node::Args),
    SetTimeout(set_timeout::Args),
    Call(call::Args),
    Import(import::Args),
    Up(up::Args),
    Down(down::Args),
    Ps(ps::Args),
    Help(help::Args),
}

impl Command {
    /// Does it.
    pub async fn run(&self, ctx: &Context<'_>) -> Result<(), Error> {
        match self {
            Command::Create(args) => create::run(ctx, args).await,
            Command::Check(args) => check::run(ctx, args).await,
            Command::Info(args) => info::run(ctx, args).await,
            Command::Fix(args) => fix::run(ctx, args).await,
            Command::Reshard(args) => reshard::run(ctx, args).await,
            Command::Rebalance(args) => rebalance::run(ctx, args).await,
            Command::AddNode(args) => add_node::run(ctx, args).await,
            Command::DelNode(args) => del_node::run(ctx, args).await,
            Command::SetTimeout(args) => set_timeout::run(ctx, args).await,
            Command::Call(args) => call::run(ctx, args).await,
            Command::Import(args) => import::run(ctx, args).await,
            Command::Up(args) => up::run(ctx, args).await,
            Command::Down(args) => down::run(ctx, args).await,
            Command::Ps(args) => ps::run(ctx, args).await,
            Command::Help(args) => help::run(ctx, args),
        }
    }
}
