//! Words and quotes: how a line is split into words, and how a value is quoted so that the splitter gives it back.
//! Configuration lines, inline commands and the manifests of the append-only log follow these rules.

/// Splits a line at blanks. `"…"` takes the escapes `\n \r \t \b \a \xHH` and `\` before any other character,
/// `'…'` only `\'`; a closing quote must be followed by a blank or the end.
///
/// `None` when quotes are unbalanced or glued to a following character.
#[must_use]
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let skipped = rest.iter().take_while(|b| is_blank(**b)).count();
        rest = &rest[skipped..];
        if rest.is_empty() || rest[0] == 0 {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Moves the word at the head of `text` into `word`; what follows it. A NUL ends the line.
fn take_word<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match text {
            [] | [0, ..] => return Some(&[]),
            [b, ..] if is_blank(*b) => return Some(text),
            [b'"', rest @ ..] => return take_double_quoted(rest, word),
            [b'\'', rest @ ..] => return take_single_quoted(rest, word),
            [b, rest @ ..] => {
                word.push(*b);
                text = rest;
            }
        }
    }
}

fn take_double_quoted<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match text {
            [] | [0, ..] => return None,
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex(*high) << 4 | hex(*low));
                text = rest;
            }
            [b'\\', escaped, rest @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                text = rest;
            }
            [b'"', rest @ ..] => return at_word_end(rest),
            [b, rest @ ..] => {
                word.push(*b);
                text = rest;
            }
        }
    }
}

fn take_single_quoted<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match text {
            [] | [0, ..] => return None,
            [b'\\', b'\'', rest @ ..] => {
                word.push(b'\'');
                text = rest;
            }
            [b'\'', rest @ ..] => return at_word_end(rest),
            [b, rest @ ..] => {
                word.push(*b);
                text = rest;
            }
        }
    }
}

fn at_word_end(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [b, ..] if is_blank(*b) || *b == 0 => Some(rest),
        _ => None,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Appends `text` in double quotes with everything that is not printable ASCII escaped, so that [`split`] gives it
/// back and a terminal shows it.
pub fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &b in text {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
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

/// `text` in double quotes; see [`push_quoted`].
#[must_use]
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

/// `text` as it is when the splitter takes it for one word, else in quotes.
#[must_use]
pub fn plain_or_quoted(text: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if !text.is_empty() && text.iter().all(plain) { text.to_vec() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_quotes() {
        for (line, expected) in [
            ("", Some(vec![])),
            ("  a  b\t", Some(vec!["a", "b"])),
            ("\"a b\" 'c d'", Some(vec!["a b", "c d"])),
            (r#""\x41\n\q""#, Some(vec!["A\nq"])),
            (r#""\x4""#, Some(vec!["x4"])),
            (r"'a\'b\n'", Some(vec![r"a'b\n"])),
            ("\"\" ''", Some(vec!["", ""])),
            ("a\"b c\"", Some(vec!["ab c"])),
            ("\"a", None),
            ("'a", None),
            ("\"a\"b", None),
            ("'a'b", None),
            ("\"a\\", None),
            ("a\0b", Some(vec!["a"])),
            ("a\x0bb", Some(vec!["a", "b"])),
            ("\"a\0\"", None),
            ("a # b", Some(vec!["a", "#", "b"])),
        ] {
            let expected = expected.map(|words| words.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>());
            assert_eq!(split(line.as_bytes()), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn splitting_never_panics_and_never_grows(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(words) = split(&line) {
                prop_assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
            }
        }

        #[test]
        fn quoting_round_trips(words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..16), 0..4)) {
            let line = words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(&b' ');
            prop_assert_eq!(split(&line), Some(words));
        }
    }
}
