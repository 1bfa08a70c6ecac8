//! Slots change hands: resharding, UPDATE, dirty slots, and what clients are told meanwhile.

use super::*;

fn slot(n: u16) -> Slot {
    Slot::new(n).unwrap()
}

/// Moves one slot as a resharding tool does.
fn hand_over(net: &mut Net, number: u16, from: usize, to: usize) {
    let (source, target) = (net.id(from), net.id(to));
    net.must(to, &format!("SETSLOT {number} IMPORTING {source}"));
    net.must(from, &format!("SETSLOT {number} MIGRATING {target}"));
    net.must(to, &format!("SETSLOT {number} NODE {target}"));
    net.must(from, &format!("SETSLOT {number} NODE {target}"));
}

#[test]
fn a_slot_moves_and_its_new_owner_takes_a_new_epoch() {
    let mut net = Net::new(6, 1, |_| {});
    net.create(3);
    net.run(500);
    let before = net.engine(1).current_epoch();
    hand_over(&mut net, 7, 0, 1);
    let took = net.run_until(1000, "all know", |net| net.agree() && net.owner_of(5, 7) == Some(net.id(1)));
    assert!(took < 50, "{took}");
    assert_eq!(net.engine(1).current_epoch(), before + 1);
    assert_eq!(net.engine(1).importing_from(slot(7)), None);
    assert_eq!(net.engine(0).migrating_to(slot(7)), None);
}

