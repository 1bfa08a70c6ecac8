//! A packet arrives: who sent it, what is believed of it, and which part of the engine it concerns.

use bytes::Bytes;

use super::clock::Clock;
use super::engine::Engine;
use super::flags::NodeFlags;
use super::io::{LinkId, LogLevel, Output};
use super::node::NodeIdx;
use super::packet::{
    Body, Extensions, Gossip, Header, LIGHT_BIT, MessageType, MsgFlags, Packet, PacketError, ReplicaOf, decode,
};

impl Engine {
    pub(super) fn on_packet(&mut self, now: Clock, link: LinkId, bytes: &[u8]) {
        let Some(from) = self.links.get_mut(&link) else { return };
        from.heard = Some(now);
        if let Some(&[high, low]) = bytes.get(12..14).and_then(|b| b.first_chunk())
            && let Some(kind) = MessageType::from_wire(u16::from_be_bytes([high, low]) & !LIGHT_BIT)
        {
            self.stats.received.count(kind, bytes.len());
        }
        match decode(bytes) {
            Ok(Packet::Full(header, body)) => self.on_full(now, link, &header, &body),
            Ok(Packet::Light(kind, body)) => self.on_light(now, link, kind, &body),
            Err(PacketError::NotBus) => self.close(now, link),
            Err(error) => self.log(LogLevel::Debug, format!("Dropped a bus packet: {error}")),
        }
    }

    /// A light packet says nothing about its sender: the link must be somebody's.
    fn on_light(&mut self, now: Clock, link: LinkId, kind: MessageType, body: &Body<'_>) {
        match self.links.get(&link).and_then(|l| l.node) {
            Some(sender) if !self.nodes[sender].in_handshake() => {
                self.nodes[sender].data_received = Some(now);
                self.on_publish(kind, body);
            }
            _ => self.close(now, link),
        }
    }

    fn on_publish(&mut self, kind: MessageType, body: &Body<'_>) {
        if let Body::Publish { channel, message } = body {
            self.emit(Output::PublishLocal {
                channel: Bytes::copy_from_slice(channel),
                message: Bytes::copy_from_slice(message),
                sharded: kind == MessageType::PublishShard,
            });
        }
    }

    /// The known node behind a packet. On a link that I opened it is the node I opened it to, whatever
    /// the packet says (see [`Engine::check_identity`]); on an accepted one it is who the packet says.
    fn sender_of(&mut self, now: Clock, link: LinkId, header: &Header<'_>) -> Option<NodeIdx> {
        let named = header.sender.and_then(|id| self.nodes.find(&id)).filter(|idx| *idx != self.me);
        match link {
            LinkId::Outbound(_) => {
                let peer = self.links.get(&link)?.node?;
                if self.nodes[peer].in_handshake() { named } else { Some(peer) }
            }
            LinkId::Inbound(_) => match named {
                Some(named) => {
                    self.bind_inbound(now, link, named);
                    Some(named)
                }
                None => {
                    self.links.get_mut(&link)?.stranger = header.sender;
                    None
                }
            },
        }
    }

    /// Behind an address I connected to there is another node than the one I know there: the address is
    /// wrong, and with it gone so is the node. Returns whether the packet may be believed.
    fn check_identity(&mut self, now: Clock, link: LinkId, header: &Header<'_>) -> bool {
        let LinkId::Outbound(_) = link else { return true };
        let Some(peer) = self.links.get(&link).and_then(|l| l.node) else { return false };
        let node = &mut self.nodes[peer];
        if node.in_handshake() || header.sender == Some(node.id) {
            return true;
        }
        if !header.kind.is_ping_family() {
            return false;
        }
        let label = node.label();
        node.flags |= NodeFlags::NOADDR;
        node.addr.ip.clear();
        (node.addr.tcp_port, node.addr.tls_port, node.addr.cport) = (0, 0, 0);
        self.log(LogLevel::Notice, format!("Another node answers at the address of {label}: it has no address now"));
        self.close(now, link);
        if !self.nodes[peer].is_failed() {
            self.mark_failed(now, peer);
            self.broadcast_fail(peer);
        }
        self.save_soon();
        false
    }

    fn on_full(&mut self, now: Clock, link: LinkId, header: &Header<'_>, body: &Body<'_>) {
        if header.mflags.contains(MsgFlags::EXT_DATA)
            && let Some(link) = self.links.get_mut(&link)
        {
            link.ext_seen = true;
        }
        if !self.check_identity(now, link, header) {
            return;
        }
        let sender = self.sender_of(now, link, header);
        if let Some(sender) = sender {
            self.absorb_header(now, sender, header);
        }
        match body {
            Body::Ping { gossip, extensions } => self.on_ping_family(now, link, sender, header, *gossip, *extensions),
            _ => {
                if let Some(sender) = sender {
                    self.on_message(now, link, sender, header, body);
                }
            }
        }
    }

