//! Reading a file of commands back, with the offset up to which it is whole.

use std::io::{self, BufRead};

use crate::base::num;
use crate::resp::{Args, Span};

/// The longest line: an annotation, or a count in front of a command or an argument.
const MAX_LINE: usize = 1024;
/// How the annotations begin that servers write.
const STAMP: &[u8] = b"#TS:";
/// What is kept between two commands; a larger buffer is given back.
const KEPT_BUFFER: usize = 1 << 20;

/// Whether a file that begins with `head` (six bytes or more, if it has them) begins with a snapshot.
#[must_use]
pub fn has_rdb_preamble(head: &[u8]) -> bool {
    head.starts_with(b"REDIS0") || head.starts_with(b"VALKEY")
}

#[derive(Debug, thiserror::Error)]
pub enum AofError {
    /// The file ends inside a command or a transaction: what a crash leaves. Cut it at `good_up_to`.
    #[error("unexpected end of file; the file is whole up to offset {good_up_to}")]
    Truncated {
        good_up_to: u64,
        /// Whether what is cut away is a transaction without its EXEC.
        inside_multi: bool,
    },
    /// Not what any server writes: cutting here could throw away good data that follows.
    #[error("bad file format at offset {offset}: {reason}")]
    Format { offset: u64, reason: &'static str },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One item of the file, borrowed until the next is read.
pub enum Record<'a> {
    Command(Args<'a>),
    /// A line that began with `#`, without its line end.
    Annotation(&'a [u8]),
}

/// Pulls records from a source. It consumes no byte beyond the record it returned.
pub struct AofReader<R> {
    inner: R,
    offset: u64,
    good_up_to: u64,
    inside_multi: bool,
    line: Vec<u8>,
    /// The arguments of the command, one behind the other.
    buf: Vec<u8>,
    spans: Vec<Span>,
}

impl<R: BufRead> AofReader<R> {
    /// `offset` is where `inner` stands in its file: 0, or the length of the snapshot that was read before.
    pub fn new(inner: R, offset: u64) -> AofReader<R> {
        AofReader {
            inner,
            offset,
            good_up_to: offset,
            inside_multi: false,
            line: Vec::new(),
            buf: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Bytes of the file that have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The end of the last complete command outside a transaction, or of the last complete transaction.
    pub fn good_up_to(&self) -> u64 {
        self.good_up_to
    }

    /// The next record; `None` at the end of a file that is whole.
    #[allow(clippy::should_implement_trait, reason = "the record borrows from the reader, which Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, AofError> {
        self.spans.clear();
        self.buf.clear();
        self.buf.shrink_to(KEPT_BUFFER);
        if self.inner.fill_buf()?.is_empty() {
            return if self.inside_multi { Err(self.truncated()) } else { Ok(None) };
        }
        self.read_line(b'*')?;
        if self.line.first() == Some(&b'#') {
            return Ok(Some(Record::Annotation(&self.line)));
        }
        let argc = self.count(b'*')?;
        for _ in 0..argc {
            self.read_line(b'$')?;
            let length = self.count(b'$')?;
            self.read_argument(length)?;
        }
        self.follow_transaction();
        Ok(Some(Record::Command(Args::new(&self.buf, &self.spans))))
    }

    fn follow_transaction(&mut self) {
        let args = Args::new(&self.buf, &self.spans);
        if args.is(0, "MULTI") {
            self.inside_multi = true;
        } else if args.is(0, "EXEC") || args.is(0, "DISCARD") {
            self.inside_multi = false;
        }
        if !self.inside_multi {
            self.good_up_to = self.offset;
        }
    }

    /// Reads a line into `line`, without its end. It should begin with `prefix`, which is only looked at if the file ends
    /// in it.
    fn read_line(&mut self, prefix: u8) -> Result<(), AofError> {
        self.line.clear();
        loop {
            let bytes = self.inner.fill_buf()?;
            if bytes.is_empty() {
                return Err(self.cut_line(prefix));
            }
            let end = bytes.iter().position(|&b| b == b'\n');
            let step = end.map_or(bytes.len(), |end| end + 1);
            if self.line.len() + step > MAX_LINE {
                return Err(self.format("a line that is too long"));
            }
            self.line.extend_from_slice(&bytes[..step]);
            self.inner.consume(step);
            self.offset += step as u64;
            if end.is_some() {
                self.line.pop();
                self.line.pop_if(|b| *b == b'\r');
                return Ok(());
            }
        }
    }

    /// What to say of a line whose end is missing: a file may well be cut there, but only if it is the beginning of a line
    /// that could stand there. Anything else is not for us to cut away.
    fn cut_line(&mut self, prefix: u8) -> AofError {
        let line = self.line.as_slice();
        let is_mark = |line: &[u8]| STAMP.starts_with(line) || line.starts_with(STAMP);
        if line.is_empty() || line == [prefix] || (prefix == b'*' && is_mark(line)) {
            return self.truncated();
        }
        self.line.pop_if(|b| *b == b'\r');
        self.count(prefix).err().unwrap_or_else(|| self.truncated())
    }

    /// The number in the line, which must begin with `prefix`.
    fn count(&self, prefix: u8) -> Result<u32, AofError> {
        let number = match self.line.split_first() {
            Some((&first, digits)) if first == prefix => num::parse_i64(digits),
            _ => None,
        };
        match number.and_then(|n| u32::try_from(n).ok()) {
            Some(0) if prefix == b'*' => Err(self.format("a command without a name")),
            Some(number) => Ok(number),
            None if prefix == b'*' => Err(self.format("expected a count of arguments")),
            None => Err(self.format("expected an argument's length")),
        }
    }

    /// Appends one argument and skips the two bytes behind it, which servers do not check either. Memory grows with
    /// what is there, not with what `length` promises.
    fn read_argument(&mut self, length: u32) -> Result<(), AofError> {
        let start = self.buf.len();
        let (Ok(start_at), Some(end)) = (u32::try_from(start), start.checked_add(length as usize)) else {
            return Err(self.format("a command of more than 4 GiB"));
        };
        let mut ignored = 2;
        while self.buf.len() < end || ignored > 0 {
            let bytes = self.inner.fill_buf()?;
            if bytes.is_empty() {
                return Err(self.truncated());
            }
            let step = bytes.len().min(end - self.buf.len());
            self.buf.extend_from_slice(&bytes[..step]);
            let skipped = ignored.min(bytes.len() - step);
            ignored -= skipped;
            self.inner.consume(step + skipped);
            self.offset += (step + skipped) as u64;
        }
        self.spans.push(Span { start: start_at, len: length });
        Ok(())
    }

    fn truncated(&self) -> AofError {
        AofError::Truncated { good_up_to: self.good_up_to, inside_multi: self.inside_multi }
    }

    fn format(&self, reason: &'static str) -> AofError {
        AofError::Format { offset: self.offset, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;
    use crate::resp::args::{Argv, push_command};

    /// Everything in `file`: commands as lists of arguments, annotations as one item, then how it ended.
    fn read(file: &[u8], chunk: usize) -> (Vec<Vec<Vec<u8>>>, Result<u64, AofError>) {
        let mut reader = AofReader::new(BufReader::with_capacity(chunk, file), 0);
        let mut records = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(Record::Command(args))) => records.push(args.iter().map(<[u8]>::to_vec).collect()),
                Ok(Some(Record::Annotation(text))) => records.push(vec![text.to_vec()]),
                Ok(None) => return (records, Ok(reader.good_up_to())),
                Err(error) => return (records, Err(error)),
            }
        }
    }

    fn commands(list: &[&[&[u8]]]) -> Vec<u8> {
        let mut out = Vec::new();
        for words in list {
            push_command(&mut out, Argv::of(words).args());
        }
        out
    }

    fn cut_at(file: &[u8]) -> Option<(u64, bool)> {
        match read(file, 7).1 {
            Ok(_) => None,
            Err(AofError::Truncated { good_up_to, inside_multi }) => Some((good_up_to, inside_multi)),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn commands_and_annotations() {
        let mut file = b"#TS:1700000000\r\n".to_vec();
        file.extend(commands(&[&[b"SELECT", b"0"], &[b"SET", b"k", b"a\r\nb"]]));
        file.extend_from_slice(b"*1\n$4\nPINGxx");
        let (records, end) = read(&file, 5);
        let flat: Vec<Vec<&[u8]>> = records.iter().map(|r| r.iter().map(Vec::as_slice).collect()).collect();
        assert_eq!(
            flat,
            [vec![&b"#TS:1700000000"[..]], vec![b"SELECT", b"0"], vec![b"SET", b"k", b"a\r\nb"], vec![b"PING"],]
        );
        assert_eq!(end.unwrap(), file.len() as u64);
    }

    #[test]
    fn a_cut_command_is_told_from_the_last_whole_one() {
        let whole = commands(&[&[b"SELECT", b"0"]]);
        let file = commands(&[&[b"SELECT", b"0"], &[b"SET", b"k", b"v"]]);
        for len in whole.len() + 1..file.len() {
            assert_eq!(cut_at(&file[..len]), Some((whole.len() as u64, false)));
        }
        assert_eq!(cut_at(&whole), None);
        assert_eq!(cut_at(b""), None);
    }

    #[test]
    fn a_transaction_is_whole_at_its_exec() {
        let before = commands(&[&[b"SELECT", b"0"]]);
        let file = commands(&[&[b"SELECT", b"0"], &[b"multi"], &[b"SET", b"k", b"v"], &[b"EXEC"]]);
        let mut open = 0;
        for len in before.len() + 1..file.len() {
            let (good, inside) = cut_at(&file[..len]).unwrap();
            assert_eq!(good, before.len() as u64);
            open += usize::from(inside);
        }
        assert!(open > 20);
        assert_eq!(cut_at(&file), None);
    }

    #[test]
    fn what_no_server_writes_is_a_format_error() {
        for file in [
            &b"\r\n*1\r\n$4\r\nPING\r\n"[..],
            b"*0\r\n",
            b"*\r\n",
            b"*-1\r\n",
            b"*x\r\n",
            b"*1\r\n:5\r\n",
            b"*1\r\n$-5\r\n",
            b"*1\r\n$99999999999999\r\n",
            b"PING\r\n",
            &[b'#'; 2000],
            // Nor is what has no line end at all the beginning of a command.
            b"my important notes",
            b"RED",
            b"# notes",
            &[0; 10],
            b"*x",
            b"*0",
            b"*3x",
            b"*\r",
            b"*3\r\n#3",
            b"*3\r\n$\r",
            b"*3\r\n$x",
            b"*3\r\n$3\r\nsetXXYY",
        ] {
            for before in [commands(&[]), commands(&[&[b"SELECT", b"0"]]), commands(&[&[b"MULTI"]])] {
                let end = read(&[&before, file].concat(), 64).1;
                assert!(matches!(end, Err(AofError::Format { .. })), "{}: {end:?}", file.escape_ascii());
            }
        }
        assert_eq!((cut_at(b"#T"), cut_at(b"#TS:17")), (Some((0, false)), Some((0, false))));
        // A promise of much data is only a short file.
        assert_eq!(cut_at(b"*1000000000\r\n$4294967295\r\nabc"), Some((0, false)));
    }

    #[test]
    fn preambles() {
        assert!(has_rdb_preamble(b"REDIS0010"));
        assert!(has_rdb_preamble(b"VALKEY080"));
        assert!(!has_rdb_preamble(b"*2\r\n$6"));
        assert!(!has_rdb_preamble(b""));
    }

    proptest! {
        #[test]
        fn what_was_appended_comes_back(
            list in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 0..9),
            chunk in 1usize..40,
        ) {
            let mut file = Vec::new();
            for words in &list {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                push_command(&mut file, Argv::of(&words).args());
            }
            let (records, end) = read(&file, chunk);
            prop_assert_eq!(&records, &list);
            prop_assert_eq!(end.unwrap(), file.len() as u64);
        }

        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\n'), b'0'..=b'9', any::<u8>()], 0..99),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let _ = read(&noise, 8);
            let mut file = commands(&[&[b"SELECT", b"0"], &[b"MULTI"], &[b"SET", b"k", b"v"], &[b"EXEC"]]);
            let at = at.index(file.len());
            file[at] = byte;
            let _ = read(&file, 8);
        }
    }
}
