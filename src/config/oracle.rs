//! The table held against a running redis-server 7.0: names, defaults, refusals, start-up errors, and that a
//! rewritten file means the same to both.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::args::{self, Invocation};
use super::file::Host;
use super::{Config, DIRECTIVES, find};

/// Whether the oracle is there. A machine without it skips these tests, but not where tests must all run.
fn have_redis() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .output()
        .is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("v=7.0."));
    assert!(found || std::env::var_os("CI").is_none(), "redis-server 7.0 is needed");
    if !found {
        eprintln!("SKIPPED: redis-server 7.0 is not installed");
    }
    found
}

/// A redis-server of our own, listening on a socket in its directory only.
struct Redis {
    child: Child,
    stream: BufReader<UnixStream>,
}

impl Redis {
    fn start(dir: &Path, config: &[u8]) -> Redis {
        std::fs::write(dir.join("redis.conf"), config).unwrap();
        let socket = dir.join("s");
        let mut child = Command::new("redis-server")
            .current_dir(dir)
            .args(["redis.conf", "--port", "0", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            if let Ok(stream) = UnixStream::connect(&socket) {
                break BufReader::new(stream);
            }
            if Instant::now() > deadline || child.try_wait().unwrap().is_some() {
                let _ = child.kill();
                panic!("redis-server did not start");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Redis { child, stream }
    }

    /// The reply of one command: its bulk strings, or its status or error line.
    fn call(&mut self, args: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
        let head = self.line();
        match head.split_at(1) {
            ("*", count) => (0..count.parse().unwrap()).map(|_| self.bulk()).collect(),
            _ => vec![head.into_bytes()],
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn bulk(&mut self) -> Vec<u8> {
        let length: usize = self.line()[1..].parse().unwrap();
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text).unwrap();
        text.truncate(length);
        text
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host on which every directory is where it is named and every command exists.
struct Anywhere;

impl Host for Anywhere {
    fn read(&mut self, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("No such file or directory".into())
    }
    fn expand(&mut self, _: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
    fn enter(&mut self, dir: &[u8]) -> Result<Vec<u8>, String> {
        Ok(dir.to_vec())
    }
    fn rename(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// Directives whose default is the newer one of Valkey 9.1, or belongs to the test's own server.
const OTHER_DEFAULT: &[&str] = &[
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "lazyfree-lazy-server-del",
    "lazyfree-lazy-user-del",
    "lazyfree-lazy-user-flush",
    "replica-lazy-flush",
    "repl-backlog-size",
    "port",
    "unixsocket",
    "dir",
];

#[test]
fn every_directive_is_known_with_its_default() {
    if !have_redis() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(dir.path(), b"");
    let reply = redis.call(&[b"CONFIG", b"GET", b"*"]);
    assert!(reply.len() > 300, "{}", reply.len());
    let default = Config::default();
    for pair in reply.chunks(2) {
        let name = String::from_utf8_lossy(&pair[0]);
        let directive = find(&pair[0]).unwrap_or_else(|| panic!("{name} is not known"));
        let same = directive.get(&default) == pair[1];
        assert_eq!(same, !OTHER_DEFAULT.contains(&directive.name), "{name}");
    }
}

/// `CONFIG GET *` of Valkey 9.1, which is not installed where the tests run.
const VALKEY: &str = include_str!("testdata/valkey-9.1.tsv");

#[test]
fn every_directive_of_valkey_is_known_with_its_default() {
    let default = Config::default();
    for row in VALKEY.lines().skip(1) {
        let (name, theirs) = row.split_once('\t').unwrap();
        let ours = find(name.as_bytes()).unwrap_or_else(|| panic!("{name} is not known")).get(&default);
        let same = ours == theirs.as_bytes();
        assert_eq!(same, name != "syslog-ident", "{name}");
    }
}

#[test]
fn command_line_errors_are_the_same() {
    if !have_redis() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("one.conf"), "timeout 1\n").unwrap();
    for args in [
        &["--badopt", "1"][..],
        &["--port"],
        &["--port", "1", "2"],
        &["--port", "3", "--port"],
        &["--maxclients"],
        &["--appendfsync", "--port"],
        &["--Port 1", "2"],
        &["--bind", "1", "--", "2"],
        &["--save", "", "1"],
        &["--save", "--zz", "1"],
        &["--sentinel", "--zz"],
        &["one.conf", "--zz", "a\x01\"b"],
        &["one.conf", "-v"],
        &["one.conf", "-", "--zz", "1"],
        &["--user", "a on", "--zz"],
        &["-port", "3"],
    ] {
        let out = Command::new("redis-server").current_dir(dir.path()).args(args).output().unwrap();
        let theirs = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        let (_, theirs) = theirs.split_once(") ***\n").unwrap_or_else(|| panic!("{args:?}: {theirs}"));
        let words: Vec<Vec<u8>> = ["node"].iter().chain(args).map(|w| w.as_bytes().to_vec()).collect();
        let Invocation::Serve(serve) = args::parse(&words) else { panic!("{args:?}") };
        let file: &[u8] = if serve.config_file.is_some() { b"timeout 1\n" } else { b"" };
        let ours = Config::load(&serve.config_text(file, b""), serve.sentinel, &mut Anywhere).unwrap_err().to_string();
        let (_, ours) = ours.split_once(") ***\n").unwrap();
        assert_eq!(theirs.trim_end(), ours, "{args:?}");
    }
}

#[test]
fn config_set_answers_alike() {
    if !have_redis() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(dir.path(), b"");
    let known: Vec<&str> = DIRECTIVES
        .iter()
        .flat_map(super::Directive::names)
        .filter(|name| redis.call(&[b"CONFIG", b"GET", name.as_bytes()]).len() == 2)
        .collect();
    assert!(known.len() > 180, "{}", known.len());
    // Values that would stop the server from listening, close this connection or change the machine.
    // (It has no TLS and no active defragmentation compiled in.) Some enumerations have grown since.
    let skip = |name: &str| {
        name.starts_with("tls-")
            || matches!(name, "bind" | "port" | "requirepass" | "maxclients" | "oom-score-adj" | "activedefrag")
            || matches!(name, "loglevel" | "repl-diskless-load" | "shutdown-on-sigint" | "shutdown-on-sigterm")
    };
    let mut compared = 0;
    for name in known.into_iter().filter(|name| !skip(name)) {
        for value in
            ["", "x", "yes", "0", "-1", "7", "-9223372036854775808", "9223372036854775808", "12mb", "1 2", "a/b", "50%"]
        {
            let theirs = redis.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]);
            let ours = match Config::default().with_set(&[(name.as_bytes(), value.as_bytes())], false) {
                Ok(change) => {
                    let got = redis.call(&[b"CONFIG", b"GET", name.as_bytes()]);
                    let shown = find(name.as_bytes()).unwrap().get(&change.config);
                    assert_eq!(String::from_utf8_lossy(&got[1]), String::from_utf8_lossy(&shown), "{name} {value:?}");
                    "+OK".to_owned()
                }
                Err(e) => format!("-ERR {e}"),
            };
            assert_eq!(String::from_utf8_lossy(&theirs[0]), ours, "{name} {value:?}");
            compared += 1;
        }
    }
    assert!(compared > 1500, "{compared}");
}

#[test]
fn start_up_errors_are_the_same() {
    if !have_redis() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for text in [
        "database 16",
        "\n\n# c\nport abc\n",
        "port \"abc\n",
        "port",
        "   port   99999  \r\n",
        "port\t12 7\n",
        "port 7 # comment\n",
        "databases 0",
        "appendonly maybe",
        "maxmemory 12zz",
        "appendfsync never",
        "save 900",
        "save a b",
        "save 900 1 '60 1'",
        "replicaof a",
        "replicaof a b",
        "slaveof no one\nzz \"a\\x01\\\"b\"",
        "client-output-buffer-limit xx 1 2 3",
        "client-output-buffer-limit normal 1 2",
        "notify-keyspace-events\n",
        "oom-score-adj-values 1 2\n",
        "unixsocketperm 1000",
        "proc-title-template {foo}",
        "latency-tracking-info-percentiles 101",
        "cluster-announce-hostname 'a b'",
        "appendfilename a/b",
        "appendfilename \"\"",
        "dbfilename a/b",
        "appenddirname a/b",
        "bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        "include\n",
        "include a b\n",
        "rename-command get\n",
        "loadmodule\n",
        "user\n",
        "user a on\nuser a off\n",
        "sentinel monitor a b 1 1",
        "list-max-ziplist-entries 4\nlist-max-ziplist-value 1 2",
        "vm-enabled no",
        "cluster-enabled yes\nreplicaof 127.0.0.1 1\n",
        "maxclients 4294967296",
        "maxmemory-clients 101%",
    ] {
        let path = dir.path().join("bad.conf");
        std::fs::write(&path, text).unwrap();
        let out = Command::new("redis-server").current_dir(dir.path()).arg(&path).output().unwrap();
        let theirs = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        let (_, theirs) = theirs.split_once(") ***\n").unwrap_or_else(|| panic!("{text}: {theirs}"));
        let ours = Config::load(text.as_bytes(), false, &mut Anywhere).unwrap_err().to_string();
        let (_, ours) = ours.split_once(") ***\n").unwrap();
        assert_eq!(theirs.trim_end(), ours, "{text}");
    }
}

#[test]
fn a_rewritten_file_means_the_same_to_redis() {
    if !have_redis() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pairs: &[(&str, &str)] = &[
        ("maxmemory", "100mb"),
        ("maxmemory-clients", "5%"),
        ("masterauth", "a\"b c\x01\\"),
        ("save", "1 2 3 4"),
        ("appendfsync", "always"),
        ("client-output-buffer-limit", "pubsub 1mb 2 3"),
        ("notify-keyspace-events", "KAm"),
        ("slave-priority", "7"),
        ("latency-tracking-info-percentiles", ""),
        ("shutdown-on-sigint", "now save"),
        ("oom-score-adj-values", "1 2 3"),
        ("bind", "127.0.0.1"),
        ("hash-max-ziplist-entries", "9"),
        ("zset-max-listpack-value", "1000"),
        ("repl-backlog-size", "2mb"),
        ("cluster-announce-hostname", "a.b-c"),
    ];
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let mut config = Config::default().with_set(&pairs, false).unwrap().config;
    config.databases = 20;
    config.unixsocketperm = 0o750;
    let text = config.rewrite(b"# by hand\nmaxmemory 1\n");
    let mut redis = Redis::start(dir.path(), &text);
    let both: Vec<&[u8]> = pairs.iter().map(|(name, _)| *name).chain([&b"databases"[..], b"unixsocketperm"]).collect();
    for name in both {
        let theirs = redis.call(&[b"CONFIG", b"GET", name]);
        let ours = find(name).unwrap().get(&config);
        assert_eq!(String::from_utf8_lossy(&theirs[1]), String::from_utf8_lossy(&ours));
    }
    // And back: what Redis makes of the file is the same configuration to us.
    assert_eq!(redis.call(&[b"CONFIG", b"SET", b"timeout", b"11"]), [b"+OK"]);
    assert_eq!(redis.call(&[b"CONFIG", b"REWRITE"]), [b"+OK"]);
    let theirs = std::fs::read(dir.path().join("redis.conf")).unwrap();
    let back = Config::load(&theirs, false, &mut Anywhere).unwrap();
    for name in pairs.iter().map(|(name, _)| *name).filter(|name| *name != b"timeout") {
        assert_eq!(find(name).unwrap().get(&back), find(name).unwrap().get(&config));
    }
    assert_eq!((back.timeout_secs, back.databases), (11, 20));
}
