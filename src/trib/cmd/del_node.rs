//! `trib del-node`: takes a node without slots out of the cluster, alive or dead.

use std::time::Duration;

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::cli::PlanArgs;
use crate::trib::client::{command, join_all};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::planned::{self, Member, Step};
use crate::trib::view::{self, ClusterView, Node};
use crate::trib::vitals;
use crate::trib::wait::{self, Look};

/// Remove a node that owns no slots, also a dead one
///
/// Its replicas are given to the primary with the fewest, every node is told to forget it, and if it
/// answers it is reset.
#[derive(clap::Args)]
pub struct Args {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    existing: Addr,
    /// The node to remove: its id, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    plan: PlanArgs,
}

const RESET_LIMIT: Duration = Duration::from_secs(120);
/// How long the others may take to show that they have forgotten it.
const FORGET_LIMIT: Duration = Duration::from_secs(10);

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    ui.heading(format!(">>> Removing node {} from cluster {}", args.id, args.existing));
    let view = ClusterView::load(&ctx.pool, &args.existing).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    let [node] = view.with_id_prefix(&args.id)[..] else {
        return Err(Error::failed(format!("[ERR] No such node ID {}", args.id)));
    };
    if !node.slots.is_empty() {
        return Err(not_empty(node));
    }
    let may_hold_keys = node.is_primary() && node.is_reachable();
    if may_hold_keys && vitals::ask(&ctx.pool.client(&node.addr).await?).await?.keys > 0 {
        return Err(Error::failed(not_empty_text(node))
            .hint("it owns no slots but holds keys, which nobody can reach: FLUSHALL it, or import the keys first"));
    }
    let moves = plan_rehoming(&view, node)?;
    ctx.pass(args.plan.dry_run, planned::digest(&view), steps(node, &moves))?;
    ui.heading(">>> Sending CLUSTER FORGET messages to the cluster...");
    rehome_replicas(ctx, &moves).await?;
    forget(ctx, &view, node).await?;
    if node.is_reachable() {
        ui.heading(">>> Sending CLUSTER RESET SOFT to the deleted node.");
        // A replica drops its data first, which may take long.
        let client = ctx.pool.client(&node.addr).await?;
        client.call_within(RESET_LIMIT, &command("CLUSTER RESET SOFT")).await?;
    }
    confirm_forgotten(ctx, &view, node).await
}

fn not_empty_text(node: &Node) -> String {
    format!("[ERR] Node {} is not empty! Reshard data away and try again.", node.addr)
}

fn not_empty(node: &Node) -> Error {
    let error = Error::failed(not_empty_text(node));
    match node.is_reachable() {
        true => {
            error.hint(format!("it owns {} slots: move them with 'trib reshard --from {}'", node.slots.len(), node.id))
        }
        false => error.hint(format!(
            "it is not reachable and owns {} slots: fail over to a replica of it, or give the slots to others with \
             'trib fix'",
            node.slots.len()
        )),
    }
}

/// A replica cannot forget its primary, so each gets another one first. Planned for all before the first
/// is told, so that they spread.
async fn rehome_replicas(ctx: &Context<'_>, moves: &[(&Node, &Node)]) -> Result<(), Error> {
    for (replica, primary) in moves {
        ctx.ui.heading(format!(">>> {} as replica of {}", replica.addr, primary.addr));
        ctx.pool.call(&replica.addr, command("CLUSTER REPLICATE").arg(primary.id.as_str())).await?;
    }
    Ok(())
}

fn steps(node: &Node, moves: &[(&Node, &Node)]) -> Vec<Step> {
    let rehome = |(replica, primary): &(&Node, &Node)| Step::Replicate {
        node: Member::from(*replica),
        primary: Member::from(*primary),
    };
    let mut steps: Vec<Step> = moves.iter().map(rehome).collect();
    steps.push(Step::Forget { node: node.into() });
    if node.is_reachable() {
        steps.push(Step::Reset { node: node.into() });
    }
    steps
}

