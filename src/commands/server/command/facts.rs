//! Every declaration held against what Valkey 9.1.2 tells of the same command.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{names, shape};
use crate::commands;
use crate::exec::table::CommandTable;
use crate::exec::{Arg, Begin, Command, Find, Flags, KeySpec};

const FACTS: &str = include_str!("../../../../tests/data/commands-valkey-9.1.2.json");

/// Commands whose arguments are others here.
const OTHER_ARGUMENTS: &[(&str, &str)] = &[
    ("client|kill", "no capabilities are kept, so there is no filter for them"),
    ("client|list", "no capabilities are kept, so there is no filter for them"),
];

/// Commands that Redis 7 advises against and Valkey does not any more.
const DEPRECATED_IN_REDIS: &[&str] = &[
    "brpoplpush",
    "cluster|slots",
    "georadius",
    "georadius_ro",
    "georadiusbymember",
    "georadiusbymember_ro",
    "getset",
    "hmset",
    "psetex",
    "rpoplpush",
    "setex",
    "setnx",
    "substr",
    "zrangebylex",
    "zrangebyscore",
    "zrevrange",
    "zrevrangebylex",
    "zrevrangebyscore",
];

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    json!(words.collect::<BTreeSet<_>>())
}

/// The words of a list in order, since sets are told in any.
fn sorted_fact(fact: &Value) -> Value {
    sorted(fact.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn key_spec(spec: &KeySpec) -> Value {
    let begin = match spec.begin {
        Begin::Unknown => json!({"type": "unknown", "spec": {}}),
        Begin::Index(index) => json!({"type": "index", "spec": {"index": index}}),
        Begin::Keyword(word, from) => json!({"type": "keyword", "spec": {"keyword": word, "startfrom": from}}),
    };
    let find = match spec.find {
        Find::Unknown => json!({"type": "unknown", "spec": {}}),
        Find::Range { last, step, limit } => {
            json!({"type": "range", "spec": {"lastkey": last, "keystep": step, "limit": limit}})
        }
        Find::KeyNum { count, first, step } => {
            json!({"type": "keynum", "spec": {"keynumidx": count, "firstkey": first, "keystep": step}})
        }
    };
    json!({
        "begin_search": begin,
        "find_keys": find,
        "flags": sorted(spec.flags.iter().map(names::key_flag)),
    })
}

fn argument(arg: &Arg) -> Value {
    let mut fact = json!({"name": arg.name, "type": arg.kind.name()});
    let display = arg.display.filter(|text| *text != arg.name);
    let texts = [
        ("token", arg.token),
        ("since", arg.since),
        ("deprecated_since", arg.deprecated_since),
        ("display_text", display),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            fact[name] = json!(value);
        }
    }
    if let Some(index) = arg.key_spec {
        fact["key_spec_index"] = json!(index);
    }
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
    if flags.iter().any(|(set, _)| *set) {
        fact["flags"] = sorted(flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word));
    }
    if !arg.args.is_empty() {
        fact["arguments"] = arg.args.iter().map(argument).collect();
    }
    fact
}

fn declared(command: &Command) -> Value {
    let (first, last, step) = shape::key_range(command.keys);
    let flags = command.flags.iter().filter_map(names::flag);
    let categories: Vec<String> = command.categories().iter().map(|c| format!("@{}", names::acl(c))).collect();
    let mut fact = json!({
        "name": command.name,
        "arity": command.arity,
        "flags": sorted(flags),
        "acl": sorted(categories.iter().map(String::as_str)),
        "first_key": first,
        "last_key": last,
        "step": step,
        "tips": sorted(command.tips.iter().copied()),
        "since": command.since,
        "group": command.group.name(),
        "key_specs": command.keys.iter().map(key_spec).collect::<Vec<_>>(),
    });
    if !command.args.is_empty() {
        fact["arguments"] = command.args.iter().map(argument).collect();
    }
    if let Some((since, by)) = command.deprecated {
        fact["deprecated_since"] = json!(since);
        fact["replaced_by"] = json!(by);
    }
    fact
}

/// The fact in the order and with the words of [`declared`].
fn expected(fact: &Value) -> Value {
    let mut fact = fact.clone();
    for name in ["acl", "tips"] {
        fact[name] = sorted_fact(&fact[name]);
    }
    let flags = fact["flags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // Redis's word for it.
    fact["flags"] = sorted(flags.map(|flag| if flag == "skip_commandlog" { "skip_slowlog" } else { flag }));
    for spec in fact["key_specs"].as_array_mut().into_iter().flatten() {
        spec["flags"] = sorted_fact(&spec["flags"]);
    }
    sort_argument_flags(&mut fact);
    fact
}

fn sort_argument_flags(fact: &mut Value) {
    for arg in fact.get_mut("arguments").and_then(Value::as_array_mut).into_iter().flatten() {
        if arg.get("flags").is_some() {
            arg["flags"] = sorted_fact(&arg["flags"]);
        }
        sort_argument_flags(arg);
    }
}

#[test]
fn every_declaration_says_what_the_facts_say() {
    let facts: Vec<Value> = serde_json::from_str(FACTS).unwrap();
    let mut differences = Vec::new();
    for entry in CommandTable::new(&commands::all()).iter() {
        let command = entry.command;
        let Some(fact) = facts.iter().find(|fact| fact["name"] == command.name) else {
            differences.push(format!("{} is not known", command.name));
            continue;
        };
        let (mut expected, mut declared) = (expected(fact), declared(command));
        if OTHER_ARGUMENTS.iter().any(|(name, _)| *name == command.name) {
            for fact in [&mut expected, &mut declared] {
                fact["arguments"] = Value::Null;
            }
        }
        if DEPRECATED_IN_REDIS.contains(&command.name) {
            for name in ["deprecated_since", "replaced_by"] {
                declared[name] = Value::Null;
            }
        }
        let names = expected.as_object().unwrap().keys().chain(declared.as_object().unwrap().keys());
        for name in names.collect::<BTreeSet<_>>() {
            let (fact, own) = (&expected[name.as_str()], &declared[name.as_str()]);
            if fact != own {
                differences.push(format!("{}: {name} is {own}, the facts say {fact}", command.name));
            }
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn flags_without_a_word_are_few() {
    let silent: Vec<Flags> = Flags::all().iter().filter(|flag| names::flag(*flag).is_none()).collect();
    assert_eq!(silent, [Flags::MAY_REPLICATE, Flags::TOUCHES_ARBITRARY_KEYS]);
}

#[test]
fn a_name_is_known_in_any_case_and_only_whole() {
    let table = CommandTable::new(&commands::all());
    let get = table.find(b"get").unwrap();
    for (word, is) in [(&b"GET"[..], true), (b"get", true), (b"gEt", true), (b"getx", false), (b"ge", false)] {
        assert_eq!(table.is_called(get, word), is);
    }
}
