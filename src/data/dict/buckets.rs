//! One array of 64-byte buckets, each a cache line: seven items of one word, and one word that tells about them.
//!
//! Byte 0 of that word holds the flag "a child bucket is chained", bytes 1 to 7 the tags of the seven items: eight
//! bits of the item's hash, never 0, which says "empty". One comparison of the whole word against a tag finds the
//! candidates, so that an item is touched only if it almost certainly is the one. A full bucket gives its seventh
//! place to the address of a child. All buckets of a chain but the last are full, and a child has two items or more.
//!
//! A large array is made of chunks, behind a directory. So no single call has to allocate, clear or free more than a
//! chunk: a chunk comes when the first item goes into it, and goes as soon as its items have been moved out.
//!
//! This file knows nothing of resizing. It is where most of the table's unsafe code lives.
#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

const BUCKET_BYTES: usize = 64;
const ITEMS: usize = 7;
/// Buckets of a chunk, as a power of two: 256 KiB. Tests have small chunks, so that small tables have several.
const CHUNK_BITS: u32 = if cfg!(test) { 5 } else { 12 };
const CHUNK: usize = 1 << CHUNK_BITS;
const CHAINED: u64 = 1;
const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
/// The high bit of each tag's byte.
const TAGS: u64 = 0x8080_8080_8080_8000;
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

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

#[repr(C, align(64))]
struct Bucket<T> {
    meta: u64,
    places: [Word<T>; ITEMS],
}

union Word<T> {
    item: ManuallyDrop<T>,
    child: NonNull<Bucket<T>>,
}

fn tag(hash: u64) -> u64 {
    (hash >> 56).max(1)
}

/// The number of the place whose mask bit is the lowest in `mask` (which is not 0).
fn lowest(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8 - 1
}

impl<T> Bucket<T> {
    /// Mask of the places that hold an item.
    fn full(&self) -> u64 {
        (((self.meta & LOW_BITS) + LOW_BITS) | self.meta) & TAGS
    }

    /// Mask of the items whose tag is `tag`, exact.
    fn matching(&self, tag: u64) -> u64 {
        let x = self.meta ^ (tag * EACH_BYTE);
        !(((x & LOW_BITS) + LOW_BITS) | x) & TAGS
    }

    fn child(&self) -> Option<NonNull<Bucket<T>>> {
        // SAFETY: the flag is set exactly while the last word holds the address of a child.
        (self.meta & CHAINED != 0).then(|| unsafe { self.places[ITEMS - 1].child })
    }

    fn tag_at(&self, place: usize) -> u64 {
        self.meta >> (8 * (place + 1)) & 0xff
    }

    fn put(&mut self, place: usize, tag: u64, item: T) {
        self.meta |= tag << (8 * (place + 1));
        self.places[place].item = ManuallyDrop::new(item);
    }

    /// # Safety
    /// The place holds an item.
    unsafe fn take(&mut self, place: usize) -> T {
        self.meta &= !(0xff << (8 * (place + 1)));
        // SAFETY: the caller says that there is an item; its tag is gone, so nobody takes it a second time.
        unsafe { ManuallyDrop::take(&mut self.places[place].item) }
    }
}

/// Where an item lies. Valid until an item of its chain is added or taken.
pub(super) struct Place<T> {
    bucket: NonNull<Bucket<T>>,
    index: usize,
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Place<T> {}

impl<T> Place<T> {
    /// # Safety
    /// The place is valid, and its table lives and stays unchanged for `'a`.
    pub(super) unsafe fn item<'a>(self) -> &'a T {
        // SAFETY: as above.
        unsafe { &self.bucket.as_ref().places[self.index].item }
    }

    /// # Safety
    /// The place is valid, and the caller holds its table exclusively for `'a`.
    pub(super) unsafe fn item_mut<'a>(mut self) -> &'a mut T {
        // SAFETY: as above.
        unsafe { &mut self.bucket.as_mut().places[self.index].item }
    }
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
    buckets: Option<NonNull<Bucket<T>>>,
    directory: NonNull<Option<NonNull<Bucket<T>>>>,
}

// SAFETY: the buckets are owned, and nothing in them is shared with another table.
unsafe impl<T: Send> Send for Buckets<T> {}
// SAFETY: without exclusive access the buckets are only read.
unsafe impl<T: Sync> Sync for Buckets<T> {}

impl<T> Buckets<T> {
    const ITEM_IS_A_WORD: () = assert!(size_of::<T>() == size_of::<usize>() && size_of::<Bucket<T>>() == BUCKET_BYTES);

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
        Layout::array::<Bucket<T>>(n).expect("a chunk is small")
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
        (self.count() + self.children()) * BUCKET_BYTES
    }

    /// The chain that `hash` belongs to.
    #[inline]
    pub(super) fn index(&self, hash: u64) -> usize {
        (hash & !(u64::MAX << self.bits)) as usize
    }

