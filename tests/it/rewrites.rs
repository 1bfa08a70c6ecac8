//! What asks for a save or a rewrite of the log is answered as by a stock server: also while another one is under way, and
//! when the disk refuses it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::field;
use crate::support::{Server, ServerKind, eventually};

const KINDS: [ServerKind; 2] = [ServerKind::Node, ServerKind::Stock];

/// What the servers of both kinds answer, which must be the same.
fn both<T: PartialEq + std::fmt::Debug>(directives: &str, mut ask: impl FnMut(&Server) -> T) -> T {
    let mut answers: Vec<T> = KINDS
        .into_iter()
        .filter(|kind| kind.is_available())
        .map(|kind| ask(&Server::start(kind, directives)))
        .collect();
    if let [node, stock] = &answers[..] {
        assert_eq!(node, stock, "node and redis-server");
    }
    answers.swap_remove(0)
}

/// Sends these commands at once and reads the first line of each reply.
fn lines(server: &Server, commands: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(format!("{}\r\n", commands.join("\r\n")).as_bytes()).unwrap();
    let mut answers = BufReader::new(stream).lines();
    commands.iter().map(|_| answers.next().unwrap().unwrap()).collect()
}

fn persistence(server: &Server, name: &str) -> String {
    field(&server.text("INFO persistence"), name)
}

fn wait_until_idle(server: &Server) {
    eventually("nothing is under way", || {
        let info = server.text("INFO persistence");
        ["rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"]
            .iter()
            .all(|name| field(&info, name) == "0")
    });
}

fn fill(server: &Server) {
    let mut pipe = redis::pipe();
    for i in 0..4_000 {
        pipe.cmd("SET").arg(i).arg("x".repeat(500)).ignore();
    }
    pipe.query::<()>(&mut server.connect()).unwrap();
}

#[test]
fn one_at_a_time() {
    let started = both("rdbcompression no", |server| {
        fill(server);
        let mut answers = Vec::new();
        for commands in [
            &["BGREWRITEAOF", "BGREWRITEAOF"][..],
            &["BGREWRITEAOF", "BGSAVE"],
            &["BGREWRITEAOF", "BGSAVE SCHEDULE"],
            &["BGREWRITEAOF", "SAVE"],
            &["BGSAVE", "BGSAVE"],
            &["BGSAVE", "BGSAVE SCHEDULE"],
            &["BGSAVE", "SAVE"],
            &["BGSAVE", "BGREWRITEAOF", "BGREWRITEAOF"],
            &["BGSAVE now"],
        ] {
            answers.push(lines(server, commands));
            wait_until_idle(server);
        }
        let nested: Vec<Vec<String>> = redis::pipe()
            .cmd("MULTI")
            .ignore()
            .cmd("BGREWRITEAOF")
            .ignore()
            .cmd("EXEC")
            .query(&mut server.connect())
            .unwrap();
        answers.extend(nested);
        answers
    });
    assert_eq!(started[0][0], "+Background append only file rewriting started");
    assert_eq!(started[0][1], "-ERR Background append only file rewriting already in progress");
    assert_eq!(started[9], ["Background append only file rewriting scheduled"]);
}

#[test]
fn what_is_scheduled_comes() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
        let server = Server::start(kind, "appendonly yes\nrdbcompression no");
        fill(&server);
        lines(&server, &["BGSAVE", "BGREWRITEAOF"]);
        let base = server.dir().join("appendonlydir/appendonly.aof.2.base.rdb");
        eventually("the rewrite behind the save", || base.exists());
        wait_until_idle(&server);
        lines(&server, &["MULTI", "BGREWRITEAOF", "BGSAVE", "EXEC"]);
        let base = server.dir().join("appendonlydir/appendonly.aof.3.base.rdb");
        eventually("the rewrite behind the transaction", || base.exists());
        assert_eq!(persistence(&server, "aof_last_bgrewrite_status"), "ok");
    }
}

#[test]
fn a_log_that_cannot_be_made_is_refused() {
    let error = both("", |server| {
        let dir = server.dir().join("appendonlydir");
        fs::write(&dir, "a file").unwrap();
        let refused = lines(server, &["CONFIG SET appendonly yes"]);
        assert_eq!(persistence(server, "aof_enabled"), "0");
        assert_eq!(fs::read(&dir).unwrap(), b"a file");
        assert_eq!(server.text("SET a 1"), "OK");
        fs::remove_file(&dir).unwrap();
        assert_eq!(server.text("CONFIG SET appendonly yes"), "OK");
        wait_until_idle(server);
        assert_eq!(persistence(server, "aof_enabled"), "1");
        eventually("its base is there", || dir.join("appendonly.aof.1.base.rdb").exists());
        refused
    });
    assert!(error[0].contains("Unable to turn on AOF. Check server logs."), "{error:?}");
}

#[test]
fn a_rewrite_that_cannot_begin_is_refused() {
    let refused = both("appendonly yes", |server| {
        let dir = server.dir().join("appendonlydir");
        let aside = server.dir().join("aside");
        fs::rename(&dir, &aside).unwrap();
        fs::write(&dir, "a file").unwrap();
        let refused = lines(server, &["BGREWRITEAOF"]);
        fs::remove_file(&dir).unwrap();
        fs::rename(&aside, &dir).unwrap();
        refused
    });
    assert!(refused[0].contains("Can't execute an AOF background rewriting"), "{refused:?}");
}
