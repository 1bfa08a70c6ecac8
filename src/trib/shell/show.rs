//! Replies as redis-cli shows them: numbered and quoted for people, plain for a pipe, with commas, or as JSON.

use crate::base::words;
use crate::resp::client::ReplyValue as Reply;
use crate::trib::keytext::exact;

/// How replies are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Form {
    /// For people: types are shown, strings quoted, elements numbered
    #[default]
    Pretty,
    /// The bytes themselves, a line for each element
    Raw,
    /// Commas
    Csv,
    /// JSON
    Json,
}

/// The reply with the end of its line.
#[must_use]
pub fn show(reply: &Reply, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        Form::Pretty => pretty(&mut out, reply, b""),
        Form::Raw => {
            raw(&mut out, reply);
            out.push(b'\n');
        }
        Form::Csv => {
            csv(&mut out, reply);
            out.push(b'\n');
        }
        Form::Json => {
            out = json(reply).to_string().into_bytes();
            out.push(b'\n');
        }
    }
    out
}

/// Commands whose replies are texts for people: shown as they are, also where others are quoted.
#[must_use]
pub fn is_text(words: &[Vec<u8>]) -> bool {
    let word = |at: usize| words.get(at).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let (name, sub) = (word(0), word(1));
    match name.as_slice() {
        b"info" | b"lolwut" => true,
        b"debug" => matches!(sub.as_slice(), b"htstats" | b"htstats-key" | b"client-eviction"),
        b"memory" => matches!(sub.as_slice(), b"malloc-stats" | b"doctor"),
        b"cluster" => matches!(sub.as_slice(), b"info" | b"nodes"),
        b"client" => matches!(sub.as_slice(), b"list" | b"info"),
        b"latency" => matches!(sub.as_slice(), b"graph" | b"doctor"),
        b"proxy" => sub == b"info",
        _ => false,
    }
}

/// Every line of a nested reply but its first stands behind `indent`.
fn pretty(out: &mut Vec<u8>, reply: &Reply, indent: &[u8]) {
    match reply {
        Reply::Error(text) => line(out, b"(error) ", text),
        Reply::Status(text) => line(out, b"", text),
        Reply::Integer(n) => line(out, b"(integer) ", n.to_string().as_bytes()),
        Reply::Double(text) => line(out, b"(double) ", text),
        Reply::BigNumber(text) => line(out, b"(big number) ", text),
        Reply::Boolean(value) => line(out, b"", if *value { b"(true)" } else { b"(false)" }),
        Reply::Null => line(out, b"", b"(nil)"),
        Reply::Verbatim { text, .. } => line(out, b"", text),
        Reply::Bulk(bytes) => line(out, b"", &words::quoted(bytes)),
        Reply::Array(items) if items.is_empty() => line(out, b"", b"(empty array)"),
        Reply::Set(items) if items.is_empty() => line(out, b"", b"(empty set)"),
        Reply::Push(items) if items.is_empty() => line(out, b"", b"(empty push)"),
        Reply::Map(pairs) if pairs.is_empty() => line(out, b"", b"(empty hash)"),
        Reply::Array(items) | Reply::Push(items) => elements(out, items, b')', indent),
        Reply::Set(items) => elements(out, items, b'~', indent),
        Reply::Map(pairs) => {
            let (width, inner) = indented(pairs.len(), indent);
            for (at, (key, value)) in pairs.iter().enumerate() {
                number(out, at, width, b'#', indent);
                pretty(out, key, &inner);
                out.pop();
                out.extend_from_slice(b" => ");
                let mut shown = Vec::new();
                pretty(&mut shown, value, &inner);
                // What has several lines begins on one of its own.
                if is_group(value) && shown[..shown.len() - 1].contains(&b'\n') {
                    out.push(b'\n');
                    out.extend_from_slice(&inner);
                }
                out.extend_from_slice(&shown);
            }
        }
    }
}

fn line(out: &mut Vec<u8>, before: &[u8], text: &[u8]) {
    out.extend_from_slice(before);
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn elements(out: &mut Vec<u8>, items: &[Reply], mark: u8, indent: &[u8]) {
    let (width, inner) = indented(items.len(), indent);
    for (at, item) in items.iter().enumerate() {
        number(out, at, width, mark, indent);
        pretty(out, item, &inner);
    }
}

/// How wide the numbers of so many elements are, and where what is in them stands.
fn indented(count: usize, indent: &[u8]) -> (usize, Vec<u8>) {
    let width = count.to_string().len();
    (width, [indent, &b" ".repeat(width + 2)].concat())
}

fn number(out: &mut Vec<u8>, at: usize, width: usize, mark: u8, indent: &[u8]) {
    // The first one stands where its holder begins.
    if at > 0 {
        out.extend_from_slice(indent);
    }
    out.extend_from_slice(format!("{:>width$}{} ", at + 1, char::from(mark)).as_bytes());
}

fn is_group(reply: &Reply) -> bool {
    matches!(reply, Reply::Map(_)) || reply.as_items().is_some()
}

fn raw(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Null => {}
        Reply::Error(text) => line(out, b"", text),
        Reply::Status(text)
        | Reply::Bulk(text)
        | Reply::Verbatim { text, .. }
        | Reply::Double(text)
        | Reply::BigNumber(text) => out.extend_from_slice(text),
        Reply::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Reply::Boolean(value) => out.extend_from_slice(if *value { b"(true)" } else { b"(false)" }),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => joined(out, items, b'\n', raw),
        Reply::Map(pairs) => joined(out, pairs, b'\n', |out, (key, value)| {
            raw(out, key);
            out.push(b' ');
            raw(out, value);
        }),
    }
}

