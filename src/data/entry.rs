//! A key with its value: what the tables of the keyspace hold.
//!
//! One allocation holds everything a lookup needs, so that a GET touches one bucket and one entry:
//!
//! ```text
//! tag 1 | access stamp 3 | key length 1 or 4 | payload | expiry 0 or 8 | key | embedded string
//! ```
//!
//! The tag says the form of the value and which optional parts there are. The payload is, by form: the number (8
//! bytes), the length of the embedded string (1 byte), the buffer of a raw string (a `Vec`, 24 bytes, at offset 8), or
//! the address of a boxed collection (8 bytes). Fields are not aligned, but for the `Vec`: at these sizes padding would
//! cost more than it gains. Allocations are rounded up to the granule of the allocator, which makes room for
//! overwriting a string by one of nearly the same length.
#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use super::alloc::size_class;
use super::dict::{Keyed, prefetch};
use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::value::{Encoding, Kind, Value, ValueMut, ValueRef, int_of};
use super::zset::ZSet;
use crate::base::Millis;

const FORM: u8 = 0x0f;
const HAS_EXPIRY: u8 = 0x10;
const LONG_KEY: u8 = 0x20;
const TAGS: usize = 0x40;

const ACCESS_AT: usize = 1;
const KEY_LEN_AT: usize = 4;
const RAW_AT: usize = 8;
const EXPIRY_BYTES: usize = 8;
const GRANULE: usize = 16;

/// Access stamps have 24 bits.
pub const ACCESS_MAX: u32 = (1 << 24) - 1;

/// How the value is stored: the low bits of the tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Form {
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
    const ALL: [Form; 8] =
        [Form::Int, Form::Embedded, Form::Raw, Form::List, Form::Set, Form::Hash, Form::ZSet, Form::Stream];
}

/// Where the payload and the key begin, for every tag.
const PLACES: [(u8, u8); TAGS] = {
    let mut places = [(0, 0); TAGS];
    let mut tag = 0;
    while tag < TAGS as u8 {
        if ((tag & FORM) as usize) < Form::ALL.len() {
            let form = Form::ALL[(tag & FORM) as usize];
            let after_key_len = if tag & LONG_KEY != 0 { KEY_LEN_AT + 4 } else { KEY_LEN_AT + 1 };
            let (payload_at, payload_bytes) = match form {
                Form::Embedded => (after_key_len, 1),
                Form::Raw => (RAW_AT, size_of::<Vec<u8>>()),
                _ => (after_key_len, 8),
            };
            let expiry_bytes = if tag & HAS_EXPIRY != 0 { EXPIRY_BYTES } else { 0 };
            places[tag as usize] = (payload_at as u8, (payload_at + payload_bytes + expiry_bytes) as u8);
        }
        tag += 1;
    }
    places
};

/// An owned key with its value, and perhaps the time when it expires.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns what it points to, and all of that can be sent.
unsafe impl Send for Entry {}

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

impl Entry {
    /// Stores `value` in the form that is right for it; short strings are copied.
    #[must_use]
    pub fn new(key: &[u8], value: Value, expire_at: Option<Millis>) -> Entry {
        match value {
            Value::Int(n) => Self::with_payload(key, Form::Int, expire_at, n),
            Value::Bytes(bytes) if embeds(key.len(), bytes.len(), expire_at.is_some()) => {
                Self::embedding(key, &bytes, expire_at)
            }
            Value::Bytes(bytes) => Self::with_payload(key, Form::Raw, expire_at, bytes),
            Value::List(list) => Self::with_payload(key, Form::List, expire_at, list),
            Value::Set(set) => Self::with_payload(key, Form::Set, expire_at, set),
            Value::Hash(hash) => Self::with_payload(key, Form::Hash, expire_at, hash),
            Value::ZSet(zset) => Self::with_payload(key, Form::ZSet, expire_at, zset),
            Value::Stream(stream) => Self::with_payload(key, Form::Stream, expire_at, stream),
        }
    }

