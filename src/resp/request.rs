//! The request parser: bytes of a connection in, complete commands out, without an allocation per argument.
//!
//! It is incremental (a command that arrives in pieces is not scanned twice) and bounded: every length is checked
//! against the limits before anything is reserved for it.

use super::args::{Args, Span};
use super::error::ProtocolError;
use crate::base::{num, words};

/// The longest inline command, and the longest line that gives a count or a length.
const INLINE_MAX_BYTES: usize = 64 * 1024;

/// What a connection may ask for.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// `proto-max-bulk-len`.
    pub bulk_max_bytes: u64,
    /// A connection that has not said who it is may send only little.
    pub authenticated: bool,
    /// Commands may also be lines of words. From a server that sends a stream of commands these are a sign that the stream
    /// is broken; only empty lines are well there.
    pub inline: bool,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits { bulk_max_bytes: 512 << 20, authenticated: true, inline: true }
    }
}

/// The complete commands found in a buffer, in order.
#[derive(Debug, Default)]
pub struct Batch {
    spans: Vec<Span>,
    /// For each command, where its spans end, and where its bytes end in the buffer.
    ends: Vec<(u32, u32)>,
}

impl Batch {
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Command `i`, as slices of the buffer it was parsed from.
    #[must_use]
    pub fn command<'a>(&'a self, buf: &'a [u8], i: usize) -> Args<'a> {
        let from = if i == 0 { 0 } else { self.ends[i - 1].0 as usize };
        Args::new(buf, &self.spans[from..self.ends[i].0 as usize])
    }

    /// The offset in the buffer behind the first `n` commands.
    #[must_use]
    pub fn done_bytes(&self, n: usize) -> usize {
        if n == 0 { 0 } else { self.ends[n - 1].1 as usize }
    }

    pub fn clear(&mut self) {
        self.spans.clear();
        self.ends.clear();
    }
}

/// The state between two reads of one connection.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// First byte not yet consumed.
    pos: usize,
    /// Arguments still to come of the command being read.
    args_left: usize,
    /// Length of the argument being read.
    bulk_len: Option<usize>,
    /// Arguments of a command whose end has not come yet.
    spans: Vec<Span>,
}

impl RequestParser {
    /// Parses as many complete commands as `buf` holds and appends them to `batch`. `buf` is the connection's whole
    /// buffer since the last [`RequestParser::shift`]; quoted inline arguments are unescaped in place.
    ///
    /// # Errors
    /// The connection broke the protocol; commands parsed before the error stand in `batch`.
    pub fn parse(&mut self, buf: &mut [u8], limits: RequestLimits, batch: &mut Batch) -> Result<(), ProtocolError> {
        while self.pos < buf.len() {
            if self.args_left == 0 {
                let complete =
                    if buf[self.pos] == b'*' { self.count(buf, limits)? } else { self.inline(buf, limits, batch)? };
                if !complete {
                    return Ok(());
                }
                if self.args_left == 0 {
                    continue;
                }
            }
            // What was read before joins the batch, and leaves it again if the command is not whole by now either.
            let first = batch.spans.len();
            batch.spans.append(&mut self.spans);
            let complete = self.arguments(buf, limits, &mut batch.spans);
            if !matches!(complete, Ok(true)) {
                self.spans.extend(batch.spans.drain(first..));
                return complete.map(|_| ());
            }
            batch.ends.push((batch.spans.len() as u32, self.pos as u32));
        }
        Ok(())
    }

    /// The connection has dropped the first `n` bytes of its buffer (never more than [`RequestParser::safe_to_drop`]).
    pub fn shift(&mut self, n: usize) {
        self.pos -= n;
        for span in &mut self.spans {
            span.start -= n as u32;
        }
    }

    /// How many bytes at the head of the buffer belong to commands that are complete.
    #[must_use]
    pub fn safe_to_drop(&self) -> usize {
        self.spans.first().map_or(self.pos, |s| s.start as usize)
    }

    /// The total length the buffer must reach for the argument being read, so that it can be reserved at once.
    #[must_use]
    pub fn wanted_len(&self) -> Option<usize> {
        self.bulk_len.map(|len| self.pos + len + 2)
    }

