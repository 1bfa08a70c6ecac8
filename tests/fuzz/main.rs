//! Damaged inputs, made from sound ones by a seeded generator: refused or read, never a crash, a hang or an allocation
//! out of proportion.
//!
//! `FUZZ_INPUTS` says how many inputs each target gets; `fuzz/` holds the same targets for a fuzzer that learns.

mod bus;
mod memory;
mod seeds;
mod targets;

use trib::base::Rng;

/// Inputs for each target when nothing else is said.
const INPUTS: u64 = 3_000;

/// What an input of `len` bytes may ask for in one piece: a length that it only claims to have gets nothing.
fn allowed_piece_bytes(len: usize) -> usize {
    (64 << 10) + 2 * len
}

/// Memory that an input of `len` bytes may take at once: compressed strings and small encodings grow when they are read.
fn allowed_bytes(len: usize) -> usize {
    (4 << 20) + 300 * len
}

/// A damaged copy of one of the seeds.
fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.below(seeds.len() as u64) as usize].clone();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next_u64() as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            4 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80, 0xc0, 0xe0, 0xf0, 0x81][rng.below(8) as usize],
            5 => {
                let word = [0u64, u64::MAX, 1 << 31, 1 << 32, 1 << 62][rng.below(5) as usize].to_be_bytes();
                let end = (at + 8).min(bytes.len());
                bytes.splice(at..end, word);
            }
            6 => {
                let from = rng.below(bytes.len() as u64 + 1) as usize;
                let piece = bytes[from..(from + 16).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            _ => {}
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[test]
fn damaged_inputs_are_refused_or_read() {
    let inputs = std::env::var("FUZZ_INPUTS").map_or(INPUTS, |n| n.parse().expect("FUZZ_INPUTS is a number"));
    for (name, target) in targets::TARGETS {
        let seeds = seeds::of(name);
        for seed in &seeds {
            target(seed);
        }
        for n in 0..inputs {
            let input = mutate(&seeds, &mut Rng::seeded(n));
            let taken = memory::taken_by(|| {
                let run = std::panic::catch_unwind(|| target(&input));
                assert!(run.is_ok(), "{name}: input {n} made it panic: {input:?}");
            });
            let (len, peak, largest) = (input.len(), taken.peak_bytes, taken.largest_bytes);
            assert!(peak <= allowed_bytes(len), "{name}: input {n} of {len} bytes took {peak} bytes");
            assert!(largest <= allowed_piece_bytes(len), "{name}: input {n} of {len} bytes asked for {largest} bytes");
        }
    }
}
