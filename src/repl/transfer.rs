//! The frame around a snapshot on the wire: `$<length>\r\n` and that many bytes, or `$EOF:<mark>\r\n`, the bytes, and the
//! same 40 characters again.

use std::collections::VecDeque;

use bytes::Bytes;

/// Length of the mark that ends a snapshot of unknown length.
pub const MARK_LEN: usize = 40;
/// A header (or an error in its place) is never longer than this.
const LINE_MAX: usize = 1024;

/// How the end of the snapshot is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// By this mark.
    Mark([u8; MARK_LEN]),
}

/// What the parser found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    Header(Framing),
    /// The next bytes of the snapshot, never empty.
    Data(Bytes),
    /// The snapshot is complete. What follows belongs to the stream.
    End,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the primary aborted the synchronisation: {0}")]
    Aborted(String),
    #[error("bad protocol from the primary, expected the snapshot's header, got: {0}")]
    BadHeader(String),
    #[error("the snapshot's header is too long")]
    LongHeader,
}

enum State {
    /// Before the header; holds the beginning of its line.
    Header(Vec<u8>),
    Counting {
        left: u64,
    },
    Matching(Box<Matcher>),
    Done,
}

/// The parser: fed with chunks as they come, gives the pieces in order.
pub struct Transfer {
    state: State,
    ready: VecDeque<Piece>,
}

impl Default for Transfer {
    fn default() -> Transfer {
        Transfer { state: State::Header(Vec::new()), ready: VecDeque::new() }
    }
}

impl Transfer {
    /// Takes from the front of `data` what belongs to the snapshot. `None` when more is needed (`data` is then empty) or
    /// after the end (`data` then holds the beginning of the stream).
    ///
    /// # Errors
    /// When the header is not one. The link is of no use after that.
    pub fn next(&mut self, data: &mut Bytes) -> Result<Option<Piece>, TransferError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if data.is_empty() {
                return Ok(None);
            }
            match &mut self.state {
                State::Done => return Ok(None),
                State::Header(line) => {
                    let end = data.iter().position(|&b| b == b'\n');
                    let taken = data.split_to(end.map_or(data.len(), |at| at + 1));
                    line.extend_from_slice(&taken);
                    if line.len() > LINE_MAX {
                        return Err(TransferError::LongHeader);
                    }
                    if end.is_some() {
                        let line = std::mem::take(line);
                        self.header(line.trim_ascii_end())?;
                    }
                }
                State::Counting { left } => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                    *left -= take as u64;
                    self.ready.push_back(Piece::Data(data.split_to(take)));
                    if *left == 0 {
                        self.finish();
                    }
                }
                State::Matching(matcher) => {
                    let found = matcher.scan(data, &mut self.ready);
                    if found {
                        self.finish();
                    }
                }
            }
        }
    }

    fn finish(&mut self) {
        self.ready.push_back(Piece::End);
        self.state = State::Done;
    }

    /// Understands a line in the header's place. Empty lines only keep the link alive.
    fn header(&mut self, line: &[u8]) -> Result<(), TransferError> {
        let text = || String::from_utf8_lossy(line).into_owned();
        match line {
            [] => {}
            [b'-', rest @ ..] => return Err(TransferError::Aborted(String::from_utf8_lossy(rest).into_owned())),
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
                let mark: [u8; MARK_LEN] = mark.try_into().map_err(|_| TransferError::BadHeader(text()))?;
                self.ready.push_back(Piece::Header(Framing::Mark(mark)));
                self.state = State::Matching(Box::new(Matcher::new(mark)));
            }
            [b'$', digits @ ..] => {
                let length = crate::base::num::parse_i64(digits)
                    .and_then(|n| u64::try_from(n).ok())
                    .ok_or_else(|| TransferError::BadHeader(text()))?;
                self.ready.push_back(Piece::Header(Framing::Length(length)));
                self.state = State::Counting { left: length };
                if length == 0 {
                    self.finish();
                }
            }
            _ => return Err(TransferError::BadHeader(text())),
        }
        Ok(())
    }
}

/// Finds the mark in a stream of chunks without copying: it remembers only how much of the mark the bytes so far end with
/// (Knuth, Morris and Pratt). Bytes held back are, by definition, the mark's own first bytes.
struct Matcher {
    mark: [u8; MARK_LEN],
    /// For each count of matched bytes, the next shorter count to try.
    shorter: [usize; MARK_LEN],
    matched: usize,
}

impl Matcher {
    fn new(mark: [u8; MARK_LEN]) -> Matcher {
        let mut shorter = [0; MARK_LEN];
        let mut k = 0;
        for i in 1..MARK_LEN {
            while k > 0 && mark[i] != mark[k] {
                k = shorter[k - 1];
            }
            if mark[i] == mark[k] {
                k += 1;
            }
            shorter[i] = k;
        }
        Matcher { mark, shorter, matched: 0 }
    }

