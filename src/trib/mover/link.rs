//! A source and a target: what the two of them and the rest of the cluster are told about slots.

use std::collections::BTreeMap;

use redis::{Cmd, Value};

use super::super::addr::Addr;
use super::super::client::{Client, Pool, command, join_all};
use super::super::error::Failure;
use super::super::keycount;
use super::super::slots::SlotSet;
use super::super::view::{self, Node};
use crate::base::{NodeId, Slot};

/// From so many slots on they are told on several connections, where that is quicker.
const LANES_FROM: usize = 32;
/// Commands in one write: large enough to hide the round trip, small enough to be answered in time.
const PIPELINE: usize = 512;

/// Both ends of a job, and everybody else who has to know.
pub struct Link<'a> {
    pub pool: &'a Pool,
    pub source: &'a Node,
    pub target: &'a Node,
    /// The other primaries.
    pub others: Vec<&'a Node>,
    /// Keys of every slot of the job at the source, when it began.
    pub counts: BTreeMap<Slot, u64>,
}

impl Link<'_> {
    pub async fn source(&self) -> Result<Client, Failure> {
        self.pool.client(&self.source.addr).await
    }

    pub async fn target(&self) -> Result<Client, Failure> {
        self.pool.client(&self.target.addr).await
    }

    /// The connection to the source on which this database is selected.
    pub async fn source_in(&self, database: u32) -> Result<Client, Failure> {
        self.pool.client_in(&self.source.addr, database).await
    }

    pub async fn target_in(&self, database: u32) -> Result<Client, Failure> {
        self.pool.client_in(&self.target.addr, database).await
    }

    /// How many databases keys may be in.
    pub async fn databases(&self) -> Result<u32, Failure> {
        self.pool.databases(&self.source.addr).await
    }

    /// Opens the slots: the target first, so that it is ready when the source begins to send clients.
    pub async fn open(&self, slots: &[Slot]) -> Result<(), Failure> {
        all_ok(set(self.pool, &self.target.addr, slots, "IMPORTING", Some(self.source.id)).await?)?;
        all_ok(set(self.pool, &self.source.addr, slots, "MIGRATING", Some(self.target.id)).await?)
    }

    /// Hands the slots over: the target owns them from its own reply on, the others are told so.
    pub async fn hand_over(&self, slots: &[Slot]) -> Result<(), Failure> {
        all_ok(self.assign(self.target, slots).await?)?;
        // Whoever of the others cannot be told hears it from the target: the caller waits for that.
        let others = join_all(self.others.iter().map(|node| self.assign(node, slots)));
        let (told, _) = tokio::join!(self.assign(self.source, slots), others);
        let told = match told {
            Err(Failure::Lost { .. }) if self.has_let_go(slots).await => return Ok(()),
            told => told?,
        };
        for reply in told {
            reply.map(drop).or_else(|failure| if is_harmless(&failure) { Ok(()) } else { Err(failure) })?;
        }
        Ok(())
    }

    /// Whether the source answers and owns none of the slots. Valkey 8 closes the connection on which SETSLOT waits for
    /// replicas when the node, having given its last slot away, becomes a replica itself.
    async fn has_let_go(&self, slots: &[Slot]) -> bool {
        let report = view::ask(self.pool, &self.source.addr).await;
        report.is_ok_and(|report| !slots.iter().any(|slot| report.own().slots.contains(*slot)))
    }

    /// Leaves as few of the slots open as can be, after something went wrong. Gives the slots that are at
    /// the target and those that stay open; the rest is as before. `touched` says whether keys of the
    /// slot may have left the source, by this move or by one before it that left the slot open.
    pub async fn close(&self, slots: &[Slot], touched: impl Fn(Slot) -> bool) -> (Vec<Slot>, Vec<Slot>) {
        let Ok(at_source) = self.count(self.source, slots).await else { return (Vec::new(), slots.to_vec()) };
        let Ok(source) = view::ask(self.pool, &self.source.addr).await else { return (Vec::new(), slots.to_vec()) };
        let at_target = self.count(self.target, slots).await.ok();
        // What the source is not giving away may get keys at any moment, at whoever leads its shard now.
        let is_leaving = |slot: Slot| source.own().migrating.contains_key(&slot);
        let empty: Vec<Slot> = slots
            .iter()
            .zip(&at_source)
            .filter(|&(slot, &keys)| keys == 0 && is_leaving(*slot))
            .map(|(&s, _)| s)
            .collect();
        let handed_over = self.hand_over(&empty).await;
        // The target may have taken some of them before it failed, and then they are its own.
        let mut owned = self.owned_by_target().await;
        if handed_over.is_ok() {
            empty.iter().for_each(|slot| owned.insert(*slot));
        }
        let (mut done, mut undo, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for (index, &slot) in slots.iter().enumerate() {
            match at_target.as_ref().map(|counts| counts[index]) {
                _ if owned.contains(slot) => done.push(slot),
                Some(0) => undo.push(slot),
                None if !touched(slot) && !self.was_open(slot) => undo.push(slot),
                _ => open.push(slot),
            }
        }
        // The source first: as long as it migrates, it sends clients to the target.
        let mut undone = Ok(());
        for node in [self.source, self.target] {
            undone = undone.and(self.make_stable(node, &undo).await);
        }
        if undone.is_err() {
            open.append(&mut undo);
            open.sort_unstable();
        }
        (done, open)
    }

    /// Whether somebody has begun to move the slot before this move was planned.
    fn was_open(&self, slot: Slot) -> bool {
        self.source.migrating.contains_key(&slot) || self.target.importing.contains_key(&slot)
    }

    async fn make_stable(&self, node: &Node, slots: &[Slot]) -> Result<(), Failure> {
        all_ok(set(self.pool, &node.addr, slots, "STABLE", None).await?)
    }

    /// What the target says it owns; nothing if it does not answer.
    async fn owned_by_target(&self) -> SlotSet {
        let report = view::ask(self.pool, &self.target.addr).await;
        report.map(|report| report.own().slots.clone()).unwrap_or_default()
    }

    /// How many keys of each slot the node holds.
    pub async fn count(&self, node: &Node, slots: &[Slot]) -> Result<Vec<u64>, Failure> {
        keycount::count(self.pool, node, slots).await
    }

    /// At most `at_most` keys of each slot in one database of the source.
    pub async fn list(&self, database: u32, slots: &[Slot], at_most: usize) -> Result<Vec<Vec<Vec<u8>>>, Failure> {
        let client = self.source_in(database).await?;
        let list = |slot| {
            let mut cmd = about("GETKEYSINSLOT", slot);
            cmd.arg(at_most);
            cmd
        };
        let mut pages = Vec::with_capacity(slots.len());
        for reply in ask(&client, slots, list).await? {
            let keys = redis::from_redis_value(reply?);
            pages.push(keys.map_err(|_| unexpected(&client, "GETKEYSINSLOT is no list of keys"))?);
        }
        Ok(pages)
    }

    async fn assign(&self, node: &Node, slots: &[Slot]) -> Result<Vec<Result<Value, Failure>>, Failure> {
        set(self.pool, &node.addr, slots, "NODE", Some(self.target.id)).await
    }
}

