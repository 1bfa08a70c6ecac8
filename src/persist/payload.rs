//! Payloads for RESTORE from a file, and whether two payloads hold the same value.
//!
//! A value of a file that Redis 7.0 could have written goes as it stands, under the version of the file: a server at least
//! as new as the writer takes it. A value of a newer file is written anew, in the form that Redis 7.0 reads; one of a module
//! is not understood, and goes as it stands.

use std::io::BufRead;

use super::dump::{RestoreError, dump, push_footer, restore};
use super::rdb::RdbError;
use super::rdb::code::{VersionCheck, WRITTEN_VERSION, value_type};
use super::rdb::module;
use super::rdb::read_value::{Loaded, read_value};
use super::rdb::records::RecordReader;
use super::rdb::redis_hash;
use crate::data::Limits;
use crate::data::item::Item;
use crate::data::stream::{Stream, StreamId};
use crate::data::value::ValueRef;

/// Reads the value that stands next in the file, of this type, as a payload; `None` for a collection without elements,
/// which no server has.
///
/// # Errors
/// When the value is damaged or of a kind that the data model does not have. After an error there is no going on.
pub fn read_payload<R: BufRead>(records: &mut RecordReader<R>, code: u8) -> Result<Option<Vec<u8>>, RdbError> {
    let (version, limits) = (records.version(), Limits::default());
    let read = if VersionCheck::Any.takes_redis_type(version, code) { redis_hash::read } else { read_value };
    let input = records.input();
    let is_of_module = code == value_type::MODULE;
    if version > WRITTEN_VERSION && !is_of_module {
        return Ok(match read(input, code, &limits)? {
            Loaded::Empty => None,
            Loaded::Value(value) => {
                let mut payload = Vec::new();
                dump(&mut payload, value.as_ref(), true);
                Some(payload)
            }
        });
    }
    input.copy_from_here()?;
    let is_empty = match is_of_module {
        // A server with the module reads it, if it is as new as the one that wrote it.
        true => module::skip(input).map(|()| false)?,
        false => matches!(read_value(input, code, &limits)?, Loaded::Empty),
    };
    let body = input.copied()?;
    let mut payload = Vec::with_capacity(body.len() + 11);
    payload.push(code);
    payload.extend_from_slice(&body);
    push_footer(&mut payload, 0, version);
    Ok((!is_empty).then_some(payload))
}

/// Whether two payloads hold equal values, however they are encoded.
///
/// # Errors
/// When one of them is no payload, or of a kind that the data model does not have; equal bytes are always equal.
pub fn is_same_value(left: &[u8], right: &[u8]) -> Result<bool, RestoreError> {
    if left == right {
        return Ok(true);
    }
    let limits = Limits::default();
    let left = restore(left, &limits, VersionCheck::Any)?;
    let right = restore(right, &limits, VersionCheck::Any)?;
    Ok(is_equal(left.as_ref(), right.as_ref()))
}

fn is_equal(left: ValueRef<'_>, right: ValueRef<'_>) -> bool {
    use ValueRef as V;
    match (left, right) {
        (V::Int(left), V::Int(right)) => left == right,
        (V::Bytes(left), V::Bytes(right)) => left == right,
        (V::List(_), V::List(_)) | (V::Set(_), V::Set(_)) | (V::Hash(_), V::Hash(_)) | (V::ZSet(_), V::ZSet(_)) => {
            parts(left) == parts(right)
        }
        (V::Stream(left), V::Stream(right)) => is_equal_stream(left, right),
        _ => false,
    }
}

/// The elements of a collection, in an order that does not depend on how it is kept.
fn parts(value: ValueRef<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = |item: Item<'_>| item.to_vec();
    let mut parts: Vec<(Vec<u8>, Vec<u8>)> = match value {
        ValueRef::List(list) => {
            let mut elements = Vec::with_capacity(list.len());
            list.for_each(0..list.len(), |item| elements.push((item.to_vec(), Vec::new())));
            return elements;
        }
        ValueRef::Set(set) => set.iter().map(|member| (text(member), Vec::new())).collect(),
        ValueRef::Hash(hash) => hash
            .iter_with_expiry()
            .map(|(field, value, expire_at)| {
                let mut rest = text(value);
                rest.extend_from_slice(&expire_at.map_or(-1, |at| at.0).to_le_bytes());
                (text(field), rest)
            })
            .collect(),
        ValueRef::ZSet(zset) => {
            // Zero has two signs that compare equal.
            zset.iter().map(|(member, score)| (text(member), (score + 0.0).to_le_bytes().to_vec())).collect()
        }
        ValueRef::Int(_) | ValueRef::Bytes(_) | ValueRef::Stream(_) => Vec::new(),
    };
    parts.sort_unstable();
    parts
}

