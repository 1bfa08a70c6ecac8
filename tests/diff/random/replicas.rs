//! What a primary did under a random load, its replicas have: whatever the commands were, and however they were rewritten
//! for the stream.
//!
//! Here only the outcome counts, so chance and time may have their part: members that SPOP picks, ids made of the time, keys
//! that expire meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trib::base::Rng;

use super::generate::{Generator, Op};
use super::template::Grammar;
use super::words::{BAD_DUMP_OF, DUMP_OF};
use super::{STRETCH, from_env};
use crate::pair::{Argv, Wire, argv, encode};
use crate::reply::Reply;
use crate::support::{Server, ServerKind, eventually};

/// Commands of each pair when nothing else is said.
const SHORT_RUN: usize = 6000;

/// How long two datasets may differ that are to become equal: expired keys are deleted one after the other.
const PATIENCE: Duration = Duration::from_secs(20);

const DATABASES: u32 = 16;

/// Fields of XINFO STREAM that belong to a server and not to its data.
const OF_THE_SERVER: [&[u8]; 6] =
    [b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time", b"idle", b"inactive"];

/// What a primary before Redis 7.2 does not tell its replicas of a group that was read from; nor does it tell of a consumer
/// that claimed nothing.
const NOT_TOLD_BY_STOCK: [&[u8]; 3] = [b"entries-read", b"lag", b"consumers"];

fn follow(primary: ServerKind, replica: ServerKind) -> Option<(Server, Server)> {
    if !primary.is_available() || !replica.is_available() {
        return None;
    }
    let directives = "enable-debug-command yes\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1";
    let (primary, replica) = (Server::start(primary, directives), Server::start(replica, directives));
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    eventually("the link is up", || replica.text("INFO replication").contains("master_link_status:up"));
    Some((primary, replica))
}

/// A command of a stretch that this test adds to those of the grammar.
fn of_chance(rng: &mut Rng) -> Argv {
    let n = rng.below(3);
    let line = match rng.below(10) {
        0 => format!("XADD stream{n} * f {}", rng.below(100)),
        1 => format!("XADD stream{n} MAXLEN ~ {} * f v", rng.below(200)),
        2 => format!("SPOP set{n} {}", rng.below(20)),
        3 => format!("SPOP set{n}"),
        4 => format!("SET string{n} v PX {}", 1 + rng.below(40)),
        5 => format!("PEXPIRE list{n} {}", 1 + rng.below(40)),
        6 => format!("GETEX string{n} PX {}", 1 + rng.below(40)),
        7 => format!("XREADGROUP GROUP group{n} someone COUNT 3 STREAMS stream{n} >"),
        8 => format!("XGROUP CREATE stream{n} group{n} 0 MKSTREAM"),
        _ => format!("XAUTOCLAIM stream{n} group{n} other 0 0 COUNT 5"),
    };
    argv(&line)
}

/// A command that only `node` has.
fn of_ours(rng: &mut Rng) -> Argv {
    let (n, m, ms) = (rng.below(3), rng.below(12), 1 + rng.below(60));
    let (secs, at) = (1 + rng.below(2), 4_102_444_800_000_u64);
    let line = match rng.below(12) {
        0 => format!("HEXPIRE hash{n} {secs} FIELDS 2 m{m} m1"),
        1 => format!("HPEXPIRE hash{n} {ms} FIELDS 2 m{m} m2"),
        2 => format!("HPEXPIREAT hash{n} {at} FIELDS 1 m{m}"),
        3 => format!("HGETEX hash{n} PX {ms} FIELDS 2 m{m} m3"),
        4 => format!("HSETEX hash{n} EX 100 FIELDS 2 m{m} 1 m4 2"),
        5 => format!("HSETEX hash{n} PX {ms} FIELDS 1 m{m} 1"),
        6 => format!("HPERSIST hash{n} FIELDS 1 m{m}"),
        7 => format!("HGETDEL hash{n} FIELDS 1 m{m}"),
        8 => format!("HINCRBYFLOAT hash{n} m{m} 0.5"),
        9 => format!("MSETEX 2 string{n} a string0 b PX {ms}"),
        10 => format!("HSETNX hash{n} m{m} 5"),
        _ => format!("DELIFEQ string{n} a"),
    };
    argv(&line)
}

/// Whether the command reads entries again that are pending. That counts as a delivery, of which no primary tells its
/// replicas.
fn delivers_again(args: &[Vec<u8>]) -> bool {
    let streams = args.iter().position(|word| word.eq_ignore_ascii_case(b"STREAMS"));
    let ids = streams.map_or(&[][..], |at| &args[at + 1 + (args.len() - at - 1) / 2..]);
    args[0].eq_ignore_ascii_case(b"XREADGROUP") && ids.iter().any(|id| id != b">")
}

/// Sends the stretch to the primary. What it answers is no matter here.
fn load(primary: &Server, ops: &[Op], rng: &mut Rng, ours: bool) {
    let mut wires = [Wire::connect(primary, false), Wire::connect(primary, false)];
    wires[0].call(&argv("FLUSHALL")).unwrap();
    for op in ops.iter().filter(|op| !delivers_again(&op.args)) {
        let wire = &mut wires[op.client];
        let mut args = op.args.clone();
        for word in &mut args {
            if let Some(key) = word.strip_prefix(DUMP_OF).or_else(|| word.strip_prefix(BAD_DUMP_OF)) {
                *word = wire.call(&[b"DUMP".to_vec(), key.to_vec()]).unwrap().text;
            }
        }
        wire.call(&args).unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(&encode(&args))));
        if rng.below(6) == 0 {
            wire.call(&of_chance(rng)).unwrap();
        }
        if ours && rng.below(4) == 0 {
            wire.call(&of_ours(rng)).unwrap();
        }
    }
}

