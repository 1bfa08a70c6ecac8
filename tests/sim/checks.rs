//! What must hold at every moment of a run. Looked at after everything that happens to a machine, and only there.

use std::collections::{BTreeMap, BTreeSet};

use trib::base::{NodeId, SLOTS, Slot, key_slot};
use trib::data::value::ValueRef;
use trib::exec::{ClientId, Server};

use crate::client::{Claim, Claims, version_of};
use crate::machine::DUMP;
use crate::net::End;
use crate::oaths::Oaths;
use crate::owners::Beliefs;
use crate::queue::Micros;
use crate::world::World;

/// The newest version of a key, and when that was heard of.
type Versions = BTreeMap<String, (u64, Micros)>;

#[derive(Default)]
struct Watched {
    was_primary: bool,
    current_epoch: u64,
    /// The last of its own epochs as a primary, over all its lives.
    own_epoch: u64,
    life: u32,
    /// It had a primary's data in this life.
    synced: bool,
    /// Which node it is: one that was reset hard is another.
    id: Option<NodeId>,
    /// What its memory must hold: writes that it acknowledged to a primary.
    holds: Versions,
}

pub struct Checks {
    watched: Vec<Watched>,
    pub oaths: Oaths,
    pub beliefs: Vec<Beliefs>,
    winners: BTreeMap<u64, usize>,
    /// Who has served writes to a slot under an epoch that nobody else can rightfully have.
    served: BTreeMap<(Slot, u64), usize>,
    /// When an operator last moved a slot, or a machine dropped it.
    pub touched: Vec<Micros>,
    pub claims: Claims,
    /// Versions that clients tried to write, and the newest that was acknowledged.
    pub tried: BTreeMap<String, u64>,
    pub acked: BTreeMap<String, u64>,
    /// Versions of keys that nobody answered for. The network may bring such a write long after its client has given it up
    /// and written anew over another connection. No server can tell: it overwrites newer versions that were acknowledged.
    unanswered: BTreeSet<(String, u64)>,
    pub acked_writes: u64,
    pub waited_writes: u64,
    pub promotions: u64,
    /// Somebody was declared failed, or an operator forced something: acknowledged writes may be lost.
    pub lossy: bool,
}

impl Checks {
    pub fn new(machines: usize) -> Checks {
        Checks {
            watched: (0..machines).map(|_| Watched::default()).collect(),
            oaths: Oaths::default(),
            beliefs: (0..machines).map(|_| Beliefs::default()).collect(),
            winners: BTreeMap::new(),
            served: BTreeMap::new(),
            touched: vec![0; SLOTS],
            claims: Claims::default(),
            tried: BTreeMap::new(),
            acked: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            acked_writes: 0,
            waited_writes: 0,
            promotions: 0,
            lossy: false,
        }
    }

    /// An operator moves a slot about.
    pub fn touch(&mut self, slot: Slot, now: Micros) {
        self.touched[slot.index()] = now;
    }

    /// The epoch that a machine knew of before what it does now, in this life.
    pub fn epoch_before(&self, node: usize, life: u32) -> u64 {
        let watched = &self.watched[node];
        if watched.life == life { watched.current_epoch } else { 0 }
    }

    /// The dataset of a machine was replaced, or its memory is gone.
    pub fn dataset_replaced(&mut self, node: usize) {
        self.watched[node].holds.clear();
    }

    /// Whether `found` of a key is what is left of an acknowledged `version`: the same, a newer one, or one that came late.
    pub fn keeps(&self, key: &str, version: u64, found: Option<u64>) -> bool {
        found.is_some_and(|found| found >= version || self.unanswered.contains(&(key.to_owned(), found)))
    }

    pub fn log_line(&mut self, text: &str) {
        if text.starts_with("Marking node") || text.starts_with("Deleted ") {
            self.lossy = true;
        }
    }
}

