//! The sparse form: registers as runs of the same value.

use std::fmt::Write;

use super::{Corrupt, REGISTERS};

pub(super) const BROKEN: Corrupt = Corrupt("runs of registers that do not add up");

const ZEROS_MAX: usize = 64;
const MORE_ZEROS_MAX: usize = REGISTERS;
const MORE_ZEROS: u8 = 0x40;
const VALUE: u8 = 0x80;
const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;

/// Runs that may become one after a change: so many are looked at.
const MERGE_STEPS: usize = 5;

/// Registers of the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub value: u8,
    pub len: usize,
    /// Bytes in which it is written.
    bytes: usize,
}

/// What came of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    Done(bool),
    /// The value is too high, or the runs would become too many.
    NeedsDense,
}

fn decode(bytes: &[u8]) -> Option<Run> {
    let (first, rest) = bytes.split_first()?;
    Some(if first & VALUE != 0 {
        Run { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 }
    } else if first & MORE_ZEROS != 0 {
        let len = usize::from(first & 0x3f) << 8 | usize::from(*rest.first()?);
        Run { value: 0, len: len + 1, bytes: 2 }
    } else {
        Run { value: 0, len: usize::from(*first) + 1, bytes: 1 }
    })
}

pub(super) fn push_zeros(out: &mut Vec<u8>, len: usize) {
    debug_assert!((1..=MORE_ZEROS_MAX).contains(&len));
    if len > ZEROS_MAX {
        out.extend_from_slice(&[MORE_ZEROS | ((len - 1) >> 8) as u8, (len - 1) as u8]);
    } else {
        out.push((len - 1) as u8);
    }
}

fn value_run(value: u8, len: usize) -> u8 {
    VALUE | (value - 1) << 2 | (len - 1) as u8
}

fn push_run(out: &mut Vec<u8>, value: u8, len: usize) {
    match (len, value) {
        (0, _) => {}
        (len, 0) => push_zeros(out, len),
        (len, value) => out.push(value_run(value, len)),
    }
}

/// The runs of a body, until its end or the first that is cut off.
pub(super) struct Runs<'a>(&'a [u8]);

impl<'a> Runs<'a> {
    pub fn new(body: &'a [u8]) -> Runs<'a> {
        Runs(body)
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let run = decode(self.0);
        self.0 = run.map_or(&[], |run| &self.0[run.bytes..]);
        Some(run.ok_or(BROKEN))
    }
}

/// Raises register `index` of the body that begins at `body`. `max` bounds the length of `value`.
pub(super) fn raise(value: &mut Vec<u8>, body: usize, index: usize, count: u8, max: usize) -> Result<Raised, Corrupt> {
    if count > VALUE_MAX {
        return Ok(Raised::NeedsDense);
    }
    let (mut previous, mut at, mut first) = (body, body, 0);
    let run = loop {
        let run = decode(&value[at..]).ok_or(BROKEN)?;
        if index < first + run.len {
            break run;
        }
        first += run.len;
        previous = at;
        at += run.bytes;
    };
    if run.value >= count {
        return Ok(Raised::Done(false));
    }
    let (before, after) = (index - first, first + run.len - 1 - index);
    let mut parts = Vec::with_capacity(5);
    push_run(&mut parts, run.value, before);
    push_run(&mut parts, count, 1);
    push_run(&mut parts, run.value, after);
    if parts.len() > run.bytes && value.len() + parts.len() - run.bytes > max {
        return Ok(Raised::NeedsDense);
    }
    value.splice(at..at + run.bytes, parts);
    merge_neighbours(value, previous);
    Ok(Raised::Done(true))
}

/// Makes one run of two neighbours with the same value where that fits, from `at` on.
fn merge_neighbours(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGE_STEPS {
        let Some(run) = value.get(at..).and_then(decode) else { return };
        let next = decode(&value[at + run.bytes..]);
        match next {
            Some(next) if run.value > 0 && next.value == run.value && run.len + next.len <= VALUE_RUN_MAX => {
                value[at] = value_run(run.value, run.len + next.len);
                value.remove(at + 1);
            }
            _ => at += run.bytes,
        }
    }
}

/// The runs for people; what is cut off is left out.
pub(super) fn describe(body: &[u8]) -> String {
    let mut text = String::new();
    for run in Runs::new(body).map_while(Result::ok) {
        if !text.is_empty() {
            text.push(' ');
        }
        let written = match run {
            Run { value: 0, bytes: 1, len } => write!(text, "z:{len}"),
            Run { value: 0, len, .. } => write!(text, "Z:{len}"),
            Run { value, len, .. } => write!(text, "v:{value},{len}"),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    text
}
