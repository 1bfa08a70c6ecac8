//! Keyspace events: after each hand-written line both servers must have told their subscribers the same.

use crate::lines::files;
use crate::pair::{MODES, Pair, Wire, argv};
use crate::support::Server;
use crate::{Oracle, STOCK, VALKEY};

/// Where the end of a line's events is told.
const MARK: &str = "end of the line";

/// What differs on purpose: the line, the events of `node` and those of the stock server.
///
/// A SET with an end in the past deletes since Redis 7.2: the key does not first come and then expire. A consumer that
/// claims in vain exists from then on, and the last id of a stream cannot go back before one that was deleted.
const KNOWN: &[Known] = &[
    ("SET k v EXAT 1", "del k", "set k, expire k"),
    ("GET k", "keymiss k", "expired k, keymiss k"),
    ("SET k v NX EXAT 1", "", "new k, set k, expire k"),
    ("EXISTS k", "keymiss k", "expired k, keymiss k"),
    ("SET k v PXAT 1 GET", "keymiss k", "keymiss k, new k, set k, expire k"),
    ("XCLAIM s g f 1000000 2-3 JUSTID", "xgroup-createconsumer s", ""),
    ("XCLAIM s g f 50000 2-2 2-3 JUSTID", "", "xgroup-createconsumer s"),
    ("XAUTOCLAIM s g a 1000000 0", "xgroup-createconsumer s", ""),
    ("XAUTOCLAIM s g a 0 0 COUNT 1", "", "xgroup-createconsumer s"),
    ("XSETID many 7-0", "", "xsetid many"),
];

/// A line, the events of `node` and those of the other server.
type Known = (&'static str, &'static str, &'static str);

/// Write commands that take more than a line: MIGRATE needs another server.
const ELSEWHERE: &[&str] = &["migrate"];

/// A subscriber to everything.
struct Listener {
    heard: Wire,
    /// Not that of the lines, which may be in a transaction.
    teller: Wire,
}

impl Listener {
    fn connect(server: &Server) -> Listener {
        let mut wire = Wire::connect(server, false);
        wire.call(&argv("PSUBSCRIBE *")).expect("PSUBSCRIBE is answered");
        Listener { heard: wire, teller: Wire::connect(server, false) }
    }

    /// The channel and the text of the next message.
    fn next(&mut self) -> (String, String) {
        let message = self.heard.next().expect("a message");
        let text = |i: usize| String::from_utf8_lossy(&message.items[i].text).into_owned();
        (text(2), text(3))
    }

    /// The events so far: `event key`, with the database before them if it is not the first.
    fn heard(&mut self) -> String {
        self.teller.call(&argv(&format!("PUBLISH \"{MARK}\" x"))).expect("PUBLISH is answered");
        let mut heard = Vec::new();
        loop {
            let (channel, event) = self.next();
            if channel == MARK {
                return heard.join(", ");
            }
            // Both channels tell of it, that of the key first.
            let (at, key) =
                channel.strip_prefix("__keyspace@").and_then(|rest| rest.split_once("__:")).expect(&channel);
            assert_eq!(self.next(), (format!("__keyevent@{at}__:{event}"), key.to_owned()));
            heard.push(if at == "0" { format!("{event} {key}") } else { format!("{at}: {event} {key}") });
        }
    }
}

fn compare(oracle: Oracle, known: &[Known], told_min: usize) {
    if !oracle.kind.is_available() {
        return;
    }
    let mut pair = Pair::start(MODES[0], oracle.kind);
    pair.both("CONFIG SET notify-keyspace-events KEAmn");
    let (mut node, mut stock) = (Listener::connect(&pair.node_server), Listener::connect(&pair.stock_server));
    let mut differences = Vec::new();
    let mut told = 0;
    for (file, commands) in files(oracle.lines) {
        pair.reconnect();
        for line in ["FLUSHALL".to_owned()].iter().chain(&commands) {
            pair.both(line);
            let (by_node, by_stock) = (node.heard(), stock.heard());
            told += usize::from(!by_stock.is_empty());
            if by_node != by_stock && !known.contains(&(line, &by_node, &by_stock)) {
                differences.push(format!("{file}> {line}\n  node  {by_node}\n  stock {by_stock}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(told > told_min, "only {told} lines were told of");
}

#[test]
fn every_line_is_told_of_as_stock_redis_tells_of_it() {
    compare(STOCK, KNOWN, 500);
}

#[test]
fn every_line_for_valkey_is_told_of_as_valkey_tells_of_it() {
    compare(VALKEY, &[], 100);
}

/// Whether every command that both servers have and that writes is run by one of the lines in these directories.
fn are_all_among_the_lines(oracle: Oracle, dirs: &[&str]) {
    if !oracle.kind.is_available() {
        return;
    }
    let mut pair = Pair::start(MODES[0], oracle.kind);
    let (node, stock) = pair.both("COMMAND LIST FILTERBY ACLCAT write");
    let lines: Vec<String> = dirs.iter().flat_map(|dir| files(dir)).flat_map(|(_, commands)| commands).collect();
    let is_used = |name: &str| {
        let mut words = name.split('|');
        let (command, subcommand) = (words.next().unwrap_or_default(), words.next());
        lines.iter().any(|line| {
            let mut words = line.split(' ');
            words.next().is_some_and(|first| first.eq_ignore_ascii_case(command))
                && subcommand.is_none_or(|name| words.next().is_some_and(|word| word.eq_ignore_ascii_case(name)))
        })
    };
    let missing: Vec<String> = node
        .items
        .iter()
        .filter(|name| stock.items.contains(name))
        .map(|name| String::from_utf8_lossy(&name.text).into_owned())
        .filter(|name| !is_used(name) && !ELSEWHERE.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no line runs {}", missing.join(", "));
}

#[test]
fn every_write_command_is_among_the_lines() {
    are_all_among_the_lines(STOCK, &[STOCK.lines]);
}

#[test]
fn every_write_command_of_valkey_is_among_the_lines() {
    are_all_among_the_lines(VALKEY, &[STOCK.lines, VALKEY.lines]);
}
