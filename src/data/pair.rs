//! A field of a large hash together with its value, behind a single thin pointer.
//!
//! One allocation: a byte of flags, the two lengths (in one byte each, or in eight if a flag says so), the time when
//! the field expires (if a flag says that it does), the field, the value. Whatever changes makes a new pair.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::alloc::size_class;
use super::dict::{Keyed, prefetch};
use crate::base::Millis;

const LONG_FIELD: u8 = 1;
const LONG_VALUE: u8 = 2;
const HAS_EXPIRY: u8 = 4;
const EXPIRY_BYTES: usize = 8;

/// An owned, immutable pair; as large as a pointer.
pub struct Pair(NonNull<u8>);

// SAFETY: the memory is owned by the pair alone and never changed.
unsafe impl Send for Pair {}
// SAFETY: the memory is owned by the pair alone and never changed.
unsafe impl Sync for Pair {}

/// Where things are in a pair.
#[derive(Clone, Copy)]
struct Shape {
    head: usize,
    field: usize,
    value: usize,
}

impl Shape {
    fn flags_of(field: usize, value: usize) -> u8 {
        let flag = |len: usize, flag: u8| if u8::try_from(len).is_ok() { 0 } else { flag };
        flag(field, LONG_FIELD) | flag(value, LONG_VALUE)
    }

    fn new(flags: u8, field: usize, value: usize) -> Shape {
        let expiry = if flags & HAS_EXPIRY == 0 { 0 } else { EXPIRY_BYTES };
        Shape { head: 1 + width(flags & LONG_FIELD) + width(flags & LONG_VALUE) + expiry, field, value }
    }

    fn layout(self) -> Layout {
        let text = self.field.checked_add(self.value).expect("two slices fit into the address space");
        Layout::array::<u8>(self.head + text).expect("two slices fit into the address space")
    }
}

/// Bytes of a length whose flag is clear or set.
fn width(flag: u8) -> usize {
    if flag == 0 { 1 } else { 8 }
}

impl Pair {
    #[must_use]
    pub fn new(field: &[u8], value: &[u8], expire_at: Option<Millis>) -> Pair {
        let expiry = if expire_at.is_some() { HAS_EXPIRY } else { 0 };
        let flags = Shape::flags_of(field.len(), value.len()) | expiry;
        let shape = Shape::new(flags, field.len(), value.len());
        let layout = shape.layout();
        // SAFETY: the layout is not empty.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: fresh memory for the head (the expiry ends it), the field and the value, written in this order.
        unsafe {
            base.write(flags);
            let second = 1 + width(flags & LONG_FIELD);
            for (at, len, long) in [(1, field.len(), flags & LONG_FIELD), (second, value.len(), flags & LONG_VALUE)] {
                let le = (len as u64).to_le_bytes();
                base.add(at).copy_from_nonoverlapping(NonNull::from_ref(&le).cast(), width(long));
            }
            if let Some(at) = expire_at {
                base.add(shape.head - EXPIRY_BYTES).cast::<i64>().write_unaligned(at.0);
            }
            let to = base.add(shape.head);
            to.copy_from_nonoverlapping(NonNull::from_ref(field).cast(), field.len());
            to.add(field.len()).copy_from_nonoverlapping(NonNull::from_ref(value).cast(), value.len());
        }
        Pair(base)
    }

    #[must_use]
    pub fn field(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the field stands behind the head, initialised, and lives as long as the pair.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(shape.head), shape.field) }
    }

    #[must_use]
    pub fn value(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the value stands behind the field, initialised, and lives as long as the pair.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(shape.head + shape.field), shape.value) }
    }

    /// Wall time at which the field is gone.
    #[inline]
    #[must_use]
    pub fn expire_at(&self) -> Option<Millis> {
        // SAFETY: the flags are always there.
        if unsafe { self.0.read() } & HAS_EXPIRY == 0 {
            return None;
        }
        let at = self.shape().head - EXPIRY_BYTES;
        // SAFETY: the flag says that the expiry ends the head.
        Some(Millis(unsafe { self.0.add(at).cast::<i64>().read_unaligned() }))
    }

    /// A handle of this pair that does not own it.
    ///
    /// # Safety
    /// The handle is used only as long as the pair exists, and never dropped as a pair.
    pub(super) unsafe fn alias(&self) -> ManuallyDrop<Pair> {
        ManuallyDrop::new(Pair(self.0))
    }

    /// Where the pair is in memory: no two pairs are at the same place.
    pub(super) fn address(&self) -> usize {
        self.0.addr().get()
    }

    /// Heap bytes held.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        size_class(self.shape().layout().size())
    }

    fn shape(&self) -> Shape {
        // SAFETY: the flags are always there, and the lengths behind them as wide as they say.
        unsafe {
            let flags = self.0.read();
            let len = |at: usize, long: u8| match long {
                0 => usize::from(self.0.add(at).read()),
                _ => self.0.add(at).cast::<u64>().read_unaligned().to_le() as usize,
            };
            let second = 1 + width(flags & LONG_FIELD);
            Shape::new(flags, len(1, flags & LONG_FIELD), len(second, flags & LONG_VALUE))
        }
    }
}

impl Keyed for Pair {
    fn key(&self) -> &[u8] {
        self.field()
    }

    fn prefetch(&self) {
        prefetch(self.0.as_ptr());
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: allocated with this very layout, and dropped once.
        unsafe { dealloc(self.0.as_ptr(), self.shape().layout()) }
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\": \"{}\"", self.field().escape_ascii(), self.value().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_lengths_reads_back() {
        assert_eq!(size_of::<Option<Pair>>(), size_of::<usize>());
        let lengths = [0, 1, 254, 255, 256, 70_000];
        for field_len in lengths {
            for value_len in lengths {
                let field: Vec<u8> = (0..field_len).map(|i| i as u8).collect();
                let value: Vec<u8> = (0..value_len).map(|i| 255 - i as u8).collect();
                for expire_at in [None, Some(Millis(i64::MIN)), Some(Millis(1))] {
                    let pair = Pair::new(&field, &value, expire_at);
                    assert_eq!(pair.field(), field);
                    assert_eq!(pair.value(), value);
                    assert_eq!(pair.expire_at(), expire_at);
                    assert!(pair.mem_bytes() > field_len + value_len);
                }
            }
        }
    }
}
