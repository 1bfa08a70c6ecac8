//! Tests of the table against the standard library's maps, and of the walk's promises while it is resized.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::base::Rng;

struct Item(Box<(Vec<u8>, u64)>);

impl Keyed for Item {
    fn key(&self) -> &[u8] {
        &self.0.0
    }
}

fn key(n: u16) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn item(n: u16, value: u64) -> Item {
    Item(Box::new((key(n), value)))
}

fn filled(range: std::ops::Range<u16>) -> Dict<Item> {
    let mut dict = Dict::with_seed(3);
    for n in range {
        dict.insert_unique(item(n, u64::from(n)));
    }
    dict
}

fn number(item: &Item) -> u16 {
    std::str::from_utf8(&item.0.0[4..]).unwrap().parse().unwrap()
}

/// A change to a table of numbered keys.
#[derive(Clone, Debug)]
enum Op {
    /// Keys from the first number on, this many.
    Insert(u16, u16),
    Remove(u16, u16),
    Overwrite(u16),
    Rehash(usize),
    Reserve(usize),
    Clear,
}

const KEYS: u16 = 3000;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..KEYS, 1..600u16).prop_map(|(from, n)| Op::Insert(from, n)),
        5 => (0..KEYS, 1..1500u16).prop_map(|(from, n)| Op::Remove(from, n)),
        2 => (0..KEYS).prop_map(Op::Overwrite),
        3 => (0..40usize).prop_map(Op::Rehash),
        1 => (0..2000usize).prop_map(Op::Reserve),
        1 => Just(Op::Clear),
    ]
}

/// Applies a change one key at a time; `before` is told each key that is about to change.
fn apply(dict: &mut Dict<Item>, op: &Op, value: u64, mut before: impl FnMut(&Dict<Item>, u16)) {
    match *op {
        Op::Insert(from, n) => {
            for n in from..(from + n).min(KEYS) {
                before(dict, n);
                dict.insert(item(n, value));
            }
        }
        Op::Remove(from, n) => {
            for n in from..(from + n).min(KEYS) {
                before(dict, n);
                dict.remove(&key(n));
            }
        }
        Op::Overwrite(n) => {
            before(dict, n);
            if let Some(item) = dict.get_mut(&key(n)) {
                item.0.1 = value;
            }
        }
        Op::Rehash(n) => {
            dict.rehash_step(n);
        }
        Op::Reserve(n) => dict.reserve(n),
        Op::Clear => {
            for n in 0..KEYS {
                before(dict, n);
            }
            drop(dict.take());
        }
    }
}

#[test]
fn an_empty_table_has_no_memory_and_answers() {
    let mut dict: Dict<Item> = Dict::with_seed(1);
    assert_eq!((dict.mem_bytes(), dict.bucket_count()), (0, 0));
    assert!(dict.get(b"x").is_none() && dict.remove(b"x").is_none() && dict.iter().next().is_none());
    assert_eq!(dict.scan(0, &mut |_| panic!("nothing is there")), 0);
    assert_eq!(dict.scan(12345, &mut |_| panic!("nothing is there")), 0);
    assert!(dict.random(&mut Rng::seeded(1)).is_none());
    dict.prefetch(7);
    assert!(!dict.rehash_step(10));
    assert_eq!(size_of::<Dict<Item>>(), 40);
}

#[test]
fn grows_and_shrinks_in_steps() {
    let mut dict = filled(0..3000);
    let loaded = dict.bucket_count();
    assert!((128..=256 + 128).contains(&loaded), "{loaded}");
    let mut was_rehashing = false;
    for n in 0..2990 {
        assert!(dict.remove(&key(n)).is_some());
        was_rehashing |= dict.is_rehashing();
    }
    assert!(was_rehashing);
    while dict.rehash_step(1) {}
    assert!(dict.bucket_count() <= 8, "{}", dict.bucket_count());
    for n in 2990..3000 {
        assert_eq!(dict.get(&key(n)).map(|item| item.0.1), Some(u64::from(n)));
    }
    for n in 2990..3000 {
        dict.remove(&key(n));
    }
    assert!(dict.mem_bytes() <= 128);
}

