//! REPLCONF: what a replica tells about itself before and after it is attached.

use super::event::ReplicaId;
use crate::base::NodeId;
use crate::base::num::parse_i64;

/// The longest `ip-address`, exclusive.
const IP_MAX: usize = 256;

/// `x.y.z`, comparable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    /// Reads `x.y.z`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Version> {
        let mut parts = text.split(|&b| b == b'.').map(|part| parse_i64(part).and_then(|n| u16::try_from(n).ok()));
        let version = Version { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(version)
    }
}

/// What a replica wants left out of its snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RdbFilter {
    #[default]
    Everything,
    /// Functions, and no data.
    FunctionsOnly,
    /// Neither.
    Nothing,
}

/// What is known of a replica from its REPLCONF.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traits {
    pub listening_port: u16,
    /// The address to show instead of its connection's.
    pub ip: Option<String>,
    /// It understands a snapshot that ends with a mark.
    pub eof: bool,
    /// It understands a new id in `+CONTINUE`.
    pub psync2: bool,
    /// It wants a snapshot and no stream.
    pub rdb_only: bool,
    /// It can take the snapshot over a second link.
    pub dual_channel: bool,
    /// This is the second link.
    pub rdb_channel: bool,
    /// This is the first link, and that the second one.
    pub snapshot_link: Option<ReplicaId>,
    pub filter: RdbFilter,
    pub version: Option<Version>,
    pub node_id: Option<NodeId>,
}

/// What is to be done for a REPLCONF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// Traits; answered with `+OK`.
    Traits,
    /// An acknowledgement; never answered.
    Ack { offset: u64, fsynced: Option<u64> },
    /// A request for one; never answered as such.
    GetAck,
    /// The client that gets this one's snapshot.
    RdbClient(u64),
    /// Nothing that can be understood, in a message that is never answered.
    Nothing,
}

/// How REPLCONF is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplconfReply {
    Ok,
    /// Not at all.
    Silent,
}

/// Texts as on the wire, behind the `-`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplconfError {
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    #[error("ERR REPLCONF ip-address provided by replica instance is too long: {0} bytes")]
    IpTooLong(usize),
    #[error("ERR Missing rdb-filter-only values")]
    MissingFilter,
    #[error("ERR Unsupported rdb-filter-only option: {0}")]
    UnsupportedFilter(String),
    #[error("ERR Unrecognized version format: {0}")]
    BadVersion(String),
    #[error("ERR Unrecognized RDB client id {0}")]
    UnknownRdbClient(String),
    #[error("ERR Unknown node {0}")]
    UnknownNode(String),
    #[error("ERR Unrecognized REPLCONF option: {0}")]
    Unrecognized(String),
}

