//! The subcommands, one file each: its options (whose doc comments are the help) and what it does.

use std::rc::Rc;

use clap::Subcommand;

use super::cli::{EngineArgs, MoveArgs};
use super::client::Pool;
use super::error::{Error, Kind};
use super::mover::Settings;
use super::options::Options;
use super::planned::{self, Plan, Step};
use super::session::Session;
use super::ui::Ui;
use super::view::ClusterView;

pub mod add_node;
pub mod apply;
pub mod backup;
pub mod bigkeys;
pub mod call;
pub mod check;
pub mod cli;
pub mod config;
pub mod create;
pub mod del_node;
pub mod down;
pub mod drain;
pub mod failover;
pub mod fix;
pub mod forget_failed;
pub mod help;
pub mod import;
pub mod info;
pub mod jobs;
pub mod ps;
pub mod rebalance;
pub mod rebalance_roles;
pub mod reset;
pub mod reshard;
pub mod restore;
pub mod resume;
pub mod roll;
pub mod set_timeout;
pub mod slots;
pub mod status;
pub mod top;
pub mod undo;
pub mod up;
pub mod verify;
pub mod whereis;

/// What a subcommand works with.
pub struct Context<'a> {
    pub options: Options,
    pub ui: &'a Ui,
    pub pool: Pool,
    /// The lock and the journal; see [`Context::hold`].
    pub session: Rc<Session>,
    /// What is to be done, when that was written down before.
    agreed: Option<Plan>,
}

impl<'a> Context<'a> {
    #[must_use]
    pub fn new(options: Options, ui: &'a Ui) -> Context<'a> {
        let pool = Pool::new(options.access.clone());
        Context { options, ui, pool, session: Rc::default(), agreed: None }
    }

    /// Runs another command inside of this one, under its lock and its journal. `more` are options
    /// that neither a plan nor the journal gets to see.
    pub async fn run_within(&self, words: Vec<String>, mut more: Vec<String>, dry_run: bool) -> Result<(), Error> {
        more.extend(dry_run.then(|| "--dry-run".to_owned()));
        let mut typed = words.clone();
        let behind_the_subcommand = typed.len().min(1);
        typed.splice(behind_the_subcommand..behind_the_subcommand, more);
        let mut options = self.options.clone();
        options.words = words;
        let inner = Context { session: Rc::clone(&self.session), ..Context::new(options, self.ui) };
        Box::pin(apply::command_of(&typed)?.run(&inner)).await
    }

    /// How slots are moved: as the operator wants it, and written down.
    #[must_use]
    pub fn moving(&self, moving: &MoveArgs, engine: EngineArgs) -> Settings {
        Settings { engine: engine.engine(), record: self.journal(), ..moving.into() }
    }

    /// The gate that every change passes, with the digest of what was looked at and with what is to be done:
    /// a dry run ends here, with the plan; a plan that is applied has to be the one that was made now.
    /// From here on the journal knows of it.
    pub fn pass(&self, dry_run: bool, cluster: String, steps: Vec<Step>) -> Result<(), Error> {
        self.pass_with(dry_run, Vec::new(), cluster, steps)?;
        self.agreed()
    }

    /// The same, where the operator is asked once more behind the gate: the journal begins with [`Context::agreed`].
    /// Where a dialog has answered what the command line left open, `answers` are the options that say the same.
    pub fn pass_with(
        &self,
        dry_run: bool,
        answers: Vec<String>,
        cluster: String,
        steps: Vec<Step>,
    ) -> Result<(), Error> {
        let mut words = self.options.words.clone();
        let behind_the_subcommand = words.len().min(1);
        words.splice(behind_the_subcommand..behind_the_subcommand, answers);
        let plan = Plan::new(words, cluster, steps);
        if let Some(agreed) = &self.agreed {
            plan.compare(agreed)?;
        } else if dry_run {
            if !self.ui.is_json() {
                self.ui.line(plan.table());
            }
            self.ui.json(&plan);
            return Err(Error::reported(Kind::Pending));
        }
        self.session.plan(plan);
        Ok(())
    }

    /// The end of a run that found nothing to do: as a plan that is one without steps, which can be applied as any other.
    pub fn nothing(&self, dry_run: bool, view: &ClusterView) {
        if self.agreed.is_some() {
            self.ui.ok("[OK] There is nothing to do.");
        } else if dry_run {
            self.ui.json(&Plan::new(self.options.words.clone(), planned::digest(view), Vec::new()));
        }
    }
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
    Drain(drain::Args),
    ForgetFailed(forget_failed::Args),
    Failover(failover::Args),
    RebalanceRoles(rebalance_roles::Args),
    Roll(roll::Args),
    Reset(reset::Args),
    SetTimeout(set_timeout::Args),
    Call(call::Args),
    Import(import::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Verify(verify::Args),
    Apply(apply::Args),
    Jobs(jobs::Args),
    Resume(resume::Args),
    Undo(undo::Args),
    Status(status::Args),
    Slots(slots::Args),
    Where(whereis::Args),
    Bigkeys(bigkeys::Args),
    Top(top::Args),
    Cli(cli::Args),
    Config(config::Args),
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
            Command::Drain(args) => drain::run(ctx, args).await,
            Command::ForgetFailed(args) => forget_failed::run(ctx, args).await,
            Command::Failover(args) => failover::run(ctx, args).await,
            Command::RebalanceRoles(args) => rebalance_roles::run(ctx, args).await,
            Command::Roll(args) => roll::run(ctx, args).await,
            Command::Reset(args) => reset::run(ctx, args).await,
            Command::SetTimeout(args) => set_timeout::run(ctx, args).await,
            Command::Call(args) => call::run(ctx, args).await,
            Command::Import(args) => import::run(ctx, args).await,
            Command::Backup(args) => backup::run(ctx, args).await,
            Command::Restore(args) => restore::run(ctx, args).await,
            Command::Verify(args) => verify::run(ctx, args).await,
            Command::Apply(args) => apply::run(ctx, args).await,
            Command::Jobs(args) => jobs::run(ctx, args),
            Command::Resume(args) => resume::run(ctx, args).await,
            Command::Undo(args) => undo::run(ctx, args).await,
            Command::Status(args) => status::run(ctx, args).await,
            Command::Slots(args) => slots::run(ctx, args).await,
            Command::Where(args) => whereis::run(ctx, args).await,
            Command::Bigkeys(args) => bigkeys::run(ctx, args).await,
            Command::Top(args) => top::run(ctx, args).await,
            Command::Cli(args) => cli::run(ctx, args).await,
            Command::Config(args) => config::run(ctx, args).await,
            Command::Up(args) => up::run(ctx, args).await,
            Command::Down(args) => down::run(ctx, args).await,
            Command::Ps(args) => ps::run(ctx, args).await,
            Command::Help(args) => help::run(ctx, args),
        }
    }
}
