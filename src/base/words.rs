//! Splitting a line into words with quotes and escapes, as inline commands and configuration lines use them.

/// The words of `line`, or `None` when its quotes do not balance. In double quotes `\n \r \t \b \a \\ \"` and
/// `\xHH` are escapes; in single quotes only `\'` is. A closing quote must be followed by a blank or the end.
#[must_use]
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() && rest[0] != 0 {
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

/// Reads one word from the head of `line` into `word` and returns what follows it.
fn take_word<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match line {
            [] | [0, ..] => return Some(&[]),
            [b, rest @ ..] if b.is_ascii_whitespace() => return Some(rest),
            [b'"', rest @ ..] => return end_of_word(double_quoted(rest, word)?),
            [b'\'', rest @ ..] => return end_of_word(single_quoted(rest, word)?),
            [b, rest @ ..] => {
                word.push(*b);
                line = rest;
            }
        }
    }
}

fn end_of_word(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        Some(b) if !b.is_ascii_whitespace() => None,
        _ => Some(rest),
    }
}

fn double_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        line = match line {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b'\\', escaped, rest @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest
            }
            [b, rest @ ..] => {
                word.push(*b);
                rest
            }
            [] => return None,
        };
    }
}

fn single_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        line = match line {
            [b'\'', rest @ ..] => return Some(rest),
            [b'\\', b'\'', rest @ ..] => {
                word.push(b'\'');
                rest
            }
            [b, rest @ ..] => {
                word.push(*b);
                rest
            }
            [] => return None,
        };
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Appends `bytes` in double quotes, so that [`split`] gives them back and a terminal shows them.
pub fn push_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &b in bytes {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(b),
            _ => {
                out.extend_from_slice(b"\\x");
                for nibble in [b >> 4, b & 15] {
                    out.push(b"0123456789abcdef"[usize::from(nibble)]);
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Option<Vec<String>> {
        Some(split(line.as_bytes())?.into_iter().map(|w| String::from_utf8_lossy(&w).into_owned()).collect())
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(words("  set  a b "), Some(vec!["set".into(), "a".into(), "b".into()]));
        assert_eq!(words(r#"set "a b" 'c\'d'"#), Some(vec!["set".into(), "a b".into(), "c'd".into()]));
        assert_eq!(words(r#""\x41\n\"""#), Some(vec!["A\n\"".into()]));
        assert_eq!(words(r#"a"#), Some(vec!["a".into()]));
        assert_eq!(words(""), Some(vec![]));
        assert_eq!(words(r#""a"b"#), None);
        assert_eq!(words(r#""a"#), None);
        assert_eq!(words("'a"), None);
        assert_eq!(words(r#""""#), Some(vec![String::new()]));
    }

    proptest! {
        #[test]
        fn quoting_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut quoted = Vec::new();
            push_quoted(&mut quoted, &bytes);
            prop_assert_eq!(split(&quoted), Some(vec![bytes]));
        }

        #[test]
        fn never_panics_and_never_grows(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(words) = split(&line) {
                prop_assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
            }
        }
    }
}