/// Reads the arguments after the command's name. Options before a wrong one stay told, as in stock servers.
pub(super) fn read(traits: &mut Traits, args: &[&[u8]]) -> Result<Told, ReplconfError> {
    if !args.len().is_multiple_of(2) {
        return Err(ReplconfError::Syntax);
    }
    for pair in args.chunks_exact(2) {
        let (option, value) = (pair[0], pair[1]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match option.to_ascii_lowercase().as_slice() {
            b"listening-port" => {
                let port = parse_i64(value).and_then(|n| u16::try_from(n).ok());
                traits.listening_port = port.ok_or(ReplconfError::NotInteger)?;
            }
            b"ip-address" if value.len() >= IP_MAX => return Err(ReplconfError::IpTooLong(value.len())),
            b"ip-address" => traits.ip = (!value.is_empty()).then(|| text(value)),
            b"capa" if value.eq_ignore_ascii_case(b"eof") => traits.eof = true,
            b"capa" if value.eq_ignore_ascii_case(b"psync2") => traits.psync2 = true,
            b"capa" if value.eq_ignore_ascii_case(b"dual-channel") => traits.dual_channel = true,
            b"capa" => {}
            b"ack" => return Ok(acknowledgement(args)),
            b"getack" => return Ok(Told::GetAck),
            b"rdb-only" => traits.rdb_only = flag(value)?,
            b"rdb-channel" => traits.rdb_channel = flag(value)?,
            b"set-rdb-client-id" => {
                let id = parse_i64(value).and_then(|n| u64::try_from(n).ok());
                return id.map(Told::RdbClient).ok_or_else(|| ReplconfError::UnknownRdbClient(text(value)));
            }
            b"rdb-filter-only" => traits.filter = filter(value)?,
            b"version" => {
                let version = Version::parse(value).ok_or_else(|| ReplconfError::BadVersion(text(value)))?;
                traits.version = Some(version);
            }
            b"set-cluster-node-id" => {
                let id = NodeId::parse(value).ok_or_else(|| ReplconfError::UnknownNode(text(value)))?;
                traits.node_id = Some(id);
            }
            _ => return Err(ReplconfError::Unrecognized(text(option))),
        }
    }
    Ok(Told::Traits)
}

fn flag(value: &[u8]) -> Result<bool, ReplconfError> {
    match value {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(ReplconfError::NotInteger),
    }
}

fn filter(value: &[u8]) -> Result<RdbFilter, ReplconfError> {
    if value.is_empty() {
        return Ok(RdbFilter::Nothing);
    }
    let mut words = value.split(|&b| b == b' ').filter(|w| !w.is_empty()).peekable();
    if words.peek().is_none() {
        return Err(ReplconfError::MissingFilter);
    }
    match words.find(|w| !w.eq_ignore_ascii_case(b"functions")) {
        Some(word) => Err(ReplconfError::UnsupportedFilter(String::from_utf8_lossy(word).into_owned())),
        None => Ok(RdbFilter::FunctionsOnly),
    }
}

/// `ACK <offset> [FACK <offset>]`.
fn acknowledgement(args: &[&[u8]]) -> Told {
    let number = |name: &[u8]| {
        let pair = args.chunks_exact(2).find(|pair| pair[0].eq_ignore_ascii_case(name))?;
        parse_i64(pair[1]).and_then(|n| u64::try_from(n).ok())
    };
    number(b"ack").map_or(Told::Nothing, |offset| Told::Ack { offset, fsynced: number(b"fack") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(traits: &mut Traits, line: &str) -> Result<Told, ReplconfError> {
        let words: Vec<&[u8]> = line.split(',').filter(|w| !w.is_empty()).map(str::as_bytes).collect();
        read(traits, &words)
    }

    #[test]
    fn traits_add_up() {
        let mut traits = Traits::default();
        for line in
            ["", "listening-port,7000", "IP-address,1.2.3.4", "capa,EOF,capa,psync2,capa,future", "version,9.1.2"]
        {
            assert_eq!(tell(&mut traits, line), Ok(Told::Traits), "{line}");
        }
        assert_eq!(
            traits,
            Traits {
                listening_port: 7000,
                ip: Some("1.2.3.4".into()),
                eof: true,
                psync2: true,
                version: Version::parse(b"9.1.2"),
                ..Traits::default()
            }
        );
        tell(&mut traits, "rdb-only,1,rdb-filter-only,functions").unwrap();
        assert!(traits.rdb_only && traits.filter == RdbFilter::FunctionsOnly);
        assert_eq!(read(&mut traits, &[b"rdb-filter-only", b""]), Ok(Told::Traits));
        assert_eq!(traits.filter, RdbFilter::Nothing);
    }

    #[test]
    fn acknowledgements() {
        let mut traits = Traits::default();
        assert_eq!(tell(&mut traits, "ack,12"), Ok(Told::Ack { offset: 12, fsynced: None }));
        assert_eq!(tell(&mut traits, "ACK,12,FACK,7"), Ok(Told::Ack { offset: 12, fsynced: Some(7) }));
        assert_eq!(tell(&mut traits, "ack,-3"), Ok(Told::Nothing));
        assert_eq!(tell(&mut traits, "getack,*"), Ok(Told::GetAck));
    }

    #[test]
    fn errors_are_the_stock_texts() {
        for (line, text) in [
            ("capa", "ERR syntax error"),
            ("listening-port,x", "ERR value is not an integer or out of range"),
            ("listening-port,70000", "ERR value is not an integer or out of range"),
            ("version,9.1", "ERR Unrecognized version format: 9.1"),
            ("version,9.1.2.3", "ERR Unrecognized version format: 9.1.2.3"),
            ("rdb-filter-only,keys", "ERR Unsupported rdb-filter-only option: keys"),
            ("rdb-filter-only, ", "ERR Missing rdb-filter-only values"),
            ("set-cluster-node-id,me", "ERR Unknown node me"),
            ("set-rdb-client-id,me", "ERR Unrecognized RDB client id me"),
            ("colour,blue", "ERR Unrecognized REPLCONF option: colour"),
        ] {
            assert_eq!(tell(&mut Traits::default(), line).unwrap_err().to_string(), text);
        }
        let long = "x".repeat(256);
        let error = tell(&mut Traits::default(), &format!("ip-address,{long}")).unwrap_err();
        assert_eq!(error, ReplconfError::IpTooLong(256));
    }
}
