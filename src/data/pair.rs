//! A field of a large hash together with its value, behind a single thin pointer.
//!
//! One allocation: a byte of flags, the two lengths (in one byte each, or in eight if a flag says so), the field,
//! the value. A new value makes a new pair. Whatever else a field may come to carry takes another flag and its
//! bytes behind the lengths.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::alloc::size_class;
use super::dict::{Keyed, prefetch};

const LONG_FIELD: u8 = 1;
const LONG_VALUE: u8 = 2;

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
        Shape { head: 1 + width(flags & LONG_FIELD) + width(flags & LONG_VALUE), field, value }
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
    pub fn new(field: &[u8], value: &[u8]) -> Pair {
        let flags = Shape::flags_of(field.len(), value.len());
        let shape = Shape::new(flags, field.len(), value.len());
        let layout = shape.layout();
        // SAFETY: the layout is not empty.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: fresh memory for the head, the field and the value, written in this order.
        unsafe {
            base.write(flags);
            let second = 1 + width(flags & LONG_FIELD);
            for (at, len, long) in [(1, field.len(), flags & LONG_FIELD), (second, value.len(), flags & LONG_VALUE)] {
                let le = (len as u64).to_le_bytes();
                base.add(at).copy_from_nonoverlapping(NonNull::from_ref(&le).cast(), width(long));
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
                let pair = Pair::new(&field, &value);
                assert_eq!(pair.field(), field);
                assert_eq!(pair.value(), value);
                assert!(pair.mem_bytes() > field_len + value_len);
            }
        }
    }
}
