//! Runs a list of commands at both servers and compares: in batches, since one by one would take hours.

use std::fmt;
use std::io;

use super::generate::Op;
use super::judge::{self, Wires};
use super::words::{BAD_DUMP_OF, DUMP_OF};
use super::{fields, files};
use crate::compare::Session;
use crate::pair::{Argv, Pair, Wire, argv, encode};
use crate::reply::{Reply, shown};
use crate::support::ServerKind;

/// Commands sent at once.
const BATCH: usize = 64;

/// Two clients of the same server, and what they have queued.
struct Client {
    node: Wire,
    stock: Wire,
    session: Session,
}

/// The first difference of a run.
#[derive(Debug)]
pub struct Difference {
    /// The number of the command.
    pub at: usize,
    /// Its name.
    pub name: String,
    text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a command is not sent in a batch: because its reply leads to more questions.
pub fn runs_alone(args: &Argv) -> bool {
    let is = |i: usize, word: &str| args.get(i).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    is(0, "dump")
        || is(0, "object") && is(1, "encoding")
        || ["scan", "sscan", "hscan", "zscan"].iter().any(|name| is(0, name))
        || args.iter().any(|arg| arg.starts_with(DUMP_OF) || arg.starts_with(BAD_DUMP_OF))
}

/// Runs `ops` on empty datasets. A server that went down is started again.
pub fn run(pair: &mut Pair, ops: &[Op]) -> Option<Difference> {
    let connect = |pair: &Pair| Client {
        node: Wire::connect(&pair.node_server, pair.mode.resp3),
        stock: Wire::connect(&pair.stock_server, pair.mode.resp3),
        session: Session::default(),
    };
    pair.reconnect();
    pair.both("FLUSHALL");
    let mut clients = [connect(pair), connect(pair)];
    let mut from = 0;
    while from < ops.len() {
        let batch = batch_len(&ops[from..]);
        let client = &mut clients[ops[from].client];
        let result = if runs_alone(&ops[from].args) {
            run_alone(pair, client, &ops[from].args)
        } else {
            run_batch(client, &ops[from..from + batch])
        };
        match result {
            Ok(None) => {}
            Ok(Some((i, text))) => return Some(Difference { at: from + i, name: name_of(&ops[from + i]), text }),
            Err(error) => return Some(connection_lost(pair, from + batch - 1, &ops[from..from + batch], &error)),
        }
        from += batch;
    }
    let difference = if pair.stock_server.kind == ServerKind::Stock {
        digest_difference(pair).or_else(|| file_difference(pair))
    } else {
        let of_fields = fields::difference(pair).unwrap_or_else(|error| Some(error.to_string()));
        // The digests come last: without the expiries of fields.
        of_fields.map(|text| ("fields", text)).or_else(|| file_difference(pair)).or_else(|| {
            fields::all_stay(pair).err().map(|error| ("fields", error.to_string())).or_else(|| digest_difference(pair))
        })
    };
    let at = ops.len().saturating_sub(1);
    difference.map(|(name, text)| Difference { at, name: name.to_owned(), text })
}

/// What differs at the end, with a name for the kind of it.
type AtEnd = Option<(&'static str, String)>;

fn digest_difference(pair: &mut Pair) -> AtEnd {
    let (node, stock) = pair.both("DEBUG DIGEST");
    (node != stock).then(|| ("digest", differing_keys(pair)))
}

fn file_difference(pair: &mut Pair) -> AtEnd {
    files::misunderstood(pair).map(|text| ("file", text))
}

/// How many databases there are to look at.
pub fn databases(pair: &Pair) -> u32 {
    if pair.mode.cluster { 1 } else { 16 }
}

fn name_of(op: &Op) -> String {
    String::from_utf8_lossy(&op.args[0]).to_ascii_lowercase()
}

fn batch_len(ops: &[Op]) -> usize {
    if runs_alone(&ops[0].args) {
        return 1;
    }
    let fits = |op: &&Op| op.client == ops[0].client && !runs_alone(&op.args);
    ops.iter().take(BATCH).take_while(fits).count()
}

/// The first command of `ops` that was answered differently, and how.
fn run_batch(client: &mut Client, ops: &[Op]) -> io::Result<Option<(usize, String)>> {
    let request: Vec<u8> = ops.iter().flat_map(|op| encode(&op.args)).collect();
    client.node.send(&request)?;
    client.stock.send(&request)?;
    let mut first = None;
    for (i, op) in ops.iter().enumerate() {
        let (node, stock) = (client.node.next()?, client.stock.next()?);
        let same = client.session.same(&op.args, &node, &stock);
        if !same && first.is_none() {
            first = Some((i, report(&op.args, &node, &stock)));
        }
    }
    Ok(first)
}

/// One command whose reply is looked at more closely.
fn run_alone(pair: &mut Pair, client: &mut Client, args: &Argv) -> io::Result<Option<(usize, String)>> {
    let mut sent = args.clone();
    for word in &mut sent {
        if let Some(key) = word.strip_prefix(DUMP_OF) {
            *word = payload(pair, key)?;
        } else if let Some(key) = word.strip_prefix(BAD_DUMP_OF) {
            *word = payload(pair, key)?;
            let at = word.len() / 2;
            word.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
        }
    }
    let request = encode(&sent);
    client.node.send(&request)?;
    client.stock.send(&request)?;
    let (node, stock) = (client.node.next()?, client.stock.next()?);
    let mut wires = Wires { node: &mut client.node, stock: &mut client.stock };
    if client.session.same(args, &node, &stock) || judge::is_meant(&mut wires, args, &node, &stock)? {
        return Ok(None);
    }
    Ok(Some((0, report(&sent, &node, &stock))))
}

/// What DUMP of the stock server gives for a key; nothing if there is none.
fn payload(pair: &mut Pair, key: &[u8]) -> io::Result<Vec<u8>> {
    let dump = pair.stock.call(&[b"DUMP".to_vec(), key.to_vec()])?;
    Ok(dump.string().unwrap_or_default().to_vec())
}

fn report(args: &Argv, node: &Reply, stock: &Reply) -> String {
    format!("> {}\n  node  {node}\n  stock {stock}", shown(args))
}

/// The server that does not answer any more is started again.
fn connection_lost(pair: &mut Pair, at: usize, ops: &[Op], error: &io::Error) -> Difference {
    let log = pair.revive();
    let commands: Vec<String> = ops.iter().map(|op| shown(&op.args)).collect();
    Difference {
        at,
        name: String::from("connection"),
        text: format!("{error} at one of\n{}\n{log}", commands.join("\n")),
    }
}

/// The keys whose values are not the same.
pub fn differing_keys(pair: &mut Pair) -> String {
    let mut text = String::from("DEBUG DIGEST differs:");
    for db in 0..databases(pair) {
        pair.both(&format!("SELECT {db}"));
        let (mut keys, stock_keys) = pair.both("KEYS *");
        let missing = |a: &Reply, b: &Reply| a.items.iter().any(|key| !b.items.contains(key));
        if missing(&keys, &stock_keys) || missing(&stock_keys, &keys) {
            text += &format!("\n  db {db}: node has {keys}, stock {stock_keys}");
        }
        keys.items.retain(|key| stock_keys.items.contains(key));
        for key in &keys.items {
            let name = shown(std::slice::from_ref(&key.text));
            let (node, stock) = pair.both(&format!("DEBUG DIGEST-VALUE {name}"));
            if node != stock {
                text += &format!(
                    "\n  db {db}: {name}\n    node  {}\n    stock {}",
                    told(&mut pair.node, key),
                    told(&mut pair.stock, key)
                );
            }
        }
    }
    text
}

/// What a server has under a key.
fn told(wire: &mut Wire, key: &Reply) -> String {
    let mut call = |words: &str| {
        let mut args = argv(words);
        let at = args.iter().position(|word| word == b"KEY").expect("a place for the key");
        args[at] = key.text.clone();
        wire.call(&args).expect("an answer")
    };
    let kind = call("TYPE KEY").to_string();
    let value = match kind.as_str() {
        "+string" => call("GET KEY"),
        "+list" => call("LRANGE KEY 0 -1"),
        "+set" => call("SMEMBERS KEY"),
        "+hash" => call("HGETALL KEY"),
        "+zset" => call("ZRANGE KEY 0 -1 WITHSCORES"),
        _ => call("DUMP KEY"),
    };
    format!("{kind} {value} expires {}", call("PEXPIRETIME KEY"))
}
