//! `trib call`: one command on every node.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use redis::Value;

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::keytext;
use crate::trib::report;
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals::Vitals;

/// Run a command on every node
///
/// Options of trib may stand anywhere; behind -- all words belong to the command.
#[derive(clap::Args)]
pub struct Args {
    /// Which nodes: all, primaries, replicas, or zone:NAME for those of one availability zone
    #[arg(long, value_name = "WHICH", default_value = "all", value_parser = parse_on)]
    on: On,
    /// Only on primaries
    #[arg(long, visible_alias = "only-primaries", conflicts_with = "on")]
    only_masters: bool,
    /// Only on replicas
    #[arg(long, visible_alias = "only-slaves", conflicts_with = "on")]
    only_replicas: bool,
    /// Read the last argument from stdin
    #[arg(short = 'x', long)]
    stdin: bool,
    /// Read the argument that is this word from stdin
    #[arg(short = 'X', long, value_name = "WORD", conflicts_with = "stdin")]
    stdin_tag: Option<String>,
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    node: Addr,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Which nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum On {
    All,
    Nobody,
    Primaries,
    Replicas,
    Zone(String),
}

fn parse_on(text: &str) -> Result<On, &'static str> {
    match text {
        "all" => Ok(On::All),
        "primaries" => Ok(On::Primaries),
        "replicas" => Ok(On::Replicas),
        _ => match text.strip_prefix("zone:") {
            Some(zone) if !zone.is_empty() => Ok(On::Zone(zone.to_owned())),
            _ => Err("it is all, primaries, replicas or zone:NAME"),
        },
    }
}

/// Enough for a command that works for long, such as SAVE.
const REPLY_LIMIT: Duration = Duration::from_secs(600);

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    if args.only_masters && args.only_replicas && ui.wording() == Wording::Trib {
        return Err(Error::usage("[ERR] No node is both a primary and a replica: --only-masters or --only-replicas."));
    }
    let view = ClusterView::load(&ctx.pool, &args.node).await?;
    let input = if args.stdin || args.stdin_tag.is_some() { Some(stdin()?) } else { None };
    let words = words(args, input.as_deref())?;
    ui.heading(format!(">>> Calling {}", shown(args, &words, ui.wording())));
    let mut cmd = redis::Cmd::new();
    for word in &words {
        cmd.arg(word);
    }
    let on = match (args.only_masters, args.only_replicas) {
        // redis-cli leaves out whoever is not the one, and then whoever is not the other.
        (true, true) => On::Nobody,
        (true, _) => On::Primaries,
        (_, true) => On::Replicas,
        _ => args.on.clone(),
    };
    let all = report::in_order(ui, &view);
    let nodes: Vec<&Node> = match &on {
        On::All => all,
        On::Nobody => Vec::new(),
        On::Primaries => all.into_iter().filter(|node| node.is_primary()).collect(),
        On::Replicas => all.into_iter().filter(|node| node.is_replica()).collect(),
        On::Zone(zone) => in_zone(&view, &Vitals::load(&ctx.pool, &view).await, zone)?,
    };
    let results = join_all(nodes.iter().map(|node| async {
        match &node.report {
            Ok(_) => {
                let client = ctx.pool.client(&node.addr).await?;
                client.call_within(client.timeouts().long(REPLY_LIMIT), &cmd).await
            }
            Err(failure) => Err(failure.clone()),
        }
    }))
    .await;
    let mut failed = false;
    ui.json(&nodes.iter().zip(&results).map(|(node, result)| answer(node, result)).collect::<Vec<_>>());
    for (node, result) in nodes.iter().zip(results) {
        ui.part(format!("{}: ", node.addr));
        match result {
            Ok(value) => ui.bytes(&raw(&value)),
            Err(failure) => {
                failed = true;
                ui.bytes(failure_text(ui.wording(), &failure).as_bytes());
            }
        }
        ui.part("\n");
    }
    match ui.wording() {
        Wording::Trib if failed => Err(Error::reported(Kind::Failed)),
        // redis-cli calls everything a success.
        _ => Ok(()),
    }
}

/// The nodes of one availability zone, as the servers tell theirs.
fn in_zone<'v>(view: &'v ClusterView, vitals: &Vitals, zone: &str) -> Result<Vec<&'v Node>, Error> {
    let zone_of = |node: &Node| vitals.get(&node.id).map(|vital| vital.zone.as_str()).unwrap_or_default();
    let nodes: Vec<&Node> = view.nodes.iter().filter(|node| zone_of(node) == zone).collect();
    if !nodes.is_empty() {
        return Ok(nodes);
    }
    let zones: BTreeSet<&str> = view.nodes.iter().map(zone_of).filter(|zone| !zone.is_empty()).collect();
    let error = Error::failed(format!("[ERR] No node says that it is in the zone '{zone}'."));
    Err(match zones.is_empty() {
        true => error.hint(
            "no node tells its zone: servers that have it are told by 'availability-zone' in their configuration",
        ),
        false => error.hint(format!("there are: {}", zones.into_iter().collect::<Vec<_>>().join(", "))),
    })
}

/// All that comes from stdin.
pub fn stdin() -> Result<Vec<u8>, Error> {
    let mut input = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut input);
    read.map_err(|e| Error::failed(format!("[ERR] cannot read stdin: {e}")))?;
    Ok(input)
}

