//! Scenarios over several engines, in virtual time.

use super::sim::{Room, endpoint};
use super::*;

/// Without the delay that collects waiters, and with timeouts that scenarios can wait for.
fn quick() -> Config {
    Config { diskless_sync_delay_secs: 0, timeout_secs: 5, ping_period_secs: 1, ..Config::default() }
}

fn fill(room: &mut Room, node: usize, from: usize, count: usize) {
    for i in from..from + count {
        room.set(node, (i % 3) as u32, &format!("key{i}"), &format!("value{i}"));
    }
}

/// Writes while time passes.
fn busy(room: &mut Room, node: usize, steps: usize) {
    for i in 0..steps {
        room.set(node, (i % 2) as u32, &format!("busy{i}"), &room.now.0.to_string());
        room.set_both(node, 5, ["a", "b"], &i.to_string());
        room.step();
    }
}

#[test]
fn full_sync_by_socket_and_by_disk_under_writes() {
    for diskless_sync in [true, false] {
        for diskless_load in [DisklessLoad::Disabled, DisklessLoad::FlushBeforeLoad] {
            let mut room = Room::new(1, &[None, Some(0)], &Config { diskless_sync, diskless_load, ..quick() });
            fill(&mut room, 0, 0, 50);
            busy(&mut room, 0, 200);
            room.run(3000);
            assert!(room.engine(1).is_link_up());
            assert_eq!((room.nodes[0].snapshots, room.nodes[1].loads), (1, 1));
            room.assert_equal(&[0, 1]);
            let offset = room.engine(0).offset();
            room.run(1500);
            assert_eq!(room.engine(0).acked_by(offset), 1);
        }
    }
}

#[test]
fn waiting_for_more_replicas_shares_one_snapshot() {
    let config = Config { diskless_sync_delay_secs: 3, ..quick() };
    let mut room = Room::new(2, &[None, Some(0), Some(0), Some(0)], &config);
    fill(&mut room, 0, 0, 10);
    room.run(2500);
    assert_eq!(room.nodes[0].snapshots, 0);
    busy(&mut room, 0, 100);
    room.run(3000);
    assert_eq!(room.nodes[0].snapshots, 1);
    room.assert_equal(&[0, 1, 2, 3]);
}

#[test]
fn enough_waiters_end_the_delay() {
    let config = Config { diskless_sync_delay_secs: 1000, diskless_sync_max_replicas: 2, ..quick() };
    let mut room = Room::new(2, &[None, Some(0), Some(0)], &config);
    room.run(5000);
    room.assert_equal(&[0, 1, 2]);
    assert_eq!(room.nodes[0].snapshots, 1);
}

#[test]
fn a_late_waiter_joins_the_file_being_written() {
    let mut room = Room::new(4, &[None, Some(0), None], &Config { diskless_sync: false, ..quick() });
    fill(&mut room, 0, 0, 300);
    room.run(1000);
    assert_eq!(room.nodes[0].snapshots, 1);
    assert!(room.engine(0).is_serving_snapshot());
    let now = room.now;
    room.engine(2).follow(now, endpoint(0));
    busy(&mut room, 0, 200);
    room.run(5000);
    room.assert_equal(&[0, 1, 2]);
    assert_eq!(room.nodes[0].snapshots, 1);
}

#[test]
fn a_reconnect_goes_on_where_it_stopped() {
    let mut room = Room::new(3, &[None, Some(0)], &quick());
    fill(&mut room, 0, 0, 20);
    room.run(2000);
    for _ in 0..10 {
        room.cut(0, 1);
        busy(&mut room, 0, 10);
    }
    room.run(2000);
    room.assert_equal(&[0, 1]);
    assert_eq!(room.nodes[0].snapshots, 1);
}

#[test]
fn beyond_the_backlog_a_snapshot_is_needed() {
    let mut room = Room::new(3, &[None, Some(0)], &Config { backlog_size_bytes: 16 << 10, ..quick() });
    room.run(2000);
    room.stalled.insert((0, 1));
    room.cut(0, 1);
    fill(&mut room, 0, 0, 2000);
    room.run(1000);
    room.stalled.clear();
    room.run(60_000);
    room.assert_equal(&[0, 1]);
    assert_eq!(room.nodes[0].snapshots, 2);
}

#[test]
fn after_a_failover_siblings_and_the_old_primary_go_on() {
    let mut room = Room::new(5, &[None, Some(0), Some(0)], &quick());
    fill(&mut room, 0, 0, 20);
    busy(&mut room, 0, 20);
    room.run(3000);
    room.assert_equal(&[0, 1, 2]);
    let (old, offset) = (room.engine(0).history().id, room.engine(0).offset());
    let now = room.now;
    assert!(room.engine(1).promote(now));
    assert!(!room.engine(1).promote(now));
    let previous = room.engine(1).history().previous.unwrap();
    assert_eq!((previous.id, previous.until), (old, offset + 1));
    fill(&mut room, 1, 100, 20);
    room.engine(2).follow(now, endpoint(1));
    room.engine(0).follow(now, endpoint(1));
    busy(&mut room, 1, 40);
    room.run(3000);
    room.assert_equal(&[1, 0, 2]);
    let loads: Vec<usize> = room.nodes.iter().map(|n| n.loads).collect();
    assert_eq!(loads, [0, 1, 1]);
}

