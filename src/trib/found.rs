//! Founding a cluster: from checked nodes and a plan to a cluster that takes its first write, or back to
//! nodes as they were.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::addr::Addr;
use super::client::{command, info_field, join_all, text_of};
use super::cmd::Context;
use super::error::{Error, Failure, INTERRUPTED, Kind};
use super::fresh::Fresh;
use super::join;
use super::nodes_text::Flags;
use super::plan::create::CreatePlan;
use super::report::Health;
use super::slots::SlotSet;
use super::ui::Wording;
use super::view::{self, ClusterView, Opinion, Report};
use super::vitals::Vitals;
use super::wait::{self, Look};
use crate::base::NodeId;

/// After this long without everybody knowing everybody, say which ports may be closed.
const EXPLAIN_AFTER: Duration = Duration::from_secs(10);
/// How long replicas may take to reach their primaries once the cluster serves.
const LINK_GRACE: Duration = Duration::from_secs(10);
/// A wait for replicas that is longer than this is announced.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// A greeting is on its way for a moment.
const GREET_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A server that does not serve yet is made to look whether it may this often, ten times as often as it looks on its own.
const NUDGE_EVERY: Duration = Duration::from_millis(10);
/// Up to this many nodes each hears of every replica before the work is called done.
const ROLES_EVERYWHERE_MAX: usize = 20;
/// Rounds of resetting; the first is enough unless an introduction was still under way.
const UNDO_ROUNDS: usize = 10;

/// The work on a new cluster.
pub struct Founding<'a> {
    pub ctx: &'a Context<'a>,
    pub nodes: &'a [Fresh],
    pub plan: &'a CreatePlan,
    /// How long joining and coming up may each take.
    pub limit: Duration,
    /// Whether replicas have to be in sync.
    pub in_sync: bool,
}

