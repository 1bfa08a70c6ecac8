//! `trib roll`: restarts all nodes, one after the other, while the cluster serves.

use std::time::Duration;

use super::Context;
use super::resume::find_cluster;
use crate::base::{NodeId, Slot};
use crate::trib::addr::Addr;
use crate::trib::agreement::{self, Agreement};
use crate::trib::cli::{PlanArgs, SeedArgs, parse_time};
use crate::trib::client::{command, info_field, text_of};
use crate::trib::error::{Error, Failure, Kind, What};
use crate::trib::harmony;
use crate::trib::journal::{Before, Job, Record, Restarting};
use crate::trib::nodes_text::Flags;
use crate::trib::pick;
use crate::trib::plan::roll::{self, Act, Only, RollError, Shard, Wish};
use crate::trib::planned::{self, Member, Step};
use crate::trib::promote::{self, How, Promotion};
use crate::trib::report;
use crate::trib::restart;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals::Vitals;
use crate::trib::vocabulary::Vocabulary;
use crate::trib::wait::{self, Look};

/// Restart all nodes one by one, while the cluster serves
///
/// Replicas come first. Each primary hands over to a replica that is in sync before it is restarted, so clients that
/// follow the cluster see no error. A node is done when it answers with its old ID, has loaded and is in sync, and all
/// nodes agree; only then comes the next. Stops at the first failure and says how to go on: 'trib resume' restarts what
/// is left, and wants the command again, which the journal does not keep. The command may also start another program with
/// the same files: a rolling upgrade, or a swap of servers.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Command of the shell that restarts one node; {host}, {port}, {addr}, {id} and {role} stand for the node
    #[arg(long, value_name = "COMMAND")]
    restart: String,
    /// Restart only these
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// Make each primary a primary again after its restart
    #[arg(long)]
    back: bool,
    /// Nodes to leave alone, separated by commas: those that are done when going on after a failure
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    skip: Vec<String>,
    /// Also restart primaries that have no replica: their slots are not served meanwhile
    #[arg(long)]
    allow_downtime: bool,
    /// Rest between two nodes
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_time)]
    pause: Duration,
    /// Bytes that a replica may lack of its primary's stream and count as in sync
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_lag: u64,
    /// How long one node may take to restart, load and get in sync: seconds, or with a unit (60s, 10m)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    wait: Duration,
    #[command(flatten)]
    plan: PlanArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    if !restart::names_a_node(&args.restart) {
        return Err(Error::usage("[ERR] The command of --restart does not say which node it is for.")
            .hint("write {host}, {port}, {addr} or {id} where the node is to be named"));
    }
    let seed = args.seed.addr()?;
    let job = ctx.resumed();
    let found = match &job {
        // The node that was named may be the one that is down.
        Some(job) => find_cluster(ctx, job, &[]).await?,
        None => harmony::load(&ctx.pool, &seed).await?,
    };
    let mut view = ctx.hold(found, args.plan.dry_run).await?;
    let mut done = Vec::new();
    if let Some(job) = &job {
        done.clone_from(&job.restarted);
        if let Some(begun) = job.restarting.as_ref().filter(|_| !args.plan.dry_run) {
            let rolling = Rolling { ctx, args, view: &view };
            done.extend(rolling.take_over(begun).await?.then(|| begun.node.clone()));
        }
        if !args.plan.dry_run {
            // A hand-over may be under way.
            view = agreement::within(ui, &ctx.pool, &view.seed().addr, args.wait, |_| None).await?.view;
        }
    }
    let vitals = Vitals::load(&ctx.pool, &view).await;
    ui.heading(format!(">>> Performing Cluster Check (using node {seed})"));
    if !report::configuration_check(ui, &view, Some(&vitals)).is_well() {
        ui.line("*** Please fix your cluster problems before restarting nodes");
        return Err(Error::reported(Kind::Unhealthy).hint(format!("trib check {seed}")));
    }
    let acts = match &job {
        Some(job) => rest(&view, &vitals, args, job, &done)?,
        None => plan(&view, &vitals, args.wish(&view)?, args.max_lag)?,
    };
    if acts.is_empty() {
        ui.ok("[OK] There is nothing to restart.");
        ctx.nothing(args.plan.dry_run, &view);
        return Ok(());
    }
    let steps: Vec<Step> = acts.iter().map(|act| step(&view, act)).collect();
    // A dry run ends here, with the steps as a table.
    ctx.pass_with(args.plan.dry_run, Vec::new(), planned::digest(&view), steps)?;
    for act in &acts {
        ui.line(describe(&view, act));
    }
    if !ui.confirm("Can I restart the nodes in this order? (type 'yes' to accept): ")? {
        return Err(Error { kind: Kind::Declined, ..Error::failed("*** Aborting...") });
    }
    ctx.agreed()?;
    let rolling = Rolling { ctx, args, view: &view };
    let mut done = Vec::new();
    let work = async {
        for (index, act) in acts.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(args.pause).await;
            }
            rolling.perform(act).await?;
            done.push(*act);
        }
        Ok(())
    };
    let result = tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(Error::failed("*** Interrupted.")),
    };
    result.map_err(|error: Error| go_on(error, &view, args, &seed, &acts, &done))?;
    let restarted = acts.iter().filter(|act| matches!(act, Act::Restart(_))).count();
    ui.ok(format!("[OK] {restarted} node(s) restarted; all nodes agree and are in sync."));
    Ok(())
}