    /// Consumes `data` up to the end of the mark, or all of it, and gives out the bytes that are not the mark's.
    fn scan(&mut self, data: &mut Bytes, out: &mut VecDeque<Piece>) -> bool {
        let carried = self.matched;
        let mut used = 0;
        while used < data.len() && self.matched < MARK_LEN {
            if self.matched == 0 {
                let Some(skip) = data[used..].iter().position(|&b| b == self.mark[0]) else {
                    used = data.len();
                    break;
                };
                used += skip + 1;
                self.matched = 1;
                continue;
            }
            if data[used] == self.mark[self.matched] {
                self.matched += 1;
                used += 1;
            } else {
                self.matched = self.shorter[self.matched - 1];
            }
        }
        let mut taken = data.split_to(used);
        // Of the carried and the taken bytes all but the last `matched` are the snapshot's.
        let given = carried + used - self.matched;
        if given > 0 && carried > 0 {
            out.push_back(Piece::Data(Bytes::copy_from_slice(&self.mark[..given.min(carried)])));
        }
        if given > carried {
            out.push_back(Piece::Data(taken.split_to(given - carried)));
        }
        self.matched == MARK_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Header, snapshot, whether it ended, and what followed it.
    type Outcome = (Option<Framing>, Vec<u8>, bool, Vec<u8>);

    /// Feeds `wire` in chunks of the given sizes (cycled) and puts the pieces together again.
    fn run(wire: &[u8], sizes: &[usize]) -> Result<Outcome, TransferError> {
        let (mut transfer, mut header, mut body, mut ended) = (Transfer::default(), None, Vec::new(), false);
        let mut rest = Vec::new();
        let (mut at, mut turn) = (0, 0);
        while at < wire.len() {
            let size = sizes[turn % sizes.len()].min(wire.len() - at);
            let mut chunk = Bytes::copy_from_slice(&wire[at..at + size]);
            while let Some(piece) = transfer.next(&mut chunk)? {
                match piece {
                    Piece::Header(framing) => header = Some(framing),
                    Piece::Data(data) => {
                        assert!(!data.is_empty() && !ended);
                        body.extend_from_slice(&data);
                    }
                    Piece::End => ended = true,
                }
            }
            assert!(ended || chunk.is_empty());
            rest.extend_from_slice(&chunk);
            at += size;
            turn += 1;
        }
        Ok((header, body, ended, rest))
    }

    #[test]
    fn headers() {
        assert_eq!(run(b"\n\r\n$0\r\nx", &[1]), Ok((Some(Framing::Length(0)), vec![], true, b"x".to_vec())));
        assert_eq!(run(b"\n$3\r\nab", &[9]), Ok((Some(Framing::Length(3)), b"ab".to_vec(), false, vec![])));
        assert_eq!(run(b"-LOADING x\r\n", &[4]), Err(TransferError::Aborted("LOADING x".into())));
        for bad in ["$-1\r\n", "$x\r\n", "$\r\n", "$EOF:short\r\n", "+OK\r\n", "$99999999999999999999\r\n"] {
            let text = bad.trim_end().to_owned();
            assert_eq!(run(bad.as_bytes(), &[2]), Err(TransferError::BadHeader(text)));
        }
        assert_eq!(run(&[b'a'; 2000], &[100]), Err(TransferError::LongHeader));
    }

    proptest! {
        #[test]
        fn counted_frames_survive_any_chunking(
            body in prop::collection::vec(any::<u8>(), 0..300),
            rest in prop::collection::vec(any::<u8>(), 0..50),
            sizes in prop::collection::vec(1usize..90, 1..8),
        ) {
            let mut wire = format!("\n${}\r\n", body.len()).into_bytes();
            wire.extend_from_slice(&body);
            wire.extend_from_slice(&rest);
            prop_assert_eq!(run(&wire, &sizes), Ok((Some(Framing::Length(body.len() as u64)), body, true, rest)));
        }

        // An alphabet of two letters makes near misses and overlapping prefixes of the mark common.
        #[test]
        fn marked_frames_survive_any_chunking(
            mark in "[ab]{40}",
            body in "[ab]{0,400}",
            rest in "[ab]{0,50}",
            sizes in prop::collection::vec(1usize..90, 1..8),
        ) {
            let mut wire = format!("$EOF:{mark}\r\n").into_bytes();
            let start = wire.len();
            wire.extend_from_slice(format!("{body}{mark}{rest}").as_bytes());
            // The first occurrence ends the snapshot, which may by chance be before the one put there.
            let end = wire[start..].windows(MARK_LEN).position(|w| w == mark.as_bytes()).unwrap() + start;
            let (header, got, ended, left) = run(&wire, &sizes).unwrap();
            prop_assert_eq!(header, Some(Framing::Mark(mark.as_bytes().try_into().unwrap())));
            prop_assert!(ended);
            prop_assert_eq!(got, wire[start..end].to_vec());
            prop_assert_eq!(left, wire[end + MARK_LEN..].to_vec());
        }
    }
}
