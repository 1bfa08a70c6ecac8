//! When a change is done: every node that answers sees the same owners and the same roles, serves, and its replicas
//! are in sync.
//!
//! A node knows of a change as soon as it is told, the others by and by. A command that returned in between would hand
//! its successor a cluster whose nodes contradict each other, so changing commands end here.

use std::time::{Duration, Instant};

use super::addr::Addr;
use super::cli::WaitArgs;
use super::client::Pool;
use super::error::{Error, Kind};
use super::nodes_text::Flags;
use super::ui::{Ui, Wording};
use super::view::{ClusterView, Node};
use super::vitals::Vitals;
use super::wait::{self, Look};

/// A wait that is longer than this is announced.
const SAY_AFTER: Duration = Duration::from_secs(1);

/// What the nodes have come to agree on.
pub struct Agreement {
    pub view: ClusterView,
    pub vitals: Vitals,
}

/// Waits as the operator wants it until the nodes agree and `missing` finds nothing that is still to come.
pub async fn reach(
    ui: &Ui,
    pool: &Pool,
    seed: &Addr,
    wait: WaitArgs,
    missing: impl Fn(&Agreement) -> Option<String>,
) -> Result<(), Error> {
    match wait.no_wait {
        true => Ok(()),
        false => within(ui, pool, seed, wait.wait, missing).await.map(drop),
    }
}

/// The same behind slots that were moved. redis-cli does not look at replicas: in its grammar it is enough that all nodes
/// have heard of the owners.
pub async fn after_moves(ui: &Ui, pool: &Pool, seed: &Addr, wait: WaitArgs) -> Result<(), Error> {
    match ui.wording() {
        Wording::Trib => reach(ui, pool, seed, wait, |_| None).await,
        Wording::RedisCli => Ok(()),
    }
}

/// The same with a limit, giving what was agreed on.
pub async fn within(
    ui: &Ui,
    pool: &Pool,
    seed: &Addr,
    limit: Duration,
    missing: impl Fn(&Agreement) -> Option<String>,
) -> Result<Agreement, Error> {
    let begun = Instant::now();
    let mut said = false;
    let result = wait::until(None, limit, async || {
        let view = ClusterView::load(pool, seed).await?;
        let vitals = Vitals::load(pool, &view).await;
        let found = Agreement { view, vitals };
        let behind = || found.vitals.out_of_sync(&found.view);
        let Some(what) =
            disagreement(&found.view).or_else(|| ailing(&found)).or_else(|| missing(&found)).or_else(behind)
        else {
            return Ok(Look::Done(found));
        };
        if !said && begun.elapsed() > SAY_AFTER {
            said = true;
            ui.note("Waiting for all nodes to agree...");
        }
        Ok(Look::NotYet(what))
    });
    result.await.map_err(|error| match error.kind {
        Kind::TimedOut => error.hint(format!("the change itself is made; see: trib check {seed}")),
        _ => error,
    })
}

/// Who sees owners or roles otherwise than they are, if somebody does.
#[must_use]
pub fn disagreement(view: &ClusterView) -> Option<String> {
    if !view.agree() {
        return Some("the nodes do not agree who owns the slots".to_owned());
    }
    view.reachable().find_map(|node| {
        let holder = view.reachable().find(|other| other.id != node.id && !sees_role(other, node))?;
        Some(format!("{} has not heard what {} is", holder.addr, node.addr))
    })
}

/// Whether `holder` knows the role of `node`, and whom it replicates. A holder that does not know the node at all has
/// no wrong idea of it.
fn sees_role(holder: &Node, node: &Node) -> bool {
    let line = holder.report.as_ref().ok().and_then(|report| report.line(&node.id));
    line.is_none_or(|line| {
        let role = |flags: Flags| flags.contains(Flags::REPLICA);
        role(line.flags) == role(node.flags) && line.primary == node.primary
    })
}

/// A node that does not serve, or a replica that nobody feeds. Where slots are lost, nobody serves whatever is waited
/// for, so only the replicas count then.
fn ailing(found: &Agreement) -> Option<String> {
    let Agreement { view, vitals } = found;
    let is_whole = view.covered().complement().is_empty();
    view.reachable().find_map(|node| {
        let complaint = match is_whole {
            true => vitals.complaint(node)?,
            false if node.is_replica() && !vitals.is_linked(node) => vitals.complaint(node)?,
            false => return None,
        };
        // A replica whose primary is dead waits for an election, not for this program.
        let primary = node.primary.and_then(|id| view.node(&id));
        let is_orphan = node.is_replica() && primary.is_none_or(|primary| !primary.is_reachable());
        (!is_orphan).then(|| format!("{}: {complaint}", node.addr))
    })
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{small, view};
    use super::*;

    #[test]
    fn roles_are_agreed_on_like_slots() {
        assert_eq!(disagreement(&small()), None);
        // c has become a replica of b, and a has not heard of it.
        let lines = |c: &str| {
            format!(
                "a 10.0.0.1:7000 A - 0 0 1 connected 0-8191\n\
                 b 10.0.0.2:7000 B - 0 0 2 connected 8192-16383\n\
                 c 10.0.0.3:7000 {c} 0 0 1 connected"
            )
        };
        let of_a = lines("slave a").replace(" A ", " myself,master ").replace(" B ", " master ");
        let of_b = lines("slave b").replace(" A ", " master ").replace(" B ", " myself,master ");
        let of_c = lines("myself,slave b").replace(" A ", " master ").replace(" B ", " master ");
        let split = view("10.0.0.1:7000", &[&of_a, &of_b, &of_c]);
        assert_eq!(disagreement(&split).unwrap(), "10.0.0.1:7000 has not heard what 10.0.0.3:7000 is");
        let of_a = of_a.replace("slave a", "slave b");
        assert_eq!(disagreement(&view("10.0.0.1:7000", &[&of_a, &of_b, &of_c])), None);
    }

    #[test]
    fn a_replica_of_a_dead_primary_is_not_waited_for() {
        let view = view(
            "10.0.0.1:7000",
            &[
                "a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-8191\n\
                 b 10.0.0.2:7000 master,fail - 0 0 2 disconnected 8192-16383\n\
                 c 10.0.0.3:7000 slave b 0 0 2 connected",
                "c 10.0.0.3:7000 myself,slave b 0 0 2 connected\n\
                 b 10.0.0.2:7000 master,fail - 0 0 2 disconnected 8192-16383\n\
                 a 10.0.0.1:7000 master - 0 0 1 connected 0-8191",
            ],
        );
        assert_eq!(ailing(&Agreement { view, vitals: Vitals::default() }), None);
        let view = small();
        assert!(ailing(&Agreement { view, vitals: Vitals::default() }).is_some(), "nobody has said that it serves");
    }
}
