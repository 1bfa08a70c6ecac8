//! The id of a stream entry: a time in milliseconds and a number within it.

/// Orders as entries do: by time, then by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    #[must_use]
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id right after this one.
    #[must_use]
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id right before this one.
    #[must_use]
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// Both halves in big endian: the form of keys and pending lists in files.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// `ms-seq`, without an allocation.
    #[must_use]
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; IdText::MAX_BYTES], len: 0 };
        let mut room = itoa::Buffer::new();
        text.push(room.format(self.ms).as_bytes());
        text.push(b"-");
        text.push(room.format(self.seq).as_bytes());
        text
    }
}

/// The text of an id.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; IdText::MAX_BYTES],
    len: usize,
}

impl IdText {
    /// Twice the digits of the largest `u64`, and the hyphen.
    const MAX_BYTES: usize = 41;

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_cross_the_millisecond() {
        let last = StreamId::new(7, u64::MAX);
        assert_eq!(last.next(), Some(StreamId::new(8, 0)));
        assert_eq!(StreamId::new(8, 0).prev(), Some(last));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.prev(), None);
        assert!(last < StreamId::new(8, 0));
    }

    #[test]
    fn both_forms() {
        for (id, text) in [
            (StreamId::MIN, "0-0"),
            (StreamId::MAX, "18446744073709551615-18446744073709551615"),
            (StreamId::new(1, 20), "1-20"),
        ] {
            assert_eq!(id.text().as_bytes(), text.as_bytes());
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }
        assert_eq!(StreamId::new(1, 2).to_bytes(), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
}
