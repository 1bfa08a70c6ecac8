//! Replies, written straight into a client's output buffer in the protocol version it speaks.

use super::args::push_bulk;
use super::error::ErrorReply;
use crate::base::num;

/// The protocol version of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Proto {
    #[default]
    Resp2,
    Resp3,
}

/// An output buffer that knows its protocol version.
#[derive(Debug, Default)]
pub struct Reply {
    pub buf: Vec<u8>,
    pub proto: Proto,
}

/// The place of an aggregate whose length is not known yet; given back to [`Reply::end`].
#[must_use]
pub struct Open(usize);

impl Reply {
    #[must_use]
    pub fn new(proto: Proto) -> Reply {
        Reply { buf: Vec::new(), proto }
    }

    #[must_use]
    pub fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    fn head(&mut self, kind: u8, n: i64) {
        self.buf.push(kind);
        num::push_i64(&mut self.buf, n);
        self.buf.extend_from_slice(b"\r\n");
    }

    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// A status. `text` must not contain line ends.
    pub fn simple(&mut self, text: &str) {
        self.buf.push(b'+');
        self.buf.extend_from_slice(text.as_bytes());
        self.buf.extend_from_slice(b"\r\n");
    }

    pub fn error(&mut self, error: &ErrorReply) {
        self.buf.push(b'-');
        error.push_to(&mut self.buf);
        self.buf.extend_from_slice(b"\r\n");
    }

    pub fn int(&mut self, n: i64) {
        match n {
            0 => self.buf.extend_from_slice(b":0\r\n"),
            1 => self.buf.extend_from_slice(b":1\r\n"),
            _ => self.head(b':', n),
        }
    }

    /// A count, which is never negative.
    pub fn uint(&mut self, n: usize) {
        self.int(n as i64);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        push_bulk(&mut self.buf, bytes);
    }

    pub fn bulk_str(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// An integer as a bulk string.
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n).as_bytes());
    }

    /// The null of a bulk string.
    pub fn null(&mut self) {
        self.buf.extend_from_slice(if self.resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The null of an array.
    pub fn null_array(&mut self) {
        self.buf.extend_from_slice(if self.resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    pub fn array(&mut self, n: usize) {
        self.head(b'*', n as i64);
    }

    /// A map of `n` pairs; a flat array of twice the length in RESP2.
    pub fn map(&mut self, n: usize) {
        if self.resp3() { self.head(b'%', n as i64) } else { self.head(b'*', 2 * n as i64) }
    }

    pub fn set(&mut self, n: usize) {
        self.head(if self.resp3() { b'~' } else { b'*' }, n as i64);
    }

    /// An out-of-band message.
    pub fn push(&mut self, n: usize) {
        self.head(if self.resp3() { b'>' } else { b'*' }, n as i64);
    }

    pub fn bool(&mut self, value: bool) {
        if self.resp3() {
            self.buf.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.int(i64::from(value));
        }
    }

    /// A double: `,1.5` in RESP3, a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        if self.resp3() {
            self.buf.push(b',');
            num::push_f64(&mut self.buf, value);
            self.buf.extend_from_slice(b"\r\n");
        } else {
            let mut text = Vec::with_capacity(24);
            num::push_f64(&mut text, value);
            self.bulk(&text);
        }
    }

    /// Text for people with a three-letter format.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.resp3() {
            debug_assert_eq!(format.len(), 3);
            self.head(b'=', text.len() as i64 + 4);
            self.buf.extend_from_slice(format.as_bytes());
            self.buf.push(b':');
            self.buf.extend_from_slice(text);
            self.buf.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Starts an aggregate whose length is known only at its end.
    pub fn open(&mut self) -> Open {
        Open(self.buf.len())
    }

    /// Ends an array begun by [`Reply::open`] that got `n` elements.
    pub fn end_array(&mut self, open: Open, n: usize) {
        self.end(&open, b'*', n);
    }

    pub fn end_set(&mut self, open: Open, n: usize) {
        let kind = if self.resp3() { b'~' } else { b'*' };
        self.end(&open, kind, n);
    }

    /// Ends a map that got `n` pairs.
    pub fn end_map(&mut self, open: Open, n: usize) {
        if self.resp3() { self.end(&open, b'%', n) } else { self.end(&open, b'*', 2 * n) }
    }

    fn end(&mut self, open: &Open, kind: u8, n: usize) {
        let mut head = Vec::with_capacity(24);
        head.push(kind);
        num::push_u64(&mut head, n as u64);
        head.extend_from_slice(b"\r\n");
        self.buf.splice(open.0..open.0, head);
    }

    /// Copies bytes that are already in the wire's form.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        let write = |proto| {
            let mut r = Reply::new(proto);
            r.null();
            r.null_array();
            r.map(1);
            r.bool(true);
            r.double(1.5);
            r.verbatim("txt", b"hi");
            let open = r.open();
            r.int(7);
            r.end_map(open, 0);
            String::from_utf8(r.buf).unwrap()
        };
        assert_eq!(write(Proto::Resp2), "$-1\r\n*-1\r\n*2\r\n:1\r\n$3\r\n1.5\r\n$2\r\nhi\r\n*0\r\n:7\r\n");
        assert_eq!(write(Proto::Resp3), "_\r\n_\r\n%1\r\n#t\r\n,1.5\r\n=6\r\ntxt:hi\r\n%0\r\n:7\r\n");
    }

    #[test]
    fn an_error_stays_on_one_line() {
        let mut r = Reply::default();
        r.error(&ErrorReply::text_of("ERR bad\r\nthing"));
        assert_eq!(r.buf, b"-ERR bad  thing\r\n");
    }
}
