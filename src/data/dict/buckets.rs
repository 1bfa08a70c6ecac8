//! One array of buckets, each a pair of cache lines: tags of one byte, then items of one word.
//!
//! A tag is eight bits of its item's hash, never 0, which says "empty". One comparison of all tags of a bucket finds
//! the candidates, so that an item is touched only if it almost certainly is the one. A full bucket gives its last
//! place to the address of a *child*, a bucket of one cache line; the byte behind the tags says so. All buckets of a
//! chain but the last are full, and a child has two items or more.
//!
//! Why two lines: items spread over buckets by chance, and the larger a bucket, the less it matters. At the same memory
//! per item, fewer chains overflow. Processors fetch lines in pairs anyway.
//!
//! A large array is made of chunks, behind a directory. So no single call has to allocate, clear or free more than a
//! chunk: a chunk comes when the first item goes into it, and goes as soon as its items have been moved out.
//!
//! This file knows nothing of resizing. It is where most of the table's unsafe code lives, with [`row`](super::row).
#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;

use super::row::{Child, Head, Place, Row, Tag};

/// Buckets of a chunk, as a power of two: 256 KiB. Tests have small chunks, so that small tables have several.
const CHUNK_BITS: u32 = if cfg!(test) { 4 } else { 11 };
const CHUNK: usize = 1 << CHUNK_BITS;

/// Asks for the cache line at `address` ahead of its use. Any address will do.
#[inline]
pub fn prefetch<P>(address: *const P) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// `1 << bits` chains of buckets, or no memory at all.
pub(super) struct Buckets<T> {
    memory: Memory<T>,
    children: u32,
    bits: u8,
    owns: PhantomData<T>,
}

/// Which one it is follows from the number of bits: up to [`CHUNK_BITS`], the buckets; above, a directory of chunks.
union Memory<T> {
    buckets: Option<NonNull<Head<T>>>,
    directory: NonNull<Option<NonNull<Head<T>>>>,
}

// SAFETY: the buckets are owned, and nothing in them is shared with another table.
unsafe impl<T: Send> Send for Buckets<T> {}
// SAFETY: without exclusive access the buckets are only read.
unsafe impl<T: Sync> Sync for Buckets<T> {}

impl<T> Buckets<T> {
    const ITEM_IS_A_WORD: () = assert!(size_of::<T>() == size_of::<usize>());

    /// No chains and no memory.
    pub(super) const fn none() -> Buckets<T> {
        Buckets { memory: Memory { buckets: None }, children: 0, bits: 0, owns: PhantomData }
    }

    /// `1 << bits` empty chains.
    pub(super) fn with_bits(bits: u32) -> Buckets<T> {
        let () = Self::ITEM_IS_A_WORD;
        // An all-zero bucket is an empty one, and an all-zero directory has no chunks.
        let memory = if bits <= CHUNK_BITS {
            Memory { buckets: Some(allocate_zeroed(Self::array(1 << bits))) }
        } else {
            Memory { directory: allocate_zeroed(Self::directory_layout(bits)) }
        };
        Buckets { memory, children: 0, bits: bits as u8, owns: PhantomData }
    }

    /// The layout of `n` buckets.
    fn array(n: usize) -> Layout {
        Layout::array::<Head<T>>(n).expect("a chunk is small")
    }

    fn directory_layout(bits: u32) -> Layout {
        1usize
            .checked_shl(bits - CHUNK_BITS)
            .and_then(|n| Layout::array::<usize>(n).ok())
            .expect("a table is smaller than the address space")
    }

    pub(super) fn is_none(&self) -> bool {
        // SAFETY: with so few bits there is no directory.
        self.bits() <= CHUNK_BITS && unsafe { self.memory.buckets }.is_none()
    }

    pub(super) fn bits(&self) -> u32 {
        u32::from(self.bits)
    }

    /// Number of chains.
    pub(super) fn count(&self) -> usize {
        if self.is_none() { 0 } else { 1 << self.bits }
    }

    /// Number of child buckets over all chains.
    pub(super) fn children(&self) -> usize {
        self.children as usize
    }

    /// Bytes of all chains as if all chunks were there, and of all children.
    pub(super) fn bytes(&self) -> usize {
        self.count() * size_of::<Head<T>>() + self.children() * size_of::<Child<T>>()
    }

