//! CLUSTER SHARDS: which nodes belong together, which servers since Redis 7.0 remember also of those that have failed.

use redis::Value;

use super::client::text_of;
use crate::base::NodeId;

/// The primary that leads the shard of this node, other than itself.
#[must_use]
pub fn leader(shards: &Value, of: &NodeId) -> Option<NodeId> {
    let has_id = |node: &Value, id: &NodeId| text(node, "id").is_some_and(|text| text == id.as_str());
    let of_shard = |shard| items(field(shard, "nodes")?).map(<[Value]>::to_vec);
    let shard = items(shards)?.iter().filter_map(of_shard).find(|nodes| nodes.iter().any(|node| has_id(node, of)))?;
    let leads = |node: &&Value| {
        let is = |name: &str, value: &str| text(node, name).is_some_and(|text| text == value);
        is("role", "master") && !is("health", "fail") && !has_id(node, of)
    };
    NodeId::parse(text(shard.iter().find(leads)?, "id")?.as_bytes())
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// A value of a map, which servers send flat in the older protocol.
fn field<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    let is_wanted = |key: &Value| text_of(key).is_some_and(|text| text == name);
    match map {
        Value::Map(pairs) => pairs.iter().find(|(key, _)| is_wanted(key)).map(|(_, value)| value),
        Value::Array(flat) => flat.chunks_exact(2).find(|pair| is_wanted(&pair[0])).map(|pair| &pair[1]),
        _ => None,
    }
}

fn text(map: &Value, name: &str) -> Option<String> {
    field(map, name).and_then(text_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::id;

    fn word(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn node(letter: char, role: &str, health: &str) -> Value {
        let id = id(letter).to_string();
        Value::Array(["id", &id, "role", role, "health", health].map(word).into())
    }

    #[test]
    fn who_leads_a_shard() {
        let shard = |nodes: Vec<Value>| {
            Value::Array(vec![word("slots"), Value::Array(vec![]), word("nodes"), Value::Array(nodes)])
        };
        let shards = Value::Array(vec![
            shard(vec![node('a', "master", "fail"), node('b', "master", "online"), node('c', "replica", "online")]),
            shard(vec![node('d', "master", "online")]),
            shard(vec![node('e', "master", "fail")]),
        ]);
        assert_eq!(leader(&shards, &id('a')), Some(id('b')));
        assert_eq!(leader(&shards, &id('c')), Some(id('b')));
        for alone in ['d', 'e', 'x'] {
            assert_eq!(leader(&shards, &id(alone)), None, "{alone}");
        }
        let map =
            Value::Map(vec![(word("nodes"), Value::Array(vec![node('b', "master", "online"), node('a', "", "")]))]);
        assert_eq!(leader(&Value::Array(vec![map]), &id('a')), Some(id('b')));
        assert_eq!(leader(&Value::Nil, &id('a')), None);
    }
}
