//! DEBUG: the dataset through its files and back, and ends that nobody wants otherwise.

use crate::eventually;
use crate::support::{Server, ServerKind};

const LOGGED: &str = "enable-debug-command yes\nappendonly yes\nappendfsync always";

fn fill(server: &Server) -> String {
    for line in ["SET s text", "RPUSH l a b c", "HSET h a 1 b 2", "ZADD z 1.5 a", "SADD set a b", "EXPIRE l 1000"] {
        let _: redis::Value = server.call(line).unwrap();
    }
    server.text("DEBUG DIGEST")
}

#[test]
fn the_log_is_read_again() {
    let server = Server::start(ServerKind::Node, LOGGED);
    let digest = fill(&server);
    assert_eq!(server.text("DEBUG LOADAOF"), "OK");
    assert_eq!(server.text("DEBUG DIGEST"), digest);
    // Reading the log has not made it longer: what follows is appended to what was there.
    assert_eq!(server.text("DEBUG LOADAOF"), "OK");
    assert_eq!(server.text("RPUSH l d"), "4");
    assert_eq!(server.text("DEBUG LOADAOF"), "OK");
    assert_eq!(server.text("LLEN l"), "4");
}

#[test]
fn without_a_log_there_is_nothing_to_read() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    let digest = fill(&server);
    let error = server.call::<String>("DEBUG LOADAOF").unwrap_err().to_string();
    assert!(error.contains("appendonly is off"), "{error}");
    assert_eq!(server.text("DEBUG DIGEST"), digest);
}

#[test]
fn a_file_with_keys_that_are_there_is_refused_unless_they_are_merged() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    let digest = fill(&server);
    let error = server.call::<String>("DEBUG RELOAD NOFLUSH").unwrap_err().to_string();
    assert!(error.contains("Error trying to load the RDB dump"), "{error}");
    assert_eq!(server.text("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), "OK");
    assert_eq!(server.text("DEBUG DIGEST"), digest);
    assert_eq!(server.text("PING"), "PONG");
}

#[test]
fn a_crash_loses_nothing_that_was_logged() {
    let mut server = Server::start(ServerKind::Node, LOGGED);
    let digest = fill(&server);
    for crash in ["DEBUG ASSERT", "DEBUG PANIC", "DEBUG SEGFAULT", "DEBUG OOM"] {
        assert!(server.call::<String>(crash).is_err(), "{crash}");
        eventually("the process is gone", || server.has_ended());
        server.restart();
        assert_eq!(server.text("DEBUG DIGEST"), digest, "after {crash}");
    }
}

#[test]
fn a_crash_is_reported_in_the_log() {
    let mut server = Server::start(ServerKind::Node, LOGGED);
    assert!(server.call::<String>("DEBUG SEGFAULT").is_err());
    eventually("the process is gone", || server.has_ended());
    let log = server.log();
    for part in [
        "=== NODE BUG REPORT START",
        "crashed by signal: 11, si_code: ",
        "Last command: debug\n",
        "------ STACK TRACE ------",
        "=== NODE BUG REPORT END",
    ] {
        assert!(log.contains(part), "no {part:?} in:\n{log}");
    }

    server.restart();
    assert_eq!(server.text("CONFIG SET crash-log-enabled no"), "OK");
    assert!(server.call::<String>("DEBUG PANIC").is_err());
    eventually("the process is gone", || server.has_ended());
    let log = server.log();
    assert_eq!(log.matches("BUG REPORT START").count(), 1, "{log}");
}

#[test]
fn tables_keep_their_size_while_they_are_told_to() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    let table_size = || {
        let stats = server.text("DEBUG HTSTATS 0");
        let line = stats.lines().find_map(|line| line.trim().strip_prefix("table size: ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    assert_eq!(server.text("DEBUG POPULATE 100 first"), "OK");
    let size = table_size();
    assert_eq!(server.text("DEBUG DICT-RESIZING 0"), "OK");
    assert_eq!(server.text("DEBUG POPULATE 100 second"), "OK");
    assert_eq!(table_size(), size);
    assert_eq!(server.text("DEBUG DICT-RESIZING 1"), "OK");
    assert_eq!(server.text("SET one more"), "OK");
    assert!(table_size() > size);
}

/// What a server answers that may not be there.
fn ask(server: &Server, line: &str) -> Option<String> {
    let client = redis::Client::open(format!("redis://{}/", server.addr())).ok()?;
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next()?);
    words.for_each(|word| {
        command.arg(word);
    });
    command.query(&mut client.get_connection().ok()?).ok()
}

#[test]
fn the_process_begins_anew_with_all_that_was_logged() {
    let server = Server::start(ServerKind::Node, LOGGED);
    let digest = fill(&server);
    let run_id = || {
        let info = ask(&server, "INFO server")?;
        info.lines().find_map(|line| Some(line.strip_prefix("run_id:")?.to_owned()))
    };
    for line in ["DEBUG RESTART", "DEBUG CRASH-AND-RECOVER 10", "DEBUG RESTART 10"] {
        let before = run_id();
        assert!(before.is_some() && server.call::<String>(line).is_err(), "{line}");
        eventually("another run", || run_id().is_some_and(|now| Some(now) != before));
        eventually("the log is loaded", || ask(&server, "DEBUG DIGEST").as_ref() == Some(&digest));
    }
    let error = server.call::<String>("DEBUG RESTART soon").unwrap_err().to_string();
    assert!(error.contains("value is not an integer"), "{error}");
}

#[test]
fn a_restart_saves_where_there_are_save_points() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes\nsave 3600 1");
    let digest = fill(&server);
    assert_eq!(server.text("CONFIG SET maxmemory-samples 7"), "OK");
    assert!(server.call::<String>("DEBUG RESTART").is_err());
    eventually("the file is loaded", || ask(&server, "DEBUG DIGEST").as_ref() == Some(&digest));
    let samples: Vec<String> = server.call("CONFIG GET maxmemory-samples").unwrap();
    assert_eq!(samples[1], "7", "the configuration was rewritten");
}

#[test]
fn standing_still_is_a_slow_command() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    assert_eq!(server.text("DEBUG SLEEP 0.02"), "OK");
    let slow: Vec<(i64, i64, i64, Vec<String>)> = server
        .call::<Vec<(i64, i64, i64, Vec<String>, String, String)>>("SLOWLOG GET")
        .unwrap()
        .into_iter()
        .map(|(id, at, usec, args, _, _)| (id, at, usec, args))
        .collect();
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!(slow[0].3, ["DEBUG", "SLEEP", "0.02"]);
    assert!(slow[0].2 >= 20_000, "{slow:?}");
}

