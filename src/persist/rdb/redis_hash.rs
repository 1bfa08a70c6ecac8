//! Hashes whose fields expire, as Redis has them since 7.4: the types 24 and 25 of its data of version 12 and later.
//!
//! Both begin with the earliest expiry (i64 little-endian, wall time). A full hash has its length and then for each field
//! its expiry, the field and the value; the expiry is told as a length, counted from the earliest and one more, 0 for
//! none. A small one is a listpack of field, value and expiry, 0 for none.

use std::io::BufRead;

use super::code::value_type;
use super::error::Result;
use super::input::Input;
use super::output::push_length;
use super::read_value::{Loaded, read_listpack};
use super::write_value::push_item;
use crate::base::Millis;
use crate::data::Limits;
use crate::data::hash::Hash;
use crate::data::value::Value;

/// The version under which such a value is written: the first that has it.
pub const VERSION: u16 = 12;

/// Reads a value of one of the two types.
pub fn read<R: BufRead>(input: &mut Input<R>, code: u8, limits: &Limits) -> Result<Loaded> {
    let earliest = input.i64_le()?;
    let mut hash = Hash::new();
    if code == value_type::REDIS_HASH_PACK {
        let pack = read_listpack(input)?;
        let mut items = pack.iter();
        while let Some(field) = items.next() {
            let (Some(value), Some(expire_at)) = (items.next(), items.next().and_then(|item| item.as_int())) else {
                return Err(input.corrupt("Hash listpack without a value and an expiry for each field"));
            };
            let expire_at = (expire_at > 0).then_some(Millis(expire_at));
            put(input, &mut hash, (&field.to_vec(), &value.to_vec(), expire_at), limits)?;
        }
    } else {
        for _ in 0..input.length()? {
            let expire_at = match input.length()? {
                0 => None,
                after => {
                    let at = i64::try_from(after - 1).ok().and_then(|after| earliest.checked_add(after));
                    Some(Millis(at.ok_or_else(|| input.corrupt("Hash field with an expiry after all time"))?))
                }
            };
            let (field, value) = (input.string()?, input.string()?);
            put(input, &mut hash, (&field, &value, expire_at), limits)?;
        }
    }
    if hash.is_empty() {
        return Ok(Loaded::Empty);
    }
    hash.make_full(limits);
    Ok(Loaded::Value(Value::Hash(hash)))
}

fn put<R: BufRead>(
    input: &Input<R>,
    hash: &mut Hash,
    (field, value, expire_at): (&[u8], &[u8], Option<Millis>),
    limits: &Limits,
) -> Result<()> {
    match hash.put(field, value, expire_at, limits) {
        None => Ok(()),
        Some(_) => Err(input.corrupt("Duplicate hash fields detected")),
    }
}

/// Appends a hash as the full type, without the type byte.
pub fn push(out: &mut Vec<u8>, hash: &Hash, compress: bool) {
    let earliest = hash.first_expiry().map_or(0, |at| at.0);
    out.extend_from_slice(&earliest.to_le_bytes());
    push_length(out, hash.len() as u64);
    for (field, value, expire_at) in hash.iter_with_expiry() {
        push_length(out, expire_at.map_or(0, |at| at.0.abs_diff(earliest) + 1));
        push_item(out, field, compress);
        push_item(out, value, compress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Item;
    use crate::persist::rdb::RdbError;

    fn fields(body: &[u8], code: u8) -> std::result::Result<Vec<(String, String, Option<i64>)>, RdbError> {
        let Loaded::Value(Value::Hash(hash)) = read(&mut Input::new(body), code, &Limits::default())? else {
            return Ok(Vec::new());
        };
        let text = |item: Item<'_>| String::from_utf8(item.to_vec()).unwrap();
        let all = hash.iter_with_expiry();
        let mut all: Vec<_> = all.map(|(field, value, at)| (text(field), text(value), at.map(|at| at.0))).collect();
        all.sort();
        Ok(all)
    }

    #[test]
    fn what_redis_8_writes_is_read() {
        // Cut from a file of Redis 8.2.
        let full = b"\xca\x9f\xf0\x02\xa2\x01\0\0\x03\0\x01k\xc0\x01\x80\0\x0fBL\x01g\x01w\x01\x01f\x01x";
        let at = 0x01a2_02f0_9fca;
        let of = |field: &str, value: &str, at| (field.to_owned(), value.to_owned(), at);
        assert_eq!(
            fields(full, 24).unwrap(),
            [of("f", "x", Some(at)), of("g", "w", Some(at + 1_000_011)), of("k", "1", None)]
        );
        let packed =
            b"\xa7\x9f\xf0\x02\xa2\x01\0\0\x1f\x1f\0\0\0\x06\0\x81f\x02\x81v\x02\xf4\xa7\x9f\xf0\x02\xa2\x01\0\0\x09\
                       \x81g\x02\x81w\x02\0\x01\xff";
        assert_eq!(fields(packed, 25).unwrap(), [of("f", "v", Some(0x01a2_02f0_9fa7)), of("g", "w", None)]);
        for (body, code) in [(&full[..], 24), (packed, 25)] {
            for len in 0..body.len() {
                assert!(fields(&body[..len], code).is_err(), "{code} {len}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut hash = Hash::new();
        for (field, at) in [("a", None), ("b", Some(5000)), ("c", Some(4000))] {
            hash.put(field.as_bytes(), b"value", at.map(Millis), &Limits::default());
        }
        let mut body = Vec::new();
        push(&mut body, &hash, true);
        let found = fields(&body, 24).unwrap();
        assert_eq!(found.iter().map(|(_, _, at)| *at).collect::<Vec<_>>(), [None, Some(5000), Some(4000)]);
    }

    #[test]
    fn damage_is_refused() {
        let twice = b"\0\0\0\0\0\0\0\0\x02\0\x01f\x01v\0\x01f\x01v";
        assert!(matches!(fields(twice, 24), Err(RdbError::Corrupt { .. })));
        let late = b"\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x02\x01f\x01v";
        assert!(matches!(fields(late, 24), Err(RdbError::Corrupt { .. })));
        let odd = b"\0\0\0\0\0\0\0\0\x0a\x0a\0\0\0\x01\0\x81f\x02\xff";
        assert!(matches!(fields(odd, 25), Err(RdbError::Corrupt { .. })));
        assert_eq!(fields(b"\0\0\0\0\0\0\0\0\0", 24).unwrap(), []);
    }
}
