//! Streams against plain models.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::Millis;
use crate::data::{Corrupt, Listpack};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn append(log: &mut Log, id: StreamId, fields: &Fields, limits: NodeLimits) {
    log.append(id, fields.iter().map(|(field, value)| (&field[..], &value[..])), limits);
}

fn owned(range: Range<'_>) -> Vec<(StreamId, Fields)> {
    range
        .map(|entry| (entry.id, entry.fields.map(|(field, value)| (field.to_vec(), value.to_vec())).collect()))
        .collect()
}

fn reloaded(log: &Log) -> Result<Log, Corrupt> {
    let nodes = log.nodes().map(|(key, pack)| (key, Listpack::validate(pack.bytes()).unwrap())).collect();
    Log::from_nodes(nodes, log.len())
}

#[derive(Clone, Debug)]
enum Change {
    /// Behind the last id by so much.
    Add(u64, u64, Fields),
    /// The entry at this place, modulo their number; or an id that is nobody's.
    Delete(usize),
    DeleteNone(u64),
    Trim(Cut, bool, u64),
}

#[derive(Clone, Debug)]
enum Cut {
    Newest(u64),
    /// From the entry at this place on.
    From(usize, bool),
}

fn fields() -> impl Strategy<Value = Fields> {
    let text = prop_oneof![
        3 => prop::collection::vec(97u8..100, 0..3),
        2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 60..140),
    ];
    prop_oneof![
        3 => text.clone().prop_map(|value| vec![(b"field".to_vec(), value)]),
        2 => (text.clone(), text.clone()).prop_map(|(a, b)| vec![(b"x".to_vec(), a), (b"12".to_vec(), b)]),
        1 => prop::collection::vec((text.clone(), text), 1..4),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let cut = prop_oneof![
        (0u64..60).prop_map(Cut::Newest),
        (any::<usize>(), any::<bool>()).prop_map(|(at, behind)| Cut::From(at, behind)),
    ];
    prop_oneof![
        12 => (prop_oneof![Just(0u64), 1u64..3, any::<u64>().prop_map(|n| n >> 20)], 1u64..300, fields())
            .prop_map(|(ms, seq, fields)| Change::Add(ms, seq, fields)),
        4 => any::<usize>().prop_map(Change::Delete),
        1 => any::<u64>().prop_map(Change::DeleteNone),
        2 => (cut, any::<bool>(), prop_oneof![Just(0u64), 1u64..10])
            .prop_map(|(cut, approximately, limit)| Change::Trim(cut, approximately, limit)),
    ]
}

