//! How to get from a node's address to an authenticated connection: who to be there, over which network,
//! with or without TLS, and where an address that only the nodes can use is reached from here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::addr::Addr;
use super::dial::without_number;
use super::error::Error;
use super::tls::Tls;
use crate::base::words;

/// Who to be on the nodes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub user: Option<String>,
    pub password: Option<String>,
}

/// How long a step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first packet to an authenticated connection.
    pub connect: Duration,
    /// From a command to its reply, for commands that do not wait for anything.
    pub reply: Duration,
    /// Whether the operator has said so: then it holds for commands that work for long, too.
    pub is_said: bool,
}

impl Timeouts {
    /// What the operator has said; the default where that is nothing.
    #[must_use]
    pub fn new(connect: Duration, reply: Option<Duration>) -> Timeouts {
        Timeouts { connect, reply: reply.unwrap_or(Timeouts::default().reply), is_said: reply.is_some() }
    }

    /// From a command that works for long to its reply: `usual`, unless the operator has said something for all commands.
    #[must_use]
    pub fn long(&self, usual: Duration) -> Duration {
        if self.is_said { self.reply } else { usual }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(5), reply: Duration::from_secs(10), is_said: false }
    }
}

/// Which addresses a host name may stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Any,
    V4,
    V6,
}

impl Family {
    #[must_use]
    pub fn allows(self, ip: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
        }
    }
}

/// Everything that a connection depends on beside the address.
#[derive(Clone, Default)]
pub struct Access {
    /// Who to be where nothing else is said.
    pub login: Credentials,
    /// Who to be on some nodes.
    pub logins: Logins,
    pub map: AddrMap,
    pub family: Family,
    pub tls: Option<Tls>,
    pub timeouts: Timeouts,
}

impl Access {
    /// Who to be on the node at `addr`.
    #[must_use]
    pub fn login_for(&self, addr: &Addr) -> &Credentials {
        self.logins.get(addr).or_else(|| self.logins.get(&self.map.outside(addr))).unwrap_or(&self.login)
    }
}

/// Credentials of single nodes, from a file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Logins {
    /// By `host:port`, by `host`, and by `*`.
    by_name: BTreeMap<String, Credentials>,
}

impl Logins {
    /// Reads a file whose lines are `NODE PASSWORD` or `NODE USER PASSWORD`; a node is `host:port`, `host`
    /// or `*` for all others. Words may be quoted, `#` begins a comment line.
    pub fn read(path: &Path) -> Result<Logins, Error> {
        let text = std::fs::read(path).map_err(|e| {
            let why = without_number(&e.to_string()).to_owned();
            Error::failed(format!("[ERR] The file {} cannot be read: {why}", path.display()))
                .hint("--auth-file names a file with lines of NODE [USER] PASSWORD")
        })?;
        Logins::parse(&text).map_err(|line| {
            Error::failed(format!("[ERR] {}: line {line} is not 'NODE [USER] PASSWORD'.", path.display()))
        })
    }

    /// The number of the first bad line, if there is one.
    fn parse(text: &[u8]) -> Result<Logins, usize> {
        let mut logins = Logins::default();
        for (line, number) in text.split(|b| *b == b'\n').zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let words: Option<Vec<String>> = words::split(line)
                .map(|words| words.into_iter().map(String::from_utf8).collect::<Result<_, _>>())
                .and_then(Result::ok);
            let (node, login) = match <[String; 3]>::try_from(words.ok_or(number)?) {
                Ok([node, user, password]) => (node, Credentials { user: Some(user), password: Some(password) }),
                Err(words) => match <[String; 2]>::try_from(words) {
                    Ok([node, password]) => (node, Credentials { user: None, password: Some(password) }),
                    Err(_) => return Err(number),
                },
            };
            let name = node.parse::<Addr>().map_or(node.clone(), |addr| addr.to_string());
            logins.by_name.insert(if is_host(&node) { node } else { name }, login);
        }
        Ok(logins)
    }

    fn get(&self, addr: &Addr) -> Option<&Credentials> {
        let by = |name: &str| self.by_name.get(name);
        by(&addr.to_string()).or_else(|| by(&addr.host)).or_else(|| by("*"))
    }
}

/// Where nodes are reached from here: `internal=external`, each side a host or `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddrMap {
    pub entries: Vec<Mapping>,
}

/// One entry of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    inside: Place,
    outside: Place,
}

/// A host, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: Option<u16>,
}

impl Place {
    fn fits(&self, addr: &Addr) -> bool {
        self.host == addr.host && self.port.is_none_or(|port| port == addr.port)
    }

    fn apply(&self, addr: &Addr) -> Addr {
        Addr { host: self.host.clone(), port: self.port.unwrap_or(addr.port), bus_port: addr.bus_port }
    }