/// The version of a key that a server has in its memory.
pub fn version_on(server: &mut Server, key: &str) -> Option<u64> {
    server.keyspace.begin(server.now, true, true, None);
    let mut db = server.keyspace.db(0);
    let entry = db.peek(key.as_bytes())?;
    match entry.value() {
        ValueRef::Bytes(bytes) => version_of(bytes),
        _ => None,
    }
}

impl World {
    /// Looks at a machine to which something has happened.
    pub fn check(&mut self, node: usize) {
        let machine = &self.nodes[node];
        let Some(engine) = machine.engine() else { return };
        let (primary, epoch) = (engine.am_primary(), engine.node(engine.me()).node.config_epoch);
        let (current, id) = (engine.current_epoch(), Some(engine.my_id()));
        // One that was reset: the epoch that it had once as a primary was not on its disk while it was a replica.
        let begins_anew = engine.known_nodes() == 1 && engine.node(engine.me()).slot_count == 0;
        let life = machine.life;
        let synced = machine.server().is_some_and(|server| server.repl.is_link_up());
        let watched = &mut self.checks.watched[node];
        if watched.life != life {
            watched.life = life;
            watched.current_epoch = 0;
            watched.synced = false;
            watched.holds.clear();
            watched.was_primary = primary;
            self.checks.beliefs[node].forget();
        }
        let watched = &mut self.checks.watched[node];
        if watched.id != id {
            *watched = Watched { id, life, was_primary: primary, ..Watched::default() };
            self.checks.beliefs[node].forget();
        }
        self.check_owners(node);
        let watched = &mut self.checks.watched[node];
        watched.synced |= synced;
        let before = watched.current_epoch;
        if current < before {
            return self.fail(|| format!("node {node}: its current epoch went back from {before} to {current}"));
        }
        watched.current_epoch = current;
        if begins_anew {
            watched.own_epoch = 0;
        }
        if !primary {
            watched.was_primary = false;
            return;
        }
        let before = watched.own_epoch;
        if epoch < before {
            return self.fail(|| format!("node {node}: its own epoch went back from {before} to {epoch}"));
        }
        watched.own_epoch = epoch;
        if !std::mem::replace(&mut watched.was_primary, true) {
            self.check_promoted(node, epoch);
        }
    }

    /// A machine has become a primary.
    fn check_promoted(&mut self, node: usize, epoch: u64) {
        self.checks.promotions += 1;
        let voters = self.checks.oaths.votes(epoch, node);
        let now = self.now;
        self.trace.say(now, || format!("node {node} is a primary, epoch {epoch}, votes {voters}"));
        if voters > 0 {
            let Some(engine) = self.nodes[node].engine() else { return };
            let voting = engine.nodes().filter(|view| view.node.is_primary() && view.slot_count > 0).count();
            if voters < voting / 2 + 1 {
                return self.fail(|| format!("node {node} won epoch {epoch} with {voters} votes of {voting}"));
            }
            if let Some(other) = self.checks.winners.insert(epoch, node).filter(|other| *other != node) {
                return self.fail(|| format!("nodes {other} and {node} both won epoch {epoch}"));
            }
        }
        self.check_holds(node);
    }

    /// Whether a machine has nothing at all: neither from its disk, nor from a primary.
    pub fn has_nothing(&self, node: usize) -> bool {
        let machine = &self.nodes[node];
        let Some(server) = machine.server() else { return true };
        // A file may hold the data of a primary that had none.
        let has_file = !machine.config.appendonly && machine.disk.read(DUMP).is_some();
        !has_file && !self.checks.watched[node].synced && server.keyspace.is_empty() && server.repl.offset() == 0
    }

    /// What a machine has acknowledged must be in its memory, as far as the slot is still its own.
    pub fn check_holds(&mut self, node: usize) {
        let holds = std::mem::take(&mut self.checks.watched[node].holds);
        for (key, (version, since)) in &holds {
            let slot = key_slot(key.as_bytes());
            let Some(process) = &mut self.nodes[node].process else { return };
            let owns = process.server.cluster.as_ref().is_some_and(|engine| engine.owns(slot));
            if !owns || self.checks.touched[slot.index()] > *since {
                continue;
            }
            let found = version_on(&mut process.server, key);
            if !self.checks.keeps(key, *version, found) {
                self.fail(|| format!("node {node} acknowledged {key} = {version}, and has {found:?} now"));
            }
        }
        self.checks.watched[node].holds = holds;
    }

