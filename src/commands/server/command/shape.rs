//! The entry of one command in COMMAND and COMMAND INFO.

use super::names;
use crate::exec::{Begin, Command, Find, KeySpec};
use crate::resp::Reply;

pub fn push_command(reply: &mut Reply, command: &Command) {
    let (first, last, step) = key_range(command.keys);
    reply.array(10);
    reply.bulk_str(command.name);
    reply.int(i64::from(command.arity));
    push_words(reply, command.flags.iter().filter_map(names::flag));
    for n in [first, last, step] {
        reply.int(i64::from(n));
    }
    let categories = command.categories();
    reply.set(categories.iter().count());
    for category in categories.iter() {
        reply.simple(&format!("@{}", names::acl(category)));
    }
    reply.set(command.tips.len());
    for tip in command.tips {
        reply.bulk_str(tip);
    }
    reply.set(command.keys.len());
    for spec in command.keys {
        push_key_spec(reply, spec);
    }
    reply.array(command.subcommands.len());
    for sub in command.subcommands {
        push_command(reply, sub);
    }
}

/// A set of statuses.
pub fn push_words(reply: &mut Reply, words: impl Iterator<Item = &'static str>) {
    let open = reply.open();
    let mut count = 0;
    for word in words {
        reply.simple(word);
        count += 1;
    }
    reply.end_set(open, count);
}

fn push_key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(3);
    reply.bulk_str("flags");
    push_words(reply, spec.flags.iter().map(names::key_flag));
    reply.bulk_str("begin_search");
    match spec.begin {
        Begin::Unknown => push_search(reply, "unknown", &[]),
        Begin::Index(index) => push_search(reply, "index", &[("index", index)]),
        Begin::Keyword(word, from) => {
            push_kind(reply, "keyword", 2);
            reply.bulk_str("keyword");
            reply.bulk_str(word);
            reply.bulk_str("startfrom");
            reply.int(i64::from(from));
        }
    }
    reply.bulk_str("find_keys");
    match spec.find {
        Find::Unknown => push_search(reply, "unknown", &[]),
        Find::Range { last, step, limit } => {
            push_search(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
        }
        Find::KeyNum { count, first, step } => {
            push_search(reply, "keynum", &[("keynumidx", count), ("firstkey", first), ("keystep", step)]);
        }
    }
}

fn push_search(reply: &mut Reply, kind: &str, numbers: &[(&str, i32)]) {
    push_kind(reply, kind, numbers.len());
    for (name, n) in numbers {
        reply.bulk_str(name);
        reply.int(i64::from(*n));
    }
}

/// The head of a search with this many facts.
fn push_kind(reply: &mut Reply, kind: &str, facts: usize) {
    reply.map(2);
    reply.bulk_str("type");
    reply.bulk_str(kind);
    reply.bulk_str("spec");
    reply.map(facts);
}

/// First key, last key and step, as far as the key specs can be said in these numbers: the specs that are ranges from
/// a fixed place and follow each other.
pub fn key_range(specs: &[KeySpec]) -> (i32, i32, i32) {
    let range = |spec: &KeySpec| match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range { last, step, .. }) => {
            Some((first, if last >= 0 { first + last } else { last }, step))
        }
        _ => None,
    };
    if let [spec] = specs {
        return range(spec).unwrap_or_default();
    }
    let mut whole: Option<(i32, i32)> = None;
    for (first, last, step) in specs.iter().filter_map(range) {
        if step != 1 {
            continue;
        }
        whole = match whole {
            None => Some((first, last)),
            Some((from, to)) if to == first - 1 => Some((from, last)),
            other => other,
        };
    }
    whole.map_or((0, 0, 0), |(first, last)| (first, last, 1))
}
