//! The filters of CLIENT LIST and CLIENT KILL.

use super::line;
use crate::base::{Millis, num};
use crate::exec::Arg;
use crate::exec::client::{Client, ClientFlags, ClientId};
use crate::resp::{self, Args, ErrorReply};

/// The kinds of clients that TYPE tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Normal,
    Primary,
    Replica,
    PubSub,
}

impl Type {
    fn of(client: &Client) -> Type {
        if client.is(ClientFlags::PRIMARY) {
            Type::Primary
        } else if client.is(ClientFlags::REPLICA) {
            Type::Replica
        } else if client.is(ClientFlags::PUBSUB) {
            Type::PubSub
        } else {
            Type::Normal
        }
    }

    fn parse(word: &[u8]) -> Result<Type, ErrorReply> {
        let word = resp::word(word);
        Ok(match word.to_ascii_lowercase().as_slice() {
            b"normal" => Type::Normal,
            b"master" | b"primary" => Type::Primary,
            b"slave" | b"replica" => Type::Replica,
            b"pubsub" => Type::PubSub,
            _ => {
                let shown = crate::resp::error::shown(word, 128);
                return Err(ErrorReply::text_of(format!("ERR Unknown client type '{shown}'")));
            }
        })
    }
}

/// One thing to ask of a client.
#[derive(Debug)]
pub enum Filter {
    Ids(Vec<u64>),
    Type(Type),
    /// The only user there is: everybody.
    User,
    Addr(String),
    Laddr(String),
    Ip(String),
    Name(Vec<u8>),
    LibName(Vec<u8>),
    LibVer(Vec<u8>),
    Flags(String),
    Db(i64),
    /// Letters of what it understands: `r` for redirection.
    Capa(Vec<u8>),
    /// Connected for at least so many seconds.
    AgeSecs(i64),
    IdleSecs(i64),
}

impl Filter {
    fn matches(&self, client: &Client, now: Millis) -> bool {
        match self {
            Filter::Ids(ids) => ids.contains(&client.id.0),
            Filter::Type(wanted) => Type::of(client) == *wanted,
            Filter::User => true,
            Filter::Addr(addr) => client.peer == *addr,
            Filter::Laddr(addr) => client.local == *addr,
            Filter::Ip(ip) => client.peer_ip().is_some_and(|peer| peer.to_string() == *ip),
            Filter::Name(name) => client.name == *name,
            Filter::LibName(name) => client.lib_name == *name,
            Filter::LibVer(version) => client.lib_ver == *version,
            Filter::Flags(letters) => letters.chars().all(|letter| line::flags(client).contains(letter)),
            Filter::Capa(letters) => {
                letters.iter().all(|letter| *letter == b'r' && client.is(ClientFlags::CAPA_REDIRECT))
            }
            Filter::Db(db) => i64::from(client.db) == *db,
            Filter::AgeSecs(secs) => now.since(client.created) / 1000 >= *secs,
            Filter::IdleSecs(secs) => now.since(client.last_interaction) / 1000 >= *secs,
        }
    }
}

/// What clients are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    List,
    Kill,
}

/// All filters of one command: a client has to pass every one.
#[derive(Debug)]
pub struct Filters {
    /// With true, the filter must not match.
    filters: Vec<(bool, Filter)>,
    skip_me: bool,
}

impl Filters {
    /// One filter, for whom it matches, the asking client included.
    pub fn of(filter: Filter) -> Filters {
        Filters { filters: vec![(false, filter)], skip_me: false }
    }

