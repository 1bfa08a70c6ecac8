//! Streams as processes see them: groups that wait, that are replicated, and that are there after a restart.

use redis::{Connection, Value};

use crate::field;
use crate::support::{Server, ServerKind, eventually};

fn words(line: &str) -> redis::Cmd {
    let mut words = line.split_whitespace();
    let mut cmd = redis::cmd(words.next().expect("a command"));
    words.for_each(|word| {
        cmd.arg(word);
    });
    cmd
}

/// A client that waits with this command.
fn waiter(server: &Server, line: &str) -> Connection {
    let blocked = || field(&server.text("INFO clients"), "blocked_clients").parse::<usize>().unwrap();
    let before = blocked();
    let mut client = server.connect();
    client.send_packed_command(&words(line).get_packed_command()).unwrap();
    eventually("it waits", || blocked() == before + 1);
    client
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::BulkString(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Int(n) => n.to_string(),
        Value::Nil => "nil".to_owned(),
        other => format!("{other:?}"),
    }
}

fn told(server: &Server, line: &str) -> String {
    server.call::<Value>(line).map_or_else(|error| error.to_string(), |value| shown(&value))
}

#[test]
fn consumers_wait_for_what_their_group_has_not_read() {
    let server = Server::start(ServerKind::Node, "");
    assert_eq!(server.text("XGROUP CREATE s g $ MKSTREAM"), "OK");
    let mut alice = waiter(&server, "XREADGROUP GROUP g alice BLOCK 0 COUNT 1 STREAMS s >");
    let mut bob = waiter(&server, "XREADGROUP GROUP g bob BLOCK 0 STREAMS s >");
    let read =
        |client: &mut Connection| client.recv_response().and_then(Value::extract_error).map(|value| shown(&value));
    // Who came first is served first; the other looks in vain and waits on.
    assert_eq!(server.text("XADD s 1-1 f v"), "1-1");
    assert_eq!(read(&mut alice).unwrap(), "[[s [[1-1 [f v]]]]]");
    assert_eq!(told(&server, "XADD s 1-2 f v"), "1-2");
    assert_eq!(read(&mut bob).unwrap(), "[[s [[1-2 [f v]]]]]");
    assert_eq!(told(&server, "XPENDING s g"), "[2 1-1 1-2 [[alice 1] [bob 1]]]");
    for (line, code) in [
        ("XGROUP DESTROY s g", "NOGROUP"),
        ("DEL s", "NOGROUP"),
        ("SET s x", "WRONGTYPE"),
        ("FLUSHALL", "NOGROUP"),
        ("RENAME s t", "NOGROUP"),
        ("PEXPIRE s 1", "NOGROUP"),
    ] {
        server.call::<Value>("DEL s").unwrap();
        assert_eq!(server.text("XGROUP CREATE s g $ MKSTREAM"), "OK");
        let mut client = waiter(&server, "XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
        server.call::<Value>(line).unwrap();
        assert_eq!(read(&mut client).unwrap_err().code(), Some(code), "{line}");
    }
}

#[test]
fn asking_is_told_apart_from_getting() {
    let server = Server::start(ServerKind::Node, "");
    assert_eq!(server.text("XGROUP CREATE s g $ MKSTREAM"), "OK");
    // Name, pending entries, and whether it ever got something.
    let consumers = || -> Vec<(String, i64, bool)> {
        let maps: Vec<std::collections::BTreeMap<String, Value>> = server.call("XINFO CONSUMERS s g").unwrap();
        let int = |value: &Value| redis::from_redis_value::<i64>(value.clone()).unwrap();
        let name = |value: &Value| redis::from_redis_value::<String>(value.clone()).unwrap();
        maps.iter().map(|map| (name(&map["name"]), int(&map["pending"]), int(&map["inactive"]) >= 0)).collect()
    };
    for line in ["XREADGROUP GROUP g a STREAMS s >", "XADD s 1-1 f v", "XREADGROUP GROUP g b NOACK STREAMS s >"] {
        server.call::<Value>(line).unwrap();
    }
    let told = |told: &[(&str, i64, bool)]| told.iter().map(|(n, p, a)| ((*n).to_owned(), *p, *a)).collect::<Vec<_>>();
    assert_eq!(consumers(), told(&[("a", 0, false), ("b", 0, false)]));
    for line in ["XADD s 1-2 f v", "XREADGROUP GROUP g a STREAMS s >", "XREADGROUP GROUP g b STREAMS s 0"] {
        server.call::<Value>(line).unwrap();
    }
    assert_eq!(consumers(), told(&[("a", 1, true), ("b", 0, false)]));
    server.call::<Value>("XCLAIM s g b 0 1-2 JUSTID").unwrap();
    assert_eq!(consumers(), told(&[("a", 0, true), ("b", 1, true)]));
}

/// Brings groups about in every state: entries read and acknowledged, claimed, deleted under a consumer, read NOACK.
fn fill(server: &Server) {
    for i in 1..=250 {
        assert_eq!(told(server, &format!("XADD s {i}-1 field {i} other v{i}")), format!("{i}-1"));
    }
    for line in [
        "XGROUP CREATE s g 0",
        "XGROUP CREATE s late $",
        "XREADGROUP GROUP g alice COUNT 120 STREAMS s >",
        "XREADGROUP GROUP g bob NOACK COUNT 20 STREAMS s >",
        "XREADGROUP GROUP g carol COUNT 30 STREAMS s >",
        "XACK s g 1-1 2-1 3-1 150-1",
        "XCLAIM s g bob 0 10-1 11-1 IDLE 5000 RETRYCOUNT 9",
        "XDEL s 12-1 13-1 250-1",
        "XAUTOCLAIM s g dave 0 12 COUNT 3",
        "XTRIM s MINID 9",
        "XADD s MAXLEN ~ 100 251-* f v",
    ] {
        server.call::<Value>(line).unwrap();
    }
}

/// What two servers with the same data say.
fn state(server: &Server) -> String {
    let lines = ["XRANGE s - +", "XINFO STREAM s", "XINFO GROUPS s", "XPENDING s g"];
    let mut all: Vec<String> = lines.iter().map(|line| told(server, line)).collect();
    // Without the time that has passed.
    let pending: Vec<(String, String, i64, i64)> = server.call("XPENDING s g - + 1000").unwrap_or_default();
    all.extend(pending.into_iter().map(|(id, consumer, _, count)| format!("{id} {consumer} {count}")));
    all.join("\n")
}

/// Groups reach a replica, those of before it came and those of after.
fn groups_follow(primary: &Server, replica: &Server) {
    fill(primary);
    replica.call::<Value>(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).unwrap();
    eventually("the groups are there", || state(primary) == state(replica));
    primary.call::<Value>("RENAME s before").unwrap();
    fill(primary);
    eventually("the groups follow", || state(primary) == state(replica));
}

#[test]
fn groups_follow_to_a_stock_replica() {
    if ServerKind::Stock.is_available() {
        let directives = "repl-diskless-sync-delay 0";
        groups_follow(&Server::start(ServerKind::Node, directives), &Server::start(ServerKind::Stock, directives));
    }
}

#[test]
fn groups_are_there_after_a_restart() {
    for directives in [
        "save 3600 1",
        "appendonly yes\nappendfsync always",
        "appendonly yes\nappendfsync always\naof-use-rdb-preamble no",
    ] {
        let mut server = Server::start(ServerKind::Node, directives);
        fill(&server);
        if directives.contains("preamble no") {
            // Commands cannot bring back what is pending of entries that are gone: this lets go of it.
            server.call::<Value>("XAUTOCLAIM s g dave 0 0 COUNT 1000").unwrap();
        }
        let before = state(&server);
        assert_eq!(server.text("SAVE"), "OK");
        if directives.contains("appendonly") {
            server.call::<Value>("BGREWRITEAOF").unwrap();
            eventually("the log is rewritten", || {
                field(&server.text("INFO persistence"), "aof_rewrite_in_progress") == "0"
            });
        }
        server.restart();
        eventually("it is loaded", || server.call::<String>("PING").is_ok_and(|pong| pong == "PONG"));
        assert_eq!(state(&server), before, "{directives}");
    }
}