#[test]
fn memory_per_item_stays_low() {
    for n in [1000u16, 3000, 10_000, 30_000, 60_000] {
        let mut dict = filled(0..n);
        while dict.rehash_step(100) {}
        let per_item = dict.mem_bytes() as f64 / f64::from(n);
        assert!((9.0..14.5).contains(&per_item), "{n}: {per_item}");
    }
}

#[test]
fn colliding_hashes_chain_and_unchain() {
    let mut buckets = Buckets::with_bits(0);
    let same_tag = 0xab << 56;
    for n in 0..100 {
        buckets.insert(same_tag, item(n, 0));
    }
    // Thirteen in the head, and six in each child that has one itself.
    assert_eq!(buckets.children(), 14 + 1);
    let mut left: Vec<u16> = (0..100).collect();
    Rng::seeded(5).shuffle(&mut left);
    while let Some(n) = left.pop() {
        let place = buckets.find(same_tag, |item| number(item) == n).expect("not taken yet");
        // SAFETY: found right before, with this hash.
        let taken = unsafe { buckets.take(same_tag, place) };
        assert_eq!(number(&taken), n);
        let seen: BTreeSet<u16> = buckets.chain(0).map(number).collect();
        assert_eq!(seen, left.iter().copied().collect());
        assert!(buckets.children() <= left.len() / 6);
    }
    buckets.release();
}

#[test]
fn into_iter_gives_everything_once_in_slices_and_frees_the_rest() {
    let mut dict = filled(0..2000);
    dict.reserve(20_000);
    dict.rehash_step(50);
    assert!(dict.is_rehashing());
    let mut items = dict.into_iter();
    assert_eq!(items.len(), 2000);
    let mut seen = BTreeSet::new();
    while items.len() > 500 {
        for item in items.by_ref().take(64) {
            assert!(seen.insert(number(&item)));
        }
    }
    let rest = items.len();
    assert_eq!(seen.len() + rest, 2000);
    drop(items);
}

#[test]
fn random_reaches_every_item_about_equally() {
    let dict = filled(0..1000);
    let mut rng = Rng::seeded(11);
    let mut counts = vec![0u32; 1000];
    for _ in 0..200_000 {
        counts[usize::from(number(dict.random(&mut rng).unwrap()))] += 1;
    }
    // 200 each on average; the spread is that of sampling neighbouring buckets, not of chance alone.
    assert!(counts.iter().all(|&c| (60..600).contains(&c)), "{:?} {:?}", counts.iter().min(), counts.iter().max());
}

#[test]
fn sample_gives_as_many_as_asked_or_all_each_once() {
    let dict = filled(0..300);
    let mut rng = Rng::seeded(2);
    for at_least in [0, 1, 5, 50, 299, 300, 1000] {
        let mut seen = BTreeSet::new();
        dict.sample(&mut rng, at_least, &mut |item| assert!(seen.insert(number(item))));
        assert!(seen.len() >= at_least.min(300));
    }
}

