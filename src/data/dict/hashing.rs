//! The keyed hash of the tables: folded multiplication, two words at a step.
//!
//! Keys come from clients, so the seed has to matter: both operands of every multiplication are masked with words
//! made from the seed, so that nobody who does not know it can choose an operand to be zero (which would wipe out the
//! other one) or prepare keys that collide under any seed.

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const FINISH: u64 = 0xd1b5_4a32_d192_ed03;

/// The hash of `bytes` under `seed`. All 64 bits are usable: tables take their index from the low end and their tag
/// from the high end.
#[inline]
#[must_use]
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut left = seed ^ SPREAD;
    let right = seed.rotate_left(29) ^ FINISH;
    let (a, b) = if let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        if bytes.len() <= 16 {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else {
            return long(left, right, bytes);
        }
    } else {
        short(bytes)
    };
    left ^= bytes.len() as u64;
    finish(left, right, a, b)
}

/// Up to seven bytes as two words. Different inputs of one length give different pairs.
#[inline]
fn short(bytes: &[u8]) -> (u64, u64) {
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
    } else if let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) {
        (u64::from(first) << 8 | u64::from(bytes[bytes.len() / 2]), u64::from(last))
    } else {
        (0, 0)
    }
}

/// More than 16 bytes: whole pairs of words, then the last 16 bytes, which may overlap them.
fn long(mut left: u64, right: u64, bytes: &[u8]) -> u64 {
    let (pairs, _) = bytes[..bytes.len() - 1].as_chunks::<16>();
    for pair in pairs {
        let (a, b) = words(pair);
        left = fold(a ^ left, b ^ right);
    }
    let (a, b) = words(bytes.last_chunk::<16>().expect("more than 16 bytes"));
    finish(left ^ bytes.len() as u64, right, a, b)
}

#[inline]
fn words(pair: &[u8; 16]) -> (u64, u64) {
    let whole = u128::from_le_bytes(*pair);
    (whole as u64, (whole >> 64) as u64)
}

#[inline]
fn finish(left: u64, right: u64, a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ left) * u128::from(b ^ right);
    fold(product as u64 ^ right, (product >> 64) as u64 ^ left)
}

/// The halves of the 128-bit product, one over the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::hash_bytes;
    use std::collections::HashSet;

    #[test]
    fn every_byte_the_length_and_the_seed_matter() {
        for len in 0..100usize {
            let base: Vec<u8> = (0..len as u8).collect();
            let hash = hash_bytes(1, &base);
            assert_ne!(hash, hash_bytes(2, &base), "seed, {len}");
            let mut longer = base.clone();
            longer.push(0);
            assert_ne!(hash, hash_bytes(1, &longer), "length, {len}");
            for i in 0..len {
                let mut other = base.clone();
                other[i] ^= 1;
                assert_ne!(hash, hash_bytes(1, &other), "byte {i} of {len}");
            }
        }
    }

    #[test]
    fn close_keys_spread_over_low_and_high_bits() {
        for prefix in ["", "key:", "user:{1000}:profile:"] {
            let n = 1 << 14;
            let mut low = vec![0u32; 1 << 10];
            let mut high = vec![0u32; 256];
            let mut all = HashSet::new();
            for i in 0..n {
                let hash = hash_bytes(42, format!("{prefix}{i}").as_bytes());
                low[(hash & 1023) as usize] += 1;
                high[(hash >> 56) as usize] += 1;
                all.insert(hash);
            }
            assert_eq!(all.len(), n);
            // Sixteen (low) and 64 (high) are expected; six standard deviations are allowed.
            assert!(low.iter().all(|&c| c < 16 + 24), "{prefix} {:?}", low.iter().max());
            assert!(high.iter().all(|&c| (64 - 48..64 + 48).contains(&c)), "{prefix}");
        }
    }

    #[test]
    fn one_bit_in_changes_half_of_the_bits_out() {
        for len in [1usize, 3, 4, 8, 12, 16, 17, 40] {
            let mut flipped = 0u32;
            let mut tries = 0u32;
            for round in 0..200u8 {
                let key: Vec<u8> = (0..len).map(|i| round.wrapping_mul(31).wrapping_add((i * 7) as u8)).collect();
                let hash = hash_bytes(9, &key);
                for bit in 0..len * 8 {
                    let mut other = key.clone();
                    other[bit / 8] ^= 1 << (bit % 8);
                    flipped += (hash ^ hash_bytes(9, &other)).count_ones();
                    tries += 1;
                }
            }
            let mean = f64::from(flipped) / f64::from(tries);
            assert!((30.0..34.0).contains(&mean), "{len}: {mean}");
        }
    }
}
