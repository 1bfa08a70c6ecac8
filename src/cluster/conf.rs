//! `nodes.conf`: the engine's memory across restarts, and the text of CLUSTER NODES, which looks alike.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::clock::Clock;
use super::config::Config;
use super::engine::Engine;
use super::flags::{self, NodeFlags};
use super::gossip::is_aux_byte;
use super::node::{Addr, Attributes, Node, NodeIdx, NodeTable};
use super::slots::SlotTable;
use crate::base::{NodeId, Rng, Slot};

/// What is wrong with a `nodes.conf`. The server must not start: it would forget what it promised.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unrecoverable error: corrupted cluster config file, line {line}: {what}")]
pub struct ConfError {
    pub line: usize,
    pub what: String,
}

/// The ranges of a node as text, each with a leading space.
pub(super) fn push_ranges(out: &mut String, ranges: &[(Slot, Slot)]) {
    for (first, last) in ranges {
        let _ = if first == last { write!(out, " {first}") } else { write!(out, " {first}-{last}") };
    }
}

impl Engine {
    /// The whole file.
    #[must_use]
    pub fn config_text(&self) -> String {
        let ranges = self.slots.ranges();
        let mut out = String::with_capacity(200 * self.nodes.count());
        for (idx, node) in self.nodes.iter().filter(|(_, node)| !node.in_handshake()) {
            let a = &node.addr;
            let _ = write!(out, "{} {}:{}@{},{}", node.id, a.ip, a.tcp_port, a.cport, node.attributes.hostname);
            push_aux(&mut out, node);
            self.push_tail(&mut out, idx, ranges.get(&idx).map_or(&[], Vec::as_slice));
            out.push('\n');
        }
        let _ = writeln!(out, "vars currentEpoch {} lastVoteEpoch {}", self.current_epoch, self.last_vote_epoch);
        out
    }

    /// The fields behind the address, which `nodes.conf` and CLUSTER NODES have in common.
    pub(super) fn push_tail(&self, out: &mut String, idx: NodeIdx, ranges: &[(Slot, Slot)]) {
        let node = &self.nodes[idx];
        out.push(' ');
        flags::push_words(out, node.flags);
        match node.primary {
            Some(primary) => _ = write!(out, " {}", self.nodes[primary].id),
            None => out.push_str(" -"),
        }
        let ms = |at: Option<Clock>| at.map_or(0, |at| at.wall.0);
        let connected = idx == self.me || node.outbound.is_some_and(|id| self.links.get(&id).is_some_and(|l| l.up));
        let _ = write!(
            out,
            " {} {} {} {}",
            ms(node.ping_sent),
            ms(node.pong_received),
            self.epoch_of(idx),
            if connected { "connected" } else { "disconnected" }
        );
        push_ranges(out, ranges);
        if idx == self.me {
            for (slot, to) in self.slots.migrating() {
                let _ = write!(out, " [{slot}->-{}]", self.nodes[to].id);
            }
            for (slot, from) in self.slots.importing() {
                let _ = write!(out, " [{slot}-<-{}]", self.nodes[from].id);
            }
        }
    }

    /// An engine that goes on where the one that wrote `text` stopped.
    pub fn restore(cfg: Config, rng: Rng, now: Clock, text: &str) -> Result<Engine, ConfError> {
        let mut loader = Loader { now, ..Loader::default() };
        for (i, line) in text.lines().enumerate() {
            if !line.trim().is_empty() {
                loader.line(line).map_err(|what| ConfError { line: i + 1, what })?;
            }
        }
        let whole_file = |what: &str| ConfError { line: text.lines().count(), what: what.to_owned() };
        // The file ends with what I have promised. An epoch that lost its last digit would be a promise broken.
        if !loader.has_vars || !text.ends_with('\n') {
            return Err(whole_file("the file is cut short: its last line must be that of the vars"));
        }
        let me = loader.me.ok_or_else(|| whole_file("no line is flagged myself"))?;
        if loader.nodes.iter().any(|(_, node)| node.is(NodeFlags::HANDSHAKE)) {
            return Err(whole_file("a node is referred to but has no line"));
        }
        loader.share_shards();
        let max = loader.nodes.iter().map(|(_, node)| node.config_epoch).max().unwrap_or(0);
        let mut engine = Engine::assemble(cfg, rng, loader.nodes, me, loader.slots);
        engine.current_epoch = loader.current_epoch.max(max);
        engine.last_vote_epoch = loader.last_vote_epoch;
        if engine.slots.count(me) > 0 {
            engine.state.set_restarted();
        }
        engine.settle(now);
        Ok(engine)
    }
}

