//! What the server does to its clients: those that do not read, that understand redirection, that bring data.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::field;
use crate::support::{Server, ServerKind, eventually};

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let server = Server::start(ServerKind::Node, "client-output-buffer-limit pubsub 4mb 0 0");
    let mut deaf = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    deaf.write_all(b"SUBSCRIBE x\r\n").unwrap();
    let mut publisher = server.connect();
    let message = vec![b'm'; 64 << 10];
    let mut publish = || redis::cmd("PUBLISH").arg("x").arg(&message).query::<i64>(&mut publisher).unwrap();
    eventually("somebody listens", || publish() == 1);
    // The network takes some of it; what is left over grows until it is too much.
    eventually("nobody listens any more", || publish() == 0);
    assert_eq!(field(&server.text("INFO stats"), "client_output_buffer_limit_disconnections"), "1");
    let mut rest = Vec::new();
    let _ = deaf.read_to_end(&mut rest);
    assert!(!rest.is_empty());
}

#[test]
fn a_replica_redirects_those_who_understand_it() {
    let (primary, replica) = (Server::start(ServerKind::Node, ""), Server::start(ServerKind::Node, ""));
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    eventually("the link is up", || replica.text("INFO replication").contains("master_link_status:up"));
    let mut connection = replica.connect();
    let mut call = |line: &str| {
        let mut cmd = redis::Cmd::new();
        for word in line.split(' ') {
            cmd.arg(word);
        }
        cmd.query::<redis::Value>(&mut connection).map_err(|error| error.code().unwrap_or_default().to_owned())
    };
    assert!(call("GET k").is_ok());
    assert!(call("CLIENT CAPA something redirect").is_ok());
    assert_eq!(call("GET k"), Err("REDIRECT".to_owned()));
    assert_eq!(call("SET k v"), Err("REDIRECT".to_owned()));
    assert!(call("READONLY").is_ok() && call("GET k").is_ok() && call("PING").is_ok());
    assert_eq!(call("SET k v"), Err("REDIRECT".to_owned()));
    let others = replica.text("CLIENT LIST NOT-CAPA r");
    assert!(!others.is_empty() && !others.contains("cmd=set"), "{others}");
    assert!(replica.text("CLIENT LIST CAPA r").contains("cmd=set"));
}

#[test]
fn while_data_is_imported_its_source_decides_when_keys_end() {
    let server = Server::start(ServerKind::Node, "");
    let mut source = server.connect();
    let import = |source: &mut redis::Connection| {
        redis::cmd("CLIENT").arg("IMPORT-SOURCE").arg("ON").query::<String>(source).map_err(|error| error.to_string())
    };
    assert!(import(&mut source).unwrap_err().contains("not in import mode"));
    assert_eq!(server.text("CONFIG SET import-mode yes"), "OK");
    assert_eq!(import(&mut source).unwrap(), "OK");
    assert_eq!(server.text("SET k v PX 1"), "OK");
    eventually("the key is hidden", || server.call::<Option<String>>("GET k").unwrap().is_none());
    assert_eq!(server.text("DBSIZE"), "1");
    assert_eq!(redis::cmd("GET").arg("k").query::<String>(&mut source).unwrap(), "v");
    assert_eq!(server.text("CONFIG SET import-mode no"), "OK");
    eventually("the key ends", || server.text("DBSIZE") == "0");
}