#[test]
fn a_cursor_uses_only_the_bits_of_the_table() {
    let dict = filled(0..3000);
    let bits = dict.bucket_count().next_power_of_two().trailing_zeros();
    let mut cursor = 0;
    loop {
        cursor = dict.scan(cursor, &mut |_| ());
        assert!(cursor < 1 << bits);
        if cursor == 0 {
            break;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_a_map(seed: u64, ops in prop::collection::vec(op(), 1..40)) {
        let mut dict = Dict::with_seed(seed);
        let mut model: HashMap<u16, u64> = HashMap::new();
        for (value, op) in ops.iter().enumerate() {
            let value = value as u64;
            apply(&mut dict, op, value, |_, _| ());
            match *op {
                Op::Insert(from, n) => model.extend((from..(from + n).min(KEYS)).map(|n| (n, value))),
                Op::Remove(from, n) => model.retain(|k, _| !(from..from + n).contains(k)),
                Op::Overwrite(n) => {
                    model.entry(n).and_modify(|v| *v = value);
                }
                Op::Clear => model.clear(),
                Op::Rehash(_) | Op::Reserve(_) => {}
            }
            prop_assert_eq!(dict.len(), model.len());
            let found: HashMap<u16, u64> = dict.iter().map(|item| (number(item), item.0.1)).collect();
            prop_assert_eq!(&found, &model);
            for n in (0..KEYS).step_by(7) {
                prop_assert_eq!(dict.get(&key(n)).map(|item| item.0.1), model.get(&n).copied());
            }
        }
        let owned: HashMap<u16, u64> = dict.into_iter().map(|item| (number(&item), item.0.1)).collect();
        prop_assert_eq!(owned, model);
    }

    /// What is there from the beginning to the end of a walk is visited exactly once, whatever happens between steps.
    #[test]
    fn a_walk_visits_once_what_stays(
        seed: u64,
        at_first in 0..KEYS,
        between in prop::collection::vec((0..60usize, op()), 0..40),
    ) {
        let mut dict = Dict::with_seed(seed);
        apply(&mut dict, &Op::Insert(0, at_first), 0, |_, _| ());
        let mut stays: BTreeSet<u16> = (0..at_first).collect();
        let mut visits: BTreeMap<u16, u32> = BTreeMap::new();
        let mut cursor = 0;
        let mut between = between.iter();
        loop {
            let pause = between.next();
            for _ in 0..pause.map_or(usize::MAX, |(steps, _)| steps + 1) {
                cursor = dict.scan(cursor, &mut |item| *visits.entry(number(item)).or_default() += 1);
                if cursor == 0 {
                    break;
                }
            }
            if cursor == 0 {
                break;
            }
            if let Some((_, op)) = pause {
                apply(&mut dict, op, 1, |_, n| {
                    if matches!(op, Op::Remove(..) | Op::Clear) {
                        stays.remove(&n);
                    }
                });
            }
        }
        for n in stays {
            prop_assert_eq!(visits.get(&n), Some(&1), "key {}", n);
        }
    }

    /// A snapshot by this walk: what the cursor has not reached is handed out just before it changes. Together with
    /// what the walk meets, that is the table as it was when the walk began, each item once.
    #[test]
    fn a_walk_and_its_reached_test_make_a_snapshot(
        seed: u64,
        at_first in 0..KEYS,
        between in prop::collection::vec((0..60usize, op()), 0..40),
    ) {
        let mut dict = Dict::with_seed(seed);
        apply(&mut dict, &Op::Insert(0, at_first), 0, |_, _| ());
        // An item of the time before has the value 0.
        let mut snapshot: BTreeMap<u16, u32> = BTreeMap::new();
        let mut emitted = BTreeSet::new();
        let mut cursor = 0;
        let mut between = between.iter();
        loop {
            let pause = between.next();
            for _ in 0..pause.map_or(usize::MAX, |(steps, _)| steps + 1) {
                let mut met = Vec::new();
                cursor = dict.scan(cursor, &mut |item| met.push((number(item), item.0.1)));
                for (n, value) in met {
                    emitted.insert(n);
                    if value == 0 {
                        *snapshot.entry(n).or_default() += 1;
                    }
                }
                if cursor == 0 {
                    break;
                }
            }
            if cursor == 0 {
                break;
            }
            for item in &dict {
                let n = number(item);
                let hash = dict.hash(item.key());
                prop_assert_eq!(position_reached(hash, cursor), emitted.contains(&n), "key {}", n);
            }
            if let Some((_, op)) = pause {
                apply(&mut dict, op, 1, |dict, n| {
                    let hash = dict.hash(&key(n));
                    if position_reached(hash, cursor) {
                        // The item that is there from now on counts as passed.
                        emitted.insert(n);
                    } else if let Some(item) = dict.get(&key(n)) && item.0.1 == 0 {
                        *snapshot.entry(n).or_default() += 1;
                    }
                });
            }
        }
        let whole: BTreeMap<u16, u32> = (0..at_first).map(|n| (n, 1)).collect();
        prop_assert_eq!(snapshot, whole);
    }
}
