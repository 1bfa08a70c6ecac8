//! The files of the append-only log as a server finds them: cut short, from an older server, taken back to a moment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::support::{Server, ServerKind, run};
use crate::{eventually, field};

const KINDS: [ServerKind; 2] = [ServerKind::Node, ServerKind::Stock];

fn program(kind: ServerKind) -> String {
    kind.program().display().to_string()
}

fn command(words: &[&str]) -> String {
    let body: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{body}", words.len())
}

fn set(key: &str) -> String {
    command(&["SET", key, "v"])
}

/// The file that is appended to.
fn last_increment(server: &Server) -> PathBuf {
    let dir = server.dir().join("appendonlydir");
    let manifest = fs::read_to_string(dir.join("appendonly.aof.manifest")).unwrap();
    let line = manifest.lines().rfind(|line| line.ends_with("type i")).unwrap();
    dir.join(line.split(' ').nth(1).unwrap())
}

/// A server that was killed, whose log ends as `tail` has it.
fn killed_with(kind: ServerKind, directives: &str, tail: &str) -> Server {
    let mut server = Server::start(kind, &format!("appendonly yes\nappendfsync always\n{directives}"));
    assert_eq!(server.text("SET first v"), "OK");
    server.kill();
    let path = last_increment(&server);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(tail.as_bytes());
    fs::write(path, bytes).unwrap();
    server
}

#[test]
fn what_a_crash_left_half_done_is_cut_off() {
    let multi = command(&["MULTI"]);
    let tails = [set("k")[..20].to_owned(), format!("{multi}{}", set("k")), format!("{}{multi}{}", set("l"), set("k"))];
    for tail in tails {
        let mut left = Vec::new();
        for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
            let mut server = killed_with(kind, "", &tail);
            server.restart();
            let mut keys: Vec<String> = server.call("KEYS *").unwrap();
            keys.sort();
            left.push((keys, fs::read(last_increment(&server)).unwrap()));
        }
        assert!(left.windows(2).all(|two| two[0] == two[1]), "{left:?}");
        assert!(!left[0].0.contains(&"k".to_owned()) && left[0].0.contains(&"first".to_owned()), "{left:?}");
    }
}

#[test]
fn a_damaged_log_is_refused_where_nothing_may_be_cut_off() {
    let cut = &set("k")[..20];
    let wrong = format!("{}PING\r\n", set("k"));
    let end = "Unexpected end of file reading the append only file appendonly.aof.1.incr.aof. You can: 1) Make a backup \
               of your AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
               'aof-load-truncated' configuration option to yes and restart the server.\n";
    let bad = "Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup of your AOF file, \
               then use ./redis-check-aof --fix <filename.manifest>\n";
    let unknown = "Unknown command 'blah' reading the append only file appendonly.aof.1.incr.aof\n";
    for (directive, tail, text) in [
        ("no", cut, end),
        ("yes", &wrong, bad),
        ("no", &wrong, bad),
        ("yes", "garb", bad),
        ("no", "garb", bad),
        ("yes", &"\0".repeat(10), bad),
        ("yes", "*3\r\n$3\r\nsetXXYY", bad),
        ("yes", &command(&["blah", "1"]), unknown),
    ] {
        for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
            let server = killed_with(kind, "", tail);
            let path = last_increment(&server);
            let before = fs::read(&path).unwrap();
            let config = server.dir().join("redis.conf");
            let args = [config.to_str().unwrap(), "--aof-load-truncated", directive];
            let ran = run(&program(kind), &args, "", &[]);
            assert!(ran.code == 1 && ran.stdout.contains(text), "{} {directive}: {ran:?}", program(kind));
            assert_eq!(fs::read(&path).unwrap(), before, "the file is as it was");
        }
    }
}

