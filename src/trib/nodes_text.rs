//! The text of CLUSTER NODES, as every version since 3.0 writes it.
//!
//! One line a node: `id ip:port@busport,hostname flags primary ping pong epoch link slots…`. Old servers
//! leave out `@busport`, servers without host names leave out the comma, Redis 7.2 and Valkey append
//! `,name=value` pairs, and a node that nobody has told its own address leaves out the ip.

use std::collections::BTreeMap;

use bitflags::bitflags;

use super::addr::{Addr, parse_port};
use super::slots::SlotSet;
use crate::base::{NodeId, Slot};

bitflags! {
    /// What one node holds another one (or itself) to be.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u16 {
        const MYSELF = 1;
        const PRIMARY = 1 << 1;
        const REPLICA = 1 << 2;
        /// Suspected by this node alone (`fail?`).
        const SUSPECTED = 1 << 3;
        /// Agreed to have failed (`fail`).
        const FAILED = 1 << 4;
        const HANDSHAKE = 1 << 5;
        const NO_ADDRESS = 1 << 6;
        const NO_FAILOVER = 1 << 7;
    }
}

/// One line: one node as the answering node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeLine {
    pub id: NodeId,
    /// The announced address; the host is empty when the answering node does not know it.
    pub addr: Addr,
    pub hostname: Option<String>,
    pub flags: Flags,
    /// The flags as written, without `myself`: `master`, `slave,fail`.
    pub flags_text: String,
    /// Whom it replicates.
    pub primary: Option<NodeId>,
    pub config_epoch: u64,
    /// Whether the answering node's bus link to it is up.
    pub connected: bool,
    pub slots: SlotSet,
    /// Open slots it is giving away, with the receiver. Only a node's own line has them.
    pub migrating: BTreeMap<Slot, NodeId>,
    /// Open slots it is receiving, with the giver. Only a node's own line has them.
    pub importing: BTreeMap<Slot, NodeId>,
}

/// A line that is not one of CLUSTER NODES.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} in the CLUSTER NODES line '{line}'")]
pub struct BadLine {
    what: &'static str,
    line: String,
}

/// Reads a whole reply.
pub fn parse(text: &str) -> Result<Vec<NodeLine>, BadLine> {
    text.lines().filter(|line| !line.trim().is_empty()).map(parse_line).collect()
}

/// Reads one line.
pub fn parse_line(line: &str) -> Result<NodeLine, BadLine> {
    let bad = |what| BadLine { what, line: line.chars().take(200).collect() };
    let mut fields = line.split_ascii_whitespace();
    let mut next = |what| fields.next().ok_or_else(|| bad(what));
    let id = NodeId::parse(next("no node id")?.as_bytes()).ok_or_else(|| bad("no node id"))?;
    let (addr, hostname) = parse_address(next("no address")?).ok_or_else(|| bad("no address"))?;
    let (flags, flags_text) = parse_flags(next("no flags")?);
    let primary = match next("no primary")? {
        "-" => None,
        id => Some(NodeId::parse(id.as_bytes()).ok_or_else(|| bad("a malformed primary"))?),
    };
    next("no ping time")?;
    next("no pong time")?;
    let config_epoch = next("no epoch")?.parse().map_err(|_| bad("a malformed epoch"))?;
    let connected = next("no link state")? == "connected";
    let mut node = NodeLine {
        id,
        addr,
        hostname,
        flags,
        flags_text,
        primary,
        config_epoch,
        connected,
        slots: SlotSet::new(),
        migrating: BTreeMap::new(),
        importing: BTreeMap::new(),
    };
    for token in fields {
        add_slots(&mut node, token).ok_or_else(|| bad("malformed slots"))?;
    }
    Ok(node)
}

/// `ip:port@bus,hostname,name=value…`, each part after the port optional.
fn parse_address(text: &str) -> Option<(Addr, Option<String>)> {
    let mut parts = text.split(',');
    let endpoint = parts.next()?;
    let hostname = parts.next().filter(|name| !name.is_empty() && !name.contains('=')).map(str::to_owned);
    let (endpoint, bus_port) = match endpoint.rsplit_once('@') {
        Some((endpoint, bus)) => (endpoint, parse_port(bus)),
        None => (endpoint, None),
    };
    let (host, port) = endpoint.rsplit_once(':')?;
    // A node without an address is written `:0`; a node that only speaks TLS has plain port 0.
    let port = if port == "0" { 0 } else { parse_port(port)? };
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    Some((Addr { host: host.to_owned(), port, bus_port }, hostname))
}