    /// The chain that `hash` belongs to.
    #[inline]
    pub(super) fn index(&self, hash: u64) -> usize {
        (hash & !(u64::MAX << self.bits)) as usize
    }

    /// The first bucket of a chain, if there is memory for it.
    #[inline]
    fn head(&self, index: usize) -> Option<NonNull<Head<T>>> {
        debug_assert!(index < 1 << self.bits);
        // SAFETY: the number of bits says what the memory is; every caller's index is below the number of chains.
        unsafe {
            if self.bits() <= CHUNK_BITS {
                self.memory.buckets.map(|first| first.add(index))
            } else {
                self.chunk_of(index).read().map(|first| first.add(index % CHUNK))
            }
        }
    }

    /// The first bucket of a chain, for which memory is made if there is none. The table is not without any.
    fn head_for_insert(&mut self, index: usize) -> NonNull<Head<T>> {
        if let Some(head) = self.head(index) {
            return head;
        }
        assert!(self.bits() > CHUNK_BITS, "a table that is inserted into has memory");
        let first = allocate_zeroed::<Head<T>>(Self::array(CHUNK));
        // SAFETY: the table has a directory; the index is below the number of chains.
        unsafe {
            self.chunk_of(index).write(Some(first));
            first.add(index % CHUNK)
        }
    }

    /// The directory's entry for a chain.
    ///
    /// # Safety
    /// The table has a directory, and the index is below the number of chains.
    unsafe fn chunk_of(&self, index: usize) -> NonNull<Option<NonNull<Head<T>>>> {
        // SAFETY: as above.
        unsafe { self.memory.directory.add(index >> CHUNK_BITS) }
    }

    /// Tells that chains below `next` are empty and will stay so, as somebody empties one after the other: a chunk that
    /// is all below gives its memory back.
    pub(super) fn passed(&mut self, next: usize) {
        if self.bits() > CHUNK_BITS && next > 0 && next.is_multiple_of(CHUNK) {
            // SAFETY: the table has a directory, and `next - 1` is one of its chains. Nothing else than the directory's
            // entry leads to the chunk, and what may lie in it needs no drop.
            unsafe {
                if let Some(first) = self.chunk_of(next - 1).replace(None) {
                    alloc::dealloc(first.as_ptr().cast(), Self::array(CHUNK));
                }
            }
        }
    }

