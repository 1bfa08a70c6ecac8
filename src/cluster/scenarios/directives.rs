//! What single directives change, at the start and while a cluster runs.

use super::*;

/// Changes a node's configuration while it runs, as CONFIG SET does.
fn set(net: &mut Net, i: usize, change: impl FnOnce(&mut Config)) {
    let mut config = net.engine(i).config().clone();
    change(&mut config);
    net.with_engine(i, |engine, now| engine.set_config(now, config));
}

/// What node `i` knows of node `about`.
fn seen(net: &Net, i: usize, about: usize) -> (Addr, Attributes) {
    let idx = net.engine(i).find(net.id(about).as_bytes()).unwrap();
    let node = net.engine(i).node(idx).node;
    (node.addr.clone(), node.attributes.clone())
}

#[test]
fn what_a_node_announces_reaches_all_and_is_taken_back() {
    let mut net = Net::new(3, 1, |_| {});
    net.create(3);
    set(&mut net, 0, |c| {
        c.announce_hostname = "a.example".into();
        c.announce_nodename = "first".into();
        c.announce_client_ipv4 = "192.0.2.1".into();
        c.announce_client_ipv6 = "2001:db8::1".into();
        c.announce_client_port = 81;
        c.announce_client_tls_port = 82;
        c.availability_zone = "zone".into();
    });
    let told = Attributes {
        hostname: "a.example".into(),
        nodename: "first".into(),
        client_ipv4: "192.0.2.1".into(),
        client_ipv6: "2001:db8::1".into(),
        client_tcp_port: 81,
        client_tls_port: 82,
        availability_zone: "zone".into(),
    };
    net.run_until(10_000, "the others know", |net| (1..3).all(|i| seen(net, i, 0).1 == told));
    set(&mut net, 0, |c| {
        let plain = Config { port: c.port, ..Config::default() };
        *c = plain;
    });
    net.run_until(10_000, "and forget", |net| (1..3).all(|i| seen(net, i, 0).1 == Attributes::default()));
}

#[test]
fn what_is_no_address_is_not_taken_for_one() {
    let mut net = Net::new(3, 1, |_| {});
    net.create(3);
    // What Redis 8 sends where Valkey has an address.
    let secret = "89e6fd52bf7f6d123eed0257e5a5e81f58d38c94";
    set(&mut net, 0, |c| {
        c.announce_client_ipv4 = secret.into();
        c.announce_client_ipv6 = secret.into();
        c.announce_hostname = "a.example".into();
    });
    net.run_until(10_000, "the others know the name", |net| seen(net, 1, 0).1.hostname == "a.example");
    let told = seen(&net, 1, 0).1;
    assert_eq!((told.client_ipv4.as_str(), told.client_ipv6.as_str()), ("", ""));
}

#[test]
fn announced_ports_are_taken_over_at_run_time() {
    let mut net = Net::new(3, 2, |_| {});
    net.create(3);
    set(&mut net, 0, |c| {
        c.announce_port = 8000;
        c.announce_tls_port = 8001;
    });
    net.run_until(20_000, "the others know", |net| {
        (1..3).all(|i| {
            let addr = seen(net, i, 0).0;
            (addr.tcp_port, addr.tls_port, addr.cport) == (8000, 8001, 17000)
        })
    });
    // A bus port under which nobody answers: the links to it end, and come back with the right one.
    set(&mut net, 0, |c| c.announce_bus_port = 19999);
    net.run_until(20_000, "the others try there", |net| (1..3).all(|i| seen(net, i, 0).0.cport == 19999));
    set(&mut net, 0, |c| c.announce_bus_port = 0);
    net.run_until(20_000, "all is well again", |net| net.knows_all(3) && net.all_ok());
}

#[test]
fn a_ban_lasts_as_long_as_the_directive_says() {
    let mut net = Net::new(4, 3, |c| c.blacklist_ttl_s = 3);
    net.create(3);
    net.run(1000);
    let gone = net.id(3);
    for i in 0..3 {
        net.must(i, &format!("FORGET {gone}"));
    }
    net.run(2000);
    assert!((0..3).all(|i| net.engine(i).known_nodes() == 3));
    net.run_until(40_000, "it still talks to them and is let in again", |net| net.knows_all(4));
}

#[test]
fn replicas_stay_where_migration_is_not_allowed_or_the_barrier_is_high() {
    for (allowed, barrier, moves) in [(true, 1, true), (false, 1, false), (true, 2, false)] {
        let mut net = Net::new(7, 20, |c| {
            c.node_timeout_ms = 1000;
            c.allow_replica_migration = allowed;
            c.migration_barrier = barrier;
        });
        // Replicas: 3 and 6 of node 0, 4 of 1, 5 of 2.
        net.create(3);
        net.run(2000);
        net.kill(4);
        net.run(15_000);
        let moved = [3, 6].iter().any(|i| net.nodes[*i].following == Some(net.id(1)));
        assert_eq!(moved, moves, "allowed {allowed}, barrier {barrier}");
    }
}