    /// What any packet of a known node tells about it.
    fn absorb_header(&mut self, now: Clock, sender: NodeIdx, header: &Header<'_>) {
        let claims_primary = header.replica_of == ReplicaOf::Nobody;
        let node = &mut self.nodes[sender];
        node.data_received = Some(now);
        node.flags = (node.flags - NodeFlags::SELF_DESCRIBED) | (header.flags & NodeFlags::SELF_DESCRIBED);
        if header.mflags.contains(MsgFlags::EXT_DATA) {
            node.flags |= NodeFlags::EXTENSIONS;
        }
        node.repl_offset = header.offset;
        let newer = claims_primary && header.config_epoch > node.config_epoch;
        if newer {
            node.config_epoch = header.config_epoch;
            self.save_soon();
            self.election.supersede(header.config_epoch);
        }
        if header.current_epoch > self.current_epoch {
            self.current_epoch = header.current_epoch;
            self.save_soon();
        }
        if self.nodes[sender].primary.is_some_and(|p| self.myself().primary == Some(p) && self.nodes[p].is_failed()) {
            // What a fellow replica says of itself may make me the first.
            self.todo.election = true;
        }
        if header.mflags.contains(MsgFlags::PAUSED) && self.myself().primary == Some(sender) {
            self.on_primary_paused(header.offset);
        }
    }

    fn on_ping_family(
        &mut self,
        now: Clock,
        link: LinkId,
        sender: Option<NodeIdx>,
        header: &Header<'_>,
        gossip: Gossip<'_>,
        extensions: Extensions<'_>,
    ) {
        if header.kind != MessageType::Pong {
            self.learn_my_ip(link, header.kind);
            match sender {
                Some(sender) if header.kind == MessageType::Meet => self.on_repeated_meet(now, sender),
                None if header.kind == MessageType::Meet && header.sender.is_some_and(|id| id != self.myself().id) => {
                    self.on_meet_from_stranger(now, link, header);
                }
                _ => {}
            }
            self.pong(now, link);
        }
        let mut sender = sender;
        if let (LinkId::Outbound(_), Some(peer)) = (link, self.links.get(&link).and_then(|l| l.node))
            && self.nodes[peer].in_handshake()
        {
            sender = self.complete_handshake(now, peer, header);
            if let Some(sender) = sender {
                self.absorb_header(now, sender, header);
            }
        }
        let Some(sender) = sender else { return };
        self.nodes[sender].flags.remove(NodeFlags::MEET);
        self.nodes[sender].flags.set(NodeFlags::NOFAILOVER, header.flags.contains(NodeFlags::NOFAILOVER));
        match (header.kind, link) {
            (MessageType::Ping, LinkId::Inbound(_)) => self.update_addr_from_ping(now, sender, link, header),
            (MessageType::Pong, LinkId::Outbound(_)) => self.on_pong(now, sender),
            _ => {}
        }
        if !self.on_claimed_role(sender, header) {
            return;
        }
        self.on_claimed_slots(sender, link, header);
        self.resolve_collision(sender, header);
        self.on_gossip(now, sender, gossip);
        self.on_extensions(now, sender, header, extensions);
    }

    fn on_message(&mut self, now: Clock, link: LinkId, sender: NodeIdx, header: &Header<'_>, body: &Body<'_>) {
        match (header.kind, body) {
            (_, Body::Fail(Some(id))) => self.on_fail_message(now, sender, id),
            (_, Body::Publish { .. }) => self.on_publish(header.kind, body),
            (_, Body::Update { node: Some(id), config_epoch, slots }) => self.on_update(id, *config_epoch, slots),
            (MessageType::AuthRequest, _) => self.on_auth_request(now, sender, header),
            (MessageType::AuthAck, _) => self.on_auth_ack(now, sender, header),
            (MessageType::MfStart, _) => self.on_mfstart(now, link, sender),
            _ => {}
        }
    }

    /// Where I am, if nobody has told me: the address another node reached me at.
    fn learn_my_ip(&mut self, link: LinkId, kind: MessageType) {
        if !self.cfg.announce_ip.is_empty() || (kind != MessageType::Meet && !self.myself().addr.ip.is_empty()) {
            return;
        }
        let Some(ip) = self.links.get(&link).and_then(|l| l.local_ip).filter(|ip| !ip.is_unspecified()) else { return };
        let ip = ip.to_string();
        if self.myself().addr.ip != ip {
            self.log(LogLevel::Notice, format!("IP address for this node updated to {ip}"));
            self.nodes[self.me].addr.ip = ip;
            self.save_soon();
        }
    }
}
