//! The declaration of a command: everything a client, an ACL, a cluster router or a help text wants to know of it,
//! said once, beside its handler.

use bitflags::bitflags;

use super::ctx::Ctx;
use super::keys::KeyAt;
use crate::resp::{Args, ErrorReply};

/// What a handler gives back: its reply stands in the client's buffer, or the error is to be written there.
pub type Done = Result<(), ErrorReply>;

/// Runs one command. Synchronous, without IO; see [`Ctx`] for what it may touch.
pub type Handler = fn(&mut Ctx<'_>, Args<'_>) -> Done;

/// Finds a command's keys where its key specs alone cannot.
pub type KeyFinder = fn(Args<'_>) -> Vec<KeyAt>;

bitflags! {
    /// The flags of COMMAND INFO, and what the gates look at.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        const WRITE = 1;
        const READONLY = 1 << 1;
        const DENYOOM = 1 << 2;
        const ADMIN = 1 << 3;
        const PUBSUB = 1 << 4;
        const NOSCRIPT = 1 << 5;
        const BLOCKING = 1 << 6;
        const LOADING = 1 << 7;
        const STALE = 1 << 8;
        const SKIP_MONITOR = 1 << 9;
        const SKIP_SLOWLOG = 1 << 10;
        const ASKING = 1 << 11;
        const FAST = 1 << 12;
        const NO_AUTH = 1 << 13;
        /// Does not write, but may go down the replication stream: waits with the writes.
        const MAY_REPLICATE = 1 << 14;
        const NO_ASYNC_LOADING = 1 << 15;
        const NO_MULTI = 1 << 16;
        const ALLOW_BUSY = 1 << 17;
        const MOVABLE_KEYS = 1 << 18;
        const NO_MANDATORY_KEYS = 1 << 19;
        /// Touches keys its arguments do not name: its effects are not wrapped in MULTI/EXEC.
        const TOUCHES_ARBITRARY_KEYS = 1 << 20;
    }
}

bitflags! {
    /// ACL categories.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Acl: u32 {
        const KEYSPACE = 1;
        const READ = 1 << 1;
        const WRITE = 1 << 2;
        const SET = 1 << 3;
        const SORTEDSET = 1 << 4;
        const LIST = 1 << 5;
        const HASH = 1 << 6;
        const STRING = 1 << 7;
        const BITMAP = 1 << 8;
        const HYPERLOGLOG = 1 << 9;
        const GEO = 1 << 10;
        const STREAM = 1 << 11;
        const PUBSUB = 1 << 12;
        const ADMIN = 1 << 13;
        const FAST = 1 << 14;
        const SLOW = 1 << 15;
        const BLOCKING = 1 << 16;
        const DANGEROUS = 1 << 17;
        const CONNECTION = 1 << 18;
        const TRANSACTION = 1 << 19;
        const SCRIPTING = 1 << 20;
    }
}

bitflags! {
    /// What a command does with the keys of one key spec.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyFlags: u16 {
        const RO = 1;
        const RW = 1 << 1;
        const OW = 1 << 2;
        const RM = 1 << 3;
        const ACCESS = 1 << 4;
        const UPDATE = 1 << 5;
        const INSERT = 1 << 6;
        const DELETE = 1 << 7;
        const NOT_KEY = 1 << 8;
        const INCOMPLETE = 1 << 9;
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Unknown,
    Index(i32),
    /// After this word, searched from this position on (from the end when negative).
    Keyword(&'static str, i32),
}

/// Which arguments from there on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    Unknown,
    /// Up to `last` (relative to the first; from the end when negative), every `step`; a `limit` of n > 1 takes one
    /// n-th of what is left.
    Range {
        last: i32,
        step: i32,
        limit: i32,
    },
    /// The argument at `count` gives their number, the first is at `first`, all relative to the beginning.
    KeyNum {
        count: i32,
        first: i32,
        step: i32,
    },
}

/// One group of keys among a command's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub begin: Begin,
    pub find: Find,
    pub flags: KeyFlags,
}

impl KeySpec {
    /// The keys from argument `index` to `last` (relative to it, from the end when negative), every `step`.
    #[must_use]
    pub const fn range(index: i32, last: i32, step: i32, flags: KeyFlags) -> KeySpec {
        KeySpec { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, flags }
    }

