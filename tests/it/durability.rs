//! Data survives restarts, in the form it was asked to be kept in.

use crate::support::{Server, ServerKind, eventually};

fn fill(server: &Server) {
    for command in ["SET s text", "SET n 42", "RPUSH l a b c", "HSET h f v g w", "SADD t x y z", "ZADD z 1 a 2.5 b"] {
        let _: redis::Value = server.call(command).unwrap();
    }
    let _: redis::Value = server.call("SET temporary x PX 100000000").unwrap();
}

fn check(server: &Server) {
    assert_eq!(server.text("GET s"), "text");
    assert_eq!(server.text("INCR n"), "43");
    assert_eq!(server.text("LLEN l"), "3");
    assert_eq!(server.text("HGET h g"), "w");
    assert_eq!(server.text("SCARD t"), "3");
    assert_eq!(server.text("ZSCORE z b"), "2.5");
    assert!(server.call::<i64>("PTTL temporary").unwrap() > 90_000_000);
    assert_eq!(server.text("DBSIZE"), "7");
}

/// Ends a server as SIGTERM does, and waits until it has gone.
fn terminate(server: &Server) {
    let pid = rustix::process::Pid::from_raw(server.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    eventually("the server has ended", || std::net::TcpStream::connect(("127.0.0.1", server.port)).is_err());
}

#[test]
fn the_log_is_replayed_after_a_crash() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    fill(&server);
    server.restart();
    check(&server);
    assert!(server.dir().join("appendonlydir/appendonly.aof.manifest").is_file());
}

#[test]
fn a_clean_stop_saves_when_there_are_save_points() {
    let mut server = Server::start(ServerKind::Node, "save 3600 1");
    fill(&server);
    terminate(&server);
    server.restart();
    check(&server);
}

#[test]
fn what_was_flushed_does_not_come_back() {
    const POINT: &str = "save 3600 1000000\nenable-debug-command yes";
    for kind in [ServerKind::Node, ServerKind::Stock] {
        if !kind.is_available() {
            continue;
        }
        let mut server = Server::start(kind, POINT);
        assert_eq!(server.text("DEBUG POPULATE 1000"), "OK");
        assert_eq!(server.text("SAVE"), "OK");
        for flush in ["FLUSHALL", "FLUSHALL ASYNC", "FLUSHALL SYNC"] {
            assert_eq!(server.text("SET key value"), "OK");
            assert_eq!(server.text(flush), "OK");
            let info = server.text("INFO persistence");
            assert!(info.contains("rdb_changes_since_last_save:0\r\n"), "{info}");
            server.kill();
            server.restart();
            assert_eq!(server.call::<u64>("DBSIZE").unwrap(), 0, "after {flush}");
        }
        // A save of what was there is given up, and no other comes after it.
        assert_eq!(server.text("DEBUG POPULATE 300000 key 100"), "OK");
        assert_eq!(server.text("BGSAVE"), "Background saving started");
        assert_eq!(server.text("FLUSHALL"), "OK");
        let background = || server.text("INFO persistence").contains("rdb_bgsave_in_progress:0\r\n");
        eventually("the save is over", background);
        server.kill();
        server.restart();
        assert_eq!(server.call::<u64>("DBSIZE").unwrap(), 0);
        // Within a transaction the file follows as soon as can be, and FLUSHDB leaves it alone.
        assert_eq!(server.text("SET key value"), "OK");
        assert_eq!(server.text("SAVE"), "OK");
        assert_eq!(server.text("FLUSHDB"), "OK");
        assert!(
            !server.text("INFO persistence").contains("rdb_changes_since_last_save:0\r\n"),
            "it is still to be saved"
        );
        let mut link = server.connect();
        redis::pipe().atomic().cmd("FLUSHALL").query::<((),)>(&mut link).unwrap();
        eventually("it is saved", || server.text("INFO persistence").contains("rdb_changes_since_last_save:0\r\n"));
    }
}