#[test]
fn an_old_primary_that_wrote_on_has_to_load() {
    let mut room = Room::new(5, &[None, Some(0)], &quick());
    fill(&mut room, 0, 0, 20);
    room.run(2000);
    let now = room.now;
    room.engine(1).promote(now);
    fill(&mut room, 0, 20, 5);
    fill(&mut room, 1, 100, 50);
    room.engine(0).follow(now, endpoint(1));
    room.run(6000);
    room.assert_equal(&[1, 0]);
    assert_eq!(room.nodes[0].loads, 1);
}

#[test]
fn a_chain_shares_id_and_offset() {
    let mut room = Room::new(6, &[None, Some(0), Some(1), Some(2)], &quick());
    fill(&mut room, 0, 0, 30);
    busy(&mut room, 0, 300);
    room.run(5000);
    room.assert_equal(&[0, 1, 2, 3]);
    // The head of the chain is replaced: everybody behind goes on without a load.
    let now = room.now;
    room.engine(1).promote(now);
    room.engine(0).follow(now, endpoint(3));
    busy(&mut room, 1, 100);
    room.run(5000);
    room.assert_equal(&[1, 2, 3, 0]);
    let loads: Vec<usize> = room.nodes.iter().map(|n| n.loads).collect();
    assert_eq!(loads, [0, 1, 1, 1]);
}

#[test]
fn a_silent_link_is_given_up_on_both_sides() {
    let mut room = Room::new(7, &[None, Some(0)], &quick());
    fill(&mut room, 0, 0, 10);
    room.run(2000);
    room.stalled.insert((0, 1));
    room.run(8000);
    assert!(!room.engine(1).is_link_up());
    assert_eq!(room.engine(0).replicas().count(), 0);
    let now = room.now;
    assert!(room.engine(1).data_age_ms(now).unwrap() >= 2000);
    room.stalled.clear();
    fill(&mut room, 0, 10, 10);
    room.run(3000);
    room.assert_equal(&[0, 1]);
    assert_eq!(room.nodes[0].snapshots, 1);
}

#[test]
fn a_laggard_is_dropped_at_the_output_limit() {
    let config =
        Config { backlog_size_bytes: 16 << 10, output_hard_limit_bytes: 64 << 10, timeout_secs: 60, ..quick() };
    let mut room = Room::new(8, &[None, Some(0)], &config);
    room.run(2000);
    room.stalled.insert((0, 1));
    fill(&mut room, 0, 0, 2000);
    room.step();
    assert_eq!(room.nodes[0].closed, [CloseReason::OutputLimit]);
    assert!(room.engine(0).memory() < 64 << 10);
}

#[test]
fn anything_may_happen_and_it_heals() {
    for seed in 0..24 {
        let config = Config {
            diskless_sync: seed % 2 == 0,
            backlog_size_bytes: if seed % 3 == 0 { 16 << 10 } else { 1 << 20 },
            ..quick()
        };
        let mut room = Room::new(seed, &[None, Some(0), Some(0), Some(1)], &config);
        for round in 0..400 {
            disturb(&mut room);
            for node in 0..4 {
                if room.engine(node).is_primary() && !room.nodes[node].paused && room.rng.below(2) == 0 {
                    fill(&mut room, node, round % 100, 3);
                    room.set_both(node, 1, ["x", "y"], &format!("{node} {round}"));
                }
            }
            room.step();
        }
        room.stalled.clear();
        // A handover that was under way ends first: it may still take the role away.
        room.run(2000);
        let now = room.now;
        for node in 0..4 {
            let _ = room.engine(node).abort_failover(now);
        }
        room.engine(0).promote(now);
        for node in 1..4 {
            room.engine(node).follow(now, endpoint(0));
        }
        for _ in 0..60 {
            room.run(2000);
            if room.are_equal(&[0, 1, 2, 3]) {
                break;
            }
        }
        room.assert_equal(&[0, 1, 2, 3]);
    }
}

/// Perhaps one misfortune, or one command of an operator.
fn disturb(room: &mut Room) {
    let now = room.now;
    let (a, b) = (room.rng.below(4) as usize, room.rng.below(4) as usize);
    match room.rng.below(60) {
        0 => room.cut(a, b),
        1 => {
            room.stalled.insert((a, b));
        }
        2..5 => room.stalled.clear(),
        5 => {
            room.engine(a).promote(now);
        }
        6 if a != b => {
            room.engine(a).follow(now, endpoint(b));
        }
        7 => {
            let request = FailoverRequest { timeout_ms: Some(1000), ..FailoverRequest::default() };
            let _ = room.engine(a).start_failover(now, request);
        }
        _ => {}
    }
}

