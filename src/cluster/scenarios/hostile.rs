//! Packets from strangers and broken packets: nothing panics, and strangers change nothing.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::super::packet::{
    self, Extension, GossipEntry, Header, MessageType, MsgFlags, ReplicaOf, encode_fail, encode_ping, encode_update,
};
use super::*;
use crate::base::Rng;

const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

fn header<'a>(kind: MessageType, sender: NodeId, slots: &'a bitmap::Bitmap, epoch: u64) -> Header<'a> {
    Header {
        kind,
        port: 1,
        pport: 2,
        cport: 3,
        current_epoch: epoch,
        config_epoch: epoch,
        offset: 1,
        sender: Some(sender),
        slots,
        replica_of: ReplicaOf::Nobody,
        my_ip: "",
        flags: NodeFlags::PRIMARY,
        state_ok: true,
        mflags: MsgFlags::EXT_DATA,
    }
}

/// One packet of each kind, all with a huge epoch and claims on everything.
fn packets(sender: NodeId, about: NodeId) -> Vec<Vec<u8>> {
    let all = [0xff; 2048];
    let entry = GossipEntry {
        id: Some(about),
        ping_sent_s: 0,
        pong_received_s: u32::MAX,
        ip: "10.1.1.1",
        port: 5,
        cport: 6,
        flags: NodeFlags::FAIL,
        pport: 7,
    };
    let extensions = [Extension::ShardId(sender), Extension::Forgotten { id: about, ttl_s: u64::MAX }];
    let head = |kind| header(kind, sender, &all, u64::MAX);
    let mut list = vec![
        encode_ping(&head(MessageType::Ping), std::slice::from_ref(&entry), &extensions),
        encode_ping(&head(MessageType::Pong), &[entry], &extensions),
        encode_fail(&head(MessageType::Fail), &about),
        encode_update(&head(MessageType::Update), &about, u64::MAX, &all),
        packet::encode_publish(&head(MessageType::Publish), b"c", b"m"),
        packet::encode_publish_light(MessageType::PublishShard, b"c", b"m"),
    ];
    for kind in [MessageType::AuthRequest, MessageType::AuthAck, MessageType::MfStart] {
        list.push(packet::encode_bare(&head(kind)));
    }
    list
}

#[test]
fn strangers_change_nothing() {
    let mut net = Net::new(4, 1, |_| {});
    net.create(3);
    net.run(500);
    let stranger = NodeId::random(&mut Rng::seeded(99));
    let about = net.id(1);
    let (before, conf) = (net.picture(0), net.engine(0).config_text());
    for (n, bytes) in packets(stranger, about).into_iter().enumerate() {
        let link = LinkId::Inbound(1000 + n as u64);
        net.input(0, Input::Accepted { link, peer_ip: STRANGER, local_ip: STRANGER });
        net.input(0, Input::Packet { link, bytes: &bytes });
    }
    assert_eq!(net.picture(0), before);
    assert_eq!(net.engine(0).config_text(), conf);
    assert!(net.nodes[0].published.is_empty() && net.nodes[0].paused_until.is_none());
}

#[test]
fn strangers_cannot_fill_the_memory_with_handshakes() {
    let mut net = Net::new(1, 1, |_| {});
    let stranger = NodeId::random(&mut Rng::seeded(99));
    for port in 1..5000 {
        let link = LinkId::Inbound(u64::from(port));
        let header = Header { cport: port, ..header(MessageType::Meet, stranger, &bitmap::EMPTY, 1) };
        net.input(0, Input::Accepted { link, peer_ip: STRANGER, local_ip: STRANGER });
        net.input(0, Input::Packet { link, bytes: &encode_ping(&header, &[], &[]) });
    }
    assert_eq!(net.engine(0).nodes().filter(|view| view.node.in_handshake()).count(), 4096);
}

#[test]
fn what_a_node_says_on_anothers_link_is_not_believed() {
    let mut net = Net::new(3, 2, |_| {});
    net.create(3);
    net.run(500);
    // On the link that node 0 opened to node 1 somebody speaks with a name of its own.
    let target = net.id(1);
    let engine = net.engine(0);
    let link = engine.links().find(|l| l.node == target && l.direction() == "to").unwrap().link;
    let stranger = NodeId::random(&mut Rng::seeded(99));
    let epoch = engine.current_epoch();
    for bytes in packets(stranger, net.id(2)).iter().skip(2).filter(|bytes| bytes[12] == 0) {
        net.input(0, Input::Packet { link, bytes });
    }
    assert_eq!(net.engine(0).current_epoch(), epoch);
    assert_eq!(net.owner_of(0, 0), Some(net.id(0)));
}

#[test]
fn a_packet_from_before_a_node_was_a_replica_is_forgotten_soon() {
    let mut net = Net::new(6, 2, |c| c.node_timeout_ms = 1000);
    net.create(3);
    // Its own epoch is 6, its primary's 3: that it is a replica now must be believed again all the same.
    let replica = net.id(5);
    let late = Header { current_epoch: 6, ..header(MessageType::Pong, replica, &bitmap::EMPTY, 6) };
    let link = LinkId::Inbound(1000);
    net.input(1, Input::Accepted { link, peer_ip: STRANGER, local_ip: STRANGER });
    net.input(1, Input::Packet { link, bytes: &encode_ping(&late, &[], &[]) });
    assert!(!net.agree(), "the late packet was believed");
    net.run_until(3000, "all agree again", Net::agree);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Even a member that has gone mad cannot make another panic, whatever it sends from whatever link.
    #[test]
    fn a_mad_member_breaks_nobody(
        seed in 0u64..4,
        steps in proptest::collection::vec(
            (0usize..9, proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), 0usize..3, 1i64..300),
            1..30,
        ),
    ) {
        let mut net = Net::new(4, seed, |c| c.node_timeout_ms = 1000);
        net.create(3);
        net.run(300);
        let (mad, about) = (net.id(1), net.id(3));
        let valid = packets(mad, about);
        for (n, (which, flips, victim, pause)) in steps.into_iter().enumerate() {
            let mut bytes = valid[which].clone();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let len = (bytes.len() as u32).to_be_bytes();
            bytes[4..8].copy_from_slice(&len);
            let victim = [0, 2, 3][victim];
            let link = LinkId::Inbound(5000 + n as u64);
            net.input(victim, Input::Accepted { link, peer_ip: STRANGER, local_ip: STRANGER });
            net.input(victim, Input::Packet { link, bytes: &bytes });
            net.run(pause);
        }
        for i in net.alive() {
            let text = net.engine(i).config_text();
            prop_assert!(Engine::restore(Config::default(), Rng::seeded(1), net.clock(), &text).is_ok(), "{}", text);
        }
    }
}
