//! `trib failover`: a replica takes over from its primary.

use std::time::Duration;

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::agreement;
use crate::trib::cli::{PlanArgs, SeedArgs, WaitArgs};
use crate::trib::client::command;
use crate::trib::error::{Error, Kind};
use crate::trib::nodes_text::Flags;
use crate::trib::pick;
use crate::trib::planned::{self, Step};
use crate::trib::promote::{self, How, Promotion};
use crate::trib::shards;
use crate::trib::view::{self, ClusterView, Node};
use crate::trib::vitals::Vitals;
use crate::trib::vocabulary::Vocabulary;
use crate::trib::wait::{self, Look};

/// Let a replica take over from its primary, in an orderly way
///
/// The primary holds writes back until the replica has everything, so nothing is lost and clients wait a moment. Where
/// only the shard is named, the replica that lags least takes over. Returns when all nodes know the new roles and the
/// old primary is in sync.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)))]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// The shard: its primary, or any node of it, by the beginning of an ID or by address
    #[arg(long, value_name = "NODE", group = "which")]
    shard: Option<String>,
    /// The replica that is to take over
    #[arg(long, value_name = "REPLICA", group = "which")]
    to: Option<String>,
    /// Do not ask the primary, which may be dead: most of the primaries vote. Writes that the replica does not have are
    /// lost
    #[arg(long)]
    forced: bool,
    /// Do not ask anybody: for a cluster that has lost most of its primaries. What the replica does not have is lost,
    /// and if the others still serve somewhere, slots may have two owners for a while
    #[arg(long, conflicts_with = "forced")]
    takeover: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Args {
    fn how(&self) -> How {
        match (self.forced, self.takeover) {
            (_, true) => How::Taken,
            (true, _) => How::Forced,
            _ => How::Agreed,
        }
    }
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    refuse_settled(ctx, &seed, args).await?;
    let view = ctx.hold(ClusterView::load(&ctx.pool, &seed).await?, args.plan.dry_run).await?;
    let (replica, primary, lag) = ready(ctx, &view, args).await?;
    let told = lag.map_or_else(|| "which has no link to it".to_owned(), |bytes| format!("{bytes} bytes behind"));
    ui.heading(format!(">>> Failover of {} to {} ({told})", primary.addr, replica.addr));
    let answers = match args.to {
        Some(_) => Vec::new(),
        None => vec!["--to".to_owned(), replica.id.to_string()],
    };
    let steps = vec![Step::Promote { node: replica.into(), primary: primary.into() }];
    ctx.pass_with(args.plan.dry_run, answers, planned::digest(&view), steps)?;
    if args.how() != How::Agreed {
        ui.warning("*** Writes that the replica does not have will be lost.");
        if !ui.confirm("Do you want to go on? (type 'yes' to accept): ")? {
            return Err(Error { kind: Kind::Declined, ..Error::failed("*** Aborting...") });
        }
    }
    ctx.agreed()?;
    let promotion = Promotion { pool: &ctx.pool, replica, primary, how: args.how(), limit: args.wait.wait };
    if args.wait.no_wait {
        return Ok(promotion.ask().await?);
    }
    promotion.run().await?;
    // The seed may be the primary that is gone; the replica is not.
    agreement::reach(ui, &ctx.pool, &replica.addr, args.wait, |found| {
        let old = found.view.node(&primary.id).filter(|node| node.is_reachable())?;
        (old.primary != Some(replica.id)).then(|| format!("{} does not replicate {} yet", old.addr, replica.addr))
    })
    .await?;
    ui.ok(format!("[OK] {} is the primary of {} slots now.", replica.addr, primary.slots.len()));
    Ok(())
}