    /// The first bucket of a chain, if there is memory for it.
    #[inline]
    fn head(&self, index: usize) -> Option<NonNull<Bucket<T>>> {
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
    fn head_for_insert(&mut self, index: usize) -> NonNull<Bucket<T>> {
        if let Some(head) = self.head(index) {
            return head;
        }
        assert!(self.bits() > CHUNK_BITS, "a table that is inserted into has memory");
        let first = allocate_zeroed::<Bucket<T>>(Self::array(CHUNK));
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
    unsafe fn chunk_of(&self, index: usize) -> NonNull<Option<NonNull<Bucket<T>>>> {
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
        let tag = tag(hash);
        let mut next = self.head(self.index(hash));
        while let Some(bucket) = next {
            // SAFETY: buckets of a chain live as long as the table, which is borrowed.
            let b = unsafe { bucket.as_ref() };
            let mut hits = b.matching(tag);
            while hits != 0 {
                let index = lowest(hits);
                // SAFETY: the place has a tag, so it holds an item.
                if is(unsafe { &b.places[index].item }) {
                    return Some(Place { bucket, index });
                }
                hits &= hits - 1;
            }
            next = b.child();
        }
        None
    }

    /// Adds an item. The table is not without memory.
    pub(super) fn insert(&mut self, hash: u64, item: T) -> Place<T> {
        let mut bucket = self.head_for_insert(self.index(hash));
        let tag = tag(hash);
        // SAFETY: the chain is ours alone, and no other reference into it exists here.
        unsafe {
            while let Some(child) = bucket.as_ref().child() {
                bucket = child;
            }
            let b = bucket.as_mut();
            let empty = !b.full() & TAGS;
            if empty != 0 {
                let index = lowest(empty);
                b.put(index, tag, item);
                return Place { bucket, index };
            }
            let mut child: NonNull<Bucket<T>> = allocate_zeroed(Layout::new::<Bucket<T>>());
            let moved_tag = b.tag_at(ITEMS - 1);
            let moved = b.take(ITEMS - 1);
            child.as_mut().put(0, moved_tag, moved);
            child.as_mut().put(1, tag, item);
            b.places[ITEMS - 1].child = child;
            b.meta |= CHAINED;
            self.children += 1;
            Place { bucket: child, index: 1 }
        }
    }

    /// Takes an item out and closes the gap from the end of its chain.
    ///
    /// # Safety
    /// `place` is valid in this table, and its item's hash is `hash`.
    pub(super) unsafe fn take(&mut self, hash: u64, mut place: Place<T>) -> T {
        let mut last = self.head(self.index(hash)).expect("there is an item, so there is memory");
        let mut parent = None;
        // SAFETY: the chain is ours alone; references made here end before the next one to the same bucket begins.
        unsafe {
            while let Some(child) = last.as_ref().child() {
                parent = Some(last);
                last = child;
            }
            let taken = place.bucket.as_mut().take(place.index);
            if place.bucket != last {
                let (tag, item) = Self::pop(last);
                place.bucket.as_mut().put(place.index, tag, item);
            }
            if let Some(mut parent) = parent
                && last.as_ref().full().count_ones() == 1
            {
                let (tag, item) = Self::pop(last);
                drop_bucket(last);
                self.children -= 1;
                parent.as_mut().meta &= !CHAINED;
                parent.as_mut().put(ITEMS - 1, tag, item);
            }
            taken
        }
    }

    /// Takes the first item of a bucket, with its tag.
    ///
    /// # Safety
    /// The bucket lives, is held exclusively and has an item.
    unsafe fn pop(mut bucket: NonNull<Bucket<T>>) -> (u64, T) {
        // SAFETY: as above.
        unsafe {
            let b = bucket.as_mut();
            let index = lowest(b.full());
            (b.tag_at(index), b.take(index))
        }
    }

    /// The items of one chain.
    pub(super) fn chain(&self, index: usize) -> Chain<'_, T> {
        Chain { bucket: self.head(index), left: None, table: PhantomData }
    }

    /// Empties one chain, giving its items away. Returns whether there were any.
    pub(super) fn take_chain(&mut self, index: usize, mut give: impl FnMut(T)) -> bool {
        let Some(mut head) = self.head(index) else { return false };
        // SAFETY: the head is ours alone. It is copied out and marked empty first, so that the items have one owner
        // even if `give` should panic (what was not given yet would leak then).
        let mut current = unsafe { ptr::read(head.as_ptr()) };
        if current.meta == 0 {
            return false;
        }
        // SAFETY: as above.
        unsafe { head.as_mut().meta = 0 };
        loop {
            let mut full = current.full();
            let child = current.child();
            while full != 0 {
                // SAFETY: the place has a tag, so it holds an item; the bucket it was copied from has none any more.
                give(unsafe { current.take(lowest(full)) });
                full &= full - 1;
            }
            let Some(child) = child else { return true };
            // SAFETY: nothing leads to the child but its parent, whose copy this was.
            current = unsafe { ptr::read(child.as_ptr()) };
            // SAFETY: as above; its contents have been moved into `current`.
            unsafe { drop_bucket(child) };
            self.children -= 1;
        }
    }

    /// Asks for the memory of a chain's first bucket ahead of its use.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(head) = self.head(self.index(hash)) {
            prefetch(head.as_ptr());
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

/// # Safety
/// A child bucket that nothing leads to any more and whose items were moved out.
unsafe fn drop_bucket<T>(bucket: NonNull<Bucket<T>>) {
    // SAFETY: children are allocated one by one with this layout.
    unsafe { alloc::dealloc(bucket.as_ptr().cast(), Layout::new::<Bucket<T>>()) };
}

/// The items of one chain of buckets.
pub(super) struct Chain<'a, T> {
    bucket: Option<NonNull<Bucket<T>>>,
    /// Mask of the items still to come from `bucket`; absent before its first.
    left: Option<u64>,
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
            // SAFETY: the table is borrowed for `'a`, so its buckets live and do not change.
            let bucket: &'a Bucket<T> = unsafe { self.bucket?.as_ref() };
            let left = self.left.unwrap_or_else(|| bucket.full());
            if left != 0 {
                self.left = Some(left & (left - 1));
                // SAFETY: the place has a tag, so it holds an item.
                return Some(unsafe { &bucket.places[lowest(left)].item });
            }
            self.bucket = bucket.child();
            self.left = None;
        }
    }
}
