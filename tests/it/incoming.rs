//! Snapshots of a primary that break off, or are none.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use crate::field;
use crate::support::{Server, ServerKind, eventually};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// A primary that answers a handshake, and then says `rest`; it hangs up when the connection is dropped.
fn primary(rest: &'static [u8]) -> (u16, JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the replica connects");
        greet(stream, rest)
    });
    (port, thread)
}

fn greet(mut stream: TcpStream, rest: &[u8]) -> TcpStream {
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).expect("the replica speaks");
        let said = String::from_utf8_lossy(&chunk[..n]).into_owned();
        if said.contains("PSYNC") {
            stream.write_all(format!("+FULLRESYNC {ID} 1000\r\n").as_bytes()).expect("the replica listens");
            stream.write_all(rest).expect("the replica listens");
            return stream;
        }
        let answers = if said.contains("PING") {
            "+PONG\r\n".to_owned()
        } else {
            "+OK\r\n".repeat(said.matches("REPLCONF").count())
        };
        stream.write_all(answers.as_bytes()).expect("the replica listens");
    }
}

/// What a replica has after a synchronisation that failed, perhaps when it had begun to load.
fn left(way: &str, rest: &'static [u8], begins: bool) -> String {
    let replica = Server::start(ServerKind::Node, &format!("repl-diskless-load {way}"));
    assert_eq!(replica.text("SET own 1"), "OK");
    let (port, thread) = primary(rest);
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {port}")), "OK");
    let connection = thread.join().expect("the primary had its say");
    if begins {
        eventually("it loads", || field(&replica.text("INFO persistence"), "loading") == "1");
    }
    drop(connection);
    eventually("it was given up", || {
        let info = replica.text("INFO");
        field(&info, "master_sync_in_progress") == "0"
            && field(&info, "loading") == "0"
            && field(&info, "async_loading") == "0"
    });
    // It is as alive as before.
    assert_eq!(replica.text("REPLICAOF NO ONE"), "OK");
    assert_eq!(replica.text("SET another 1"), "OK");
    replica.text("DBSIZE")
}

/// A file with one key that ends in the middle of the second.
const HALF: &[u8] = b"$200\r\nREDIS0010\xfe\x00\x00\x01a\x01b\x00\x01c\x05x";

const NONE: &[u8] = b"$20\r\nNO SUCH FILE AT ALL";

#[test]
fn half_a_snapshot() {
    assert_eq!(left("disabled", HALF, false), "2");
    assert_eq!(left("swapdb", HALF, true), "2");
    assert_eq!(left("flush-before-load", HALF, true), "1", "the old data had to go first");
}

#[test]
fn something_else() {
    for way in ["disabled", "swapdb", "flush-before-load"] {
        assert_eq!(left(way, NONE, false), "2", "{way}");
    }
}
