//! `trib cli` beside redis-cli, and the live screen without a terminal.

use crate::slots::key_in;
use crate::support::{Server, ServerKind, redis_cli_is_available, run};
use crate::{cluster, trib, trib_with};

/// What stock servers send to show every type; redis-cli itself fails at big numbers, attributes and pushes.
const TYPES: [&str; 9] = ["string", "integer", "double", "null", "array", "set", "map", "true", "verbatim"];

#[test]
fn replies_look_as_redis_cli_shows_them() {
    if !ServerKind::Stock.is_available() || !redis_cli_is_available() {
        return;
    }
    let server = Server::start(ServerKind::Stock, "enable-debug-command yes");
    let port = server.port.to_string();
    let mut commands: Vec<Vec<&str>> = TYPES.iter().map(|kind| vec!["DEBUG", "PROTOCOL", kind]).collect();
    let nested = "return {1,{2,{}},'x',false,redis.error_reply('ERR boom'),{},{1,2,3,4,5,6,7,8,9,10,{11}}}";
    commands.extend([
        vec!["SET", "k", "a\x01b\n\"q\"\\\u{e9}"],
        vec!["GET", "k"],
        vec!["GET", "none"],
        vec!["HSET", "h", "a", "1", "b", ""],
        vec!["HGETALL", "h"],
        vec!["HGETALL", "none"],
        vec!["XADD", "s", "1-1", "f", "v"],
        vec!["XREAD", "STREAMS", "s", "0"],
        vec!["XINFO", "STREAM", "s", "FULL"],
        vec!["ZADD", "z", "0.1", "a", "inf", "b"],
        vec!["ZRANGE", "z", "0", "-1", "WITHSCORES"],
        vec!["ZSCORE", "z", "a"],
        vec!["SADD", "set", "1"],
        vec!["SMEMBERS", "set"],
        vec!["SMEMBERS", "none"],
        vec!["EVAL", nested, "0"],
        vec!["CONFIG", "GET", "maxmemory*"],
        vec!["COMMAND", "DOCS", "GET", "CONFIG"],
        vec!["COMMAND", "INFO", "GET", "NOSUCH"],
        vec!["NOSUCH", "x"],
        vec!["PING"],
        vec!["LOLWUT", "VERSION", "5", "1", "1", "1"],
    ]);
    let addr = server.addr();
    // What is written is there already when the answers are compared.
    for command in &commands {
        let _ = run("redis-cli", &[&["-p", &port], &command[..]].concat(), "", &[]);
    }
    for options in [&[][..], &["--no-raw"], &["--csv"], &["-3"], &["-3", "--no-raw"], &["-3", "--csv"]] {
        for command in &commands {
            let ours = [&["cli"], options, &[&addr, "--"], command].concat();
            let theirs = [&["-p", &port], options, command].concat();
            let ours = run(env!("CARGO_BIN_EXE_trib"), &ours, "", &[]);
            let theirs = run("redis-cli", &theirs, "", &[]);
            assert_eq!(ours.stdout, theirs.stdout, "{options:?} {command:?} {}", ours.stderr);
            let is_error = ["ERR", "(error)"].iter().any(|text| theirs.stdout.starts_with(text));
            assert_eq!(ours.code, i32::from(is_error), "{options:?} {command:?}");
        }
    }
    // Lines from a pipe, some of them wrong.
    let lines = "set a\nget k\n\"unbalanced\n\n3 ping\nselect 2\nset b 1\ndbsize\nmulti\nget b\nexec\n";
    let theirs = run("redis-cli", &["-p", &port], lines, &[]);
    assert_eq!(trib_with(&format!("cli {addr}"), lines, &[]).stdout, theirs.stdout);
    let theirs = run("redis-cli", &["-p", &port, "--no-raw", "-n", "2"], "get b\n", &[]);
    assert_eq!(trib_with(&format!("cli -n 2 --no-raw {addr}"), "get b\n", &[]).stdout, theirs.stdout);
    assert_eq!(trib_with(&format!("cli -x {addr} set in"), "from\nstdin", &[]).stdout, "OK\n");
    assert_eq!(server.text("GET in"), "from\nstdin");
    let ran = trib(&format!("cli --json -3 {addr} hgetall h"));
    assert_eq!(ran.stdout, "{\"a\":\"1\",\"b\":\"\"}\n");
}

#[test]
fn redirections_are_followed_where_that_is_wanted() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let servers = cluster(3, 0, "requirepass secret\nmasterauth secret");
    let (seed, key) = (servers[0].addr(), key_in(16_000));
    let ran = trib(&format!("-a secret cli {seed} set {key} v"));
    assert!(ran.code == 1 && ran.stdout.starts_with("MOVED 16000 "), "{ran:?}");
    let ran = trib(&format!("-a secret cli -c --no-raw {seed} set {key} v"));
    let expected = format!("-> Redirected to slot [16000] located at {}\nOK\n", servers[2].addr());
    assert_eq!((ran.code, ran.stdout), (0, expected));
    let lines = format!("get {key}\nget {}\n", key_in(0));
    let ran = trib_with(&format!("cli -c {seed}"), &lines, &[("REDISCLI_AUTH", "secret")]);
    assert_eq!(ran.stdout, "v\n\n");
    let ran = trib(&format!("cli {seed} ping"));
    assert!(ran.code == 1 && ran.stdout.contains("NOAUTH"), "{ran:?}");
}

#[test]
fn prepared_commands_are_sent_as_they_are() {
    if !ServerKind::Stock.is_available() {
        return;
    }
    let server = Server::start(ServerKind::Stock, "");
    let addr = server.addr();
    let mut stream = String::new();
    for n in 0..20_000 {
        let key = format!("k{n}");
        stream += &format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\nv\r\n", key.len());
    }
    let ran = trib_with(&format!("cli --pipe {addr}"), &stream, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "errors: 0, replies: 20000\n"), "{}", ran.stderr);
    assert_eq!(server.call::<usize>("DBSIZE").unwrap(), 20_000);
    let ran = trib_with(&format!("cli --pipe {addr}"), "PING\r\nNOSUCH\r\n", &[]);
    assert!(ran.code == 1 && ran.stdout.starts_with("errors: 1, replies: 2\n"), "{ran:?}");
    assert!(ran.stderr.contains("unknown command 'NOSUCH'"), "{ran:?}");
}

#[test]
fn a_screen_needs_a_terminal() {
    let ran = trib("top 127.0.0.1:1");
    assert_eq!((ran.code, ran.stderr.contains("trib status 127.0.0.1:1")), (2, true), "{ran:?}");
}
