//! One bucket, seen alike whether it is the head of a chain or a child: a row of places for items, each with its tag.
//!
//! ```text
//! head   tags 14 | 0 | chained 1 | items 14 × 8     two cache lines
//! child  tags 7 | chained 1      | items 7 × 8      one cache line
//! ```
//!
//! Rows and places are addresses: nothing here holds a reference to a bucket, so that buckets of a chain can be changed
//! together. Their owner says that they live.
#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;

use super::buckets::prefetch;

const HEAD_ITEMS: usize = 14;
const CHILD_ITEMS: usize = 7;
const LINE: usize = 64;

/// The first bucket of a chain; an all-zero one is empty.
#[repr(C, align(128))]
pub(super) struct Head<T> {
    _tags: [u8; 16],
    words: [MaybeUninit<T>; HEAD_ITEMS],
}

/// Any further bucket of a chain; an all-zero one is empty.
#[repr(C, align(64))]
pub(super) struct Child<T> {
    _tags: [u8; 8],
    words: [MaybeUninit<T>; CHILD_ITEMS],
}

/// Eight bits of a hash, not 0.
#[derive(Clone, Copy)]
pub(super) struct Tag(u8);

impl Tag {
    #[inline]
    pub(super) fn of(hash: u64) -> Tag {
        Tag((hash >> 56).max(1) as u8)
    }
}

/// Where an item lies or may be put. Valid until an item of its chain is added or taken.
pub(super) struct Place<T> {
    tag: NonNull<u8>,
    word: NonNull<T>,
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Place<T> {}

impl<T> Place<T> {
    /// # Safety
    /// The place is valid and holds an item, and its table lives and stays unchanged for `'a`.
    #[inline]
    pub(super) unsafe fn item<'a>(self) -> &'a T {
        // SAFETY: as above.
        unsafe { self.word.as_ref() }
    }

    /// # Safety
    /// The place is valid and holds an item, and the caller holds its table exclusively for `'a`.
    #[inline]
    pub(super) unsafe fn item_mut<'a>(mut self) -> &'a mut T {
        // SAFETY: as above.
        unsafe { self.word.as_mut() }
    }

    /// # Safety
    /// The bucket lives, is the caller's alone and has no item here.
    pub(super) unsafe fn put(self, tag: Tag, item: T) {
        // SAFETY: as above.
        unsafe {
            self.tag.write(tag.0);
            self.word.write(item);
        }
    }

    /// Takes the item out, with its tag.
    ///
    /// # Safety
    /// The bucket lives, is the caller's alone and has an item here.
    pub(super) unsafe fn take(self) -> (Tag, T) {
        // SAFETY: as above; the tag is gone then, so that nobody takes the item a second time.
        unsafe { (Tag(self.tag.replace(0)), self.word.read()) }
    }

    /// The item of a place whose tag has been cleared.
    ///
    /// # Safety
    /// As for [`Place::take`], but for the tag; it is called once.
    pub(super) unsafe fn read(self) -> T {
        // SAFETY: as above.
        unsafe { self.word.read() }
    }
}

/// The address of a bucket, and which of the two kinds it is.
pub(super) struct Row<T> {
    tags: NonNull<u8>,
    words: NonNull<T>,
    /// Number of places.
    items: usize,
}

impl<T> Clone for Row<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Row<T> {}

impl<T> Row<T> {
    #[inline]
    pub(super) fn head(bucket: NonNull<Head<T>>) -> Row<T> {
        let at = offset_of!(Head<T>, words);
        // SAFETY: the offset is inside the bucket, which is not behind the end of the address space.
        Row { tags: bucket.cast(), words: unsafe { bucket.byte_add(at) }.cast(), items: HEAD_ITEMS }
    }

    #[inline]
    pub(super) fn child_at(bucket: NonNull<Child<T>>) -> Row<T> {
        let at = offset_of!(Child<T>, words);
        // SAFETY: as above.
        Row { tags: bucket.cast(), words: unsafe { bucket.byte_add(at) }.cast(), items: CHILD_ITEMS }
    }

    #[inline]
    pub(super) fn is_child(self) -> bool {
        self.items == CHILD_ITEMS
    }

    /// `index` is below the number of places.
    #[inline]
    pub(super) fn place(self, index: usize) -> Place<T> {
        debug_assert!(index < self.items);
        // SAFETY: the index is inside the bucket.
        unsafe { Place { tag: self.tags.add(index), word: self.words.add(index) } }
    }