#[test]
fn a_file_that_is_no_log_is_left_as_it_is() {
    for notes in ["my important notes, not an append-only file", "RED", "*"] {
        for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
            let mut server = Server::start(kind, "");
            server.kill();
            fs::write(server.dir().join("appendonly.aof"), notes).unwrap();
            let config = server.dir().join("redis.conf");
            let args = [config.to_str().unwrap(), "--appendonly", "yes", "--aof-load-truncated"];
            if notes != "*" {
                let ran = run(&program(kind), &[&args[..], &["yes"]].concat(), "", &[]);
                assert!(ran.code == 1 && ran.stdout.contains("Bad file format"), "{}: {ran:?}", program(kind));
            }
            let ran = run(&program(kind), &[&args[..], &["no"]].concat(), "", &[]);
            let reason = if notes == "*" { "Unexpected end of file" } else { "Bad file format" };
            assert!(ran.code == 1 && ran.stdout.contains(reason), "{}: {ran:?}", program(kind));
            assert_eq!(fs::read_to_string(server.dir().join("appendonlydir/appendonly.aof")).unwrap(), notes);
        }
    }
}

#[test]
fn a_manifest_that_says_what_it_is_to_say_is_not_written() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes");
    assert_eq!(server.text("SET first v"), "OK");
    server.kill();
    let path = server.dir().join("appendonlydir/appendonly.aof.manifest");
    let text =
        format!("# kept by hand\n{}", fs::read_to_string(&path).unwrap().replace("type i", "type i origin here"));
    fs::write(&path, &text).unwrap();
    let file = fs::metadata(&path).unwrap().ino();
    server.restart();
    assert_eq!(server.text("GET first"), "v");
    assert_eq!((fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().ino()), (text, file));
}

#[test]
fn a_log_is_not_begun_where_the_data_directory_is_gone() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
        let server = Server::start(kind, "enable-protected-configs yes");
        let data = server.dir().join("data");
        fs::create_dir(&data).unwrap();
        assert_eq!(server.text(&format!("CONFIG SET dir {}", data.display())), "OK");
        fs::remove_dir(&data).unwrap();
        let mut connection = server.connect();
        let mut ask = redis::cmd("CONFIG");
        let error = ask.arg("SET").arg("appendonly").arg("yes").exec(&mut connection).unwrap_err();
        let text =
            "CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.";
        assert!(error.to_string().contains(text), "{kind:?}: {error}");
        assert!(!data.exists(), "{kind:?}");
        assert_eq!(server.text("SET k v"), "OK");
    }
}

#[test]
fn what_runs_after_the_log_is_switched_off_is_not_in_it() {
    for policy in ["always", "everysec"] {
        let server = Server::start(ServerKind::Node, &format!("appendonly yes\nappendfsync {policy}"));
        let mut connection = server.connect();
        for round in 0..20 {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SET").arg(format!("before{round}")).arg("v");
            pipeline.cmd("CONFIG").arg("SET").arg("appendonly").arg("no");
            pipeline.cmd("SET").arg(format!("after{round}")).arg("v");
            pipeline.exec(&mut connection).unwrap();
            let bytes = fs::read(last_increment(&server)).unwrap();
            let has = |name: &str| String::from_utf8_lossy(&bytes).contains(&format!("{name}{round}\r\n"));
            assert_eq!((has("before"), has("after")), (true, false), "{policy} {round}");
            assert_eq!(server.text("CONFIG SET appendonly yes"), "OK");
            eventually("the log has its base", || {
                let info = server.text("INFO persistence");
                field(&info, "aof_rewrite_in_progress") == "0" && field(&info, "aof_rewrite_scheduled") == "0"
            });
        }
    }
}

