//! Checking a file of commands: how far it is whole, and what is wrong behind that.
//!
//! The checker is as lenient as the stock one and no more: what it lets pass a server may still refuse to load.

use std::io::{self, BufRead, Write};

/// The longest line of an annotation; a longer one is taken for several.
const ANNOTATION_MAX: usize = 1023;

/// The longest line of a number; what is longer is not looked at.
const NUMBER_MAX: usize = 127;

/// Where a file is to be cut so that nothing later than a moment is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Here, at an annotation that tells a later second.
    At(u64),
    /// Everything is later.
    Everything,
}

/// What was found in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The file is whole up to this offset, which may be its end; the message says what is wrong there, if that is
    /// known.
    UpTo { offset: u64, message: Option<Vec<u8>> },
    /// Something later than the moment that was asked for.
    Later(Cut),
    /// An annotation of time that is none.
    BadTime,
}

/// Checks files one after the other: lines are counted through all of them.
#[derive(Debug)]
pub struct Checker {
    /// The number of the line that is read next.
    pub line: u64,
    /// What is later than this second is to be cut away; 0 for nothing.
    until_secs: i64,
}

impl Checker {
    #[must_use]
    pub fn new(until_secs: i64) -> Checker {
        Checker { line: 1, until_secs }
    }

    /// Reads the commands of the file called `name`, which is at `path`, from `source`, which stands at `offset`.
    ///
    /// # Errors
    /// When the source cannot be read, or `out` not be written.
    pub fn check(
        &mut self,
        source: impl BufRead,
        offset: u64,
        (name, path): (&str, &str),
        out: &mut impl Write,
    ) -> io::Result<Found> {
        let mut reader = Reader { source, offset, at_end: false };
        let mut file = File { path, good_up_to: offset, in_multi: false, place: offset, wrong: None };
        loop {
            if !file.in_multi {
                file.good_up_to = reader.offset;
            }
            match reader.peek()? {
                None => break,
                Some(b'#') => match self.annotation(&mut reader)? {
                    None => {}
                    Some(found) => return Ok(found),
                },
                Some(b'*') => {
                    if !self.command(&mut reader, &mut file)? {
                        break;
                    }
                }
                Some(_) => {
                    writeln!(out, "AOF {name} format error")?;
                    break;
                }
            }
        }
        if reader.at_end && file.in_multi {
            file.say(b"Reached EOF before reading EXEC for MULTI");
        }
        Ok(Found::UpTo { offset: file.good_up_to, message: file.wrong })
    }

    /// `None` when reading goes on.
    fn annotation(&self, reader: &mut Reader<impl BufRead>) -> io::Result<Option<Found>> {
        let begin = reader.offset;
        let line = reader.line(ANNOTATION_MAX)?;
        let Some(text) = line.strip_prefix(b"#TS:").filter(|_| self.until_secs != 0) else { return Ok(None) };
        let (secs, rest) = parse_number(text);
        if rest.first() != Some(&b'\r') {
            return Ok(Some(Found::BadTime));
        }
        if secs <= self.until_secs {
            return Ok(None);
        }
        Ok(Some(Found::Later(if begin == 0 { Cut::Everything } else { Cut::At(begin) })))
    }

    /// False when reading must not go on.
    fn command(&mut self, reader: &mut Reader<impl BufRead>, file: &mut File<'_>) -> io::Result<bool> {
        let Some(count) = self.number(reader, file, b'*')? else { return Ok(false) };
        for i in 0..count {
            let Some(word) = self.word(reader, file)? else { return Ok(false) };
            if i > 0 {
                continue;
            }
            let begins = word.eq_ignore_ascii_case(b"multi");
            if begins || word.eq_ignore_ascii_case(b"exec") {
                if begins == file.in_multi {
                    let word = if begins { "MULTI" } else { "EXEC" };
                    file.say(format!("Unexpected {word} in AOF {}", file.path).as_bytes());
                    return Ok(false);
                }
                file.in_multi = begins;
            }
        }
        Ok(true)
    }

    /// A number in a line of its own, behind `prefix`.
    fn number(
        &mut self,
        reader: &mut Reader<impl BufRead>,
        file: &mut File<'_>,
        prefix: u8,
    ) -> io::Result<Option<i64>> {
        file.place = reader.offset;
        let line = reader.line(NUMBER_MAX)?;
        let Some((first, text)) = line.split_first() else { return Ok(None) };
        if *first != prefix {
            file.say(&[b"Expected prefix '", &[prefix][..], b"', got: '", &[*first], b"'"].concat());
            return Ok(None);
        }
        let (number, rest) = parse_number(text);
        if !file.ends_line(rest) {
            return Ok(None);
        }
        self.line += 1;
        Ok(Some(number))
    }

