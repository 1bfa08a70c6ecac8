//! Availability zones: what the servers tell of theirs, and what the operator says.

use clap::Args;

use super::addr::Addr;
use super::error::Error;

/// Where nodes are: shared by the subcommands that place nodes.
#[derive(Args, Clone, Debug, Default)]
pub struct ZoneArgs {
    /// The zone of a node, or of all nodes of a host; may be given many times. Without it the zone is what the
    /// server tells (its directive availability-zone)
    #[arg(long = "zone", value_name = "NODE=ZONE", value_parser = parse)]
    zones: Vec<Said>,
}

/// What was said of one node or host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    /// `host:port`, as addresses are printed, or a host.
    node: String,
    zone: String,
}

fn parse(text: &str) -> Result<Said, String> {
    match text.split_once('=') {
        Some((node, zone)) if !node.is_empty() && !zone.is_empty() => {
            let node = node.parse::<Addr>().map_or(node.to_owned(), |addr| addr.to_string());
            Ok(Said { node, zone: zone.to_owned() })
        }
        _ => Err("a zone is given as host:port=ZONE or host=ZONE".to_owned()),
    }
}

impl ZoneArgs {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The zone of the node at `addr`, which tells `told` itself; empty when nobody knows.
    #[must_use]
    pub fn of(&self, addr: &Addr, told: &str) -> String {
        let said = |name: &str| self.zones.iter().find(|said| said.node == name).map(|said| said.zone.clone());
        said(&addr.to_string()).or_else(|| said(&addr.host)).unwrap_or_else(|| told.to_owned())
    }

    /// Whether everything said is said once, and of one of these nodes.
    pub fn check<'a>(&self, nodes: impl Iterator<Item = &'a Addr> + Clone) -> Result<(), Error> {
        for (i, said) in self.zones.iter().enumerate() {
            if !nodes.clone().any(|addr| addr.to_string() == said.node || addr.host == said.node) {
                return Err(Error::usage(format!("[ERR] --zone names {}, which is none of the nodes.", said.node)));
            }
            if self.zones[..i].iter().any(|other| other.node == said.node && other.zone != said.zone) {
                return Err(Error::usage(format!("[ERR] --zone names {} twice, with different zones.", said.node)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(texts: &[&str]) -> ZoneArgs {
        ZoneArgs { zones: texts.iter().map(|text| parse(text).unwrap()).collect() }
    }

    #[test]
    fn the_most_exact_word_wins() {
        let args = args(&["h=a", "h:2=b", "::1:3=c"]);
        let of = |addr: &str| args.of(&addr.parse().unwrap(), "told");
        assert_eq!([of("h:1"), of("h:2"), of("[::1]:3"), of("i:1")], ["a", "b", "c", "told"]);
    }

    #[test]
    fn what_fits_no_node_or_is_said_twice_is_refused() {
        let nodes: Vec<Addr> = vec![Addr::new("h", 1), Addr::new("i", 1)];
        assert!(args(&["h=a", "i:1=b"]).check(nodes.iter()).is_ok());
        assert!(args(&["h=a", "h=a"]).check(nodes.iter()).is_ok());
        assert!(args(&["h=a", "h=b"]).check(nodes.iter()).is_err());
        assert!(args(&["h:2=a"]).check(nodes.iter()).is_err());
        assert!(parse("h").is_err() && parse("=a").is_err() && parse("h=").is_err());
    }
}
