//! Where things are in an entry.

use std::alloc::Layout;

use crate::data::hash::Hash;
use crate::data::list::List;
use crate::data::set::Set;
use crate::data::zset::ZSet;

pub(super) const FORM: u8 = 0x0f;
pub(super) const HAS_EXPIRY: u8 = 0x10;
pub(super) const LONG_KEY: u8 = 0x20;
pub(super) const TAGS: usize = 0x40;

pub(super) const ACCESS_AT: usize = 1;
pub(super) const KEY_LEN_AT: usize = 4;
const ALIGNED_AT: usize = 8;
pub(super) const EXPIRY_BYTES: usize = 8;
const GRANULE: usize = 16;

/// Access stamps have 24 bits.
pub const ACCESS_MAX: u32 = (1 << 24) - 1;

/// How the value is stored: the low bits of the tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Form {
    Int,
    Embedded,
    Raw,
    List,
    Set,
    Hash,
    ZSet,
    Stream,
}

impl Form {
    pub(super) const ALL: [Form; 8] =
        [Form::Int, Form::Embedded, Form::Raw, Form::List, Form::Set, Form::Hash, Form::ZSet, Form::Stream];
}

const COLLECTIONS_ARE_WORDS: () =
    assert!(size_of::<List>() == 8 && size_of::<Set>() == 8 && size_of::<Hash>() == 8 && size_of::<ZSet>() == 8);

/// Where the payload and the key begin, for every tag.
pub(super) const PLACES: [(u8, u8); TAGS] = {
    let () = COLLECTIONS_ARE_WORDS;
    let mut places = [(0, 0); TAGS];
    let mut tag = 0;
    while tag < TAGS as u8 {
        if ((tag & FORM) as usize) < Form::ALL.len() {
            let form = Form::ALL[(tag & FORM) as usize];
            let after_key_len = if tag & LONG_KEY != 0 { KEY_LEN_AT + 4 } else { KEY_LEN_AT + 1 };
            let (payload_at, payload_bytes) = match form {
                Form::Embedded => (after_key_len, 1),
                Form::Raw => (ALIGNED_AT, size_of::<Vec<u8>>()),
                Form::Int => (after_key_len, 8),
                _ => (ALIGNED_AT, 8),
            };
            let expiry_bytes = if tag & HAS_EXPIRY != 0 { EXPIRY_BYTES } else { 0 };
            places[tag as usize] = (payload_at as u8, (payload_at + payload_bytes + expiry_bytes) as u8);
        }
        tag += 1;
    }
    places
};

/// Whether a string of `len` bytes is embedded in an entry: OBJECT ENCODING shows it, so the rule is part of the
/// behaviour of the server (8 bytes of header, the key and the string with their own small headers, 128 in all).
#[must_use]
pub fn embeds(key_len: usize, len: usize, has_expiry: bool) -> bool {
    let key_header = match key_len {
        0..=31 => 3,
        32..=255 => 5,
        _ => return false,
    };
    8 + key_len + key_header + (if has_expiry { 8 } else { 0 }) + len.saturating_add(4) <= 128
}

pub(super) fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.next_multiple_of(GRANULE), 8).expect("an entry is smaller than the address space")
}
