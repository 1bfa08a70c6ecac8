//! The memory of a listpack: a run of bytes that begins with its own length, behind a single thin pointer, with room to
//! grow at either end.
//!
//! ```text
//! size class 1 | unused at the front 3 | unused ... | the listpack | unused ...
//! ```
//!
//! What is inserted or removed moves the shorter side of the listpack, if there is room on that side: pushing and
//! popping is cheap at both ends. The memory is always a whole size class of the allocator.
#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::ptr::NonNull;

use crate::data::alloc::{class_bytes, class_number};

const HEAD: usize = 4;
const FRONT_MAX: usize = (1 << 24) - 1;
/// The length stands in the first bytes of a listpack, little endian.
const LEN_BYTES: usize = 4;
/// Memory of this size is not worth giving back.
const SMALL: usize = 64;

/// Owned bytes; at least as many as tell the length, which they always do.
pub(super) struct Room(NonNull<u8>);

// SAFETY: the memory is owned by the room alone.
unsafe impl Send for Room {}
// SAFETY: the memory is owned by the room alone, and without exclusive access only read.
unsafe impl Sync for Room {}

impl Room {
    /// A copy of bytes that begin with their length.
    pub(super) fn new(bytes: &[u8]) -> Room {
        assert!(bytes.len() >= LEN_BYTES);
        let mut room = Room::allocate(bytes.len());
        // SAFETY: so much was just allocated behind the head.
        unsafe { room.0.add(HEAD).copy_from_nonoverlapping(NonNull::from_ref(bytes).cast(), bytes.len()) };
        room.set_len(bytes.len());
        room
    }

    /// Memory for `len` bytes, none of which is unused at the front. Their length is not written yet.
    fn allocate(len: usize) -> Room {
        let number = class_number(HEAD + len);
        let layout = layout(number);
        // SAFETY: the size is not 0.
        let Some(base) = NonNull::new(unsafe { alloc::alloc(layout) }) else { alloc::handle_alloc_error(layout) };
        // SAFETY: the memory is larger than the head, and aligned for it.
        unsafe { base.cast::<u32>().write(u32::from(number)) };
        Room(base)
    }

    fn head(&self) -> u32 {
        // SAFETY: the head is always there, and aligned.
        unsafe { self.0.cast::<u32>().read() }
    }

    /// Bytes of the memory.
    pub(super) fn capacity(&self) -> usize {
        class_bytes(self.head() as u8)
    }

    fn front(&self) -> usize {
        (self.head() >> 8) as usize
    }

    fn set_front(&mut self, front: usize) {
        debug_assert!(front <= FRONT_MAX);
        let head = self.head() & 0xff | (front as u32) << 8;
        // SAFETY: the head is always there, and aligned.
        unsafe { self.0.cast::<u32>().write(head) };
    }

    fn start(&self) -> NonNull<u8> {
        // SAFETY: the bytes begin inside the memory.
        unsafe { self.0.add(HEAD + self.front()) }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        // SAFETY: the bytes are never fewer than those of their length.
        u32::from_le(unsafe { self.start().cast::<u32>().read_unaligned() }) as usize
    }

