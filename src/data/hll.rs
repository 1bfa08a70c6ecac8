//! HyperLogLog: how many different elements were seen, in at most 12 KiB, within a percent.
//!
//! The value is a plain string, so that it is saved, copied and read by other servers as one; here are its two forms.
//!
//! ```text
//! header:  "HYLL" | form: 0 dense, 1 sparse | 3 zero bytes | cached cardinality, u64 LE, top bit set when stale
//! dense:   16384 registers of 6 bits, the first in the lowest bits
//! sparse:  00xxxxxx          x + 1 registers are 0
//!          01xxxxxx yyyyyyyy xy + 1 registers are 0
//!          1vvvvvxx          x + 1 registers are v + 1
//! ```
//!
//! The bytes after the same additions are those that stock servers have.

mod estimate;
mod sparse;

use super::Corrupt;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
const HEADER: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const FORM_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
const STALE: u8 = 0x80;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;

/// Registers unpacked, a byte each: what several values are merged in.
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Registers {
        Registers(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Raises every register to that of `value`, which passed [`is_valid`].
    ///
    /// # Errors
    /// When the runs of the sparse form do not add up.
    pub fn merge(&mut self, value: &[u8]) -> Result<(), Corrupt> {
        let body = &value[HEADER..];
        if is_dense(value) {
            for (three, four) in body.chunks_exact(3).zip(self.0.chunks_exact_mut(4)) {
                let bits = u32::from_le_bytes([three[0], three[1], three[2], 0]);
                for (i, register) in four.iter_mut().enumerate() {
                    *register = (*register).max((bits >> (6 * i)) as u8 & 0x3f);
                }
            }
            return Ok(());
        }
        let mut at = 0;
        for run in sparse::Runs::new(body) {
            let run = run?;
            let registers = self.0.get_mut(at..at + run.len).ok_or(sparse::BROKEN)?;
            registers.iter_mut().for_each(|register| *register = (*register).max(run.value));
            at += run.len;
        }
        if at == REGISTERS { Ok(()) } else { Err(sparse::BROKEN) }
    }

    /// The number of different elements that lead to these registers, estimated.
    #[must_use]
    pub fn cardinality(&self) -> u64 {
        let mut counts = [0; 64];
        self.0.iter().for_each(|&register| counts[usize::from(register) & 63] += 1);
        estimate::cardinality(&counts)
    }

    /// The registers in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u8> {
        self.0.iter().copied()
    }
}

/// A value without elements.
#[must_use]
pub fn empty() -> Vec<u8> {
    let mut value = vec![0; HEADER];
    value[..MAGIC.len()].copy_from_slice(MAGIC);
    value[FORM_AT] = SPARSE;
    sparse::push_zeros(&mut value, REGISTERS);
    value
}

/// Whether a string has the outer form of a value; its runs are checked when they are read.
#[must_use]
pub fn is_valid(text: &[u8]) -> bool {
    text.len() >= HEADER
        && text.starts_with(MAGIC)
        && (text[FORM_AT] == SPARSE || (text[FORM_AT] == DENSE && text.len() == DENSE_BYTES))
}

#[must_use]
pub fn is_dense(value: &[u8]) -> bool {
    value[FORM_AT] == DENSE
}

/// The cardinality that was computed last, if nothing has changed since.
#[must_use]
pub fn cached_cardinality(value: &[u8]) -> Option<u64> {
    let cached = value[CARDINALITY_AT..HEADER].try_into().map(u64::from_le_bytes).ok()?;
    (value[HEADER - 1] & STALE == 0).then_some(cached)
}

pub fn cache_cardinality(value: &mut [u8], cardinality: u64) {
    value[CARDINALITY_AT..HEADER].copy_from_slice(&cardinality.to_le_bytes());
}

pub fn make_stale(value: &mut [u8]) {
    value[HEADER - 1] |= STALE;
}

