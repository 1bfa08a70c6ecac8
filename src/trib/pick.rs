//! Nodes as operators name them: by the beginning of the id, or by address.

use thiserror::Error;

use super::addr::Addr;
use super::view::{ClusterView, Node};

/// Why a name stands for no node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadName {
    #[error("*** The specified node ({0}) is not known or not a master, please retry.")]
    NoPrimary(String),
    #[error("*** The specified node ({0}) is not known.")]
    Unknown(String),
    #[error("*** The specified node ({0}) is the beginning of more than one ID, please type more of it.")]
    Ambiguous(String),
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
        assert_eq!(any(&view, "c").unwrap().id, id('c'));
        assert_eq!(any(&view, "x"), Err(BadName::Unknown("x".to_owned())));
        for name in ["", "x", "c", "10.0.0.3:7000", "10.0.0.9:1"] {
            assert_eq!(primary(&view, name), Err(BadName::NoPrimary(name.to_owned())), "{name}");
        }
    }
}
