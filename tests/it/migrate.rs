//! MIGRATE from `node`: inside a transaction, and to a target that closes, or says nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use redis::Value;

use crate::support::{Server, ServerKind};

#[test]
fn inside_a_transaction() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let (node, stock) = (Server::start(ServerKind::Node, ""), Server::start(ServerKind::Stock, ""));
    let mut client = node.connect();
    let reply: (String, Vec<Value>, String, Option<String>, i64) = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg("a")
        .arg("1")
        .cmd("RPUSH")
        .arg("l")
        .arg("x")
        .ignore()
        .cmd("KEYS")
        .arg("none")
        .cmd("MIGRATE")
        .arg("127.0.0.1")
        .arg(stock.port)
        .arg("a")
        .arg(0)
        .arg(5000)
        .cmd("GET")
        .arg("a")
        .cmd("INCR")
        .arg("n")
        .query(&mut client)
        .unwrap();
    assert_eq!(reply, ("OK".into(), vec![], "OK".into(), None, 1));
    assert_eq!(stock.text("GET a"), "1");
    assert_eq!(node.text("DBSIZE"), "2");
}

/// A connection of somebody who plays a server.
struct Played(TcpStream);

impl Played {
    fn accept(listener: &TcpListener) -> Played {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Played(stream)
    }

    /// Reads until a RESTORE of `key` has begun to come.
    fn hear(&mut self, key: &str) {
        let wanted = format!("RESTORE\r\n${}\r\n{key}\r\n", key.len());
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(&wanted) {
            let mut chunk = [0; 4096];
            let n = self.0.read(&mut chunk).unwrap();
            assert_ne!(n, 0, "closed after {:?}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&chunk[..n]);
        }
    }

    fn answer(&mut self) {
        self.0.write_all(b"+OK\r\n").unwrap();
    }
}

#[test]
fn a_second_try_only_where_the_first_cannot_have_worked() {
    let node = Server::start(ServerKind::Node, "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(node.text("MSET a 1 b 2 c 3 d 4"), "OK");
    let migrate = |key: &str, timeout_ms: u64| {
        node.call::<String>(&format!("MIGRATE 127.0.0.1 {port} {key} 0 {timeout_ms}")).map_err(|e| e.to_string())
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| migrate("a", 30_000));
        let mut kept = Played::accept(&listener);
        kept.hear("a");
        kept.answer();
        assert_eq!(first.join().unwrap(), Ok("OK".into()));
        // The kept connection was closed meanwhile: the keys go over a new one.
        drop(kept);
        let second = scope.spawn(|| migrate("b", 30_000));
        let mut kept = Played::accept(&listener);
        kept.hear("b");
        kept.answer();
        assert_eq!(second.join().unwrap(), Ok("OK".into()));
        // It says nothing: the key may have arrived, and is not sent again.
        let third = scope.spawn(|| migrate("c", 100));
        kept.hear("c");
        let error = third.join().unwrap().unwrap_err();
        assert!(error.contains("error or timeout reading to target instance"), "{error}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "it was asked a second time");
    });
    assert_eq!(node.text("EXISTS a b c d"), "2");
}
