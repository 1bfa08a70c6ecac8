//! Shards as operators write them out: a primary with its replicas in brackets.

use std::str::FromStr;

use super::addr::{Addr, BadAddr};

/// One word of `trib create`: a node to be arranged with the others, or a shard as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    pub primary: Addr,
    pub replicas: Vec<Addr>,
    /// It was written with brackets, empty ones included.
    pub is_given: bool,
}

impl From<Addr> for Shard {
    fn from(primary: Addr) -> Shard {
        Shard { primary, replicas: Vec::new(), is_given: false }
    }
}

impl Shard {
    /// Its nodes, the primary first.
    pub fn nodes(&self) -> impl Iterator<Item = &Addr> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }
}

/// Why a word is neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadShard {
    #[error(transparent)]
    Addr(#[from] BadAddr),
    #[error("the brackets are not closed: a shard is host:port[host:port|host:port]")]
    Open,
}

impl FromStr for Shard {
    type Err = BadShard;

    /// Reads `host:port`, `host:port[]` and `host:port[host:port|host:port]`. A bracket at the very beginning is
    /// that of an IPv6 address.
    fn from_str(text: &str) -> Result<Shard, BadShard> {
        let Some(at) = text.char_indices().skip(1).find(|(_, c)| *c == '[').map(|(at, _)| at) else {
            return Ok(text.parse::<Addr>()?.into());
        };
        let (primary, replicas) = text.split_at(at);
        let replicas = replicas[1..].strip_suffix(']').ok_or(BadShard::Open)?;
        let replicas = replicas.split('|').map(str::trim).filter(|replica| !replica.is_empty());
        Ok(Shard {
            primary: primary.parse()?,
            replicas: replicas.map(str::parse).collect::<Result<_, _>>()?,
            is_given: true,
        })
    }
}

/// In what places a node stands, in words: `as node 2`, `as a replica of h:1`.
#[must_use]
pub fn places_of(shards: &[Shard], node: &Addr) -> Vec<String> {
    let mut places = Vec::new();
    for (shard, number) in shards.iter().zip(1..) {
        if shard.primary == *node {
            let what = if shard.is_given { "the primary of shard" } else { "node" };
            places.push(format!("as {what} {number}"));
        }
        let replicas = shard.replicas.iter().filter(|replica| *replica == node);
        places.extend(replicas.map(|_| format!("as a replica of {}", shard.primary)));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Vec<String>, bool), BadShard> {
        let shard: Shard = text.parse()?;
        Ok((shard.primary.to_string(), shard.replicas.iter().map(ToString::to_string).collect(), shard.is_given))
    }

    #[test]
    fn shards_are_read_in_every_form() {
        let list = |replicas: &[&str]| replicas.iter().map(|replica| (*replica).to_owned()).collect::<Vec<_>>();
        assert_eq!(read("a:1"), Ok(("a:1".into(), list(&[]), false)));
        assert_eq!(read("a:1[]"), Ok(("a:1".into(), list(&[]), true)));
        assert_eq!(read("a:1@5[b:2|c:3@7]"), Ok(("a:1".into(), list(&["b:2", "c:3"]), true)));
        assert_eq!(read("[::1]:1"), Ok(("[::1]:1".into(), list(&[]), false)));
        assert_eq!(read("[::1]:1[[::1]:2|::1:3]"), Ok(("[::1]:1".into(), list(&["[::1]:2", "[::1]:3"]), true)));
        assert_eq!(read("a:1[b:2"), Err(BadShard::Open));
        assert_eq!(read("a:1[b]"), Err(BadAddr::NoPort.into()));
        assert_eq!(read("a[b:2]"), Err(BadAddr::NoPort.into()));
        assert!(read("").is_err() && read("[").is_err());
    }

    #[test]
    fn every_place_of_a_node_is_named() {
        let shards: Vec<Shard> = ["a:1[b:1|c:1]", "b:1", "d:1[b:1]"].iter().map(|text| text.parse().unwrap()).collect();
        let places = places_of(&shards, &"b:1".parse().unwrap());
        assert_eq!(places, ["as a replica of a:1", "as node 2", "as a replica of d:1"]);
        assert_eq!(places_of(&shards, &"d:1".parse().unwrap()), ["as the primary of shard 3"]);
    }
}
