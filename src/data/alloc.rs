//! What an allocation really costs: the allocator rounds every request up to a size class, so buffers that
//! grow take the whole class at once, and memory accounts count classes rather than requests.

/// The bytes an allocator with four classes a doubling hands out for a request of `bytes`; 0 for 0.
#[must_use]
pub fn size_class(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

/// The number of the size class of a request of `bytes`, which is not 0. Classes are numbered from the smallest on, so
/// that one byte tells the size of an allocation.
#[must_use]
pub fn class_number(bytes: usize) -> u8 {
    let class = size_class(bytes);
    match class {
        0..=8 => 0,
        9..=128 => (class / 16) as u8,
        _ => {
            let doubling = (class - 1).ilog2();
            let quarter = (class - (1 << doubling)) >> (doubling - 2);
            (4 * (doubling - 7) + 8) as u8 + quarter as u8
        }
    }
}

/// The bytes of the size class of this number.
#[must_use]
pub fn class_bytes(number: u8) -> usize {
    match usize::from(number) {
        0 => 8,
        sixteens @ 1..=8 => 16 * sixteens,
        number => {
            let (doublings, quarter) = ((number - 9) / 4, (number - 9) % 4 + 1);
            (128 << doublings) + quarter * (32 << doublings)
        }
    }
}

/// Makes room for `bytes` bytes in all, without the doubling of `Vec`: a quarter too much at most.
pub fn reserve_class(buffer: &mut Vec<u8>, bytes: usize) {
    if bytes > buffer.capacity() {
        buffer.reserve_exact(size_class(bytes) - buffer.len());
    }
}

/// Gives memory back once a buffer uses less than half of what it holds.
pub fn shrink_class(buffer: &mut Vec<u8>) {
    if buffer.capacity() > 64 && buffer.len() < buffer.capacity() / 2 {
        buffer.shrink_to(size_class(buffer.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_four_a_doubling() {
        for (bytes, class) in [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (16, 16),
            (17, 32),
            (112, 112),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (256, 256),
            (257, 320),
            (1024, 1024),
            (1025, 1280),
            (1 << 20, 1 << 20),
        ] {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
        for bytes in 1..5000 {
            assert!(size_class(bytes) >= bytes && size_class(bytes) <= bytes.max(64) * 5 / 4 + 15, "{bytes}");
            assert_eq!(size_class(size_class(bytes)), size_class(bytes));
            assert_eq!(class_bytes(class_number(bytes)), size_class(bytes), "{bytes}");
        }
    }
}