    /// The item with this hash of which `is` says that it is the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<Place<T>> {
        let tag = Tag::of(hash);
        let mut row = Row::head(self.head(self.index(hash))?);
        loop {
            // SAFETY: buckets of a chain live as long as the table, which is borrowed.
            let mut hits = unsafe { row.matching(tag) };
            while hits != 0 {
                let place = row.place(hits.trailing_zeros() as usize);
                // SAFETY: the place has a tag, so it holds an item.
                if is(unsafe { place.item() }) {
                    return Some(place);
                }
                hits &= hits - 1;
            }
            // SAFETY: as above.
            row = unsafe { row.child() }?;
        }
    }

    /// Adds an item. The table is not without memory.
    pub(super) fn insert(&mut self, hash: u64, item: T) -> Place<T> {
        let mut row = Row::head(self.head_for_insert(self.index(hash)));
        let tag = Tag::of(hash);
        // SAFETY: the chain is ours alone, and no reference into it exists here.
        unsafe {
            while let Some(child) = row.child() {
                row = child;
            }
            let empty = row.empty();
            if empty != 0 {
                let place = row.place(empty.trailing_zeros() as usize);
                place.put(tag, item);
                return place;
            }
            let child = Row::child_at(allocate_zeroed(Layout::new::<Child<T>>()));
            let (moved_tag, moved) = row.last().take();
            child.place(0).put(moved_tag, moved);
            child.place(1).put(tag, item);
            row.chain(child);
            self.children += 1;
            child.place(1)
        }
    }

    /// Takes an item out and closes the gap from the end of its chain.
    ///
    /// # Safety
    /// `place` is valid in this table, and its item's hash is `hash`.
    pub(super) unsafe fn take(&mut self, hash: u64, place: Place<T>) -> T {
        let mut last = Row::head(self.head(self.index(hash)).expect("there is an item, so there is memory"));
        let mut parent = None;
        // SAFETY: the chain is ours alone, and no reference into it exists here.
        unsafe {
            while let Some(child) = last.child() {
                parent = Some(last);
                last = child;
            }
            let (_, taken) = place.take();
            if !last.contains(place) {
                let (tag, item) = last.first_full().take();
                place.put(tag, item);
            }
            if let Some(parent) = parent
                && last.full().count_ones() == 1
            {
                let (tag, item) = last.first_full().take();
                last.free_child();
                self.children -= 1;
                parent.unchain();
                parent.last().put(tag, item);
            }
            taken
        }
    }

    /// The items of one chain.
    pub(super) fn chain(&self, index: usize) -> Chain<'_, T> {
        Chain { row: self.head(index).map(Row::head), left: None, table: PhantomData }
    }

    /// Empties one chain, giving its items away. Returns whether there were any.
    pub(super) fn take_chain(&mut self, index: usize, mut give: impl FnMut(T)) -> bool {
        let Some(mut row) = self.head(index).map(Row::head) else { return false };
        // SAFETY: the chain is ours alone. A bucket is marked empty before its items are given away, so that they have
        // one owner even if `give` should panic (what was not given yet would leak then). Nothing leads to a child but
        // its parent, which is past.
        unsafe {
            if row.full() == 0 {
                return false;
            }
            loop {
                let (mut full, child) = (row.full(), row.child());
                row.clear_tags();
                while full != 0 {
                    give(row.place(full.trailing_zeros() as usize).read());
                    full &= full - 1;
                }
                if row.is_child() {
                    row.free_child();
                    self.children -= 1;
                }
                let Some(child) = child else { return true };
                row = child;
            }
        }
    }

    /// Asks for the memory of a chain's first bucket ahead of its use.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(head) = self.head(self.index(hash)) {
            Row::head(head).prefetch();
        }
    }

    /// Gives the memory back without looking for items: there are none.
    pub(super) fn release(&mut self) {
        debug_assert!((0..self.count()).all(|i| self.chain(i).next().is_none()));
        self.free();
    }

    /// Gives the memory back, whatever lies in it; there are no children.
    fn free(&mut self) {
        debug_assert_eq!(self.children, 0);
        if self.bits() > CHUNK_BITS {
            for next in (0..=self.count()).step_by(CHUNK) {
                self.passed(next);
            }
        }
        let old = mem::replace(self, Buckets::none());
        let old = ManuallyDrop::new(old);
        // SAFETY: the number of bits says what the memory is and how large; nothing else leads to it.
        unsafe {
            if old.bits() > CHUNK_BITS {
                alloc::dealloc(old.memory.directory.as_ptr().cast(), Self::directory_layout(old.bits()));
            } else if let Some(first) = old.memory.buckets {
                alloc::dealloc(first.as_ptr().cast(), Self::array(1 << old.bits));
            }
        }
    }
}

impl<T> Drop for Buckets<T> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() || self.children > 0 {
            for index in 0..self.count() {
                self.take_chain(index, drop);
            }
        }
        self.free();
    }
}

fn allocate_zeroed<X>(layout: Layout) -> NonNull<X> {
    // SAFETY: no layout in this file has size 0.
    let memory = unsafe { alloc::alloc_zeroed(layout) };
    NonNull::new(memory.cast()).unwrap_or_else(|| alloc::handle_alloc_error(layout))
}

/// The items of one chain of buckets.
pub(super) struct Chain<'a, T> {
    row: Option<Row<T>>,
    /// Mask of the items still to come from `row`; absent before its first.
    left: Option<u32>,
    table: PhantomData<&'a Buckets<T>>,
}

impl<T> Clone for Chain<'_, T> {
    fn clone(&self) -> Self {
        Chain { ..*self }
    }
}

impl<'a, T> Iterator for Chain<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            let row = self.row?;
            // SAFETY: the table is borrowed for `'a`, so its buckets live and do not change.
            let left = self.left.unwrap_or_else(|| unsafe { row.full() });
            if left != 0 {
                self.left = Some(left & (left - 1));
                // SAFETY: the place has a tag, so it holds an item, which lives as above.
                return Some(unsafe { row.place(left.trailing_zeros() as usize).item() });
            }
            // SAFETY: as above.
            self.row = unsafe { row.child() };
            self.left = None;
        }
    }
}