    /// Reads the options from the first argument on. Who kills does not mean itself, unless it says so.
    /// `databases` is how many there are.
    pub fn parse(args: Args<'_>, purpose: Purpose, databases: u32) -> Result<Filters, ErrorReply> {
        let client_id = |word| client_id(word, purpose);
        let mut filters = Filters { filters: Vec::new(), skip_me: purpose == Purpose::Kill };
        let mut i = 0;
        while i < args.len() {
            let Some(value) = args.get(i + 1) else { return Err(ErrorReply::Syntax) };
            let word = resp::word(args.at(i)).to_ascii_lowercase();
            i += 2;
            if word == b"skipme" {
                filters.skip_me = match resp::word(value).to_ascii_lowercase().as_slice() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(ErrorReply::Syntax),
                };
                continue;
            }
            let (negated, name) = match word.strip_prefix(b"not-") {
                Some(name) => (true, name),
                None => (false, word.as_slice()),
            };
            let filter = if name == b"id" {
                let mut ids = vec![if negated { excluded_id(value)? } else { client_id(value)? }];
                while let Some(more) = args.get(i).filter(|more| more.first().is_some_and(u8::is_ascii_digit)) {
                    ids.push(client_id(more)?);
                    i += 1;
                }
                Filter::Ids(ids)
            } else {
                parse_one(name, value, negated, databases)?
            };
            filters.filters.push((negated, filter));
        }
        Ok(filters)
    }

    pub fn match_client(&self, client: &Client, me: ClientId, now: Millis) -> bool {
        let skipped = self.skip_me && client.id == me;
        !skipped && self.filters.iter().all(|(negated, filter)| filter.matches(client, now) != *negated)
    }
}

/// Letters of FLAGS that say something of a client of Redis or Valkey; not all of them are met here.
const FLAGS: &[u8] = b"ABEIMNOPRSTUbcdeirtux";

/// Letters of CAPA.
const CAPAS: &[u8] = b"r";

fn parse_one(name: &[u8], value: &[u8], negated: bool, databases: u32) -> Result<Filter, ErrorReply> {
    let text = || String::from_utf8_lossy(value).into_owned();
    let known = |letters: &[u8], what: &str| {
        let place = if negated { format!("NOT-{}", what.to_uppercase()) } else { String::from("provided") };
        let before = format!("ERR Unknown {what} found in the {place} filter: ");
        let is_known = value.iter().all(|letter| letters.contains(letter));
        if is_known { Ok(()) } else { Err(ErrorReply::quoting(&before, value, "")) }
    };
    match name {
        b"flags" => known(FLAGS, "flags")?,
        b"capa" => known(CAPAS, "capa")?,
        b"maxage" | b"idle" if negated => return Err(ErrorReply::Syntax),
        _ => {}
    }
    Ok(match name {
        b"type" => Filter::Type(Type::parse(value)?),
        b"user" if value == b"default" => Filter::User,
        b"user" => {
            let shown = crate::resp::error::shown(value, 128);
            return Err(ErrorReply::text_of(format!("ERR No such user '{shown}'")));
        }
        b"addr" => Filter::Addr(text()),
        b"laddr" => Filter::Laddr(text()),
        b"ip" => Filter::Ip(text()),
        b"name" => Filter::Name(value.to_vec()),
        b"lib-name" => Filter::LibName(value.to_vec()),
        b"lib-ver" => Filter::LibVer(value.to_vec()),
        b"flags" => Filter::Flags(text()),
        b"db" => Filter::Db(database(value, negated, databases)?),
        b"capa" => Filter::Capa(value.to_vec()),
        b"maxage" => Filter::AgeSecs(seconds("maxage", value)?),
        b"idle" => Filter::IdleSecs(seconds("idle", value)?),
        _ => return Err(ErrorReply::Syntax),
    })
}

fn database(word: &[u8], negated: bool, databases: u32) -> Result<i64, ErrorReply> {
    let name = if negated { "NOT-DB" } else { "DB" };
    let db = num::parse_i64(word)
        .ok_or_else(|| ErrorReply::text_of(format!("ERR {name} is not an integer or out of range")))?;
    if (0..i64::from(databases)).contains(&db) {
        return Ok(db);
    }
    let last = databases.saturating_sub(1);
    Err(ErrorReply::text_of(format!("ERR {name} number should be between 0 and {last}")))
}

/// Of NOT-ID: what is no number is taken for another option.
fn excluded_id(word: &[u8]) -> Result<u64, ErrorReply> {
    num::parse_i64(word).ok_or(ErrorReply::Syntax)?;
    client_id(word, Purpose::Kill)
}

