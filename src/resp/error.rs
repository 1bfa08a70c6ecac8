//! Every error a client can read, in one place. Scripts and client libraries match on these texts.

use std::borrow::Cow;

/// A command's failure. `text()` is what follows the `-` on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorReply {
    Syntax,
    WrongType,
    NotInteger,
    NotFloat,
    OutOfRange,
    IndexOutOfRange,
    NoSuchKey,
    Overflow,
    InvalidCursor,
    NotPositive,
    ValueOutOfRange,
    NoAuth,
    WrongPass,
    NoReplicas,
    ReadOnly,
    Loading,
    MasterDown,
    CrossSlot,
    TryAgain,
    ClusterDown,
    ClusterDownReadOnly,
    SlotNotServed,
    BusyKey,
    BadDumpPayload,
    BadDataFormat,
    Oom,
    ExecAbort,
    ClusterDisabled,
    InvalidSlot,
    InvalidDbIndex,
    DbOutOfRange,
    /// A text fixed at compile time, with its code.
    Static(&'static str),
    /// A text made for this occasion, with its code.
    Text(Box<str>),
    /// The same with bytes of the client's own in it, which need not be text.
    Bytes(Box<[u8]>),
}

impl ErrorReply {
    /// An error with this text, code included.
    #[must_use]
    pub fn text_of(text: impl Into<Box<str>>) -> ErrorReply {
        ErrorReply::Text(text.into())
    }

    /// An error that repeats a word of the client, whole.
    #[must_use]
    pub fn quoting(before: &str, word: &[u8], after: &str) -> ErrorReply {
        let mut text = before.as_bytes().to_vec();
        push_shown(&mut text, word, usize::MAX);
        text.extend_from_slice(after.as_bytes());
        ErrorReply::Bytes(text.into())
    }

    #[must_use]
    pub fn arity(command: &str) -> ErrorReply {
        ErrorReply::text_of(format!("ERR wrong number of arguments for '{command}' command"))
    }

    /// An expiry that is zero, negative, or overflows.
    #[must_use]
    pub fn invalid_expire(command: &str) -> ErrorReply {
        ErrorReply::text_of(format!("ERR invalid expire time in '{command}' command"))
    }

    #[must_use]
    pub fn unknown_subcommand(sub: &[u8], container: &str) -> ErrorReply {
        let after = format!("'. Try {} HELP.", container.to_ascii_uppercase());
        ErrorReply::quoting("ERR unknown subcommand '", &sub[..sub.len().min(SHOWN_MAX)], &after)
    }

    /// A command that a subscribed client cannot run.
    #[must_use]
    pub fn subscribed(command: &str) -> ErrorReply {
        ErrorReply::text_of(format!(
            "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
             this context"
        ))
    }

    /// A subcommand that found its arguments unusable by itself. `container` in upper case.
    #[must_use]
    pub fn wrong_subcommand_arity(sub: &[u8], container: &str) -> ErrorReply {
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        ErrorReply::quoting(before, &sub[..sub.len().min(SHOWN_MAX)], &format!("'. Try {container} HELP."))
    }

    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            ErrorReply::Syntax => "ERR syntax error",
            ErrorReply::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            ErrorReply::NotInteger => "ERR value is not an integer or out of range",
            ErrorReply::NotFloat => "ERR value is not a valid float",
            ErrorReply::OutOfRange => "ERR value is out of range",
            ErrorReply::IndexOutOfRange => "ERR index out of range",
            ErrorReply::NoSuchKey => "ERR no such key",
            ErrorReply::Overflow => "ERR increment or decrement would overflow",
            ErrorReply::InvalidCursor => "ERR invalid cursor",
            ErrorReply::NotPositive => "ERR value is out of range, must be positive",
            ErrorReply::ValueOutOfRange => "ERR value is out of range",
            ErrorReply::NoAuth => "NOAUTH Authentication required.",
            ErrorReply::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
            ErrorReply::NoReplicas => "NOREPLICAS Not enough good replicas to write.",
            ErrorReply::ReadOnly => "READONLY You can't write against a read only replica.",
            ErrorReply::Loading => "LOADING Redis is loading the dataset in memory",
            ErrorReply::MasterDown => {
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
            }
            ErrorReply::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
            ErrorReply::TryAgain => "TRYAGAIN Multiple keys request during rehashing of slot",
            ErrorReply::ClusterDown => "CLUSTERDOWN The cluster is down",
            ErrorReply::ClusterDownReadOnly => "CLUSTERDOWN The cluster is down and only accepts read commands",
            ErrorReply::SlotNotServed => "CLUSTERDOWN Hash slot not served",
            ErrorReply::BusyKey => "BUSYKEY Target key name already exists.",
            ErrorReply::BadDumpPayload => "ERR DUMP payload version or checksum are wrong",
            ErrorReply::BadDataFormat => "ERR Bad data format",
            ErrorReply::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
            ErrorReply::ExecAbort => "EXECABORT Transaction discarded because of previous errors.",
            ErrorReply::ClusterDisabled => "ERR This instance has cluster support disabled",
            ErrorReply::InvalidSlot => "ERR Invalid or out of range slot",
            ErrorReply::InvalidDbIndex => "ERR invalid DB index",
            ErrorReply::DbOutOfRange => "ERR DB index is out of range",
            ErrorReply::Static(text) => text,
            ErrorReply::Text(text) => text,
            ErrorReply::Bytes(bytes) => return String::from_utf8_lossy(bytes),
        })
    }

    /// Appends the text as it goes to the client. A line end (from the client's own bytes) would break the framing: those
    /// around the text are dropped, those within it become blanks.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        let text = self.text();
        let bytes = if let ErrorReply::Bytes(bytes) = self { bytes } else { text.as_bytes() };
        let is_line_end = |b: &&u8| matches!(b, b'\r' | b'\n');
        let before = bytes.iter().take_while(is_line_end).count();
        let after = bytes[before..].iter().rev().take_while(is_line_end).count();
        let bytes = &bytes[before..bytes.len() - after];
        out.extend(bytes.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
    }

    /// The first word, under which INFO errorstats counts it.
    #[must_use]
    pub fn code(&self) -> String {
        let text = self.text();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// How much of an unknown word most errors repeat.
pub const SHOWN_MAX: usize = 128;

/// Appends at most `max` of a client's own bytes: like C, up to the first zero byte.
pub fn push_shown(out: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    out.extend_from_slice(&text[..text.len().min(max)]);
}

/// A client's own bytes as they may appear inside an error: at most `max` of them, printable.
#[must_use]
pub fn shown(bytes: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).replace(['\r', '\n'], " ")
}

/// What a connection that broke the protocol is told before it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    #[error("Protocol error: inline protocol in a stream of commands")]
    NoInline,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("Protocol error: too big mbulk count string")]
    CountTooBig,
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedCount,
    #[error("Protocol error: too big bulk count string")]
    LengthTooBig,
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    #[error("Protocol error: invalid bulk length")]
    InvalidLength,
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedLength,
}
