//! Reading ziplists, the compact form of small lists, hashes and sorted sets before Redis 7.
//!
//! Header: total bytes (u32), offset of the last entry (u32), count (u16, 65535 = unknown), all little-endian. An
//! entry: size of the previous entry (1 byte, or 0xFE and a u32), encoding, data. Terminator: 0xFF.

use crate::data::Item;

const HEADER: usize = 10;
const TERMINATOR: u8 = 0xff;
const UNKNOWN_COUNT: u16 = u16::MAX;

/// A ziplist that has been checked to its last byte.
#[derive(Clone, Copy, Debug)]
pub struct Ziplist<'a> {
    /// Without header and terminator.
    entries: &'a [u8],
    len: usize,
}

impl<'a> Ziplist<'a> {
    /// Checks everything that can be checked: sizes, links backwards, tail offset, count.
    #[must_use]
    pub fn parse(blob: &'a [u8]) -> Option<Ziplist<'a>> {
        let (header, body) = blob.split_at_checked(HEADER)?;
        let (&TERMINATOR, entries) = body.split_last()? else { return None };
        let total = u32_le(header, 0)? as usize;
        let tail = u32_le(header, 4)? as usize;
        let count = u16::from_le_bytes(header[8..10].try_into().ok()?);
        if total != blob.len() {
            return None;
        }
        let (mut at, mut previous, mut last, mut len) = (0, 0, 0, 0usize);
        while at < entries.len() {
            let entry = Entry::decode(&entries[at..])?;
            if entry.previous != previous {
                return None;
            }
            previous = entry.size;
            last = at;
            at += entry.size;
            len += 1;
        }
        let counted = count == UNKNOWN_COUNT || usize::from(count) == len;
        (tail == HEADER + last && counted).then_some(Ziplist { entries, len })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let mut rest = self.entries;
        std::iter::from_fn(move || {
            let entry = Entry::decode(rest)?;
            rest = &rest[entry.size..];
            Some(entry.element)
        })
    }
}

struct Entry<'a> {
    previous: usize,
    size: usize,
    element: Item<'a>,
}

