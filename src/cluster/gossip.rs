//! Gossip: what PING and PONG say about third nodes and about the sender itself, in both directions.

use bytes::Bytes;

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::io::{LinkId, LogLevel};
use super::node::{Attributes, NodeIdx};
use super::packet::{self, Extension, Extensions, Gossip, GossipEntry, Header, MessageType, RawEntry};
use crate::base::{Millis, NodeId};

/// Entries a packet carries at least, if there are that many nodes.
const GOSSIP_MIN: usize = 3;
/// The same while nodes have been learned of late, so that a small cluster is told whole.
const GOSSIP_MIN_NEWS: usize = 32;
/// How far a PONG time told by others may lie in the future.
const PONG_SKEW_MS: i64 = 500;

/// What one packet says about others, and what of this is the same for all of them.
struct Hearsay {
    now: Clock,
    sender: NodeIdx,
    /// The sender's word counts.
    votes: bool,
    /// How many voting primaries are a majority, once that was needed.
    quorum: Option<usize>,
}

impl Engine {
    /// Sends PING or MEET to a node over its outbound link.
    pub(super) fn ping(&mut self, now: Clock, idx: NodeIdx, link: LinkId, kind: MessageType) {
        if self.links.get(&link).is_none_or(|l| !l.up) {
            return;
        }
        let node = &mut self.nodes[idx];
        node.ping_sent = Some(now);
        if kind == MessageType::Meet {
            node.meet_sent = Some(now.mono);
        }
        let bytes = self.ping_packet(now, kind, link, Some(idx));
        self.send(link, kind, bytes);
    }

    /// Answers on the link that asked.
    pub(super) fn pong(&mut self, now: Clock, link: LinkId) {
        let peer = self.links.get(&link).and_then(|l| l.node);
        let bytes = self.ping_packet(now, MessageType::Pong, link, peer);
        self.send(link, MessageType::Pong, bytes);
    }

    /// Tells all nodes how I am, unasked.
    pub(super) fn broadcast_pong(&mut self, now: Clock) {
        for idx in self.nodes.indices() {
            self.pong_to(now, idx);
        }
    }

    /// Tells one node how I am, over its outbound link.
    pub(super) fn pong_to(&mut self, now: Clock, idx: NodeIdx) {
        let node = &self.nodes[idx];
        if node.is(NodeFlags::MYSELF | NodeFlags::HANDSHAKE) {
            return;
        }
        if let Some(link) = node.outbound.filter(|link| self.links.get(link).is_some_and(|l| l.up)) {
            let bytes = self.ping_packet(now, MessageType::Pong, link, Some(idx));
            self.send(link, MessageType::Pong, bytes);
        }
    }

    fn ping_packet(&mut self, now: Clock, kind: MessageType, link: LinkId, to: Option<NodeIdx>) -> Bytes {
        let chosen = self.choose_gossip(now, to);
        let ext_seen = self.links.get(&link).is_some_and(|l| l.ext_seen);
        let with_ext = ext_seen || to.is_some_and(|idx| self.nodes[idx].is(NodeFlags::EXTENSIONS));
        let peer = to.map(|idx| &self.nodes[idx]);
        let speaks_shards = peer.is_some_and(|node| node.speaks_shards);
        let is_valkey = peer.is_some_and(|node| node.is(NodeFlags::LIGHT_PUBLISH));
        let bans: Vec<(NodeId, u64)> = self.blacklist.iter(now.mono).collect();
        self.refresh_header();
        let entries: Vec<GossipEntry<'_>> = chosen.iter().map(|idx| self.gossip_entry(*idx)).collect();
        let extensions = if with_ext { self.extensions(&bans, speaks_shards, is_valkey) } else { Vec::new() };
        packet::encode_ping(&self.fresh_header(kind), &entries, &extensions).into()
    }

    /// Who is spoken of: a random tenth of the cluster, and everybody I suspect.
    fn choose_gossip(&mut self, now: Clock, to: Option<NodeIdx>) -> Vec<NodeIdx> {
        let total = self.nodes.count();
        let most = total.saturating_sub(2);
        let least = if self.cadence.has_news(now) { GOSSIP_MIN_NEWS } else { GOSSIP_MIN };
        let wanted = (total * self.cfg.gossip_percent / 100).max(least).min(most);
        let skipped = NodeFlags::MYSELF | NodeFlags::PFAIL | NodeFlags::HANDSHAKE | NodeFlags::NOADDR;
        let mut chosen = Vec::with_capacity(wanted);
        let slots = &self.slots;
        self.nodes.sample(&mut self.rng, wanted, |idx, node| {
            let silent = node.outbound.is_none() && slots.count(idx) == 0;
            let take = !node.is(skipped) && Some(idx) != to && !silent;
            if take {
                chosen.push(idx);
            }
            take
        });
        let unfit = NodeFlags::HANDSHAKE | NodeFlags::NOADDR;
        let (nodes, suspects) = (&self.nodes, &mut self.suspects);
        suspects.retain(|idx| nodes[*idx].is(NodeFlags::PFAIL));
        chosen.extend(suspects.iter().filter(|idx| !nodes[**idx].is(unfit)));
        chosen
    }

