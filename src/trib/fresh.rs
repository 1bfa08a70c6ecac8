//! Nodes that are to become members: reachable, in cluster mode, empty, and strangers to everybody.

use std::net::IpAddr;

use super::addr::Addr;
use super::client::{Pool, command, info_field, text_of};
use super::error::{Error, Failure};
use super::view::{Report, not_a_cluster_node};
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

/// Looks whether the node at `addr` may join a cluster. Changes nothing.
pub async fn examine(pool: &Pool, addr: &Addr) -> Result<Fresh, Error> {
    let dialled = reachable_ip(pool, addr).await?;
    let client = pool.client(addr).await?;
    let cmds = [command("CLUSTER NODES"), command("CLUSTER INFO"), command("INFO keyspace")];
    let mut replies = client.pipeline(client.timeouts().reply, &cmds).await?.into_iter();
    let mut text = || -> Result<String, Failure> {
        let reply = replies.next().unwrap_or_else(|| {
            Err(Failure::Unexpected { node: addr.clone(), reason: "fewer replies than commands".to_owned() })
        })?;
        Ok(text_of(&reply).unwrap_or_default())
    };
    let nodes = text().map_err(|failure| match failure.reply() {
        Some(text) if text.contains("cluster support disabled") => not_a_cluster_node(addr),
        _ => failure.into(),
    })?;
    let (cluster_info, keyspace) = (text()?, text()?);
    let report = Report::parse(addr, &nodes)?;
    let known = info_field(&cluster_info, "cluster_known_nodes").and_then(|n| n.parse().ok()).unwrap_or(1usize);
    if known > 1 || report.lines.len() > 1 || keyspace.lines().any(|line| line.starts_with("db")) {
        return Err(not_empty(addr));
    }
    let own = report.own();
    if !own.slots.is_empty() {
        return Err(Error::failed(format!("[ERR] Node {addr} already owns {} slots.", own.slots.len()))
            .hint(format!("if they are left over from another attempt, CLUSTER FLUSHSLOTS on {addr} gives them up")));
    }
    let bus_port = addr.bus_port.or(own.addr.bus_port);
    let port = pool.access().map.inside(addr).port;
    Ok(Fresh { addr: addr.clone(), meet: Addr { host: dialled.to_string(), port, bus_port }, id: own.id })
}

fn not_empty(addr: &Addr) -> Error {
    Error::failed(format!(
        "[ERR] Node {addr} is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or \
         contains some key in database 0."
    ))
    .hint(format!("if nothing on {addr} is needed any more: FLUSHALL and then CLUSTER RESET HARD on it"))
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
        .map_err(|e| unknown(format!("the host name could not be looked up: {e}")))?;
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