impl<'a> Entry<'a> {
    /// The entry at the head of `bytes`, if it lies within them.
    fn decode(bytes: &'a [u8]) -> Option<Entry<'a>> {
        let (previous, link) = match *bytes.first()? {
            TERMINATOR => return None,
            0xfe => (u32_le(bytes, 1)? as usize, 5),
            short => (usize::from(short), 1),
        };
        let body = &bytes[link..];
        let (element, used) = decode_element(body)?;
        Some(Entry { previous, size: link + used, element })
    }
}

/// The element at the head of `body`, and the bytes it takes.
fn decode_element(body: &[u8]) -> Option<(Item<'_>, usize)> {
    let int = |width: usize| {
        let bytes = body.get(1..1 + width)?;
        Some((Item::Int(sign_extended(bytes)), 1 + width))
    };
    match *body.first()? {
        b @ 0..=0x3f => text(body, 1, usize::from(b)),
        b @ 0x40..=0x7f => text(body, 2, usize::from(b & 0x3f) << 8 | usize::from(*body.get(1)?)),
        0x80..=0xbf => text(body, 5, u32::from_be_bytes(body.get(1..5)?.try_into().ok()?) as usize),
        0xc0 => int(2),
        0xd0 => int(4),
        0xe0 => int(8),
        0xf0 => int(3),
        0xfe => int(1),
        b @ 0xf1..=0xfd => Some((Item::Int(i64::from(b & 0x0f) - 1), 1)),
        _ => None,
    }
}

fn text(body: &[u8], header: usize, length: usize) -> Option<(Item<'_>, usize)> {
    let end = header.checked_add(length)?;
    Some((Item::Bytes(body.get(header..end)?), end))
}

/// A little-endian two's complement integer of up to eight bytes.
fn sign_extended(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len();
    let value = bytes.iter().rev().fold(0u64, |value, &b| value << 8 | u64::from(b));
    ((value << unused) as i64) >> unused
}

fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds a ziplist the way old servers did, to read it back.
    pub(crate) fn build(elements: &[Item<'_>]) -> Vec<u8> {
        let mut entries = Vec::new();
        let (mut previous, mut last) = (0, 0);
        for element in elements {
            last = entries.len();
            if previous < 254 {
                entries.push(previous as u8);
            } else {
                entries.push(0xfe);
                entries.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            match *element {
                Item::Bytes(t) => {
                    match t.len() {
                        n @ 0..=63 => entries.push(n as u8),
                        n @ 64..=16383 => entries.extend_from_slice(&(0x4000 | n as u16).to_be_bytes()),
                        n => {
                            entries.push(0x80);
                            entries.extend_from_slice(&(n as u32).to_be_bytes());
                        }
                    }
                    entries.extend_from_slice(t);
                }
                Item::Int(i @ 0..=12) => entries.push(0xf1 + i as u8),
                Item::Int(i) => {
                    let (code, width) = match i {
                        -0x80..=0x7f => (0xfe, 1),
                        -0x8000..=0x7fff => (0xc0, 2),
                        -0x80_0000..=0x7f_ffff => (0xf0, 3),
                        -0x8000_0000..=0x7fff_ffff => (0xd0, 4),
                        _ => (0xe0, 8),
                    };
                    entries.push(code);
                    entries.extend_from_slice(&i.to_le_bytes()[..width]);
                }
            }
            previous = entries.len() - last;
        }
        let mut blob = Vec::new();
        blob.extend_from_slice(&((HEADER + entries.len() + 1) as u32).to_le_bytes());
        blob.extend_from_slice(&((HEADER + last) as u32).to_le_bytes());
        blob.extend_from_slice(&u16::try_from(elements.len()).unwrap_or(UNKNOWN_COUNT).to_le_bytes());
        blob.extend_from_slice(&entries);
        blob.push(TERMINATOR);
        blob
    }

    fn any_elements() -> impl Strategy<Value = Vec<Result<Vec<u8>, i64>>> {
        let int =
            prop_oneof![-5i64..20, any::<i8>().prop_map(i64::from), any::<i32>().prop_map(i64::from), any::<i64>()];
        let text = prop_oneof![4 => 0usize..80, 1 => 200usize..300, 1 => 16000usize..17000].prop_map(|n| vec![b'x'; n]);
        prop::collection::vec(prop_oneof![text.prop_map(Ok), int.prop_map(Err)], 0..30)
    }

    #[test]
    fn integers_of_every_width() {
        let ints = [0, 12, 13, -1, 127, -128, 128, 32767, -32768, 32768, -8_388_608, 8_388_608, i64::MIN, i64::MAX];
        let elements: Vec<_> = ints.into_iter().map(Item::Int).collect();
        let blob = build(&elements);
        assert_eq!(Ziplist::parse(&blob).unwrap().iter().collect::<Vec<_>>(), elements);
    }

    #[test]
    fn a_wrong_byte_in_the_frame_is_noticed() {
        let good = build(&[Item::Bytes(b"ab"), Item::Int(5)]);
        assert_eq!(Ziplist::parse(&good).unwrap().len(), 2);
        for (at, name) in [(0, "total"), (4, "tail"), (8, "count"), (10, "first link"), (14, "link")] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Ziplist::parse(&bad).is_none(), "{name}");
        }
        for len in 0..good.len() {
            assert!(Ziplist::parse(&good[..len]).is_none());
        }
    }

    proptest! {
        #[test]
        fn elements_come_back(elements in any_elements()) {
            let elements: Vec<_> = elements
                .iter()
                .map(|e| match e { Ok(t) => Item::Bytes(t), Err(i) => Item::Int(*i) })
                .collect();
            let blob = build(&elements);
            let list = Ziplist::parse(&blob).unwrap();
            prop_assert_eq!(list.len(), elements.len());
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), elements);
        }

        #[test]
        fn mutations_never_panic(elements in any_elements(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let elements: Vec<_> = elements
                .iter()
                .map(|e| match e { Ok(t) => Item::Bytes(t), Err(i) => Item::Int(*i) })
                .collect();
            let mut blob = build(&elements);
            let at = at.index(blob.len());
            blob[at] = byte;
            if let Some(list) = Ziplist::parse(&blob) {
                prop_assert_eq!(list.iter().count(), list.len());
            }
        }
    }
}