    fn set_len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("a listpack is kept below its largest size by its owner");
        // SAFETY: as above.
        unsafe { self.start().cast::<u32>().write_unaligned(len.to_le()) };
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are there, initialised, and borrowed with the room.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.len()) }
    }

    /// For changes that leave the length as it is.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.len()) }
    }

    /// Puts `new` zero bytes in the place of the bytes from `at` up to `until`; the length is kept up. `at` is behind
    /// the length, and `until` within the bytes.
    pub(super) fn splice(&mut self, at: usize, until: usize, new: usize) {
        let len = self.len();
        assert!(LEN_BYTES <= at && at <= until && until <= len, "a range of the listpack");
        let new_len = len - (until - at) + new;
        if HEAD + new_len > self.capacity() || (new_len < len && self.is_wasteful(new_len)) {
            self.move_out(at, until, new);
        } else {
            self.shift(at, until, new);
        }
        self.set_len(new_len);
        // SAFETY: the new bytes are inside the memory.
        unsafe { self.start().add(at).write_bytes(0, new) };
    }

    fn is_wasteful(&self, len: usize) -> bool {
        self.capacity() > SMALL && HEAD + len < self.capacity() / 2
    }

    /// Moves what stands on one side of the range, so that it has `new` bytes. They fit in.
    fn shift(&mut self, at: usize, until: usize, new: usize) {
        let (len, front, start) = (self.len(), self.front(), self.start());
        let spare = self.capacity() - HEAD - len;
        let grow = new.saturating_sub(until - at);
        let (before, after) = (at, len - until);
        let near_front = before < after;
        let fits = if near_front { grow <= front } else { grow <= spare - front };
        let new_front = match (fits, near_front) {
            (true, true) => (front + (until - at)).checked_sub(new).filter(|&front| front <= FRONT_MAX),
            (true, false) => Some(front),
            (false, _) => None,
        };
        // Neither side as it is: the listpack comes into the middle, so that the next ones find room on both sides.
        let new_front = new_front.unwrap_or_else(|| ((spare + (until - at) - new) / 2).min(FRONT_MAX));
        // SAFETY: both parts are inside the memory where they are and where they come: the front and the new length
        // together are within the capacity. The one is moved first that the other does not overwrite.
        unsafe {
            let to = self.0.add(HEAD + new_front);
            let move_before = || to.copy_from(start, before);
            let move_after = || to.add(at + new).copy_from(start.add(until), after);
            if new_front <= front {
                if new_front != front {
                    move_before();
                }
                if new_front + at + new != front + until {
                    move_after();
                }
            } else {
                if new_front + at + new != front + until {
                    move_after();
                }
                move_before();
            }
        }
        self.set_front(new_front);
    }

    /// Moves everything to memory of the right size, where the range has `new` bytes.
    fn move_out(&mut self, at: usize, until: usize, new: usize) {
        let (len, start) = (self.len(), self.start());
        let (before, after) = (at, len - until);
        let mut room = Room::allocate(before + new + after);
        if before < after {
            // Most likely it will grow there again.
            let spare = room.capacity() - HEAD - (before + new + after);
            room.set_front(spare.min(FRONT_MAX));
        }
        // SAFETY: the new memory has room for both parts and what comes between.
        unsafe {
            room.start().copy_from_nonoverlapping(start, before);
            room.start().add(at + new).copy_from_nonoverlapping(start.add(until), after);
        }
        *self = room;
    }
}

fn layout(number: u8) -> Layout {
    Layout::from_size_align(class_bytes(number), align_of::<u32>()).expect("a listpack is smaller than that")
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, which the head keeps, and dropped once.
        unsafe { alloc::dealloc(self.0.as_ptr(), layout(self.head() as u8)) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::alloc::size_class;

    fn room_of(text: &[u8]) -> Room {
        let mut bytes = ((LEN_BYTES + text.len()) as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(text);
        Room::new(&bytes)
    }

    #[test]
    fn pushing_at_an_end_seldom_moves_the_rest() {
        for at_front in [true, false] {
            let mut room = room_of(b"");
            let mut moved = 0;
            for _ in 0..1000 {
                let (memory, front) = (room.0, room.front());
                let at = if at_front { LEN_BYTES } else { room.len() };
                room.splice(at, at, 8);
                moved += usize::from(room.0 != memory || (at_front && room.front() + 8 != front));
            }
            assert!(moved < 40, "{moved}");
            assert_eq!(room.capacity(), size_class(HEAD + room.len()));
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(
            first in proptest::collection::vec(any::<u8>(), 0..100),
            changes in proptest::collection::vec((any::<usize>(), 0..60usize, 0..90usize, 0..3u8), 1..60),
        ) {
            let mut room = room_of(&first);
            let mut model = first;
            for (i, (at, remove, new, place)) in changes.into_iter().enumerate() {
                let at = match place {
                    0 => 0,
                    1 => model.len(),
                    _ => at % (model.len() + 1),
                };
                let until = (at + remove).min(model.len());
                room.splice(LEN_BYTES + at, LEN_BYTES + until, new);
                prop_assert!(room.bytes()[LEN_BYTES + at..LEN_BYTES + at + new].iter().all(|&byte| byte == 0));
                room.bytes_mut()[LEN_BYTES + at..LEN_BYTES + at + new].fill(i as u8);
                model.splice(at..until, std::iter::repeat_n(i as u8, new));
                prop_assert_eq!(&room.bytes()[LEN_BYTES..], &model[..]);
                prop_assert!(HEAD + room.front() + room.len() <= room.capacity());
                prop_assert!(room.capacity() <= SMALL.max(2 * (HEAD + room.len())));
            }
        }
    }
}
