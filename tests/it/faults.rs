//! A disk that refuses, and files that are damaged: writes are refused as long as they could be lost, and go on as soon
//! as the cause is gone; nothing that cannot be understood is overwritten.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{Server, ServerKind, eventually};
use crate::{field, number};

const INCREMENT: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";

/// No file of the server may grow beyond this (`None`: beyond nothing): to the server that is a full disk.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(server.pid() as i32);
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

fn persistence(server: &Server, name: &str) -> String {
    field(&server.text("INFO persistence"), name)
}

fn error_of(server: &Server, command: &str) -> String {
    server.call::<String>(command).err().map(|error| error.to_string()).unwrap_or_default()
}

/// A log that is larger than anything else the server writes, and full.
fn with_a_full_log(appendfsync: &str) -> Server {
    let server = Server::start(ServerKind::Node, &format!("appendonly yes\nappendfsync {appendfsync}"));
    assert_eq!(server.text(&format!("SET large {}", "x".repeat(100_000))), "OK");
    let path = server.dir().join(INCREMENT);
    eventually("it is written", || fs::metadata(&path).is_ok_and(|meta| meta.len() > 100_000));
    limit_files(&server, Some(fs::metadata(&path).unwrap().len() + 70));
    server
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let mut server = with_a_full_log("everysec");
    let mut last = 0;
    eventually("the disk is full", || match server.call::<u64>("INCR n") {
        Ok(n) => {
            last = n;
            false
        }
        Err(error) => {
            assert!(error.to_string().contains("Errors writing to the AOF file: File too large"), "{error}");
            true
        }
    });
    assert!(error_of(&server, "PING").contains("MISCONF"));
    assert_eq!(server.text("GET n"), last.to_string());
    assert_eq!(persistence(&server, "aof_last_write_status"), "err");
    let files_bytes = || {
        let base = fs::metadata(server.dir().join("appendonlydir/appendonly.aof.1.base.rdb")).unwrap().len();
        base + fs::metadata(server.dir().join(INCREMENT)).unwrap().len()
    };
    assert_eq!(persistence(&server, "aof_current_size"), files_bytes().to_string());
    assert_ne!(persistence(&server, "aof_buffer_length"), "0");
    // No torn command stays.
    let log = fs::read(server.dir().join(INCREMENT)).unwrap();
    assert!(log.ends_with(b"\r\n"), "{}", log[log.len() - 40..].escape_ascii());
    limit_files(&server, None);
    eventually("it goes on", || server.call::<u64>("INCR n").is_ok_and(|n| n == last + 1));
    assert_eq!(persistence(&server, "aof_last_write_status"), "ok");
    assert!(server.log_tail().contains("AOF write error looks solved"));
    eventually("all is written", || {
        fs::read(server.dir().join(INCREMENT)).unwrap().windows(4).filter(|w| w == b"INCR").count() as u64 == last + 1
    });
    assert_eq!(persistence(&server, "aof_current_size"), files_bytes().to_string());
    assert_eq!(persistence(&server, "aof_buffer_length"), "0");
    server.restart();
    assert_eq!(server.text("GET n"), (last + 1).to_string());
}

#[test]
fn with_always_a_full_disk_ends_the_server_before_it_answers() {
    let mut server = with_a_full_log("always");
    let mut last = 0;
    let mut connection = server.connect();
    while let Ok(n) = redis::cmd("INCR").arg("n").query::<u64>(&mut connection) {
        last = n;
        assert!(n < 1000, "the limit does not hold");
    }
    eventually("it ends", || server.has_ended());
    assert!(server.log_tail().contains("Can't recover from AOF write error"), "{}", server.log_tail());
    server.restart();
    assert_eq!(server.call::<Option<u64>>("GET n").unwrap().unwrap_or(0), last);
}

