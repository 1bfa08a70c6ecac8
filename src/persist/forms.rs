//! A payload in the forms that other servers read: a server refuses a value in a form that is newer than itself.
//!
//! Redis 7.0 and all later servers read version 10, Redis 5 and 6 version 9. When fields of a hash expire, an older form
//! would keep them for ever: such a hash has two forms only, of Valkey 9 and of Redis 7.4, which do not read each other's.

use super::dump::{RestoreError, dump, push_footer, restore};
use super::rdb::code::value_type as t;
use super::rdb::output::push_length;
use super::rdb::stream::push_stream_1;
use super::rdb::write_value::{push_item, push_value, type_of};
use super::rdb::{Reader, VersionCheck, redis_hash};
use crate::data::Limits;
use crate::data::hash::Hash;
use crate::data::value::ValueRef;

/// The version that Redis 5 and 6 write.
const OLD_VERSION: u16 = 9;

/// How many other forms a value has.
pub const FORMS: usize = 2;

/// A value once more.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    pub payload: Vec<u8>,
    /// It is a hash whose fields expire.
    pub expires: bool,
}

/// The value of a payload of any server in another form: the newest is number 0.
///
/// # Errors
/// When it is no payload, or of a kind that the data model does not have.
pub fn form(payload: &[u8], number: usize) -> Result<Form, RestoreError> {
    let value = restore(payload, &Limits::default(), VersionCheck::Any)?;
    let expiring = match value.as_ref() {
        ValueRef::Hash(hash) if hash.has_expiries() => Some(hash),
        _ => None,
    };
    let mut out = Vec::new();
    match (number, expiring) {
        (0, _) => dump(&mut out, value.as_ref(), true),
        (_, Some(hash)) => dump_for_redis(&mut out, hash),
        (_, None) => dump_old(&mut out, value.as_ref()),
    }
    Ok(Form { payload: out, expires: expiring.is_some() })
}

/// As Redis 7.4 and later write it.
fn dump_for_redis(out: &mut Vec<u8>, hash: &Hash) {
    out.push(t::REDIS_HASH);
    redis_hash::push(out, hash, true);
    push_footer(out, 0, redis_hash::VERSION);
}

/// As Redis 5 and 6 read it: element by element, for they know no listpacks but those of streams.
fn dump_old(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::List(list) => {
            out.push(t::LIST);
            push_length(out, list.len() as u64);
            list.for_each(0..list.len(), |item| push_item(out, item, true));
        }
        ValueRef::Hash(hash) => {
            out.push(t::HASH);
            push_length(out, hash.len() as u64);
            for (field, value, _) in hash.iter_with_expiry() {
                push_item(out, field, true);
                push_item(out, value, true);
            }
        }
        ValueRef::ZSet(zset) => {
            out.push(t::ZSET);
            push_length(out, zset.len() as u64);
            for (member, score) in zset.iter().rev() {
                push_item(out, member, true);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
        ValueRef::Stream(stream) => {
            out.push(t::STREAM_1);
            push_stream_1(out, stream, true);
        }
        ValueRef::Int(_) | ValueRef::Bytes(_) | ValueRef::Set(_) => {
            out.push(type_of(value, Reader::Redis7));
            push_value(out, value, true, Reader::Redis7);
        }
    }
    push_footer(out, 0, OLD_VERSION);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Millis;
    use crate::data::value::{Kind, Value};
    use crate::persist::payload::is_same_value;
    use crate::persist::rdb::redis_hash::VERSION;
    use crate::persist::samples::{any_elements, any_kind, small_limits, value};

    fn dumped(value: ValueRef<'_>) -> Vec<u8> {
        let mut payload = Vec::new();
        dump(&mut payload, value, true);
        payload
    }

    fn version(payload: &[u8]) -> u16 {
        let at = payload.len() - 10;
        u16::from_le_bytes([payload[at], payload[at + 1]])
    }

    /// All forms, and whether they expire.
    fn forms(payload: &[u8]) -> Result<([Vec<u8>; FORMS], bool), RestoreError> {
        let (first, second) = (form(payload, 0)?, form(payload, 1)?);
        assert_eq!(first.expires, second.expires);
        Ok(([first.payload, second.payload], first.expires))
    }

    #[test]
    fn a_hash_whose_fields_expire_keeps_that() {
        let Value::Hash(mut hash) = value(Kind::Hash, &[b"a".to_vec(), b"b".to_vec()], &small_limits()) else {
            panic!()
        };
        hash.set_expiry(b"b", Some(Millis(5000)), &small_limits());
        let payload = dumped(ValueRef::Hash(&hash));
        let found = forms(&payload).unwrap();
        assert!(found.1);
        assert_eq!(found.0.each_ref().map(|form| (form[0], version(form))), [(22, 80), (24, VERSION)]);
        // Either leads to the other.
        for form in &found.0 {
            assert!(is_same_value(form, &payload).unwrap());
            assert_eq!(forms(form).unwrap(), found);
        }
        hash.set_expiry(b"b", Some(Millis(5001)), &small_limits());
        assert!(!is_same_value(&found.0[1], &dumped(ValueRef::Hash(&hash))).unwrap());
    }

    #[test]
    fn what_is_no_payload_has_no_forms() {
        assert!(matches!(forms(b"x"), Err(RestoreError::Footer)));
        let mut module = b"\x07\x03".to_vec();
        push_footer(&mut module, 0, 12);
        assert!(matches!(forms(&module), Err(RestoreError::Unsupported(_))));
    }

    proptest! {
        #[test]
        fn old_forms_hold_the_same_value(kind in any_kind(), elements in any_elements()) {
            let payload = dumped(value(kind, &elements, &small_limits()).as_ref());
            let (found, expires) = forms(&payload).unwrap();
            prop_assert!(!expires);
            prop_assert_eq!(found.each_ref().map(|form| version(form)), [10, OLD_VERSION]);
            // Nothing that Redis 6 does not know: listpacks, and the second kind of quicklists and streams.
            prop_assert!(found[1][0] <= t::STREAM_1, "{}", found[1][0]);
            for form in &found {
                prop_assert!(is_same_value(form, &payload).unwrap());
            }
        }
    }
}
