//! The payload of DUMP, RESTORE and MIGRATE: one value with a version and a checksum behind it.
//!
//! Type byte, value, version (u16 little-endian), CRC-64 of everything before it (u64 little-endian). Key and expiry
//! travel beside it.

use super::rdb::RdbError;
use super::rdb::code::{Reader, VersionCheck, is_foreign, value_type};
use super::rdb::input::Input;
use super::rdb::read_value::{Loaded, read_value};
use super::rdb::redis_hash;
use super::rdb::write_value::{push_value, type_of};
use crate::base::crc64::crc64;
use crate::data::Limits;
use crate::data::value::{Value, ValueRef};

const FOOTER: usize = 10;

/// Why a payload was refused.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    #[error("Unsupported foreign data type: {0}")]
    Foreign(u8),
    /// The value is damaged, empty, or of a kind that does not exist. Clients are told no more; logs may be.
    #[error("Bad data format")]
    Format(#[source] RdbError),
    /// The value is sound, but of a kind that the data model does not have.
    #[error(transparent)]
    Unsupported(RdbError),
}

/// Appends the payload of a value. With `compress` (the directive `rdbcompression`) long strings are compressed.
pub fn dump(out: &mut Vec<u8>, value: ValueRef<'_>, compress: bool) {
    let from = out.len();
    // Only what an older reader could not be told makes a payload that it refuses.
    let reader = match value {
        ValueRef::Hash(hash) if hash.has_expiries() => Reader::Valkey9,
        _ => Reader::Redis7,
    };
    out.push(type_of(value, reader));
    push_value(out, value, compress, reader);
    push_footer(out, from, reader.version());
}