#[test]
fn a_failed_save_refuses_writes_and_leaves_the_old_file() {
    let server = Server::start(ServerKind::Node, "save 3600 1");
    assert_eq!(server.text("SET a 1"), "OK");
    assert_eq!(server.text("SAVE"), "OK");
    let before = fs::read(server.dir().join("dump.rdb")).unwrap();
    assert_eq!(server.text("SET a 2"), "OK");
    // A directory stands where the file is written first.
    let obstacle = server.dir().join(format!("temp-{}.rdb", server.pid()));
    fs::create_dir(&obstacle).unwrap();
    assert!(server.call::<String>("SAVE").is_err());
    // Only what nobody waits for refuses writes.
    assert_eq!(server.text("SET a 2"), "OK");
    assert_eq!(persistence(&server, "rdb_last_bgsave_time_sec"), "-1");
    assert_eq!(server.text("BGSAVE"), "Background saving started");
    eventually("it fails", || persistence(&server, "rdb_last_bgsave_status") == "err");
    assert_eq!(persistence(&server, "rdb_saves"), "3", "those that failed count as well");
    for command in ["SET a 3", "PING"] {
        let error = error_of(&server, command);
        assert!(error.contains("MISCONF") && error.contains("configured to save RDB snapshots"), "{error}");
    }
    assert_eq!(server.text("GET a"), "2");
    assert_eq!(fs::read(server.dir().join("dump.rdb")).unwrap(), before);
    assert_eq!(server.text("CONFIG SET stop-writes-on-bgsave-error no"), "OK");
    assert_eq!(server.text("SET a 3"), "OK");
    assert_eq!(server.text("CONFIG SET stop-writes-on-bgsave-error yes"), "OK");
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(server.text("BGSAVE"), "Background saving started");
    eventually("it succeeds", || persistence(&server, "rdb_last_bgsave_status") == "ok");
    assert_eq!(server.text("SET a 4"), "OK");
    assert_eq!(server.text("CONFIG RESETSTAT"), "OK");
    assert_eq!(persistence(&server, "rdb_saves"), "0");
    assert_ne!(fs::read(server.dir().join("dump.rdb")).unwrap(), before);
}

#[test]
fn a_save_on_a_full_disk_leaves_nothing_behind() {
    let mut server = Server::start(ServerKind::Node, "save 3600 1\nrdbcompression no");
    for key in ["a", "b"] {
        assert_eq!(server.text(&format!("SET {key} {}", "x".repeat(200_000))), "OK");
    }
    assert_eq!(server.text("SAVE"), "OK");
    let before = fs::read(server.dir().join("dump.rdb")).unwrap();
    limit_files(&server, Some(300_000));
    assert_eq!(server.text("BGSAVE"), "Background saving started");
    eventually("it fails", || persistence(&server, "rdb_last_bgsave_status") == "err");
    assert!(server.log_tail().contains("Write error saving DB on disk: File too large"), "{}", server.log_tail());
    assert!(!names(server.dir()).iter().any(|name| name.starts_with("temp-")));
    assert_eq!(fs::read(server.dir().join("dump.rdb")).unwrap(), before);
    server.restart();
    assert_eq!(server.text("DBSIZE"), "2");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_rewrite_that_fails_leaves_the_log_in_force() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    assert_eq!(server.text("INCR n"), "1");
    let mut counted = 1;
    for step in 0..2 {
        // A directory stands where the base, or the manifest, is written first.
        let obstacle = match step {
            0 => server.dir().join(format!("temp-rewriteaof-bg-{}.aof", server.pid())),
            _ => server.dir().join("appendonlydir/temp-appendonly.aof.manifest"),
        };
        fs::create_dir(&obstacle).unwrap();
        match step {
            0 => assert_eq!(server.text("BGREWRITEAOF"), "Background append only file rewriting started"),
            // The increment that it would begin cannot be named.
            _ => assert!(error_of(&server, "BGREWRITEAOF").contains("Can't execute an AOF background rewriting")),
        }
        eventually("it fails", || persistence(&server, "aof_last_bgrewrite_status") == "err");
        eventually("it has ended", || persistence(&server, "aof_rewrite_in_progress") == "0");
        let failures = if step == 0 { "1" } else { "0" };
        assert_eq!(persistence(&server, "aof_rewrites_consecutive_failures"), failures, "one that began or not");
        counted += 1;
        assert_eq!(server.text("INCR n"), counted.to_string());
        fs::remove_dir(&obstacle).unwrap();
        server.restart();
        assert_eq!(server.text("GET n"), counted.to_string());
        assert_eq!(server.text("BGREWRITEAOF"), "Background append only file rewriting started");
        eventually("it succeeds", || number(&persistence(&server, "aof_rewrites")) == 1);
        counted += 1;
        assert_eq!(server.text("INCR n"), counted.to_string());
        server.restart();
        assert_eq!(server.text("GET n"), counted.to_string());
    }
}

