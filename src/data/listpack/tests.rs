//! Tests of the listpack against a vector, and against what Redis writes.

use super::*;
use proptest::prelude::*;

fn pack(items: &[&[u8]]) -> Listpack {
    let mut pack = Listpack::new();
    for item in items {
        pack.push(*item);
    }
    pack
}

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(|item| item.to_vec()).collect()
}

#[test]
fn a_list_of_three_numbers() {
    assert_eq!(pack(&[b"1", b"2", b"3"]).bytes(), [0x0d, 0, 0, 0, 3, 0, 0x01, 0x01, 0x02, 0x01, 0x03, 0x01, 0xff]);
}

#[test]
fn integers_take_their_smallest_form() {
    for (n, bytes) in [
        (0, 2),
        (127, 2),
        (128, 3),
        (-1, 3),
        (4095, 3),
        (-4096, 3),
        (4096, 4),
        (-4097, 4),
        (i64::from(i16::MAX), 4),
        (i64::from(i16::MIN), 4),
        (32768, 5),
        (-32769, 5),
        ((1 << 23) - 1, 5),
        (-(1 << 23), 5),
        (1 << 23, 6),
        (i64::from(i32::MAX), 6),
        (i64::from(i32::MIN), 6),
        (1 << 31, 10),
        (i64::MAX, 10),
        (i64::MIN, 10),
    ] {
        let pack = pack(&[n.to_string().as_bytes()]);
        assert_eq!(pack.bytes().len(), HEADER + 1 + bytes, "{n}");
        assert!(matches!(pack.get(0), Some(Item::Int(m)) if m == n), "{n}");
    }
}

#[test]
fn every_width_of_back_length_reads_both_ways() {
    let sizes = [0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16_000, 16_383, 20_000, 2_097_150, 2_097_151, 2_100_000];
    let mut pack = Listpack::new();
    for size in sizes {
        let text = vec![b'x'; size];
        let before = pack.bytes().len();
        pack.push(&text);
        assert!(pack.bytes().len() - before <= entry_bytes(size));
    }
    let pack = Listpack::validate(pack.bytes()).unwrap();
    assert!(pack.iter().map(|i| i.len_as_text()).eq(sizes));
    assert!(pack.iter().rev().map(|i| i.len_as_text()).eq(sizes.into_iter().rev()));
}

#[test]
fn the_count_is_found_by_walking_when_the_header_cannot_tell() {
    let mut pack = Listpack::new();
    for i in 0..UNCOUNTED + 3 {
        pack.push(i as i64 % 100);
    }
    assert_eq!(pack.len(), UNCOUNTED + 3);
    assert_eq!(pack.get(-1), pack.get(UNCOUNTED as i64 + 2));
    assert_eq!(pack.get(UNCOUNTED as i64 + 3), None);
    pack.remove_range(0, 10);
    assert_eq!(pack.len(), UNCOUNTED - 7);
    assert!(Listpack::validate(pack.bytes()).is_ok());
    let tail = pack.split_off(pack.seek(5).unwrap());
    assert_eq!((pack.len(), tail.len()), (5, UNCOUNTED - 12));
}

#[test]
fn find_looks_at_every_stride_th() {
    let pack = pack(&[b"a", b"b", b"b", b"12", b"12", b"a"]);
    let index = |at: Option<usize>| at.map(|at| pack.iter_until(at).count());
    assert_eq!(index(pack.find(pack.start(), b"b", 1)), Some(1));
    assert_eq!(index(pack.find(pack.start(), b"b", 2)), Some(2));
    assert_eq!(index(pack.find(pack.start(), b"12", 2)), Some(4));
    assert_eq!(index(pack.find(pack.start(), b"012", 1)), None);
    assert_eq!(index(pack.find(pack.end(), b"a", 1)), None);
}