/// CLUSTER SETSLOT for every slot, in pipelines: the server then saves its configuration once for many. Where it waits
/// with each of them until the replicas have it, several connections wait at the same time.
async fn set(
    pool: &Pool,
    addr: &Addr,
    slots: &[Slot],
    state: &str,
    node: Option<NodeId>,
) -> Result<Vec<Result<Value, Failure>>, Failure> {
    let tell = |slot| {
        let mut cmd = about("SETSLOT", slot);
        cmd.arg(state);
        if let Some(node) = &node {
            cmd.arg(node.as_bytes());
        }
        cmd
    };
    let lanes = if slots.len() < LANES_FROM { Vec::new() } else { pool.lanes(addr).await? };
    if lanes.is_empty() {
        return ask(&pool.client(addr).await?, slots, tell).await;
    }
    let parts = slots.chunks(slots.len().div_ceil(lanes.len()));
    let told = join_all(lanes.iter().zip(parts).map(|(lane, part)| ask(lane, part, tell))).await;
    Ok(told.into_iter().collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten().collect())
}

/// The first failure, if there is one.
pub fn all_ok(replies: Vec<Result<Value, Failure>>) -> Result<(), Failure> {
    replies.into_iter().try_for_each(|reply| reply.map(drop))
}

async fn ask(
    client: &Client,
    slots: &[Slot],
    cmd: impl Fn(Slot) -> Cmd,
) -> Result<Vec<Result<Value, Failure>>, Failure> {
    let mut replies = Vec::with_capacity(slots.len());
    for part in slots.chunks(PIPELINE) {
        let cmds: Vec<Cmd> = part.iter().map(|&slot| cmd(slot)).collect();
        replies.extend(client.pipeline(client.timeouts().reply, &cmds).await?);
    }
    Ok(replies)
}

fn about(subcommand: &str, slot: Slot) -> Cmd {
    let mut cmd = command("CLUSTER");
    cmd.arg(subcommand).arg(slot.get());
    cmd
}

fn unexpected(client: &Client, reason: &str) -> Failure {
    Failure::Unexpected { node: client.addr().clone(), reason: reason.to_owned() }
}

/// A source that gave its last slot away may have become a replica of the target by the time it is told;
/// Valkey says in two more ways that it has told its replicas too late.
fn is_harmless(failure: &Failure) -> bool {
    matches!(failure.code(), Some("UNBLOCKED" | "NOREPLICAS"))
        || failure.reply().is_some_and(|text| text.contains("SETSLOT only with"))
}
