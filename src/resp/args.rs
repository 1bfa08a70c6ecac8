//! A command's arguments: borrowed from the buffer they were read into, or owned where they must outlive it.

use crate::base::num;

/// Where one argument lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    fn of<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// Whether an argument is this word, in any case, as far as [`word`] goes.
#[must_use]
pub fn is_word(arg: &[u8], word: &str) -> bool {
    arg.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
        && arg.get(word.len()).is_none_or(|next| *next == 0)
}

/// The word that an argument is. Stock servers read words as strings of C, so what follows a NUL does not count: valkey-cli 9.1
/// sends "SLOTSRANGE" with one.
#[must_use]
pub fn word(arg: &[u8]) -> &[u8] {
    arg.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// One command: its name and arguments as slices of one buffer. Copying it copies two pointers.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    #[must_use]
    pub fn new(buf: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { buf, spans }
    }

    /// Number of arguments, the command's name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`; the name is 0.
    ///
    /// # Panics
    /// When there is no such argument: handlers run after the arity check.
    #[must_use]
    pub fn at(&self, i: usize) -> &'a [u8] {
        self.spans[i].of(self.buf)
    }

    #[must_use]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).map(|s| s.of(self.buf))
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let buf = self.buf;
        self.spans.iter().map(move |s| s.of(buf))
    }

    /// The arguments from `from` on.
    #[must_use]
    pub fn from(&self, from: usize) -> Args<'a> {
        Args { buf: self.buf, spans: self.spans.get(from..).unwrap_or(&[]) }
    }

    /// The arguments `from..to`.
    #[must_use]
    pub fn range(&self, from: usize, to: usize) -> Args<'a> {
        Args { buf: self.buf, spans: self.spans.get(from..to).unwrap_or(&[]) }
    }

    /// Whether argument `i` is this word, as [`is_word`] says.
    #[must_use]
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.get(i).is_some_and(|arg| is_word(arg, word))
    }

    /// What [`Args::wire_bytes`] is not above, without a look at every argument.
    #[must_use]
    pub fn wire_bytes_max(&self) -> usize {
        /// A count or a length with its marker and its line ends.
        const HEADER_MAX: usize = 16;
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else { return HEADER_MAX };
        // The arguments follow each other in their buffer.
        (last.start + last.len - first.start) as usize + HEADER_MAX * (self.len() + 1)
    }

    /// Bytes of the command as an array of bulk strings.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        let header = |n: usize| 3 + n.checked_ilog10().unwrap_or(0) as usize + 1;
        header(self.len()) + self.spans.iter().map(|s| header(s.len as usize) + s.len as usize + 2).sum::<usize>()
    }

    #[must_use]
    pub fn to_argv(&self) -> Argv {
        let mut argv = Argv::default();
        for arg in self.iter() {
            argv.push(arg);
        }
        argv
    }
}

/// A command that owns its bytes: queued, parked or made by the server itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argv {
    buf: Vec<u8>,
    spans: Vec<Span>,
}

impl Argv {
    #[must_use]
    pub fn of(words: &[&[u8]]) -> Argv {
        let mut argv = Argv::default();
        for word in words {
            argv.push(word);
        }
        argv
    }

    pub fn push(&mut self, arg: &[u8]) -> &mut Argv {
        // A single command is bounded by the query buffer limit, which is below 4 GiB.
        self.spans.push(Span { start: self.buf.len() as u32, len: arg.len() as u32 });
        self.buf.extend_from_slice(arg);
        self
    }

    pub fn push_i64(&mut self, n: i64) -> &mut Argv {
        let start = self.buf.len();
        num::push_i64(&mut self.buf, n);
        self.spans.push(Span { start: start as u32, len: (self.buf.len() - start) as u32 });
        self
    }

    #[must_use]
    pub fn args(&self) -> Args<'_> {
        Args { buf: &self.buf, spans: &self.spans }
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn mem_bytes(&self) -> usize {
        self.buf.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

/// Appends a command as an array of bulk strings, the form of the AOF and of the replication stream.
pub fn push_command(out: &mut Vec<u8>, args: Args<'_>) {
    out.push(b'*');
    num::push_u64(out, args.len() as u64);
    out.extend_from_slice(b"\r\n");
    for arg in args.iter() {
        push_bulk(out, arg);
    }
}

pub(crate) fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    push_bulk_header(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// What stands in front of a bulk string of `len` bytes.
pub(crate) fn push_bulk_header(out: &mut Vec<u8>, len: usize) {
    // Most lengths have one digit or two: their lines are put together without a detour.
    let digit = |n: usize| b'0' + (n % 10) as u8;
    match len {
        n @ 0..=9 => out.extend_from_slice(&[b'$', digit(n), b'\r', b'\n']),
        n @ 10..=99 => out.extend_from_slice(&[b'$', digit(n / 10), digit(n), b'\r', b'\n']),
        n => {
            out.push(b'$');
            num::push_u64(out, n as u64);
            out.extend_from_slice(b"\r\n");
        }
    }
}