#[test]
fn a_rewrite_waits_for_a_save_and_names_no_file_that_is_not_there() {
    let server = Server::start(ServerKind::Node, "appendonly yes\nenable-debug-command yes\nrdbcompression no");
    let mut pipe = redis::pipe();
    for i in 0..20_000 {
        pipe.cmd("SET").arg(i).arg("x".repeat(500)).ignore();
    }
    pipe.query::<()>(&mut server.connect()).unwrap();
    let replies: (String, String, String) =
        redis::pipe().cmd("BGSAVE").cmd("BGREWRITEAOF").cmd("BGSAVE").query(&mut server.connect()).unwrap_or_else(
            // The third is refused while the first runs.
            |error| (error.to_string(), String::new(), String::new()),
        );
    assert!(replies.0.contains("already in progress"), "{replies:?}");
    let manifest = fs::read_to_string(server.dir().join(MANIFEST)).unwrap();
    for line in manifest.lines() {
        let name = line.split(' ').nth(1).unwrap();
        assert!(server.dir().join("appendonlydir").join(name).exists(), "{name} of\n{manifest}");
    }
    eventually("both have ended", || number(&persistence(&server, "aof_rewrites")) == 1);
    assert_eq!(persistence(&server, "rdb_saves"), "1");
    let replies: Vec<Vec<String>> = redis::pipe()
        .cmd("MULTI")
        .ignore()
        .cmd("BGSAVE")
        .ignore()
        .cmd("SET")
        .arg("n")
        .arg(1)
        .ignore()
        .cmd("EXEC")
        .query(&mut server.connect())
        .unwrap();
    assert_eq!(replies, [["Background saving scheduled", "OK"]]);
    eventually("it is saved with the whole transaction", || persistence(&server, "rdb_saves") == "2");
}

/// Starts the server on its files; it must end with code 1 and say `why`.
fn refuses_to_start(server: &Server, why: &str) {
    let out = Command::new(env!("CARGO_BIN_EXE_node")).arg(server.dir().join("redis.conf")).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains(why), "not {why:?} in\n{said}");
}

