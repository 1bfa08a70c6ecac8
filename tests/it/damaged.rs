//! Files that cannot be read: what is said of them, and that nothing is lost for their sake.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Server, ServerKind, eventually, free_port};

/// The snapshot of a few keys, as a stock server writes it, too.
fn snapshot() -> Vec<u8> {
    let server = Server::start(ServerKind::Node, "rdbcompression no");
    for line in ["SET key value", "SET gone 1 EX 10000", "RPUSH list a b c"] {
        let _: redis::Value = server.call(line).unwrap();
    }
    assert_eq!(server.text("SAVE"), "OK");
    fs::read(server.dir().join("dump.rdb")).unwrap()
}

fn start(kind: ServerKind, dir: &Path) -> Output {
    let port = free_port().to_string();
    Command::new(kind.program()).args(["--port", &port, "--dir"]).arg(dir).output().unwrap()
}

/// The lines of the report on a file, without what stands in front of them in a log.
fn report(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let marks = ["[offset ", "[additional info] ", "[info] ", "--- RDB ERROR"];
    text.lines()
        .filter_map(|line| marks.iter().filter_map(|mark| line.find(mark)).min().map(|at| line[at..].to_owned()))
        .collect()
}

#[test]
fn the_report_on_a_damaged_file_is_that_of_a_stock_server() {
    let good = snapshot();
    let key = good.windows(4).position(|part| part == b"\x03key").unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    for (what, bytes, said) in [
        ("cut", good[..key + 6].to_vec(), "Unexpected EOF reading RDB file"),
        ("cut in the header", good[..5].to_vec(), "While doing: start"),
        ("empty", Vec::new(), "[info] 0 keys read"),
        ("checksum", changed(good.len() - 1, !good[good.len() - 1]), "RDB CRC error"),
        ("type", changed(key - 1, 97), "Invalid object type: 97"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump.rdb");
        fs::write(&path, &bytes).unwrap();
        let ours = start(ServerKind::Node, dir.path());
        assert_eq!(ours.status.code(), Some(1), "{what}: {ours:?}");
        let told = report(&ours);
        assert_eq!(told.first().map(String::as_str), Some("[offset 0] Checking RDB file dump.rdb"), "{what}: {ours:?}");
        assert!(told.join("\n").contains(said), "{what}: {told:?}");
        let text = String::from_utf8_lossy(&ours.stdout).into_owned();
        assert!(text.ends_with(&format!("Exiting. ({})\n", path.display())), "{what}: {text}");
        if ServerKind::Stock.is_available() {
            let theirs = start(ServerKind::Stock, dir.path());
            assert_eq!((theirs.status.code(), report(&theirs)), (Some(1), told), "{what}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}: the file stays");
    }
}

#[test]
fn the_base_of_a_log_is_reported_on_as_well() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes");
    assert_eq!(server.text("SET key value"), "OK");
    server.kill();
    let base = server.dir().join("appendonlydir/appendonly.aof.1.base.rdb");
    let mut bytes = fs::read(&base).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&base, &bytes).unwrap();
    let config = server.dir().join("redis.conf");
    let ours = Command::new(env!("CARGO_BIN_EXE_node")).arg(config).output().unwrap();
    assert_eq!(ours.status.code(), Some(1), "{ours:?}");
    let told = report(&ours).join("\n");
    assert!(told.starts_with("[offset 0] Checking RDB file appendonly.aof.1.base.rdb\n"), "{ours:?}");
    assert!(told.contains("RDB CRC error\n[additional info] While doing: check-sum\n"), "{told}");
    assert_eq!(fs::read(&base).unwrap(), bytes);
}

#[test]
fn what_the_log_says_while_loading_stands_in_order() {
    let mut server = Server::start(ServerKind::Node, "");
    assert_eq!(server.text("SET key value"), "OK");
    assert_eq!(server.text("SAVE"), "OK");
    server.restart();
    let log = server.log();
    let last = log.rsplit("Redis is starting").next().unwrap();
    let at = |line: &str| last.find(line).unwrap_or_else(|| panic!("{line} is missing in\n{last}"));
    assert!(at("Loading RDB produced by") < at("Done loading RDB, keys loaded: 1"), "{last}");
    assert!(at("Done loading RDB, keys loaded: 1") < at("DB loaded from disk"), "{last}");
    assert!(at("DB loaded from disk") < at("Ready to accept connections"), "{last}");
}