fn push_aux(out: &mut String, node: &Node) {
    let a = &node.attributes;
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(out, ",{name}={value}");
        }
    };
    let port = |n: u16| if n == 0 { String::new() } else { n.to_string() };
    put("availability-zone", &a.availability_zone);
    put("client-tls-port", &port(a.client_tls_port));
    put("client-tcp-port", &port(a.client_tcp_port));
    put("client-ipv6", &a.client_ipv6);
    put("client-ipv4", &a.client_ipv4);
    put("tls-port", &node.addr.tls_port.to_string());
    put("nodename", &a.nodename);
    put("shard-id", node.shard_id.as_str());
}

/// The tables as they grow line by line. A node that is referred to before its line is in the table as
/// one in handshake.
#[derive(Default)]
struct Loader {
    now: Clock,
    nodes: NodeTable,
    slots: SlotTable,
    /// Nodes whose line says their shard.
    sharded: BTreeSet<NodeIdx>,
    me: Option<NodeIdx>,
    has_vars: bool,
    current_epoch: u64,
    last_vote_epoch: u64,
}

impl Loader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words[0].eq_ignore_ascii_case("vars") {
            return self.vars(&words[1..]);
        }
        let [id, addr, flag_words, primary, ping_sent, pong_received, epoch, _link, slots @ ..] = &words[..] else {
            return Err(format!("{} fields instead of at least 8", words.len()));
        };
        let idx = self.node(id)?;
        if !self.nodes[idx].in_handshake() {
            return Err(format!("node {id} is there twice"));
        }
        let mut loaded = NodeFlags::empty();
        for word in flag_words.split(',') {
            loaded |= flags::parse_word(word).ok_or_else(|| format!("unknown flag {word}"))?;
        }
        self.nodes[idx].flags = loaded;
        self.address(idx, addr)?;
        if loaded.contains(NodeFlags::MYSELF) && self.me.replace(idx).is_some() {
            return Err("two lines are flagged myself".to_owned());
        }
        if *primary != "-" {
            let primary = self.node(primary)?;
            self.nodes[idx].primary = Some(primary);
            self.nodes[primary].replicas.insert(idx);
            self.nodes[primary].flags |= NodeFlags::MIGRATE_TO;
        }
        let number = |text: &str| text.parse::<i64>().map_err(|_| format!("bad number {text}"));
        if number(ping_sent)? != 0 {
            self.nodes[idx].ping_sent = Some(self.now);
        }
        if number(pong_received)? != 0 {
            self.nodes[idx].pong_received = Some(self.now);
        }
        let epoch = epoch.parse().map_err(|_| format!("bad epoch {epoch}"))?;
        self.nodes[idx].config_epoch = if loaded.contains(NodeFlags::REPLICA) { 0 } else { epoch };
        slots.iter().try_for_each(|word| self.slot_word(idx, word))
    }

    /// Files of servers before shard ids: a replica is in its primary's shard.
    fn share_shards(&mut self) {
        for idx in self.nodes.indices() {
            if let Some(primary) = self.nodes[idx].primary
                && (self.sharded.contains(&primary) || !self.sharded.contains(&idx))
            {
                self.nodes[idx].shard_id = self.nodes[primary].shard_id;
            }
        }
    }

    fn vars(&mut self, words: &[&str]) -> Result<(), String> {
        if !words.len().is_multiple_of(2) {
            return Err("a name without a value".to_owned());
        }
        self.has_vars = true;
        for pair in words.chunks_exact(2) {
            let target = match pair[0].to_ascii_lowercase().as_str() {
                "currentepoch" => &mut self.current_epoch,
                "lastvoteepoch" => &mut self.last_vote_epoch,
                _ => continue,
            };
            *target = pair[1].parse().map_err(|_| format!("bad epoch {}", pair[1]))?;
        }
        Ok(())
    }

    /// The node with this id, made up if it has no line yet. Its shard is its own until a line says so.
    fn node(&mut self, id: &str) -> Result<NodeIdx, String> {
        let id = NodeId::parse(id.as_bytes()).ok_or_else(|| format!("bad node id {id}"))?;
        Ok(self.nodes.find(&id).unwrap_or_else(|| self.nodes.insert(Node::new(id, id, NodeFlags::HANDSHAKE, self.now))))
    }

    /// `ip:port@cport,hostname,aux=value,…`
    fn address(&mut self, idx: NodeIdx, text: &str) -> Result<(), String> {
        let bad = || format!("bad address {text}");
        let mut parts = text.split(',');
        let endpoint = parts.next().ok_or_else(bad)?;
        let (ip, ports) = endpoint.rsplit_once(':').ok_or_else(bad)?;
        let (port, cport) = match ports.split_once('@') {
            Some((port, cport)) => (port.parse().map_err(|_| bad())?, cport.parse().map_err(|_| bad())?),
            None => {
                let port: u16 = ports.parse().map_err(|_| bad())?;
                (port, port.saturating_add(10_000))
            }
        };
        let node = &mut self.nodes[idx];
        node.addr = Addr { ip: ip.to_owned(), tcp_port: port, tls_port: 0, cport };
        node.attributes = Attributes { hostname: parts.next().unwrap_or("").to_owned(), ..Attributes::default() };
        for pair in parts {
            let (name, value) = pair.split_once('=').ok_or_else(bad)?;
            if !value.bytes().all(is_aux_byte) {
                return Err(format!("bad value in {pair}"));
            }
            let port = || value.parse::<u16>().map_err(|_| format!("bad port in {pair}"));
            let about = &mut node.attributes;
            match name.to_ascii_lowercase().as_str() {
                "availability-zone" => about.availability_zone = value.to_owned(),
                "client-tls-port" => about.client_tls_port = port()?,
                "client-tcp-port" => about.client_tcp_port = port()?,
                "client-ipv6" => about.client_ipv6 = value.to_owned(),
                "client-ipv4" => about.client_ipv4 = value.to_owned(),
                "tls-port" => node.addr.tls_port = port()?,
                "tcp-port" => node.addr.tcp_port = port()?,
                "nodename" => about.nodename = value.to_owned(),
                "shard-id" => {
                    let shard = NodeId::parse(value.as_bytes()).ok_or_else(|| format!("bad shard id {value}"))?;
                    node.shard_id = shard;
                    self.sharded.insert(idx);
                }
                _ => return Err(format!("unknown field {name}")),
            }
        }
        Ok(())
    }

    /// `n`, `a-b`, `[n->-id]` or `[n-<-id]`.
    fn slot_word(&mut self, idx: NodeIdx, word: &str) -> Result<(), String> {
        let bad = || format!("bad slot {word}");
        let slot = |text: &str| text.parse().ok().and_then(Slot::new).ok_or_else(bad);
        if let Some(open) = word.strip_prefix('[').and_then(|w| w.strip_suffix(']')) {
            if let Some((n, id)) = open.split_once("->-") {
                let (n, other) = (slot(n)?, self.node(id)?);
                self.slots.set_migrating(n, Some(other));
            } else if let Some((n, id)) = open.split_once("-<-") {
                let (n, other) = (slot(n)?, self.node(id)?);
                self.slots.set_importing(n, Some(other));
            } else {
                return Err(bad());
            }
            return Ok(());
        }
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (slot(first)?, slot(last)?);
        for n in first.get()..=last.get() {
            if let Some(n) = Slot::new(n) {
                self.slots.assign(n, idx);
            }
        }
        Ok(())
    }
}