fn client_id(word: &[u8], purpose: Purpose) -> Result<u64, ErrorReply> {
    let id = num::parse_i64(word);
    match purpose {
        // One that no client can have is no error.
        Purpose::List => Ok(id.ok_or(ErrorReply::Static("ERR Invalid client ID"))? as u64),
        Purpose::Kill => id
            .filter(|id| *id > 0)
            .map(|id| id as u64)
            .ok_or(ErrorReply::Static("ERR client-id should be greater than 0")),
    }
}

fn seconds(name: &str, word: &[u8]) -> Result<i64, ErrorReply> {
    let secs = num::parse_i64(word)
        .ok_or_else(|| ErrorReply::text_of(format!("ERR {name} is not an integer or out of range")))?;
    if secs > 0 { Ok(secs) } else { Err(ErrorReply::text_of(format!("ERR {name} should be greater than 0"))) }
}

const YES_NO: &[Arg] = &[Arg::flag("yes", "YES"), Arg::flag("no", "NO")];

pub const LIST_ARGS: &[Arg] = &[
    Arg::one_of("client-type", LIST_TYPES).token("TYPE").since("5.0.0").optional(),
    Arg::int("client-id").token("ID").since("6.2.0").optional().multiple(),
    Arg::string("username").token("USER").since("8.1.0").optional(),
    Arg::string("addr").token("ADDR").since("8.1.0").display("ip:port").optional(),
    Arg::string("laddr").token("LADDR").since("8.1.0").display("ip:port").optional(),
    Arg::one_of("skipme", YES_NO).token("SKIPME").since("8.1.0").optional(),
    Arg::int("maxage").token("MAXAGE").since("8.1.0").optional(),
    Arg::string("name").token("NAME").since("9.0.0").optional(),
    Arg::int("idle").token("IDLE").since("9.0.0").optional(),
    Arg::string("flags").token("FLAGS").since("9.0.0").optional(),
    Arg::string("lib-name").token("LIB-NAME").since("9.0.0").optional(),
    Arg::string("lib-ver").token("LIB-VER").since("9.0.0").optional(),
    Arg::int("db").token("DB").since("9.0.0").optional(),
    Arg::string("capa").token("CAPA").since("9.0.0").optional(),
    Arg::string("ip").token("IP").since("9.0.0").optional(),
    Arg::one_of("not-client-type", LIST_TYPES).token("NOT-TYPE").since("9.0.0").optional(),
    Arg::int("not-client-id").token("NOT-ID").since("9.0.0").optional().multiple(),
    Arg::string("not-username").token("NOT-USER").since("9.0.0").optional(),
    Arg::string("not-addr").token("NOT-ADDR").since("9.0.0").display("ip:port").optional(),
    Arg::string("not-laddr").token("NOT-LADDR").since("9.0.0").display("ip:port").optional(),
    Arg::string("not-name").token("NOT-NAME").since("9.0.0").optional(),
    Arg::string("not-flags").token("NOT-FLAGS").since("9.0.0").optional(),
    Arg::string("not-lib-name").token("NOT-LIB-NAME").since("9.0.0").optional(),
    Arg::string("not-lib-ver").token("NOT-LIB-VER").since("9.0.0").optional(),
    Arg::int("not-db").token("NOT-DB").since("9.0.0").optional(),
    Arg::string("not-capa").token("NOT-CAPA").since("9.0.0").optional(),
    Arg::string("not-ip").token("NOT-IP").since("9.0.0").optional(),
];