/// Adds an element; says whether that changed anything. A sparse value that would grow beyond `sparse_max` bytes
/// becomes dense.
///
/// # Errors
/// When the runs of the sparse form do not add up.
pub fn add(value: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupt> {
    let hash = hash(element);
    let index = hash as usize & (REGISTERS - 1);
    // The bit behind the hash ends a row of zeros.
    let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
    raise(value, index, rest.trailing_zeros() as u8 + 1, sparse_max)
}

/// Raises every register to that of `registers`, one after the other.
///
/// # Errors
/// As [`add`].
pub fn raise_all(value: &mut Vec<u8>, registers: &Registers, sparse_max: usize) -> Result<(), Corrupt> {
    for (index, register) in registers.iter().enumerate().filter(|(_, register)| *register > 0) {
        raise(value, index, register, sparse_max)?;
    }
    Ok(())
}

/// Raises one register to `count`; says whether it was lower.
fn raise(value: &mut Vec<u8>, index: usize, count: u8, sparse_max: usize) -> Result<bool, Corrupt> {
    let raised = if is_dense(value) {
        raise_dense(value, index, count)
    } else {
        match sparse::raise(value, HEADER, index, count, sparse_max)? {
            sparse::Raised::Done(raised) => raised,
            sparse::Raised::NeedsDense => {
                make_dense(value)?;
                raise_dense(value, index, count)
            }
        }
    };
    if raised {
        make_stale(value);
    }
    Ok(raised)
}

fn raise_dense(value: &mut [u8], index: usize, count: u8) -> bool {
    let (at, shift) = (HEADER + index * 6 / 8, index * 6 % 8);
    let next = value.get(at + 1).copied().unwrap_or(0);
    let bits = u16::from_le_bytes([value[at], next]);
    if (bits >> shift) as u8 & 0x3f >= count {
        return false;
    }
    let bits = (bits & !(0x3f << shift) | u16::from(count) << shift).to_le_bytes();
    value[at] = bits[0];
    // The last register ends with the last byte.
    if let Some(next) = value.get_mut(at + 1) {
        *next = bits[1];
    }
    true
}

/// Changes a sparse value into a dense one; a dense one stays as it is. Says whether it was sparse.
///
/// # Errors
/// When the runs do not add up; the value is then as it was.
pub fn make_dense(value: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if is_dense(value) {
        return Ok(false);
    }
    let mut registers = Registers::default();
    registers.merge(value)?;
    value.truncate(HEADER);
    value[FORM_AT] = DENSE;
    for four in registers.0.chunks_exact(4) {
        let bits = four.iter().rev().fold(0, |bits, &register| bits << 6 | u32::from(register));
        value.extend_from_slice(&bits.to_le_bytes()[..3]);
    }
    Ok(true)
}

/// The runs of a sparse value for people: `z:n` and `Z:n` are n zeros, `v:x,n` n times x. Nothing for a dense value.
#[must_use]
pub fn describe(value: &[u8]) -> Option<String> {
    (!is_dense(value)).then(|| sparse::describe(&value[HEADER..]))
}

/// 64-bit MurmurHash2, variant A.
fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(M);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPARSE_MAX: usize = 3000;

    fn cardinality(value: &[u8]) -> u64 {
        let mut registers = Registers::default();
        registers.merge(value).unwrap();
        registers.cardinality()
    }

    #[test]
    fn bytes_are_those_of_stock_servers() {
        let mut value = empty();
        assert_eq!(value, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        for element in [&b"foo"[..], b"bar", b"zap"] {
            assert_eq!(add(&mut value, element, SPARSE_MAX), Ok(true));
            assert_eq!(add(&mut value, element, SPARSE_MAX), Ok(false));
        }
        assert_eq!(value, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x5c\xb3\x90\x42\x07\x84\x48\x58\x80\x58\xe7");
        assert_eq!(describe(&value).unwrap(), "Z:7348 v:5,1 Z:520 v:2,1 Z:2137 v:1,1 Z:6376");
        assert_eq!((cached_cardinality(&value), cardinality(&value)), (None, 3));
        cache_cardinality(&mut value, 3);
        assert_eq!(cached_cardinality(&value), Some(3));
    }

    #[test]
    fn the_estimate_is_close() {
        for count in [0, 1, 10, 1000, 20_000, 200_000] {
            let mut value = empty();
            for n in 0..count {
                add(&mut value, format!("element:{n}").as_bytes(), SPARSE_MAX).unwrap();
            }
            let (estimate, count) = (cardinality(&value) as f64, f64::from(count));
            assert!((estimate - count).abs() <= count * 0.03, "{estimate} for {count}");
        }
    }

    #[test]
    fn broken_runs_are_an_error() {
        for (body, broken) in [
            (&b"\x7f\xff"[..], false),
            (b"", true),
            (b"\x7f", true),
            (b"\x7f\xfe", true),
            (b"\x7f\xfe\x80", false),
            (b"\x7f\xff\x80", true),
            (b"\x7f\xff\x7f\xff\x7f\xff", true),
        ] {
            let mut value = empty();
            value.truncate(HEADER);
            value.extend_from_slice(body);
            assert!(is_valid(&value));
            assert_eq!(Registers::default().merge(&value).is_err(), broken, "{body:?}");
            let before = value.clone();
            assert_eq!(make_dense(&mut value).is_err(), broken);
            assert!(!broken || value == before);
        }
        for text in [&b"HYLL"[..], b"HYLM\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"]
        {
            assert!(!is_valid(text));
        }
        assert!(!is_valid(&[b"HYLL\0".as_slice(), &[0; DENSE_BYTES - 6]].concat()));
        assert!(is_valid(&[b"HYLL\0".as_slice(), &[0; DENSE_BYTES - 5]].concat()));
    }

    proptest! {
        /// Sparse, dense and a plain array of registers say the same.
        #[test]
        fn both_forms_agree(
            raises in prop::collection::vec((0..REGISTERS, 1..51u8), 0..300), near: bool, sparse_max in 0..600usize,
        ) {
            let (mut sparse, mut dense) = (empty(), empty());
            make_dense(&mut dense).unwrap();
            let mut model = vec![0; REGISTERS];
            for (index, count) in raises {
                // Neighbouring registers of few values make runs.
                let (index, count) = if near { (index % 40, count % 3 + 1) } else { (index, count) };
                let raised = model[index] < count;
                prop_assert_eq!(raise(&mut sparse, index, count, sparse_max), Ok(raised));
                prop_assert_eq!(raise(&mut dense, index, count, sparse_max), Ok(raised));
                model[index] = model[index].max(count);
                prop_assert!(is_valid(&sparse) && is_valid(&dense));
                prop_assert!(is_dense(&sparse) || sparse.len() <= sparse_max.max(HEADER + 5));
            }
            for value in [&sparse, &dense] {
                let mut registers = Registers::default();
                registers.merge(value).unwrap();
                prop_assert_eq!(registers.iter().collect::<Vec<_>>(), model.clone());
            }
            let mut merged = empty();
            let mut registers = Registers::default();
            registers.merge(&sparse).unwrap();
            raise_all(&mut merged, &registers, sparse_max).unwrap();
            make_dense(&mut merged).unwrap();
            prop_assert_eq!(&merged[HEADER..], &dense[HEADER..]);
        }

        #[test]
        fn any_bytes_are_taken(body in prop::collection::vec(any::<u8>(), 0..80), elements in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut value = empty();
            value.truncate(HEADER);
            value.extend_from_slice(&body);
            prop_assert!(describe(&value).is_some());
            for element in elements {
                if add(&mut value, &element.to_le_bytes(), SPARSE_MAX).is_err() {
                    break;
                }
            }
        }
    }
}