    /// The last place, which is the address of a child in a bucket that has one.
    pub(super) fn last(self) -> Place<T> {
        self.place(self.items - 1)
    }

    pub(super) fn contains(self, place: Place<T>) -> bool {
        (self.tags.addr()..self.flag().addr()).contains(&place.tag.addr())
    }

    /// Asks for the bucket's memory.
    #[inline]
    pub(super) fn prefetch(self) {
        prefetch(self.tags.as_ptr());
        if !self.is_child() {
            prefetch(self.tags.as_ptr().wrapping_add(LINE));
        }
    }

    /// The byte that says that there is a child: the one behind the tags.
    #[inline]
    fn flag(self) -> NonNull<u8> {
        let at = if self.is_child() { size_of::<u64>() } else { size_of::<u128>() } - 1;
        // SAFETY: inside the bucket.
        unsafe { self.tags.add(at) }
    }
}

/// # Safety
/// For all that follow: the bucket lives; for those that change it, it is the caller's alone.
impl<T> Row<T> {
    /// Mask of the places whose tag is that, exact.
    #[inline]
    pub(super) unsafe fn matching(self, tag: Tag) -> u32 {
        // SAFETY: as above.
        unsafe { self.equal(tag.0) }
    }

    /// Mask of the places without an item.
    #[inline]
    pub(super) unsafe fn empty(self) -> u32 {
        // SAFETY: as above.
        let zero = unsafe { self.equal(0) };
        // The last place of a bucket with a child has no tag, but is not empty.
        // SAFETY: as above.
        if unsafe { self.flag().read() } == 0 { zero } else { zero & !(1 << (self.items - 1)) }
    }

    /// Mask of the places with an item.
    #[inline]
    pub(super) unsafe fn full(self) -> u32 {
        // SAFETY: as above.
        unsafe { self.equal(0) ^ ((1 << self.items) - 1) }
    }

    /// Mask of the places whose tag byte is `byte`.
    #[inline]
    unsafe fn equal(self, byte: u8) -> u32 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has SSE2, being of this kind. A head has 16 bytes of tags, a child eight.
        let mask = unsafe {
            use std::arch::x86_64::{
                _mm_cmpeq_epi8, _mm_load_si128, _mm_loadl_epi64, _mm_movemask_epi8, _mm_set1_epi8,
            };
            let from = self.tags.as_ptr();
            let tags = if self.is_child() { _mm_loadl_epi64(from.cast()) } else { _mm_load_si128(from.cast()) };
            _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(byte as i8))) as u32
        };
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: there are as many tags as places.
        let mask = (0..self.items).fold(0, |mask, i| mask | u32::from(unsafe { self.tags.add(i).read() } == byte) << i);
        mask & ((1 << self.items) - 1)
    }

    /// The first place with an item, of which there is one.
    pub(super) unsafe fn first_full(self) -> Place<T> {
        // SAFETY: as above.
        self.place(unsafe { self.full() }.trailing_zeros() as usize)
    }

    #[inline]
    pub(super) unsafe fn child(self) -> Option<Row<T>> {
        // SAFETY: the flag is set exactly while the last word holds the address of a child.
        unsafe { (self.flag().read() != 0).then(|| Row::child_at(self.last().word.cast::<NonNull<Child<T>>>().read())) }
    }

    /// Gives the last place, whose item was taken, to a child.
    pub(super) unsafe fn chain(self, child: Row<T>) {
        // SAFETY: as above.
        unsafe {
            self.last().word.cast::<NonNull<Child<T>>>().write(child.tags.cast());
            self.flag().write(1);
        }
    }

    /// Takes the last place back from a child.
    pub(super) unsafe fn unchain(self) {
        // SAFETY: as above.
        unsafe { self.flag().write(0) };
    }

    /// Forgets all items and the child.
    pub(super) unsafe fn clear_tags(self) {
        // SAFETY: as above; the flag's byte is the last one of them.
        unsafe { self.tags.write_bytes(0, if self.is_child() { size_of::<u64>() } else { size_of::<u128>() }) };
    }

    /// Gives the memory of a child back, to which nothing leads any more and whose items were taken.
    pub(super) unsafe fn free_child(self) {
        debug_assert!(self.is_child());
        // SAFETY: children are allocated one by one with this layout.
        unsafe { alloc::dealloc(self.tags.as_ptr(), Layout::new::<Child<T>>()) };
    }
}
