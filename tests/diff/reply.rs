//! Replies as they came: nothing that the wire tells is lost, so that two of them can be held against each other.

use std::fmt;

/// A reply, or a part of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Reply {
    /// The byte it begins with: `+`, `-`, `:`, `$`, `*` and those of RESP3.
    pub kind: u8,
    /// Text of scalars, as sent; of aggregates and nulls the length as sent.
    pub text: Vec<u8>,
    pub items: Vec<Reply>,
}

impl Reply {
    /// The reply at the beginning of `bytes` and its length; `None` when it is not complete.
    pub fn read(bytes: &[u8]) -> Option<(Reply, usize)> {
        let line_end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let (kind, head) = (bytes[0], &bytes[1..line_end]);
        let mut at = line_end + 2;
        let number = || std::str::from_utf8(head).ok().and_then(|text| text.parse::<i64>().ok());
        let mut reply = Reply { kind, text: head.to_vec(), items: Vec::new() };
        match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => {}
            b'$' | b'!' | b'=' => {
                let len = number().unwrap_or_else(|| panic!("a length: {:?}", String::from_utf8_lossy(head)));
                // The null of RESP2 keeps its length as text, and a kind of its own.
                if let Ok(len) = usize::try_from(len) {
                    reply.text = bytes.get(at..at + len)?.to_vec();
                    at += len + 2;
                } else {
                    reply.kind = b'0';
                }
            }
            b'*' | b'~' | b'>' | b'%' => {
                let len = number().unwrap_or_else(|| panic!("a length: {:?}", String::from_utf8_lossy(head)));
                for _ in 0..len * if kind == b'%' { 2 } else { 1 } {
                    let (item, len) = Reply::read(&bytes[at..])?;
                    reply.items.push(item);
                    at += len;
                }
            }
            // An attribute, and the reply that it belongs to.
            b'|' => {
                let len = number().unwrap_or_else(|| panic!("a length: {:?}", String::from_utf8_lossy(head)));
                for _ in 0..2 * len + 1 {
                    let (item, len) = Reply::read(&bytes[at..])?;
                    reply.items.push(item);
                    at += len;
                }
            }
            other => panic!("a reply begins with {:?}", char::from(other)),
        }
        (at <= bytes.len()).then_some((reply, at))
    }

    /// The integer that this is.
    pub fn int(&self) -> Option<i64> {
        if self.kind == b':' { std::str::from_utf8(&self.text).ok()?.parse().ok() } else { None }
    }

    /// A string of either sort.
    pub fn string(&self) -> Option<&[u8]> {
        matches!(self.kind, b'+' | b'$').then_some(&self.text)
    }
}

/// One line, as redis-cli would quote it: `"text"`, `+status`, `-error`, `:1`, `[a, b]`, `~[a]`, `{k: v}`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = || String::from_utf8_lossy(&self.text);
        match self.kind {
            b'$' => f.write_str(&quoted(&self.text)),
            b'0' | b'_' => write!(f, "null{}", text()),
            b'*' if !self.text.starts_with(b"-") => list(f, "[", "]", &self.items),
            b'~' => list(f, "~[", "]", &self.items),
            b'>' => list(f, ">[", "]", &self.items),
            b'%' => list(f, "{", "}", &self.items),
            b'|' => list(f, "|[", "]", &self.items),
            kind => write!(f, "{}{}", char::from(kind), text()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, open: &str, close: &str, items: &[Reply]) -> fmt::Result {
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str(close)
}

/// A word in double quotes, with escapes.
pub fn quoted(word: &[u8]) -> String {
    let mut out = Vec::new();
    trib::base::words::push_quoted(&mut out, word);
    String::from_utf8(out).expect("quoted text is ASCII")
}

/// A command as a line that can be sent again.
pub fn shown(args: &[Vec<u8>]) -> String {
    let plain = |word: &[u8]| !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\#".contains(b));
    let words: Vec<String> = args
        .iter()
        .map(|word| if plain(word) { String::from_utf8_lossy(word).into_owned() } else { quoted(word) })
        .collect();
    words.join(" ")
}
