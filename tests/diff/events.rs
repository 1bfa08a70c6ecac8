//! Keyspace events: after each hand-written line both servers must have told their subscribers the same.

use crate::lines::files;
use crate::pair::{MODES, Pair, Wire, argv};
use crate::reply::Reply;

/// Where the end of a line's events is told.
const MARK: &str = "end of the line";

/// Events that differ on purpose, with the reason.
const KNOWN: &[(&str, &str)] = &[];

/// A subscriber to everything.
struct Listener(Wire);

impl Listener {
    fn connect(server: &crate::support::Server) -> Listener {
        let mut wire = Wire::connect(server, false);
        wire.call(&argv("PSUBSCRIBE *")).expect("PSUBSCRIBE is answered");
        Listener(wire)
    }

    /// The messages up to the mark: channel and text.
    fn heard(&mut self) -> Vec<(String, String)> {
        let mut heard = Vec::new();
        loop {
            let message: Reply = self.0.next().expect("a message").0;
            let text = |i: usize| String::from_utf8_lossy(&message.items[i].text).into_owned();
            if text(2) == MARK {
                return heard;
            }
            heard.push((text(2), text(3)));
        }
    }
}

#[test]
fn every_line_is_told_of_as_stock_redis_tells_of_it() {
    if !crate::stock_is_available() {
        return;
    }
    let mut pair = Pair::start(MODES[0]);
    pair.both("CONFIG SET notify-keyspace-events KEAmn");
    let (mut node, mut stock) = (Listener::connect(&pair.node_server), Listener::connect(&pair.stock_server));
    let mut differences = Vec::new();
    let mut told = 0;
    for (file, commands) in files() {
        pair.reconnect();
        pair.both("FLUSHALL");
        pair.both(&format!("PUBLISH \"{MARK}\" x"));
        (node.heard(), stock.heard());
        for line in commands {
            pair.both(&line);
            pair.both(&format!("PUBLISH \"{MARK}\" x"));
            let (by_node, by_stock) = (node.heard(), stock.heard());
            told += by_stock.len();
            let is_known = KNOWN.iter().any(|(at, _)| line.starts_with(at));
            if by_node != by_stock && !is_known {
                differences.push(format!("{file}> {line}\n  node  {by_node:?}\n  stock {by_stock:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(told > 1000, "only {told} events");
}
