//! Taking nodes out of a cluster so that they stay out.
//!
//! A node that is told to forget another one does not listen to gossip about it for a minute. So everybody has to be
//! told within that minute, and whoever hears of the node again from somebody who was late is told again, until nobody
//! knows of it.

use std::time::Duration;

use redis::Cmd;

use super::addr::Addr;
use super::client::{command, join_all};
use super::cmd::Context;
use super::error::{Error, Failure, Kind};
use super::nodes_text::Flags;
use super::planned::Step;
use super::view::{self, ClusterView, Node, Report};
use super::wait::{self, Look};

/// How long a server ignores gossip about a node that it was told to forget.
pub const BAN: Duration = Duration::from_secs(60);
/// A replica drops its data when it is reset, which may take long.
const RESET_LIMIT: Duration = Duration::from_secs(120);

/// Makes all others of the view forget the nodes, resets those of them that answer, and returns when nobody knows of
/// them any more.
pub async fn forget(ctx: &Context<'_>, view: &ClusterView, gone: &[&Node]) -> Result<(), Error> {
    let is_gone = |node: &Node| gone.iter().any(|other| other.id == node.id);
    let others: Vec<&Node> = view.reachable().filter(|node| !is_gone(node)).collect();
    // All are told before the first refusal is looked at: the minute has begun.
    let told = join_all(others.iter().map(|other| tell(ctx, &other.addr, gone))).await;
    let done = told.iter().filter(|told| told.is_ok()).count();
    if let Some(failure) = told.into_iter().find_map(Result::err) {
        let hint = failure.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return Err(Error::from(failure).hint(format!(
            "{done} of {} nodes were told; the same command again tells the others, when they answer{hint}",
            others.len()
        )));
    }
    for silent in view.unreachable().filter(|node| !is_gone(node)) {
        ctx.ui.note(format!(
            "{} ({}) is not reachable and still knows what was removed: if it comes back, remove it again",
            silent.addr, silent.id
        ));
    }
    let alive: Vec<&Node> = gone.iter().copied().filter(|node| node.is_reachable()).collect();
    if !alive.is_empty() {
        ctx.ui.heading(match alive.len() {
            1 => ">>> Sending CLUSTER RESET SOFT to the deleted node.",
            _ => ">>> Sending CLUSTER RESET SOFT to the deleted nodes.",
        });
        for result in join_all(alive.iter().map(|node| reset(ctx, &node.addr))).await {
            match result {
                // It reads what its new primary has sent, and will be asked again.
                Err(failure) if failure.is_loading() => {}
                other => other?,
            }
        }
    }
    confirm(ctx, &others, gone, &alive).await
}

/// What is done with the nodes, as steps.
pub fn steps<'s>(gone: &'s [&Node]) -> impl Iterator<Item = Step> + 's {
    gone.iter().flat_map(|&node| {
        let reset = node.is_reachable().then(|| Step::Reset { node: node.into() });
        [Step::Forget { node: node.into() }].into_iter().chain(reset)
    })
}

/// FORGET of all the nodes, in one write.
async fn tell(ctx: &Context<'_>, other: &Addr, gone: &[&Node]) -> Result<(), Failure> {
    let cmds: Vec<Cmd> = gone
        .iter()
        .map(|node| {
            let mut cmd = command("CLUSTER FORGET");
            cmd.arg(node.id.as_str());
            cmd
        })
        .collect();
    let client = ctx.pool.client(other).await?;
    for reply in client.pipeline(client.timeouts().reply, &cmds).await? {
        match reply {
            // It never knew the node, or has forgotten it already.
            Err(Failure::Reply { text, .. }) if text.contains("Unknown node") => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Makes the node a stranger to all others; it keeps its id, and a replica drops its data.
pub async fn reset(ctx: &Context<'_>, addr: &Addr) -> Result<(), Failure> {
    let client = ctx.pool.client(addr).await?;
    client.call_within(client.timeouts().long(RESET_LIMIT), &command("CLUSTER RESET SOFT")).await.map(drop)
}

/// Until nobody knows of the nodes; whom gossip has told of them is told again.
async fn confirm(ctx: &Context<'_>, others: &[&Node], gone: &[&Node], alive: &[&Node]) -> Result<(), Error> {
    let result = wait::until(None, BAN.max(RESET_LIMIT), async || {
        let mut missing = None;
        let reports = join_all(others.iter().map(|other| view::ask(&ctx.pool, &other.addr))).await;
        for (other, report) in others.iter().zip(reports) {
            // One that stops answering now has been told; it may come back within the time.
            let Ok(report) = report else {
                missing.get_or_insert_with(|| format!("{} does not answer any more", other.addr));
                continue;
            };
            match knows(&report, gone) {
                Knows::Nobody => continue,
                // It greets what is not to be greeted; that comes to nothing, or it becomes a node that can be forgotten.
                Knows::Stranger => {}
                Knows::Member => tell(ctx, &other.addr, gone).await?,
            }
            missing.get_or_insert_with(|| format!("{} still knows the node", other.addr));
        }
        for node in alive {
            if view::ask(&ctx.pool, &node.addr).await?.lines.len() > 1 {
                reset(ctx, &node.addr).await?;
                missing.get_or_insert_with(|| format!("{} still knows the cluster", node.addr));
            }
        }
        Ok(missing.map_or(Look::Done(()), Look::NotYet))
    });
    result.await.map_err(|error| match error.kind {
        Kind::TimedOut => error.hint("remove it again; a node that was not reachable may have spread the word of it"),
        _ => error,
    })
}

/// What somebody knows of nodes that are to be forgotten.
#[derive(Debug, PartialEq, Eq)]
enum Knows {
    Nobody,
    /// A greeting to the address of one is on its way; it has another id until it is answered.
    Stranger,
    Member,
}

fn knows(report: &Report, gone: &[&Node]) -> Knows {
    let is_greeted = |node: &Node| {
        report.lines.iter().any(|line| line.flags.contains(Flags::HANDSHAKE) && line.addr == node.announced)
    };
    if gone.iter().any(|node| report.line(&node.id).is_some()) {
        Knows::Member
    } else if gone.iter().any(|node| is_greeted(node)) {
        Knows::Stranger
    } else {
        Knows::Nobody
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, small, view};
    use super::*;

    #[test]
    fn a_greeting_that_is_under_way_counts() {
        let all = small();
        let gone = [all.node(&id('c')).unwrap()];
        let said = |lines: &str| {
            let text = format!("a 10.0.0.1:7000 myself,master - 0 0 1 connected\n{lines}");
            knows(view("10.0.0.1:7000", &[&text]).seed().report.as_ref().unwrap(), &gone)
        };
        assert_eq!(said("c 10.0.0.3:7000 slave a 0 0 1 connected"), Knows::Member);
        assert_eq!(said("z 10.0.0.3:7000 handshake - 0 0 0 disconnected"), Knows::Stranger);
        assert_eq!(said("z 10.0.0.4:7000 handshake - 0 0 0 disconnected"), Knows::Nobody);
        assert_eq!(said("b 10.0.0.2:7000 master - 0 0 1 connected"), Knows::Nobody);
    }
}