    /// A count at argument `index`, followed by that many keys.
    #[must_use]
    pub const fn counted(index: i32, flags: KeyFlags) -> KeySpec {
        KeySpec { begin: Begin::Index(index), find: Find::KeyNum { count: 0, first: 1, step: 1 }, flags }
    }

    /// Whether this is exactly one key at a fixed place.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!((self.begin, self.find), (Begin::Index(_), Find::Range { last: 0, .. }))
    }

    #[must_use]
    pub const fn new(begin: Begin, find: Find, flags: KeyFlags) -> KeySpec {
        KeySpec { begin, find, flags }
    }
}

/// The group of COMMAND DOCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    HyperLogLog,
    List,
    PubSub,
    Scripting,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
}

impl Group {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Geo => "geo",
            Group::Hash => "hash",
            Group::HyperLogLog => "hyperloglog",
            Group::List => "list",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::String => "string",
            Group::Transactions => "transactions",
        }
    }
}

/// The type of an argument in COMMAND DOCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    Block,
    Double,
    Integer,
    Key,
    OneOf,
    Pattern,
    PureToken,
    String,
    UnixTime,
}

impl ArgKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ArgKind::Block => "block",
            ArgKind::Double => "double",
            ArgKind::Integer => "integer",
            ArgKind::Key => "key",
            ArgKind::OneOf => "oneof",
            ArgKind::Pattern => "pattern",
            ArgKind::PureToken => "pure-token",
            ArgKind::String => "string",
            ArgKind::UnixTime => "unix-time",
        }
    }
}

/// One argument of COMMAND DOCS.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    pub name: &'static str,
    pub kind: ArgKind,
    pub token: Option<&'static str>,
    pub since: Option<&'static str>,
    pub deprecated_since: Option<&'static str>,
    pub key_spec: Option<u8>,
    pub display: Option<&'static str>,
    pub optional: bool,
    pub multiple: bool,
    pub multiple_token: bool,
    pub args: &'static [Arg],
}

impl Arg {
    const fn of(name: &'static str, kind: ArgKind) -> Arg {
        Arg {
            name,
            kind,
            token: None,
            since: None,
            deprecated_since: None,
            key_spec: None,
            display: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            args: &[],
        }
    }

    /// A key found by the key spec of this number.
    #[must_use]
    pub const fn key(name: &'static str, key_spec: u8) -> Arg {
        let mut arg = Arg::of(name, ArgKind::Key);
        arg.key_spec = Some(key_spec);
        arg
    }

    #[must_use]
    pub const fn string(name: &'static str) -> Arg {
        Arg::of(name, ArgKind::String)
    }

    #[must_use]
    pub const fn int(name: &'static str) -> Arg {
        Arg::of(name, ArgKind::Integer)
    }

    #[must_use]
    pub const fn double(name: &'static str) -> Arg {
        Arg::of(name, ArgKind::Double)
    }

    #[must_use]
    pub const fn pattern(name: &'static str) -> Arg {
        Arg::of(name, ArgKind::Pattern)
    }

    #[must_use]
    pub const fn unix_time(name: &'static str) -> Arg {
        Arg::of(name, ArgKind::UnixTime)
    }

    /// A word that stands for itself.
    #[must_use]
    pub const fn flag(name: &'static str, token: &'static str) -> Arg {
        let mut arg = Arg::of(name, ArgKind::PureToken);
        arg.token = Some(token);
        arg
    }

    /// One of these.
    #[must_use]
    pub const fn one_of(name: &'static str, args: &'static [Arg]) -> Arg {
        let mut arg = Arg::of(name, ArgKind::OneOf);
        arg.args = args;
        arg
    }

    /// All of these, together.
    #[must_use]
    pub const fn block(name: &'static str, args: &'static [Arg]) -> Arg {
        let mut arg = Arg::of(name, ArgKind::Block);
        arg.args = args;
        arg
    }

    #[must_use]
    pub const fn token(mut self, token: &'static str) -> Arg {
        self.token = Some(token);
        self
    }

    #[must_use]
    pub const fn since(mut self, version: &'static str) -> Arg {
        self.since = Some(version);
        self
    }

    #[must_use]
    pub const fn deprecated(mut self, version: &'static str) -> Arg {
        self.deprecated_since = Some(version);
        self
    }