/// Refuses at once what one node knows to be over: a primary that hangs would hold up whoever asks all nodes.
async fn refuse_settled(ctx: &Context<'_>, seed: &Addr, args: &Args) -> Result<(), Error> {
    // If this node does not answer, it is said when the cluster is looked at.
    let Ok(report) = view::ask(&ctx.pool, seed).await else { return Ok(()) };
    let view = ClusterView::glance(&ctx.pool, seed, &report);
    let find = |name: &Option<String>| pick::any(&view, name.as_deref()?).ok();
    if let Some(gone) = [&args.to, &args.shard].into_iter().filter_map(find).find(|node| is_replaced(&view, node)) {
        let reply = ctx.pool.call(seed, &command("CLUSTER SHARDS")).await.ok();
        let successor = reply.and_then(|reply| shards::leader(&reply, &gone.id));
        return Err(replaced(&view, gone, successor.and_then(|id| view.node(&id))));
    }
    let Some(node) = find(&args.to) else { return Ok(()) };
    // What it is it knows best.
    let is_well = node.is_primary() && !node.flags.intersects(Flags::FAILED | Flags::SUSPECTED);
    match is_well && view::ask(&ctx.pool, &node.addr).await.is_ok_and(|report| report.own().primary.is_none()) {
        true => Err(is_primary_already(node)),
        false => Ok(()),
    }
}

/// Whether this is a primary that has failed and has nothing left to hand over, nor anybody to hand it to.
fn is_replaced(view: &ClusterView, node: &Node) -> bool {
    let has_failed = node.flags.contains(Flags::FAILED) && node.is_primary();
    has_failed && node.slots.is_empty() && !view.nodes.iter().any(|other| other.primary == Some(node.id))
}

fn replaced(view: &ClusterView, gone: &Node, successor: Option<&Node>) -> Error {
    let seed = &view.seed().addr;
    match successor {
        Some(now) => {
            Error::failed(format!("[ERR] Node {} has failed, and {} has taken its place.", gone.addr, now.addr))
                .hint(format!("to replace that one in turn: trib failover --shard {} {seed}", now.id))
        }
        None => Error::failed(format!(
            "[ERR] Node {} has failed, and has neither slots nor replicas that could be taken over.",
            gone.addr
        ))
        .hint(format!("'trib status {seed}' shows who has its place")),
    }
}

fn is_primary_already(node: &Node) -> Error {
    Error::failed(format!("[ERR] Node {} is a primary already.", node.addr))
        .hint(format!("name a replica of it, or let trib choose one: --shard {}", node.addr))
}

/// The replica that is to take over, from whom, and how many bytes it lacks. A replica that has just been made one
/// is given the time to get its data.
async fn ready<'v>(
    ctx: &Context<'_>,
    view: &'v ClusterView,
    args: &Args,
) -> Result<(&'v Node, &'v Node, Option<u64>), Error> {
    let limit = if args.wait.no_wait { Duration::ZERO } else { args.wait.wait };
    let mut refused = None;
    let result = wait::until(None, limit, async || {
        let vitals = Vitals::load(&ctx.pool, view).await;
        let (replica, primary) = choose(view, &vitals, args)?;
        let lag = vitals.get(&replica.id).and_then(|vital| promote::lag(vital, vitals.get(&primary.id)));
        match allow(args.how(), primary, replica, lag.is_some()) {
            Ok(()) => Ok(Look::Done((replica, primary, lag))),
            Err(error) if primary.is_reachable() && replica.is_reachable() => {
                refused = Some(error);
                Ok(Look::NotYet("the replica has no link to its primary".to_owned()))
            }
            Err(error) => Err(error),
        }
    });
    result.await.map_err(|error| refused.filter(|_| error.kind == Kind::TimedOut).unwrap_or(error))
}