/// All that can be asked of a dataset, by database and key.
fn dataset(wire: &mut Wire, left_out: &[&[u8]], ours: bool) -> BTreeMap<(u32, Vec<u8>), String> {
    let mut all = BTreeMap::new();
    for db in 0..DATABASES {
        wire.call(&argv(&format!("SELECT {db}"))).unwrap();
        for key in wire.call(&argv("KEYS *")).unwrap().items {
            let mut ask = |words: &[&str]| {
                let (name, rest) = words.split_first().expect("a command");
                let mut args = vec![name.as_bytes().to_vec()];
                // The key comes behind the first word, or behind the subcommand.
                let subcommands = usize::from(matches!(*name, "DEBUG" | "XINFO"));
                args.extend(rest[..subcommands].iter().map(|word| word.as_bytes().to_vec()));
                args.push(key.text.clone());
                args.extend(rest[subcommands..].iter().map(|word| word.as_bytes().to_vec()));
                wire.call(&args).unwrap()
            };
            let mut text = format!("{} {}", ask(&["DEBUG", "DIGEST-VALUE"]), ask(&["PEXPIRETIME"]));
            if ask(&["TYPE"]).text == b"stream" {
                let mut info = ask(&["XINFO", "STREAM", "FULL", "COUNT", "0"]);
                blank(&mut info, left_out);
                text += &info.to_string();
            }
            if ours && ask(&["TYPE"]).text == b"hash" {
                let mut fields = ask(&["HKEYS"]).items;
                fields.sort();
                let mut args = [&b"HPEXPIRETIME"[..], &key.text, b"FIELDS"].map(<[u8]>::to_vec).to_vec();
                args.push(fields.len().to_string().into_bytes());
                args.extend(fields.into_iter().map(|field| field.text));
                text += &wire.call(&args).unwrap().to_string();
            }
            all.insert((db, key.text), text);
        }
    }
    wire.call(&argv("SELECT 0")).unwrap();
    all
}

/// Takes fields out.
fn blank(reply: &mut Reply, left_out: &[&[u8]]) {
    let mut kept = Vec::new();
    let mut items = std::mem::take(&mut reply.items).into_iter();
    while let Some(mut item) = items.next() {
        if left_out.contains(&&item.text[..]) {
            items.next();
        } else {
            blank(&mut item, left_out);
            kept.push(item);
        }
    }
    reply.items = kept;
    if !reply.items.is_empty() {
        reply.text.clear();
    }
}

/// Waits until the two are equal. Gives what is not.
fn difference(primary: &Server, replica: &Server) -> Option<String> {
    let mut wires = [Wire::connect(primary, false), Wire::connect(replica, false)];
    let mut left_out = OF_THE_SERVER.to_vec();
    if primary.kind == ServerKind::Stock {
        left_out.extend(NOT_TOLD_BY_STOCK);
    }
    let ours = [primary, replica].iter().all(|server| server.kind == ServerKind::Node);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let [one, other] = [0, 1].map(|i| wires[i].call(&argv("DEBUG DIGEST")).unwrap());
        let [ours, theirs] = [0, 1].map(|i| dataset(&mut wires[i], &left_out, ours));
        if one == other && ours == theirs {
            return None;
        }
        if Instant::now() > deadline {
            let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
            let lines = keys.filter(|key| ours.get(*key) != theirs.get(*key)).map(|key| {
                let name = String::from_utf8_lossy(&key.1).into_owned();
                format!("db {} {name}\n  primary {:?}\n  replica {:?}", key.0, ours.get(key), theirs.get(key))
            });
            return Some(lines.collect::<Vec<_>>().join("\n"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn run(primary: ServerKind, replica: ServerKind) {
    let Some((primary, replica)) = follow(primary, replica) else { return };
    let commands = from_env("DIFF_COMMANDS").map_or(SHORT_RUN, |n| n as usize);
    let first = from_env("DIFF_SEED").unwrap_or(1);
    let grammar = Grammar::read(crate::STOCK.grammar);
    for seed in (first..).take(commands.div_ceil(STRETCH)) {
        let ops = Generator::new(&grammar, seed, false, false).stretch(STRETCH);
        let ours = replica.kind == ServerKind::Node && primary.kind == ServerKind::Node;
        load(&primary, &ops, &mut Rng::seeded(seed), ours);
        if let Some(text) = difference(&primary, &replica) {
            panic!("DIFF_SEED={seed} DIFF_COMMANDS={STRETCH}: the replica differs\n{text}");
        }
    }
    let info = primary.text("INFO stats");
    assert!(info.contains("sync_full:1\r"), "one synchronisation, and the stream from then on\n{info}");
}

#[test]
fn node_to_stock() {
    run(ServerKind::Node, ServerKind::Stock);
}

#[test]
fn stock_to_node() {
    run(ServerKind::Stock, ServerKind::Node);
}

#[test]
fn node_to_node() {
    run(ServerKind::Node, ServerKind::Node);
}