    /// A word of a command: its first bytes, enough to tell commands of transactions.
    fn word(&mut self, reader: &mut Reader<impl BufRead>, file: &mut File<'_>) -> io::Result<Option<Vec<u8>>> {
        /// One more than the longest word that matters.
        const KEPT: usize = 6;
        let Some(len) = self.number(reader, file, b'$')? else { return Ok(None) };
        let Ok(len) =
            u64::try_from(len).map_err(drop).and_then(|len| if len <= LENGTH_MAX { Ok(len) } else { Err(()) })
        else {
            let what = format!("Expected to read string of {len} bytes, which is not in the suitable range");
            file.say(what.as_bytes());
            return Ok(None);
        };
        file.place = reader.offset;
        let mut kept = Vec::new();
        let got = reader.skip(len, |bytes| {
            let room = KEPT - kept.len();
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        })?;
        let mut end = Vec::new();
        let got = got + if got == len { reader.skip(2, |bytes| end.extend_from_slice(bytes))? } else { 0 };
        if got < len + 2 {
            file.say(format!("Expected to read {} bytes, got {got} bytes", len + 2).as_bytes());
            return Ok(None);
        }
        if !file.ends_line(&end) {
            return Ok(None);
        }
        self.line += 1;
        Ok(Some(kept))
    }
}

/// The longest word.
const LENGTH_MAX: u64 = i64::MAX as u64 - 2;

/// A file that is being read.
struct File<'a> {
    path: &'a str,
    /// The end of what is whole: a command outside of transactions, or a transaction with its EXEC.
    good_up_to: u64,
    in_multi: bool,
    /// Where what is read begins.
    place: u64,
    /// The first thing that is wrong.
    wrong: Option<Vec<u8>>,
}

impl File<'_> {
    fn say(&mut self, what: &[u8]) {
        let place = self.place;
        self.wrong.get_or_insert_with(|| [format!("0x{place:16x}: ").as_bytes(), what].concat());
    }

    /// Whether `rest` is the end of a line.
    fn ends_line(&mut self, rest: &[u8]) -> bool {
        if rest.starts_with(b"\r\n") {
            return true;
        }
        // The bytes have a sign, and are shown with it.
        let byte = |i: usize| i32::from(rest.get(i).copied().unwrap_or(0) as i8);
        self.say(format!("Expected \\r\\n, got: {:02x}{:02x}", byte(0), byte(1)).as_bytes());
        false
    }
}

/// A source and where it stands.
struct Reader<R> {
    source: R,
    offset: u64,
    /// Something was looked for behind the end.
    at_end: bool,
}

impl<R: BufRead> Reader<R> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        let first = self.source.fill_buf()?.first().copied();
        self.at_end |= first.is_none();
        Ok(first)
    }

    /// The next bytes up to the end of the line, at most `most` of them.
    fn line(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while line.len() < most {
            let buffered = self.source.fill_buf()?;
            if buffered.is_empty() {
                self.at_end = true;
                break;
            }
            let part = &buffered[..buffered.len().min(most - line.len())];
            let end = part.iter().position(|b| *b == b'\n');
            let taken = end.map_or(part.len(), |at| at + 1);
            line.extend_from_slice(&part[..taken]);
            self.source.consume(taken);
            self.offset += taken as u64;
            if end.is_some() {
                break;
            }
        }
        Ok(line)
    }

    /// Shows `len` bytes to `see`, piece by piece; fewer at the end of the source. Returns how many there were.
    fn skip(&mut self, len: u64, mut see: impl FnMut(&[u8])) -> io::Result<u64> {
        let mut done = 0;
        while done < len {
            let buffered = self.source.fill_buf()?;
            if buffered.is_empty() {
                self.at_end = true;
                break;
            }
            let taken = buffered.len().min(usize::try_from(len - done).unwrap_or(usize::MAX));
            see(&buffered[..taken]);
            self.source.consume(taken);
            done += taken as u64;
        }
        self.offset += done;
        Ok(done)
    }
}

