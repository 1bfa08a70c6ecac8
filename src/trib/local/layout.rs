//! The shape of a local cluster: how many primaries and replicas, on which ports, told what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::words;
use crate::trib::addr::{Addr, BUS_PORT_OFFSET};

/// Where the nodes listen.
pub const HOST: &str = "127.0.0.1";
/// More processes than this are a mistake, not a cluster for trying things out.
const NODES_MAX: usize = 300;

/// `MxR`: primaries, and replicas of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub primaries: usize,
    pub replicas: usize,
}

impl Shape {
    #[must_use]
    pub fn nodes(self) -> usize {
        self.primaries * (1 + self.replicas)
    }
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { primaries: 3, replicas: 1 }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.primaries, self.replicas)
    }
}

/// Why a shape cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadShape {
    #[error("the shape is PRIMARIESxREPLICAS, as in 3x1")]
    Malformed,
    #[error("a cluster has at least one primary")]
    NoPrimary,
    #[error("at most {NODES_MAX} nodes are started on one machine")]
    TooMany,
    #[error(
        "the ports of {nodes} nodes from {port} on do not fit: a bus port is {BUS_PORT_OFFSET} above, and 65535 is the last"
    )]
    Ports { nodes: usize, port: u16 },
}

impl FromStr for Shape {
    type Err = BadShape;

    fn from_str(text: &str) -> Result<Shape, BadShape> {
        let (primaries, replicas) = text.split_once(['x', 'X']).ok_or(BadShape::Malformed)?;
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<usize>().map_err(|_| BadShape::Malformed),
            false => Err(BadShape::Malformed),
        };
        let (primaries, replicas) = (number(primaries)?, number(replicas)?);
        if primaries == 0 {
            return Err(BadShape::NoPrimary);
        }
        if replicas.saturating_add(1).saturating_mul(primaries) > NODES_MAX {
            return Err(BadShape::TooMany);
        }
        Ok(Shape { primaries, replicas })
    }
}

/// The ports of the nodes, in order.
pub fn ports(shape: Shape, first: u16) -> Result<Vec<u16>, BadShape> {
    let last = usize::from(first) + shape.nodes() - 1;
    if first == 0 || last + usize::from(BUS_PORT_OFFSET) > usize::from(u16::MAX) {
        return Err(BadShape::Ports { nodes: shape.nodes(), port: first });
    }
    Ok((first..).take(shape.nodes()).collect())
}

/// The address of the node on this port.
#[must_use]
pub fn addr(port: u16) -> Addr {
    Addr::new(HOST, port)
}

/// Reads what stands behind `--`: `--name value ...` as on a server's command line, or a whole directive
/// in each word.
#[must_use]
pub fn directives(words: &[String]) -> Vec<String> {
    if !words.first().is_some_and(|word| word.starts_with("--")) {
        return words.to_vec();
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match (word.strip_prefix("--"), lines.last_mut()) {
            (Some(name), _) => lines.push(name.to_owned()),
            (None, Some(line)) => line.push_str(&format!(" {}", quote(word))),
            (None, None) => {}
        }
    }
    lines
}

/// A word as the configuration file needs it.
#[must_use]
pub fn quote(word: &str) -> String {
    String::from_utf8_lossy(&words::plain_or_quoted(word.as_bytes())).into_owned()
}

/// The value of a directive, where it is given.
#[must_use]
pub fn value_of<'d>(directives: &'d [String], name: &str) -> Option<&'d str> {
    directives.iter().rev().find_map(|line| {
        let (first, value) = line.split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_written() {
        assert_eq!("3x1".parse(), Ok(Shape::default()));
        assert_eq!("12X0".parse(), Ok(Shape { primaries: 12, replicas: 0 }));
        assert_eq!(Shape { primaries: 5, replicas: 2 }.to_string(), "5x2");
        assert_eq!(Shape { primaries: 5, replicas: 2 }.nodes(), 15);
        for bad in ["", "3", "x", "3x", "x1", "3x-1", "+3x1", "3x1x1", "3 x 1"] {
            assert_eq!(bad.parse::<Shape>(), Err(BadShape::Malformed), "{bad:?}");
        }
        assert_eq!("0x1".parse::<Shape>(), Err(BadShape::NoPrimary));
        assert_eq!("3x18446744073709551615".parse::<Shape>(), Err(BadShape::TooMany));
        assert_eq!("301x0".parse::<Shape>(), Err(BadShape::TooMany));
    }

    #[test]
    fn ports_leave_room_for_the_bus() {
        assert_eq!(ports(Shape::default(), 7000), Ok((7000..7006).collect()));
        assert_eq!(ports(Shape::default(), 55530).map(|ports| ports.last().copied()), Ok(Some(55535)));
        assert!(ports(Shape::default(), 55531).is_err());
        assert!(ports(Shape::default(), 0).is_err());
    }

    #[test]
    fn directives_come_in_two_spellings() {
        let words = |line: &[&str]| line.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            directives(&words(&["--appendonly", "no", "--save", "", "--bind", "127.0.0.1", "::1"])),
            ["appendonly no", "save \"\"", "bind 127.0.0.1 ::1"]
        );
        assert_eq!(directives(&words(&["maxmemory 100mb", "appendonly no"])), ["maxmemory 100mb", "appendonly no"]);
        assert_eq!(directives(&[]), Vec::<String>::new());
        let given = directives(&words(&["--requirepass", "a b", "--RequirePass", "x"]));
        assert_eq!(value_of(&given, "requirepass"), Some("x"));
        assert_eq!(value_of(&given[..1], "requirepass"), Some("a b"));
        assert_eq!(value_of(&given, "masterauth"), None);
    }
}
