//! A key with its value: what the tables of the keyspace hold.
//!
//! One allocation holds everything a lookup needs, so that a GET touches one bucket and one entry:
//!
//! ```text
//! tag 1 | access stamp 3 | key length 1 or 4 | payload | expiry 0 or 8 | key | embedded string
//! ```
//!
//! The tag says the form of the value and which optional parts there are. The payload is, by form: the number (8
//! bytes), the length of the embedded string (1 byte), the buffer of a raw string (a `Vec`, 24 bytes, at offset 8), a
//! collection (8 bytes, at offset 8), or the address of a boxed stream (likewise). Only buffers and collections are
//! aligned, since they are borrowed where they are: at these sizes padding costs more than it gains. Allocations are
//! rounded up to the granule of the allocator, which makes room for overwriting a string by one of nearly the same
//! length.
#![allow(unsafe_code)]

mod layout;
mod text;

use std::alloc;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use super::alloc::size_class;
use super::dict::{Keyed, prefetch};
use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::value::{Encoding, Kind, Value, ValueMut, ValueRef};
use super::zset::ZSet;
use crate::base::Millis;
use layout::{ACCESS_AT, EXPIRY_BYTES, FORM, Form, HAS_EXPIRY, KEY_LEN_AT, LONG_KEY, PLACES, TAGS, layout};
pub use layout::{ACCESS_MAX, embeds};

/// An owned key with its value, and perhaps the time when it expires.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns what it points to, and all of that can be sent.
unsafe impl Send for Entry {}

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

    fn with_payload<P>(key: &[u8], form: Form, expire_at: Option<Millis>, payload: P) -> Entry {
        let entry = Self::allocate(key, form, expire_at, 0);
        // SAFETY: the payload of this form has this type (all callers are in this file and `text`), and its place is empty.
        unsafe { entry.payload::<P>().write_unaligned(payload) };
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

    #[inline]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the key stands here, and is never changed.
        unsafe { std::slice::from_raw_parts(self.0.add(self.key_at()).as_ptr(), self.key_len()) }
    }

    #[inline]
    #[must_use]
    pub fn value(&self) -> ValueRef<'_> {
        // SAFETY: by form, the payload has the type it is read as; collections and buffers are aligned, and
        // borrowed as long as the entry.
        unsafe {
            match self.form() {
                Form::Int => ValueRef::Int(self.payload::<i64>().read_unaligned()),
                Form::Embedded => {
                    let at = self.0.add(self.key_at() + self.key_len());
                    let len = usize::from(self.payload::<u8>().read());
                    ValueRef::Bytes(std::slice::from_raw_parts(at.as_ptr(), len))
                }
                Form::Raw => ValueRef::Bytes(self.payload::<Vec<u8>>().as_ref()),
                Form::List => ValueRef::List(self.payload::<List>().as_ref()),
                Form::Set => ValueRef::Set(self.payload::<Set>().as_ref()),
                Form::Hash => ValueRef::Hash(self.payload::<Hash>().as_ref()),
                Form::ZSet => ValueRef::ZSet(self.payload::<ZSet>().as_ref()),
                Form::Stream => ValueRef::Stream(self.payload::<Box<Stream>>().as_ref()),
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

    /// A collection held for change, where it is.
    pub fn collection_mut(&mut self) -> ValueMut<'_> {
        // SAFETY: by form, the payload is the collection it is read as; it is borrowed exclusively with the entry.
        unsafe {
            match self.form() {
                Form::Int | Form::Embedded | Form::Raw => ValueMut::String,
                Form::List => ValueMut::List(self.payload::<List>().as_mut()),
                Form::Set => ValueMut::Set(self.payload::<Set>().as_mut()),
                Form::Hash => ValueMut::Hash(self.payload::<Hash>().as_mut()),
                Form::ZSet => ValueMut::ZSet(self.payload::<ZSet>().as_mut()),
                Form::Stream => ValueMut::Stream(self.payload::<Box<Stream>>().as_mut()),
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
                // SAFETY: both have the same form, whose payload is eight bytes: a number or an owner, which moves over.
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
        // SAFETY: by form, the payload has the type it is read as, and is aligned unless it is a number.
        unsafe {
            match self.form() {
                Form::Int | Form::Embedded => Value::Int(self.payload::<i64>().read_unaligned()),
                Form::Raw => Value::Bytes(self.payload::<Vec<u8>>().read()),
                Form::List => Value::List(self.payload::<List>().read()),
                Form::Set => Value::Set(self.payload::<Set>().read()),
                Form::Hash => Value::Hash(self.payload::<Hash>().read()),
                Form::ZSet => Value::ZSet(self.payload::<ZSet>().read()),
                Form::Stream => Value::Stream(self.payload::<Box<Stream>>().read()),
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
mod tests;