    fn parse(text: &str) -> Option<Place> {
        if is_host(text) {
            let host = text.trim_start_matches('[').trim_end_matches(']');
            return (!host.is_empty()).then(|| Place { host: host.to_owned(), port: None });
        }
        text.parse::<Addr>().ok().map(|addr| Place { host: addr.host, port: Some(addr.port) })
    }
}

/// Whether the text is a host alone; an IPv6 address has colons, too.
fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || !text.contains(':') || (text.starts_with('[') && text.ends_with(']'))
}

impl FromStr for Mapping {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Mapping, Self::Err> {
        let places = text.split_once('=').map(|(inside, outside)| (Place::parse(inside), Place::parse(outside)));
        match places {
            Some((Some(inside), Some(outside))) if inside.port.is_some() == outside.port.is_some() => {
                Ok(Mapping { inside, outside })
            }
            _ => Err("a mapping is INTERNAL=EXTERNAL, both host:port or both a host"),
        }
    }
}

impl AddrMap {
    /// Where to dial for a node that the others know under `addr`.
    #[must_use]
    pub fn outside(&self, addr: &Addr) -> Addr {
        let entry = self.entries.iter().find(|entry| entry.inside.fits(addr));
        entry.map_or_else(|| addr.clone(), |entry| entry.outside.apply(addr))
    }

    /// What the other nodes know a node as that is dialled at `addr`.
    #[must_use]
    pub fn inside(&self, addr: &Addr) -> Addr {
        let entry = self.entries.iter().find(|entry| entry.outside.fits(addr));
        entry.map_or_else(|| addr.clone(), |entry| entry.inside.apply(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[&str]) -> AddrMap {
        AddrMap { entries: entries.iter().map(|text| text.parse().unwrap()).collect() }
    }

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_limit_that_was_said_holds_for_long_commands_too() {
        let usual = Duration::from_secs(600);
        assert_eq!(Timeouts::default().long(usual), usual);
        // Also one that would be the default.
        for said in [Duration::from_secs(2), Timeouts::default().reply, Duration::from_secs(3600)] {
            let timeouts = Timeouts::new(Duration::from_secs(5), Some(said));
            assert_eq!((timeouts.reply, timeouts.long(usual)), (said, said));
        }
        assert_eq!(Timeouts::new(Duration::from_secs(5), None), Timeouts::default());
    }

    #[test]
    fn addresses_are_mapped_both_ways() {
        let map = map(&["10.0.0.1:7000=gate:17000", "10.0.0.2=gate2", "fd00::1=[::1]"]);
        for (inside, outside) in
            [("10.0.0.1:7000", "gate:17000"), ("10.0.0.2:7001", "gate2:7001"), ("[fd00::1]:7", "[::1]:7")]
        {
            assert_eq!(map.outside(&addr(inside)), addr(outside));
            assert_eq!(map.inside(&addr(outside)), addr(inside));
        }
        assert_eq!(map.outside(&addr("10.0.0.1:7001")), addr("10.0.0.1:7001"), "another port");
        for bad in ["", "a", "a=", "=b", "a:1=b", "a=b:1", "a:x=b:1"] {
            assert!(bad.parse::<Mapping>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_node_has_its_own_credentials_or_those_of_all() {
        let file = b"# who\n\n10.0.0.1:7000 ann \"two words\"\r\n10.0.0.2 two\n* rest\n";
        let access = Access { logins: Logins::parse(file).unwrap(), ..Access::default() };
        let login = |text| {
            let login = access.login_for(&addr(text));
            (login.user.as_deref().unwrap_or("-").to_owned(), login.password.clone().unwrap())
        };
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(login("10.0.0.1:7000"), pair("ann", "two words"));
        assert_eq!(login("10.0.0.1:7001"), pair("-", "rest"));
        assert_eq!(login("10.0.0.2:9"), pair("-", "two"));
        assert_eq!(Logins::parse(b"a b\nlonely\n").err(), Some(2));
        assert_eq!(Logins::parse(b"a b c d").err(), Some(1));
        assert_eq!(Logins::parse(b"a 'b").err(), Some(1));
    }

    #[test]
    fn a_node_behind_a_map_is_found_by_either_address() {
        let access = Access {
            login: Credentials { user: None, password: Some("all".into()) },
            logins: Logins::parse(b"gate:1 one").unwrap(),
            map: map(&["n:7=gate:1"]),
            ..Access::default()
        };
        assert_eq!(access.login_for(&addr("n:7")).password.as_deref(), Some("one"));
        assert_eq!(access.login_for(&addr("m:7")).password.as_deref(), Some("all"));
    }
}
