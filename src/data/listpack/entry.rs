//! One entry of a listpack: how it is written, read in either direction, and checked.

use super::{END, HEADER, MAX_BYTES, UNCOUNTED};
use crate::base::num;
use crate::data::{Corrupt, Item};

/// An element ready to be written: head (encoding and small values), text, back length.
pub(super) struct Entry<'v> {
    head: [u8; 9],
    head_len: usize,
    text: &'v [u8],
}

impl<'v> Entry<'v> {
    pub(super) fn new(item: Item<'v>) -> Entry<'v> {
        match item {
            Item::Int(n) => Entry::int(n),
            Item::Bytes(text) => match num::parse_i64(text) {
                Some(n) => Entry::int(n),
                None => Entry::text(text),
            },
        }
    }

    fn int(n: i64) -> Entry<'v> {
        let mut head = [0; 9];
        let le = n.to_le_bytes();
        let head_len = match n {
            0..=127 => {
                head[0] = n as u8;
                1
            }
            -4096..=4095 => {
                head[0] = 0xc0 | ((n >> 8) & 0x1f) as u8;
                head[1] = n as u8;
                2
            }
            _ => {
                let (first, width) = match n {
                    -0x8000..=0x7fff => (0xf1, 2),
                    -0x80_0000..=0x7f_ffff => (0xf2, 3),
                    -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
                    _ => (0xf4, 8),
                };
                head[0] = first;
                head[1..=width].copy_from_slice(&le[..width]);
                1 + width
            }
        };
        Entry { head, head_len, text: &[] }
    }

    fn text(text: &'v [u8]) -> Entry<'v> {
        let mut head = [0; 9];
        let head_len = match text.len() {
            len @ 0..64 => {
                head[0] = 0x80 | len as u8;
                1
            }
            len @ 64..4096 => {
                head[0] = 0xe0 | (len >> 8) as u8;
                head[1] = len as u8;
                2
            }
            len => {
                head[0] = 0xf0;
                head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                5
            }
        };
        Entry { head, head_len, text }
    }

    fn body(&self) -> usize {
        self.head_len + self.text.len()
    }

    pub(super) fn len(&self) -> usize {
        self.body() + back_width(self.body())
    }

    /// Writes the entry at `at` and returns the offset behind it.
    pub(super) fn write(&self, bytes: &mut [u8], at: usize) -> usize {
        let data = at + self.head_len;
        bytes[at..data].copy_from_slice(&self.head[..self.head_len]);
        let tail = data + self.text.len();
        bytes[data..tail].copy_from_slice(self.text);
        let width = back_width(self.body());
        write_back(&mut bytes[tail..tail + width], self.body());
        tail + width
    }
}

/// Bytes that an element of `len` bytes of text takes at most.
#[must_use]
pub fn entry_bytes(len: usize) -> usize {
    let body = len.saturating_add(if len < 64 { 1 } else { 5 });
    body.saturating_add(back_width(body))
}

/// Bytes of the back length of an entry whose encoding and data take `body` bytes.
fn back_width(body: usize) -> usize {
    match body {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        0x20_0000..=0xfff_ffff => 4,
        _ => 5,
    }
}

/// Groups of seven bits, the highest first; all but the leftmost byte carry the top bit, which tells a reader
/// coming from the right to go on.
fn write_back(out: &mut [u8], body: usize) {
    let mut rest = body;
    for byte in out.iter_mut().rev() {
        *byte = 0x80 | (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out[0] &= 0x7f;
}

/// Bytes of encoding and data of the entry at `at`.
fn body_len(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        0..=0x7f => 1,
        first @ 0x80..=0xbf => 1 + usize::from(first & 0x3f),
        0xc0..=0xdf => 2,
        first @ 0xe0..=0xef => 2 + (usize::from(first & 0xf) << 8 | usize::from(bytes[at + 1])),
        0xf0 => 5 + u32::from_le_bytes(fixed(bytes, at + 1)) as usize,
        0xf1 => 3,
        0xf2 => 4,
        0xf3 => 5,
        0xf4 => 9,
        first => unreachable!("entries are checked before they come in: {first:#x}"),
    }
}

/// The offset behind the entry at `at`.
pub(super) fn skip(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        0..=0x7f => at + 2,
        first @ 0x80..=0xbf => at + 2 + usize::from(first & 0x3f),
        _ => {
            let body = body_len(bytes, at);
            at + body + back_width(body)
        }
    }
}

/// The offset of the entry that ends before `at`.
pub(super) fn back(bytes: &[u8], at: usize) -> usize {
    let mut left = at - 1;
    let mut body = usize::from(bytes[left] & 0x7f);
    let mut shift = 7;
    while bytes[left] & 0x80 != 0 {
        left -= 1;
        body |= usize::from(bytes[left] & 0x7f) << shift;
        shift += 7;
    }
    left - body
}

/// The element at `at` and the offset behind it.
pub(super) fn decode(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let first = bytes[at];
    let item = match first {
        0..=0x7f => return (Item::Int(i64::from(first)), at + 2),
        0x80..=0xbf => {
            let end = at + 1 + usize::from(first & 0x3f);
            return (Item::Bytes(&bytes[at + 1..end]), end + 1);
        }
        // Thirteen bits: shifting them to the top and back extends the sign.
        0xc0..=0xdf => {
            let raw = u16::from_be_bytes([first, bytes[at + 1]]) << 3;
            Item::Int(i64::from(raw as i16 >> 3))
        }
        0xe0..=0xef => Item::Bytes(&bytes[at + 2..at + body_len(bytes, at)]),
        0xf0 => Item::Bytes(&bytes[at + 5..at + body_len(bytes, at)]),
        0xf1 => Item::Int(i64::from(i16::from_le_bytes(fixed(bytes, at + 1)))),
        0xf2 => {
            let [a, b, c] = fixed(bytes, at + 1);
            Item::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8))
        }
        0xf3 => Item::Int(i64::from(i32::from_le_bytes(fixed(bytes, at + 1)))),
        _ => Item::Int(i64::from_le_bytes(fixed(bytes, at + 1))),
    };
    (item, skip(bytes, at))
}

fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}

/// The complete check of bytes that claim to be a listpack.
pub(super) fn check(bytes: &[u8]) -> Result<(), Corrupt> {
    let ensure = |ok: bool, why: &'static str| if ok { Ok(()) } else { Err(Corrupt(why)) };
    ensure(bytes.len() > HEADER, "listpack shorter than its header")?;
    ensure(bytes.len() <= MAX_BYTES, "listpack too large")?;
    ensure(u32::from_le_bytes(fixed(bytes, 0)) as usize == bytes.len(), "listpack size mismatch")?;
    let end = bytes.len() - 1;
    ensure(bytes[end] == END, "listpack without terminator")?;
    let mut at = HEADER;
    let mut count = 0;
    while at != end {
        let head = match bytes[at] {
            0xe0..=0xef => 2,
            0xf0 => 5,
            0xf5..=0xff => return Err(Corrupt("listpack entry of unknown encoding")),
            _ => 1,
        };
        ensure(at + head <= end, "listpack entry beyond the end")?;
        let body = body_len(bytes, at);
        let width = back_width(body);
        ensure(at + body + width <= end, "listpack entry beyond the end")?;
        let mut canonical = [0; 5];
        write_back(&mut canonical[..width], body);
        ensure(bytes[at + body..at + body + width] == canonical[..width], "listpack entry with a wrong back length")?;
        at += body + width;
        count += 1;
    }
    let told = usize::from(u16::from_le_bytes(fixed(bytes, 4)));
    ensure(told == UNCOUNTED || told == count, "listpack count mismatch")
}
