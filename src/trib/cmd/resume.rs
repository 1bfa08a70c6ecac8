//! `trib resume`: finishes a job that was cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Context;
use crate::base::NodeId;
use crate::trib::addr::Addr;
use crate::trib::agreement;
use crate::trib::cli::{EngineArgs, MoveArgs, PlanArgs, WaitArgs};
use crate::trib::client::command;
use crate::trib::error::{Error, Kind as Ending};
use crate::trib::fresh::Fresh;
use crate::trib::harmony;
use crate::trib::journal::replan::{self, MovedOn, Rest};
use crate::trib::journal::{Job, Kind, State};
use crate::trib::mover::apply::apply;
use crate::trib::mover::progress::Style;
use crate::trib::mover::{self, Settings};
use crate::trib::planned::{self, Member, Step};
use crate::trib::reform::Begun;
use crate::trib::report;
use crate::trib::session;
use crate::trib::view::{self, ClusterView, Node};

/// Finish what a run that was cut off had begun
///
/// Looks at the cluster as it is now and does what is missing of the plan in the journal ('trib jobs' lists it), so that
/// the cluster ends as if nothing had happened: slots that are open are finished, slots that have arrived are left
/// alone, a node that was failed over meanwhile is replaced by the primary that its shard has now. An import knows the
/// keys that have come already by their values; databases that were copied to the end are left out. Refuses, and changes
/// nothing, where somebody has changed the cluster since in a way that the plan does not fit any more. Give the
/// connection options again, and the password of an import's source: the journal holds no secrets.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// The command that restarts a node, for a roll: the journal does not keep it
    #[arg(long, value_name = "COMMAND")]
    restart: Option<String>,
    /// Password of the source, for an import (environment: TRIB_FROM_AUTH)
    #[arg(long, value_name = "PASSWORD")]
    from_pass: Option<String>,
    /// Ask for the password of the source
    #[arg(long)]
    from_askpass: bool,
}

/// Which job, and how it is gone on with: shared with `trib undo`.
#[derive(clap::Args)]
pub struct JobArgs {
    /// The job, or the beginning of its id; without it the last one for which there is something to do
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub moving: MoveArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
}