#[test]
fn the_log_names_the_files_that_it_opens_makes_and_removes() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes");
    assert_eq!(server.text("SET key value"), "OK");
    assert!(server.text("BGREWRITEAOF").contains("started"));
    eventually("it is rewritten", || server.log().contains("Background AOF rewrite finished successfully"));
    server.restart();
    let log = server.log();
    for line in [
        "Opening AOF incr file appendonly.aof.1.incr.aof on server start",
        "Creating AOF incr file appendonly.aof.2.incr.aof on background rewrite",
        "Successfully renamed the temporary AOF base file into appendonly.aof.2.base.rdb",
        "Removing the history file appendonly.aof.1.base.rdb in the background",
        "Removing the history file appendonly.aof.1.incr.aof in the background",
        "Opening AOF incr file appendonly.aof.2.incr.aof on server start",
    ] {
        assert!(log.contains(line), "{line} is missing in\n{log}");
    }
}

#[test]
fn a_reload_that_fails_gives_nothing_away() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes");
    for line in ["SET key value", "RPUSH list a b c", "SELECT 1", "SAVE", "SET later 1"] {
        let _: redis::Value = server.call(line).unwrap();
    }
    let digest = server.text("DEBUG DIGEST");
    let path = server.dir().join("dump.rdb");
    let good = fs::read(&path).unwrap();
    for bytes in [&good[..good.len() - 12], &[&good[..good.len() - 1], &[!good[good.len() - 1]]].concat(), b"NOTREDIS1"]
    {
        fs::write(&path, bytes).unwrap();
        let error = server.call::<String>("DEBUG RELOAD NOSAVE").unwrap_err().to_string();
        assert!(error.contains("Error trying to load the RDB dump"), "{error}");
        assert_eq!(server.text("DEBUG DIGEST"), digest);
    }
    let log = server.log();
    assert!(log.contains("[offset 0] Checking RDB file dump.rdb"), "{log}");
    assert_eq!(log.matches("The dataset is as it was before the reload.").count(), 2, "{log}");
    fs::remove_file(&path).unwrap();
    assert!(server.call::<String>("DEBUG RELOAD NOSAVE").is_err());
    assert!(server.log().contains(&format!("Can't open {}: No such file or directory", path.display())));
    assert_eq!(server.text("DEBUG DIGEST"), digest);
    assert_eq!(server.text("DEBUG RELOAD"), "OK", "what is there can be written and read");
    assert_eq!(server.text("DEBUG DIGEST"), digest);
}

#[test]
fn a_damaged_log_that_is_read_again_gives_nothing_away() {
    let server = Server::start(ServerKind::Node, "enable-debug-command yes\nappendonly yes\nappendfsync always");
    assert_eq!(server.text("SET key value"), "OK");
    assert_eq!(server.text("RPUSH list a b c"), "3");
    let digest = server.text("DEBUG DIGEST");
    let log = server.dir().join("appendonlydir/appendonly.aof.1.incr.aof");
    let good = fs::read(&log).unwrap();
    let mut bytes = good.clone();
    let at = bytes.windows(5).position(|part| part == b"RPUSH").unwrap();
    bytes[at - 4..at].copy_from_slice(b"junk");
    fs::write(&log, &bytes).unwrap();
    let error = server.call::<String>("DEBUG LOADAOF").unwrap_err().to_string();
    assert!(error.contains("Error trying to load the AOF files"), "{error}");
    assert_eq!(server.text("DEBUG DIGEST"), digest);
    assert_eq!(fs::read(&log).unwrap(), bytes, "the file stays for whoever repairs it");
    // One that is cut is not made do with, as at a start: what it lacks is still there.
    let cut = &good[..good.len() - 5];
    fs::write(&log, cut).unwrap();
    assert!(server.call::<String>("DEBUG LOADAOF").is_err());
    assert_eq!(server.text("DEBUG DIGEST"), digest);
    assert_eq!(fs::read(&log).unwrap(), cut);
    fs::write(&log, &good).unwrap();
    assert_eq!(server.text("DEBUG LOADAOF"), "OK");
    assert_eq!(server.text("DEBUG DIGEST"), digest);
}
