//! Keys and values as text. They may be any bytes: programs have to get just these back, and people are to see them without
//! anything happening to their terminal.

/// Begins what is written in hexadecimal.
const HEX: &str = "hex:";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// For programs, the same in JSON and CSV: UTF-8 as it is; other bytes, and text that could be taken for them, in
/// hexadecimal behind `hex:`.
#[must_use]
pub fn exact(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(HEX) => text.to_owned(),
        _ => format!("{HEX}{}", hex(bytes)),
    }
}

/// For people: letters of all scripts as they are; a backslash twice, and what is no letter escaped with one.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => shown.push_str("\\\\"),
                c if c.is_ascii_control() => shown.extend((c as u8).escape_ascii().map(char::from)),
                c if c.is_control() => shown.extend(c.escape_unicode()),
                c => shown.push(c),
            }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    shown
}

/// Two digits for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

/// As a field of data.
pub fn serialize<S: serde::Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&exact(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MANY: [&[u8]; 12] = [
        b"",
        b"user:1",
        b"\xff",
        b"\\xff",
        b"\\\\xff",
        b"hex:ff",
        b"hex:",
        b"hex",
        "ключ".as_bytes(),
        "\u{fffd}".as_bytes(),
        b"a\n\x1b[2J\0",
        "{\"a\":\"b\\n\"}".as_bytes(),
    ];

    /// What a script does.
    fn back(text: &str) -> Vec<u8> {
        match text.strip_prefix("hex:") {
            None => text.as_bytes().to_vec(),
            Some(digits) => {
                (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
            }
        }
    }

    #[test]
    fn programs_get_the_bytes_back() {
        for bytes in MANY {
            assert_eq!(back(&exact(bytes)), bytes, "{}", exact(bytes));
        }
        assert_eq!(MANY.map(exact)[2..5], ["hex:ff", "\\xff", "\\\\xff"]);
        assert_eq!(exact("ключ".as_bytes()), "ключ");
    }

    #[test]
    fn people_see_no_two_alike_and_nothing_that_moves_the_cursor() {
        let all: BTreeSet<String> = MANY.map(shown).into();
        assert_eq!(all.len(), MANY.len(), "{all:?}");
        assert!(all.iter().all(|text| !text.contains(char::is_control)), "{all:?}");
        assert_eq!(MANY.map(shown)[2..4], ["\\xff", "\\\\xff"]);
        assert_eq!(shown("ключ \u{85}\t".as_bytes()), "ключ \\u{85}\\t");
    }
}
