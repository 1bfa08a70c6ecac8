//! What commands send on: after each hand-written line for Valkey, its replicas must have been told the same as those of
//! `node`, or what comes to the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::VALKEY;
use crate::lines::files;
use crate::pair::MODES;
use crate::pair::{Argv, Pair, Wire, argv};
use crate::reply::shown;
use crate::support::Server;

/// Where the effects of a line end.
const MARK: &[u8] = b"end of the line";

/// A moment within these is one that the server has worked out from its clock.
const WORKED_OUT_MS: std::ops::Range<u64> = 1_600_000_000_000..4_000_000_000_000;

/// A replica of the oldest kind, which says nothing after SYNC.
struct Replica {
    stream: BufReader<TcpStream>,
    teller: Wire,
}

impl Replica {
    fn follow(server: &Server) -> Replica {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket option");
        socket.write_all(b"SYNC\r\n").expect("the server listens");
        let mut replica = Replica { stream: BufReader::new(socket), teller: Wire::connect(server, false) };
        replica.skip_file();
        replica
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let len = self.stream.read_line(&mut line).expect("a line of the stream");
        assert!(len > 0, "the server has closed the link");
        line.trim_end().to_owned()
    }

    /// The dataset as it was: empty lines, the length of a file or the mark of its end, the file.
    fn skip_file(&mut self) {
        let head = loop {
            let line = self.line();
            if !line.is_empty() {
                break line;
            }
        };
        let file = head.strip_prefix('$').expect("a file");
        if let Some(mark) = file.strip_prefix("EOF:") {
            let mut tail: Vec<u8> = Vec::new();
            while !tail.ends_with(mark.as_bytes()) {
                let mut byte = [0];
                self.stream.read_exact(&mut byte).expect("the file");
                tail.push(byte[0]);
            }
        } else {
            let len: u64 = file.parse().expect("a length");
            std::io::copy(&mut (&mut self.stream).take(len), &mut std::io::sink()).expect("the file");
        }
    }

    fn command(&mut self) -> Argv {
        let head = loop {
            let line = self.line();
            if !line.is_empty() {
                break line;
            }
        };
        let count: usize = head.strip_prefix('*').and_then(|n| n.parse().ok()).expect("a command");
        let mut words = Argv::new();
        for _ in 0..count {
            let len: usize = self.line().strip_prefix('$').and_then(|n| n.parse().ok()).expect("a word");
            let mut word = vec![0; len + 2];
            self.stream.read_exact(&mut word).expect("a word");
            word.truncate(len);
            words.push(word);
        }
        words
    }

    /// What came since the last time.
    fn heard(&mut self) -> Vec<Argv> {
        self.teller.call(&[b"PUBLISH".to_vec(), MARK.to_vec(), Vec::new()]).expect("PUBLISH is answered");
        let mut heard = Vec::new();
        loop {
            let words = self.command();
            if words.get(1).is_some_and(|word| word == MARK) {
                return heard;
            }
            let is_of_the_link = ["PING", "SELECT", "REPLCONF"].iter().any(|name| is(&words[0], name));
            if !is_of_the_link {
                heard.push(words);
            }
        }
    }
}