/// Entries, groups and what is pending; not how the entries are cut into nodes, nor when consumers were seen.
fn is_equal_stream(left: &Stream, right: &Stream) -> bool {
    let entries = |stream: &Stream| {
        let range = stream.log.range(StreamId::MIN, StreamId::MAX);
        range
            .map(|entry| {
                let fields = entry.fields.map(|(field, value)| (field.to_vec(), value.to_vec()));
                (entry.id, fields.collect::<Vec<_>>())
            })
            .collect::<Vec<_>>()
    };
    let groups = |stream: &Stream| {
        let groups = stream.groups.iter().map(|(name, group)| {
            let pending = group
                .pending()
                .iter()
                .map(|(id, pending)| (*id, group.consumer(pending.consumer).name().to_vec(), pending.delivery.count));
            (name.to_vec(), group.last_id, pending.collect::<Vec<_>>())
        });
        groups.collect::<Vec<_>>()
    };
    left.log.last_id == right.log.last_id && entries(left) == entries(right) && groups(left) == groups(right)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::crc64::crc64;
    use crate::persist::rdb::records::Record;
    use crate::persist::rdb::{Access, Aux, RdbWriter, ReadOptions, WriteOptions};
    use crate::persist::samples::{any_elements, any_kind, contents, small_limits, value};

    const AUX: Aux<'_> =
        Aux { server_version: "7.2.4", ctime_secs: 1, used_memory_bytes: 2, replication: None, aof_base: false };

    /// The payloads of a file.
    fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
        let mut records = RecordReader::open(file, ReadOptions::default()).unwrap();
        let mut found = Vec::new();
        loop {
            match records.next().unwrap() {
                Record::Key(key) => found.push(read_payload(&mut records, key.value_type).unwrap().unwrap()),
                Record::End { .. } => return found,
                _ => {}
            }
        }
    }

    /// A file of one key, under this version's magic.
    fn file(value: ValueRef<'_>, magic: &[u8; 9]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RdbWriter::begin(&mut out, WriteOptions::default(), &AUX);
        writer.select(&mut out, 0, 1, 0);
        writer.entry(&mut out, b"k", value, None, Access::Untracked);
        writer.finish(&mut out);
        out[..9].copy_from_slice(magic);
        let end = out.len() - 8;
        let crc = crc64(0, &out[..end]);
        out[end..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    proptest! {
        #[test]
        fn a_value_of_a_file_is_a_payload(kind in any_kind(), elements in any_elements()) {
            let limits = small_limits();
            let value = value(kind, &elements, &limits);
            for magic in [b"REDIS0010", b"REDIS0011"] {
                let found = payloads(&file(value.as_ref(), magic));
                prop_assert_eq!(found.len(), 1);
                let restored = restore(&found[0], &Limits::default(), VersionCheck::Strict).unwrap();
                prop_assert_eq!(contents(restored.as_ref()).1, contents(value.as_ref()).1);
                let mut other = Vec::new();
                dump(&mut other, value.as_ref(), false);
                prop_assert!(is_same_value(&found[0], &other).unwrap());
            }
        }

        #[test]
        fn one_element_more_is_another_value(kind in any_kind(), elements in any_elements()) {
            let limits = small_limits();
            let mut more = elements.clone();
            more.push(b"the one that no other set has".to_vec());
            let payload = |elements: &[Vec<u8>]| {
                let mut payload = Vec::new();
                dump(&mut payload, value(kind, elements, &limits).as_ref(), true);
                payload
            };
            prop_assert!(!is_same_value(&payload(&elements), &payload(&more)).unwrap());
        }
    }

    #[test]
    fn what_is_no_payload_is_no_value() {
        assert!(is_same_value(b"x", b"x").unwrap());
        assert!(matches!(is_same_value(b"x", b"y"), Err(RestoreError::Footer)));
    }
}
