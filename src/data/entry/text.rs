//! An entry that holds a string: embedded in it, as a number, or in a buffer of its own.
#![allow(unsafe_code)]

use std::ptr;

use super::Entry;
use super::layout::{Form, HAS_EXPIRY, embeds, layout};
use crate::base::Millis;
use crate::data::value::{ValueRef, int_of};

impl Entry {
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

    pub(super) fn embedding(key: &[u8], text: &[u8], expire_at: Option<Millis>) -> Entry {
        let mut entry = Self::allocate(key, Form::Embedded, expire_at, text.len());
        // SAFETY: `text.len()` bytes were allocated behind the key; the length fits as only short strings are embedded.
        unsafe {
            entry.payload::<u8>().write(text.len() as u8);
            entry.set_embedded(text);
        }
        entry
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
}