impl Args {
    fn wish(&self, view: &ClusterView) -> Result<Wish, Error> {
        let mut skip = Vec::new();
        for name in &self.skip {
            skip.push(pick::any(view, name).map_err(|bad| bad.refusal(view, Vocabulary::default()))?.id);
        }
        Ok(Wish { only: self.only, back: self.back, skip, allow_downtime: self.allow_downtime })
    }
}

/// What is left of a roll that was cut off: the nodes that it was to restart and has not, whatever their roles are now,
/// and then the roles that were to be given back.
fn rest(view: &ClusterView, vitals: &Vitals, args: &Args, job: &Job, done: &[String]) -> Result<Vec<Act>, Error> {
    let is_due = |id: &str| {
        let meant = |step: &Step| matches!(step, Step::Restart { node } if node.id == id);
        job.header.steps.iter().any(meant) && !done.iter().any(|other| other == id)
    };
    let skip = view.nodes.iter().map(|node| node.id).filter(|id| !is_due(id.as_str())).collect();
    let wish = Wish { only: None, skip, ..args.wish(view)? };
    let mut acts = plan(view, vitals, wish, args.max_lag)?;
    for step in &job.header.steps {
        let Step::Promote { node, .. } = step else { continue };
        let was_primary = |before: &Before| before.id == node.id && before.primary.is_none();
        let now = view.reachable().find(|found| found.id.as_str() == node.id);
        if let Some((to, from)) = now.and_then(|now| Some((now.id, now.primary?)))
            && job.header.cluster.iter().any(was_primary)
        {
            acts.push(Act::HandOver { from, to });
        }
    }
    Ok(acts)
}

/// The shards as they are, and what that comes to.
fn plan(view: &ClusterView, vitals: &Vitals, wish: Wish, max_lag: u64) -> Result<Vec<Act>, Error> {
    let mut primaries: Vec<&Node> = view.primaries().collect();
    primaries.sort_by_key(|node| node.slots.iter().next().map_or(u16::MAX, Slot::get));
    let shards: Vec<Shard> = primaries
        .iter()
        .map(|primary| {
            let mut replicas: Vec<&Node> = view.replicas_of(&primary.id).collect();
            let best = promote::best(&replicas, primary.id, vitals, max_lag).map(|node| node.id);
            replicas.sort_by_key(|node| Some(node.id) != best);
            Shard {
                primary: primary.id,
                has_slots: !primary.slots.is_empty(),
                replicas: replicas.iter().map(|node| node.id).collect(),
            }
        })
        .collect();
    roll::plan(&shards, &wish).map_err(|RollError::NoReplica(id)| {
        let name = view.node(&id).map_or_else(|| id.to_string(), |node| node.addr.to_string());
        let why = format!("[ERR] Node {name} has no replica: its slots would not be served while it restarts.");
        Error::failed(why).hint("add a replica with 'trib add-node --slave', or allow it with --allow-downtime")
    })
}

fn step(view: &ClusterView, act: &Act) -> Step {
    match act {
        Act::Restart(node) => Step::Restart { node: Member::of(view, node) },
        Act::HandOver { from, to } => Step::Promote { node: Member::of(view, to), primary: Member::of(view, from) },
    }
}

fn describe(view: &ClusterView, act: &Act) -> String {
    let addr = |id| Member::of(view, id).addr;
    match act {
        Act::Restart(node) => format!("restart {}", addr(node)),
        Act::HandOver { from, to } => format!("hand over from {} to {}", addr(from), addr(to)),
    }
}