#[test]
fn files_go_to_a_stock_server_and_back() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let node = Server::start(ServerKind::Node, "save 3600 1");
    fill(&node);
    assert_eq!(node.text("SAVE"), "OK");
    let mut stock = Server::start(ServerKind::Stock, "");
    stock.kill();
    std::fs::copy(node.dir().join("dump.rdb"), stock.dir().join("dump.rdb")).unwrap();
    stock.restart();
    check(&stock);
    assert_eq!(stock.text("SET n 42"), "OK");
    assert_eq!(stock.text("SAVE"), "OK");
    let mut back = Server::start(ServerKind::Node, "");
    back.kill();
    std::fs::copy(stock.dir().join("dump.rdb"), back.dir().join("dump.rdb")).unwrap();
    back.restart();
    check(&back);
}

#[test]
fn a_file_that_cannot_be_understood_stops_the_start_and_stays() {
    let mut server = Server::start(ServerKind::Node, "");
    server.kill();
    let path = server.dir().join("dump.rdb");
    std::fs::write(&path, b"REDIS0010 this is no dump").unwrap();
    let out =
        std::process::Command::new(env!("CARGO_BIN_EXE_node")).arg(server.dir().join("redis.conf")).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("Fatal error loading the DB"), "{out:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"REDIS0010 this is no dump");
}

#[test]
fn the_log_can_be_commands_alone_with_time_marks_and_a_history() {
    let mut server = Server::start(
        ServerKind::Node,
        "appendonly yes\naof-use-rdb-preamble no\naof-timestamp-enabled yes\naof-disable-auto-gc yes\n\
         no-appendfsync-on-rewrite yes",
    );
    fill(&server);
    assert_eq!(server.text("BGREWRITEAOF"), "Background append only file rewriting started");
    let dir = server.dir().join("appendonlydir");
    let manifest = || std::fs::read_to_string(dir.join("appendonly.aof.manifest")).unwrap();
    eventually("it is rewritten", || {
        manifest()
            .starts_with("file appendonly.aof.2.base.aof seq 2 type b\nfile appendonly.aof.1.base.aof seq 1 type h\n")
    });
    assert!(dir.join("appendonly.aof.1.incr.aof").exists(), "what is history is kept");
    for name in ["appendonly.aof.2.base.aof", "appendonly.aof.1.incr.aof"] {
        let text = std::fs::read(dir.join(name)).unwrap();
        assert!(text.starts_with(b"#TS:") && !text.windows(5).any(|w| w == b"REDIS"), "{name}");
    }
    server.restart();
    check(&server);
    if ServerKind::Stock.is_available() {
        let mut stock = Server::start(ServerKind::Stock, "appendonly yes");
        stock.kill();
        std::fs::remove_dir_all(stock.dir().join("appendonlydir")).unwrap();
        std::fs::create_dir(stock.dir().join("appendonlydir")).unwrap();
        server.kill();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, stock.dir().join("appendonlydir").join(path.file_name().unwrap())).unwrap();
        }
        stock.restart();
        assert_eq!(stock.text("GET n"), "43");
        assert_eq!(stock.text("DBSIZE"), "7");
    }
}

#[test]
fn what_eviction_knows_of_keys_survives_restarts() {
    for (policy, word) in [("allkeys-lru", "IDLETIME"), ("volatile-lfu", "FREQ")] {
        let mut server = Server::start(ServerKind::Node, &format!("maxmemory-policy {policy}"));
        assert_eq!(server.text("SET a 1"), "OK");
        let mut connection = server.connect();
        let payload: Vec<u8> = redis::cmd("DUMP").arg("a").query(&mut connection).unwrap();
        redis::cmd("RESTORE").arg("b").arg(0).arg(payload).arg(word).arg(200).exec(&mut connection).unwrap();
        assert_eq!(server.text("SAVE"), "OK");
        server.restart();
        let known = server.call::<i64>(&format!("OBJECT {word} b")).unwrap();
        assert!((150..=300).contains(&known), "{policy}: {known}");
    }
}