    /// A client's batch has changed something: under which epoch did this machine serve the slot?
    pub fn check_served(&mut self, node: usize, id: ClientId) {
        let Some(server) = self.nodes[node].server() else { return };
        let (Some(engine), Some(client)) = (&server.cluster, server.clients.get(id)) else { return };
        let Some(slot) = client.slot.filter(|slot| engine.owns(*slot)) else { return };
        if client.replica.is_some() || !engine.am_primary() {
            return;
        }
        let epoch = engine.node(engine.me()).epoch;
        let given = if self.plan.by_meeting { 0 } else { self.plan.primaries as u64 };
        let unique = self.checks.winners.get(&epoch) == Some(&node) || (node as u64 + 1 == epoch && epoch <= given);
        if !unique {
            return;
        }
        let before = self.checks.served.insert((slot, epoch), node);
        if let Some(other) = before.filter(|other| *other != node) {
            self.fail(|| format!("nodes {other} and {node} both served slot {} in epoch {epoch}", slot.get()));
        }
    }

    /// Takes note of what clients say.
    pub fn note_claims(&mut self) {
        let claims = std::mem::take(&mut *self.checks.claims.borrow_mut());
        for claim in claims {
            match claim {
                Claim::Tried { key, version } => drop(self.checks.tried.insert(key, version)),
                Claim::Acked { key, version } => {
                    self.checks.acked_writes += 1;
                    self.checks.acked.insert(key, version);
                }
                Claim::Unanswered { key, version } => drop(self.checks.unanswered.insert((key, version))),
                Claim::Waited { actor, key, version, host, replicas } => {
                    self.check_waited(actor, key, version, host, replicas);
                }
            }
        }
    }

    /// WAIT has told a client of replicas: those that the primary counts must have the write.
    fn check_waited(&mut self, actor: usize, key: String, version: u64, host: usize, replicas: usize) {
        let Some(id) = self.session_of(actor, host) else { return };
        let Some(process) = &self.nodes[host].process else { return };
        let Some(client) = process.server.clients.get(id) else { return };
        let offset = client.write_offset;
        let counted = process.server.repl.replicas().filter(|(_, replica)| replica.ack >= offset);
        let counted: Vec<ClientId> = counted.map(|(id, _)| ClientId(id.0)).collect();
        let ends: Vec<End> =
            counted.iter().filter_map(|id| process.sessions.get(id)).map(|session| session.end.other()).collect();
        if ends.len() < replicas {
            // Some of them are gone meanwhile.
            return;
        }
        let now = self.now;
        for end in ends.into_iter().filter(|end| self.net.is_alive(*end)) {
            let Some((replica, _)) = self.net.owner(end) else { continue };
            let slot = key_slot(key.as_bytes());
            // It may have left with its keys before the answer was here.
            let left = self.nodes[host].engine().is_none_or(|engine| !engine.owns(slot));
            let touched = left || self.checks.touched[slot.index()] + 1_000_000 > now;
            let Some(process) = &mut self.nodes[replica].process else { continue };
            // It may follow somebody else by now.
            if !process.server.repl.is_link_up() || process.primary_link.is_none_or(|(_, open)| open != end) {
                continue;
            }
            let found = version_on(&mut process.server, &key);
            if !touched && !self.checks.keeps(&key, version, found) {
                let at = process.server.repl.offset();
                self.describe();
                let what = format!(
                    "WAIT counted node {replica} for {key} = {version}, and that has {found:?} at {at}; the write ended at {offset}"
                );
                return self.fail(|| what);
            }
            self.checks.waited_writes += 1;
            self.checks.watched[replica].holds.insert(key.clone(), (version, now));
        }
    }
}
