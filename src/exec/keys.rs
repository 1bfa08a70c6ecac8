//! Which arguments of a command are keys: for the cluster router, COMMAND GETKEYS and client tracking.

use super::spec::{Begin, Command, Find, KeyFlags, KeySpec};
use crate::resp::Args;

/// A key among the arguments, and what the command does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAt {
    pub position: usize,
    pub flags: KeyFlags,
}

/// Calls `each` with every key of `args`. False when the arguments do not fit the declaration (the handler will say
/// what is wrong with them): when one part does not, no other part has keys either.
pub fn visit_keys(command: &Command, args: Args<'_>, each: impl FnMut(KeyAt)) -> bool {
    if let Some(finder) = command.key_finder {
        finder(args).into_iter().for_each(each);
        return true;
    }
    visit_specs(command, args, each)
}

/// The same for those who ask for the keys of a command that they do not run: its declaration tells, where it says all.
pub fn visit_declared_keys(command: &Command, args: Args<'_>, each: impl FnMut(KeyAt)) -> bool {
    let is_whole = |spec: &KeySpec| !spec.flags.contains(KeyFlags::INCOMPLETE) && !matches!(spec.find, Find::Unknown);
    if command.keys.iter().all(is_whole) { visit_specs(command, args, each) } else { visit_keys(command, args, each) }
}

fn visit_specs(command: &Command, args: Args<'_>, mut each: impl FnMut(KeyAt)) -> bool {
    let several = command.keys.len() > 1;
    let specs = || command.keys.iter().filter(|spec| !several || !spec.flags.contains(KeyFlags::NOT_KEY));
    if several && !specs().all(|spec| visit_spec(spec, args, &mut |_| {})) {
        return false;
    }
    specs().all(|spec| visit_spec(spec, args, &mut each))
}

/// The first key, which decides the slot of a command whose keys all share one.
#[must_use]
pub fn first_key<'a>(command: &Command, args: Args<'a>) -> Option<&'a [u8]> {
    if let [KeySpec { begin: Begin::Index(index), find: Find::Range { .. }, .. }, ..] = command.keys
        && command.key_finder.is_none()
    {
        return args.get(usize::try_from(*index).ok()?);
    }
    let mut first = None;
    visit_keys(command, args, |key| {
        first.get_or_insert(key.position);
    });
    args.get(first?)
}

fn visit_spec(spec: &KeySpec, args: Args<'_>, each: &mut impl FnMut(KeyAt)) -> bool {
    let count = args.len() as i64;
    let begin = match spec.begin {
        Begin::Unknown => return true,
        Begin::Index(index) => i64::from(index),
        Begin::Keyword(word, from) => match find_keyword(args, word, from) {
            Some(at) => at as i64 + 1,
            // An optional word that is not there.
            None => return true,
        },
    };
    let (first, last, step) = match spec.find {
        Find::Unknown => return true,
        Find::Range { last, step, limit } => {
            let last = match (last, limit) {
                (l, _) if l >= 0 => begin + i64::from(l),
                (-1, limit) if limit > 1 => begin + (count - begin) / i64::from(limit) - 1,
                (l, _) => count + i64::from(l),
            };
            (begin, last, i64::from(step))
        }
        Find::KeyNum { count: at, first, step } => {
            let number = usize::try_from(begin + i64::from(at)).ok().and_then(|i| args.get(i)).map(leading_int);
            let Some(number) = number.map(i64::from).filter(|&n| n > 0) else { return false };
            let first = begin + i64::from(first);
            let Some(last) = (number - 1).checked_mul(i64::from(step)).and_then(|n| n.checked_add(first)) else {
                return false;
            };
            (first, last, i64::from(step))
        }
    };
    if first < 1 || last >= count || step < 1 {
        return false;
    }
    let mut position = first;
    while position <= last {
        each(KeyAt { position: position as usize, flags: spec.flags });
        position += step;
    }
    true
}

/// The number that a text begins with, as C's `atoi` reads it: anything may follow, nothing is 0, and of large numbers the
/// low 32 bits count. Handlers are stricter, but keys are looked for before.
fn leading_int(text: &[u8]) -> i32 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut number = 0i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0')) {
        let digit = if negative { -digit } else { digit };
        number = number.saturating_mul(10).saturating_add(digit);
    }
    number as i32
}

fn find_keyword(args: Args<'_>, word: &str, from: i32) -> Option<usize> {
    if from >= 0 {
        (from as usize..args.len()).find(|&i| args.is(i, word))
    } else {
        let start = args.len().checked_sub(from.unsigned_abs() as usize)?;
        (1..=start).rev().find(|&i| args.is(i, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Ctx, Done};
    use crate::resp::Argv;

    fn nothing(_: &mut Ctx<'_>, _: Args<'_>) -> Done {
        Ok(())
    }

    fn positions(keys: &'static [KeySpec], line: &str) -> (bool, Vec<usize>) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let argv = Argv::of(&words);
        let mut found = Vec::new();
        let command = Command::new("x", -1, nothing).keys(keys);
        let valid = visit_keys(&command, argv.args(), |k| found.push(k.position));
        (valid, found)
    }

    #[test]
    fn numbers_as_c_reads_them() {
        for (text, number) in [
            ("2", 2),
            (" +2x", 2),
            ("x", 0),
            ("-1", -1),
            ("4294967297", 1),
            ("9223372036854775807", -1),
            ("-9223372036854775808", 0),
            ("-9223372036854775807", 1),
            ("99999999999999999999", -1),
        ] {
            assert_eq!(leading_int(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn every_form() {
        const ONE: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RO)];
        const ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::RO)];
        const PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, KeyFlags::OW)];
        const COUNTED: &[KeySpec] = &[KeySpec::counted(2, KeyFlags::RO)];
        const HALF: &[KeySpec] =
            &[KeySpec::new(Begin::Keyword("STREAMS", 1), Find::Range { last: -1, step: 1, limit: 2 }, KeyFlags::RO)];
        const BACKWARDS: &[KeySpec] =
            &[KeySpec::new(Begin::Keyword("KEYS", -2), Find::Range { last: -1, step: 1, limit: 0 }, KeyFlags::RW)];
        assert_eq!(positions(ONE, "get a"), (true, vec![1]));
        assert_eq!(positions(ALL, "del a b c"), (true, vec![1, 2, 3]));
        assert_eq!(positions(PAIRS, "mset a 1 b 2"), (true, vec![1, 3]));
        assert_eq!(positions(COUNTED, "zunionstore d 2 a b weights"), (true, vec![3, 4]));
        assert_eq!(positions(COUNTED, "zunionstore d 9 a b"), (false, vec![]));
        assert_eq!(positions(COUNTED, "zunionstore d x a b"), (false, vec![]));
        assert_eq!(positions(COUNTED, "zunionstore d 9223372036854775807 a"), (false, vec![]));
        const STORED: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::OW), KeySpec::counted(2, KeyFlags::RO)];
        assert_eq!(positions(STORED, "zunionstore d 2 a b"), (true, vec![1, 3, 4]));
        assert_eq!(positions(STORED, "zunionstore d x a b"), (false, vec![]));
        assert_eq!(positions(HALF, "xread count 2 streams a b 0 0"), (true, vec![4, 5]));
        assert_eq!(positions(BACKWARDS, "migrate h 1 x 0 10 KEYS a b"), (true, vec![7, 8]));
        assert_eq!(positions(BACKWARDS, "migrate h 1 x 0 10"), (true, vec![]));
    }
}