/// All files below the server's directory but its own log, with their contents.
fn contents(server: &Server) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for dir in [server.dir().to_owned(), server.dir().join("appendonlydir")] {
        for name in names(&dir).iter().filter(|name| *name != "log") {
            let path = dir.join(name);
            if path.is_file() {
                found.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn a_log_with_a_file_missing_is_refused_and_left_as_it_is() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    assert_eq!(server.text("SET a 1"), "OK");
    server.kill();
    for (name, why) in [
        (INCREMENT, "The AOF file"),
        ("appendonlydir/appendonly.aof.1.base.rdb", "doesn't exist"),
        (MANIFEST, "no manifest that names them"),
    ] {
        let path = server.dir().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let before = contents(&server);
        refuses_to_start(&server, why);
        assert_eq!(contents(&server), before, "without {name}");
        fs::write(&path, bytes).unwrap();
    }
    server.restart();
    assert_eq!(server.text("GET a"), "1");
}

/// Its name would be taken by the base of a new log.
#[test]
fn a_base_without_its_manifest_is_refused_unless_it_is_empty() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes");
    server.kill();
    fs::remove_file(server.dir().join(MANIFEST)).unwrap();
    // As a first start leaves it that was cut off.
    server.restart();
    assert_eq!(server.text("SET a 1"), "OK");
    assert_eq!(server.text("BGREWRITEAOF"), "Background append only file rewriting started");
    eventually("it is rewritten", || persistence(&server, "aof_rewrites") == "1");
    eventually("what it replaces is deleted", || names(&server.dir().join("appendonlydir")).len() == 3);
    server.kill();
    fs::remove_file(server.dir().join(MANIFEST)).unwrap();
    let before = contents(&server);
    refuses_to_start(&server, "no manifest that names them");
    assert_eq!(contents(&server), before);
}

#[test]
fn a_flipped_bit_is_found() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    assert_eq!(server.text("SET a 12345678901234567890"), "OK");
    assert_eq!(server.text("BGREWRITEAOF"), "Background append only file rewriting started");
    eventually("it is rewritten", || number(&persistence(&server, "aof_rewrites")) == 1);
    // What a history line says does not matter.
    eventually("it has no history", || !fs::read_to_string(server.dir().join(MANIFEST)).unwrap().contains("type h"));
    server.kill();
    let base = server.dir().join("appendonlydir/appendonly.aof.2.base.rdb");
    for path in [base, server.dir().join(MANIFEST)] {
        let sound = fs::read(&path).unwrap();
        // The name of the base, its number and its kind; the key, the value and the checksum.
        for at in [0, sound.len() / 3, sound.len() / 2, sound.len() - 12, sound.len() - 3] {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let before = contents(&server);
            refuses_to_start(&server, "");
            assert_eq!(contents(&server), before, "bit of byte {at} of {}", path.display());
        }
        fs::write(&path, &sound).unwrap();
    }
    server.restart();
    assert_eq!(server.text("GET a"), "12345678901234567890");
}

#[test]
fn a_log_that_cannot_be_made_is_told_at_the_start() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes");
    server.kill();
    fs::remove_dir_all(server.dir().join("appendonlydir")).unwrap();
    fs::write(server.dir().join("appendonlydir"), "a file").unwrap();
    refuses_to_start(&server, "AOF");
    assert_eq!(fs::read(server.dir().join("appendonlydir")).unwrap(), b"a file");
}

/// What a replica cannot keep it may not apply, unless it is told to.
#[test]
fn a_replica_that_cannot_save_ends_unless_it_is_to_go_on() {
    let primary = Server::start(ServerKind::Node, "repl-diskless-sync-delay 0");
    for (directive, goes_on) in [("yes", true), ("no", false)] {
        let mut replica = Server::start(
            ServerKind::Node,
            &format!("replicaof 127.0.0.1 {}\nsave 3600 1\nreplica-ignore-disk-write-errors {directive}", primary.port),
        );
        eventually("the link is up", || field(&replica.text("INFO replication"), "master_link_status") == "up");
        // A directory stands where the file is written first.
        fs::create_dir(replica.dir().join(format!("temp-{}.rdb", replica.pid()))).unwrap();
        assert_eq!(replica.text("BGSAVE"), "Background saving started");
        eventually("it fails", || persistence(&replica, "rdb_last_bgsave_status") == "err");
        let n = primary.text("INCR n");
        if goes_on {
            eventually("it is applied", || replica.call::<Option<String>>("GET n").unwrap().as_ref() == Some(&n));
            eventually("the log tells it", || replica.log_tail().contains("Replica is applying a command even though"));
        } else {
            eventually("it ends", || replica.has_ended());
            assert!(replica.log().contains("Replica was unable to write command to disk."));
        }
    }
}
