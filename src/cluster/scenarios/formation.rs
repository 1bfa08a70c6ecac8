//! Clusters come to be, are left and restarted.

use super::*;

#[test]
fn a_new_cluster_is_up_within_a_second_whatever_the_node_timeout() {
    for timeout_ms in [500, 15_000, 60_000] {
        for seed in 1..4 {
            let mut net = Net::new(6, seed, |c| c.node_timeout_ms = timeout_ms);
            let took = net.create(3);
            assert!(took < 1000, "{took} ms with node timeout {timeout_ms}, seed {seed}");
            for i in 0..6 {
                assert_eq!(net.engine(i).am_primary(), i < 3);
                assert!(net.engine(i).info_text().contains("cluster_size:3\r\n"));
                assert_eq!(net.owner_of(i, 16383), Some(net.id(2)));
            }
            assert_eq!(net.nodes[3].following, Some(net.id(0)));
        }
    }
}

#[test]
fn one_node_that_meets_all_others_makes_a_cluster_too() {
    let mut net = Net::new(6, 9, |_| {});
    for i in 1..6 {
        net.must(0, &format!("MEET 127.0.0.1 {}", 7000 + i));
    }
    let took = net.run_until(1000, "everybody knows everybody", |net| net.knows_all(6));
    assert!(took < 500, "{took}");
    // All began with epoch 0: the collisions are resolved without anybody's help.
    for i in 0..6 {
        let (first, last) = (i * 16384 / 6, (i + 1) * 16384 / 6 - 1);
        net.must(i, &format!("ADDSLOTSRANGE {first} {last}"));
    }
    net.run_until(60_000, "epochs differ, all agree", |net| {
        let epochs: std::collections::BTreeSet<u64> = net.engine(0).nodes().map(|v| v.epoch).collect();
        net.agree() && net.all_ok() && epochs.len() == 6
    });
}

#[test]
fn many_nodes_find_each_other_without_a_storm() {
    let mut net = Net::new(30, 3, |_| {});
    let took = net.create(15);
    assert!(took < 2500, "{took} ms");
    let per_node = net.packets / 30;
    assert!(per_node < 2000, "{per_node} packets per node");
    // Settled: a node sends about N pings in T/2 and as many pongs.
    net.run(10_000);
    let before = net.packets;
    net.run(15_000);
    let rate = (net.packets - before) / 30 / 15;
    assert!(rate < 30, "{rate} packets per node and second");
}

#[test]
fn meeting_oneself_or_a_known_node_changes_nothing() {
    let mut net = Net::new(3, 4, |_| {});
    net.create(3);
    let before = net.picture(0);
    net.must(0, "MEET 127.0.0.1 7000");
    net.must(0, "MEET 127.0.0.1 7001");
    net.must(0, "MEET 127.0.0.1 7001");
    net.run(1000);
    assert_eq!(net.picture(0), before);
    // Nobody is there: the handshake is given up.
    net.must(0, "MEET 127.0.0.1 9999");
    assert_eq!(net.engine(0).known_nodes(), 4);
    net.run(20_000);
    assert_eq!(net.engine(0).known_nodes(), 3);
}

#[test]
fn a_whole_cluster_restarts_from_its_disks() {
    let mut net = Net::new(6, 5, |c| c.node_timeout_ms = 5000);
    net.create(3);
    net.run(1000);
    let before: Vec<_> = (0..6).map(|i| net.picture(i)).collect();
    for i in 0..6 {
        net.kill(i);
    }
    net.run(1000);
    for i in 0..6 {
        net.start(i);
    }
    let started = net.now_ms;
    for i in 0..3 {
        assert!(!net.engine(i).state_ok(), "a restarted primary waits");
    }
    net.run_until(20_000, "ok again", Net::all_ok);
    assert!(net.now_ms - started >= 2000, "a restarted primary waits 2 s");
    net.run(100);
    for (i, picture) in before.iter().enumerate() {
        assert_eq!(&net.picture(i), picture);
    }
    assert_eq!(net.nodes[4].following, Some(net.id(1)));
}

#[test]
fn a_forgotten_node_stays_away_and_may_come_back_later() {
    let mut net = Net::new(4, 6, |c| c.node_timeout_ms = 2000);
    net.create(3);
    net.run(3000);
    let gone = net.id(3);
    // Told to one, forgotten by all: the extension carries it.
    net.kill(3);
    net.must(0, &format!("FORGET {gone}"));
    net.run(3000);
    for i in 0..3 {
        assert_eq!(net.engine(i).known_nodes(), 3, "node {i}");
        assert_eq!(net.admin(i, &format!("FORGET {gone}")), Ok(AdminReply::Ok), "forgotten already");
    }
    net.run(70_000);
    assert_eq!(net.admin(0, &format!("FORGET {gone}")), Err(format!("Unknown node {gone}")));
    let me = net.id(0);
    assert_eq!(net.admin(0, &format!("FORGET {me}")), Err("I tried hard but I can't forget myself...".into()));
    net.start(3);
    net.must(0, "MEET 127.0.0.1 7003");
    net.run_until(10_000, "it is back", |net| net.knows_all(4));
}

#[test]
fn a_reset_node_is_as_good_as_new() {
    let mut net = Net::new(4, 7, |_| {});
    net.create(3);
    let old = net.id(3);
    assert_eq!(net.nodes[3].following, Some(net.id(0)));
    net.must(3, "RESET HARD");
    assert!(net.id(3) != old && net.nodes[3].flushed && net.nodes[3].following.is_none());
    assert_eq!(net.engine(3).known_nodes(), 1);
    assert_eq!(net.engine(3).current_epoch(), 0);
    net.nodes[0].keys.insert(Slot::new(1).unwrap(), 1);
    assert_eq!(net.admin(0, "RESET"), Err("CLUSTER RESET can't be called with master nodes containing keys".into()));
    // The others find another node at its address.
    net.run_until(20_000, "the old id is given up", |net| {
        let engine = net.engine(0);
        engine.nodes().any(|v| v.node.id == old && v.node.is(NodeFlags::NOADDR) && v.node.is(NodeFlags::FAIL))
    });
    assert!(net.engine(0).state_ok());
}

#[test]
fn a_node_that_moved_is_found_at_its_new_address() {
    let mut net = Net::new(3, 8, |c| c.node_timeout_ms = 3000);
    net.create(3);
    net.run(500);
    let id = net.id(2);
    net.kill(2);
    // The machine at place 2 takes another bus port: announced, and mapped to the same place.
    net.nodes[2].config.announce_port = 7777;
    net.start(2);
    net.run_until(5000, "its port is known", |net| {
        (0..2).all(|i| net.engine(i).nodes().any(|v| v.node.id == id && v.node.addr.tcp_port == 7777))
    });
}