fn parse_flags(text: &str) -> (Flags, String) {
    let mut flags = Flags::empty();
    let mut shown = Vec::new();
    for flag in text.split(',') {
        flags |= match flag {
            "myself" => Flags::MYSELF,
            "master" | "primary" => Flags::PRIMARY,
            "slave" | "replica" => Flags::REPLICA,
            "fail?" => Flags::SUSPECTED,
            "fail" => Flags::FAILED,
            "handshake" => Flags::HANDSHAKE,
            "noaddr" => Flags::NO_ADDRESS,
            "nofailover" => Flags::NO_FAILOVER,
            _ => Flags::empty(),
        };
        if flag != "myself" {
            shown.push(flag);
        }
    }
    (flags, shown.join(","))
}

/// `5`, `5-9`, `[5->-id]` (migrating), `[5-<-id]` (importing).
fn add_slots(node: &mut NodeLine, token: &str) -> Option<()> {
    if let Some(open) = token.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let (slot, peers) = if let Some((slot, id)) = open.split_once("->-") {
            (slot, (&mut node.migrating, id))
        } else {
            let (slot, id) = open.split_once("-<-")?;
            (slot, (&mut node.importing, id))
        };
        let (map, id) = peers;
        map.insert(parse_slot(slot)?, NodeId::parse(id.as_bytes())?);
        return Some(());
    }
    let (first, last) = token.split_once('-').unwrap_or((token, token));
    let (first, last) = (parse_slot(first)?, parse_slot(last)?);
    if first > last {
        return None;
    }
    node.slots.insert_range(first, last);
    Some(())
}

fn parse_slot(text: &str) -> Option<Slot> {
    text.parse().ok().and_then(Slot::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "ce2cdcef62341685ebbd6ef62b867debce21e0a2";
    const OTHER: &str = "15856e36a1e76d232a6e572441cbd65dd2468db3";

    fn line(rest: &str) -> NodeLine {
        parse_line(&format!("{ID} {rest}")).unwrap()
    }

    #[test]
    fn lines_of_every_age_are_read() {
        let node = line("127.0.0.1:7000@17000 myself,master - 0 1426238316232 3 connected 0-5460 5462");
        assert_eq!(node.addr, Addr::new("127.0.0.1", 7000));
        assert_eq!(node.addr.bus_port, Some(17000));
        assert_eq!((node.config_epoch, node.connected, node.slots.len()), (3, true, 5462));
        assert_eq!(node.flags, Flags::MYSELF | Flags::PRIMARY);
        assert_eq!(node.flags_text, "master");

        let old = line(&format!("10.0.0.2:7001 slave,fail? {OTHER} 1 2 0 disconnected"));
        assert_eq!((old.addr.to_string(), old.addr.bus_port), ("10.0.0.2:7001".into(), None));
        assert_eq!(old.primary.unwrap().as_str(), OTHER);
        assert_eq!(old.flags, Flags::REPLICA | Flags::SUSPECTED);
        assert!(!old.connected);

        let named = line("10.0.0.2:7001@17001,redis-2.example.com master - 0 0 1 connected");
        assert_eq!(named.hostname.as_deref(), Some("redis-2.example.com"));
        let aux = line("10.0.0.2:7001@17001,,tls-port=0,shard-id=aa master - 0 0 1 connected");
        assert_eq!(aux.hostname, None);
        assert_eq!(aux.addr.port, 7001);

        let v6 = line("::1:7001@17001 master - 0 0 1 connected");
        assert_eq!(v6.addr.to_string(), "[::1]:7001");
        let fresh = line(":7000@17000 myself,master - 0 0 0 connected");
        assert_eq!((fresh.addr.host.as_str(), fresh.addr.port), ("", 7000));
        let lost = line(":0@0 master,fail,noaddr - 1 1 2 disconnected");
        assert!(lost.flags.contains(Flags::NO_ADDRESS | Flags::FAILED));
    }

    #[test]
    fn open_slots_are_read() {
        let node = line(&format!("h:7000@17000 myself,master - 0 0 3 connected 5-9 [7->-{OTHER}] [93-<-{OTHER}]"));
        assert_eq!(node.migrating.keys().map(|s| s.get()).collect::<Vec<_>>(), [7]);
        assert_eq!(node.importing[&Slot::new(93).unwrap()].as_str(), OTHER);
    }

    #[test]
    fn bad_lines_are_refused() {
        for rest in [
            "",
            "h:7000@17000",
            "h7000 master - 0 0 1 connected",
            "h:7000 master x 0 0 1 connected",
            "h:7000 master - 0 0 x connected",
            "h:7000 master - 0 0 1 connected 16384",
            "h:7000 master - 0 0 1 connected 9-5",
            "h:7000 master - 0 0 1 connected [9-5]",
        ] {
            assert!(parse_line(&format!("{ID} {rest}")).is_err(), "{rest}");
        }
        assert!(parse_line("short h:7000 master - 0 0 1 connected").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\n]{0,300}") {
            let _ = parse(&text);
        }
    }
}
