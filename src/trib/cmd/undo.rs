//! `trib undo`: takes a job back.

use std::rc::Rc;
use std::time::Duration;

use super::Context;
use super::apply::command_of;
use super::resume::{carry, find_cluster, moved_on, until_idle, verify};
use crate::trib::addr::Addr;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs};
use crate::trib::error::{Error, Kind as Ending};
use crate::trib::harmony;
use crate::trib::journal::replan::{self, Rest};
use crate::trib::journal::store::now_ms;
use crate::trib::journal::{Job, Kind, Record, State};
use crate::trib::mover::Settings;
use crate::trib::planned::{self, Step};
use crate::trib::reform::Begun;
use crate::trib::session;

/// Take back what a run did, whether it was finished or cut off
///
/// Slots that were moved go back where they came from, with their keys; a node that was added is removed; the nodes of a
/// cluster that was created are reset, if none of them holds a key. Refuses, and changes nothing, where the cluster has
/// moved on since: slots that others have, nodes that were given slots or keys. Asks before it begins.
#[derive(clap::Args)]
pub struct Args {
    /// The job, or the beginning of its id; without it the last one that changed anything
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// How long nodes may take to come apart
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    #[command(flatten)]
    moving: MoveArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let store = ctx.store()?;
    let job = match &args.id {
        Some(id) => store.job(id)?,
        None => last(store.jobs()?)?,
    };
    may_be_undone(&job)?;
    ctx.ui.heading(format!(">>> Undoing job {}: trib {}", job.header.id, job.header.command.join(" ")));
    let undoing = Undoing { ctx, args, job: &job };
    match job.kind() {
        Kind::Create => undoing.create().await?,
        Kind::Add => undoing.add().await?,
        _ => undoing.slots().await?,
    }
    store.reopen(&job)?.note(&Record::Undone { at_ms: now_ms() });
    Ok(())
}

fn last(jobs: Vec<Job>) -> Result<Job, Error> {
    let host = session::host();
    let has_effect = |job: &Job| !matches!(job.state(&host), State::Undone | State::RolledBack);
    jobs.into_iter().rev().find(has_effect).ok_or_else(|| Error::failed("[ERR] There is no job to undo."))
}

fn may_be_undone(job: &Job) -> Result<(), Error> {
    let id = &job.header.id;
    match job.state(&session::host()) {
        State::Running => {
            return Err(Error::failed(format!("[ERR] Job {id} is still running (pid {}).", job.run.process.pid))
                .hint("stop it with Ctrl-C first"));
        }
        state @ (State::Undone | State::RolledBack) => {
            return Err(Error::failed(format!("[ERR] Job {id} is {state}: there is nothing to undo.")));
        }
        State::Done | State::Failed | State::Interrupted => {}
    }
    let (what, hint) = match job.kind() {
        Kind::Moves | Kind::Create | Kind::Add => return Ok(()),
        Kind::Remove => ("A removal", "add the node again with 'trib add-node'; its slots can be moved to it"),
        Kind::Fix => ("A repair", "what it mended was broken"),
        Kind::Import => ("An import", "the keys are in use by now"),
        Kind::Other => ("This", "look at the cluster with 'trib check'"),
    };
    Err(Error::failed(format!("[ERR] {what} is not undone.")).hint(hint))
}

struct Undoing<'a> {
    ctx: &'a Context<'a>,
    args: &'a Args,
    job: &'a Job,
}

