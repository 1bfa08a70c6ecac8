//! One element as a container hands it out: compact encodings keep integers as integers, and most readers
//! only want the text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::base::num;

/// An element borrowed from its container. `Int(7)` and `Bytes(b"7")` are the same element.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

/// Room for the text of an integer element.
pub type Text = itoa::Buffer;

impl<'a> Item<'a> {
    /// The element's text; `room` holds it when the element is kept as an integer.
    #[must_use]
    pub fn text<'t>(&self, room: &'t mut Text) -> &'t [u8]
    where
        'a: 't,
    {
        match *self {
            Item::Int(n) => room.format(n).as_bytes(),
            Item::Bytes(bytes) => bytes,
        }
    }

    #[must_use]
    pub fn eq_bytes(&self, other: &[u8]) -> bool {
        match *self {
            Item::Int(n) => num::parse_i64(other) == Some(n),
            Item::Bytes(bytes) => bytes == other,
        }
    }

    /// Orders by text, byte by byte.
    #[must_use]
    pub fn cmp_bytes(&self, other: &[u8]) -> Ordering {
        self.text(&mut Text::new()).cmp(other)
    }

    /// Appends the element's text.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        match *self {
            Item::Int(n) => num::push_i64(out, n),
            Item::Bytes(bytes) => out.extend_from_slice(bytes),
        }
    }

    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len_as_text());
        self.push_to(&mut out);
        out
    }

    /// Bytes of the element's text.
    #[must_use]
    pub fn len_as_text(&self) -> usize {
        match *self {
            Item::Int(n) => digits(n),
            Item::Bytes(bytes) => bytes.len(),
        }
    }

    /// The element as an integer, if its text is a canonical one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Item::Int(n) => Some(n),
            Item::Bytes(bytes) => num::parse_i64(bytes),
        }
    }
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        match *other {
            Item::Int(n) => self.as_int() == Some(n),
            Item::Bytes(bytes) => self.eq_bytes(bytes),
        }
    }
}

impl Eq for Item<'_> {}

impl<'a> From<&'a [u8]> for Item<'a> {
    fn from(bytes: &'a [u8]) -> Item<'a> {
        Item::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Item<'a> {
    fn from(bytes: &'a [u8; N]) -> Item<'a> {
        Item::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Item<'a> {
    fn from(bytes: &'a Vec<u8>) -> Item<'a> {
        Item::Bytes(bytes)
    }
}

impl From<i64> for Item<'_> {
    fn from(n: i64) -> Self {
        Item::Int(n)
    }
}

/// Whether no two elements are equal.
pub(super) fn all_distinct<'a>(items: impl Iterator<Item = Item<'a>>) -> bool {
    let mut seen = BTreeSet::new();
    for item in items {
        let text = match item {
            Item::Int(_) => Cow::Owned(item.to_vec()),
            Item::Bytes(bytes) => Cow::Borrowed(bytes),
        };
        if !seen.insert(text) {
            return false;
        }
    }
    true
}

/// Bytes of the decimal text of `n`.
pub(super) fn digits(n: i64) -> usize {
    usize::from(n < 0) + n.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_equal_their_text() {
        for n in [0, 1, -1, 9, 10, -10, 99, 100, i64::MAX, i64::MIN] {
            let text = n.to_string();
            let (int, bytes) = (Item::Int(n), Item::Bytes(text.as_bytes()));
            assert_eq!(int, bytes);
            assert_eq!(bytes, int);
            assert_eq!(int.len_as_text(), text.len());
            assert_eq!(int.to_vec(), bytes.to_vec());
            assert_eq!(bytes.as_int(), Some(n));
        }
        assert_ne!(Item::Int(7), Item::Bytes(b"07"));
        assert_eq!(Item::Int(10).cmp_bytes(b"9"), Ordering::Less);
    }
}