/// The replica that is to take over, and from whom.
fn choose<'v>(view: &'v ClusterView, vitals: &Vitals, args: &Args) -> Result<(&'v Node, &'v Node), Error> {
    let primary_of = |node: &'v Node| node.primary.and_then(|id| view.node(&id));
    if let Some(name) = &args.to {
        let node = named(view, name)?;
        let Some(primary) = primary_of(node) else {
            return Err(is_primary_already(node));
        };
        let shard = args.shard.as_ref().map(|name| named(view, name)).transpose()?;
        if shard.is_some_and(|shard| shard.primary.unwrap_or(shard.id) != primary.id) {
            return Err(Error::failed(format!("[ERR] Node {} is no replica of that shard.", node.addr))
                .hint(format!("it replicates {}; --to alone is enough", primary.addr)));
        }
        return Ok((node, primary));
    }
    let node = named(view, args.shard.as_deref().unwrap_or_default())?;
    let primary = primary_of(node).unwrap_or(node);
    let replicas: Vec<&Node> = view.replicas_of(&primary.id).collect();
    let best = promote::best(&replicas, primary.id, vitals, 0);
    let best = best.ok_or_else(|| {
        Error::failed(format!("[ERR] Node {} has no replica that answers.", primary.addr)).hint(format!(
            "trib add-node --slave --master-id {} NEW {}",
            primary.id,
            view.seed().addr
        ))
    })?;
    Ok((best, primary))
}

fn named<'v>(view: &'v ClusterView, name: &str) -> Result<&'v Node, Error> {
    pick::any(view, name).map_err(|bad| bad.refusal(view, Vocabulary::default()))
}

/// What an orderly failover needs.
fn allow(how: How, primary: &Node, replica: &Node, is_linked: bool) -> Result<(), Error> {
    let alive = |node: &Addr| format!("[ERR] Node {node} does not answer");
    if !replica.is_reachable() {
        return Err(Error::failed(format!("{}.", alive(&replica.addr)))
            .hint("only a replica that runs can take over: start it, or name another one"));
    }
    if how != How::Agreed {
        return Ok(());
    }
    let text = match primary.is_reachable() {
        true if is_linked => return Ok(()),
        true => format!("[ERR] The link of {} to its primary {} is down", replica.addr, primary.addr),
        false => alive(&primary.addr),
    };
    Err(Error::failed(format!("{text}: there is no orderly failover."))
        .hint("--forced does without the primary, --takeover also without the votes of the others; writes may be lost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::small;

    #[test]
    fn a_primary_that_was_replaced_is_known_by_what_it_lacks() {
        let seen = |of_a: &str, of_c: &str| {
            let text = format!(
                "b 10.0.0.2:7000 myself,master - 0 0 2 connected 0-16383\n\
                 a 10.0.0.1:7000 {of_a}\nc 10.0.0.3:7000 {of_c}"
            );
            let view = crate::trib::view::tests::view("10.0.0.2:7000", &[&text]);
            is_replaced(&view, view.node(&crate::trib::view::tests::id('a')).unwrap())
        };
        let of_b = "slave b 0 0 2 connected";
        assert!(seen("master,fail - 0 0 1 disconnected", of_b));
        assert!(!seen("master,fail - 0 0 1 disconnected 7", of_b), "it has slots");
        assert!(!seen("master,fail - 0 0 1 disconnected", "slave a 0 0 1 connected"), "it has a replica");
        assert!(!seen("master,fail? - 0 0 1 disconnected", of_b) && !seen("slave,fail b 0 0 1 connected", of_b));
    }

    #[test]
    fn an_orderly_failover_needs_both_ends() {
        let view = small();
        let (primary, replica) = (&view.nodes[0], &view.nodes[2]);
        assert!(allow(How::Agreed, primary, replica, true).is_ok());
        let refused = allow(How::Agreed, primary, replica, false).unwrap_err();
        assert!(refused.hint.unwrap().contains("--forced"));
        assert!(allow(How::Forced, primary, replica, false).is_ok());
        let mut dead = primary.clone();
        dead.report = Err(crate::trib::error::Failure::Lost { node: dead.addr.clone(), reason: "x".into() });
        assert!(allow(How::Agreed, &dead, replica, true).is_err());
        assert!(allow(How::Taken, &dead, replica, false).is_ok());
        assert!(allow(How::Taken, primary, &dead, false).is_err(), "somebody has to take over");
    }
}
