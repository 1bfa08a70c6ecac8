//! From registers to the number of elements: Otmar Ertl's estimator, which needs no tables and no corrections for
//! small and large numbers ("New cardinality estimation algorithms for HyperLogLog sketches", 2017).

use super::{INDEX_BITS, REGISTERS};

/// Bits of the hash that a register counts over: its highest value is one more.
const COUNTED_BITS: usize = 64 - INDEX_BITS as usize;

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// `counts[k]` registers have the value k.
pub(super) fn cardinality(counts: &[u32; 64]) -> u64 {
    let m = REGISTERS as f64;
    let count = |k: usize| f64::from(counts[k]);
    let mut z = m * tau((m - count(COUNTED_BITS + 1)) / m);
    for k in (1..=COUNTED_BITS).rev() {
        z = (z + count(k)) * 0.5;
    }
    z += m * sigma(count(0) / m);
    (ALPHA * m * m / z).round() as u64
}

/// Σ x^(2^k) 2^(k-1) over k ≥ 0, in front of which stands x.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        let before = z;
        x *= x;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// (1 - x - Σ (1 - x^(2^-k))² 2^-k over k ≥ 1) / 3.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        let before = z;
        x = x.sqrt();
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_scale() {
        let all_at = |k: usize| {
            let mut counts = [0; 64];
            counts[k] = REGISTERS as u32;
            cardinality(&counts)
        };
        assert_eq!(all_at(0), 0);
        assert_eq!(all_at(COUNTED_BITS + 1), u64::MAX);
        assert!((1..COUNTED_BITS).all(|k| all_at(k) < all_at(k + 1)));
    }
}
