//! LZF, the compression of strings in RDB files and of quicklist nodes in memory.
//!
//! The format: a control byte below 32 announces that many literal bytes plus one; any other control byte is a
//! reference of 3 to 264 bytes to at most 8 KiB back. Written here because the input of the decoder is hostile
//! (a DUMP payload, a file) and the encoder runs once for every value longer than 20 bytes: the
//! decoder never allocates what the input cannot yield, and the encoder's table grows with the input.

/// The farthest a reference reaches back.
const MAX_DISTANCE: usize = 1 << 13;
/// The longest reference, which takes three bytes.
const MAX_MATCH: usize = 264;
const MIN_MATCH: usize = 3;
const MAX_LITERALS: usize = 32;

/// The most bytes that one compressed byte can stand for.
const MAX_RATIO: usize = MAX_MATCH / 3;

/// The compressed form of `data`, or nothing if it would be longer than `limit` bytes.
#[must_use]
pub fn compress(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    if data.len() < MIN_MATCH || u32::try_from(data.len()).is_err() {
        return None;
    }
    // One slot for every input byte within reason, so that short strings do not pay for clearing a large table.
    let bits = usize::BITS - data.len().leading_zeros();
    let bits = bits.clamp(6, 14);
    // The last position (plus one) at which three bytes with this hash began.
    let mut last_seen = vec![0u32; 1 << bits];
    let mut out = Vec::with_capacity(limit.min(data.len()));
    let (mut at, mut literals_from) = (0, 0);
    while at + MIN_MATCH <= data.len() {
        if out.len() + (at - literals_from) > limit {
            return None;
        }
        let slot = hash(data, at, bits);
        let candidate = std::mem::replace(&mut last_seen[slot], at as u32 + 1) as usize;
        let Some(from) = candidate.checked_sub(1).filter(|from| at - from <= MAX_DISTANCE) else {
            at += 1;
            continue;
        };
        let length = common_prefix(&data[from..], &data[at..]);
        if length < MIN_MATCH {
            at += 1;
            continue;
        }
        push_literals(&mut out, &data[literals_from..at]);
        push_reference(&mut out, at - from, length);
        // The end of the match may begin the next one; indexing its inside is not worth the time.
        let end = at + length;
        for inside in [end - 2, end - 1] {
            if inside + MIN_MATCH <= data.len() {
                last_seen[hash(data, inside, bits)] = inside as u32 + 1;
            }
        }
        at = end;
        literals_from = end;
    }
    push_literals(&mut out, &data[literals_from..]);
    (out.len() <= limit).then_some(out)
}

fn hash(data: &[u8], at: usize, bits: u32) -> usize {
    let word = u32::from_le_bytes([data[at], data[at + 1], data[at + 2], 0]);
    (word.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

fn common_prefix(earlier: &[u8], later: &[u8]) -> usize {
    earlier.iter().zip(later).take(MAX_MATCH).take_while(|(a, b)| a == b).count()
}

fn push_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(MAX_LITERALS) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn push_reference(out: &mut Vec<u8>, distance: usize, length: usize) {
    let (back, code) = (distance - 1, length - 2);
    let high = (back >> 8) as u8;
    if code < 7 {
        out.push((code as u8) << 5 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((code - 7) as u8);
    }
    out.push(back as u8);
}

/// The data that was compressed to `packed`, which must come to exactly `length` bytes: nothing if it does not, or
/// if `packed` is malformed.
#[must_use]
pub fn decompress(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > packed.len().saturating_mul(MAX_RATIO) {
        return None;
    }
    let mut out = Vec::with_capacity(length.min(packed.len().saturating_mul(4)));
    let mut rest = packed;
    while let [control, tail @ ..] = rest {
        rest = tail;
        let control = usize::from(*control);
        if control < MAX_LITERALS {
            let (literals, tail) = rest.split_at_checked(control + 1)?;
            rest = tail;
            out.extend_from_slice(literals);
        } else {
            let mut code = control >> 5;
            if code == 7 {
                code += usize::from(*rest.split_off_first()?);
            }
            let back = (control & 0x1f) << 8 | usize::from(*rest.split_off_first()?);
            copy_back(&mut out, back + 1, code + 2)?;
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

/// Appends `length` bytes found `distance` bytes before the end; the two ranges may overlap, which repeats a pattern.
fn copy_back(out: &mut Vec<u8>, distance: usize, length: usize) -> Option<()> {
    let from = out.len().checked_sub(distance)?;
    let mut left = length;
    while left > 0 {
        let step = left.min(out.len() - from);
        out.extend_from_within(from..from + step);
        left -= step;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_streams() {
        // Three literals, then a reference three back of length 6: it overlaps its own output.
        assert_eq!(decompress(b"\x02abc\x80\x02", 9).unwrap(), b"abcabcabc");
        // A long reference: 7 in the control byte plus one more byte.
        assert_eq!(decompress(b"\x00a\xe0\x5a\x00", 100).unwrap(), [b'a'; 100]);
    }

    #[test]
    fn malformed_streams_are_refused() {
        for (packed, length) in [
            (&b"\x02ab"[..], 3),          // literals cut short
            (b"\x00a\x20", 4),            // no distance
            (b"\x00a\xe0", 100),          // no extra length
            (b"\x00a\x20\x01", 4),        // reaches before the beginning
            (b"\x02abc", 2),              // longer than stated
            (b"\x02abc", 4),              // shorter than stated
            (b"", 1),                     // nothing there
            (b"\x00a\xe0\xff\x00", 1000), // states more than the bytes can yield
        ] {
            assert_eq!(decompress(packed, length), None, "{packed:?}");
        }
        assert_eq!(decompress(b"", 0), Some(vec![]));
    }

    #[test]
    fn repetition_shrinks_and_noise_is_declined() {
        let data = b"0123456789".repeat(100);
        let packed = compress(&data, data.len() - 4).unwrap();
        assert!(packed.len() < 40, "{}", packed.len());
        let noise: Vec<u8> = {
            let mut rng = crate::base::Rng::seeded(1);
            (0..1000).map(|_| rng.next_u64() as u8).collect()
        };
        assert_eq!(compress(&noise, noise.len() - 4), None);
        assert_eq!(compress(b"ab", 100), None);
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(0u8..3, 0..20_000),
            (prop::collection::vec(any::<u8>(), 1..50), 1usize..2000).prop_map(|(unit, times)| unit.repeat(times)),
        ]) {
            if let Some(packed) = compress(&data, data.len() + data.len() / 32 + 1) {
                prop_assert_eq!(decompress(&packed, data.len()), Some(data));
            } else {
                prop_assert!(data.len() < MIN_MATCH);
            }
        }

        #[test]
        fn the_limit_holds(data in prop::collection::vec(0u8..8, 3..400), limit in 0usize..400) {
            if let Some(packed) = compress(&data, limit) {
                prop_assert!(packed.len() <= limit);
            }
        }

        #[test]
        fn noise_never_panics(packed in prop::collection::vec(any::<u8>(), 0..200), length in 0usize..5000) {
            if let Some(data) = decompress(&packed, length) {
                prop_assert_eq!(data.len(), length);
            }
        }
    }
}