/// A primary with two replicas, all equal.
fn trio(seed: u64) -> Room {
    let mut room = Room::new(seed, &[None, Some(0), Some(0)], &quick());
    fill(&mut room, 0, 0, 20);
    room.run(3000);
    room.assert_equal(&[0, 1, 2]);
    room
}

#[test]
fn a_failover_hands_the_role_over_without_a_load() {
    let mut room = trio(9);
    fill(&mut room, 0, 20, 5);
    let now = room.now;
    let to = FailoverRequest { target: Some(endpoint(2)), ..FailoverRequest::default() };
    assert_eq!(room.engine(0).start_failover(now, to.clone()), Ok(()));
    assert_eq!(room.engine(0).start_failover(now, to), Err(FailoverError::InProgress));
    assert_eq!(room.engine(0).follow(now, endpoint(1)), Followed::FailingOver);
    room.perform(0);
    assert!(room.nodes[0].paused);
    let mut info = String::new();
    room.engine(0).push_info(&mut info, now);
    assert!(info.contains("master_failover_state:waiting-for-sync\r\n"));
    room.run(4000);
    assert!(!room.nodes[0].paused && !room.engine(0).is_failing_over());
    assert!(room.engine(2).is_primary());
    assert_eq!(room.engine(0).followed(), Some(&endpoint(2)));
    fill(&mut room, 2, 30, 5);
    room.run(2000);
    room.assert_equal(&[2, 0, 1]);
    assert_eq!(room.nodes.iter().map(|n| n.loads).collect::<Vec<_>>(), [0, 1, 1]);
}

#[test]
fn a_failover_without_an_answer_ends_at_its_timeout() {
    for (force, primary) in [(false, 0), (true, 1)] {
        let mut room = trio(10);
        room.stalled.insert((0, 1));
        fill(&mut room, 0, 20, 5);
        let now = room.now;
        let target = Some(endpoint(1));
        let request = FailoverRequest { target, force, timeout_ms: Some(1000) };
        room.engine(0).start_failover(now, request).unwrap();
        room.run(500);
        assert!(room.nodes[0].paused && room.engine(0).is_primary());
        room.run(1000);
        assert_eq!(room.engine(0).is_failing_over(), force);
        assert_eq!(room.engine(0).is_primary(), !force);
        room.stalled.clear();
        room.run(5000);
        // A forced target that misses writes has another offset: the old primary takes its data over.
        assert!(!room.nodes[0].paused && room.engine(primary).is_primary());
        room.assert_equal(&[0, 1]);
    }
}

#[test]
fn an_aborted_failover_leaves_the_primary_in_place() {
    let mut room = trio(11);
    let now = room.now;
    assert_eq!(room.engine(0).abort_failover(now), Err(FailoverError::NotInProgress));
    fill(&mut room, 0, 20, 5);
    room.engine(0).start_failover(now, FailoverRequest::default()).unwrap();
    assert_eq!(room.engine(0).abort_failover(now), Ok(()));
    room.run(1000);
    assert!(!room.nodes[0].paused && room.engine(0).is_primary());
    room.assert_equal(&[0, 1, 2]);

    // Also when the role was given up already and the target cannot be reached.
    let now = room.now;
    let request = FailoverRequest { target: Some(endpoint(1)), force: true, timeout_ms: Some(100) };
    fill(&mut room, 0, 30, 5);
    room.stalled.insert((0, 1));
    room.engine(0).start_failover(now, request).unwrap();
    room.run(500);
    assert!(!room.engine(0).is_primary());
    let now = room.now;
    assert_eq!(room.engine(0).abort_failover(now), Ok(()));
    assert!(room.engine(0).is_primary());
    room.stalled.clear();
    room.run(5000);
    room.assert_equal(&[0, 1, 2]);
}

#[test]
fn a_failover_is_refused_when_it_cannot_work() {
    let mut room = trio(12);
    let now = room.now;
    let mut start = |node: usize, request| room.engine(node).start_failover(now, request).unwrap_err();
    let any = FailoverRequest::default();
    assert_eq!(start(1, any.clone()), FailoverError::IsReplica);
    assert_eq!(start(0, FailoverRequest { force: true, ..any.clone() }), FailoverError::ForceWithoutTarget);
    let nobody = FailoverRequest { target: Some(endpoint(9)), ..any.clone() };
    assert_eq!(start(0, nobody), FailoverError::NotAReplica);
    let mut alone = Room::new(1, &[None], &quick());
    assert_eq!(alone.engine(0).start_failover(now, any), Err(FailoverError::NoReplicas));
}
