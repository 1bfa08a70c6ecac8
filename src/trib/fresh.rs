//! Nodes that are to become members, once they have been found fit ([`preflight`](super::preflight)).

use std::net::IpAddr;

use super::addr::Addr;
use super::client::Pool;
use super::error::{Error, Failure};
use crate::base::NodeId;

/// A node that may join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fresh {
    /// As the operator wrote it.
    pub addr: Addr,
    /// As CLUSTER MEET has to be told: by IP address, with the bus port the node announces.
    pub meet: Addr,
    pub id: NodeId,
}

/// The IP address under which the node answers. CLUSTER MEET takes no host names, and a name may stand
/// for several addresses of which the server listens on one. Behind a map it is the address inside.
pub async fn reachable_ip(pool: &Pool, addr: &Addr) -> Result<IpAddr, Error> {
    if let Ok(ip) = pool.access().map.inside(addr).host.parse() {
        return Ok(ip);
    }
    let unknown = |reason: String| Failure::Connect { node: addr.clone(), reason };
    let lookup = tokio::net::lookup_host((addr.host.as_str(), addr.port));
    let found = tokio::time::timeout(pool.timeouts().connect, lookup)
        .await
        .map_err(|_| unknown("the host name could not be looked up in time".to_owned()))?
        .map_err(|e| {
            let text = e.to_string();
            let why = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
            unknown(format!("the host name could not be looked up: {why}"))
        })?;
    let mut last = unknown("the host name has no address".to_owned());
    for candidate in found.filter(|found| pool.access().family.allows(found.ip())) {
        match pool.client(&Addr::new(candidate.ip().to_string(), addr.port)).await {
            Ok(_) => return Ok(candidate.ip()),
            Err(Failure::Connect { reason, .. }) => last = unknown(reason),
            Err(other) => last = other,
        }
    }
    Err(last.into())
}

/// Two different addresses of one and the same node, if there are any.
#[must_use]
pub fn same_node_twice(nodes: &[Fresh]) -> Option<Error> {
    let twin = |i: usize| nodes[..i].iter().find(|other| other.id == nodes[i].id).map(|other| (other, &nodes[i]));
    let (one, other) = (0..nodes.len()).find_map(twin)?;
    Some(
        Error::failed(format!("[ERR] {} and {} are the same node ({}).", one.addr, other.addr, one.id))
            .hint("name every node once; copies of a nodes.conf have to be deleted, each node makes its own"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::id;
    use super::*;

    #[test]
    fn one_node_under_two_addresses_is_found() {
        let fresh = |addr: &str, letter| {
            let addr: Addr = addr.parse().unwrap();
            Fresh { meet: addr.clone(), addr, id: id(letter) }
        };
        assert_eq!(same_node_twice(&[fresh("h:1", 'a'), fresh("h:2", 'b')]), None);
        let error = same_node_twice(&[fresh("h:1", 'a'), fresh("h:2", 'b'), fresh("i:1", 'a')]).unwrap();
        assert!(matches!(error.what, super::super::error::What::Message(text) if text.contains("h:1 and i:1")));
    }
}
