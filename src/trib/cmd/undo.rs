//! `trib undo`: takes a job back.

use std::path::Path;

use super::Context;
use super::resume::{JobArgs, carry, find_cluster, joining, leaving, moved_on, until_idle, verify};
use crate::trib::addr::Addr;
use crate::trib::agreement;
use crate::trib::error::{Error, Kind as Ending};
use crate::trib::fresh::Fresh;
use crate::trib::harmony;
use crate::trib::journal::replan::{self, Rest};
use crate::trib::journal::store::now_ms;
use crate::trib::journal::{End, Job, Kind, Record, State};
use crate::trib::nodes_text::Flags;
use crate::trib::planned::{self, Step};
use crate::trib::reform::Begun;
use crate::trib::rejoin::{self, Absent, Home};
use crate::trib::session;
use crate::trib::table;
use crate::trib::view::{self, ClusterView, Node, Report};
use crate::trib::wait::{self, Look};

/// Take back what a run did, whether it was finished or cut off
///
/// Slots that were moved go back where they came from, with their keys; nodes that were removed join again, if they still
/// live, and get their slots and replicas back; a node that was added is removed; roles that changed hands are given back;
/// the nodes of a cluster that was created are reset, if none of them holds a key. Of a repair with --quarantine the values
/// that had to give way are put back, and those that give way now are saved in turn; the slots stay repaired. Restarts,
/// other repairs and imports cannot be taken back. Refuses, and changes nothing, where the cluster has moved on since:
/// slots that others have, nodes that were given slots or keys. Asks before it begins.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
}

pub async fn run(ctx: &Context<'_>, Args { job: args }: &Args) -> Result<(), Error> {
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
        Kind::Roll | Kind::Roles => undoing.roles().await?,
        Kind::Fix => undoing.values().await?,
        _ => undoing.moves().await?,
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
    let (why, hint) = match job.kind() {
        Kind::Fix if !job.saved.is_empty() && !matches!(job.end, Some(End::Done | End::Failed)) => {
            let why = "The values that gave way are put back when the repair is done: now it is half made.";
            (why, format!("trib resume {id}"))
        }
        Kind::Moves | Kind::Create | Kind::Add | Kind::Remove | Kind::Roll | Kind::Roles => return Ok(()),
        Kind::Fix if !job.saved.is_empty() => return Ok(()),
        Kind::Fix => (
            "A repair cannot be undone: what was before was slots without an owner, with several, or with their keys in \
             two places. No value had to give way.",
            "slots that it has moved can be moved again with 'trib reshard'".to_owned(),
        ),
        Kind::Import => (
            "An import cannot be undone: which keys it brought is written down nowhere, and clients may have changed \
             them since.",
            match job.saved.first() {
                Some(file) => format!("what it has overwritten is in {file}: 'trib import --from' that file"),
                None => {
                    "keys that were copied are still at the source; 'trib restore' brings back a backup from before"
                        .into()
                }
            },
        ),
        Kind::Other => {
            let why = "Nothing is known that would take this back.";
            (why, "look at the cluster with 'trib check'".to_owned())
        }
    };
    Err(Error::failed(format!("[ERR] {why}")).hint(hint))
}

struct Undoing<'a> {
    ctx: &'a Context<'a>,
    args: &'a JobArgs,
    job: &'a Job,
}