    /// Reads `*<count>`. False when the line is not complete.
    fn count(&mut self, buf: &[u8], limits: RequestLimits) -> Result<bool, ProtocolError> {
        let (count, next) = if let Some((count, bytes)) = short_number(&buf[self.pos + 1..]) {
            (count, self.pos + 1 + bytes)
        } else {
            let Some((line, next)) = self.line(buf) else {
                return if buf.len() - self.pos > INLINE_MAX_BYTES {
                    Err(ProtocolError::CountTooBig)
                } else {
                    Ok(false)
                };
            };
            let count = num::parse_i64(&line[1..]).filter(|&n| n <= i64::from(i32::MAX));
            (usize::try_from(count.ok_or(ProtocolError::InvalidCount)?).unwrap_or(0), next)
        };
        if count > 10 && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        self.pos = next;
        self.args_left = count;
        Ok(true)
    }

    /// Reads the arguments still missing into `spans`. False when they are not all there.
    fn arguments(&mut self, buf: &[u8], limits: RequestLimits, spans: &mut Vec<Span>) -> Result<bool, ProtocolError> {
        while self.args_left > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.length(buf, limits)? {
                    Some(len) => len,
                    None => return Ok(false),
                },
            };
            if buf.len() - self.pos < len + 2 {
                self.bulk_len = Some(len);
                return Ok(false);
            }
            spans.push(Span { start: self.pos as u32, len: len as u32 });
            self.pos += len + 2;
            self.bulk_len = None;
            self.args_left -= 1;
        }
        Ok(true)
    }

    /// Reads `$<length>`.
    fn length(&mut self, buf: &[u8], limits: RequestLimits) -> Result<Option<usize>, ProtocolError> {
        let rest = &buf[self.pos..];
        let (len, next) = if let Some((len, bytes)) = rest.strip_prefix(b"$").and_then(short_number) {
            (Some(len as u64), self.pos + 1 + bytes)
        } else {
            let Some((line, next)) = self.line(buf) else {
                return if rest.len() > INLINE_MAX_BYTES { Err(ProtocolError::LengthTooBig) } else { Ok(None) };
            };
            if line.first() != Some(&b'$') {
                return Err(ProtocolError::ExpectedBulk(line.first().copied().unwrap_or(b'\r')));
            }
            (num::parse_i64(&line[1..]).and_then(|n| u64::try_from(n).ok()), next)
        };
        let len = len.filter(|&n| n <= limits.bulk_max_bytes).ok_or(ProtocolError::InvalidLength)?;
        if len > 16384 && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedLength);
        }
        self.pos = next;
        Ok(Some(len as usize))
    }

    /// The line at `pos` without its end, and where the next one starts.
    fn line<'a>(&self, buf: &'a [u8]) -> Option<(&'a [u8], usize)> {
        let rest = &buf[self.pos..];
        let cr = rest.iter().take(INLINE_MAX_BYTES).position(|&b| b == b'\r')?;
        (rest.len() > cr + 1).then(|| (&rest[..cr], self.pos + cr + 2))
    }

    /// Reads one inline command. False when its line is not complete.
    fn inline(&mut self, buf: &mut [u8], limits: RequestLimits, batch: &mut Batch) -> Result<bool, ProtocolError> {
        let start = self.pos;
        if !limits.inline && !matches!(buf[start], b'\r' | b'\n') {
            return Err(ProtocolError::NoInline);
        }
        let Some(newline) = buf[start..].iter().position(|&b| b == b'\n') else {
            return if buf.len() - start > INLINE_MAX_BYTES { Err(ProtocolError::InlineTooBig) } else { Ok(false) };
        };
        let line = &buf[start..start + newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let parsed = words::split(line).ok_or(ProtocolError::UnbalancedQuotes)?;
        self.pos = start + newline + 1;
        if parsed.is_empty() {
            return Ok(true);
        }
        let mut at = start;
        for word in &parsed {
            buf[at..at + word.len()].copy_from_slice(word);
            batch.spans.push(Span { start: at as u32, len: word.len() as u32 });
            at += word.len();
        }
        batch.ends.push((batch.spans.len() as u32, self.pos as u32));
        Ok(true)
    }
}