/// Values of a hundred thousand elements are saved in pieces; whoever writes into one meanwhile waits for it alone, and
/// the file holds what there was when the save began.
#[test]
fn large_values_are_saved_as_they_were() {
    let mut server = Server::start(ServerKind::Node, "enable-debug-command yes\nrdbcompression no");
    let mut connection = server.connect();
    for from in (0..100_000).step_by(1000) {
        let mut pipe = redis::pipe();
        for n in from..from + 1000 {
            pipe.cmd("SADD").arg("set").arg(format!("member {n}")).ignore();
            pipe.cmd("HSET").arg("hash").arg(format!("field {n}")).arg(n).ignore();
            pipe.cmd("ZADD").arg("zset").arg(n).arg(format!("member {n}")).ignore();
            pipe.cmd("RPUSH").arg("list").arg(format!("element {n}")).ignore();
        }
        pipe.query::<()>(&mut connection).unwrap();
    }
    let _: () = redis::cmd("SET").arg("string").arg("x".repeat(20 << 20)).query(&mut connection).unwrap();
    let before = server.text("DEBUG DIGEST");
    let (started, size, set, hash, zset, list, string): (String, u64, u64, u64, u64, u64, u64) = redis::pipe()
        .cmd("BGSAVE")
        .cmd("DBSIZE")
        .cmd("SADD")
        .arg("set")
        .arg("new")
        .cmd("HSET")
        .arg("hash")
        .arg("new")
        .arg(1)
        .cmd("ZADD")
        .arg("zset")
        .arg(1)
        .arg("new")
        .cmd("RPUSH")
        .arg("list")
        .arg("new")
        .cmd("DEL")
        .arg("string")
        .query(&mut connection)
        .unwrap();
    assert_eq!((started.as_str(), size), ("Background saving started", 5));
    assert_eq!((set, hash, zset, list, string), (1, 1, 1, 100_001, 1));
    eventually("it is saved", || server.text("INFO persistence").contains("rdb_bgsave_in_progress:0"));
    assert!(server.text("INFO persistence").contains("rdb_last_bgsave_status:ok"));
    server.restart();
    assert_eq!(server.text("DEBUG DIGEST"), before);
}

/// A replica that saves applies a write to a large value when the value is written as it was, and nothing is lost or mixed
/// up meanwhile.
#[test]
fn a_replica_saves_a_large_value_that_its_primary_changes() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0\nenable-debug-command yes");
    let directives = format!("replicaof 127.0.0.1 {}\nenable-debug-command yes\nrdbcompression no", primary.port);
    let mut replica = Server::start(ServerKind::Node, &directives);
    eventually("the link is up", || replica.text("INFO replication").contains("master_link_status:up"));
    let mut pipe = redis::pipe();
    for i in 0..2000 {
        pipe.cmd("RPUSH").arg("list").arg("x".repeat(8000)).ignore();
        pipe.cmd("SET").arg(i).arg(i).ignore();
    }
    pipe.query::<()>(&mut primary.connect()).unwrap();
    eventually("all is there", || replica.text("LLEN list") == "2000");
    assert_eq!(replica.text("BGSAVE"), "Background saving started");
    for n in 0..100 {
        let (len, changed): (u64, String) = redis::pipe()
            .cmd("RPUSH")
            .arg("list")
            .arg(n)
            .cmd("SET")
            .arg(n)
            .arg("changed")
            .query(&mut primary.connect())
            .unwrap();
        assert_eq!((len, changed.as_str()), (2001 + n, "OK"));
    }
    eventually("it is saved", || replica.text("INFO persistence").contains("rdb_bgsave_in_progress:0"));
    assert!(replica.text("INFO persistence").contains("rdb_last_bgsave_status:ok"));
    let digest = primary.text("DEBUG DIGEST");
    eventually("all is applied", || replica.text("DEBUG DIGEST") == digest);
    // The file alone.
    drop(primary);
    replica.restart();
    let len: usize = replica.text("LLEN list").parse().unwrap();
    let changed: Vec<String> =
        (0..100).filter(|n| replica.text(&format!("GET {n}")) == "changed").map(|n| n.to_string()).collect();
    // A prefix of what was written, of both kinds: the moment at which the save began.
    assert!(
        changed.len() == len - 2000 || changed.len() + 1 == len - 2000,
        "{len} elements, {} changed",
        changed.len()
    );
    assert!(changed.iter().enumerate().all(|(i, n)| *n == i.to_string()), "{changed:?}");
}