#[test]
fn a_log_of_one_file_moves_into_its_directory() {
    let commands = format!("{}{}{}", command(&["SELECT", "0"]), set("a"), set("b"));
    let mut snapshot = {
        let server = Server::start(ServerKind::Node, "");
        assert_eq!(server.text("SET from_snapshot v"), "OK");
        assert_eq!(server.text("SAVE"), "OK");
        fs::read(server.dir().join("dump.rdb")).unwrap()
    };
    snapshot.extend_from_slice(commands.as_bytes());
    for (bytes, keys) in [(commands.as_bytes(), 2), (&snapshot, 3)] {
        let mut left = Vec::new();
        for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
            let mut server = Server::start(kind, "appendonly yes\nappendfsync always");
            server.kill();
            let dir = server.dir().join("appendonlydir");
            fs::remove_dir_all(&dir).unwrap();
            fs::write(server.dir().join("appendonly.aof"), bytes).unwrap();
            server.restart();
            assert_eq!(server.call::<usize>("DBSIZE").unwrap(), keys);
            assert_eq!(server.text("SET c v"), "OK");
            server.restart();
            assert_eq!(server.call::<usize>("DBSIZE").unwrap(), keys + 1);
            assert!(!server.dir().join("appendonly.aof").exists());
            assert_eq!(fs::read(dir.join("appendonly.aof")).unwrap(), bytes);
            left.push(fs::read_to_string(dir.join("appendonly.aof.manifest")).unwrap());
        }
        assert!(left[0].starts_with("file appendonly.aof seq 1 type b\n"), "{left:?}");
        assert_eq!(left[0].lines().next(), left[left.len() - 1].lines().next());
    }
}

#[test]
fn a_log_is_taken_back_to_a_moment() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always\naof-timestamp-enabled yes");
    assert_eq!(server.text("SET before v"), "OK");
    let second = || server.call::<Vec<String>>("TIME").unwrap()[0].clone();
    let first = second();
    eventually("a second passes", || second() != first);
    assert_eq!(server.text("SET after v"), "OK");
    server.kill();
    let text = fs::read_to_string(last_increment(&server)).unwrap();
    let moments: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#TS:")).collect();
    assert!(moments.len() >= 2, "{text}");
    let manifest = server.dir().join("appendonlydir/appendonly.aof.manifest");
    let args = ["--check-aof", "--truncate-to-timestamp", moments[0], manifest.to_str().unwrap()];
    let ran = run(&program(ServerKind::Node), &args, "", &[]);
    assert!(ran.code == 0 && ran.stdout.contains("Successfully truncated AOF"), "{ran:?}");
    server.restart();
    assert_eq!(server.call::<Vec<String>>("KEYS *").unwrap(), ["before"]);
}

#[test]
fn a_command_of_the_log_that_fails_is_told() {
    // The key is a string: what was logged was done to another dataset.
    let tail = format!("{}{}", command(&["LPUSH", "first", "x"]), command(&["EXEC"]));
    let mut told = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| kind.is_available()) {
        let mut server = killed_with(kind, "", &tail);
        server.restart();
        assert_eq!(server.text("GET first"), "v");
        let log = server.log();
        let lines = log.lines().filter_map(|line| line.split_once("== CRITICAL ==")).map(|(_, text)| text.to_owned());
        told.push((lines.collect::<Vec<_>>(), field(&server.text("INFO stats"), "unexpected_error_replies")));
        for words in
            ["DB loaded from base file appendonly.aof.1.base.rdb: ", "DB loaded from incr file", "keys loaded: 0"]
        {
            assert!(log.contains(words), "{kind:?}: {log}");
        }
    }
    assert_eq!(told[0].0.len(), 2, "{told:?}");
    assert!(
        told[0].0[0].contains("This server is sending an error to its AOF-loading-client: '-WRONGTYPE "),
        "{told:?}"
    );
    assert_eq!(told[0], told[told.len() - 1]);
}

#[test]
fn a_command_of_the_primary_that_fails_is_told() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0");
    let writable = format!("replicaof 127.0.0.1 {}\nreplica-read-only no", primary.port);
    let replica = Server::start(ServerKind::Node, &writable);
    eventually("the link is up", || field(&replica.text("INFO replication"), "master_link_status") == "up");
    assert_eq!(replica.text("SET key here"), "OK");
    assert_eq!(primary.text("LPUSH key there"), "1");
    eventually("it is told", || {
        replica.log().contains("This replica is sending an error to its master: '-WRONGTYPE Operation against a key")
    });
    assert_eq!(field(&replica.text("INFO stats"), "unexpected_error_replies"), "1");
    assert_eq!(replica.text("GET key"), "here");
}