pub const KILL_ARGS: &[Arg] = &[
    Arg::int("client-id").token("ID").since("2.8.12").optional().multiple(),
    Arg::one_of(
        "client-type",
        &[
            Arg::flag("normal", "NORMAL"),
            Arg::flag("master", "MASTER").since("3.2.0"),
            Arg::flag("primary", "PRIMARY").since("8.0.0"),
            Arg::flag("slave", "SLAVE"),
            Arg::flag("replica", "REPLICA").since("5.0.0"),
            Arg::flag("pubsub", "PUBSUB"),
        ],
    )
    .token("TYPE")
    .since("2.8.12")
    .optional(),
    Arg::string("username").token("USER").optional(),
    Arg::string("addr").token("ADDR").display("ip:port").optional(),
    Arg::string("laddr").token("LADDR").since("6.2.0").display("ip:port").optional(),
    Arg::one_of("skipme", YES_NO).token("SKIPME").optional(),
    Arg::int("maxage").token("MAXAGE").since("8.0.0").optional(),
    Arg::string("name").token("NAME").since("9.0.0").optional(),
    Arg::int("idle").token("IDLE").since("9.0.0").optional(),
    Arg::string("flags").token("FLAGS").since("9.0.0").optional(),
    Arg::string("lib-name").token("LIB-NAME").since("9.0.0").optional(),
    Arg::string("lib-ver").token("LIB-VER").since("9.0.0").optional(),
    Arg::int("db").token("DB").since("9.0.0").optional(),
    Arg::string("capa").token("CAPA").since("9.0.0").optional(),
    Arg::string("ip").token("IP").since("9.0.0").optional(),
    Arg::one_of("not-client-type", KILL_TYPES).token("NOT-TYPE").since("9.0.0").optional(),
    Arg::int("not-client-id").token("NOT-ID").since("9.0.0").optional().multiple(),
    Arg::string("not-username").token("NOT-USER").since("9.0.0").optional(),
    Arg::string("not-addr").token("NOT-ADDR").since("9.0.0").display("ip:port").optional(),
    Arg::string("not-laddr").token("NOT-LADDR").since("9.0.0").display("ip:port").optional(),
    Arg::string("not-name").token("NOT-NAME").since("9.0.0").optional(),
    Arg::string("not-flags").token("NOT-FLAGS").since("9.0.0").optional(),
    Arg::string("not-lib-name").token("NOT-LIB-NAME").since("9.0.0").optional(),
    Arg::string("not-lib-ver").token("NOT-LIB-VER").since("9.0.0").optional(),
    Arg::int("not-db").token("NOT-DB").since("9.0.0").optional(),
    Arg::string("not-capa").token("NOT-CAPA").since("9.0.0").optional(),
    Arg::string("not-ip").token("NOT-IP").since("9.0.0").optional(),
];

const LIST_TYPES: &[Arg] = &[
    Arg::flag("normal", "NORMAL"),
    Arg::flag("master", "MASTER"),
    Arg::flag("replica", "REPLICA"),
    Arg::flag("pubsub", "PUBSUB"),
];
const KILL_TYPES: &[Arg] = &[
    Arg::flag("normal", "NORMAL"),
    Arg::flag("master", "MASTER"),
    Arg::flag("primary", "PRIMARY"),
    Arg::flag("slave", "SLAVE"),
    Arg::flag("replica", "REPLICA"),
    Arg::flag("pubsub", "PUBSUB"),
];

#[cfg(test)]
mod tests {
    use crate::commands::bench::Bench;

    #[test]
    fn what_no_client_can_have_is_refused() {
        let mut bench = Bench::start();
        let client = bench.client();
        for (filter, error) in [
            ("FLAGS ?", "Unknown flags found in the provided filter: ?"),
            ("NOT-FLAGS N?", "Unknown flags found in the NOT-FLAGS filter: N?"),
            ("CAPA x", "Unknown capa found in the provided filter: x"),
            ("DB x", "DB is not an integer or out of range"),
            ("DB 16", "DB number should be between 0 and 15"),
            ("NOT-DB -1", "NOT-DB number should be between 0 and 15"),
            ("NOT-ID x", "syntax error"),
            ("NOT-ID 0", "client-id should be greater than 0"),
            ("NOT-IDLE 1", "syntax error"),
        ] {
            for command in ["LIST", "KILL"] {
                assert_eq!(
                    bench.call(client, &format!("CLIENT {command} {filter}")),
                    format!("-ERR {error}"),
                    "{filter}"
                );
            }
        }
        for filter in ["FLAGS P", "CAPA r", "DB 1", "NOT-FLAGS N", "NOT-DB 0"] {
            assert_eq!(bench.call(client, &format!("CLIENT LIST {filter}")), "", "{filter}");
        }
    }
}
