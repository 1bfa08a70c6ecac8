//! A byte string as large as a pointer, for members of large sets. Up to seven bytes are kept in place of the
//! pointer; longer ones behind it, with the length before the text.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::alloc::size_class;
use super::dict::{Keyed, prefetch};

const WORD: usize = size_of::<usize>();
/// The longest text that is kept in place.
const INLINE_MAX: usize = WORD - 1;
/// Where the byte with the lowest bits of an address stands. In a blob that is kept in place it is odd, which an
/// address never is, and tells the length.
const TAG_AT: usize = if cfg!(target_endian = "little") { 0 } else { WORD - 1 };
const TEXT_AT: usize = if cfg!(target_endian = "little") { 1 } else { 0 };
/// What keeps addresses even.
const ALIGN: usize = 2;
/// Lengths from this on take eight more bytes.
const LONG: u8 = 0xff;

/// An owned, immutable byte string; as large as a pointer.
pub struct Blob(Word);

/// All bytes are initialised in either form.
#[derive(Clone, Copy)]
union Word {
    inline: [u8; WORD],
    heap: NonNull<u8>,
}

// SAFETY: the memory is owned by the blob alone and never changed.
unsafe impl Send for Blob {}
// SAFETY: the memory is owned by the blob alone and never changed.
unsafe impl Sync for Blob {}

impl Blob {
    #[must_use]
    pub fn new(text: &[u8]) -> Blob {
        if text.len() <= INLINE_MAX {
            let mut inline = [0; WORD];
            inline[TAG_AT] = (text.len() as u8) << 1 | 1;
            inline[TEXT_AT..TEXT_AT + text.len()].copy_from_slice(text);
            return Blob(Word { inline });
        }
        let layout = layout(text.len());
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
        Blob(Word { heap: base })
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        if let Some(len) = self.inline_len() {
            // SAFETY: the form just found; its bytes are always initialised.
            return unsafe { &self.0.inline[TEXT_AT..TEXT_AT + len] };
        }
        // SAFETY: the other form. The text stands behind the head, initialised, and lives as long as the blob.
        unsafe {
            let len = self.heap_len();
            std::slice::from_raw_parts(self.0.heap.as_ptr().add(head_len(len)), len)
        }
    }

    /// Heap bytes held.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        match self.inline_len() {
            Some(_) => 0,
            // SAFETY: the other form.
            None => size_class(layout(unsafe { self.heap_len() }).size()),
        }
    }

    /// The length, if the text is kept in place.
    fn inline_len(&self) -> Option<usize> {
        // SAFETY: all bytes are initialised in either form.
        let tag = unsafe { self.0.inline[TAG_AT] };
        (tag & 1 == 1).then_some(usize::from(tag >> 1))
    }

    /// # Safety
    /// The text is not kept in place.
    unsafe fn heap_len(&self) -> usize {
        // SAFETY: the first byte is always there, the eight behind it if it says so.
        unsafe {
            match self.0.heap.read() {
                LONG => self.0.heap.add(1).cast::<u64>().read_unaligned() as usize,
                short => usize::from(short),
            }
        }
    }
}

fn head_len(len: usize) -> usize {
    if len < usize::from(LONG) { 1 } else { 9 }
}

fn layout(len: usize) -> Layout {
    let size = len.checked_add(head_len(len)).expect("a slice and nine bytes fit into the address space");
    Layout::from_size_align(size, ALIGN).expect("a slice and nine bytes fit into the address space")
}

impl Keyed for Blob {
    fn key(&self) -> &[u8] {
        self.bytes()
    }

    fn prefetch(&self) {
        if self.inline_len().is_none() {
            // SAFETY: the other form.
            prefetch(unsafe { self.0.heap }.as_ptr());
        }
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if self.inline_len().is_none() {
            // SAFETY: the other form, allocated with this very layout, and dropped once.
            unsafe { dealloc(self.0.heap.as_ptr(), layout(self.heap_len())) }
        }
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
        assert_eq!(size_of::<Blob>(), WORD);
        for len in [0, 1, 6, 7, 8, 9, 253, 254, 255, 256, 100_000] {
            let text: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let blob = Blob::new(&text);
            let moved = Box::new(blob);
            assert_eq!(moved.bytes(), text);
            assert_eq!(moved.mem_bytes() > len, len > INLINE_MAX);
        }
    }
}