#[test]
fn hostile_bytes_are_refused() {
    let good = pack(&[b"hello", b"1024", b"x"]).bytes().to_vec();
    let broken = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Listpack::validate(&bytes)
    };
    assert!(Listpack::validate(&good).is_ok());
    assert!(Listpack::validate(&[]).is_err());
    assert!(Listpack::validate(&good[..good.len() - 1]).is_err());
    assert!(broken(0, 99).is_err());
    assert!(broken(4, 2).is_err());
    assert!(broken(HEADER, 0xff).is_err());
    assert!(broken(HEADER, 0xf7).is_err());
    assert!(broken(HEADER, 0xf0).is_err());
    assert!(broken(HEADER + 6, 7).is_err());
    // An unknown count is allowed, and so is text that could have been an integer.
    let mut bytes = good.clone();
    bytes[4..6].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(Listpack::validate(&bytes).unwrap().len(), 3);
    let lazy = Listpack::validate(&[10, 0, 0, 0, 1, 0, 0x81, b'7', 2, 0xff]).unwrap();
    assert!(lazy.find(lazy.start(), b"7", 1).is_some());
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => proptest::collection::vec(any::<u8>(), 60..200),
        1 => proptest::collection::vec(any::<u8>(), 4090..4100),
        4 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        4 => (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Push(Vec<u8>),
    PushAll(Vec<Vec<u8>>),
    Insert(usize, Vec<u8>, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    SplitAndJoin(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => text().prop_map(Change::Push),
        2 => proptest::collection::vec(text(), 0..4).prop_map(Change::PushAll),
        3 => (any::<usize>(), text(), text()).prop_map(|(i, a, b)| Change::Insert(i, a, b)),
        2 => (any::<usize>(), text()).prop_map(|(i, t)| Change::Replace(i, t)),
        2 => (any::<usize>(), 0..4usize).prop_map(|(i, n)| Change::Remove(i, n)),
        1 => any::<usize>().prop_map(Change::SplitAndJoin),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_vector(changes in proptest::collection::vec(change(), 1..40)) {
        let mut pack = Listpack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        let position = |pack: &Listpack, i: usize| pack.seek(i as i64).unwrap_or(pack.end());
        for change in changes {
            match change {
                Change::Push(text) => {
                    pack.push(&text);
                    model.push(text);
                }
                Change::PushAll(texts) => {
                    pack.push_all(texts.iter().map(Item::from));
                    model.extend(texts);
                }
                Change::Insert(i, a, b) => {
                    let i = i % (model.len() + 1);
                    pack.insert(position(&pack, i), [Item::from(&a), Item::from(&b)]);
                    model.splice(i..i, [a, b]);
                }
                Change::Replace(i, text) if !model.is_empty() => {
                    let i = i % model.len();
                    pack.replace(position(&pack, i), &text);
                    model[i] = text;
                }
                Change::Remove(i, n) => {
                    let i = i % (model.len() + 1);
                    pack.remove(position(&pack, i), n);
                    model.drain(i..(i + n).min(model.len()));
                }
                Change::SplitAndJoin(i) => {
                    let tail = pack.split_off(position(&pack, i % (model.len() + 1)));
                    prop_assert!(Listpack::validate(tail.bytes()).is_ok());
                    pack.append(&tail);
                }
                Change::Replace(..) => {}
            }
            prop_assert!(Listpack::validate(pack.bytes()).is_ok());
            prop_assert_eq!(pack.len(), model.len());
            prop_assert_eq!(texts(&pack), model.clone());
            for (i, text) in model.iter().enumerate() {
                prop_assert_eq!(pack.get(i as i64).unwrap().to_vec(), text.clone());
                prop_assert_eq!(pack.get(i as i64 - model.len() as i64).unwrap().to_vec(), text.clone());
                let found = pack.find(pack.start(), text, 1).map(|at| pack.iter_until(at).count());
                prop_assert_eq!(found, model.iter().position(|t| t == text));
            }
            prop_assert_eq!(pack.get(model.len() as i64), None);
            prop_assert_eq!(pack.get(-1 - model.len() as i64), None);
            let mut backwards: Vec<_> = pack.iter().rev().map(|item| item.to_vec()).collect();
            backwards.reverse();
            prop_assert_eq!(&backwards, &model);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), honest in any::<bool>()) {
        let mut bytes = bytes;
        if honest && bytes.len() > HEADER {
            let len = bytes.len() as u32;
            bytes[..4].copy_from_slice(&len.to_le_bytes());
            bytes[4..6].copy_from_slice(&[0xff, 0xff]);
            *bytes.last_mut().unwrap() = END;
        }
        if let Ok(pack) = Listpack::validate(&bytes) {
            prop_assert_eq!(pack.iter().count(), pack.iter().rev().count());
        }
    }

    #[test]
    fn mutated_bytes_are_refused_or_walk_well(
        texts in proptest::collection::vec(text(), 1..8), at in any::<usize>(), byte in any::<u8>()
    ) {
        let mut pack = Listpack::new();
        for text in &texts {
            pack.push(text);
        }
        let mut bytes = pack.bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(pack) = Listpack::validate(&bytes) {
            prop_assert_eq!(pack.iter().count(), pack.len());
            prop_assert_eq!(pack.iter().rev().count(), pack.len());
            let _ = pack.find(pack.start(), b"nothing like it", 2);
        }
    }
}
