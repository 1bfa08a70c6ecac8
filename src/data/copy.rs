//! A second value like the first: COPY.

use super::Limits;
use super::hash::Hash;
use super::item::Text;
use super::list::{End, List};
use super::set::Set;
use super::value::{Value, ValueRef};
use super::zset::ZSet;

/// An independent copy of a value, in the encoding that `limits` give a value of this content.
#[must_use]
pub fn copy(value: ValueRef<'_>, limits: &Limits) -> Value {
    let (mut room, mut more_room) = (Text::new(), Text::new());
    match value {
        ValueRef::Int(n) => Value::Int(n),
        ValueRef::Bytes(text) => Value::Bytes(text.to_vec()),
        ValueRef::List(list) => {
            let mut copy = List::new();
            list.for_each(0..list.len(), |item| copy.push(End::Back, item.text(&mut room), limits));
            Value::List(copy)
        }
        ValueRef::Set(set) => {
            let mut copy = Set::new();
            copy.expect(set.len(), limits);
            for item in set {
                copy.add(item.text(&mut room), limits);
            }
            Value::Set(copy)
        }
        ValueRef::Hash(hash) => {
            let mut copy = Hash::new();
            copy.expect(hash.len(), limits);
            for (field, value, expire_at) in hash.iter_with_expiry() {
                copy.put(field.text(&mut room), value.text(&mut more_room), expire_at, limits);
            }
            Value::Hash(copy)
        }
        ValueRef::ZSet(zset) => {
            let mut copy = ZSet::new();
            copy.expect(zset.len(), 0, limits);
            for (member, score) in zset {
                copy.insert(member.text(&mut room), score, limits);
            }
            Value::ZSet(copy)
        }
        ValueRef::Stream(stream) => Value::Stream(Box::new(stream.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, limits: &Limits) -> Vec<Value> {
        let (mut list, mut ints, mut set) = (List::new(), Set::new(), Set::new());
        let (mut hash, mut zset) = (Hash::new(), ZSet::new());
        for i in 0..n {
            let (number, word) = (i.to_string(), format!("member {i}"));
            list.push(End::Back, number.as_bytes(), limits);
            ints.add(number.as_bytes(), limits);
            set.add(word.as_bytes(), limits);
            hash.set(word.as_bytes(), number.as_bytes(), limits);
            zset.insert(word.as_bytes(), i as f64 / 4.0, limits);
        }
        vec![
            Value::Int(-7),
            Value::Bytes(vec![b'x'; n]),
            Value::List(list),
            Value::Set(ints),
            Value::Set(set),
            Value::Hash(hash),
            Value::ZSet(zset),
        ]
    }

    #[test]
    fn copies_have_the_content_and_the_encoding() {
        let limits = Limits::default();
        for n in [1, 100, 5000] {
            for value in values(n, &limits) {
                let copied = copy(value.as_ref(), &limits);
                assert_eq!(copied.kind(), value.kind());
                assert_eq!(copied.as_ref().collection_encoding(), value.as_ref().collection_encoding());
                match (value.as_ref(), copied.as_ref()) {
                    (ValueRef::Int(a), ValueRef::Int(b)) => assert_eq!(a, b),
                    (ValueRef::Bytes(a), ValueRef::Bytes(b)) => assert_eq!(a, b),
                    (ValueRef::List(a), ValueRef::List(b)) => {
                        assert_eq!(a.len(), b.len());
                        for i in 0..a.len() as i64 {
                            assert_eq!(a.get(i, |item| item.to_vec()), b.get(i, |item| item.to_vec()));
                        }
                    }
                    (ValueRef::Set(a), ValueRef::Set(b)) => {
                        assert_eq!(a.len(), b.len());
                        assert!(a.iter().all(|member| b.contains(&member.to_vec())));
                    }
                    (ValueRef::Hash(a), ValueRef::Hash(b)) => {
                        assert_eq!(a.len(), b.len());
                        let same = |field: &[u8], value: &[u8]| b.get(field).is_some_and(|found| found.eq_bytes(value));
                        assert!(a.iter().all(|(field, value)| same(&field.to_vec(), &value.to_vec())));
                    }
                    (ValueRef::ZSet(a), ValueRef::ZSet(b)) => {
                        assert_eq!(a.len(), b.len());
                        assert!(a.iter().all(|(member, score)| b.score(&member.to_vec()) == Some(score)));
                    }
                    _ => unreachable!("kinds are compared above"),
                }
            }
        }
    }
}