/// A decimal number as C reads it, and what is behind it: blanks and a sign may be in front, without digits it is 0, and
/// what is too large is the largest.
pub fn parse_number(text: &[u8]) -> (i64, &[u8]) {
    let blanks = text.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count();
    let (negative, signed) = match text.get(blanks) {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let from = blanks + signed;
    let digits = text.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return (0, text);
    }
    let value = text[from..from + digits].iter().fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        value.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    });
    (value, &text[from + digits..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nexec\r\n";

    fn found(file: &[u8], until_secs: i64) -> (Found, u64) {
        let mut checker = Checker::new(until_secs);
        let source = io::BufReader::with_capacity(5, file);
        let found = checker.check(source, 0, ("f", "dir/f"), &mut Vec::new()).expect("memory can be read");
        (found, checker.line)
    }

    fn up_to(file: &str) -> (u64, u64, String) {
        match found(file.as_bytes(), 0) {
            (Found::UpTo { offset, message }, line) => {
                (offset, line, String::from_utf8(message.unwrap_or_default()).expect("plain texts"))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whole_files() {
        for (file, line) in [
            (String::new(), 1),
            (SELECT.to_owned(), 6),
            (format!("#TS:1\r\n{SELECT}#x"), 6),
            (format!("{SELECT}{MULTI}#TS:2\r\n{SET}{EXEC}"), 19),
            (format!("{SELECT}*0\r\n*-1\r\n*\r\n* +1\r\n$ 4\r\nPING\r\n"), 12),
            ("#".repeat(2000), 1),
        ] {
            assert_eq!(up_to(&file), (file.len() as u64, line, String::new()), "{file}");
        }
    }

    #[test]
    fn what_is_wrong() {
        for (tail, line, message) in [
            ("PING\r\n", 6, ""),
            ("*x\r\n", 6, "0x              17: Expected \\r\\n, got: 780d"),
            ("*1\x7f\r\n", 6, "0x              17: Expected \\r\\n, got: 7f0d"),
            ("*1\r\n:5\r\n", 7, "0x              1b: Expected prefix '$', got: ':'"),
            (
                "*1\r\n$-5\r\n",
                8,
                "0x              1b: Expected to read string of -5 bytes, which is not in the suitable range",
            ),
            ("*1\r\n$99999999999\r\nabc", 8, "0x              29: Expected to read 100000000001 bytes, got 3 bytes"),
            ("*1\r\n$4\r\nPING\n\n", 8, "0x              1f: Expected \\r\\n, got: 0a0a"),
            ("*3\r\n$3\r\nSET\r", 8, "0x              1f: Expected to read 5 bytes, got 4 bytes"),
            ("*3\r\n$3\r\nSET\r\n", 9, ""),
            ("*1", 6, "0x              17: Expected \\r\\n, got: 0000"),
            ("*99999999999999999999\r\n", 7, ""),
        ] {
            let file = format!("{SELECT}{tail}");
            assert_eq!(up_to(&file), (23, line, message.to_owned()), "{tail}");
        }
        let open = format!("{SELECT}{MULTI}{SET}");
        assert_eq!(up_to(&open), (23, 16, "0x              3e: Reached EOF before reading EXEC for MULTI".to_owned()));
        let twice = format!("{SELECT}{MULTI}{MULTI}");
        assert_eq!(up_to(&twice), (23, 12, "0x              2e: Unexpected MULTI in AOF dir/f".to_owned()));
        let alone = format!("{SELECT}{EXEC}");
        assert_eq!(up_to(&alone), (23, 9, "0x              1f: Unexpected EXEC in AOF dir/f".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_text() {
        let message = |file: &[u8]| match found(file, 0).0 {
            Found::UpTo { message, .. } => message.unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        assert_eq!(message(b"*1\r\n\xa4"), b"0x               4: Expected prefix '$', got: '\xa4'");
        assert_eq!(message(b"*1\r\x8a"), b"0x               0: Expected \\r\\n, got: 0dffffff8a");
    }

    #[test]
    fn moments() {
        let file = format!("#TS:100\r\n{SELECT}#TS:200\r\n{SET}").into_bytes();
        let end = Found::UpTo { offset: file.len() as u64, message: None };
        for (until, expected) in [
            (50, Found::Later(Cut::Everything)),
            (100, Found::Later(Cut::At(32))),
            (199, Found::Later(Cut::At(32))),
            (-1, Found::Later(Cut::Everything)),
            (200, end),
        ] {
            assert_eq!(found(&file, until).0, expected, "{until}");
        }
        for bad in ["#TS:x\r\n", "#TS:1z\r\n", "#TS:1\n", "#TS:1"] {
            assert_eq!(found(bad.as_bytes(), 1).0, Found::BadTime, "{bad}");
        }
    }

    #[test]
    fn numbers_as_c_reads_them() {
        for (text, value, rest) in [
            ("12x", 12, "x"),
            (" -7\r\n", -7, "\r\n"),
            ("+", 0, "+"),
            ("", 0, ""),
            ("\t+99999999999999999999", i64::MAX, ""),
            ("-99999999999999999999", i64::MIN, ""),
        ] {
            assert_eq!(parse_number(text.as_bytes()), (value, rest.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\n'), Just(b'#'), any::<u8>()], 0..99),
            until: i64,
        ) {
            let _ = found(&noise, until);
        }
    }
}