/// Says in the hint what is done and how to do the rest.
fn go_on(error: Error, view: &ClusterView, args: &Args, seed: &Addr, acts: &[Act], done: &[Act]) -> Error {
    let mut skip: Vec<String> = args.skip.clone();
    let mut away = None;
    for act in done {
        match *act {
            Act::Restart(node) => skip.push(node.to_string()),
            // The second hand-over of a shard undoes the first.
            Act::HandOver { from, to } => away = (away != Some(to)).then_some(from),
        }
    }
    let failed = acts.get(done.len()).map(|act| describe(view, act)).unwrap_or_default();
    let mut hint = format!(
        "stopped at '{failed}'; {} of {} steps are done. When it is mended, go on with the same command",
        done.len(),
        acts.len(),
    );
    if !skip.is_empty() {
        hint.push_str(&format!(" and --skip {}", skip.join(",")));
    }
    if let Some(primary) = away.filter(|_| args.back) {
        hint.push_str(&format!(", then: trib failover --to {primary} {seed}"));
    }
    if let Some(first) = &error.hint {
        hint.push_str(&format!(" ({first})"));
    }
    error.hint(hint)
}

/// How long a server may take until it answers again, when the command that starts it has ended.
const RISE: Duration = Duration::from_secs(5);

struct Rolling<'a> {
    ctx: &'a Context<'a>,
    args: &'a Args,
    view: &'a ClusterView,
}

