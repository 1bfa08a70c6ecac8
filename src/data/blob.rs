//! A byte string behind a single thin pointer, for members of large sets: its length stands before the text.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::alloc::size_class;
use super::dict::{Keyed, prefetch};

/// Lengths from this on take eight more bytes.
const LONG: u8 = 0xff;

/// An owned, immutable byte string; as large as a pointer.
pub struct Blob(NonNull<u8>);

// SAFETY: the memory is owned by the blob alone and never changed.
unsafe impl Send for Blob {}
// SAFETY: the memory is owned by the blob alone and never changed.
unsafe impl Sync for Blob {}

impl Blob {
    #[must_use]
    pub fn new(text: &[u8]) -> Blob {
        let layout = Blob::layout(text.len());
        // SAFETY: the layout is not empty.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let head = head_len(text.len());
        // SAFETY: fresh memory for the head of this length and the text.
        unsafe {
            if head == 1 {
                base.write(text.len() as u8);
            } else {
                base.write(LONG);
                base.add(1).cast().write_unaligned(text.len() as u64);
            }
            base.add(head).copy_from_nonoverlapping(NonNull::from_ref(text).cast(), text.len());
        }
        Blob(base)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let len = self.len();
        // SAFETY: the text stands behind the head, initialised, and lives as long as the blob.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(head_len(len)), len) }
    }

    /// Heap bytes held.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        size_class(Blob::layout(self.len()).size())
    }

    fn len(&self) -> usize {
        // SAFETY: the first byte is always there, the eight behind it if it says so.
        unsafe {
            match self.0.read() {
                LONG => self.0.add(1).cast::<u64>().read_unaligned() as usize,
                short => usize::from(short),
            }
        }
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<u8>(head_len(len) + len).expect("a slice and nine bytes fit into the address space")
    }
}

fn head_len(len: usize) -> usize {
    if len < usize::from(LONG) { 1 } else { 9 }
}

impl Keyed for Blob {
    fn key(&self) -> &[u8] {
        self.bytes()
    }

    fn prefetch(&self) {
        prefetch(self.0.as_ptr());
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // SAFETY: allocated with this very layout, and dropped once.
        unsafe { dealloc(self.0.as_ptr(), Blob::layout(self.len())) }
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_reads_back() {
        assert_eq!(size_of::<Option<Blob>>(), size_of::<usize>());
        for len in [0, 1, 253, 254, 255, 256, 100_000] {
            let text: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let blob = Blob::new(&text);
            assert_eq!(blob.bytes(), text);
            assert!(blob.mem_bytes() > len);
        }
    }
}