#[test]
fn setslot_refuses_nonsense() {
    let mut net = Net::new(4, 2, |_| {});
    net.create(3);
    let (a, b, replica) = (net.id(0), net.id(1), net.id(3));
    let mut refuse =
        |i: usize, words: String, text: &str| assert_eq!(net.admin(i, &words), Err(text.into()), "{words}");
    refuse(0, format!("SETSLOT 16383 MIGRATING {b}"), "I'm not the owner of hash slot 16383");
    refuse(0, format!("SETSLOT 0 IMPORTING {b}"), "I'm already the owner of hash slot 0");
    refuse(
        0,
        format!("SETSLOT 0 MIGRATING {}", "x".repeat(40)),
        &format!("I don't know about node {}", "x".repeat(40)),
    );
    refuse(0, format!("SETSLOT 0 MIGRATING {a}"), "Target node is myself");
    refuse(0, format!("SETSLOT 0 MIGRATING {replica}"), "Target node is not a master");
    refuse(0, format!("SETSLOT 0 NODE {replica}"), "Target node is not a master");
    refuse(0, "SETSLOT 0 NODE nobody".into(), "Unknown node nobody");
    refuse(3, format!("SETSLOT 0 NODE {b}"), "Please use SETSLOT only with masters.");
    refuse(0, "SETSLOT 16384 STABLE".into(), "Invalid or out of range slot");
    refuse(0, "SETSLOT 1 BOGUS".into(), "Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
    refuse(0, format!("SETSLOT 1 NODE {b} TIMEOUT"), "Missing timeout value");
    net.nodes[0].keys.insert(slot(0), 1);
    assert_eq!(
        net.admin(0, &format!("SETSLOT 0 NODE {b}")),
        Err("Can't assign hashslot 0 to a different node while I still hold keys for this hash slot.".into())
    );
}

#[test]
fn an_open_slot_sends_clients_to_and_fro() {
    let mut net = Net::new(3, 3, |_| {});
    net.create(3);
    let (a, b) = (net.id(0), net.id(1));
    net.must(1, &format!("SETSLOT 7 IMPORTING {a}"));
    net.must(0, &format!("SETSLOT 7 MIGRATING {b}"));
    let ask = |i: usize, request: Request, present: usize, missing: usize| {
        net.engine(i).redirect(slot(7), request, || Presence { present, missing })
    };
    let text = |i: usize, redirect: Redirect| redirect.error(net.engine(i), slot(7), ClientNet::default());
    let (plain, asking) = (Request::default(), Request { asking: true, ..Request::default() });
    assert_eq!(ask(0, plain, 1, 0), Redirect::Serve);
    assert_eq!(text(0, ask(0, plain, 0, 1)).as_deref(), Some("ASK 7 127.0.0.1:7001"));
    assert_eq!(ask(0, plain, 1, 1), Redirect::TryAgain);
    assert_eq!(ask(0, Request { migrate: true, ..plain }, 0, 1), Redirect::Serve);
    assert_eq!(ask(0, Request { other_db: true, ..plain }, 1, 0), Redirect::TryAgain);
    assert_eq!(text(1, ask(1, plain, 0, 1)).as_deref(), Some("MOVED 7 127.0.0.1:7000"));
    assert_eq!(ask(1, asking, 0, 1), Redirect::Serve);
    assert_eq!(ask(1, Request { multiple_keys: true, ..asking }, 1, 1), Redirect::TryAgain);
    assert_eq!(ask(1, Request { multiple_keys: true, ..asking }, 2, 0), Redirect::Serve);
    net.must(0, "SETSLOT 7 STABLE");
    assert_eq!(net.engine(0).redirect(slot(7), plain, || panic!("no need to count")), Redirect::Serve);
}

#[test]
fn replicas_serve_readonly_clients_only() {
    let mut net = Net::new(4, 4, |_| {});
    net.create(3);
    let on_replica = |request| net.engine(3).redirect(slot(7), request, Presence::default);
    let readonly = Request { readonly: true, ..Request::default() };
    assert!(matches!(on_replica(Request::default()), Redirect::Moved(_)));
    assert_eq!(on_replica(readonly), Redirect::Serve);
    assert!(matches!(on_replica(Request { write: true, ..readonly }), Redirect::Moved(_)));
    assert_eq!(on_replica(Request { shard_pubsub: true, ..Request::default() }), Redirect::Serve);
    assert!(matches!(net.engine(3).redirect(slot(16383), readonly, Presence::default), Redirect::Moved(_)));
}

#[test]
fn a_cluster_that_is_down_says_so() {
    let mut net = Net::new(1, 5, |_| {});
    let first = net.engine(0).redirect(slot(0), Request::default(), Presence::default);
    assert_eq!(first, Redirect::Unserved);
    net.must(0, "ADDSLOTS 0 1 2");
    let tell = |net: &Net, request| net.engine(0).redirect(slot(0), request, Presence::default);
    let (read, write) = (Request::default(), Request { write: true, ..Request::default() });
    assert_eq!(tell(&net, read), Redirect::Down);
    // Shard channels work all the same, unless they must not.
    let channel = Request { shard_pubsub: true, ..Request::default() };
    assert_eq!(tell(&net, channel), Redirect::Serve);
    let mut config = net.engine(0).config().clone();
    config.allow_pubsubshard_when_down = false;
    net.with_engine(0, |engine, now| engine.set_config(now, config));
    assert_eq!(tell(&net, channel), Redirect::Down);
    let mut config = net.engine(0).config().clone();
    config.allow_reads_when_down = true;
    net.with_engine(0, |engine, now| engine.set_config(now, config));
    assert_eq!(tell(&net, read), Redirect::Serve);
    assert_eq!(tell(&net, write), Redirect::DownReadOnly);
}

#[test]
fn a_node_that_missed_a_move_is_told_by_update() {
    let mut net = Net::new(3, 6, |c| c.node_timeout_ms = 30_000);
    net.create(3);
    net.run(500);
    // Node 0 is cut off while its slot 7 goes to node 1, forced there.
    net.partition(&[1, 0, 0]);
    net.nodes[0].keys.insert(slot(7), 3);
    let target = net.id(1);
    let source = net.id(0);
    net.must(1, &format!("SETSLOT 7 IMPORTING {source}"));
    net.must(1, &format!("SETSLOT 7 NODE {target}"));
    net.must(2, &format!("SETSLOT 7 NODE {target}"));
    net.run(1000);
    assert_eq!(net.owner_of(0, 7), Some(net.id(0)));
    net.heal();
    net.run_until(40_000, "node 0 knows", |net| net.agree() && net.owner_of(0, 7) == Some(target));
    assert_eq!(net.nodes[0].deleted, [slot(7)], "and has dropped the keys");
}

#[test]
fn a_packet_from_before_a_slot_was_taken_does_not_give_it_up() {
    let mut net = Net::new(4, 10, |_| {});
    net.create(3);
    net.run(500);
    for n in 0..4 {
        hand_over(&mut net, n, 0, 1);
    }
    // Node 0 knows of the new owner by order. What that sent meanwhile, claiming slot after slot, is under way still
    // when the last one is on its way back.
    let (a, b) = (net.id(0), net.id(1));
    net.nodes[1].keys.insert(slot(3), 5);
    net.must(0, &format!("SETSLOT 3 IMPORTING {b}"));
    net.must(1, &format!("SETSLOT 3 MIGRATING {a}"));
    net.run(1000);
    assert_eq!(net.nodes[1].deleted, [], "no key is lost");
    assert!(net.agree(), "{}", net.report());
    assert_eq!(net.owner_of(0, 3), Some(b));
    assert!(net.engine(0).importing_from(slot(3)).is_some());
}

#[test]
fn slots_that_go_to_and_fro_in_a_hurry_keep_their_keys() {
    for seed in 0..12 {
        let mut net = Net::new(2, 100 + seed, |_| {});
        let mut rng = crate::base::Rng::seeded(seed);
        net.create(2);
        net.run(500);
        for n in 0..6 {
            net.nodes[0].keys.insert(slot(n), 5);
        }
        let mut pause = |net: &mut Net| net.run(rng.below(3) as i64);
        for round in 0..8 {
            let (from, to) = (round % 2, 1 - round % 2);
            let (source, target) = (net.id(from), net.id(to));
            for n in 0..6 {
                net.must(to, &format!("SETSLOT {n} IMPORTING {source}"));
                net.must(from, &format!("SETSLOT {n} MIGRATING {target}"));
            }
            pause(&mut net);
            for n in 0..6 {
                let keys = net.nodes[from].keys.remove(&slot(n));
                assert_eq!(keys, Some(5), "seed {seed}, round {round}, slot {n}");
                net.nodes[to].keys.insert(slot(n), 5);
                pause(&mut net);
            }
            for i in [to, from] {
                for n in 0..6 {
                    net.must(i, &format!("SETSLOT {n} NODE {target}"));
                }
                pause(&mut net);
            }
        }
        net.run_until(10_000, "all agree", Net::agree);
        assert_eq!(net.nodes[0].keys.values().sum::<usize>(), 30, "seed {seed}");
    }
}

#[test]
fn slots_set_together_are_saved_and_told_once() {
    let mut net = Net::new(3, 12, |_| {});
    net.create(3);
    net.run(500);
    let (a, b) = (net.id(0), net.id(1));
    let (saves, packets) = (net.nodes[1].saves, net.packets);
    for n in 0..100 {
        assert_eq!(net.admin_in_batch(1, &format!("SETSLOT {n} IMPORTING {a}")), Ok(AdminReply::Ok));
    }
    for n in 0..100 {
        assert_eq!(net.admin_in_batch(1, &format!("SETSLOT {n} NODE {b}")), Ok(AdminReply::Ok));
    }
    assert_eq!((net.nodes[1].saves, net.packets), (saves, packets));
    net.with_engine(1, Engine::finish);
    assert_eq!((net.nodes[1].saves, net.packets), (saves + 1, packets + 2));
    assert!(net.nodes[1].disk.contains(" 0-99 "), "{}", net.nodes[1].disk);
    net.with_engine(1, Engine::finish);
    assert_eq!(net.nodes[1].saves, saves + 1, "nothing is left to do");
}

#[test]
fn nothing_leaves_before_what_was_set_is_saved() {
    let mut net = Net::new(3, 13, |_| {});
    net.create(3);
    net.run(500);
    let (a, b) = (net.id(0), net.id(1));
    for order in [format!("SETSLOT 7 IMPORTING {a}"), format!("SETSLOT 7 NODE {b}")] {
        assert_eq!(net.admin_in_batch(1, &order), Ok(AdminReply::Ok));
    }
    let now = net.clock();
    let engine = net.nodes[1].engine.as_mut().unwrap();
    engine.publish(now, b"channel", b"message", false);
    let outputs: Vec<Output> = engine.outputs().collect();
    let first = |wanted: fn(&Output) -> bool| outputs.iter().position(wanted);
    let saved = first(|output| matches!(output, Output::SaveConfig { fsync: true, .. }));
    let sent = first(|output| matches!(output, Output::Send { .. }));
    assert!(saved.is_some() && saved < sent, "{outputs:?}");
}

#[test]
fn a_slot_its_source_has_let_go_is_taken_by_who_imports_it() {
    let mut net = Net::new(3, 11, |_| {});
    net.create(3);
    net.run(500);
    let (a, b) = (net.id(0), net.id(1));
    net.must(1, &format!("SETSLOT 7 IMPORTING {a}"));
    net.must(0, &format!("SETSLOT 7 MIGRATING {b}"));
    net.run(500);
    net.must(0, &format!("SETSLOT 7 NODE {b}"));
    net.run_until(10_000, "node 1 has it", |net| net.agree() && net.owner_of(2, 7) == Some(b));
    assert_eq!(net.engine(1).importing_from(slot(7)), None);
}

#[test]
fn a_primary_that_gives_away_its_last_slot_becomes_a_replica() {
    let mut net = Net::new(3, 7, |_| {});
    net.must(0, "ADDSLOTSRANGE 0 16382");
    net.must(1, "ADDSLOTS 16383");
    for i in 1..3 {
        net.must(i, "MEET 127.0.0.1 7000");
    }
    net.run_until(1000, "met", |net| net.knows_all(3));
    let replica_of = net.id(1);
    net.must(2, &format!("REPLICATE {replica_of}"));
    net.run(100);
    hand_over(&mut net, 16383, 1, 0);
    net.run_until(1000, "joined", Net::agree);
    assert_eq!(net.nodes[1].following, Some(net.id(0)));
    assert_eq!(net.nodes[2].following, Some(net.id(0)), "and its replica with it");
}

#[test]
fn bumpepoch_and_its_limits() {
    let mut net = Net::new(3, 8, |_| {});
    net.create(3);
    assert_eq!(net.admin(2, "BUMPEPOCH"), Ok(AdminReply::Still(3)));
    assert_eq!(net.admin(0, "BUMPEPOCH"), Ok(AdminReply::Bumped(4)));
    net.run(100);
    assert!(net.agree());
    assert_eq!(
        net.admin(0, "SET-CONFIG-EPOCH 9"),
        Err("The user can assign a config epoch only when the node does not know any other node.".into())
    );
}

#[test]
fn keys_found_at_start_decide_about_slots() {
    let mut net = Net::new(2, 9, |_| {});
    net.must(0, "ADDSLOTSRANGE 0 9999");
    net.must(1, "MEET 127.0.0.1 7000");
    net.run_until(1000, "met", |net| net.knows_all(2) && net.owner_of(1, 0).is_some());
    for n in [5, 12000] {
        net.nodes[1].keys.insert(slot(n), 1);
    }
    let keys = net.nodes[1].keys.clone();
    net.with_engine(1, |engine, now| engine.verify_keys(now, &super::super::harness::Keys(&keys)));
    assert_eq!(net.nodes[1].deleted, [slot(5)]);
    assert!(net.engine(1).owns(slot(12000)));
}

/// A replica runs the SETSLOTs of its primary.
fn replicate(net: &mut Net, i: usize, words: &str) {
    let args: Vec<&[u8]> = words.split_ascii_whitespace().map(str::as_bytes).collect();
    let Ok(Some(AdminCommand::SetSlot(set))) = AdminCommand::parse(&args) else { panic!("{words}") };
    net.with_engine(i, |engine, now| {
        assert_eq!(engine.apply_replicated_setslot(now, &set, &NoKeys), Ok(AdminReply::Ok), "{words}");
        engine.finish(now);
    });
}

struct NoKeys;

impl SlotKeys for NoKeys {
    fn count(&self, _: Slot) -> usize {
        0
    }

    fn is_empty(&self) -> bool {
        true
    }
}

#[test]
fn promoted_replicas_finish_the_move_that_their_primaries_began() {
    for (seed, dies) in (1..9).zip([0, 1].into_iter().cycle()) {
        let mut net = Net::new(6, seed, |c| c.node_timeout_ms = 2000);
        net.create(3);
        net.run(3000);
        let (source, target) = (net.id(0), net.id(1));
        for (i, words) in [(1, format!("SETSLOT 7 IMPORTING {source}")), (0, format!("SETSLOT 7 MIGRATING {target}"))] {
            replicate(&mut net, i + 3, &words);
            net.must(i, &words);
        }
        net.kill(dies);
        net.run_until(10_000, "failover", |net| net.engine(dies + 3).am_primary() && net.all_ok() && net.agree());
        let ends = if dies == 0 { [3, 1] } else { [0, 4] };
        let idx = |net: &Net, at: usize, of: usize| net.engine(at).find(net.id(of).as_str().as_bytes()).ok();
        assert_eq!(net.engine(ends[0]).migrating_to(slot(7)), idx(&net, ends[0], ends[1]), "seed {seed}");
        assert_eq!(net.engine(ends[1]).importing_from(slot(7)), idx(&net, ends[1], ends[0]), "seed {seed}");
        let new_owner = net.id(ends[1]);
        for i in [ends[1], ends[0]] {
            net.must(i, &format!("SETSLOT 7 NODE {new_owner}"));
        }
        net.run_until(5000, "all know", |net| net.agree() && net.owner_of(2, 7) == Some(new_owner));
        assert!(ends.iter().all(|i| net.engine(*i).open_slots_text().is_empty()), "seed {seed}");
    }
}

#[test]
fn open_slots_travel_as_text() {
    let mut net = Net::new(6, 3, |_| {});
    net.create(3);
    let (a, b) = (net.id(0), net.id(1));
    net.must(0, &format!("SETSLOT 7 MIGRATING {b}"));
    net.must(0, &format!("SETSLOT 16383 IMPORTING {b}"));
    let text = net.engine(0).open_slots_text();
    assert_eq!(text, format!("16383<{b},7>{b},"));
    // A primary is told nothing so; a node that is unknown is left out.
    for i in [0, 3] {
        let more = format!("{text}8>{},9<{a},", "c".repeat(40));
        net.with_engine(i, |engine, _| engine.take_open_slots(more.as_bytes()));
    }
    assert_eq!(net.engine(0).open_slots_text(), text);
    assert_eq!(net.engine(3).open_slots_text(), format!("9<{a},16383<{b},7>{b},"));
    // What has arrived since the text was written is open no more.
    let arrived = format!("{}>{b},{}<{b},", owned_by(&net, b), owned_by(&net, a));
    net.with_engine(3, |engine, _| engine.take_open_slots(arrived.as_bytes()));
    assert_eq!(net.engine(3).open_slots_text(), "");
    net.with_engine(3, |engine, _| engine.take_open_slots(text.as_bytes()));
    net.with_engine(3, |engine, _| engine.take_open_slots(b""));
    assert_eq!(net.engine(3).open_slots_text(), "");
}

/// A slot that everybody takes for this node's.
fn owned_by(net: &Net, id: NodeId) -> u16 {
    (0..16384).find(|number| net.owner_of(3, *number) == Some(id)).expect("it has slots")
}

fn grant(net: &mut Net, source: usize, number: u16, target: NodeId) {
    net.with_engine(source, |engine, _| engine.grant([(slot(number), target)]));
}

#[test]
fn a_granted_slot_goes_to_its_target_whatever_the_epochs() {
    let mut net = Net::new(6, 11, |_| {});
    net.create(3);
    net.run(500);
    // The source has the newest epoch of all, and the target does not know it: its claim is older.
    assert!(net.admin(0, "BUMPEPOCH").is_ok());
    let target = net.id(1);
    grant(&mut net, 0, 7, target);
    net.with_engine(1, |engine, now| engine.take_over(now, [slot(7)]));
    assert_eq!(net.owner_of(1, 7), Some(target));
    net.run_until(20_000, "all know", |net| net.agree() && net.owner_of(0, 7) == Some(target));
    // Nobody else may take what was granted.
    grant(&mut net, 0, 8, target);
    assert_eq!(net.owner_of(0, 8), Some(net.id(0)));
}

#[test]
fn a_claim_that_comes_after_the_source_has_decided_to_stay_is_lost() {
    let mut net = Net::new(6, 12, |_| {});
    net.create(3);
    net.run(500);
    let (source, target) = (net.id(0), net.id(1));
    grant(&mut net, 0, 7, target);
    // The target decides, and is killed before anybody hears of it.
    net.partition(&[0, 1, 0, 0, 0, 0]);
    net.with_engine(1, |engine, now| engine.take_over(now, [slot(7)]));
    net.kill(1);
    net.run(500);
    net.with_engine(0, |engine, now| {
        engine.grant([]);
        engine.keep_granted(now);
    });
    net.heal();
    net.start(1);
    assert_eq!(net.owner_of(1, 7), Some(target), "its file says so");
    net.run_until(20_000, "all agree on the source", |net| net.agree() && net.owner_of(1, 7) == Some(source));
}

#[test]
fn who_was_to_have_a_slot_once_does_not_take_it_when_it_goes_to_another() {
    let mut net = Net::new(4, 1, |_| {});
    net.create(3);
    let (source, third) = (net.id(0), net.id(2));
    // A move to node 1 was begun, and given up at the source only.
    net.must(1, &format!("SETSLOT 7 IMPORTING {source}"));
    net.must(2, &format!("SETSLOT 7 IMPORTING {source}"));
    net.must(0, &format!("SETSLOT 7 MIGRATING {third}"));
    net.nodes[2].keys.insert(slot(7), 3);
    net.must(2, &format!("SETSLOT 7 NODE {third}"));
    let epoch = net.engine(2).current_epoch();
    // Node 1 hears of it from the source before it hears of it from the new owner.
    net.partition(&[0, 0, 1, 0]);
    net.must(0, &format!("SETSLOT 7 NODE {third}"));
    net.run(2000);
    assert_eq!(net.owner_of(1, 7), Some(source), "it asks first");
    net.heal();
    net.run_until(30_000, "all know", |net| net.agree() && net.owner_of(1, 7) == Some(third));
    assert_eq!(net.engine(1).current_epoch(), epoch);
    assert_eq!(net.engine(1).importing_from(slot(7)), None);
    assert_eq!(net.nodes[2].keys.get(&slot(7)), Some(&3), "its keys are where they were");
}

#[test]
fn a_slot_that_nobody_has_goes_to_who_was_to_have_it() {
    let mut net = Net::new(4, 1, |_| {});
    net.create(3);
    let (source, target) = (net.id(0), net.id(1));
    net.must(1, &format!("SETSLOT 7 IMPORTING {source}"));
    net.must(0, &format!("SETSLOT 7 MIGRATING {target}"));
    // The operator tells the source only.
    net.must(0, &format!("SETSLOT 7 NODE {target}"));
    let took = net.run_until(5000, "all know", |net| net.agree() && net.owner_of(3, 7) == Some(target));
    assert!(took < 2000, "{took}");
    assert_eq!(net.engine(1).importing_from(slot(7)), None);
}

#[test]
fn a_replica_opens_a_slot_again_whose_hand_over_its_primary_takes_back() {
    let mut net = Net::new(4, 1, |_| {});
    net.create(3);
    let (primary, other) = (net.id(0), net.id(1));
    let order = |net: &mut Net, words: String| {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let Ok(Some(AdminCommand::SetSlot(set))) = AdminCommand::parse(&words) else { panic!("{words:?}") };
        net.with_engine(3, |engine, now| engine.apply_replicated_setslot(now, &set, &NoKeys)).unwrap();
    };
    // One that comes: it was the primary's for a moment, for all that the replica was told.
    order(&mut net, format!("SETSLOT 16383 IMPORTING {other}"));
    order(&mut net, format!("SETSLOT 16383 NODE {primary}"));
    assert_eq!(net.owner_of(3, 16383), Some(primary));
    order(&mut net, format!("SETSLOT 16383 IMPORTING {other}"));
    assert_eq!(net.owner_of(3, 16383), Some(other));
    assert!(net.engine(3).importing_from(slot(16383)).is_some());
    // One that goes.
    order(&mut net, format!("SETSLOT 7 MIGRATING {other}"));
    order(&mut net, format!("SETSLOT 7 NODE {other}"));
    assert_eq!(net.owner_of(3, 7), Some(other));
    order(&mut net, format!("SETSLOT 7 MIGRATING {other}"));
    assert_eq!(net.owner_of(3, 7), Some(primary));
    assert!(net.engine(3).migrating_to(slot(7)).is_some());
}