#[test]
fn patterns_are_tried_without_keys() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    for (line, answer) in [("h*llo hello", "1"), ("h*llo world", "0"), ("H*LLO hello", "0"), ("[a-c]?* bcd", "1")] {
        assert_eq!(server.text(&format!("DEBUG STRINGMATCH-LEN {line}")), answer, "{line}");
    }
    let (stars, text) = ("a*".repeat(5000), "a".repeat(5000));
    assert_eq!(server.text(&format!("DEBUG STRINGMATCH-LEN {stars}b {text}")), "0");
    assert_eq!(server.text(&format!("DEBUG STRINGMATCH-LEN {stars} {text}")), "1");
}

/// A field of the line of the client with this name.
fn of_client(server: &Server, name: &str, field: &str) -> usize {
    let list = server.text("CLIENT LIST");
    let line = list.lines().find(|line| line.contains(&format!(" name={name} "))).expect("it is connected");
    let value = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{field} in {line}"))
}

#[test]
fn an_idle_client_gives_its_buffers_back_unless_they_are_kept() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    assert_eq!(server.text("DEBUG REPLYBUFFER PEAK-RESET-TIME 100"), "OK");
    let value = "v".repeat(20_000);
    let mut client = server.connect();
    let mut set = redis::cmd("SET");
    set.arg("key").arg(&value).query::<()>(&mut client).unwrap();
    redis::cmd("CLIENT").arg("SETNAME").arg("reader").query::<()>(&mut client).unwrap();

    assert_eq!(server.text("DEBUG REPLYBUFFER RESIZING 0"), "OK");
    assert_eq!(redis::cmd("GET").arg("key").query::<String>(&mut client).unwrap(), value);
    eventually("its requests have no buffer", || of_client(&server, "reader", "qbuf-free") == 0);
    assert!(of_client(&server, "reader", "rbs") > value.len(), "its replies have");

    assert_eq!(server.text("DEBUG REPLYBUFFER RESIZING 1"), "OK");
    eventually("neither have they", || of_client(&server, "reader", "rbs") <= 1024);
    assert_eq!(of_client(&server, "reader", "rbp"), 0);
    assert!(of_client(&server, "reader", "tot-mem") < 2048);
    assert_eq!(server.text("DEBUG REPLYBUFFER PEAK-RESET-TIME never"), "OK");
    assert_eq!(redis::cmd("GET").arg("key").query::<String>(&mut client).unwrap(), value, "it is as good as before");
    assert!(of_client(&server, "reader", "rbs") > value.len());
    assert!(server.call::<String>("DEBUG REPLYBUFFER PEAK-RESET-TIME soon").is_err());
    assert!(server.call::<String>("DEBUG REPLYBUFFER SHRINKING 1").is_err());
}
