//! The reply parser: what a client reads from a server, RESP2 and RESP3, without IO.
//!
//! It is incremental: bytes are given as they come, a finished part is never looked at twice, and nothing is reserved on
//! the word of the other side. For links of the server itself (MIGRATE, the primary's answers) and for tests.

use crate::base::num;

/// The longest line: a status, an error, a number or a length.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// A reply. Text is bytes, since values need not be UTF-8.
#[derive(Clone, PartialEq, Debug)]
pub enum ReplyValue {
    /// `+`
    Status(Vec<u8>),
    /// `-` or `!`: the text with its code in front.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `_`, and RESP2's two nulls.
    Null,
    /// `*`
    Array(Vec<ReplyValue>),
    /// `,`: a number, as it was written.
    Double(Vec<u8>),
    /// `#`
    Boolean(bool),
    /// `(`: the digits.
    BigNumber(Vec<u8>),
    /// `=`: the kind (`txt`, `mkd`) and the text.
    Verbatim { kind: [u8; 3], text: Vec<u8> },
    /// `%`, in the order sent.
    Map(Vec<(ReplyValue, ReplyValue)>),
    /// `~`
    Set(Vec<ReplyValue>),
    /// `>`: not an answer to anything.
    Push(Vec<ReplyValue>),
}

impl ReplyValue {
    /// The bytes of a status, a bulk or a verbatim string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            ReplyValue::Status(text) | ReplyValue::Bulk(text) | ReplyValue::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text of an error.
    #[must_use]
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            ReplyValue::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer reply.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            ReplyValue::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// The items of an array, a set or a push.
    #[must_use]
    pub fn as_items(&self) -> Option<&[ReplyValue]> {
        match self {
            ReplyValue::Array(items) | ReplyValue::Set(items) | ReplyValue::Push(items) => Some(items),
            _ => None,
        }
    }

    /// Whether this is `+OK`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, ReplyValue::Status(text) if text == b"OK")
    }
}

/// How much one reply may take.
#[derive(Clone, Copy, Debug)]
pub struct ReplyLimits {
    /// Bytes of the whole reply on the wire.
    pub reply_max_bytes: usize,
    /// Aggregates within aggregates.
    pub depth_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> ReplyLimits {
        ReplyLimits { reply_max_bytes: 1 << 30, depth_max: 32 }
    }
}

/// What is wrong with the bytes. The connection is of no use after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    #[error("a reply begins with the unknown byte 0x{0:02x}")]
    UnknownType(u8),
    #[error("a line is too long or does not end with CR LF")]
    BadLine,
    #[error("a length is not one")]
    BadLength,
    #[error("a number, boolean or null cannot be read")]
    BadScalar,
    #[error("a string does not end where it should")]
    BadString,
    #[error("the reply is larger than allowed")]
    TooLarge,
    #[error("the reply is nested deeper than allowed")]
    TooDeep,
}

#[derive(Clone, Copy)]
enum Text {
    Bulk,
    Error,
    Verbatim,
}

#[derive(Clone, Copy)]
enum Group {
    Array,
    Map,
    Set,
    Push,
    /// Tells something about the value behind it; read and dropped.
    Attribute,
}

/// An aggregate that is not complete.
struct Frame {
    group: Group,
    left: usize,
    items: Vec<ReplyValue>,
}

/// What one token turned out to be.
enum Token {
    Value(ReplyValue),
    /// The head of a string or of an aggregate: what it holds follows.
    Opened,
}

/// The parser of one connection.
pub struct ReplyParser {
    limits: ReplyLimits,
    buf: Vec<u8>,
    pos: usize,
    /// Up to here the buffer has no line end behind `pos`.
    searched: usize,
    /// The string being read.
    text: Option<(Text, usize)>,
    stack: Vec<Frame>,
    /// Bytes of the current reply that are consumed.
    taken: usize,
    failed: Option<ReplyError>,
}

impl Default for ReplyParser {
    fn default() -> ReplyParser {
        ReplyParser::new(ReplyLimits::default())
    }
}