impl Undoing<'_> {
    fn agree(&self) -> Result<(), Error> {
        match self.ctx.ui.confirm("Do you want to take this back? (type 'yes' to accept): ")? {
            true => Ok(()),
            false => Err(Error { kind: Ending::Declined, ..Error::failed("*** Aborting...") }),
        }
    }

    async fn slots(&self) -> Result<(), Error> {
        let (ctx, job) = (self.ctx, self.job);
        let view = ctx.hold(find_cluster(ctx, job, None).await?, self.args.plan.dry_run).await?;
        until_idle(ctx, job, &view).await?;
        let seed = view.seed().addr.clone();
        let mut view = harmony::load(&ctx.pool, &seed).await?;
        let plan =
            |view: &_| replan::undo(&job.header.steps, &job.header.cluster, view).map_err(|why| moved_on(&why, &seed));
        let mut reversal = plan(&view)?;
        let count: usize = reversal.back.iter().map(|transfer| transfer.slots.len()).sum();
        if count == 0 && reversal.first.is_empty() {
            ctx.ui.ok("[OK] No slot has moved: there is nothing to undo.");
            return Ok(());
        }
        ctx.ui.line(format!("{count} slots go back where they came from."));
        let settings = || Settings { engine: self.args.engine.engine(), ..(&self.args.moving).into() };
        if !self.args.plan.dry_run {
            self.agree()?;
            if !reversal.first.is_empty() {
                // Part of the job that is undone, and of its journal: were it cut off here, that is what was going on.
                carry(ctx, &view, reversal.first, settings()).await?;
                view = harmony::load(&ctx.pool, &seed).await?;
                reversal = plan(&view)?;
            }
        }
        ctx.pass(self.args.plan.dry_run, planned::digest(&view), planned::transfers(&view, &reversal.back))?;
        let rest = Rest { transfers: reversal.back, ..Rest::default() };
        carry(ctx, &view, rest, Settings { record: ctx.journal(), ..settings() }).await?;
        verify(ctx, &view).await
    }

    async fn create(&self) -> Result<(), Error> {
        let begun = Begun::read(self.job).map_err(|why| Error::failed(format!("[ERR] {why}")))?;
        let addrs: Vec<Addr> = begun.nodes.iter().map(|node| node.addr.clone()).collect();
        self.ctx.hold_nodes(&addrs, self.args.plan.dry_run).await?;
        let digest = planned::digest_of(begun.nodes.iter().map(|node| node.id.as_str()));
        let steps = begun.nodes.iter().map(|node| Step::Reset { node: node.into() }).collect();
        self.ctx.pass_with(self.args.plan.dry_run, Vec::new(), digest, steps)?;
        self.agree()?;
        self.ctx.ui.heading(format!(">>> Resetting {} nodes", addrs.len()));
        begun.dissolve(self.ctx, Duration::from_secs(self.args.wait)).await?;
        self.ctx.ui.ok("[OK] The nodes are empty and know nobody.");
        Ok(())
    }

    /// A node that was added is deleted, if it still is as empty as it came.
    async fn add(&self) -> Result<(), Error> {
        let (ctx, job) = (self.ctx, self.job);
        let id = job.header.steps.iter().find_map(|step| match step {
            Step::Join { node } => Some(node.id.as_str()),
            _ => None,
        });
        let id = id.ok_or_else(|| Error::failed("[ERR] The journal's plan cannot be read."))?;
        let view = find_cluster(ctx, job, Some(id)).await?;
        let Some(node) = view.nodes.iter().find(|node| node.id.as_str() == id) else {
            ctx.ui.ok("[OK] The node is not in the cluster: there is nothing to undo.");
            return Ok(());
        };
        if !node.slots.is_empty() {
            return Err(Error::failed(format!(
                "[ERR] The cluster has moved on since: {} owns {} slots by now.",
                node.addr,
                node.slots.len()
            ))
            .hint("undo the jobs that moved them first ('trib jobs'), or move them away with 'trib reshard'"));
        }
        if !self.args.plan.dry_run {
            self.agree()?;
        }
        ctx.ui.agree_to_all();
        let mut words = vec!["del-node".to_owned(), view.seed().addr.to_string(), id.to_owned()];
        let mut options = ctx.options.clone();
        options.words.clone_from(&words);
        if self.args.plan.dry_run {
            words.push("--dry-run".to_owned());
        }
        let inner = Context { session: Rc::clone(&ctx.session), ..Context::new(options, ctx.ui) };
        Box::pin(command_of(&words)?.run(&inner)).await
    }
}