fn joined<T>(out: &mut Vec<u8>, items: &[T], between: u8, show: impl Fn(&mut Vec<u8>, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(between);
        }
        show(out, item);
    }
}

fn csv(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Null => out.extend_from_slice(b"NULL"),
        Reply::Error(text) => {
            out.extend_from_slice(b"ERROR,");
            words::push_quoted(out, text);
        }
        Reply::Status(text) | Reply::Bulk(text) | Reply::Verbatim { text, .. } => words::push_quoted(out, text),
        Reply::Double(text) | Reply::BigNumber(text) => out.extend_from_slice(text),
        Reply::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Reply::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => joined(out, items, b',', csv),
        Reply::Map(pairs) => joined(out, pairs, b',', |out, (key, value)| {
            csv(out, key);
            out.push(b',');
            csv(out, value);
        }),
    }
}

/// As data. A number that JSON cannot hold is a text.
#[must_use]
pub fn json(reply: &Reply) -> serde_json::Value {
    match reply {
        Reply::Null => serde_json::Value::Null,
        Reply::Error(text) => serde_json::json!({ "error": exact(text) }),
        Reply::Status(text) | Reply::Bulk(text) | Reply::Verbatim { text, .. } => exact(text).into(),
        Reply::Integer(n) => (*n).into(),
        Reply::Double(text) | Reply::BigNumber(text) => {
            let text = exact(text);
            let number = text.parse::<f64>().ok().filter(|n| n.is_finite()).and_then(serde_json::Number::from_f64);
            match reply {
                Reply::Double(_) => number.map_or_else(|| text.into(), serde_json::Value::Number),
                _ => text.into(),
            }
        }
        Reply::Boolean(value) => (*value).into(),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => items.iter().map(json).collect(),
        Reply::Map(pairs) => {
            let name = |key: &Reply| match json(key) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            serde_json::Value::Object(pairs.iter().map(|(key, value)| (name(key), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    fn shown(reply: &Reply, form: Form) -> String {
        String::from_utf8(show(reply, form)).unwrap()
    }

    fn nested() -> Reply {
        let ten: Vec<Reply> = (1..=10).map(Reply::Integer).collect();
        Reply::Array(vec![
            Reply::Array(vec![Reply::Integer(2), Reply::Array(vec![])]),
            bulk("a \"b\"\n\x01"),
            Reply::Null,
            Reply::Error("ERR boom".into()),
            Reply::Map(vec![
                (bulk("k"), Reply::Set(vec![Reply::Boolean(true), Reply::Double("0.10".into())])),
                (bulk("e"), Reply::Map(vec![])),
            ]),
            Reply::Array(ten),
        ])
    }

    #[test]
    fn people_see_types_and_numbers() {
        insta::assert_snapshot!(shown(&nested(), Form::Pretty), @r#"
        1) 1) (integer) 2
           2) (empty array)
        2) "a \"b\"\n\x01"
        3) (nil)
        4) (error) ERR boom
        5) 1# "k" => 
              1~ (true)
              2~ (double) 0.10
           2# "e" => (empty hash)
        6)  1) (integer) 1
            2) (integer) 2
            3) (integer) 3
            4) (integer) 4
            5) (integer) 5
            6) (integer) 6
            7) (integer) 7
            8) (integer) 8
            9) (integer) 9
           10) (integer) 10
        "#);
    }

    #[test]
    fn programs_see_lines_commas_or_json() {
        let map = Reply::Map(vec![(bulk("a"), Reply::Integer(1)), (Reply::Integer(2), Reply::Double("inf".into()))]);
        assert_eq!(shown(&map, Form::Raw), "a 1\n2 inf\n");
        assert_eq!(shown(&map, Form::Csv), "\"a\",1,2,inf\n");
        assert_eq!(shown(&map, Form::Json), "{\"2\":\"inf\",\"a\":1}\n");
        let list = Reply::Array(vec![bulk("x"), Reply::Null, Reply::Error("ERR no".into())]);
        assert_eq!(shown(&list, Form::Raw), "x\n\nERR no\n\n");
        assert_eq!(shown(&list, Form::Csv), "\"x\",NULL,ERROR,\"ERR no\"\n");
        assert_eq!(shown(&list, Form::Json), "[\"x\",null,{\"error\":\"ERR no\"}]\n");
        assert_eq!(show(&Reply::Bulk(vec![0xff]), Form::Raw), b"\xff\n");
        assert_eq!(shown(&Reply::Bulk(vec![0xff]), Form::Json), "\"hex:ff\"\n");
    }

    #[test]
    fn texts_for_people_are_known() {
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        assert!(is_text(&words("INFO")) && is_text(&words("cluster NODES")) && is_text(&words("client list")));
        assert!(!is_text(&words("cluster slots")) && !is_text(&words("get info")) && !is_text(&[]));
    }
}
