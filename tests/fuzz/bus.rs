//! Packets of the cluster bus, thrown at an engine that is a member of a cluster: from a stranger, from a node it knows,
//! and in answer to what it sent. It must not panic, what it saves must be readable, and no stranger may change what it
//! believes.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use trib::base::{Millis, NodeId, Rng};
use trib::cluster::packet::{
    self, Extension, GossipEntry, Header, MessageType, MsgFlags, ReplicaOf, encode_bare, encode_fail, encode_ping,
    encode_publish, encode_publish_light, encode_update,
};
use trib::cluster::{Clock, Config, Engine, Frame, Input, LinkId, NodeFlags, Output, bitmap, frame};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Who sends the packets of an input: the lowest two bits of its first byte.
const STRANGER: u8 = 0;
const MEMBER: u8 = 1;
const ANSWER: u8 = 2;
/// The length in the packet's header is set right, so that the rest of it is looked at.
const FIX_LENGTH: u8 = 4;

fn id(digit: char) -> NodeId {
    NodeId::parse(digit.to_string().repeat(40).as_bytes()).expect("forty letters are an id")
}

/// Three primaries, a replica of mine and a replica of another's. I am `a`.
fn nodes_conf() -> String {
    let mut text = String::new();
    for (n, (digit, role, slots)) in [
        ('a', "myself,master -", "0-99 [7->-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb]"),
        ('b', "master -", "100-199"),
        ('c', "master -", "200-299"),
        ('d', "slave aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
        ('e', "slave bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, port) = (id(digit), 7000 + n);
        let _ = writeln!(text, "{id} 127.0.0.1:{port}@1{port} {role} 0 0 {n} connected {slots}");
    }
    text.push_str("vars currentEpoch 5 lastVoteEpoch 4\n");
    text
}

fn drain(engine: &mut Engine) -> Vec<Output> {
    engine.outputs().collect()
}

/// Roles, slots and epochs, without what any link may change.
fn beliefs(engine: &Engine) -> String {
    let ranges = engine.slot_ranges();
    let mut text = format!("{} {}\n", engine.current_epoch(), engine.last_vote_epoch());
    for view in engine.nodes().filter(|view| !view.node.in_handshake()) {
        let node = view.node;
        let role = node.flags & (NodeFlags::PRIMARY | NodeFlags::REPLICA | NodeFlags::FAIL);
        let _ = writeln!(
            text,
            "{} {:?} {:?} {:?} {} {:?} {:?}",
            node.id,
            node.addr,
            role,
            view.primary,
            view.epoch,
            node.shard_id,
            ranges.get(&view.idx)
        );
    }
    text
}

/// The first byte says who speaks, and whether the length is set right; the packets follow.
pub fn bus(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if how & FIX_LENGTH != 0 && bytes.len() >= 8 {
        let len = (bytes.len() as u32).to_be_bytes();
        bytes[4..8].copy_from_slice(&len);
    }
    let config = Config {
        announce_ip: "127.0.0.1".into(),
        node_timeout_ms: 2000,
        require_full_coverage: false,
        ..Config::default()
    };
    let mut now = Clock { wall: Millis(1_700_000_000_000), mono: Millis(1_000_000) };
    let mut engine = Engine::restore(config.clone(), Rng::seeded(1), now, &nodes_conf()).expect("a sound file");
    engine.handle(now, Input::Tick);
    let mut links = Vec::new();
    for output in drain(&mut engine) {
        if let Output::Connect { link, .. } = output {
            links.push(link);
        }
    }
    for link in &links {
        engine.handle(now, Input::LinkUp { link: *link });
    }
    drain(&mut engine);
    let accepted = LinkId::Inbound(1);
    engine.handle(now, Input::Accepted { link: accepted, peer_ip: IP, local_ip: IP });
    let link = if how & 3 == ANSWER { links[0] } else { accepted };
    let before = beliefs(&engine);
    let mut known_sender = how & 3 == ANSWER;
    let mut rest = &bytes[..];
    while let Frame::Packet(len) = frame::next(rest) {
        let (packet, after) = rest.split_at(len);
        let sender = packet.get(40..80).and_then(NodeId::parse);
        known_sender |= sender.is_some_and(|sender| engine.find(sender.as_bytes()).is_ok());
        engine.handle(now, Input::Packet { link, bytes: packet });
        rest = after;
    }
    drain(&mut engine);
    if !known_sender {
        assert_eq!(beliefs(&engine), before, "a stranger changed it");
    }
    for _ in 0..30 {
        now = Clock { wall: now.wall + 100, mono: now.mono + 100 };
        engine.handle(now, Input::Tick);
        for output in drain(&mut engine) {
            if let Output::Send { bytes, .. } = output {
                assert_eq!(frame::next(&bytes), Frame::Packet(bytes.len()));
                packet::decode(&bytes).expect("what is sent can be read");
            }
        }
    }
    let saved = engine.config_text();
    Engine::restore(config, Rng::seeded(1), now, &saved).unwrap_or_else(|error| panic!("{error} in\n{saved}"));
}

/// One packet of each kind from a stranger, from a replica and from a primary, with claims that would change everything.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = [0xff; bitmap::BITMAP_LEN];
    let mut seeds = Vec::new();
    for (how, sender, replica_of, slots, epoch) in [
        (STRANGER, id('9'), ReplicaOf::Nobody, &all, u64::MAX),
        (STRANGER, id('9'), ReplicaOf::Node(id('a')), &all, 9),
        (MEMBER, id('d'), ReplicaOf::Node(id('a')), &bitmap::EMPTY, 6),
        (MEMBER, id('b'), ReplicaOf::Node(id('e')), &bitmap::EMPTY, 7),
        (MEMBER, id('c'), ReplicaOf::Nobody, &all, 8),
        (ANSWER, id('b'), ReplicaOf::Nobody, &all, 9),
    ] {
        let head = |kind| Header {
            kind,
            port: 7001,
            pport: 0,
            cport: 17001,
            current_epoch: epoch,
            config_epoch: epoch,
            offset: 77,
            sender: Some(sender),
            slots,
            replica_of,
            my_ip: "127.0.0.1",
            flags: NodeFlags::PRIMARY,
            state_ok: true,
            mflags: MsgFlags::EXT_DATA | MsgFlags::FORCE_ACK | MsgFlags::PAUSED,
        };
        let entries = [('c', NodeFlags::FAIL), ('8', NodeFlags::REPLICA)].map(|(digit, flags)| GossipEntry {
            id: Some(id(digit)),
            ping_sent_s: 0,
            pong_received_s: 1_700_000_000,
            ip: "127.0.0.1",
            port: 7002,
            cport: 17002,
            flags,
            pport: 0,
        });
        let extensions = [
            Extension::Hostname(b"host"),
            Extension::Nodename(b"name"),
            Extension::ClientIpv4(b"192.0.2.1"),
            Extension::ClientIpv6(b"2001:db8::1"),
            Extension::ClientTcpPort(1),
            Extension::ClientTlsPort(2),
            Extension::AvailabilityZone(b"zone"),
            Extension::Forgotten { id: id('e'), ttl_s: u64::MAX },
            Extension::ShardId(sender),
            Extension::Unknown(999),
        ];
        let mut packets = vec![
            encode_fail(&head(MessageType::Fail), &id('c')),
            encode_update(&head(MessageType::Update), &id('c'), epoch, &all),
            encode_publish(&head(MessageType::Publish), b"channel", b"message"),
            encode_publish(&head(MessageType::PublishShard), b"channel", b"message"),
            encode_publish_light(MessageType::Publish, b"channel", b"message"),
        ];
        for kind in [MessageType::Ping, MessageType::Pong, MessageType::Meet] {
            packets.push(encode_ping(&head(kind), &entries, &extensions));
        }
        for kind in [MessageType::AuthRequest, MessageType::AuthAck, MessageType::MfStart, MessageType::Module] {
            packets.push(encode_bare(&head(kind)));
        }
        for fix in [0, FIX_LENGTH] {
            seeds.extend(packets.iter().map(|bytes| [&[how | fix][..], bytes].concat()));
        }
        seeds.push([&[how][..], &packets.concat()].concat());
    }
    seeds
}
