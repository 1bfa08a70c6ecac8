//! A number that stands for everything that happened, in order; and, when somebody wants to read it, the words.

use crate::queue::Micros;

/// A fingerprint of a run, and its log where it is wanted.
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(readable: bool) -> Trace {
        Trace { hash: 0x9e37_79b9_7f4a_7c15, events: 0, lines: readable.then(Vec::new) }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Something happened: when, what kind of thing, to whom, and with which bytes.
    pub fn event(&mut self, now: Micros, kind: u8, who: usize, bytes: &[u8]) {
        self.events += 1;
        self.mix(now);
        self.mix(u64::from(kind) << 56 ^ (who as u64) << 32 ^ bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
    }

    /// A line for whoever reads the run. The words are made only then.
    pub fn say(&mut self, now: Micros, words: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10.3} {}", now as f64 / 1000.0, words()));
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