    #[must_use]
    pub const fn display(mut self, text: &'static str) -> Arg {
        self.display = Some(text);
        self
    }

    #[must_use]
    pub const fn key_spec(mut self, index: u8) -> Arg {
        self.key_spec = Some(index);
        self
    }

    #[must_use]
    pub const fn optional(mut self) -> Arg {
        self.optional = true;
        self
    }

    #[must_use]
    pub const fn multiple(mut self) -> Arg {
        self.multiple = true;
        self
    }

    #[must_use]
    pub const fn multiple_token(mut self) -> Arg {
        self.multiple_token = true;
        self
    }
}

/// A command, or a subcommand (named `container|sub`).
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub name: &'static str,
    /// Number of arguments, the name included; at least so many when negative.
    pub arity: i32,
    pub handler: Handler,
    pub flags: Flags,
    pub acl: Acl,
    pub keys: &'static [KeySpec],
    pub key_finder: Option<KeyFinder>,
    pub group: Group,
    pub since: &'static str,
    pub complexity: &'static str,
    pub summary: &'static str,
    pub tips: &'static [&'static str],
    pub args: &'static [Arg],
    pub subcommands: &'static [Command],
    pub deprecated: Option<(&'static str, &'static str)>,
}

impl Command {
    #[must_use]
    pub const fn new(name: &'static str, arity: i32, handler: Handler) -> Command {
        Command {
            name,
            arity,
            handler,
            flags: Flags::empty(),
            acl: Acl::empty(),
            keys: &[],
            key_finder: None,
            group: Group::Generic,
            since: "1.0.0",
            complexity: "",
            summary: "",
            tips: &[],
            args: &[],
            subcommands: &[],
            deprecated: None,
        }
    }

    /// A command that only holds subcommands.
    #[must_use]
    pub const fn container(name: &'static str, subcommands: &'static [Command]) -> Command {
        let mut command = Command::new(name, -2, only_subcommands);
        command.subcommands = subcommands;
        command
    }

    #[must_use]
    pub const fn flags(mut self, flags: Flags) -> Command {
        self.flags = flags;
        self
    }

    /// The categories that do not follow from the flags (see [`Command::categories`]).
    #[must_use]
    pub const fn acl(mut self, acl: Acl) -> Command {
        self.acl = acl;
        self
    }

    #[must_use]
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Command {
        self.keys = keys;
        self
    }

    #[must_use]
    pub const fn key_finder(mut self, finder: KeyFinder) -> Command {
        self.key_finder = Some(finder);
        self
    }

    #[must_use]
    pub const fn doc(
        mut self,
        group: Group,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Command {
        self.group = group;
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    #[must_use]
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Command {
        self.tips = tips;
        self
    }

    #[must_use]
    pub const fn args(mut self, args: &'static [Arg]) -> Command {
        self.args = args;
        self
    }

    /// Since which version another command should be used, and which.
    #[must_use]
    pub const fn deprecated(mut self, since: &'static str, by: &'static str) -> Command {
        self.deprecated = Some((since, by));
        self
    }

    /// All ACL categories: those declared and those that follow from the flags.
    #[must_use]
    pub fn categories(&self) -> Acl {
        let mut acl = self.acl;
        acl.set(Acl::WRITE, self.flags.contains(Flags::WRITE));
        acl.set(Acl::READ, self.flags.contains(Flags::READONLY) && !acl.contains(Acl::SCRIPTING));
        if self.flags.contains(Flags::ADMIN) {
            acl |= Acl::ADMIN | Acl::DANGEROUS;
        }
        acl |= if self.flags.contains(Flags::PUBSUB) { Acl::PUBSUB } else { Acl::empty() };
        acl |= if self.flags.contains(Flags::FAST) { Acl::FAST } else { Acl::SLOW };
        acl |= if self.flags.contains(Flags::BLOCKING) { Acl::BLOCKING } else { Acl::empty() };
        acl
    }

    /// Whether a command of `n` arguments, name included, is acceptable.
    #[must_use]
    pub fn accepts(&self, n: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { n == arity } else { n >= arity }
    }
}

/// The handler of a container: never reached, since dispatch finds the subcommand or refuses.
fn only_subcommands(_: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Err(ErrorReply::unknown_subcommand(args.get(1).unwrap_or_default(), &String::from_utf8_lossy(args.at(0))))
}
