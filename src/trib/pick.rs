//! Nodes as operators name them: by the beginning of the id, or by address.

use super::addr::Addr;
use super::error::Error;
use super::view::{ClusterView, Node};
use super::vocabulary::Vocabulary;

/// Why a name stands for no node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadName {
    NoPrimary(String),
    Unknown(String),
    Ambiguous(String),
}

impl BadName {
    /// What the operator reads.
    #[must_use]
    pub fn text(&self, vocabulary: Vocabulary) -> String {
        let (name, what) = match self {
            BadName::NoPrimary(name) => (name, format!("not known or not a {}, please retry", vocabulary.master())),
            BadName::Unknown(name) => (name, "not known".to_owned()),
            BadName::Ambiguous(name) => (name, "the beginning of more than one ID, please type more of it".to_owned()),
        };
        format!("*** The specified node ({name}) is {what}.")
    }

    /// As the end of a command, with what is known of the node or with where to find the right name.
    #[must_use]
    pub fn refusal(&self, view: &ClusterView, vocabulary: Vocabulary) -> Error {
        let list = format!("'trib status {}' lists the nodes with their ids", view.seed().addr);
        let hint = match self {
            BadName::NoPrimary(name) => match any(view, name) {
                Ok(node) if !node.is_reachable() => format!("{} does not answer", node.addr),
                Ok(node) => match node.primary.and_then(|id| view.node(&id)) {
                    Some(primary) => format!("{} is a replica of {}", node.addr, primary.addr),
                    None => list,
                },
                Err(_) => list,
            },
            BadName::Unknown(_) => list,
            BadName::Ambiguous(name) => {
                let nodes: Vec<String> =
                    view.with_id_prefix(name).iter().map(|node| format!("{} {}", node.id, node.addr)).collect();
                nodes.join(", ")
            }
        };
        Error::failed(self.text(vocabulary)).hint(hint)
    }
}

/// The node of this name, whatever it is and whether it answers or not.
pub fn any<'v>(view: &'v ClusterView, name: &str) -> Result<&'v Node, BadName> {
    let unknown = || BadName::Unknown(name.to_owned());
    match name.parse::<Addr>() {
        Ok(addr) => view.node_at(&addr).ok_or_else(unknown),
        Err(_) if name.is_empty() => Err(unknown()),
        Err(_) => match view.with_id_prefix(name)[..] {
            [] => Err(unknown()),
            [one] => Ok(one),
            [..] => Err(BadName::Ambiguous(name.to_owned())),
        },
    }
}

/// Weights (`NAME=NUMBER`) with the ids of the nodes in the place of their addresses.
#[must_use]
pub fn weights_by_id(view: &ClusterView, said: &[String]) -> Vec<String> {
    let by_id = |text: &String| {
        let (name, weight) = text.rsplit_once('=')?;
        let node = view.node_at(&name.parse().ok()?)?;
        Some(format!("{}={weight}", node.id))
    };
    said.iter().map(|text| by_id(text).unwrap_or_else(|| text.clone())).collect()
}

/// The reachable primary of this name.
pub fn primary<'v>(view: &'v ClusterView, name: &str) -> Result<&'v Node, BadName> {
    let no_primary = || BadName::NoPrimary(name.to_owned());
    match any(view, name) {
        Ok(found) if found.is_primary() && found.is_reachable() => Ok(found),
        Ok(_) | Err(BadName::Unknown(_)) => Err(no_primary()),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{id, small};
    use super::*;

    #[test]
    fn ids_may_be_short_and_addresses_of_either_kind() {
        let view = small();
        for name in ["a", "AAAA", "127.0.0.1:7000", "10.0.0.1:7000", id('a').as_str()] {
            assert_eq!(primary(&view, name).unwrap().id, id('a'), "{name}");
        }
        let said = ["10.0.0.1:7000=2", "127.0.0.1:7000=x", "h:1=3", "b=0", "b"].map(str::to_owned);
        let a = id('a');
        assert_eq!(weights_by_id(&view, &said), [&format!("{a}=2"), &format!("{a}=x"), "h:1=3", "b=0", "b"]);
        assert_eq!(any(&view, "c").unwrap().id, id('c'));
        assert_eq!(any(&view, "x"), Err(BadName::Unknown("x".to_owned())));
        for name in ["", "x", "c", "10.0.0.3:7000", "10.0.0.9:1"] {
            assert_eq!(primary(&view, name), Err(BadName::NoPrimary(name.to_owned())), "{name}");
        }
        let hint = |name: &str| primary(&view, name).unwrap_err().refusal(&view, Vocabulary::Redis).hint.unwrap();
        assert_eq!(hint("c"), "10.0.0.3:7000 is a replica of 127.0.0.1:7000");
        assert_eq!(hint("x"), "'trib status 127.0.0.1:7000' lists the nodes with their ids");
    }
}