impl ReplyParser {
    #[must_use]
    pub fn new(limits: ReplyLimits) -> ReplyParser {
        ReplyParser {
            limits,
            buf: Vec::new(),
            pos: 0,
            searched: 0,
            text: None,
            stack: Vec::new(),
            taken: 0,
            failed: None,
        }
    }

    /// Adds bytes as they were received.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buf.extend_from_slice(bytes);
        }
    }

    /// The next complete reply, or `None` until more bytes come.
    ///
    /// # Errors
    /// When the bytes are not a reply, or exceed the limits. All later calls give the same error.
    pub fn next_reply(&mut self) -> Result<Option<ReplyValue>, ReplyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.parse();
        match result {
            Ok(Some(_)) => self.taken = 0,
            Ok(None) => self.compact(),
            Err(error) => {
                self.failed = Some(error);
                self.buf = Vec::new();
                self.stack = Vec::new();
            }
        }
        result
    }

    /// Drops the consumed front of the buffer.
    fn compact(&mut self) {
        self.buf.drain(..self.pos);
        self.searched = self.searched.saturating_sub(self.pos);
        self.pos = 0;
    }

    fn parse(&mut self) -> Result<Option<ReplyValue>, ReplyError> {
        loop {
            let token = match self.text {
                Some((text, len)) => self.string(text, len)?,
                None => self.line()?,
            };
            let Some(token) = token else {
                let waiting = self.buf.len() - self.pos;
                return if self.taken + waiting > self.limits.reply_max_bytes {
                    Err(ReplyError::TooLarge)
                } else {
                    Ok(None)
                };
            };
            if self.taken > self.limits.reply_max_bytes {
                return Err(ReplyError::TooLarge);
            }
            if let Token::Value(value) = token
                && let Some(reply) = self.place(value)
            {
                return Ok(Some(reply));
            }
            // A frame can be complete without a value of its own: an empty one, or one that ended with an attribute.
            if let Some(reply) = self.close_full() {
                return Ok(Some(reply));
            }
        }
    }

    /// Puts a value where it belongs; gives it back if it belongs to nothing, which makes it the reply.
    fn place(&mut self, value: ReplyValue) -> Option<ReplyValue> {
        let Some(frame) = self.stack.last_mut() else { return Some(value) };
        frame.left -= 1;
        frame.items.push(value);
        None
    }

    /// Closes the frames that are complete, innermost first.
    fn close_full(&mut self) -> Option<ReplyValue> {
        while self.stack.last().is_some_and(|frame| frame.left == 0) {
            let frame = self.stack.pop()?;
            let value = match frame.group {
                Group::Array => ReplyValue::Array(frame.items),
                Group::Set => ReplyValue::Set(frame.items),
                Group::Push => ReplyValue::Push(frame.items),
                Group::Map => ReplyValue::Map(pairs(frame.items)),
                Group::Attribute => continue,
            };
            if let Some(reply) = self.place(value) {
                return Some(reply);
            }
        }
        None
    }

    /// Reads the rest of a string whose length is known.
    fn string(&mut self, text: Text, len: usize) -> Result<Option<Token>, ReplyError> {
        if self.buf.len() - self.pos < len + 2 {
            return Ok(None);
        }
        let bytes = &self.buf[self.pos..self.pos + len];
        if &self.buf[self.pos + len..self.pos + len + 2] != b"\r\n" {
            return Err(ReplyError::BadString);
        }
        let value = match text {
            Text::Bulk => ReplyValue::Bulk(bytes.to_vec()),
            Text::Error => ReplyValue::Error(bytes.to_vec()),
            Text::Verbatim => match bytes {
                [a, b, c, b':', rest @ ..] => ReplyValue::Verbatim { kind: [*a, *b, *c], text: rest.to_vec() },
                _ => return Err(ReplyError::BadString),
            },
        };
        self.consume(len + 2);
        self.text = None;
        Ok(Some(Token::Value(value)))
    }

    /// Reads a line: a whole value, or the head of one.
    fn line(&mut self) -> Result<Option<Token>, ReplyError> {
        let from = self.searched.max(self.pos);
        let Some(end) = self.buf[from..].iter().position(|&b| b == b'\n').map(|n| from + n) else {
            self.searched = self.buf.len();
            let long = self.buf.len() - self.pos > LINE_MAX_BYTES;
            return if long { Err(ReplyError::BadLine) } else { Ok(None) };
        };
        let (pos, depth, limits) = (self.pos, self.stack.len(), self.limits);
        let line = self.buf[pos..end].strip_suffix(b"\r").filter(|line| line.len() <= LINE_MAX_BYTES);
        let Some((&kind, rest)) = line.and_then(<[u8]>::split_first) else { return Err(ReplyError::BadLine) };
        let mut text = None;
        let mut frame = None;
        let token = match kind {
            b'+' => Token::Value(ReplyValue::Status(rest.to_vec())),
            b'-' => Token::Value(ReplyValue::Error(rest.to_vec())),
            b':' => Token::Value(ReplyValue::Integer(num::parse_i64(rest).ok_or(ReplyError::BadScalar)?)),
            b'(' => Token::Value(ReplyValue::BigNumber(big_number(rest)?)),
            b',' => Token::Value(ReplyValue::Double(double(rest)?)),
            b'#' => Token::Value(ReplyValue::Boolean(boolean(rest)?)),
            b'_' if rest.is_empty() => Token::Value(ReplyValue::Null),
            b'_' => return Err(ReplyError::BadScalar),
            b'$' | b'*' if rest == b"-1" => Token::Value(ReplyValue::Null),
            b'$' | b'!' | b'=' => {
                let len = length(rest, limits.reply_max_bytes)?;
                text = Some(match kind {
                    b'$' => (Text::Bulk, len),
                    b'!' => (Text::Error, len),
                    _ => (Text::Verbatim, len),
                });
                Token::Opened
            }
            b'*' | b'%' | b'~' | b'>' | b'|' => {
                if depth >= limits.depth_max {
                    return Err(ReplyError::TooDeep);
                }
                // The shortest item is three bytes.
                let count = length(rest, limits.reply_max_bytes / 3)?;
                let (group, left) = match kind {
                    b'*' => (Group::Array, count),
                    b'~' => (Group::Set, count),
                    b'>' => (Group::Push, count),
                    b'%' => (Group::Map, count * 2),
                    _ => (Group::Attribute, count * 2),
                };
                frame = Some(Frame { group, left, items: Vec::with_capacity(left.min(64)) });
                Token::Opened
            }
            other => return Err(ReplyError::UnknownType(other)),
        };
        self.text = text;
        self.stack.extend(frame);
        self.consume(end + 1 - pos);
        Ok(Some(token))
    }

    fn consume(&mut self, count: usize) {
        self.pos += count;
        self.taken += count;
    }
}

