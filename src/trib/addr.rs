//! Where a node listens: `host:port`, with the bus port when it is not the usual one.
//!
//! People type IPv6 addresses with and without brackets, and CLUSTER NODES prints them without; both are
//! read, brackets are written, so that what is printed can be typed again.

use std::fmt;
use std::str::FromStr;

/// The bus listens this far above the client port unless configured otherwise.
pub const BUS_PORT_OFFSET: u16 = 10_000;

/// An address of a node. Two addresses are equal when host and port are: the bus port is an attribute.
#[derive(Clone, Debug)]
pub struct Addr {
    /// An IPv4 or IPv6 address (without brackets) or a host name.
    pub host: String,
    pub port: u16,
    /// The port of the cluster bus, where it was said.
    pub bus_port: Option<u16>,
}

impl Addr {
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Addr {
        Addr { host: host.into(), port, bus_port: None }
    }

    /// The bus port when it has to be told to CLUSTER MEET: when it is not `port + 10000`.
    #[must_use]
    pub fn unusual_bus_port(&self) -> Option<u16> {
        self.bus_port.filter(|&bus| bus != 0 && Some(bus) != self.port.checked_add(BUS_PORT_OFFSET))
    }

    /// The bus port, said or usual.
    #[must_use]
    pub fn bus_port_or_usual(&self) -> u16 {
        self.bus_port.unwrap_or_else(|| self.port.wrapping_add(BUS_PORT_OFFSET))
    }
}

impl PartialEq for Addr {
    fn eq(&self, other: &Addr) -> bool {
        self.host == other.host && self.port == other.port
    }
}

impl Eq for Addr {}

impl std::hash::Hash for Addr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.host.hash(state);
        self.port.hash(state);
    }
}

impl PartialOrd for Addr {
    fn partial_cmp(&self, other: &Addr) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Addr {
    fn cmp(&self, other: &Addr) -> std::cmp::Ordering {
        (&self.host, self.port).cmp(&(&other.host, other.port))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadAddr {
    #[error("no port: an address is host:port, as in 127.0.0.1:7000")]
    NoPort,
    #[error("the host is empty: an address is host:port, as in 127.0.0.1:7000")]
    NoHost,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the bus port is not a number from 1 to 65535")]
    BusPort,
}

impl FromStr for Addr {
    type Err = BadAddr;

    /// Reads `host:port`, `host:port@busport`, `[v6]:port` and `v6:port`.
    fn from_str(text: &str) -> Result<Addr, BadAddr> {
        let (rest, bus_port) = match text.rsplit_once('@') {
            Some((rest, bus)) => (rest, Some(parse_port(bus).ok_or(BadAddr::BusPort)?)),
            None => (text, None),
        };
        let (host, port) = rest.rsplit_once(':').ok_or(BadAddr::NoPort)?;
        let port = parse_port(port).ok_or(BadAddr::Port)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(BadAddr::NoHost);
        }
        Ok(Addr { host: host.to_owned(), port, bus_port })
    }
}

/// A port as people write it: decimal digits only, from 1.
#[must_use]
pub fn parse_port(text: &str) -> Option<u16> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, u16, Option<u16>), BadAddr> {
        text.parse::<Addr>().map(|a| (a.host, a.port, a.bus_port))
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        assert_eq!(read("127.0.0.1:7000"), Ok(("127.0.0.1".into(), 7000, None)));
        assert_eq!(read("redis-1.example.com:7000@7100"), Ok(("redis-1.example.com".into(), 7000, Some(7100))));
        assert_eq!(read("[::1]:7000"), Ok(("::1".into(), 7000, None)));
        assert_eq!(read("::1:7000@17000"), Ok(("::1".into(), 7000, Some(17000))));
        assert_eq!(read("127.0.0.1"), Err(BadAddr::NoPort));
        assert_eq!(read(":7000"), Err(BadAddr::NoHost));
        assert_eq!(read("h:0"), Err(BadAddr::Port));
        assert_eq!(read("h:65536"), Err(BadAddr::Port));
        assert_eq!(read("h:+1"), Err(BadAddr::Port));
        assert_eq!(read("h:"), Err(BadAddr::Port));
        assert_eq!(read("h:1@x"), Err(BadAddr::BusPort));
    }

    #[test]
    fn what_is_printed_can_be_typed_again() {
        for text in ["127.0.0.1:7000", "[::1]:7000", "host:1"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_an_unusual_bus_port_has_to_be_told() {
        assert_eq!("h:7000@17000".parse::<Addr>().unwrap().unusual_bus_port(), None);
        assert_eq!("h:7000@7001".parse::<Addr>().unwrap().unusual_bus_port(), Some(7001));
        assert_eq!("h:7000".parse::<Addr>().unwrap().bus_port_or_usual(), 17000);
        assert_eq!("h:60000@5".parse::<Addr>().unwrap().unusual_bus_port(), Some(5));
    }
}