fn plan_rehoming<'v>(view: &'v ClusterView, node: &Node) -> Result<Vec<(&'v Node, &'v Node)>, Error> {
    let mut homes: Vec<(&Node, usize)> = view
        .primaries()
        .filter(|primary| primary.id != node.id && !primary.slots.is_empty())
        .map(|primary| (primary, view.replicas_of(&primary.id).count()))
        .collect();
    let mut moves = Vec::new();
    for replica in view.replicas_of(&node.id) {
        let (primary, replicas) = homes
            .iter_mut()
            .min_by_key(|(_, replicas)| *replicas)
            .ok_or_else(|| Error::failed("[ERR] There is no other primary to give its replicas to."))?;
        *replicas += 1;
        moves.push((replica, *primary));
    }
    Ok(moves)
}

async fn forget(ctx: &Context<'_>, view: &ClusterView, node: &Node) -> Result<(), Error> {
    let others: Vec<&Node> = view.reachable().filter(|other| other.id != node.id).collect();
    let mut cmd = command("CLUSTER FORGET");
    let results = ctx.pool.call_all(others.iter().map(|other| &other.addr), cmd.arg(node.id.as_str())).await;
    for result in results {
        match result {
            // It never knew the node, or has forgotten it already.
            Err(Failure::Reply { text, .. }) if text.contains("Unknown node") => {}
            other => drop(other?),
        }
    }
    for silent in view.unreachable().filter(|other| other.id != node.id) {
        ctx.ui.note(format!(
            "{} ({}) is not reachable and still knows the node: if it comes back within its memory of it, remove the \
             node again",
            silent.addr, silent.id
        ));
    }
    Ok(())
}

/// Gossip must not have brought it back.
async fn confirm_forgotten(ctx: &Context<'_>, view: &ClusterView, node: &Node) -> Result<(), Error> {
    let others: Vec<&Node> = view.reachable().filter(|other| other.id != node.id).collect();
    wait::until(None, FORGET_LIMIT, async || {
        let reports = join_all(others.iter().map(|other| view::ask(&ctx.pool, &other.addr))).await;
        for (other, report) in others.iter().zip(reports) {
            if report?.line(&node.id).is_some() {
                return Ok(Look::NotYet(format!("{} still knows the node", other.addr)));
            }
        }
        Ok(Look::Done(()))
    })
    .await
    .map_err(|error| match error.kind {
        Kind::TimedOut => error.hint("remove it again; a node that was not reachable may have spread the word of it"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::{id, view};

    #[test]
    fn replicas_spread_over_the_primaries_that_stay() {
        let texts = |own: char| {
            let lines = [
                ('a', "10.0.0.1:1 master - 0 0 1 connected 0-8191"),
                ('b', "10.0.0.2:1 master - 0 0 2 connected 8192-16383"),
                ('d', "10.0.0.4:1 master - 0 0 3 connected"),
                ('e', "10.0.0.5:1 slave d 0 0 3 connected"),
                ('f', "10.0.0.6:1 slave d 0 0 3 connected"),
                ('c', "10.0.0.3:1 slave a 0 0 1 connected"),
            ];
            let line = |(letter, rest): (char, &str)| {
                let rest = if letter == own { rest.replacen(' ', " myself,", 1) } else { rest.to_owned() };
                format!("{letter} {rest}\n")
            };
            lines.map(line).concat()
        };
        let all: Vec<String> = "abcdef".chars().map(texts).collect();
        let view = view("10.0.0.1:1", &all.iter().map(String::as_str).collect::<Vec<_>>());
        let moves = plan_rehoming(&view, view.node(&id('d')).unwrap()).unwrap();
        let pairs: Vec<_> = moves.iter().map(|(replica, primary)| (replica.id, primary.id)).collect();
        assert_eq!(pairs, [(id('e'), id('b')), (id('f'), id('a'))]);
    }
}
