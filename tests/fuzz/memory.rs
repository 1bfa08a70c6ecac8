//! How much memory a piece of work takes at once: an allocator that counts what this thread holds.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(bytes: isize) {
    // While a thread ends its counters may be gone, and nobody asks for them any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// What a piece of work takes.
pub struct Taken {
    /// The most that was held at once, above what was held before.
    pub peak_bytes: usize,
    /// The largest piece that was asked for.
    pub largest_bytes: usize,
}

/// What this thread takes during `work`.
pub fn taken_by(work: impl FnOnce()) -> Taken {
    let before = HELD.get();
    PEAK.set(before);
    LARGEST.set(0);
    work();
    Taken { peak_bytes: usize::try_from(PEAK.get() - before).unwrap_or(0), largest_bytes: LARGEST.get() }
}
