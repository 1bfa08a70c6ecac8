//! The payload of DUMP, RESTORE and MIGRATE: one value with a version and a checksum behind it.
//!
//! Type byte, value, version (u16 little-endian), CRC-64 of everything before it (u64 little-endian). Key and expiry
//! travel beside it.

use super::rdb::RdbError;
use super::rdb::code::{VersionCheck, WRITTEN_VERSION, is_foreign, value_type};
use super::rdb::input::Input;
use super::rdb::read_value::{Loaded, read_value};
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
    out.push(type_of(value));
    push_value(out, value, compress);
    out.extend_from_slice(&WRITTEN_VERSION.to_le_bytes());
    let crc = crc64(0, &out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The value in a payload. It is checked to its last byte first, for it may come from anyone.
pub fn restore(payload: &[u8], limits: &Limits, check: VersionCheck) -> Result<Value, RestoreError> {
    let (body, version) = verify(payload, check).ok_or(RestoreError::Footer)?;
    let format = |error: RdbError| match error {
        RdbError::Unsupported { .. } => RestoreError::Unsupported(error),
        _ => RestoreError::Format(error),
    };
    let mut input = Input::new(body);
    let code = input.byte().map_err(format)?;
    if is_foreign(version) && code >= value_type::HASH_EXPIRY {
        return Err(RestoreError::Foreign(code));
    }
    match read_value(&mut input, code, limits).map_err(format)? {
        Loaded::Value(value) => Ok(value),
        Loaded::Empty => Err(format(input.corrupt("empty collection"))),
    }
}

/// Splits a payload into its body (type byte and value) and version, if footer and checksum are right.
fn verify(payload: &[u8], check: VersionCheck) -> Option<(&[u8], u16)> {
    let (body, footer) = payload.split_last_chunk::<FOOTER>()?;
    let (version, crc) = footer.split_first_chunk::<2>()?;
    let version = u16::from_le_bytes(*version);
    let expected = u64::from_le_bytes(crc.try_into().ok()?);
    let actual = crc64(0, &payload[..body.len() + 2]);
    (check.accepts(version) && expected == actual).then_some((body, version))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
