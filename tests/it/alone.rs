//! One `node` without a cluster: start-up, everyday commands, its words at the start.

use std::process::Command;

use crate::support::{Server, ServerKind, free_port, run};

#[test]
fn everyday_commands() {
    let server = Server::start(ServerKind::Node, "");
    for (command, expected) in [
        ("SET foo bar", "OK"),
        ("GET foo", "bar"),
        ("APPEND foo baz", "6"),
        ("INCR n", "1"),
        ("RPUSH l a b c", "3"),
        ("LINDEX l 1", "b"),
        ("HSET h f v", "1"),
        ("HGET h f", "v"),
        ("SADD s a b a", "2"),
        ("SCARD s", "2"),
        ("ZADD z 1 one 2 two", "2"),
        ("ZRANK z two", "1"),
        ("TYPE z", "zset"),
        ("EXPIRE foo 100", "1"),
        ("DEL foo n l", "3"),
        ("DBSIZE", "3"),
    ] {
        assert_eq!(server.text(command), expected, "{command}");
    }
    let error = server.call::<String>("LINDEX l").unwrap_err().to_string();
    assert!(error.contains("wrong number of arguments for 'lindex' command"), "{error}");
    let error = server.call::<String>("LPUSH h x").unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
}

#[test]
fn the_log_of_a_start_says_what_scripts_wait_for() {
    let server = Server::start(ServerKind::Node, "loglevel notice");
    let log = server.log_tail();
    for words in ["Server initialized", "Ready to accept connections"] {
        assert!(log.contains(words), "{log}");
    }
    let line = log.lines().find(|l| l.contains("Ready to accept")).unwrap();
    assert!(line.starts_with(&format!("{}:M ", server.pid())), "{line}");
    let title = std::fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    let title = String::from_utf8_lossy(&title);
    assert!(title.contains(&format!("127.0.0.1:{}", server.port)), "{title}");
}

#[test]
fn a_bad_directive_stops_the_start_and_names_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("redis.conf");
    std::fs::write(&path, format!("port {}\ndatabase 16\n", free_port())).unwrap();
    let ran = run(env!("CARGO_BIN_EXE_node"), &[path.to_str().unwrap()], "", &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("FATAL CONFIG FILE ERROR"), "{ran:?}");
    assert!(ran.stderr.contains("at line 2\n>>> 'database 16'\nBad directive or wrong number of arguments"), "{ran:?}");
    let ran = run(env!("CARGO_BIN_EXE_node"), &["--port", "seven"], "", &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("argument couldn't be parsed into an integer"), "{ran:?}");
}

#[test]
fn the_version_has_the_form_that_scripts_cut_apart() {
    let ran = run(env!("CARGO_BIN_EXE_node"), &["--version"], "", &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains(" v=") && ran.stdout.contains(" bits=64 "), "{ran:?}");
}

#[test]
fn a_taken_port_is_one_clear_error() {
    let server = Server::start(ServerKind::Node, "");
    let out = Command::new(env!("CARGO_BIN_EXE_node"))
        .args(["--port", &server.port.to_string(), "--bind", "127.0.0.1"])
        .current_dir(server.dir())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("Address already in use"), "{text}");
}

#[test]
fn a_password_is_asked_for() {
    let server = Server::start(ServerKind::Node, "requirepass secret");
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    let error = redis::cmd("GET").arg("x").query::<String>(&mut connection).unwrap_err();
    assert_eq!(error.code(), Some("NOAUTH"));
    assert_eq!(server.text("SET x y"), "OK");
}
