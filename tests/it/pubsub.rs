//! Messages between servers: to replicas, and through clusters of `node`s alone and with stock servers.

use std::time::Duration;

use redis::{Connection, ConnectionLike, Value};

use crate::support::{Server, ServerKind, eventually};
use crate::{trib, wait_until_ok};

/// Subscribes by `command` (`SSUBSCRIBE x`) on a connection of its own, that speaks RESP2.
fn listen(server: &Server, command: &str) -> Connection {
    let mut connection = server.connect();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    connection.send_packed_command(&pack(command)).unwrap();
    let confirmed = words(&connection.recv_response().unwrap());
    assert_eq!(confirmed[0], command.split(' ').next().unwrap().to_lowercase());
    connection
}

fn pack(command: &str) -> Vec<u8> {
    let mut cmd = redis::Cmd::new();
    for word in command.split(' ') {
        cmd.arg(word);
    }
    cmd.get_packed_command()
}

/// A message as words.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(words).collect(),
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::Int(n) => vec![n.to_string()],
        other => vec![format!("{other:?}")],
    }
}

fn hear(connection: &mut Connection) -> Vec<String> {
    words(&connection.recv_response().expect("a message"))
}

#[test]
fn messages_go_down_the_replication_stream() {
    let (primary, replica) = (Server::start(ServerKind::Node, "appendonly yes"), Server::start(ServerKind::Node, ""));
    assert_eq!(replica.text(&format!("REPLICAOF 127.0.0.1 {}", primary.port)), "OK");
    eventually("the link is up", || replica.text("INFO replication").contains("master_link_status:up"));
    let (mut plain, mut sharded) = (listen(&replica, "SUBSCRIBE x"), listen(&replica, "SSUBSCRIBE x"));
    assert_eq!(primary.text("PUBLISH x hello"), "0");
    assert_eq!(primary.text("SPUBLISH x sharded"), "0");
    assert_eq!(hear(&mut plain), ["message", "x", "hello"]);
    assert_eq!(hear(&mut sharded), ["smessage", "x", "sharded"]);
    // Also out of a transaction, together with what it changes; the log keeps only the change.
    let mut client = primary.connect();
    for command in ["MULTI", "SET k v", "PUBLISH x inside", "EXEC"] {
        client.req_packed_command(&pack(command)).unwrap();
    }
    assert_eq!(hear(&mut plain), ["message", "x", "inside"]);
    eventually("the change arrives", || replica.text("GET k") == "v");
    let log = std::fs::read_dir(primary.dir().join("appendonlydir")).unwrap().flatten();
    let incremental = log.map(|e| e.path()).find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap();
    eventually("the log is written", || {
        String::from_utf8_lossy(&std::fs::read(&incremental).unwrap()).contains("EXEC")
    });
    assert!(!String::from_utf8_lossy(&std::fs::read(&incremental).unwrap()).contains("PUBLISH"));
}

/// A cluster of three primaries without replicas, of these kinds.
fn three(kinds: [ServerKind; 3]) -> Vec<Server> {
    let servers: Vec<Server> =
        kinds.iter().map(|kind| Server::start_in_cluster_mode(*kind, "cluster-node-timeout 15000")).collect();
    let addrs: Vec<String> = servers.iter().map(Server::addr).collect();
    let made = trib(&format!("create --yes --replicas 0 {}", addrs.join(" ")));
    assert_eq!(made.code, 0, "{made:?}");
    wait_until_ok(&servers, 3);
    servers
}

/// Every node passes messages on to every other; shard channels live where their slot is, and leave with it.
fn a_cluster_passes_messages_on(kinds: [ServerKind; 3]) {
    let servers = three(kinds);
    let mut listeners: Vec<Connection> = servers.iter().map(|server| listen(server, "SUBSCRIBE x")).collect();
    for (i, server) in servers.iter().enumerate() {
        let sent = format!("from {i}");
        let receivers: i64 =
            redis::cmd("PUBLISH").arg("x").arg(&sent).query(&mut server.connect()).expect("PUBLISH is answered");
        assert_eq!(receivers, 1);
        for listener in &mut listeners {
            assert_eq!(hear(listener), ["message", "x", sent.as_str()]);
        }
    }

    // The channel `a` is in the third part of the slots, `b` in the first.
    let error = servers[0].call::<Value>("SSUBSCRIBE a").unwrap_err();
    assert_eq!(error.code(), Some("MOVED"));
    let error = servers[0].call::<Value>("SPUBLISH a m").unwrap_err();
    assert_eq!(error.code(), Some("MOVED"));
    let mut shard = listen(&servers[0], "SSUBSCRIBE b");
    let refused = shard.req_packed_command(&pack("SSUBSCRIBE b c")).expect("an answer");
    assert!(format!("{refused:?}").contains("CROSSSLOT"), "{refused:?}");
    assert_eq!(servers[0].text("SPUBLISH b hello"), "1");
    assert_eq!(hear(&mut shard), ["smessage", "b", "hello"]);

    let slot = servers[0].text("CLUSTER KEYSLOT b");
    let (source, target) = (servers[0].text("CLUSTER MYID"), servers[1].text("CLUSTER MYID"));
    assert_eq!(servers[1].text(&format!("CLUSTER SETSLOT {slot} IMPORTING {source}")), "OK");
    assert_eq!(servers[0].text(&format!("CLUSTER SETSLOT {slot} MIGRATING {target}")), "OK");
    assert_eq!(servers[0].text("SPUBLISH b moving"), "1");
    assert_eq!(hear(&mut shard), ["smessage", "b", "moving"]);
    for server in [&servers[1], &servers[0]] {
        assert_eq!(server.text(&format!("CLUSTER SETSLOT {slot} NODE {target}")), "OK");
    }
    assert_eq!(hear(&mut shard), ["sunsubscribe", "b", "0"]);
    assert!(servers[0].call::<Vec<String>>("PUBSUB SHARDCHANNELS").unwrap().is_empty());
}

#[test]
fn a_cluster_of_nodes_passes_messages_on() {
    a_cluster_passes_messages_on([ServerKind::Node; 3]);
}

#[test]
fn a_mixed_cluster_passes_messages_on() {
    if ServerKind::Stock.is_available() {
        a_cluster_passes_messages_on([ServerKind::Node, ServerKind::Stock, ServerKind::Node]);
    }
}
