//! Names of nodes: how a transcript says which node is meant, and how replies are shown with them.

use trib::resp::client::ReplyValue;

use super::Stage;
use crate::plan::Plan;

impl Stage {
    /// The machine of a name.
    pub fn node(&self, name: &str) -> Result<usize, String> {
        let number = name.strip_prefix('n').and_then(|digits| digits.parse::<usize>().ok());
        let node = number.and_then(|number| number.checked_sub(1)).filter(|node| *node < self.world.nodes.len());
        node.ok_or_else(|| format!("{name} is no node"))
    }

    /// Several machines: `n1,n3` or `all`.
    pub fn nodes(&self, names: &str) -> Result<Vec<usize>, String> {
        if names == "all" {
            return Ok((0..self.world.nodes.len()).collect());
        }
        names.split(',').map(|name| self.node(name)).collect()
    }

    /// Puts ids and addresses in the place of names where a command wants them.
    pub fn with_ids(&self, words: &mut [Vec<u8>]) {
        let is =
            |word: Option<&Vec<u8>>, text: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(text.as_bytes()));
        let (by_id, by_ip) = (is(words.first(), "CLUSTER"), is(words.first(), "MIGRATE") || is(words.get(1), "MEET"));
        if !by_id && !by_ip {
            return;
        }
        for word in words.iter_mut().skip(1) {
            let node = std::str::from_utf8(word).ok().and_then(|name| self.node(name).ok());
            if let Some(node) = node {
                *word = if by_ip { Plan::ip(node).into_bytes() } else { self.ids[node].clone().into_bytes() };
            }
        }
    }

    /// The name of an id.
    pub fn named(&self, id: &str) -> String {
        let node = self.ids.iter().position(|known| known == id);
        node.map_or_else(|| id.to_owned(), name)
    }

    /// A text with names in the place of ids and addresses.
    fn with_names(&self, text: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(text).into_owned();
        for (node, id) in self.ids.iter().enumerate() {
            let address = format!("{}:{}", Plan::ip(node), Plan::PORT);
            text = text.replace(id, &name(node)).replace(&format!("{address}@16379"), &name(node));
            text = text.replace(&address, &name(node));
        }
        text
    }

    /// A reply as lines.
    pub fn lines_of(&self, reply: &ReplyValue) -> Vec<String> {
        match reply {
            ReplyValue::Null => vec!["(nil)".to_owned()],
            ReplyValue::Integer(number) => vec![number.to_string()],
            ReplyValue::Array(items) if items.is_empty() => vec!["(empty)".to_owned()],
            ReplyValue::Array(items) => items.iter().flat_map(|item| self.lines_of(item)).collect(),
            ReplyValue::Map(pairs) => {
                pairs.iter().flat_map(|(key, value)| [self.lines_of(key), self.lines_of(value)].concat()).collect()
            }
            other => match other.as_bytes().or(other.as_error()) {
                Some([]) => vec!["(empty)".to_owned()],
                Some(bytes) => self.with_names(bytes).lines().map(|line| line.trim_end().to_owned()).collect(),
                None => vec![format!("{other:?}")],
            },
        }
    }
}

pub fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// Whether lines are as expected: `*` is any text, a line `...` any lines.
pub fn are_like(expected: &[&str], seen: &[String]) -> bool {
    match (expected, seen) {
        ([], []) => true,
        (["...", rest @ ..], _) => (0..=seen.len()).any(|skipped| are_like(rest, &seen[skipped..])),
        ([first, rest @ ..], [line, lines @ ..]) => is_like(first, line) && are_like(rest, lines),
        _ => false,
    }
}

fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| is_like(tail, &rest[at..]))
}