impl JobArgs {
    pub fn limit(&self) -> Duration {
        self.wait.wait
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let store = ctx.store()?;
    let job = match &args.job.id {
        Some(id) => store.job(id)?,
        None => last_left(store.jobs()?)?,
    };
    let shown = format!("job {}: trib {}", job.header.id, job.header.command.join(" "));
    may_be_resumed(&job)?;
    ctx.ui.heading(format!(">>> Resuming {shown}"));
    let resumption = Resumption { ctx, args: &args.job, job: &job };
    let restart = args.restart.as_ref().map(|command| vec!["--restart".to_owned(), command.clone()]);
    if job.kind() == Kind::Roll && restart.is_none() {
        return Err(Error::usage("[ERR] The command that restarts a node is not in the journal.")
            .hint(format!("trib resume {} --restart COMMAND", job.header.id)));
    }
    ctx.take_up(&store, &job, args.job.plan.dry_run)?;
    if job.header.command.first().is_some_and(|name| name == "undo") {
        return resumption.again(Vec::new()).await;
    }
    match job.kind() {
        Kind::Create => resumption.create().await,
        Kind::Moves => resumption.moves().await,
        Kind::Add => resumption.add().await,
        Kind::Remove => resumption.remove().await,
        Kind::Fix => resumption.again(Vec::new()).await,
        Kind::Import => resumption.again(source_secrets(args)).await,
        Kind::Roll => resumption.again(restart.unwrap_or_default()).await,
        Kind::Roles => resumption.roles().await,
        Kind::Other => unreachable!("refused before"),
    }
}

/// What the journal does not know of the source of an import.
fn source_secrets(args: &Args) -> Vec<String> {
    let password = args.from_pass.iter().flat_map(|password| ["--from-pass".to_owned(), password.clone()]);
    password.chain(args.from_askpass.then(|| "--from-askpass".to_owned())).collect()
}

fn last_left(jobs: Vec<Job>) -> Result<Job, Error> {
    let host = session::host();
    jobs.into_iter().rev().find(|job| job.is_left(&host)).ok_or_else(|| {
        Error::failed("[ERR] No job was interrupted, and none has failed.").hint("'trib jobs' lists all")
    })
}

fn may_be_resumed(job: &Job) -> Result<(), Error> {
    let id = &job.header.id;
    let host = session::host();
    match job.state(&host) {
        State::Interrupted | State::Failed => {}
        // Nobody can see from here whether that process still runs; if it does, it holds the cluster's lock.
        State::Running if job.run.host != host => {}
        State::Running => {
            return Err(Error::failed(format!("[ERR] Job {id} is still running (pid {}).", job.run.process.pid))
                .hint("wait for it, or stop it with Ctrl-C first"));
        }
        state @ (State::Done | State::Undone | State::RolledBack) => {
            return Err(Error::failed(format!("[ERR] Job {id} is {state}: there is nothing to resume.")));
        }
    }
    match job.kind() {
        Kind::Other => Err(Error::failed(format!("[ERR] Job {id} is of a kind that is not resumed."))
            .hint("look at the cluster with 'trib check' and run the command again")),
        _ => Ok(()),
    }
}

/// The cluster that a job was about, through any node of it that answers; those of `except` are not asked.
pub async fn find_cluster(ctx: &Context<'_>, job: &Job, except: &[&str]) -> Result<ClusterView, Error> {
    let mut last = Error::failed("[ERR] The journal names no node of the cluster.");
    let nodes = job.header.cluster.iter().filter(|node| !except.contains(&node.id.as_str()));
    for node in nodes {
        let Ok(addr) = node.addr.parse::<Addr>() else { continue };
        match ClusterView::load(&ctx.pool, &addr).await {
            Ok(view) if view.seed().id.as_str() == node.id => return Ok(view),
            Ok(view) => {
                last = Error::failed(format!("[ERR] {addr} is another node by now ({}).", view.seed().id));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Why the plan does not fit any more.
pub fn moved_on(why: &MovedOn, seed: &Addr) -> Error {
    Error::failed(format!("[ERR] The cluster has moved on since: {why}.")).hint(format!(
        "nothing was changed; look at it with 'trib check {seed}', repair open slots with 'trib fix {seed}'"
    ))
}

/// Does what is left of slot moves, and waits until all nodes know it.
pub async fn carry(ctx: &Context<'_>, view: &ClusterView, rest: Rest, settings: Settings) -> Result<(), Error> {
    for tell in &rest.tell {
        let node = view.node(&tell.node).expect("the plan names nodes of the view it was made from");
        harmony::tell(&ctx.pool, node, &BTreeMap::from([(tell.owner, tell.slots.clone())])).await?;
    }
    if !rest.transfers.is_empty() {
        apply(ctx.ui, &ctx.pool, view, rest.transfers, settings, Style::Slots, false).await?;
    }
    Ok(())
}

/// Waits for migrations that the servers still do by themselves: the program that began them is gone.
pub async fn until_idle(ctx: &Context<'_>, job: &Job, view: &ClusterView) -> Result<(), Error> {
    let is_source = |node: &&Node| {
        let gives = |step: &Step| matches!(step, Step::MoveSlots { from, .. } if from.id == node.id.as_str());
        job.header.steps.iter().any(gives)
    };
    for node in view.primaries().filter(is_source) {
        mover::until_idle(&ctx.pool, node).await?;
    }
    Ok(())
}

/// The check that every job ends with.
pub async fn verify(ctx: &Context<'_>, view: &ClusterView) -> Result<(), Error> {
    let after = harmony::harmonise(ctx.ui, &ctx.pool, &view.seed().addr).await?;
    match report::cluster_check(ctx.ui, &after, None).is_consistent() {
        true => Ok(()),
        false => Err(Error::reported(Ending::Unhealthy)),
    }
}

/// The nodes that a job was to remove.
pub fn leaving(job: &Job) -> Vec<&Member> {
    let mut gone = Vec::new();
    for step in &job.header.steps {
        if let Step::Forget { node } = step {
            gone.push(node);
        }
    }
    gone
}

struct Resumption<'a> {
    ctx: &'a Context<'a>,
    args: &'a JobArgs,
    job: &'a Job,
}

impl Resumption<'_> {
    /// The slots that are not where they were to go; gives the view from before they went.
    async fn slots(&self) -> Result<ClusterView, Error> {
        let (ctx, job) = (self.ctx, self.job);
        let leaving: Vec<&str> = leaving(job).into_iter().map(|node| node.id.as_str()).collect();
        let view = ctx.hold(find_cluster(ctx, job, &leaving).await?, self.args.plan.dry_run).await?;
        until_idle(ctx, job, &view).await?;
        let view = harmony::load(&ctx.pool, &view.seed().addr).await?;
        self.note_arrived(&view);
        let rest = replan::resume(&job.header.steps, &job.header.cluster, &view)
            .map_err(|why| moved_on(&why, &view.seed().addr))?;
        if job.planned_slots().is_empty() {
            return Ok(view);
        }
        let told = rest.tell.iter().map(|tell| tell.slots.len()).sum::<usize>();
        ctx.ui.line(format!("{} slots have arrived, {} are to be moved still.", rest.arrived + told, rest.slots()));
        ctx.pass(self.args.plan.dry_run, planned::digest(&view), planned::transfers(&view, &rest.transfers))?;
        carry(ctx, &view, rest, ctx.moving(&self.args.moving, self.args.engine)).await?;
        verify(ctx, &view).await?;
        Ok(view)
    }

    /// The journal is to tell what was done over all runs.
    fn note_arrived(&self, view: &ClusterView) {
        for record in replan::arrived(&self.job.header.steps, &self.job.header.cluster, view) {
            self.ctx.note(&record);
        }
    }

    /// Slots, and then replicas that were to go elsewhere.
    async fn moves(&self) -> Result<(), Error> {
        let view = self.slots().await?;
        for step in &self.job.header.steps {
            let Step::Replicate { node, primary } = step else { continue };
            let replica = view.reachable().find(|found| found.id.as_str() == node.id);
            let Some(replica) = replica.filter(|found| found.primary.is_none_or(|id| id.as_str() != primary.id)) else {
                continue;
            };
            self.ctx.ui.heading(format!(">>> {} as replica of {}", replica.addr, primary.addr));
            self.ctx.pool.call(&replica.addr, command("CLUSTER REPLICATE").arg(&primary.id)).await?;
        }
        Ok(())
    }

    async fn create(&self) -> Result<(), Error> {
        let begun = Begun::read(self.job).map_err(|why| Error::failed(format!("[ERR] {why}")))?;
        let addrs: Vec<Addr> = begun.nodes.iter().map(|node| node.addr.clone()).collect();
        self.ctx.hold_nodes(&addrs, self.args.plan.dry_run).await?;
        let digest = planned::digest_of(begun.nodes.iter().map(|node| node.id.as_str()));
        self.ctx.pass(self.args.plan.dry_run, digest, self.job.header.steps.clone())?;
        let view = begun.finish(self.ctx, self.args.wait).await?;
        verify(self.ctx, &view).await
    }

    async fn add(&self) -> Result<(), Error> {
        let (ctx, job) = (self.ctx, self.job);
        let (new, primary) = joining(job)?;
        let view = ctx.hold(find_cluster(ctx, job, &[new.id.as_str()]).await?, self.args.plan.dry_run).await?;
        let found = view::ask(&ctx.pool, &new.addr).await?.own().id;
        if found != new.id {
            return Err(Error::failed(format!("[ERR] {} is another node by now ({found}).", new.addr))
                .hint(format!("trib undo {} takes back what was begun", job.header.id)));
        }
        let primary = match primary {
            Some(id) => Some(view.primaries().find(|node| node.id == id).ok_or_else(|| {
                Error::failed(format!("[ERR] The node that was to be replicated ({id}) is no primary any more."))
                    .hint(format!("trib undo {} takes back what was begun", job.header.id))
            })?),
            None => None,
        };
        ctx.pass(self.args.plan.dry_run, planned::digest(&view), job.header.steps.clone())?;
        super::add_node::finish(ctx, &view, &new, primary, self.args.wait).await?;
        verify(ctx, &view).await
    }

    /// Replicas that have taken over already are not asked to again.
    async fn roles(&self) -> Result<(), Error> {
        let view = find_cluster(self.ctx, self.job, &[]).await?;
        let is_primary = |id: &str| view.primaries().any(|node| node.id.as_str() == id);
        let is_left = |step: &Step| matches!(step, Step::Promote { node, .. } if !is_primary(&node.id));
        if self.job.header.steps.iter().any(is_left) {
            return self.again(Vec::new()).await;
        }
        let (ui, pool) = (self.ctx.ui, &self.ctx.pool);
        agreement::within(ui, pool, &view.seed().addr, self.args.limit(), |_| None).await?;
        ui.ok("[OK] All of them have taken over.");
        Ok(())
    }

    /// Slots that were to leave first; then all over again, or the last step alone.
    async fn remove(&self) -> Result<(), Error> {
        let view = self.slots().await?;
        let leaving = leaving(self.job);
        if view.nodes.iter().any(|node| leaving.iter().any(|gone| gone.id == node.id.as_str())) {
            return self.again(Vec::new()).await;
        }
        // All have forgotten them; they may not know yet.
        for gone in leaving {
            let Ok(addr) = gone.addr.parse::<Addr>() else { continue };
            match view::ask(&self.ctx.pool, &addr).await {
                Ok(report) if report.own().id.as_str() == gone.id && report.lines.len() > 1 => {
                    self.ctx.ui.heading(">>> Sending CLUSTER RESET SOFT to the deleted node.");
                    self.ctx.pool.call(&addr, &command("CLUSTER RESET SOFT")).await?;
                }
                _ => {}
            }
        }
        verify(self.ctx, &view).await
    }

    /// Commands that look for what is to be done are simply run again, with options that the journal does not keep.
    async fn again(&self, options: Vec<String>) -> Result<(), Error> {
        if !self.job.planned_slots().is_empty() {
            // Without it the cluster is not found by those commands either, and they say why.
            let found = find_cluster(self.ctx, self.job, &[]).await;
            found.iter().for_each(|view| self.note_arrived(view));
        }
        // What they are to do was agreed to.
        self.ctx.ui.agree_to_all();
        self.ctx.run_within(self.job.header.command.clone(), options, self.args.plan.dry_run).await
    }
}

/// The node that a job was to add, and whom it was to replicate.
pub fn joining(job: &Job) -> Result<(Fresh, Option<NodeId>), Error> {
    let bad = || Error::failed("[ERR] The journal's plan cannot be read.");
    let (mut new, mut primary) = (None, None);
    for step in &job.header.steps {
        match step {
            Step::Join { node } => new = job.header.cluster.iter().find(|before| before.id == node.id),
            Step::Replicate { primary: of, .. } => primary = Some(NodeId::parse(of.id.as_bytes()).ok_or_else(bad)?),
            _ => {}
        }
    }
    Ok((Fresh::try_from(new.ok_or_else(bad)?).map_err(|_| bad())?, primary))
}