/// Lines of which `node` makes one expiry, behind the condition, and Valkey leaves the words as they are.
const KNOWN: &[&str] = &["HSETEX h EX 10 EX 20 FIELDS 1 a b", "MSETEX 1 a b EX 100 XX", "MSETEX 2 a b c d EX 10 EX 20"];

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// A command as one of those that older servers know, where that comes to the same, and without the conditions under which
/// it is known to have changed something.
fn plain(mut words: Argv) -> Argv {
    words[0].make_ascii_uppercase();
    let name = String::from_utf8_lossy(&words[0]).into_owned();
    let fields = words.iter().position(|word| is(word, "FIELDS"));
    match (name.as_str(), fields) {
        // Without an expiry, HSET says it.
        ("HSETEX", Some(at)) if words[2..at].iter().all(|word| is(word, "KEEPTTL")) => {
            words.drain(2..at + 2);
            words[0] = b"HSET".to_vec();
        }
        ("HSETEX", Some(_)) => {}
        ("HGETDEL", Some(at)) => {
            words.drain(at..at + 2);
            words[0] = b"HDEL".to_vec();
        }
        // Behind the time only the fields count.
        ("HPEXPIREAT", Some(at)) => drop(words.drain(3..at + 2)),
        ("HPERSIST", Some(at)) => drop(words.drain(at..at + 2)),
        _ => {}
    }
    for word in &mut words {
        let moment = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
        if moment.is_some_and(|ms| WORKED_OUT_MS.contains(&ms)) {
            *word = b"now and so long".to_vec();
        }
    }
    words
}

/// Whether both lead to the same. `node` does not name fields that are not changed.
fn come_to_the_same(node: &[Argv], valkey: &[Argv]) -> bool {
    node.len() == valkey.len()
        && node.iter().zip(valkey).all(|(node, valkey)| {
            let (node, valkey) = (plain(node.clone()), plain(valkey.clone()));
            let leaves_out = ["HDEL", "HPEXPIREAT", "HPERSIST"].iter().any(|name| is(&node[0], name));
            let mut rest = valkey.iter();
            node == valkey
                || leaves_out && node[..2] == valkey[..2] && node.iter().all(|word| rest.any(|other| other == word))
        })
}

fn listing(effects: &[Argv]) -> String {
    effects.iter().map(|words| shown(words)).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_line_for_valkey_is_sent_on_as_valkey_sends_it_on() {
    if !VALKEY.kind.is_available() {
        return;
    }
    let mut pair = Pair::start(MODES[0], VALKEY.kind);
    pair.both("CONFIG SET repl-diskless-sync-delay 0");
    let (mut node, mut valkey) = (Replica::follow(&pair.node_server), Replica::follow(&pair.stock_server));
    let mut differences = Vec::new();
    let mut sent = 0;
    for (file, commands) in files(VALKEY.lines) {
        pair.reconnect();
        for line in ["FLUSHALL".to_owned()].iter().chain(&commands) {
            pair.both(line);
            let (by_node, by_valkey) = (node.heard(), valkey.heard());
            sent += by_valkey.len();
            if !come_to_the_same(&by_node, &by_valkey) && !KNOWN.contains(&line.as_str()) {
                let (by_node, by_valkey) = (listing(&by_node), listing(&by_valkey));
                differences.push(format!("{file}> {line}\n  node   {by_node}\n  valkey {by_valkey}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(sent > 100, "only {sent} commands were sent on");
}

#[test]
fn what_comes_to_the_same() {
    let same = |node: &str, valkey: &str| come_to_the_same(&[argv(node)], &[argv(valkey)]);
    assert!(same("HSET h a 1", "HSETEX h FIELDS 1 a 1"));
    assert!(same("HSET h a 1", "HSETEX h KEEPTTL FIELDS 1 a 1"));
    assert!(!same("HSET h a 1", "HSETEX h PXAT 5 FIELDS 1 a 1"));
    assert!(same("HDEL h a", "HGETDEL h FIELDS 2 a b"));
    assert!(!same("HDEL h c", "HGETDEL h FIELDS 2 a b"));
    assert!(same("HPEXPIREAT h 5 FIELDS 1 b", "HPEXPIREAT h 5 NX FIELDS 2 a b"));
    assert!(!same("HPEXPIREAT h 6 FIELDS 1 b", "HPEXPIREAT h 5 FIELDS 2 a b"));
    assert!(same("HPEXPIREAT h 1700000000000 FIELDS 1 b", "HPEXPIREAT h 1700000000001 FIELDS 1 b"));
    assert!(!same("DEL h", "UNLINK h"));
}
