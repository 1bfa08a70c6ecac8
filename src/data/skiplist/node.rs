//! One element of a skiplist: score, links and member in a single allocation.
//!
//! Behind the [`Header`] follow, for a node of height `h`: `h` links to the next node of each level, `h - 1` spans
//! of the levels above the lowest (where a step is always one), and the member. Most nodes have height 1, so the
//! usual cost is 32 bytes and the member.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::data::alloc::size_class;

/// With one node in four reaching the next level, enough for 2^32 elements.
pub(super) const MAX_HEIGHT: usize = 16;

#[repr(C)]
struct Header {
    score: f64,
    prev: Link,
    /// The member's length, and in the low byte the height.
    shape: u64,
}

/// A pointer to a node. Copying it copies the pointer only; every use but comparing asserts that the node has not
/// been freed, which is why the methods are unsafe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(in crate::data) struct Node(NonNull<Header>);

pub(super) type Link = Option<Node>;

const LINK: usize = size_of::<Link>();
const SPAN: usize = size_of::<u32>();
const LINKS_AT: usize = size_of::<Header>();

fn layout(height: usize, member_len: usize) -> Layout {
    let size = LINKS_AT + height * LINK + (height - 1) * SPAN;
    let size = size.checked_add(member_len).expect("a member is far smaller than the address space");
    Layout::from_size_align(size, align_of::<Header>()).expect("a member is far smaller than the address space")
}

impl Node {
    /// Allocates a node that is linked to nothing. `height` is in `1..=MAX_HEIGHT`.
    pub(super) fn new(score: f64, member: &[u8], height: usize) -> Node {
        assert!((1..=MAX_HEIGHT).contains(&height));
        let layout = layout(height, member.len());
        // SAFETY: the layout is not empty.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let node = Node(base.cast());
        let shape = (member.len() as u64) << 8 | height as u64;
        // SAFETY: fresh memory of the layout of this height and member length, and each part is written inside it.
        unsafe {
            node.0.write(Header { score, prev: None, shape });
            for level in 0..height {
                node.set_next(level, None);
                if level > 0 {
                    node.set_span(level, 0);
                }
            }
            let to = base.byte_add(layout.size() - member.len());
            to.copy_from_nonoverlapping(NonNull::from_ref(member).cast(), member.len());
        }
        node
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// The node is alive, and nobody uses it any more.
    pub(super) unsafe fn free(self) {
        // SAFETY: alive, and allocated with this very layout.
        unsafe { dealloc(self.0.as_ptr().cast(), layout(self.height(), self.member_len())) }
    }

    /// Where the node is, for looking ahead.
    pub(in crate::data) fn address(self) -> *const u8 {
        self.0.as_ptr().cast_const().cast()
    }

    /// Heap bytes of the node.
    ///
    /// # Safety
    /// The node is alive; so for all methods below.
    pub(super) unsafe fn mem_bytes(self) -> usize {
        // SAFETY: alive.
        size_class(unsafe { layout(self.height(), self.member_len()) }.size())
    }

    pub(in crate::data) unsafe fn score(self) -> f64 {
        // SAFETY: alive, so the header is there.
        unsafe { (*self.0.as_ptr()).score }
    }

    pub(super) unsafe fn set_score(self, score: f64) {
        // SAFETY: alive, so the header is there.
        unsafe { (*self.0.as_ptr()).score = score }
    }

    pub(super) unsafe fn prev(self) -> Link {
        // SAFETY: alive, so the header is there.
        unsafe { (*self.0.as_ptr()).prev }
    }

    pub(super) unsafe fn set_prev(self, prev: Link) {
        // SAFETY: alive, so the header is there.
        unsafe { (*self.0.as_ptr()).prev = prev }
    }

    pub(super) unsafe fn height(self) -> usize {
        // SAFETY: alive, so the header is there.
        (unsafe { (*self.0.as_ptr()).shape } & 0xff) as usize
    }

    unsafe fn member_len(self) -> usize {
        // SAFETY: alive, so the header is there.
        (unsafe { (*self.0.as_ptr()).shape } >> 8) as usize
    }

    /// The member, for as long as the caller knows the node to live.
    pub(in crate::data) unsafe fn member<'a>(self) -> &'a [u8] {
        // SAFETY: alive, so the member stands behind links and spans, and members are never changed.
        unsafe {
            let height = self.height();
            let at = LINKS_AT + height * LINK + (height - 1) * SPAN;
            std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(at), self.member_len())
        }
    }

    /// Where the link of a level is. `level` is below the height.
    unsafe fn link(self, level: usize) -> *mut Link {
        // SAFETY: alive, so its links stand behind the header, aligned as the header is.
        unsafe {
            debug_assert!(level < self.height());
            self.0.as_ptr().byte_add(LINKS_AT + level * LINK).cast()
        }
    }

    pub(super) unsafe fn next(self, level: usize) -> Link {
        // SAFETY: alive, and the level is below the height.
        unsafe { *self.link(level) }
    }

    pub(super) unsafe fn set_next(self, level: usize, next: Link) {
        // SAFETY: alive, and the level is below the height.
        unsafe { *self.link(level) = next }
    }

    /// Where the span of a level is. `level` is above 0 and below the height.
    unsafe fn span_place(self, level: usize) -> *mut u32 {
        // SAFETY: alive, so its spans stand behind the links, aligned to four bytes as those are to eight.
        unsafe {
            debug_assert!(0 < level && level < self.height());
            self.0.as_ptr().byte_add(LINKS_AT + self.height() * LINK + (level - 1) * SPAN).cast()
        }
    }

    /// How many elements the link of this level steps forward; a link to nothing steps to the last element.
    pub(super) unsafe fn span(self, level: usize) -> usize {
        if level == 0 {
            return 1;
        }
        // SAFETY: alive, and the level is below the height.
        unsafe { *self.span_place(level) as usize }
    }

    /// The span of level 0 is not stored.
    pub(super) unsafe fn set_span(self, level: usize, span: usize) {
        // SAFETY: alive, and the level is below the height.
        unsafe { *self.span_place(level) = span as u32 }
    }
}
