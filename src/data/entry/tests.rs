//! Tests of the entry against a plain struct, and of what it may cost.

use proptest::prelude::*;

use super::*;

fn text_of(entry: &Entry) -> Vec<u8> {
    match entry.value() {
        ValueRef::Int(n) => n.to_string().into_bytes(),
        ValueRef::Bytes(bytes) => bytes.to_vec(),
        other => panic!("not a string: {other:?}"),
    }
}

#[test]
fn embedding_follows_the_rule_of_the_server() {
    // Key length, expiry: the longest string that is embedded.
    for (key_len, has_expiry, longest) in
        [(1, false, 112), (1, true, 104), (31, false, 82), (32, false, 79), (32, true, 71), (100, false, 11)]
    {
        let key = vec![b'k'; key_len];
        let expire_at = has_expiry.then_some(Millis(1));
        for (len, encoding) in [(longest, Encoding::Embstr), (longest + 1, Encoding::Raw)] {
            let entry = Entry::from_text(&key, &vec![b'v'; len], expire_at);
            assert_eq!(entry.encoding(), encoding, "key {key_len}, {len}");
            let entry = Entry::new(&key, Value::Bytes(vec![b'v'; len]), expire_at);
            assert_eq!(entry.encoding(), encoding, "key {key_len}, {len}");
        }
    }
    assert_eq!(Entry::from_text(&[b'k'; 300], b"v", None).encoding(), Encoding::Raw);
    assert_eq!(Entry::from_text(b"k", b"-12", None).encoding(), Encoding::Int);
}

#[test]
fn small_entries_are_small() {
    let key = [b'k'; 16];
    for (value, expire_at, most) in [
        (vec![b'v'; 64], None, 96),
        (vec![b'v'; 64], Some(Millis(1)), 96),
        (b"1234567890".to_vec(), None, 32),
        (b"1234567890".to_vec(), Some(Millis(1)), 48),
    ] {
        assert!(Entry::from_text(&key, &value, expire_at).mem_bytes() <= most);
    }
    assert_eq!(size_of::<Option<Entry>>(), 8);
}

#[test]
fn collections_are_held_in_place_and_given_back() {
    for (value, kind) in [
        (Value::List(List::default()), Kind::List),
        (Value::Set(Set::default()), Kind::Set),
        (Value::Hash(Hash::default()), Kind::Hash),
        (Value::ZSet(ZSet::default()), Kind::ZSet),
        (Value::Stream(Box::default()), Kind::Stream),
    ] {
        let mut entry = Entry::new(b"k", value, None);
        entry.set_access(77);
        entry.set_expire_at(Some(Millis(5)));
        entry.set_expire_at(Some(Millis(6)));
        assert_eq!((entry.kind(), entry.expire_at(), entry.access()), (kind, Some(Millis(6)), 77));
        assert!(!matches!(entry.collection_mut(), ValueMut::String));
        assert!(entry.make_raw().is_none() && !entry.set_int(1) && !entry.overwrite_text(b"v", None));
        entry.set_expire_at(None);
        assert_eq!((entry.expire_at(), entry.key()), (None, &b"k"[..]));
        assert_eq!(entry.into_value().kind(), kind);
    }
}

#[test]
fn the_stamp_has_24_bits_and_leaves_the_rest_alone() {
    let entry = Entry::from_text(b"key", b"value", Some(Millis(-1)));
    assert_eq!(entry.access(), 0);
    for (set, got) in [(1, 1), (ACCESS_MAX, ACCESS_MAX), (u32::MAX, ACCESS_MAX), (1 << 24, 0)] {
        entry.set_access(set);
        assert_eq!(entry.access(), got);
        assert_eq!((entry.key(), &text_of(&entry)[..]), (&b"key"[..], &b"value"[..]));
        assert_eq!(entry.expire_at(), Some(Millis(-1)));
    }
}

fn bytes(up_to: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..up_to),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Overwrite(Vec<u8>, Option<i64>),
    Expire(Option<i64>),
    Append(Vec<u8>),
    Int(i64),
    Access(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (bytes(150), any::<Option<i64>>()).prop_map(|(text, at)| Op::Overwrite(text, at)),
        any::<Option<i64>>().prop_map(Op::Expire),
        bytes(40).prop_map(Op::Append),
        any::<i64>().prop_map(Op::Int),
        any::<u32>().prop_map(Op::Access),
    ]
}

proptest! {
    #[test]
    fn a_string_entry_agrees_with_a_struct(
        key in bytes(300),
        first in bytes(150),
        expire_at: Option<i64>,
        ops in prop::collection::vec(op(), 0..20),
    ) {
        let mut entry = Entry::from_text(&key, &first, expire_at.map(Millis));
        let (mut text, mut expire_at, mut access) = (first, expire_at, 0);
        for op in ops {
            match op {
                Op::Overwrite(new, at) => {
                    if entry.overwrite_text(&new, at.map(Millis)) {
                        let fresh = Entry::from_text(&key, &new, at.map(Millis));
                        prop_assert_eq!(entry.encoding(), fresh.encoding());
                        (text, expire_at) = (new, at);
                    }
                }
                Op::Expire(at) => {
                    entry.set_expire_at(at.map(Millis));
                    expire_at = at;
                }
                Op::Append(more) => {
                    entry.make_raw().unwrap().extend_from_slice(&more);
                    text.extend_from_slice(&more);
                    prop_assert_eq!(entry.encoding(), Encoding::Raw);
                }
                Op::Int(n) => {
                    if entry.set_int(n) {
                        text = n.to_string().into_bytes();
                    }
                }
                Op::Access(stamp) => {
                    entry.set_access(stamp);
                    access = stamp & ACCESS_MAX;
                }
            }
            prop_assert_eq!(entry.key(), &key[..]);
            prop_assert_eq!(&text_of(&entry), &text);
            prop_assert_eq!(entry.expire_at(), expire_at.map(Millis));
            prop_assert_eq!(entry.access(), access);
            prop_assert!(entry.mem_bytes() >= key.len() + text.len().min(8));
        }
        match entry.into_value() {
            Value::Int(n) => prop_assert_eq!(n.to_string().into_bytes(), text),
            Value::Bytes(bytes) => prop_assert_eq!(bytes, text),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
