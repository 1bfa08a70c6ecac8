//! Hash slots: CRC16 of the key, or of its hash tag, modulo 16384.

use std::fmt;
use std::sync::LazyLock;

use super::glob;

/// Number of hash slots of a cluster.
pub const SLOTS: usize = 16384;

/// One hash slot, always below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// The slot with this number, if there is one.
    #[must_use]
    pub fn new(n: u16) -> Option<Slot> {
        (usize::from(n) < SLOTS).then_some(Slot(n))
    }

    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All slots in ascending order.
    pub fn all() -> impl DoubleEndedIterator<Item = Slot> + ExactSizeIterator {
        (0..SLOTS as u16).map(Slot)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of `key` that is hashed: the bytes between the first `{` and the first `}` after it, if
/// there are any, else the whole key.
#[must_use]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    if let Some(open) = key.iter().position(|&b| b == b'{') {
        let rest = &key[open + 1..];
        if let Some(close) = rest.iter().position(|&b| b == b'}')
            && close > 0
        {
            return &rest[..close];
        }
    }
    key
}

/// A short hash tag for every slot.
static TAGS: LazyLock<Vec<[u8; TAG_MAX]>> = LazyLock::new(find_tags);

/// Bytes of the longest of them; shorter ones are padded with zeros.
const TAG_MAX: usize = 3;

/// The shortest alphanumeric texts, in ascending order, that hash to each slot.
fn find_tags() -> Vec<[u8; TAG_MAX]> {
    let alphabet = || (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z');
    let mut tags = vec![[0; TAG_MAX]; SLOTS];
    let mut offer = |tag: [u8; TAG_MAX], len: usize| {
        let place = &mut tags[key_slot(&tag[..len]).index()];
        if place[0] == 0 {
            *place = tag;
        }
    };
    alphabet().for_each(|a| offer([a, 0, 0], 1));
    alphabet().for_each(|a| alphabet().for_each(|b| offer([a, b, 0], 2)));
    alphabet().for_each(|a| alphabet().for_each(|b| alphabet().for_each(|c| offer([a, b, c], 3))));
    tags
}

/// A text of at most three letters and digits that hashes to `slot`.
#[must_use]
pub fn tag_of(slot: Slot) -> &'static str {
    let tag = &TAGS[slot.index()];
    let len = tag.iter().position(|b| *b == 0).unwrap_or(TAG_MAX);
    std::str::from_utf8(&tag[..len]).unwrap_or_default()
}

/// The slot a key lives in.
#[must_use]
pub fn key_slot(key: &[u8]) -> Slot {
    Slot(crc16::State::<crc16::XMODEM>::calculate(hash_tag(key)) & (SLOTS as u16 - 1))
}

/// The one slot in which keys that match `pattern` can be: its hash tag is without wildcards, and so is everything
/// before it.
#[must_use]
pub fn pattern_slot(pattern: &[u8]) -> Option<Slot> {
    let tag = hash_tag(pattern);
    if tag.len() == pattern.len() {
        return glob::is_literal(pattern).then(|| key_slot(pattern));
    }
    let tag_ends = pattern.iter().position(|&b| b == b'{')? + tag.len() + 2;
    glob::is_literal(&pattern[..tag_ends]).then(|| key_slot(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_slots() {
        assert_eq!(crc16::State::<crc16::XMODEM>::calculate(b"123456789"), 0x31C3);
        assert_eq!(key_slot(b"foo").get(), 12182);
        assert_eq!(key_slot(b"{foo}bar"), key_slot(b"foo"));
        assert_eq!(key_slot(b"a{foo}{bar}"), key_slot(b"foo"));
        assert_eq!(hash_tag(b"{}foo"), b"{}foo");
        assert_eq!(hash_tag(b"foo{bar"), b"foo{bar");
        assert_eq!(hash_tag(b"foo{{bar}}"), b"{bar");
    }

    #[test]
    fn every_slot_has_a_short_tag() {
        for slot in Slot::all() {
            let tag = tag_of(slot);
            assert!((1..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()), "{tag}");
            assert_eq!(key_slot(tag.as_bytes()), slot);
        }
    }

    #[test]
    fn a_tag_without_wildcards_names_the_slot() {
        for (pattern, key) in [
            ("{user}*", Some("user")),
            ("a{user}:*", Some("user")),
            ("{user}", Some("user")),
            ("plain", Some("plain")),
            ("*{user}", None),
            ("{us?r}*", None),
            ("{}*", None),
            ("user*", None),
            ("{user*", None),
            ("a\\{user}*", None),
        ] {
            assert_eq!(pattern_slot(pattern.as_bytes()), key.map(|key| key_slot(key.as_bytes())), "{pattern}");
        }
    }
}