    /// A string entry, as `Entry::new(key, Value::from_bytes(text), …)` makes it, with fewer copies.
    #[must_use]
    pub fn from_text(key: &[u8], text: &[u8], expire_at: Option<Millis>) -> Entry {
        if let Some(n) = int_of(text) {
            Self::with_payload(key, Form::Int, expire_at, n)
        } else if embeds(key.len(), text.len(), expire_at.is_some()) {
            Self::embedding(key, text, expire_at)
        } else {
            Self::with_payload(key, Form::Raw, expire_at, text.to_vec())
        }
    }

    fn with_payload<P>(key: &[u8], form: Form, expire_at: Option<Millis>, payload: P) -> Entry {
        let entry = Self::allocate(key, form, expire_at, 0);
        // SAFETY: the payload of this form has this type (all callers are in this file), and its place is empty.
        unsafe { entry.payload::<P>().write_unaligned(payload) };
        entry
    }

    fn embedding(key: &[u8], text: &[u8], expire_at: Option<Millis>) -> Entry {
        let mut entry = Self::allocate(key, Form::Embedded, expire_at, text.len());
        // SAFETY: `text.len()` bytes were allocated behind the key; the length fits as only short strings are embedded.
        unsafe {
            entry.payload::<u8>().write(text.len() as u8);
            entry.set_embedded(text);
        }
        entry
    }