    fn gossip_entry(&self, idx: NodeIdx) -> GossipEntry<'_> {
        let node = &self.nodes[idx];
        let (port, pport) = self.ports_to_wire(&node.addr);
        let secs = |at: Option<Clock>| at.map_or(0, |at| u32::try_from(at.wall.secs()).unwrap_or(0));
        GossipEntry {
            id: Some(node.id),
            ping_sent_s: secs(node.ping_sent),
            pong_received_s: secs(node.pong_received),
            ip: &node.addr.ip,
            port,
            cport: node.addr.cport,
            flags: node.flags,
            pport,
        }
    }

    /// What I say about myself. Servers before shard ids (7.0) complain about types they do not know with
    /// every packet, so what is not configured goes only to peers that have shown they know it. What Valkey alone knows
    /// goes to nobody else: Redis 8 would take an address for the secret that its nodes share.
    fn extensions(&self, bans: &[(NodeId, u64)], speaks_shards: bool, is_valkey: bool) -> Vec<Extension<'_>> {
        let node = self.myself();
        let about = &node.attributes;
        let mut list = Vec::new();
        for (wanted, extension) in [
            (!about.hostname.is_empty(), Extension::Hostname(about.hostname.as_bytes())),
            (!about.nodename.is_empty(), Extension::Nodename(about.nodename.as_bytes())),
            (is_valkey && !about.client_ipv4.is_empty(), Extension::ClientIpv4(about.client_ipv4.as_bytes())),
            (is_valkey && !about.client_ipv6.is_empty(), Extension::ClientIpv6(about.client_ipv6.as_bytes())),
            (is_valkey && about.client_tcp_port != 0, Extension::ClientTcpPort(about.client_tcp_port)),
            (is_valkey && about.client_tls_port != 0, Extension::ClientTlsPort(about.client_tls_port)),
            (
                is_valkey && !about.availability_zone.is_empty(),
                Extension::AvailabilityZone(about.availability_zone.as_bytes()),
            ),
        ] {
            if wanted {
                list.push(extension);
            }
        }
        if speaks_shards {
            list.extend(bans.iter().map(|(id, ttl_s)| Extension::Forgotten { id: *id, ttl_s: *ttl_s }));
            list.push(Extension::ShardId(node.shard_id));
        }
        list
    }

    /// Reads what a known node says about others. One malformed entry spoils all.
    pub(super) fn on_gossip(&mut self, now: Clock, sender: NodeIdx, gossip: Gossip<'_>) {
        let mut known = Vec::with_capacity(gossip.len());
        for entry in gossip.raw() {
            let Some(id) = entry.id() else { return };
            known.push((id, self.nodes.find(&id)));
        }
        let mut hearsay = Hearsay { now, sender, votes: self.is_voting(sender), quorum: None };
        for (entry, (id, idx)) in gossip.raw().zip(known) {
            // What an entry leads to may have changed the table.
            let idx = idx.filter(|idx| self.nodes.has(*idx, &id)).or_else(|| self.nodes.find(&id));
            match idx {
                Some(idx) if idx == self.me => {}
                Some(idx) => self.on_rumour(&mut hearsay, idx, entry),
                None => self.learn_from_gossip(now, id, &entry.read()),
            }
        }
    }

    fn on_rumour(&mut self, hearsay: &mut Hearsay, idx: NodeIdx, entry: RawEntry<'_>) {
        let Hearsay { now, sender, votes, .. } = *hearsay;
        let flags = entry.flags();
        let failing = flags.intersects(NodeFlags::FAILING);
        if votes && sender != idx {
            if failing {
                self.add_report(now, idx, sender);
            } else {
                self.withdraw_report(idx, sender);
            }
        }
        if failing {
            if self.nodes[idx].is(NodeFlags::PFAIL) {
                let quorum = *hearsay.quorum.get_or_insert_with(|| self.quorum());
                self.consider_fail(now, idx, quorum);
            }
            return;
        }
        let node = &mut self.nodes[idx];
        let healthy = !node.is(NodeFlags::FAILING);
        if healthy && node.ping_sent.is_none() && node.reports.is_empty() {
            let told = Millis(i64::from(entry.pong_received_s()) * 1000);
            if told.0 <= now.wall.0 + PONG_SKEW_MS && node.pong_received.is_none_or(|at| told > at.wall) {
                node.pong_received = Some(Clock { wall: told, mono: now.mono - (now.wall - told) });
            }
        }
        if !healthy && !flags.contains(NodeFlags::NOADDR) {
            let entry = entry.read();
            if !entry.ip.is_empty() {
                let addr = self.addr_from_wire(entry.ip, entry.port, entry.pport, entry.cport);
                self.update_addr(now, idx, addr);
            }
        }
    }

    /// Reads what a known node says about itself beyond the header. What it does not say (any more) is cleared.
    pub(super) fn on_extensions(
        &mut self,
        now: Clock,
        sender: NodeIdx,
        header: &Header<'_>,
        extensions: Extensions<'_>,
    ) {
        if header.flags.intersects(NodeFlags::LIGHT_PUBLISH | NodeFlags::LIGHT_MODULE) {
            self.nodes[sender].speaks_shards = true;
        }
        let mut told = Attributes::default();
        let mut shard = None;
        for extension in extensions.iter() {
            if !matches!(extension, Extension::Hostname(_) | Extension::Unknown(_)) {
                self.nodes[sender].speaks_shards = true;
            }
            match extension {
                Extension::Hostname(text) => told.hostname = checked(text, is_hostname_byte),
                Extension::Nodename(text) => told.nodename = checked(text, is_aux_byte),
                Extension::ClientIpv4(text) => told.client_ipv4 = checked(text, is_aux_byte),
                Extension::ClientIpv6(text) => told.client_ipv6 = checked(text, is_aux_byte),
                Extension::ClientTcpPort(port) => told.client_tcp_port = port,
                Extension::ClientTlsPort(port) => told.client_tls_port = port,
                Extension::AvailabilityZone(text) => told.availability_zone = checked(text, is_aux_byte),
                Extension::ShardId(id) => shard = Some(id),
                Extension::Forgotten { id, ttl_s } => self.on_forgotten(now, sender, id, ttl_s),
                Extension::Unknown(kind) => {
                    self.log(LogLevel::Debug, format!("Ignored ping extension of type {kind}"));
                }
            }
        }
        if self.nodes[sender].attributes != told {
            self.nodes[sender].attributes = told;
            self.save_soon();
        }
        self.on_told_shard(sender, shard);
    }

    /// A replica is in its primary's shard whatever it says; a primary decides for its replicas.
    fn on_told_shard(&mut self, sender: NodeIdx, told: Option<NodeId>) {
        match (self.nodes[sender].primary, told) {
            (Some(primary), _) => {
                let shard = self.nodes[primary].shard_id;
                self.set_shard(sender, shard);
            }
            (None, Some(shard)) => self.set_shard(sender, shard),
            (None, None) => {}
        }
    }

    /// Another node was told to forget one: so do I, unless I depend on it.
    fn on_forgotten(&mut self, now: Clock, sender: NodeIdx, id: NodeId, ttl_s: u64) {
        let Some(idx) = self.nodes.find(&id) else { return };
        if idx == self.me || idx == sender || self.myself().primary == Some(idx) {
            return;
        }
        let ttl_ms = i64::try_from(ttl_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        self.blacklist.add(id, now.mono + ttl_ms);
        let label = self.nodes[sender].label();
        self.log(LogLevel::Notice, format!("Forgetting node {id}, as node {label} did"));
        self.remove_node(now, idx);
    }
}

/// Bytes of a hostname.
pub(super) fn is_hostname_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.'
}

/// Bytes that may stand in an `aux=value` of `nodes.conf` without confusing its reader.
pub(super) fn is_aux_byte(byte: u8) -> bool {
    byte > b',' && byte != 0x7f && !b";<=>?@[]^{|}~\\`".contains(&byte)
}

/// The text if it is short and made of allowed bytes, else nothing.
fn checked(text: &[u8], allowed: fn(u8) -> bool) -> String {
    let fine = text.len() < 256 && text.iter().all(|b| allowed(*b));
    if fine { String::from_utf8(text.to_vec()).unwrap_or_default() } else { String::new() }
}