impl Undoing<'_> {
    fn agree(&self) -> Result<(), Error> {
        match self.ctx.ui.confirm("Do you want to take this back? (type 'yes' to accept): ")? {
            true => Ok(()),
            false => Err(Error { kind: Ending::Declined, ..Error::failed("*** Aborting...") }),
        }
    }

    /// Shows what is going to be done and asks; the journal begins here. It names the job, so that what is cut off can be
    /// gone on with.
    fn begin(&self, view: &ClusterView, steps: Vec<Step>) -> Result<(), Error> {
        let id = self.args.id.is_none().then(|| self.job.header.id.clone());
        self.ctx.pass_with(self.args.plan.dry_run, id.into_iter().collect(), planned::digest(view), steps)?;
        self.agree()?;
        self.ctx.agreed()
    }

    /// Nodes that have gone come first, then the slots, then the replicas.
    async fn moves(&self) -> Result<(), Error> {
        let (ctx, job) = (self.ctx, self.job);
        let gone: Vec<&str> = leaving(job).into_iter().map(|node| node.id.as_str()).collect();
        let view = ctx.hold(find_cluster(ctx, job, &gone).await?, self.args.plan.dry_run).await?;
        until_idle(ctx, job, &view).await?;
        let view = harmony::load(&ctx.pool, &view.seed().addr).await?;
        let absent = rejoin::absent(ctx, job, &view).await?;
        let stays = |node: &&Node| !absent.iter().any(|gone| gone.node.id == node.id);
        let seed = view.reachable().find(stays).map(|node| node.addr.clone());
        let seed = seed.ok_or_else(|| Error::failed("[ERR] No node is left that knows the cluster."))?;
        let back = rejoin::slots_back(job, &absent, &view).map_err(|why| moved_on(&why, &seed))?;
        let homes = rejoin::homes(job, &absent, &view);
        if absent.is_empty() && homes.is_empty() && back.steps.is_empty() && !back.is_open {
            ctx.ui.ok(match gone.is_empty() {
                true => "[OK] No slot has moved: there is nothing to undo.",
                false => "[OK] All nodes know each other, and no slot has moved: there is nothing to undo.",
            });
            return Ok(());
        }
        if !job.planned_slots().is_empty() {
            ctx.ui.line(format!("To be moved back: {}.", table::count(back.slots, "slot")));
        }
        let steps = absent.iter().map(Absent::step).chain(back.steps).chain(homes.iter().map(Home::step));
        self.begin(&view, steps.collect())?;
        rejoin::see_off(ctx, &seed, &absent).await?;
        for node in absent.iter().filter(|node| node.was_primary()) {
            rejoin::bring_back(ctx, job, &seed, node, self.args.wait).await?;
        }
        self.slots(&seed).await?;
        for node in absent.iter().filter(|node| !node.was_primary()) {
            rejoin::bring_back(ctx, job, &seed, node, self.args.wait).await?;
        }
        rejoin::give_back(ctx, &homes).await?;
        let view = agreement::within(ctx.ui, &ctx.pool, &seed, self.args.limit(), |_| None).await?.view;
        verify(ctx, &view).await
    }

    /// Slots that are under way arrive first, so that their keys are in one place; then all go back.
    async fn slots(&self, seed: &Addr) -> Result<(), Error> {
        let (ctx, job) = (self.ctx, self.job);
        let mut view = harmony::load(&ctx.pool, seed).await?;
        let plan =
            |view: &_| replan::undo(&job.header.steps, &job.header.cluster, view).map_err(|why| moved_on(&why, seed));
        let mut reversal = plan(&view)?;
        let settings = || ctx.moving(&self.args.moving, self.args.engine);
        if !reversal.first.is_empty() {
            carry(ctx, &view, reversal.first, settings()).await?;
            view = harmony::load(&ctx.pool, seed).await?;
            reversal = plan(&view)?;
        }
        carry(ctx, &view, Rest { transfers: reversal.back, ..Rest::default() }, settings()).await
    }

    async fn create(&self) -> Result<(), Error> {
        let begun = Begun::read(self.job).map_err(|why| Error::failed(format!("[ERR] {why}")))?;
        let addrs: Vec<Addr> = begun.nodes.iter().map(|node| node.addr.clone()).collect();
        self.ctx.hold_nodes(&addrs, self.args.plan.dry_run).await?;
        let digest = planned::digest_of(begun.nodes.iter().map(|node| node.id.as_str()));
        let steps = begun.nodes.iter().map(|node| Step::Reset { node: node.into() }).collect();
        self.ctx.pass_with(self.args.plan.dry_run, Vec::new(), digest, steps)?;
        self.agree()?;
        self.ctx.ui.heading(format!(">>> Resetting {}", table::count(addrs.len(), "node")));
        begun.dissolve(self.ctx, self.args.limit()).await?;
        self.ctx.ui.ok("[OK] The nodes are empty and know nobody.");
        Ok(())
    }

    /// A node that was added is deleted, if it still is as empty as it came.
    async fn add(&self) -> Result<(), Error> {
        let ctx = self.ctx;
        let (new, _) = joining(self.job)?;
        let view = self.when_greeted(&new).await?;
        let Some(node) = view.node(&new.id) else {
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
        self.within(vec!["del-node".to_owned(), view.seed().addr.to_string(), new.id.to_string()]).await
    }

    /// The cluster when no greeting of the new node is on its way any more, which would make it a member later. A node that
    /// does not answer can not be greeted for long.
    async fn when_greeted(&self, new: &Fresh) -> Result<ClusterView, Error> {
        let (ctx, id) = (self.ctx, new.id);
        wait::until(None, self.args.limit(), async || {
            let view = find_cluster(ctx, self.job, &[id.as_str()]).await?;
            let of_new = view::ask(&ctx.pool, &new.addr).await.ok();
            let of_members = view.reachable().filter_map(|node| node.report.as_ref().ok());
            let greets = |report: &Report| report.lines.iter().any(|line| line.flags.contains(Flags::HANDSHAKE));
            let greeting = of_members.chain(&of_new).any(greets);
            let knows_others = of_new.is_some_and(|report| report.own().id == id && report.lines.len() > 1);
            Ok(match view.node(&id).is_none() && (greeting || knows_others) {
                true => Look::NotYet(format!("{} is being greeted", new.addr)),
                false => Look::Done(view),
            })
        })
        .await
    }

    /// Those that were primaries become primaries again.
    async fn roles(&self) -> Result<(), Error> {
        let (ctx, job) = (self.ctx, self.job);
        let view = find_cluster(ctx, job, &[]).await?;
        let mut before = job.header.cluster.iter().filter(|node| node.primary.is_none() && !node.slots.is_empty());
        let is_replica = |id: &str| view.nodes.iter().any(|now| now.id.as_str() == id && now.primary.is_some());
        if job.kind() == Kind::Roll {
            ctx.ui.note("Restarts cannot be taken back; roles are given back.");
        }
        if !before.clone().any(|node| is_replica(&node.id)) {
            ctx.ui.ok("[OK] All nodes have the roles that they had: there is nothing to undo.");
            return Ok(());
        }
        // Those that are primaries are named, too: they are to stay what they are.
        let known = |id: &str| view.nodes.iter().any(|now| now.id.as_str() == id);
        let wanted: Vec<&str> = before.by_ref().map(|node| node.id.as_str()).filter(|id| known(id)).collect();
        let words = ["rebalance-roles", "--prefer", &wanted.join(","), &view.seed().addr.to_string()];
        self.within(words.map(str::to_owned).to_vec()).await
    }

    /// What gave way in a repair comes back, and what gives way now is saved beside it.
    async fn values(&self) -> Result<(), Error> {
        let ui = self.ctx.ui;
        ui.note("The slots stay repaired; the values that had to give way are put back.");
        let gone = self.job.saved.iter().find(|file| !Path::new(file).is_file());
        if let Some(file) = gone {
            return Err(Error::failed(format!("[ERR] {file}, where the values were saved, is gone."))
                .hint("put it back there, or bring in another copy of it with 'trib import --from FILE'"));
        }
        let seed = find_cluster(self.ctx, self.job, &[]).await?.seed().addr.to_string();
        let mut pending = Ok(());
        for file in &self.job.saved {
            let dir = Path::new(file).parent().unwrap_or(Path::new("."));
            let dir = dir.display().to_string();
            let words = ["import", "--from", file, "--on-conflict", "replace", "--quarantine", &dir, &seed];
            match self.within(words.map(str::to_owned).to_vec()).await {
                Err(error) if error.kind == Ending::Pending => pending = Err(error),
                other => other?,
            }
        }
        pending
    }

    /// Another command does it.
    async fn within(&self, words: Vec<String>) -> Result<(), Error> {
        let dry_run = self.args.plan.dry_run;
        if !dry_run {
            self.agree()?;
        }
        self.ctx.ui.agree_to_all();
        self.ctx.run_within(words, Vec::new(), dry_run).await
    }
}