proptest! {
    #[test]
    fn the_log_is_a_list_of_entries(
        changes in prop::collection::vec(change(), 1..150), max_entries in 0usize..12, max_bytes in 0usize..400,
    ) {
        let limits = NodeLimits { max_bytes, max_entries };
        let mut log = Log::default();
        let mut model: Vec<(StreamId, Fields)> = Vec::new();
        let (mut added, mut max_deleted, mut last) = (0, StreamId::MIN, StreamId::MIN);
        for change in changes {
            match change {
                Change::Add(ms, seq, fields) => {
                    let seq = if ms == 0 { last.seq.saturating_add(seq) } else { seq - 1 };
                    last = StreamId { ms: last.ms.saturating_add(ms), seq };
                    append(&mut log, last, &fields, limits);
                    model.push((last, fields));
                    added += 1;
                }
                Change::Delete(at) if !model.is_empty() => {
                    let (id, _) = model.remove(at % model.len());
                    prop_assert!(log.contains(id));
                    prop_assert!(log.delete(id));
                    prop_assert!(!log.delete(id));
                    max_deleted = max_deleted.max(id);
                }
                Change::DeleteNone(ms) => prop_assert!(!log.delete(StreamId::new(ms, u64::MAX))),
                Change::Trim(cut, approximately, limit) => {
                    let (keep, exact) = match cut {
                        Cut::Newest(count) => (Keep::Newest(count), model.len().saturating_sub(count as usize)),
                        Cut::From(at, behind) if !model.is_empty() => {
                            let at = at % model.len();
                            let id = if behind { model[at].0.next().unwrap() } else { model[at].0 };
                            (Keep::From(id), model.iter().take_while(|(entry, _)| *entry < id).count())
                        }
                        Cut::From(..) => continue,
                    };
                    let limit = if approximately { limit } else { 0 };
                    let nodes: Vec<usize> = log.nodes().map(|(_, pack)| pack.get(0).unwrap().as_int().unwrap() as usize).collect();
                    let gone = log.trim(keep, approximately, limit) as usize;
                    if approximately {
                        prop_assert!(gone <= exact && (limit == 0 || gone <= limit as usize));
                        // Whole nodes, and all of them that may go.
                        let sums: Vec<usize> = nodes.iter().scan(0, |sum, live| { *sum += live; Some(*sum) }).collect();
                        prop_assert!(gone == 0 || sums.contains(&gone));
                        if limit == 0 && matches!(keep, Keep::Newest(_)) {
                            prop_assert_eq!(gone, sums.iter().copied().filter(|sum| *sum <= exact).max().unwrap_or(0));
                        }
                    } else {
                        prop_assert_eq!(gone, exact);
                    }
                    model.drain(..gone);
                }
                Change::Delete(_) => {}
            }
            prop_assert_eq!(log.len() as usize, model.len());
            prop_assert_eq!(log.first_id(), model.first().map_or(StreamId::MIN, |(id, _)| *id));
            prop_assert_eq!(log.top_id(), model.last().map(|(id, _)| *id));
        }
        prop_assert_eq!((log.entries_added, log.max_deleted_id, log.last_id), (added, max_deleted, last));
        let same = |log: &Log| {
            prop_assert_eq!(owned(log.range(StreamId::MIN, StreamId::MAX)), model.clone());
            let mut back = owned(log.range_back(StreamId::MIN, StreamId::MAX));
            back.reverse();
            prop_assert_eq!(back, model.clone());
            Ok(())
        };
        same(&log)?;
        let loaded = reloaded(&log).unwrap();
        same(&loaded)?;
        prop_assert_eq!(loaded.first_id(), log.first_id());
        for (a, _) in model.iter().step_by(7) {
            for (b, _) in model.iter().rev().step_by(5) {
                for (start, end) in [(*a, *b), (a.next().unwrap(), b.prev().unwrap())] {
                    let expected: Vec<_> =
                        model.iter().filter(|(id, _)| (start..=end).contains(id)).cloned().collect();
                    prop_assert_eq!(owned(log.range(start, end)), expected.clone());
                    let mut back = owned(log.range_back(start, end));
                    back.reverse();
                    prop_assert_eq!(back, expected);
                }
            }
        }
    }

    /// Where nothing was deleted from the middle, ranks are exact; elsewhere they are exact or unknown.
    #[test]
    fn ranks_are_right_or_unknown(
        adds in 1u64..60, trims in 0u64..50, deletes in prop::collection::vec(1u64..60, 0..3), max_entries in 1usize..9,
    ) {
        let mut log = Log::default();
        let fields = vec![(b"f".to_vec(), b"v".to_vec())];
        for ms in 1..=adds {
            append(&mut log, StreamId { ms, seq: 0 }, &fields, NodeLimits { max_bytes: 0, max_entries });
        }
        for ms in &deletes {
            log.delete(StreamId { ms: *ms, seq: 0 });
        }
        log.trim(Keep::Newest(adds.saturating_sub(trims)), false, 0);
        for entry in log.range(StreamId::MIN, StreamId::MAX) {
            // The id is the rank.
            prop_assert!(log.rank(entry.id).is_none_or(|rank| rank == entry.id.ms));
            prop_assert!(!deletes.is_empty() || entry.id != log.first_id() || log.rank(entry.id).is_some());
        }
        prop_assert_eq!(log.rank(log.last_id), Some(adds));
        prop_assert_eq!(log.rank(log.last_id.next().unwrap()), None);
    }

    /// What one consumer holds and what is pending are two sides of the same.
    #[test]
    fn pending_entries_have_one_owner(
        changes in prop::collection::vec((0u8..6, 0u64..12, 0u8..4, any::<u32>()), 1..80),
    ) {
        let mut group = Group::new(StreamId::MIN, None);
        let mut model: BTreeMap<StreamId, (u8, Delivery)> = BTreeMap::new();
        for (kind, ms, name, at) in changes {
            let (id, name_text) = (StreamId { ms, seq: 0 }, [b'a' + name]);
            let delivery = Delivery { at: Millis(i64::from(at)), count: 1 };
            match kind {
                0..3 => {
                    let found = group.find(&name_text);
                    let consumer = found.or_else(|| group.create_consumer(&name_text, Millis(0), None)).unwrap();
                    group.assign(id, consumer, delivery);
                    model.insert(id, (name, delivery));
                }
                3 => prop_assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
                4 => {
                    group.redeliver(id, Millis(7));
                    if let Some((_, delivery)) = model.get_mut(&id) {
                        *delivery = Delivery { at: Millis(7), count: delivery.count + 1 };
                    }
                }
                _ => {
                    let held = model.values().filter(|(owner, _)| *owner == name).count();
                    prop_assert_eq!(group.delete_consumer(&name_text).unwrap_or(0), held);
                    model.retain(|_, (owner, _)| *owner != name);
                }
            }
            prop_assert_eq!(group.pending().len(), model.len());
            for (id, pending) in group.pending() {
                let (owner, delivery) = model[id];
                prop_assert_eq!(group.consumer(pending.consumer).name(), &[b'a' + owner]);
                prop_assert_eq!(pending.delivery, delivery);
            }
            let held: usize = group.consumers().map(|consumer| consumer.pending().len()).sum();
            prop_assert_eq!(held, model.len());
            prop_assert!(group.consumers().all(|consumer| consumer.pending().iter().all(|id| model.contains_key(id))));
        }
    }

    /// A damaged node is refused, or can be walked and changed like any other.
    #[test]
    fn damaged_nodes_do_no_harm(entries in 1u64..6, at in any::<usize>(), byte in any::<u8>(), wide in any::<bool>()) {
        let mut log = Log::default();
        for ms in 1..=entries {
            let name = if wide && ms % 2 == 0 { b"other".to_vec() } else { b"f".to_vec() };
            append(&mut log, StreamId { ms, seq: ms }, &vec![(name, b"value".to_vec())], NodeLimits::default());
        }
        let (key, pack) = log.nodes().next().unwrap();
        let mut bytes = pack.bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        for len in 0..=entries {
            let Ok(pack) = Listpack::validate(&bytes) else { continue };
            let Ok(mut log) = Log::from_nodes(vec![(key, pack)], len) else { continue };
            log.last_id = log.top_id().unwrap_or_default();
            let ids: Vec<StreamId> = owned(log.range(StreamId::MIN, StreamId::MAX)).into_iter().map(|(id, _)| id).collect();
            prop_assert_eq!(ids.len() as u64, len);
            prop_assert_eq!(owned(log.range_back(StreamId::MIN, StreamId::MAX)).len() as u64, len);
            if let Some(next) = log.last_id.next() {
                append(&mut log, next, &vec![(b"f".to_vec(), b"v".to_vec())], NodeLimits::default());
            }
            prop_assert!(ids.iter().all(|id| log.delete(*id)));
            prop_assert!(log.len() <= 1);
        }
    }
}