impl Rolling<'_> {
    async fn perform(&self, act: &Act) -> Result<(), Error> {
        match act {
            Act::Restart(node) => self.restart(self.node(node)?).await,
            Act::HandOver { from, to } => self.hand_over(self.node(from)?, self.node(to)?).await,
        }
    }

    fn node(&self, id: &NodeId) -> Result<&Node, Error> {
        self.view.node(id).ok_or_else(|| Error::failed(format!("[ERR] No such node ID {id}")))
    }

    /// Somebody to ask about the cluster while this node is away.
    fn witness<'n>(&'n self, node: &'n Node) -> &'n Addr {
        &self.view.reachable().find(|other| other.id != node.id).unwrap_or(node).addr
    }

    async fn restart(&self, node: &Node) -> Result<(), Error> {
        let ctx = self.ctx;
        let now = crate::trib::view::ask(&ctx.pool, &node.addr).await?;
        let role = if now.own().primary.is_some() { "replica" } else { "primary" };
        ctx.ui.heading(format!(">>> Restarting {role} {}", node.addr));
        let before = run_id(ctx, &node.addr).await?;
        self.command(node, role, &before).await?;
        self.until_back(node, &before).await
    }

    async fn command(&self, node: &Node, role: &str, server: &str) -> Result<(), Error> {
        let begun = |shell| {
            let (node, server) = (node.id.to_string(), server.to_owned());
            self.ctx.note(&Record::Restarting { node, server, shell });
        };
        restart::run(&restart::fill_in(&self.args.restart, node, role), self.args.wait, begun).await
    }

    /// Until another server than that one answers for the node and is a part of the cluster as it was.
    async fn until_back(&self, node: &Node, server: &str) -> Result<(), Error> {
        let Rolling { ctx, args, .. } = self;
        self.come_back(node, server).await?;
        let back = |found: &Agreement| self.lacks(found, node);
        agreement::within(ctx.ui, &ctx.pool, self.witness(node), args.wait, back).await?;
        ctx.note(&Record::Restarted { node: node.id.to_string() });
        Ok(())
    }

    /// Sees a restart to its end that a run has begun which was cut off; whether the node has been restarted.
    async fn take_over(&self, begun: &Restarting) -> Result<bool, Error> {
        let Rolling { ctx, args, .. } = self;
        let Some(node) = self.view.nodes.iter().find(|node| node.id.as_str() == begun.node) else { return Ok(false) };
        wait::until(None, args.wait, async || {
            let runs = begun.shell.is_running();
            let still = || format!("the command that was begun for {} still runs (pid {})", node.addr, begun.shell.pid);
            Ok(if runs { Look::NotYet(still()) } else { Look::Done(()) })
        })
        .await?;
        let answer = wait::until(None, RISE, async || match run_id(ctx, &node.addr).await {
            Ok(now) => Ok(Look::Done(now)),
            Err(failure) => Ok(Look::NotYet(failure.to_string())),
        });
        match answer.await {
            Ok(now) if now == begun.server => return Ok(false),
            Ok(_) => ctx.ui.heading(format!(">>> {} has been restarted", node.addr)),
            // The command was cut off with the run: the node is down, and stays down.
            Err(_) => {
                let role = if node.primary.is_some() { "replica" } else { "primary" };
                ctx.ui.heading(format!(">>> Restarting {role} {}, which is down", node.addr));
                self.command(node, role, &begun.server).await?;
            }
        }
        self.until_back(node, &begun.server).await?;
        Ok(true)
    }

    /// Until another process answers at the node's address, and is the same node.
    async fn come_back(&self, node: &Node, before: &str) -> Result<(), Error> {
        let pool = &self.ctx.pool;
        let result = wait::until(None, self.args.wait, async || {
            let now = match run_id(self.ctx, &node.addr).await {
                Ok(now) => now,
                Err(failure @ Failure::Reply { .. }) if !failure.is_loading() => return Err(failure.into()),
                // It is on its way down, or up.
                Err(failure) => return Ok(Look::NotYet(failure.to_string())),
            };
            if now == before {
                return Ok(Look::NotYet(format!("the process at {} is still the old one", node.addr)));
            }
            let id = text_of(&pool.call(&node.addr, &command("CLUSTER MYID")).await?).unwrap_or_default();
            match id == node.id.as_str() {
                true => Ok(Look::Done(())),
                false => Err(Error::failed(format!("[ERR] Node {id} answers at {} now, not {}.", node.addr, node.id))
                    .hint("was it started in its own directory, where its cluster-config-file is?")),
            }
        });
        result.await.map_err(|error| match (error.kind, &error.what) {
            (Kind::TimedOut, What::Message(text)) if text.contains("still the old one") => {
                error.hint("the command ended well, but has not restarted the node")
            }
            _ => error,
        })
    }

    /// What is missing until the node counts as being back.
    fn lacks(&self, found: &Agreement, node: &Node) -> Option<String> {
        let Some(now) = found.view.node(&node.id).filter(|now| now.is_reachable()) else {
            return Some(format!("{} does not answer", node.addr));
        };
        let sees = |other: &Node| {
            let line = other.report.as_ref().ok().and_then(|report| report.line(&node.id));
            line.is_some_and(|line| line.connected && !line.flags.intersects(Flags::FAILED | Flags::SUSPECTED))
        };
        if let Some(other) = found.view.reachable().find(|other| other.id != node.id && !sees(other)) {
            return Some(format!("{} has no link to {}", other.addr, node.addr));
        }
        now.primary.and_then(|primary| self.lags(found, now, primary))
    }

    fn lags(&self, found: &Agreement, replica: &Node, primary: NodeId) -> Option<String> {
        let vital = found.vitals.get(&replica.id)?;
        match promote::lag(vital, found.vitals.get(&primary)) {
            None => Some(format!("{} has no link to its primary{}", replica.addr, found.vitals.apart(replica))),
            Some(lag) if lag > self.args.max_lag => Some(format!("{} is {lag} bytes behind", replica.addr)),
            Some(_) => None,
        }
    }

    async fn hand_over(&self, from: &Node, to: &Node) -> Result<(), Error> {
        let Rolling { ctx, args, .. } = self;
        ctx.ui.heading(format!(">>> Failover of {} to {}", from.addr, to.addr));
        let in_sync = |found: &Agreement| {
            let replica = found.view.node(&to.id).filter(|node| node.is_reachable());
            replica.map_or_else(|| Some(format!("{} does not answer", to.addr)), |node| self.lags(found, node, from.id))
        };
        agreement::within(ctx.ui, &ctx.pool, &to.addr, args.wait, in_sync).await?;
        Promotion { pool: &ctx.pool, replica: to, primary: from, how: How::Agreed, limit: args.wait }.run().await?;
        let follows = |found: &Agreement| {
            let old = found.view.node(&from.id)?;
            match old.primary == Some(to.id) {
                true => self.lags(found, old, to.id),
                false => Some(format!("{} does not replicate {} yet", from.addr, to.addr)),
            }
        };
        agreement::within(ctx.ui, &ctx.pool, &to.addr, args.wait, follows).await?;
        Ok(())
    }
}

/// What tells one process from the next at the same address.
async fn run_id(ctx: &Context<'_>, addr: &Addr) -> Result<String, Failure> {
    let info = text_of(&ctx.pool.call(addr, &command("INFO server")).await?).unwrap_or_default();
    Ok(info_field(&info, "run_id").unwrap_or_default().to_owned())
}