#[test]
fn who_lost_the_last_slot_stays_a_primary_where_migration_is_not_allowed() {
    for allowed in [true, false] {
        let mut net = Net::new(2, 5, |c| c.allow_replica_migration = allowed);
        net.must(0, "ADDSLOTS 0");
        net.must(1, "ADDSLOTSRANGE 1 16383");
        net.must(0, "SET-CONFIG-EPOCH 1");
        net.must(1, "SET-CONFIG-EPOCH 2");
        net.must(0, "MEET 127.0.0.1 7001");
        net.run_until(2000, "they know each other", |net| net.knows_all(2) && net.agree());
        let to = net.id(1);
        net.must(1, &format!("SETSLOT 0 IMPORTING {}", net.id(0)));
        net.must(0, &format!("SETSLOT 0 MIGRATING {to}"));
        net.must(1, &format!("SETSLOT 0 NODE {to}"));
        net.must(0, &format!("SETSLOT 0 NODE {to}"));
        net.run(1000);
        assert_eq!(net.engine(0).am_primary(), !allowed);
    }
}

#[test]
fn the_ping_interval_sets_the_pace() {
    let rate = |interval_ms: i64| {
        let mut net = Net::new(10, 6, |c| c.ping_interval_ms = interval_ms);
        net.create(10);
        net.run(10_000);
        let before = net.packets;
        net.run(10_000);
        net.packets - before
    };
    let (often, seldom) = (rate(500), rate(5000));
    assert!(often > 4 * seldom, "{often} packets at 500 ms, {seldom} at 5000 ms");
}

#[test]
fn the_share_of_gossip_sets_the_size() {
    let bytes = |percent: usize| {
        let mut net = Net::new(40, 7, |c| c.gossip_percent = percent);
        net.create(40);
        net.run(10_000);
        let sum = |net: &Net| net.nodes.iter().map(|node| node.sent_bytes).sum::<u64>();
        let (before, packets) = (sum(&net), net.packets);
        net.run(10_000);
        (sum(&net) - before) / (net.packets - packets)
    };
    // Three entries at least, at most all others but the receiver.
    let (few, all) = (bytes(0), bytes(100));
    let entry = packet::GOSSIP_LEN as u64;
    assert!(all - few > 30 * entry, "{few} and {all} bytes a packet");
}

#[test]
fn a_restarted_primary_waits_before_it_serves() {
    let mut net = Net::new(3, 8, |c| c.node_timeout_ms = 3000);
    net.create(3);
    net.run(1000);
    net.kill(0);
    net.run(300);
    net.start(0);
    net.run(1500);
    assert!(!net.engine(0).state_ok(), "it may have been replaced without knowing");
    let took = net.run_until(5000, "it serves", |net| net.engine(0).state_ok());
    assert!(took < 2000, "{took}");
}

#[test]
fn a_primary_that_was_with_a_minority_waits_before_it_serves_again() {
    for (timeout_ms, least, most) in [(1000, 900, 2500), (4000, 3500, 6000)] {
        let mut net = Net::new(3, 9, |c| c.node_timeout_ms = timeout_ms);
        net.create(3);
        net.run(1000);
        net.partition(&[0, 1, 1]);
        net.run_until(30_000, "the minority stops", |net| !net.engine(0).state_ok());
        net.heal();
        let reached = |net: &Net| net.engine(0).nodes().filter(|v| !v.node.is(NodeFlags::FAILING)).count() >= 2;
        net.run_until(30_000, "it sees the majority again", reached);
        let took = net.run_until(30_000, "it serves again", |net| net.engine(0).state_ok());
        assert!((least..most).contains(&took), "{took} ms with node timeout {timeout_ms}");
    }
}

#[test]
fn shard_channels_may_stay_open_while_the_cluster_is_down() {
    let mut net = Net::new(1, 10, |_| {});
    net.must(0, "ADDSLOTS 0");
    let slot = Slot::new(0).unwrap();
    let request = Request { shard_pubsub: true, ..Request::default() };
    let tell = |net: &Net| net.engine(0).redirect(slot, request, Presence::default);
    assert_eq!(tell(&net), Redirect::Serve);
    set(&mut net, 0, |c| c.allow_pubsubshard_when_down = false);
    assert_eq!(tell(&net), Redirect::Down);
}

#[test]
fn a_manual_failover_is_given_up_when_the_directive_says() {
    for timeout_ms in [1000, 8000] {
        let mut net = Net::new(6, 11, |c| c.manual_failover_timeout_ms = timeout_ms);
        net.create(3);
        net.run(1000);
        net.tell_facts(3);
        // The replica never gets where its primary has stopped: it follows nobody.
        net.nodes[3].following = None;
        net.nodes[0].offset += 1000;
        net.tell_facts(0);
        net.must(3, "FAILOVER");
        net.run(200);
        assert!(net.nodes[0].paused_until.is_some());
        let took = net.run_until(20_000, "the primary goes on", |net| net.nodes[0].paused_until.is_none());
        assert!((timeout_ms - 300..timeout_ms + 300).contains(&took), "{took} ms, told {timeout_ms}");
        assert!(net.engine(0).am_primary());
    }
}

#[test]
fn strangers_hold_a_bounded_number_of_links() {
    let mut net = Net::new(3, 12, |_| {});
    net.create(3);
    for number in 5000..8000 {
        let link = LinkId::Inbound(number);
        let ip = std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));
        net.input(0, Input::Accepted { link, peer_ip: ip, local_ip: ip });
    }
    assert!(net.nodes[0].closed > 2000, "{}", net.nodes[0].closed);
    assert!(!net.engine(0).knows_link(LinkId::Inbound(7999)));
    net.run(20_000);
    assert!(net.knows_all(3) && net.all_ok());
}