impl Founding<'_> {
    /// Does everything and returns the view of a cluster that serves. What fails or is interrupted before
    /// the nodes have joined is undone.
    pub async fn run(&self) -> Result<ClusterView, Error> {
        let form = async {
            tokio::select! {
                result = self.form() => result,
                _ = tokio::signal::ctrl_c() => Err(Error::failed(INTERRUPTED)),
            }
        };
        if let Err(error) = form.await {
            self.ctx.ui.part("\n");
            let undone = self.undo().await;
            self.ctx.rolled_back();
            let hint = error.hint.as_ref().map_or(undone.clone(), |hint| format!("{undone}; {hint}"));
            return Err(error.hint(hint));
        }
        // The signal is caught from now on, so it has to be heeded here as well.
        tokio::select! {
            result = self.come_up() => result,
            _ = tokio::signal::ctrl_c() => {
                Err(Error::failed(INTERRUPTED).hint("the nodes have joined; 'trib check' says whether they serve"))
            }
        }
    }

    async fn form(&self) -> Result<(), Error> {
        let ui = self.ctx.ui;
        self.assign_slots().await?;
        self.ctx.stage("slots assigned");
        ui.heading(">>> Nodes configuration updated");
        ui.heading(">>> Assign a different config epoch to each node");
        self.assign_epochs().await?;
        ui.heading(">>> Sending CLUSTER MEET messages to join the cluster");
        join::introduce(&self.ctx.pool, self.nodes).await?;
        ui.part(ui.word("Waiting for the cluster to join...", "Waiting for the cluster to join\n"));
        self.join().await?;
        self.ctx.stage("joined");
        ui.part("\n");
        Ok(())
    }

    async fn assign_slots(&self) -> Result<(), Error> {
        let results = join_all(self.plan.primaries.iter().map(|primary| async {
            let mut cmd = command("CLUSTER ADDSLOTS");
            for slot in primary.first.get()..=primary.last.get() {
                cmd.arg(slot);
            }
            self.ctx.pool.call(&self.nodes[primary.node].addr, &cmd).await
        }))
        .await;
        results.into_iter().collect::<Result<Vec<_>, Failure>>()?;
        Ok(())
    }

    /// Different epochs from the start spare the primaries the conflicts they would have to settle. A
    /// node that has one from an earlier life keeps it.
    async fn assign_epochs(&self) -> Result<(), Error> {
        let results = join_all(self.nodes.iter().zip(1..).map(|(node, epoch)| async move {
            let mut cmd = command("CLUSTER SET-CONFIG-EPOCH");
            self.ctx.pool.call(&node.addr, cmd.arg(epoch)).await
        }))
        .await;
        for result in results {
            match result {
                Err(failure) if failure.reply().is_none() => return Err(failure.into()),
                Err(failure) => self.ctx.ui.detail(failure.to_string()),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Until every node knows every other and all agree about slots and roles. A replica is told its
    /// primary in the moment it knows it.
    async fn join(&self) -> Result<(), Error> {
        let members: BTreeMap<NodeId, Addr> = self.nodes.iter().map(|node| (node.id, node.meet.clone())).collect();
        let wanted = self.opinion();
        let mut waiting: Vec<(usize, usize)> = self.plan.replicas.iter().map(|r| (r.node, r.primary)).collect();
        let started = Instant::now();
        let mut explained = false;
        let mut greeted: Option<Instant> = None;
        let mut missed = Vec::new();
        let result = wait::until(Some(self.ctx.ui), self.limit, async || {
            let reports = join_all(self.nodes.iter().map(|node| view::ask(&self.ctx.pool, &node.addr))).await;
            let reports: Vec<Report> = reports.into_iter().collect::<Result<_, Failure>>()?;
            let told = self.replicate(&waiting, &reports).await?;
            waiting.retain(|pair| !told.contains(pair));
            let given = self.nodes.iter().map(|node| node.meet.clone());
            let reports: Vec<_> = given.zip(reports.into_iter().map(Ok)).collect();
            missed = join::missing_links(&members, &reports);
            if missed.is_empty() && waiting.is_empty() {
                let unheard = self.unheard(&wanted, &reports);
                if unheard.is_empty() {
                    return Ok(Look::Done(()));
                }
                if greeted.is_none_or(|at| at.elapsed() >= GREET_AGAIN_AFTER) {
                    greeted = Some(Instant::now());
                    join::greet(&self.ctx.pool, unheard).await?;
                }
            }
            if !missed.is_empty() && !explained && started.elapsed() >= EXPLAIN_AFTER {
                explained = true;
                self.ctx.ui.part("\n");
                join::explain(self.ctx.ui, &missed);
            }
            Ok(Look::NotYet(match missed.first() {
                Some((node, by)) => format!("{} has no cluster bus link to {node}", by[0]),
                None => "the nodes do not agree about the slots".to_owned(),
            }))
        })
        .await;
        if result.is_err() && !explained && !missed.is_empty() {
            self.ctx.ui.part("\n");
            join::explain(self.ctx.ui, &missed);
        }
        result.map_err(|error| match error.kind {
            Kind::TimedOut if !missed.is_empty() => error
                .hint("open the cluster bus ports (by default the port + 10000) between all nodes, in both directions"),
            _ => error,
        })
    }

    /// Tells those replicas their primaries that know them already; returns the pairs that are done.
    async fn replicate(&self, waiting: &[(usize, usize)], reports: &[Report]) -> Result<Vec<(usize, usize)>, Error> {
        let ready = waiting.iter().filter(|(replica, primary)| {
            let wanted = &self.nodes[*primary].id;
            reports[*replica].line(wanted).is_some_and(|line| line.connected && line.flags.contains(Flags::PRIMARY))
        });
        let results = join_all(ready.map(|&(replica, primary)| async move {
            let mut cmd = command("CLUSTER REPLICATE");
            self.ctx.pool.call(&self.nodes[replica].addr, cmd.arg(self.nodes[primary].id.as_str())).await?;
            Ok::<_, Failure>((replica, primary))
        }))
        .await;
        Ok(results.into_iter().collect::<Result<Vec<_>, Failure>>()?)
    }

    /// Who has to greet whom, because that one has not heard yet what it owns or whom it replicates. In a
    /// large cluster only the primary has to know its replica; the others hear of it by and by.
    fn unheard(&self, wanted: &Opinion, reports: &[(Addr, Result<Report, Failure>)]) -> Vec<(&Fresh, Vec<&Fresh>)> {
        let primaries: BTreeMap<usize, usize> = self.plan.replicas.iter().map(|r| (r.node, r.primary)).collect();
        let everybody_hears_roles = self.nodes.len() <= ROLES_EVERYWHERE_MAX;
        let no_slots = SlotSet::new();
        let has_heard = |listener: usize, speaker: usize| {
            let Ok(report) = &reports[listener].1 else { return true };
            let Some(line) = report.line(&self.nodes[speaker].id) else { return false };
            let role_is_known = match primaries.get(&speaker) {
                Some(&primary) if everybody_hears_roles || primary == listener => {
                    line.primary == Some(self.nodes[primary].id)
                }
                _ => true,
            };
            role_is_known && line.slots == *wanted.get(&line.id).unwrap_or(&no_slots)
        };
        let speak = |speaker: usize| {
            let listeners = (0..self.nodes.len()).filter(|&other| other != speaker && !has_heard(other, speaker));
            (&self.nodes[speaker], listeners.map(|other| &self.nodes[other]).collect::<Vec<_>>())
        };
        (0..self.nodes.len()).map(speak).filter(|(_, listeners)| !listeners.is_empty()).collect()
    }

    fn opinion(&self) -> Opinion {
        let owned = self.plan.primaries.iter().map(|primary| {
            let mut slots = SlotSet::new();
            slots.insert_range(primary.first, primary.last);
            (self.nodes[primary.node].id, slots)
        });
        owned.collect()
    }

    /// Until every node serves: then the first write succeeds.
    async fn come_up(&self) -> Result<ClusterView, Error> {
        let ctx = self.ctx;
        let started = Instant::now();
        let mut said = false;
        let mut nudged = started;
        let served = wait::closely(self.limit, async || {
            let waiting = self.do_not_serve().await;
            let Some(&first) = waiting.first() else { return Ok(Look::Done(())) };
            if nudged.elapsed() >= NUDGE_EVERY {
                nudged = Instant::now();
                self.nudge(&waiting).await;
            }
            let first = &self.nodes[first].addr;
            if !said && started.elapsed() > Duration::from_millis(300) && ctx.ui.wording() == Wording::Trib {
                said = true;
                ctx.ui.note(
                    "Waiting for cluster_state:ok on every node: the servers' own rejoin delay (the node timeout, at \
                     most 5 s) has to pass before they serve...",
                );
            }
            Ok(Look::NotYet(format!("{first} does not report cluster_state:ok")))
        });
        let linked = async || {
            let (serving_since, mut announced) = (Instant::now(), false);
            wait::until(None, self.limit, async || {
                let view = ClusterView::load(&ctx.pool, &self.nodes[0].addr).await?;
                let vitals = Vitals::load(&ctx.pool, &view).await;
                let is_well = Health::examine(&view, Some(&vitals)).is_well() && view.nodes.len() == self.nodes.len();
                if !is_well {
                    // Where it takes writes already, the final check says which replicas are not linked.
                    return Ok(match serving_since.elapsed() >= LINK_GRACE {
                        true => Look::Done(view),
                        false => Look::NotYet("a replica has no link to its primary".to_owned()),
                    });
                }
                let Some(missing) = vitals.out_of_sync(&view).filter(|_| self.in_sync) else {
                    return Ok(Look::Done(view));
                };
                if serving_since.elapsed() > SAY_AFTER && !std::mem::replace(&mut announced, true) {
                    ctx.ui.note(
                        "The cluster serves. Waiting for the replicas to be in sync: primaries begin that late, for all \
                         replicas together (repl-diskless-sync-delay)...",
                    );
                }
                Ok(Look::NotYet(missing))
            })
            .await
        };
        let result = match served.await {
            Ok(()) => linked().await,
            Err(error) => Err(error),
        };
        result.map_err(|error| error.hint("the nodes have joined; see 'trib check' for what they are missing"))
    }

    /// The nodes that serve nothing yet. Asks for nothing but that, since it is asked often.
    async fn do_not_serve(&self) -> Vec<usize> {
        let addrs = self.nodes.iter().map(|node| &node.addr);
        let replies = self.ctx.pool.call_all(addrs, &command("CLUSTER INFO")).await;
        let serves = |reply: &Result<redis::Value, Failure>| {
            let info = reply.as_ref().ok().and_then(text_of).unwrap_or_default();
            info_field(&info, "cluster_state") == Some("ok")
        };
        (0..self.nodes.len()).filter(|node| !serves(&replies[*node])).collect()
    }

    /// Whether it may serve a server asks itself when something about its slots is said, and else ten times a second. To
    /// close a slot that is not open changes nothing.
    async fn nudge(&self, waiting: &[usize]) {
        let primaries = self.plan.primaries.iter().filter(|primary| waiting.contains(&primary.node));
        let _ = join_all(primaries.map(|primary| async {
            let mut cmd = command("CLUSTER SETSLOT");
            self.ctx.pool.call(&self.nodes[primary.node].addr, cmd.arg(primary.first.get()).arg("STABLE")).await
        }))
        .await;
    }

    /// Makes the nodes strangers again, and says what came of it. They were empty, so a hard reset loses nothing and
    /// leaves no epoch behind; one that somebody has written to meanwhile is left alone.
    async fn undo(&self) -> String {
        let ui = self.ctx.ui;
        ui.note("Undoing: resetting the nodes, so that nothing half done is left...");
        let reset = command("CLUSTER RESET HARD");
        let list = command("CLUSTER NODES");
        let keyspaces =
            self.ctx.pool.call_all(self.nodes.iter().map(|node| &node.addr), &command("INFO keyspace")).await;
        let holds_keys = |reply: &Result<redis::Value, Failure>| {
            let text = reply.as_ref().ok().and_then(text_of).unwrap_or_default();
            text.lines().any(|line| line.starts_with("db"))
        };
        let (full, empty): (Vec<_>, Vec<_>) =
            self.nodes.iter().zip(&keyspaces).partition(|(_, keyspace)| holds_keys(keyspace));
        let full: Vec<&Fresh> = full.into_iter().map(|(node, _)| node).collect();
        let mut left: Vec<&Fresh> = empty.into_iter().map(|(node, _)| node).collect();
        let mut silent = Vec::new();
        for _ in 0..UNDO_ROUNDS {
            let resets = self.ctx.pool.call_all(left.iter().map(|node| &node.addr), &reset).await;
            // A greeting that was on its way may bring a node back; it would be there by now.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let lists = self.ctx.pool.call_all(left.iter().map(|node| &node.addr), &list).await;
            let alone = |reply: &redis::Value| {
                text_of(reply).is_some_and(|text| text.lines().filter(|l| !l.is_empty()).count() == 1)
            };
            // Who does not answer is not asked again: that would take the time limit every round.
            let mut answers = lists.iter().map(|list| !matches!(list, Err(failure) if failure.reply().is_none()));
            silent.extend(left.iter().filter(|_| !answers.next().unwrap_or(true)).copied());
            let mut done =
                resets.iter().zip(&lists).map(|(reset, list)| reset.is_ok() && list.as_ref().is_ok_and(alone));
            left.retain(|node| !done.next().unwrap_or(false) && !silent.iter().any(|other| other.id == node.id));
            if left.is_empty() {
                break;
            }
        }
        for node in &full {
            ui.error(format!("[ERR] Node {} holds keys by now, and was not reset.", node.addr));
        }
        let failed: Vec<&Fresh> = left.into_iter().chain(silent).collect();
        for node in &failed {
            ui.error(format!("[ERR] Node {} could not be reset.", node.addr));
        }
        let all = self.nodes.len();
        match failed.len() + full.len() {
            0 => format!("nothing is left of this attempt: all {all} nodes were reset"),
            left => {
                let names = failed.iter().chain(&full).map(|node| node.addr.to_string()).collect::<Vec<_>>().join(" ");
                format!("{} of {all} nodes were reset; before the next attempt: trib reset --hard {names}", all - left)
            }
        }
    }
}