fn pairs(items: Vec<ReplyValue>) -> Vec<(ReplyValue, ReplyValue)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

fn length(text: &[u8], max: usize) -> Result<usize, ReplyError> {
    let len = num::parse_i64(text).and_then(|n| usize::try_from(n).ok()).ok_or(ReplyError::BadLength)?;
    if len > max { Err(ReplyError::TooLarge) } else { Ok(len) }
}

fn big_number(text: &[u8]) -> Result<Vec<u8>, ReplyError> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let good = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if good { Ok(text.to_vec()) } else { Err(ReplyError::BadScalar) }
}

fn double(text: &[u8]) -> Result<Vec<u8>, ReplyError> {
    let good = matches!(text, b"nan" | b"-nan") || num::parse_f64(text).is_some();
    if good { Ok(text.to_vec()) } else { Err(ReplyError::BadScalar) }
}

fn boolean(text: &[u8]) -> Result<bool, ReplyError> {
    match text {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(ReplyError::BadScalar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(wire: &[u8]) -> Result<Option<ReplyValue>, ReplyError> {
        let mut parser = ReplyParser::new(ReplyLimits { reply_max_bytes: 10_000, depth_max: 4 });
        parser.feed(wire);
        parser.next_reply()
    }

    fn bulk(text: &str) -> ReplyValue {
        ReplyValue::Bulk(text.into())
    }

    #[test]
    fn every_type() {
        use ReplyValue::*;
        for (wire, value) in [
            ("+OK\r\n", Status("OK".into())),
            ("-ERR no\r\n", Error("ERR no".into())),
            ("!6\r\nERR\r\nx\r\n", Error("ERR\r\nx".into())),
            (":-12\r\n", Integer(-12)),
            ("$3\r\na\r\n\r\n", bulk("a\r\n")),
            ("$0\r\n\r\n", bulk("")),
            ("$-1\r\n", Null),
            ("*-1\r\n", Null),
            ("_\r\n", Null),
            (",1.50\r\n", Double("1.50".into())),
            (",-inf\r\n", Double("-inf".into())),
            ("#t\r\n", Boolean(true)),
            ("(-123456789012345678901234567890\r\n", BigNumber("-123456789012345678901234567890".into())),
            ("=7\r\ntxt:a b\r\n", Verbatim { kind: *b"txt", text: "a b".into() }),
            ("*0\r\n", Array(vec![])),
            ("*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", Array(vec![Array(vec![Integer(1)]), bulk("x")])),
            ("%1\r\n+a\r\n*0\r\n", Map(vec![(Status("a".into()), Array(vec![]))])),
            ("~1\r\n:1\r\n", Set(vec![Integer(1)])),
            (">2\r\n+invalidate\r\n_\r\n", Push(vec![Status("invalidate".into()), Null])),
            ("|1\r\n+ttl\r\n:9\r\n:1\r\n", Integer(1)),
            ("*1\r\n|1\r\n+ttl\r\n:9\r\n:1\r\n", Array(vec![Integer(1)])),
        ] {
            assert_eq!(read(wire.as_bytes()), Ok(Some(value)), "{wire:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_for_good() {
        for (wire, error) in [
            ("hello\r\n", ReplyError::UnknownType(b'h')),
            ("\r\n", ReplyError::BadLine),
            ("+OK\n", ReplyError::BadLine),
            (":1x\r\n", ReplyError::BadScalar),
            ("#x\r\n", ReplyError::BadScalar),
            ("(1e5\r\n", ReplyError::BadScalar),
            ("_x\r\n", ReplyError::BadScalar),
            ("$-2\r\n", ReplyError::BadLength),
            ("$?\r\n", ReplyError::BadLength),
            ("$1\r\nabc\r\n", ReplyError::BadString),
            ("=3\r\ntxt\r\n", ReplyError::BadString),
            ("$999999999999\r\n", ReplyError::TooLarge),
            ("*999999999999\r\n", ReplyError::TooLarge),
            ("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", ReplyError::TooDeep),
        ] {
            let mut parser = ReplyParser::new(ReplyLimits { reply_max_bytes: 10_000, depth_max: 4 });
            parser.feed(wire.as_bytes());
            assert_eq!(parser.next_reply(), Err(error), "{wire:?}");
            parser.feed(b"+OK\r\n");
            assert_eq!(parser.next_reply(), Err(error), "{wire:?}");
        }
        assert_eq!(read(&[b'+'; 70_000]), Err(ReplyError::BadLine));
        assert_eq!(read(format!("*3000\r\n{}", ":1\r\n".repeat(2900)).as_bytes()), Err(ReplyError::TooLarge));
    }

    #[test]
    fn replies_come_in_order_and_the_limit_is_for_each() {
        let mut parser = ReplyParser::new(ReplyLimits { reply_max_bytes: 20, depth_max: 4 });
        for i in 0..10 {
            parser.feed(format!("$10\r\n{i:010}\r\n").as_bytes());
        }
        for i in 0..10 {
            assert_eq!(parser.next_reply(), Ok(Some(bulk(&format!("{i:010}")))));
        }
        assert_eq!(parser.next_reply(), Ok(None));
    }

    fn encode(value: &ReplyValue, out: &mut Vec<u8>) {
        let line = |out: &mut Vec<u8>, kind: char, text: &[u8]| {
            out.push(kind as u8);
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        };
        let group = |out: &mut Vec<u8>, kind: char, items: &[ReplyValue]| {
            line(out, kind, items.len().to_string().as_bytes());
            items.iter().for_each(|item| encode(item, out));
        };
        match value {
            ReplyValue::Status(text) => line(out, '+', text),
            ReplyValue::Error(text) => line(out, '-', text),
            ReplyValue::Integer(n) => line(out, ':', n.to_string().as_bytes()),
            ReplyValue::Bulk(text) => {
                line(out, '$', text.len().to_string().as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            ReplyValue::Null => line(out, '_', b""),
            ReplyValue::Double(text) => line(out, ',', text),
            ReplyValue::Boolean(b) => line(out, '#', if *b { b"t" } else { b"f" }),
            ReplyValue::BigNumber(text) => line(out, '(', text),
            ReplyValue::Verbatim { kind, text } => {
                line(out, '=', (text.len() + 4).to_string().as_bytes());
                out.extend_from_slice(kind);
                out.push(b':');
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            ReplyValue::Array(items) => group(out, '*', items),
            ReplyValue::Set(items) => group(out, '~', items),
            ReplyValue::Push(items) => group(out, '>', items),
            ReplyValue::Map(entries) => {
                line(out, '%', entries.len().to_string().as_bytes());
                entries.iter().for_each(|(k, v)| {
                    encode(k, out);
                    encode(v, out);
                });
            }
        }
    }

    fn replies() -> impl Strategy<Value = ReplyValue> {
        let text = || prop::collection::vec(any::<u8>().prop_filter("in a line", |b| !b"\r\n".contains(b)), 0..20);
        let blob = || prop::collection::vec(any::<u8>(), 0..40);
        let leaf = prop_oneof![
            text().prop_map(ReplyValue::Status),
            text().prop_map(ReplyValue::Error),
            any::<i64>().prop_map(ReplyValue::Integer),
            blob().prop_map(ReplyValue::Bulk),
            Just(ReplyValue::Null),
            (-1000i32..1000).prop_map(|n| ReplyValue::Double((f64::from(n) / 8.0).to_string().into())),
            any::<bool>().prop_map(ReplyValue::Boolean),
            "-?[1-9][0-9]{0,40}".prop_map(|s| ReplyValue::BigNumber(s.into_bytes())),
            blob().prop_map(|text| ReplyValue::Verbatim { kind: *b"txt", text }),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let items = || prop::collection::vec(inner.clone(), 0..6);
            prop_oneof![
                items().prop_map(ReplyValue::Array),
                items().prop_map(ReplyValue::Set),
                items().prop_map(ReplyValue::Push),
                prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(ReplyValue::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_reply_survives_any_chunking(
            sent in prop::collection::vec(replies(), 1..4),
            sizes in prop::collection::vec(1usize..60, 1..6),
        ) {
            let mut wire = Vec::new();
            sent.iter().for_each(|value| encode(value, &mut wire));
            let (mut parser, mut got, mut at) = (ReplyParser::default(), Vec::new(), 0);
            for size in sizes.iter().cycle() {
                if at == wire.len() {
                    break;
                }
                let end = (at + size).min(wire.len());
                parser.feed(&wire[at..end]);
                at = end;
                while let Some(value) = parser.next_reply().unwrap() {
                    got.push(value);
                }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn arbitrary_bytes_are_harmless(
            chunks in prop::collection::vec(prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(b"+-:$*%~>|=!#,_(0123456789\r\n".to_vec())], 0..40), 0..20),
        ) {
            let mut parser = ReplyParser::default();
            for chunk in chunks {
                parser.feed(&chunk);
                while let Ok(Some(_)) = parser.next_reply() {}
            }
        }
    }
}
