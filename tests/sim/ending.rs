//! How a run ends: when everything is well again, all must agree, and the data must be where it belongs, once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use trib::base::{SLOTS, key_slot};
use trib::cluster::{Engine, NodeFlags};
use trib::resp::client::{ReplyParser, ReplyValue};
use trib::resp::request::{Batch, RequestLimits, RequestParser};

use crate::actors::shown_reply;
use crate::checks::version_on;
use crate::plan::Mood;
use crate::world::World;

/// Who is whose replica and owns what, as a node sees it, in one text.
pub fn picture(engine: &Engine) -> String {
    let ranges = engine.slot_ranges();
    let mut text = String::new();
    for view in engine.nodes() {
        let slots = ranges.get(&view.idx).map_or(&[][..], Vec::as_slice);
        let _ = writeln!(text, "{} {:?} {} {slots:?}", view.node.id, view.primary, view.epoch);
    }
    text
}

impl World {
    /// Machines that take part in the cluster.
    pub fn members(&self) -> impl Iterator<Item = usize> + '_ {
        let alone = |node: &usize| self.nodes[*node].engine().is_some_and(|engine| engine.known_nodes() > 1);
        (0..self.nodes.len()).filter(alone)
    }

    /// What is not well yet; `None` when everything is.
    pub fn trouble(&self) -> Option<String> {
        let mut first: Option<(usize, String)> = None;
        for node in self.members() {
            let Some(engine) = self.nodes[node].engine() else { return Some(format!("node {node} does not run")) };
            if !engine.state_ok() {
                return Some(format!("node {node} says that the cluster is down"));
            }
            if let Some(bad) = engine.nodes().find(|view| view.node.in_handshake() || view.node.is(NodeFlags::FAILING))
            {
                return Some(format!("node {node} has doubts about {}", bad.node.id));
            }
            if engine.migrating_slots().next().is_some() || engine.importing_slots().next().is_some() {
                return Some(format!("node {node} has open slots"));
            }
            let picture = picture(engine);
            match &first {
                None => first = Some((node, picture)),
                Some((other, seen)) if *seen != picture => {
                    return Some(format!("nodes {other} and {node} do not agree:\n{seen}---\n{picture}"));
                }
                Some(_) => {}
            }
        }
        let (node, _) = first?;
        let engine = self.nodes[node].engine()?;
        let owned: usize = engine.nodes().map(|view| view.slot_count).sum();
        if owned != SLOTS {
            return Some(format!("only {owned} slots have an owner"));
        }
        self.lagging()
    }

    /// A replica that is not where its primary is.
    fn lagging(&self) -> Option<String> {
        for node in self.members() {
            let server = self.nodes[node].server()?;
            let engine = server.cluster.as_deref()?;
            let primary = engine.node(engine.shard_primary()).node;
            let host = self.host_of(&primary.addr.ip).unwrap_or(node);
            if engine.am_primary() {
                continue;
            }
            let Some(other) = self.nodes[host].server() else { return Some(format!("node {host} does not run")) };
            if !server.repl.is_link_up() {
                return Some(format!("node {node} has no link to its primary {host}"));
            }
            let (mine, its) = (server.repl.offset(), other.repl.offset());
            if server.repl.history().id != other.repl.history().id || mine != its {
                return Some(format!("node {node} is at {mine}, its primary {host} at {its}"));
            }
        }
        None
    }

    /// Every primary's epoch is its own, every key is in one place, replicas have what their primaries have, and what
    /// clients were promised is there.
    pub fn check_end(&mut self) {
        self.check_epochs();
        let members: Vec<usize> = self.members().collect();
        let mut places: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for &node in &members {
            self.check_holds(node);
            let Some(engine) = self.nodes[node].engine() else { continue };
            let primary = engine.node(engine.shard_primary()).node.addr.ip.clone();
            if !engine.am_primary() {
                let host = self.host_of(&primary).unwrap_or(node);
                self.check_equal(node, host);
                continue;
            }
            for key in self.keys_of(node) {
                let owns = self.nodes[node].engine().is_some_and(|engine| engine.owns(key_slot(&key)));
                let shown = String::from_utf8_lossy(&key).into_owned();
                if !owns {
                    return self.fail(|| format!("node {node} has {shown} and does not own its slot"));
                }
                if let Some(other) = places.insert(key, node) {
                    return self.fail(|| format!("{shown} is at node {other} and at node {node}"));
                }
            }
        }
        self.check_promises(&places);
    }

    fn check_epochs(&mut self) {
        let mut epochs = BTreeSet::new();
        for node in self.members().collect::<Vec<_>>() {
            let Some(engine) = self.nodes[node].engine() else { continue };
            let epoch = engine.node(engine.me()).epoch;
            if engine.am_primary() && !epochs.insert(epoch) {
                self.fail(|| format!("epoch {epoch} is not node {node}'s alone"));
            }
        }
    }

    pub fn keys_of(&mut self, node: usize) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        if let Some(process) = &mut self.nodes[node].process {
            process.server.keyspace.db(0).for_each(|entry| keys.push(entry.key().to_vec()));
        }
        keys
    }

    fn check_promises(&mut self, places: &BTreeMap<Vec<u8>, usize>) {
        for (key, tried) in self.checks.tried.clone() {
            let acked = self.checks.acked.get(&key).copied().unwrap_or(0);
            let found = places.get(key.as_bytes()).and_then(|node| {
                let process = self.nodes[*node].process.as_mut()?;
                version_on(&mut process.server, &key)
            });
            if found.is_some_and(|found| found > tried) {
                return self.fail(|| format!("{key} is {found:?}, and nobody wrote more than {tried}"));
            }
            let safe = self.plan.mood == Mood::Calm && !self.checks.lossy;
            if safe && acked > 0 && !self.checks.keeps(&key, acked, found) {
                return self.fail(|| format!("{key} = {acked} was acknowledged, and it is {found:?}"));
            }
        }
    }

    fn check_equal(&mut self, replica: usize, primary: usize) {
        let (mine, its) = (self.ask(replica, "DEBUG DIGEST"), self.ask(primary, "DEBUG DIGEST"));
        if mine != its {
            self.describe();
            self.describe_difference(replica, primary);
            self.fail(|| format!("node {replica} has other data than its primary {primary}: {mine:?}, {its:?}"));
        }
    }

    /// Tells the log which keys are not the same at two machines.
    fn describe_difference(&mut self, one: usize, other: usize) {
        let [mut mine, mut its] = [one, other].map(|node| self.contents(node));
        let keys: BTreeSet<String> = mine.keys().chain(its.keys()).cloned().collect();
        for key in keys {
            let (a, b) = (mine.remove(&key), its.remove(&key));
            if a != b {
                let now = self.now;
                self.trace.say(now, || format!("{key}: node {one} has {a:?}, node {other} has {b:?}"));
            }
        }
    }

    /// What a machine has in its memory: when each key expires, and its value's digest.
    fn contents(&mut self, node: usize) -> BTreeMap<String, String> {
        let mut keys = Vec::new();
        if let Some(process) = &mut self.nodes[node].process {
            let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
            process.server.keyspace.db(0).for_each(|entry| keys.push((text(entry.key()), entry.expire_at())));
        }
        let mut told = BTreeMap::new();
        for (key, expire_at) in keys {
            let digest = self.ask(node, &format!("DEBUG DIGEST-VALUE {key}")).map(|reply| shown_reply(&reply));
            told.insert(key, format!("{expire_at:?} {digest:?}"));
        }
        told
    }

    /// Asks a server something, outside of the network and of time.
    pub fn ask(&mut self, node: usize, line: &str) -> Option<ReplyValue> {
        let machine = &mut self.nodes[node];
        let now = machine.clock.wall();
        let server = &mut machine.process.as_mut()?.server;
        let id = server.connect(String::new(), String::new(), now)?;
        let (mut parser, mut batch) = (RequestParser::default(), Batch::default());
        let mut buf = format!("{line}\r\n").into_bytes();
        parser
            .parse(&mut buf, RequestLimits { bulk_max_bytes: 1 << 20, ..RequestLimits::default() }, &mut batch)
            .ok()?;
        server.run_batch(id, &buf, &batch, 0, now);
        let mut replies = ReplyParser::default();
        replies.feed(&server.clients.get(id)?.reply.buf);
        let reply = replies.next_reply().ok().flatten();
        server.disconnect(id);
        reply
    }
}
