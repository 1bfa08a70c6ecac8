//! Conversations of several connections with one server, written down: `transcripts/*.txt`.
//!
//! `name: COMMAND` sends a command (in redis-cli's quoting), `name> reply` is the next that comes on that connection,
//! `name: !close` closes it. In a reply `…` stands for any text, and `:$x` gives an integer a name that later lines may
//! use. `name node>` and `name stock>` are what only one of the
//! two servers says, each with its reason in a remark. At the end nothing more may have come.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::pair::{Wire, argv, encode};
use crate::support::{Server, ServerKind};

/// The directives of every server.
const DIRECTIVES: &str = "enable-debug-command yes";

/// The conversation of one file with one server.
struct Conversation<'a> {
    server: &'a Server,
    wires: BTreeMap<String, Wire>,
    named: BTreeMap<String, String>,
}

impl Conversation<'_> {
    fn wire(&mut self, name: &str) -> &mut Wire {
        self.wires.entry(name.to_owned()).or_insert_with(|| Wire::connect(self.server, false))
    }

    /// Sends or expects what one line says.
    fn step(&mut self, line: &str) -> Result<(), String> {
        let end = line.find([':', '>']).ok_or("neither sends nor expects")?;
        let (who, text) = (&line[..end], line[end + 1..].trim());
        let (name, only) = who.split_once(' ').map_or((who, None), |(name, only)| (name, Some(only)));
        let skipped = match only {
            None => false,
            Some("node") => self.server.kind != ServerKind::Node,
            Some("stock") => self.server.kind != ServerKind::Stock,
            Some(other) => return Err(format!("who is {other}?")),
        };
        if skipped {
            return Ok(());
        }
        let text = &self.named.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        if line[end..].starts_with('>') {
            let came = self.wire(name).next().map_err(|error| format!("nothing came: {error}"))?.to_string();
            if let (Some(name), Some(value)) = (text.strip_prefix(":$"), came.strip_prefix(':')) {
                self.named.insert(format!("${name}"), value.to_owned());
                return Ok(());
            }
            return if fits(text, came.trim_end()) { Ok(()) } else { Err(format!("came {came}")) };
        }
        if text == "!close" {
            self.wires.remove(name);
            return Ok(());
        }
        self.wire(name).send(&encode(&argv(text))).map_err(|error| error.to_string())
    }
}

/// Whether `text` is `expected`, in which `…` stands for anything.
fn fits(expected: &str, text: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn run(kind: ServerKind) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diff/transcripts");
    let mut files: Vec<PathBuf> = fs::read_dir(dir).expect("the transcripts").flatten().map(|e| e.path()).collect();
    files.sort();
    for file in files {
        let server = Server::start(kind, DIRECTIVES);
        let mut conversation = Conversation { server: &server, wires: BTreeMap::new(), named: BTreeMap::new() };
        let text = fs::read_to_string(&file).expect("a transcript");
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if let Err(why) = conversation.step(line) {
                panic!("{kind:?}, {}:{}: {line}\n  {why}", file.display(), n + 1);
            }
        }
        for (name, wire) in &mut conversation.wires {
            let rest = wire.rest();
            assert!(rest.is_empty(), "{kind:?}, {}: {name} still heard {rest}", file.display());
        }
    }
}

#[test]
fn node_says_what_is_written() {
    run(ServerKind::Node);
}

#[test]
fn a_stock_server_says_what_is_written() {
    if ServerKind::Stock.is_available() {
        run(ServerKind::Stock);
    }
}

#[test]
fn any_text() {
    for (expected, text, result) in [
        ("+OK", "+OK", true),
        ("+OK", "+OKAY", false),
        ("a…c", "abc", true),
        ("a…c", "ac", true),
        ("a…c", "acd", false),
        ("…b…", "abc", true),
        ("…x…", "abc", false),
        ("a…a", "a", false),
    ] {
        assert_eq!(fits(expected, text), result, "{expected} {text}");
    }
}