/// Appends what ends the payload that begins at `from`.
pub(super) fn push_footer(out: &mut Vec<u8>, from: usize, version: u16) {
    out.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(0, &out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The value in a payload. It is checked to its last byte first, for it may come from anyone.
pub fn restore(payload: &[u8], limits: &Limits, check: VersionCheck) -> Result<Value, RestoreError> {
    restore_checked(payload, limits, check, true)
}

/// As [`restore`]; without `checksum` a wrong one is no reason to refuse the payload.
pub fn restore_checked(
    payload: &[u8],
    limits: &Limits,
    check: VersionCheck,
    checksum: bool,
) -> Result<Value, RestoreError> {
    let (body, version) = verify(payload, check, checksum).ok_or(RestoreError::Footer)?;
    let format = |error: RdbError| match error {
        RdbError::Unsupported { .. } => RestoreError::Unsupported(error),
        _ => RestoreError::Format(error),
    };
    let mut input = Input::new(body);
    let code = input.byte().map_err(format)?;
    let is_of_redis = check.takes_redis_type(version, code);
    if is_foreign(version) && code >= value_type::HASH_EXPIRY && !is_of_redis {
        return Err(RestoreError::Foreign(code));
    }
    let read = if is_of_redis { redis_hash::read } else { read_value };
    match read(&mut input, code, limits).map_err(format)? {
        Loaded::Value(value) => Ok(value),
        Loaded::Empty => Err(format(input.corrupt("empty collection"))),
    }
}

/// Splits a payload into its body (type byte and value) and version, if footer and checksum are right.
fn verify(payload: &[u8], check: VersionCheck, checksum: bool) -> Option<(&[u8], u16)> {
    let (body, footer) = payload.split_last_chunk::<FOOTER>()?;
    let (version, crc) = footer.split_first_chunk::<2>()?;
    let version = u16::from_le_bytes(*version);
    let expected = u64::from_le_bytes(crc.try_into().ok()?);
    let is_sound = || expected == crc64(0, &payload[..body.len() + 2]);
    (check.accepts(version) && (!checksum || is_sound())).then_some((body, version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::persist::samples::{any_elements, any_kind, chosen, contents, small_limits, value};

    #[test]
    fn payloads_of_other_versions() {
        // DUMP of "2" by a Valkey 9 server.
        let payload = b"\x00\xc0\x02\x50\x00\x40\x88\x79\x2d\x66\x86\x19\x3f";
        let restored = |payload: &[u8]| restore(payload, &Limits::default(), VersionCheck::Strict);
        assert!(matches!(restored(payload), Ok(Value::Int(2))));
        for at in 0..payload.len() {
            let mut bad = payload.to_vec();
            bad[at] ^= 0x10;
            assert!(matches!(restored(&bad), Err(RestoreError::Footer)), "{at}");
        }
        for len in 0..payload.len() {
            assert!(matches!(restored(&payload[..len]), Err(RestoreError::Footer)));
        }
    }
    fn signed(body: &[u8]) -> Vec<u8> {
        let mut payload = body.to_vec();
        payload.extend_from_slice(&Reader::Redis7.version().to_le_bytes());
        let crc = crc64(0, &payload);
        payload.extend_from_slice(&crc.to_le_bytes());
        payload
    }

    #[test]
    fn a_list_of_another_version() {
        // DUMP of a list 1 2 3 by a Valkey 9 server.
        let payload = b"\x12\x01\x02\x0d\x0d\0\0\0\x03\0\x01\x01\x02\x01\x03\x01\xff\x50\0\
                        \x05\x90\xfc\x15\x67\xd8\xb0\x5a";
        let value = restore(payload, &Limits::default(), VersionCheck::Strict).unwrap();
        let elements = [b"1", b"2", b"3"].map(|e| e.to_vec()).to_vec();
        assert_eq!(contents(value.as_ref()), ("listpack", elements));
    }

    #[test]
    fn chosen_values_come_back_in_their_encoding() {
        for (name, kind, elements) in chosen() {
            for limits in [Limits::default(), small_limits()] {
                let value = value(kind, &elements, &limits);
                for compress in [false, true] {
                    let mut payload = b"before".to_vec();
                    dump(&mut payload, value.as_ref(), compress);
                    let restored = restore(&payload[6..], &limits, VersionCheck::Strict).unwrap();
                    assert_eq!(contents(restored.as_ref()), contents(value.as_ref()), "{name}");
                }
            }
        }
    }

    #[test]
    fn what_a_damaged_payload_is_called() {
        let restored = |body: &[u8]| restore(&signed(body), &Limits::default(), VersionCheck::Strict);
        assert!(matches!(restored(b"\x02\x00"), Err(RestoreError::Format(_))), "empty set");
        assert!(matches!(restored(b"\x00"), Err(RestoreError::Format(_))), "no value");
        assert!(matches!(restored(b""), Err(RestoreError::Format(_))), "no type");
        assert!(matches!(restored(b"\x63\x00"), Err(RestoreError::Format(_))), "no such type");
        assert!(matches!(restored(b"\x07\x03"), Err(RestoreError::Unsupported(_))), "value of a module");
        assert!(restored(b"\x00\x01abehind").is_ok(), "bytes behind the value");
        let mut foreign = b"\x16\x00\x0c\x00".to_vec();
        let crc = crc64(0, &foreign);
        foreign.extend_from_slice(&crc.to_le_bytes());
        let relaxed = restore(&foreign, &Limits::default(), VersionCheck::Relaxed);
        assert!(matches!(relaxed, Err(RestoreError::Foreign(22))));
        assert!(matches!(restore(&foreign, &Limits::default(), VersionCheck::Strict), Err(RestoreError::Footer)));
    }

    proptest! {
        #[test]
        fn every_value_comes_back(kind in any_kind(), elements in any_elements(), compress: bool) {
            let limits = small_limits();
            let value = value(kind, &elements, &limits);
            let mut payload = Vec::new();
            dump(&mut payload, value.as_ref(), compress);
            let restored = restore(&payload, &limits, VersionCheck::Strict).unwrap();
            prop_assert_eq!(contents(restored.as_ref()), contents(value.as_ref()));
        }

        /// A signed payload with damage inside: it must be refused, or give a value that can be dumped again.
        #[test]
        fn damage_never_panics(
            kind in any_kind(), elements in any_elements(), compress: bool,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let limits = small_limits();
            let mut payload = Vec::new();
            dump(&mut payload, value(kind, &elements, &limits).as_ref(), compress);
            let mut body = payload[..payload.len() - FOOTER].to_vec();
            for (at, byte) in damage {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body.truncate(cut.index(body.len() * 2).max(1));
            if let Ok(value) = restore(&signed(&body), &limits, VersionCheck::Strict) {
                let mut again = Vec::new();
                dump(&mut again, value.as_ref(), compress);
                let restored = restore(&again, &limits, VersionCheck::Strict).unwrap();
                prop_assert_eq!(contents(restored.as_ref()).1, contents(value.as_ref()).1);
            }
        }

        #[test]
        fn noise_of_every_type_never_panics(code in 0u8..24, noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = restore(&signed(&[&[code], &noise[..]].concat()), &small_limits(), VersionCheck::Relaxed);
        }
    }
}