/// The command, with the part of it that comes from stdin.
fn words(args: &Args, input: Option<&[u8]>) -> Result<Vec<Vec<u8>>, Error> {
    let mut words: Vec<Vec<u8>> = args.words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let Some(input) = input else { return Ok(words) };
    match &args.stdin_tag {
        None => words.push(input.to_vec()),
        Some(tag) => match words.iter_mut().find(|word| *word == tag.as_bytes()) {
            Some(word) => *word = input.to_vec(),
            None => {
                return Err(Error::usage(format!("[ERR] The word '{tag}' is not in the command."))
                    .hint(format!("it is replaced by what comes from stdin, as in: -X {tag} set key {tag}")));
            }
        },
    }
    Ok(words)
}

/// The command as it is told. What comes from stdin may be a secret that was kept off the command line for that; redis-cli
/// shows it all the same.
fn shown(args: &Args, words: &[Vec<u8>], wording: Wording) -> String {
    let typed = args.words.iter().map(|word| word.to_string_lossy());
    match wording {
        Wording::RedisCli => words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" "),
        Wording::Trib => typed.chain(args.stdin.then(|| "(from stdin)".into())).collect::<Vec<_>>().join(" "),
    }
}

/// What one node said, as data.
fn answer(node: &Node, result: &Result<Value, Failure>) -> serde_json::Value {
    let role = if node.is_primary() { "primary" } else { "replica" };
    let mut answer = serde_json::json!({ "node": node.addr.to_string(), "id": node.id.to_string(), "role": role });
    match result {
        Ok(value) => answer["reply"] = as_json(value),
        Err(failure) => answer["error"] = failure.reason().into(),
    }
    answer
}

/// A reply as JSON.
fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Int(n) => (*n).into(),
        Value::Double(n) => (*n).into(),
        Value::Boolean(b) => (*b).into(),
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => {
            items.iter().map(as_json).collect::<Vec<_>>().into()
        }
        Value::Map(pairs) => serde_json::Value::Object(
            pairs.iter().map(|(key, value)| (keytext::exact(&raw(key)), as_json(value))).collect(),
        ),
        Value::Nil => serde_json::Value::Null,
        other => keytext::exact(&raw(other)).into(),
    }
}

fn failure_text(wording: Wording, failure: &Failure) -> String {
    match (wording, failure) {
        (Wording::RedisCli, Failure::Reply { text, .. }) => format!("{text}\n"),
        (Wording::RedisCli, _) => "Failed!".to_owned(),
        (Wording::Trib, _) => failure.reason(),
    }
}

/// A reply as redis-cli shows it on a pipe: the bytes themselves, a line for each element.
fn raw(value: &Value) -> Vec<u8> {
    match value {
        Value::Nil => Vec::new(),
        Value::Int(n) => n.to_string().into_bytes(),
        Value::BulkString(bytes) | Value::BigNumber(bytes) => bytes.clone(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone().into_bytes(),
        Value::Okay => b"OK".to_vec(),
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => {
            items.iter().map(raw).collect::<Vec<_>>().join(&b'\n')
        }
        Value::Map(pairs) => pairs.iter().flat_map(|(k, v)| [raw(k), raw(v)]).collect::<Vec<_>>().join(&b'\n'),
        Value::Attribute { data, .. } => raw(data),
        Value::Double(n) => n.to_string().into_bytes(),
        Value::Boolean(b) => b.to_string().into_bytes(),
        Value::ServerError(error) => {
            format!("{}{}", error.code(), error.details().map(|d| format!(" {d}")).unwrap_or_default()).into_bytes()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::cli::parse;
    use crate::trib::cmd::Command;

    #[test]
    fn nodes_are_chosen_by_role_or_zone() {
        assert_eq!(parse_on("replicas"), Ok(On::Replicas));
        assert_eq!(parse_on("zone:eu-1"), Ok(On::Zone("eu-1".to_owned())));
        assert!(parse_on("zone:").is_err() && parse_on("some").is_err());
        let view = crate::trib::view::tests::small();
        let none = in_zone(&view, &Vitals::default(), "eu-1").unwrap_err();
        assert!(none.hint.unwrap().contains("availability-zone"));
    }

    #[test]
    fn what_comes_from_stdin_is_sent_and_not_shown() {
        let told = |line: &str, wording| {
            let line = line.split(' ').map(std::ffi::OsString::from);
            let Ok((Command::Call(args), _)) = parse(line, |_| None) else { panic!("not call") };
            let words = words(&args, Some(b"s3cret")).unwrap();
            assert_eq!(words.iter().filter(|word| *word == b"s3cret").count(), 1);
            shown(&args, &words, wording)
        };
        let (last, tag) = ("trib call -x h:1 CONFIG SET masterauth", "trib call -X it h:1 CONFIG SET masterauth it");
        assert_eq!(told(last, Wording::Trib), "CONFIG SET masterauth (from stdin)");
        assert_eq!(told(tag, Wording::Trib), "CONFIG SET masterauth it");
        for line in [last, tag] {
            assert_eq!(told(line, Wording::RedisCli), "CONFIG SET masterauth s3cret", "as redis-cli 7.0");
        }
    }

    #[test]
    fn replies_are_shown_raw() {
        let nested = Value::Array(vec![
            Value::Int(-3),
            Value::Nil,
            Value::Array(vec![Value::Okay, Value::BulkString(b"a\xff\n".to_vec())]),
            Value::Array(vec![]),
        ]);
        assert_eq!(raw(&nested), b"-3\n\nOK\na\xff\n\n");
        assert_eq!(raw(&Value::Nil), b"");
        assert_eq!(as_json(&nested).to_string(), r#"[-3,null,["OK","hex:61ff0a"],[]]"#);
        let map = Value::Map(vec![(Value::BulkString(b"\xff".to_vec()), Value::BulkString(b"\\xff".to_vec()))]);
        assert_eq!(as_json(&map).to_string(), r#"{"hex:ff":"\\xff"}"#);
    }
}