/// A number of one to five digits without a leading zero, with its whole line end behind it, and the bytes of both:
/// what nearly all counts and lengths are. None for anything else, which is not to say that it is wrong.
#[inline]
fn short_number(text: &[u8]) -> Option<(usize, usize)> {
    const DIGITS_MAX: usize = 5;
    let (&first @ b'1'..=b'9', rest) = text.split_first()? else { return None };
    let mut value = usize::from(first - b'0');
    for (i, &byte) in rest.iter().take(DIGITS_MAX).enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' => return (rest.len() > i + 1).then_some((value, i + 3)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::args::{Argv, push_command};
    use proptest::prelude::*;

    fn commands(buf: &[u8], batch: &Batch) -> Vec<Vec<Vec<u8>>> {
        (0..batch.len()).map(|i| batch.command(buf, i).iter().map(<[u8]>::to_vec).collect()).collect()
    }

    fn parse_all(input: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut buf = input.to_vec();
        let (mut parser, mut batch) = (RequestParser::default(), Batch::default());
        parser.parse(&mut buf, RequestLimits::default(), &mut batch)?;
        Ok(commands(&buf, &batch))
    }

    #[test]
    fn errors_have_their_words() {
        for (input, text) in [
            (&b"*x\r\n"[..], "Protocol error: invalid multibulk length"),
            (b"*99999999999\r\n", "Protocol error: invalid multibulk length"),
            (b"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
            (b"*1\r\n$04\r\nping\r\n", "Protocol error: invalid bulk length"),
            (b"*01\r\n$4\r\nping\r\n", "Protocol error: invalid multibulk length"),
            (b"*1\r\n$999999999999\r\n", "Protocol error: invalid bulk length"),
            (b"get \"a\r\n", "Protocol error: unbalanced quotes in request"),
        ] {
            assert_eq!(parse_all(input).unwrap_err().to_string(), text);
        }
        assert_eq!(parse_all(&[b'a'; 70_000]).unwrap_err(), ProtocolError::InlineTooBig);
        assert_eq!(parse_all(b"*0\r\n*-1\r\n\r\nping\r\n").unwrap(), vec![vec![b"ping".to_vec()]]);
        assert_eq!(parse_all(b"set k \"a b\\n\"\r\n").unwrap()[0][2], b"a b\n");
    }

    #[test]
    fn the_unauthenticated_are_held_short() {
        let limits = RequestLimits { authenticated: false, ..RequestLimits::default() };
        for input in [&b"*11\r\n"[..], b"*1\r\n$16385\r\n"] {
            let mut parser = RequestParser::default();
            assert!(parser.parse(&mut input.to_vec(), limits, &mut Batch::default()).is_err());
        }
    }

    #[test]
    fn a_stream_has_no_words_in_lines() {
        let limits = RequestLimits { inline: false, ..RequestLimits::default() };
        let parse = |text: &[u8]| {
            let (mut buf, mut batch) = (text.to_vec(), Batch::default());
            RequestParser::default().parse(&mut buf, limits, &mut batch).map(|()| batch.len())
        };
        assert_eq!(parse(b"\n\r\n*1\r\n$4\r\nPING\r\n\n"), Ok(1));
        assert_eq!(parse(b"PI"), Err(ProtocolError::NoInline));
        assert_eq!(parse(b"\n*0\r\n:1"), Err(ProtocolError::NoInline));
    }

    proptest! {
        /// However the bytes are cut, and whenever the head of the buffer is dropped, the same commands come out.
        #[test]
        fn any_cut_gives_the_same(
            sent in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 1..5), 1..6),
            cuts in proptest::collection::vec(1usize..20, 1..200),
        ) {
            let mut wire = Vec::new();
            for command in &sent {
                let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
                let argv = Argv::of(&words);
                let before = wire.len();
                push_command(&mut wire, argv.args());
                prop_assert_eq!(argv.args().wire_bytes(), wire.len() - before);
                prop_assert!(argv.args().wire_bytes_max() >= wire.len() - before);
            }
            let (mut parser, mut batch, mut buf, mut got) = (RequestParser::default(), Batch::default(), Vec::new(), Vec::new());
            let mut rest = &wire[..];
            for cut in cuts.iter().cycle() {
                let n = (*cut).min(rest.len());
                buf.extend_from_slice(&rest[..n]);
                rest = &rest[n..];
                parser.parse(&mut buf, RequestLimits::default(), &mut batch).unwrap();
                got.extend(commands(&buf, &batch));
                batch.clear();
                let drop = parser.safe_to_drop();
                buf.drain(..drop);
                parser.shift(drop);
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut parser, mut batch) = (RequestParser::default(), Batch::default());
            let _ = parser.parse(&mut bytes, RequestLimits::default(), &mut batch);
            commands(&bytes, &batch);
        }
    }
}
