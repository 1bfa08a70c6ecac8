//! Reading zipmaps, the compact form of small hashes before Redis 2.6.
//!
//! One byte count (254 = unknown), pairs, terminator 0xFF. A field: length, bytes. A value: length, one byte that
//! says how many bytes behind the value are unused, bytes, the unused ones. A length: one byte below 254, else
//! a marker byte and a little-endian u32.

const TERMINATOR: u8 = 0xff;
const LONG_LENGTH: u8 = 254;

/// A zipmap that has been checked to its last byte.
#[derive(Clone, Copy, Debug)]
pub struct Zipmap<'a> {
    /// Without count and terminator.
    pairs: &'a [u8],
    len: usize,
}

impl<'a> Zipmap<'a> {
    /// Checks lengths, bounds and the count; an empty zipmap is malformed, since an empty hash never existed.
    #[must_use]
    pub fn parse(blob: &'a [u8]) -> Option<Zipmap<'a>> {
        let (&count, rest) = blob.split_first()?;
        let (&TERMINATOR, pairs) = rest.split_last()? else { return None };
        let (mut rest, mut len) = (pairs, 0usize);
        while !rest.is_empty() {
            (_, rest) = take_pair(rest)?;
            len += 1;
        }
        let counted = count >= LONG_LENGTH || usize::from(count) == len;
        (len > 0 && counted).then_some(Zipmap { pairs, len })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fields with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.pairs;
        std::iter::from_fn(move || {
            let (pair, tail) = take_pair(rest)?;
            rest = tail;
            Some(pair)
        })
    }
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn take_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (field_length, rest) = take_length(bytes)?;
    let (field, rest) = rest.split_at_checked(field_length)?;
    let (value_length, rest) = take_length(rest)?;
    let (&unused, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(value_length)?;
    let rest = rest.get(usize::from(unused)..)?;
    Some(((field, value), rest))
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < LONG_LENGTH {
        return Some((usize::from(first), rest));
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    (length >= u32::from(LONG_LENGTH)).then_some((length as usize, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_with_unused_bytes_and_long_values() {
        let mut blob = b"\x02\x01a\x02\x03xy...\x03foo\xfe".to_vec();
        blob.extend_from_slice(&300u32.to_le_bytes());
        blob.push(0);
        blob.extend_from_slice(&[b'v'; 300]);
        blob.push(TERMINATOR);
        let map = Zipmap::parse(&blob).unwrap();
        assert_eq!(map.len(), 2);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"xy"[..]), (b"foo", &[b'v'; 300])]);
        for len in 0..blob.len() {
            assert!(Zipmap::parse(&blob[..len]).is_none());
        }
    }

    #[test]
    fn malformed() {
        for blob in [
            &b""[..],
            b"\xff",
            b"\x00\xff",                               // no pair
            b"\x02\x01a\x01\x00b\xff",                 // one pair where two are announced
            b"\x01\x01a\x01\x05b\xff",                 // unused bytes beyond the end
            b"\x01\xfe\x01\x00\x00\x00a\x01\x00b\xff", // a short length in the long form
            b"\x01\xfe\xff\xff\xff\xffa\x01\x00b\xff", // a length beyond the end
            b"\x01\x01a\x01\x00b\xfe",                 // no terminator
        ] {
            assert!(Zipmap::parse(blob).is_none(), "{blob:?}");
        }
        assert!(Zipmap::parse(b"\xfe\x01a\x01\x00b\xff").is_some());
    }

    proptest! {
        #[test]
        fn noise_never_panics(blob in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..60)) {
            if let Some(map) = Zipmap::parse(&blob) {
                prop_assert_eq!(map.iter().count(), map.len());
            }
        }
    }
}
