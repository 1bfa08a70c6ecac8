//! The tail of the replication stream, kept once and shared: a reconnecting replica finds what it missed here, and every
//! attached replica is fed from here by its own offset.
//!
//! A list of blocks, not a ring: a replica that lags (it waits for its snapshot, or its link is slow) keeps the blocks it
//! still needs and the backlog grows past its size meanwhile; it shrinks again from the front, a block at a time.
//!
//! Positions are replication offsets: position `n` stands after the first `n` bytes of the history, so byte number
//! `n + 1` of PSYNC is the byte behind position `n`.

use std::collections::VecDeque;

/// The smallest block, and the smallest size a backlog may have.
pub const BLOCK_MIN_BYTES: u64 = 16 << 10;
/// A backlog is about this many blocks.
const BLOCKS: u64 = 16;
/// The most blocks dropped in one step, so that freeing a grown backlog never takes long.
const TRIM_STEP: usize = 64;

struct Block {
    /// Position of the first byte.
    start: u64,
    capacity: usize,
    bytes: Vec<u8>,
}

impl Block {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// The shared tail of the stream.
pub struct Backlog {
    size: u64,
    blocks: VecDeque<Block>,
    start: u64,
    end: u64,
}

impl Backlog {
    /// An empty backlog of about `size` bytes (at least 16 KiB) whose first byte will be the one behind position `at`.
    #[must_use]
    pub fn new(size: u64, at: u64) -> Backlog {
        Backlog { size: size.max(BLOCK_MIN_BYTES), blocks: VecDeque::new(), start: at, end: at }
    }

    /// Changes the size; blocks beyond it go with the next trims.
    pub fn resize(&mut self, size: u64) {
        self.size = size.max(BLOCK_MIN_BYTES);
    }

    /// `repl_backlog_size`.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Position before the first byte that is kept.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// `repl_backlog_histlen`: bytes kept.
    #[must_use]
    pub fn histlen(&self) -> u64 {
        self.end - self.start
    }

    /// Whether the stream can be read on from `position`.
    #[must_use]
    pub fn covers(&self, position: u64) -> bool {
        (self.start..=self.end).contains(&position)
    }

    /// Puts `bytes` at the end. Says whether a block was opened: the moment to trim and to look for replicas that
    /// are too far behind, which need not be done for every command.
    pub fn append(&mut self, mut bytes: &[u8]) -> bool {
        let mut opened = false;
        while !bytes.is_empty() {
            let room = self.blocks.back().map_or(0, |b| b.capacity - b.bytes.len());
            if room == 0 {
                let capacity = (self.size / BLOCKS).max(BLOCK_MIN_BYTES) as usize;
                self.blocks.push_back(Block { start: self.end, capacity, bytes: Vec::with_capacity(capacity) });
                opened = true;
                continue;
            }
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            let block = self.blocks.back_mut().expect("a block with room is there");
            block.bytes.extend_from_slice(now);
            self.end += now.len() as u64;
            bytes = rest;
        }
        opened
    }

    /// Drops blocks from the front while more than the size stays, but none that holds bytes behind position `needed`
    /// (the lowest position a replica has yet to read from). Takes at most 64 blocks at once; says whether it stopped there.
    pub fn trim(&mut self, needed: Option<u64>) -> bool {
        for _ in 0..TRIM_STEP {
            if self.blocks.len() < 2 {
                return false;
            }
            let end = self.blocks[0].end();
            if self.end - end < self.size || needed.is_some_and(|needed| needed < end) {
                return false;
            }
            self.blocks.pop_front();
            self.start = end;
        }
        true
    }

    /// Up to `max` bytes behind `position` in at most two pieces, ready for a vectored write. Empty if there is nothing
    /// to read, or if the position is not covered any more.
    #[must_use]
    pub fn read(&self, position: u64, max: usize) -> [&[u8]; 2] {
        if !self.covers(position) || position == self.end {
            return [&[], &[]];
        }
        let at = self.blocks.partition_point(|b| b.end() <= position);
        let first = self.blocks.get(at).map_or(&[][..], |b| &b.bytes[(position - b.start) as usize..]);
        if first.len() >= max {
            return [&first[..max], &[]];
        }
        let second = self.blocks.get(at + 1).map_or(&[][..], |b| &b.bytes[..]);
        [first, &second[..second.len().min(max - first.len())]]
    }

    /// Bytes of memory taken, the unused rest of the last block included.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.blocks.iter().map(|b| b.bytes.capacity() + size_of::<Block>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The byte that belongs behind `position`: any mix-up of offsets shows.
    fn byte_at(position: u64) -> u8 {
        (position.wrapping_mul(31) ^ (position >> 8)) as u8
    }

    fn stretch(from: u64, len: u64) -> Vec<u8> {
        (from..from + len).map(byte_at).collect()
    }

    fn read_all(backlog: &Backlog, from: u64, max: usize) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), from);
        loop {
            let pieces = backlog.read(at, max);
            let got: usize = pieces.iter().map(|p| p.len()).sum();
            if got == 0 {
                return out;
            }
            assert!(got <= max);
            pieces.iter().for_each(|p| out.extend_from_slice(p));
            at += got as u64;
        }
    }

    #[test]
    fn an_empty_backlog_covers_only_its_own_position() {
        let backlog = Backlog::new(1, 500);
        assert_eq!(backlog.size(), BLOCK_MIN_BYTES);
        assert!(backlog.histlen() == 0 && backlog.covers(500));
        assert!(!backlog.covers(499) && !backlog.covers(501));
        assert_eq!(backlog.read(500, 10), [b"", b""]);
    }

    #[test]
    fn a_lagging_reader_keeps_what_it_needs() {
        let mut backlog = Backlog::new(BLOCK_MIN_BYTES, 0);
        for _ in 0..10 {
            let at = backlog.end;
            backlog.append(&stretch(at, BLOCK_MIN_BYTES));
            backlog.trim(Some(100));
        }
        assert_eq!(backlog.start(), 0);
        backlog.trim(Some(BLOCK_MIN_BYTES * 3));
        assert_eq!(backlog.start(), BLOCK_MIN_BYTES * 3);
        backlog.trim(None);
        assert_eq!(backlog.histlen(), BLOCK_MIN_BYTES);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_tail_of_what_was_fed(
            origin in 0u64..1_000_000,
            feeds in prop::collection::vec((1u64..40_000, prop::option::of(0u64..100)), 1..40),
            max in 1usize..70_000,
        ) {
            let mut backlog = Backlog::new(64 << 10, origin);
            for (len, pin) in feeds {
                let at = backlog.end;
                backlog.append(&stretch(at, len));
                let pin = pin.map(|percent| backlog.start() + backlog.histlen() * percent / 100);
                let before = backlog.histlen();
                while backlog.trim(pin) {}
                prop_assert_eq!(backlog.end, at + len);
                prop_assert!(backlog.histlen() >= before.min(backlog.size()));
                if let Some(pin) = pin {
                    prop_assert!(backlog.covers(pin));
                    prop_assert_eq!(read_all(&backlog, pin, max), stretch(pin, backlog.end - pin));
                } else {
                    prop_assert!(backlog.histlen() < backlog.size() + (16 << 10) * 2);
                }
            }
            let from = backlog.start();
            prop_assert_eq!(read_all(&backlog, from, max), stretch(from, backlog.histlen()));
        }
    }
}