#[test]
fn a_node_is_laid_out_as_in_redis() {
    let mut log = Log::default();
    let fields =
        |names: &[&str]| names.iter().map(|name| (name.as_bytes().to_vec(), b"1".to_vec())).collect::<Fields>();
    append(&mut log, StreamId::new(1, 1), &fields(&["a", "b"]), NodeLimits::default());
    append(&mut log, StreamId::new(1, 3), &fields(&["a", "b"]), NodeLimits::default());
    append(&mut log, StreamId::new(2, 0), &fields(&["c"]), NodeLimits::default());
    log.delete(StreamId::new(1, 3));
    let items: Vec<Vec<u8>> = log.nodes().next().unwrap().1.iter().map(|item| item.to_vec()).collect();
    let text: Vec<String> = items.iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect();
    assert_eq!(text.join(" "), "2 1 2 a b 0 2 0 0 1 1 5 3 0 2 1 1 5 0 1 -1 1 c 1 6");
}

#[test]
fn an_entry_costs_little() {
    let mut log = Log::default();
    for ms in 0..10_000u64 {
        let value = format!("value:{ms:06}").into_bytes();
        append(
            &mut log,
            StreamId::new(1_700_000_000_000 + ms, 0),
            &vec![(b"field".to_vec(), value)],
            NodeLimits::default(),
        );
    }
    let each = log.mem_bytes() as f64 / 10_000.0;
    assert!(each <= 35.0, "{each} bytes an entry");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let log = |entries: &[u64]| {
        let mut log = Log::default();
        for ms in entries {
            append(&mut log, StreamId::new(*ms, 0), &vec![(b"f".to_vec(), b"v".to_vec())], NodeLimits::default());
        }
        log
    };
    let node = |entries: &[u64]| log(entries).nodes().map(|(key, pack)| (key, pack.clone())).next().unwrap();
    let load = |nodes: Vec<(StreamId, Listpack)>, len| Log::from_nodes(nodes, len).map(|log| log.len());
    assert_eq!(load(vec![node(&[1, 2]), node(&[3])], 3), Ok(3));
    assert_eq!(load(Vec::new(), 0), Ok(0));
    for (nodes, len) in [
        (vec![node(&[1, 2])], 3),
        (Vec::new(), 1),
        (vec![node(&[1, 3]), node(&[2])], 3),
        (vec![node(&[1]), node(&[1])], 2),
        (vec![(StreamId::new(1, 0), Listpack::new())], 0),
        // Its entries would come before its key.
        (vec![(StreamId::new(u64::MAX, 0), node(&[1, 2]).1)], 2),
    ] {
        assert!(load(nodes.clone(), len).is_err(), "{nodes:?}");
    }
}