    /// An entry with everything but its payload, which the caller writes next.
    fn allocate(key: &[u8], form: Form, expire_at: Option<Millis>, embedded_len: usize) -> Entry {
        let long = u8::try_from(key.len()).is_err();
        let tag = form as u8 | if long { LONG_KEY } else { 0 } | if expire_at.is_some() { HAS_EXPIRY } else { 0 };
        let key_at = usize::from(PLACES[usize::from(tag)].1);
        let layout = layout(key_at + key.len() + embedded_len);
        // SAFETY: the size is not 0. All writes are inside of it: the parts were added up just above.
        unsafe {
            let start = alloc::alloc(layout);
            if start.is_null() {
                alloc::handle_alloc_error(layout);
            }
            start.cast::<u32>().write(u32::from(tag).to_le());
            if long {
                let len = u32::try_from(key.len()).expect("keys are shorter than 4 GiB");
                start.add(KEY_LEN_AT).cast::<u32>().write(len);
            } else {
                start.add(KEY_LEN_AT).write(key.len() as u8);
            }
            if let Some(at) = expire_at {
                start.add(key_at - EXPIRY_BYTES).cast::<i64>().write_unaligned(at.0);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), start.add(key_at), key.len());
            Entry(NonNull::new_unchecked(start))
        }
    }

    #[inline]
    fn tag(&self) -> u8 {
        // SAFETY: an entry always has its header.
        unsafe { self.0.read() }
    }

    #[inline]
    fn form(&self) -> Form {
        Form::ALL[usize::from(self.tag() & FORM)]
    }

    #[inline]
    fn key_at(&self) -> usize {
        usize::from(PLACES[usize::from(self.tag()) % TAGS].1)
    }

    #[inline]
    fn key_len(&self) -> usize {
        // SAFETY: the length stands here, in one byte or four as the tag says; four are aligned.
        unsafe {
            let at = self.0.add(KEY_LEN_AT);
            if self.tag() & LONG_KEY != 0 { at.cast::<u32>().read() as usize } else { usize::from(at.read()) }
        }
    }

    /// The payload's address; `P` is its type by form.
    #[inline]
    fn payload<P>(&self) -> NonNull<P> {
        let at = usize::from(PLACES[usize::from(self.tag()) % TAGS].0);
        // SAFETY: the payload is inside the allocation.
        unsafe { self.0.add(at).cast() }
    }

    fn embedded_len(&self) -> usize {
        if self.form() == Form::Embedded {
            // SAFETY: an embedded string's payload is its length.
            usize::from(unsafe { self.payload::<u8>().read() })
        } else {
            0
        }
    }

    fn bytes(&self) -> usize {
        self.key_at() + self.key_len() + self.embedded_len()
    }

    /// # Safety
    /// The string is embedded, as long as the payload says, and that was allocated for.
    unsafe fn set_embedded(&mut self, text: &[u8]) {
        // SAFETY: as above.
        unsafe {
            let at = self.0.add(self.key_at() + self.key_len());
            ptr::copy_nonoverlapping(text.as_ptr(), at.as_ptr(), text.len());
        }
    }

    #[inline]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the key stands here, and is never changed.
        unsafe { std::slice::from_raw_parts(self.0.add(self.key_at()).as_ptr(), self.key_len()) }
    }

    #[inline]
    #[must_use]
    pub fn value(&self) -> ValueRef<'_> {
        // SAFETY: by form, the payload has the type it is read as; boxes and buffers are borrowed as long as the entry.
        unsafe {
            match self.form() {
                Form::Int => ValueRef::Int(self.payload::<i64>().read_unaligned()),
                Form::Embedded => {
                    let at = self.0.add(self.key_at() + self.key_len());
                    let len = usize::from(self.payload::<u8>().read());
                    ValueRef::Bytes(std::slice::from_raw_parts(at.as_ptr(), len))
                }
                Form::Raw => ValueRef::Bytes(self.payload::<Vec<u8>>().as_ref()),
                Form::List => ValueRef::List(self.payload::<NonNull<List>>().read_unaligned().as_ref()),
                Form::Set => ValueRef::Set(self.payload::<NonNull<Set>>().read_unaligned().as_ref()),
                Form::Hash => ValueRef::Hash(self.payload::<NonNull<Hash>>().read_unaligned().as_ref()),
                Form::ZSet => ValueRef::ZSet(self.payload::<NonNull<ZSet>>().read_unaligned().as_ref()),
                Form::Stream => ValueRef::Stream(self.payload::<NonNull<Stream>>().read_unaligned().as_ref()),
            }
        }
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.form() {
            Form::Int | Form::Embedded | Form::Raw => Kind::String,
            Form::List => Kind::List,
            Form::Set => Kind::Set,
            Form::Hash => Kind::Hash,
            Form::ZSet => Kind::ZSet,
            Form::Stream => Kind::Stream,
        }
    }

    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.value().collection_encoding().unwrap_or(match self.form() {
            Form::Int => Encoding::Int,
            Form::Embedded => Encoding::Embstr,
            _ => Encoding::Raw,
        })
    }

    /// Wall time at which the key is gone.
    #[inline]
    #[must_use]
    pub fn expire_at(&self) -> Option<Millis> {
        if self.tag() & HAS_EXPIRY == 0 {
            return None;
        }
        // SAFETY: the tag says that the expiry stands before the key.
        Some(Millis(unsafe { self.0.add(self.key_at() - EXPIRY_BYTES).cast::<i64>().read_unaligned() }))
    }

    /// The 24-bit stamp for LRU or LFU; 0 in a new entry.
    #[inline]
    #[must_use]
    pub fn access(&self) -> u32 {
        // SAFETY: the header's first word is aligned.
        unsafe { self.0.cast::<u32>().read() }.to_le() >> (8 * ACCESS_AT)
    }

    /// Sets the stamp (its low 24 bits). Reading a key counts as access too, so this needs no exclusive hold: an entry
    /// cannot be shared between threads, and nothing refers to these bytes.
    #[inline]
    pub fn set_access(&self, stamp: u32) {
        let word = u32::from(self.tag()) | stamp << (8 * ACCESS_AT);
        // SAFETY: the header's first word is aligned and ours; no reference to it exists, only copies are read.
        unsafe { self.0.cast::<u32>().write(word.to_le()) };
    }

    /// Changes the number in place. Returns false, and does nothing, if the value is not stored as a number.
    pub fn set_int(&mut self, n: i64) -> bool {
        if self.form() != Form::Int {
            return false;
        }
        // SAFETY: a number's payload is an `i64`.
        unsafe { self.payload::<i64>().write_unaligned(n) };
        true
    }

    /// The buffer of a string, which is made a raw one if it is not yet; absent if the value is not a string.
    /// May move the entry to other memory.
    pub fn make_raw(&mut self) -> Option<&mut Vec<u8>> {
        let text = match (self.form(), self.value()) {
            (Form::Raw, _) => None,
            (_, ValueRef::Int(n)) => Some(itoa::Buffer::new().format(n).as_bytes().to_vec()),
            (_, ValueRef::Bytes(bytes)) => Some(bytes.to_vec()),
            _ => return None,
        };
        if let Some(text) = text {
            let raw = Self::with_payload(self.key(), Form::Raw, self.expire_at(), text);
            raw.set_access(self.access());
            *self = raw;
        }
        // SAFETY: the form is raw, so the payload is a `Vec`, aligned; it is borrowed with the entry.
        Some(unsafe { self.payload::<Vec<u8>>().as_mut() })
    }

    /// A collection held for change, where it is.
    pub fn collection_mut(&mut self) -> ValueMut<'_> {
        // SAFETY: by form, the payload is the box it is read as; it is borrowed exclusively with the entry.
        unsafe {
            match self.form() {
                Form::Int | Form::Embedded | Form::Raw => ValueMut::String,
                Form::List => ValueMut::List(self.payload::<NonNull<List>>().read_unaligned().as_mut()),
                Form::Set => ValueMut::Set(self.payload::<NonNull<Set>>().read_unaligned().as_mut()),
                Form::Hash => ValueMut::Hash(self.payload::<NonNull<Hash>>().read_unaligned().as_mut()),
                Form::ZSet => ValueMut::ZSet(self.payload::<NonNull<ZSet>>().read_unaligned().as_mut()),
                Form::Stream => ValueMut::Stream(self.payload::<NonNull<Stream>>().read_unaligned().as_mut()),
            }
        }
    }

    /// Sets another time, or none. May move the entry to other memory if there was none before, or there is none now.
    pub fn set_expire_at(&mut self, expire_at: Option<Millis>) {
        match expire_at {
            // SAFETY: the tag says that the expiry stands before the key.
            Some(at) if self.tag() & HAS_EXPIRY != 0 => unsafe {
                self.0.add(self.key_at() - EXPIRY_BYTES).cast::<i64>().write_unaligned(at.0);
            },
            None if self.tag() & HAS_EXPIRY == 0 => {}
            _ => self.rebuild(expire_at),
        }
    }

    /// Moves everything to new memory with or without an expiry. A string that no longer fits becomes a raw one; a raw
    /// one stays raw.
    fn rebuild(&mut self, expire_at: Option<Millis>) {
        let access = self.access();
        let form = self.form();
        let entry = match self.value() {
            ValueRef::Bytes(text)
                if form == Form::Embedded && embeds(self.key_len(), text.len(), expire_at.is_some()) =>
            {
                Self::embedding(self.key(), text, expire_at)
            }
            ValueRef::Bytes(text) if form == Form::Embedded => {
                Self::with_payload(self.key(), Form::Raw, expire_at, text.to_vec())
            }
            _ if form == Form::Raw => {
                // SAFETY: the payload of this form is a `Vec`; an empty one takes its place.
                let buffer = mem::take(unsafe { self.payload::<Vec<u8>>().as_mut() });
                Self::with_payload(self.key(), Form::Raw, expire_at, buffer)
            }
            _ => {
                let mut entry = Self::allocate(self.key(), form, expire_at, 0);
                // SAFETY: both have the same form, whose payload is eight bytes: a number or a box, which moves over.
                unsafe { ptr::copy_nonoverlapping(self.payload::<u8>().as_ptr(), entry.payload().as_ptr(), 8) };
                mem::swap(self, &mut entry);
                ManuallyDrop::new(entry).free_memory();
                self.set_access(access);
                return;
            }
        };
        entry.set_access(access);
        *self = entry;
    }

    /// Overwrites the value by a string where it is, if the form and the memory allow that and an expiry is neither
    /// added nor taken away. Returns false, and changes nothing, otherwise. The result is stored as
    /// [`Entry::from_text`] would store it.
    pub fn overwrite_text(&mut self, text: &[u8], expire_at: Option<Millis>) -> bool {
        if expire_at.is_some() != (self.tag() & HAS_EXPIRY != 0) {
            return false;
        }
        let int = int_of(text);
        let embeds = int.is_none() && embeds(self.key_len(), text.len(), expire_at.is_some());
        match (self.form(), int) {
            (Form::Int, Some(n)) => {
                self.set_int(n);
            }
            (Form::Embedded, None) if embeds => {
                let head = self.key_at() + self.key_len();
                if layout(head + text.len()) != layout(self.bytes()) {
                    return false;
                }
                // SAFETY: the memory is as large as this string needs, and its length fits one byte.
                unsafe {
                    self.payload::<u8>().write(text.len() as u8);
                    self.set_embedded(text);
                }
            }
            (Form::Raw, None) if !embeds => {
                // SAFETY: the payload of this form is a `Vec`, aligned.
                let buffer = unsafe { self.payload::<Vec<u8>>().as_mut() };
                if buffer.capacity() < text.len() || buffer.capacity() / 2 > text.len() {
                    *buffer = text.to_vec();
                } else {
                    buffer.clear();
                    buffer.extend_from_slice(text);
                }
            }
            _ => return false,
        }
        self.set_expire_at(expire_at);
        true
    }

    /// Takes the value out.
    #[must_use]
    pub fn into_value(self) -> Value {
        let value = if self.form() == Form::Embedded {
            match self.value() {
                ValueRef::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
                _ => unreachable!("an embedded value is a string"),
            }
        } else {
            // SAFETY: the payload is moved out once: the entry is not dropped below, its memory is just freed.
            unsafe { self.read_payload() }
        };
        ManuallyDrop::new(self).free_memory();
        value
    }

    /// # Safety
    /// The value is not embedded, and its payload is not used any more.
    unsafe fn read_payload(&self) -> Value {
        // SAFETY: by form, the payload has the type it is read as; boxes were written as boxes.
        unsafe {
            match self.form() {
                Form::Int | Form::Embedded => Value::Int(self.payload::<i64>().read_unaligned()),
                Form::Raw => Value::Bytes(self.payload::<Vec<u8>>().read()),
                Form::List => Value::List(self.payload::<Box<List>>().read_unaligned()),
                Form::Set => Value::Set(self.payload::<Box<Set>>().read_unaligned()),
                Form::Hash => Value::Hash(self.payload::<Box<Hash>>().read_unaligned()),
                Form::ZSet => Value::ZSet(self.payload::<Box<ZSet>>().read_unaligned()),
                Form::Stream => Value::Stream(self.payload::<Box<Stream>>().read_unaligned()),
            }
        }
    }

    /// Frees the entry's own memory, not what its payload owns. The entry is not used after that (all callers hold the
    /// last trace of it in a `ManuallyDrop`, or are its destructor).
    fn free_memory(&self) {
        // SAFETY: allocated with this layout.
        unsafe { alloc::dealloc(self.0.as_ptr(), layout(self.bytes())) };
    }

    /// Bytes of the entry with its key and value, as the allocator counts them.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        let outside = if self.form() == Form::Raw {
            // SAFETY: the payload of this form is a `Vec`, aligned.
            size_class(unsafe { self.payload::<Vec<u8>>().as_ref() }.capacity())
        } else {
            self.value().collection_bytes()
        };
        size_class(self.bytes()) + outside
    }

    /// Roughly how many allocations freeing the entry gives back: what freeing costs.
    #[must_use]
    pub fn allocations(&self) -> usize {
        match self.value() {
            ValueRef::Int(_) | ValueRef::Bytes(_) => 1,
            ValueRef::List(list) => list.nodes().len(),
            ValueRef::Set(set) if set.encoding() == Encoding::Hashtable => set.len(),
            ValueRef::Hash(hash) if hash.encoding() == Encoding::Hashtable => hash.len(),
            ValueRef::ZSet(zset) if zset.encoding() == Encoding::Skiplist => zset.len(),
            ValueRef::Set(_) | ValueRef::Hash(_) | ValueRef::ZSet(_) => 1,
            ValueRef::Stream(stream) => {
                let pending = stream.groups.values().map(|group| group.pending().len());
                stream.log.nodes().len() + pending.sum::<usize>()
            }
        }
    }

    /// A second handle to the same entry, for an index beside the table that owns it.
    pub(super) fn alias(&self) -> ManuallyDrop<Entry> {
        ManuallyDrop::new(Entry(self.0))
    }

    /// Whether both are handles to the same memory.
    pub(super) fn is_same(&self, other: &Entry) -> bool {
        self.0 == other.0
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.next_multiple_of(GRANULE), 8).expect("an entry is smaller than the address space")
}

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        self.key()
    }

    fn prefetch(&self) {
        prefetch(self.0.as_ptr());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !matches!(self.form(), Form::Int | Form::Embedded) {
            // SAFETY: the value is not embedded, and only its memory is freed after this.
            drop(unsafe { self.read_payload() });
        }
        self.free_memory();
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("value", &self.value())
            .field("expire_at", &self.expire_at())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(entry: &Entry) -> Vec<u8> {
        match entry.value() {
            ValueRef::Int(n) => n.to_string().into_bytes(),
            ValueRef::Bytes(bytes) => bytes.to_vec(),
            other => panic!("not a string: {other:?}"),
        }
    }

    #[test]
    fn embedding_follows_the_rule_of_the_server() {
        // Key length, expiry: the longest string that is embedded.
        for (key_len, has_expiry, longest) in
            [(1, false, 112), (1, true, 104), (31, false, 82), (32, false, 79), (32, true, 71), (100, false, 11)]
        {
            let key = vec![b'k'; key_len];
            let expire_at = has_expiry.then_some(Millis(1));
            for (len, encoding) in [(longest, Encoding::Embstr), (longest + 1, Encoding::Raw)] {
                let entry = Entry::from_text(&key, &vec![b'v'; len], expire_at);
                assert_eq!(entry.encoding(), encoding, "key {key_len}, {len}");
                let entry = Entry::new(&key, Value::Bytes(vec![b'v'; len]), expire_at);
                assert_eq!(entry.encoding(), encoding, "key {key_len}, {len}");
            }
        }
        assert_eq!(Entry::from_text(&[b'k'; 300], b"v", None).encoding(), Encoding::Raw);
        assert_eq!(Entry::from_text(b"k", b"-12", None).encoding(), Encoding::Int);
    }

    #[test]
    fn small_entries_are_small() {
        let key = [b'k'; 16];
        for (value, expire_at, most) in [
            (vec![b'v'; 64], None, 96),
            (vec![b'v'; 64], Some(Millis(1)), 96),
            (b"1234567890".to_vec(), None, 32),
            (b"1234567890".to_vec(), Some(Millis(1)), 48),
        ] {
            assert!(Entry::from_text(&key, &value, expire_at).mem_bytes() <= most);
        }
        assert_eq!(size_of::<Option<Entry>>(), 8);
    }

    #[test]
    fn collections_are_held_in_place_and_given_back() {
        for (value, kind) in [
            (Value::List(Box::default()), Kind::List),
            (Value::Set(Box::default()), Kind::Set),
            (Value::Hash(Box::default()), Kind::Hash),
            (Value::ZSet(Box::default()), Kind::ZSet),
            (Value::Stream(Box::default()), Kind::Stream),
        ] {
            let mut entry = Entry::new(b"k", value, None);
            entry.set_access(77);
            entry.set_expire_at(Some(Millis(5)));
            entry.set_expire_at(Some(Millis(6)));
            assert_eq!((entry.kind(), entry.expire_at(), entry.access()), (kind, Some(Millis(6)), 77));
            assert!(!matches!(entry.collection_mut(), ValueMut::String));
            assert!(entry.make_raw().is_none() && !entry.set_int(1) && !entry.overwrite_text(b"v", None));
            entry.set_expire_at(None);
            assert_eq!((entry.expire_at(), entry.key()), (None, &b"k"[..]));
            assert_eq!(entry.into_value().kind(), kind);
        }
    }

    #[test]
    fn the_stamp_has_24_bits_and_leaves_the_rest_alone() {
        let entry = Entry::from_text(b"key", b"value", Some(Millis(-1)));
        assert_eq!(entry.access(), 0);
        for (set, got) in [(1, 1), (ACCESS_MAX, ACCESS_MAX), (u32::MAX, ACCESS_MAX), (1 << 24, 0)] {
            entry.set_access(set);
            assert_eq!(entry.access(), got);
            assert_eq!((entry.key(), &text_of(&entry)[..]), (&b"key"[..], &b"value"[..]));
            assert_eq!(entry.expire_at(), Some(Millis(-1)));
        }
    }

    fn bytes(up_to: usize) -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..up_to),
            1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        ]
    }

    #[derive(Clone, Debug)]
    enum Op {
        Overwrite(Vec<u8>, Option<i64>),
        Expire(Option<i64>),
        Append(Vec<u8>),
        Int(i64),
        Access(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (bytes(150), any::<Option<i64>>()).prop_map(|(text, at)| Op::Overwrite(text, at)),
            any::<Option<i64>>().prop_map(Op::Expire),
            bytes(40).prop_map(Op::Append),
            any::<i64>().prop_map(Op::Int),
            any::<u32>().prop_map(Op::Access),
        ]
    }

    proptest! {
        #[test]
        fn a_string_entry_agrees_with_a_struct(
            key in bytes(300),
            first in bytes(150),
            expire_at: Option<i64>,
            ops in prop::collection::vec(op(), 0..20),
        ) {
            let mut entry = Entry::from_text(&key, &first, expire_at.map(Millis));
            let (mut text, mut expire_at, mut access) = (first, expire_at, 0);
            for op in ops {
                match op {
                    Op::Overwrite(new, at) => {
                        if entry.overwrite_text(&new, at.map(Millis)) {
                            let fresh = Entry::from_text(&key, &new, at.map(Millis));
                            prop_assert_eq!(entry.encoding(), fresh.encoding());
                            (text, expire_at) = (new, at);
                        }
                    }
                    Op::Expire(at) => {
                        entry.set_expire_at(at.map(Millis));
                        expire_at = at;
                    }
                    Op::Append(more) => {
                        entry.make_raw().unwrap().extend_from_slice(&more);
                        text.extend_from_slice(&more);
                        prop_assert_eq!(entry.encoding(), Encoding::Raw);
                    }
                    Op::Int(n) => {
                        if entry.set_int(n) {
                            text = n.to_string().into_bytes();
                        }
                    }
                    Op::Access(stamp) => {
                        entry.set_access(stamp);
                        access = stamp & ACCESS_MAX;
                    }
                }
                prop_assert_eq!(entry.key(), &key[..]);
                prop_assert_eq!(&text_of(&entry), &text);
                prop_assert_eq!(entry.expire_at(), expire_at.map(Millis));
                prop_assert_eq!(entry.access(), access);
                prop_assert!(entry.mem_bytes() >= key.len() + text.len().min(8));
            }
            match entry.into_value() {
                Value::Int(n) => prop_assert_eq!(n.to_string().into_bytes(), text),
                Value::Bytes(bytes) => prop_assert_eq!(bytes, text),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
