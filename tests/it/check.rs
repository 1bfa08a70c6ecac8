//! The checkers of files beside redis-check-rdb and redis-check-aof: the same words, exit codes and cuts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::eventually;
use crate::support::{Ran, Server, ServerKind, program_is_available, run};

const RDB: &str = "redis-check-rdb";
const LOG: &str = "redis-check-aof";

/// A directory of files to check, and the checkers under their names.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// `None` where the stock tools are missing.
    fn new() -> Option<Bench> {
        if ![RDB, LOG].iter().all(|name| program_is_available(Path::new(name))) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in [RDB, LOG] {
            symlink(env!("CARGO_BIN_EXE_node"), dir.path().join(name)).unwrap();
        }
        Some(Bench { dir })
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs the stock tool and then ours on files that `prepare` makes anew each time; both must say the same, and
    /// leave the same behind. Returns the exit code.
    fn compare(&self, tool: &str, args: &[&str], input: &str, mut prepare: impl FnMut()) -> i32 {
        let mut results = [tool.to_owned(), self.path(tool)].into_iter().map(|program| {
            prepare();
            let ran = run(&program, args, input, &[]);
            (self.shown(&ran), args.last().and_then(|file| fs::read(file).ok()))
        });
        let (stock, ours) = (results.next().unwrap(), results.next().unwrap());
        assert_eq!(ours, stock, "{tool} {args:?}");
        stock.0.2
    }

    fn check(&self, tool: &str, args: &[&str]) -> i32 {
        self.compare(tool, args, "", || {})
    }

    /// What a tool printed, without what is its own: its path, the time, how its reader words what makes no sense.
    fn shown(&self, ran: &Ran) -> (String, String, i32) {
        let here = format!("{}/redis-check", self.dir.path().display());
        let plain = |text: &str| {
            let text = text.replace(&here, "redis-check");
            text.lines().map(plain_line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
        };
        (plain(&ran.stdout), plain(&ran.stderr), ran.code)
    }
}

fn plain_line(line: &str) -> String {
    // The server's log: process, role, date and time.
    if let Some((head, rest)) = line.split_once(" # ")
        && head.contains(":C ")
    {
        return rest.to_owned();
    }
    if line.contains("Internal error in RDB reading") {
        return "Internal error".to_owned();
    }
    // What the stock tool shows behind the end of the data is chance.
    if let Some((head, _)) = line.split_once("got: 00") {
        return format!("{head}got: 00");
    }
    line.to_owned()
}

const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
const PING: &str = "*1\r\n$4\r\nPING\r\n";

const TRANSACTION: &str = "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$4\r\nEXEC\r\n";

/// A log with moments and a transaction.
fn log() -> String {
    format!("#TS:100\r\n{SELECT}{PING}#TS:200\r\n{TRANSACTION}#TS:300\r\n{PING}")
}

/// A server's files: the snapshot, and the directory of the log.
fn written_by(kind: ServerKind) -> (Vec<u8>, Server) {
    let server = Server::start(kind, "appendonly yes\naof-timestamp-enabled yes");
    for line in [
        "SET s text",
        "SET n 42",
        "RPUSH l a b c",
        "HSET h f v g w",
        "SADD t x y z",
        "SADD i 1 2 3",
        "ZADD z 1 a 2.5 b",
        "SETRANGE long 3000 x",
        "SET soon x PX 100000000",
    ] {
        let _: redis::Value = server.call(line).unwrap();
    }
    let _: redis::Value = server.call("BGREWRITEAOF").unwrap();
    eventually("the log is rewritten", || server.text("INFO persistence").contains("aof_rewrites:1"));
    let _: redis::Value = redis::pipe().atomic().cmd("INCR").arg("n").query(&mut server.connect()).unwrap();
    assert_eq!(server.text("SAVE"), "OK");
    let snapshot = fs::read(server.dir().join("dump.rdb")).unwrap();
    (snapshot, server)
}

fn files_of_log(server: &Server) -> Vec<PathBuf> {
    let dir = server.dir().join("appendonlydir");
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_servers_write_is_good() {
    let Some(bench) = Bench::new() else { return };
    let (snapshot, server) = written_by(ServerKind::Node);
    assert_eq!(bench.check(RDB, &[&bench.write("dump.rdb", &snapshot)]), 0);
    let files = files_of_log(&server);
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(bench.check(LOG, &[file.to_str().unwrap()]), 0);
    }
}

#[test]
fn options_do_what_names_do() {
    let Some(bench) = Bench::new() else { return };
    let file = bench.write("a.aof", log().as_bytes());
    let (by_name, by_option) =
        (run(&bench.path(LOG), &[&file], "", &[]), run(env!("CARGO_BIN_EXE_node"), &["--check-aof", &file], "", &[]));
    assert_eq!((by_option.stdout, by_option.code), (by_name.stdout, 0));
    let (by_name, by_option) =
        (run(&bench.path(RDB), &[&file], "", &[]), run(env!("CARGO_BIN_EXE_node"), &["--check-rdb", &file], "", &[]));
    assert!(by_option.stdout.contains("Wrong signature"), "{by_option:?}");
    assert_eq!((by_option.stdout, by_option.code), (by_name.stdout, 1));
}

#[test]
fn wrong_arguments() {
    let Some(bench) = Bench::new() else { return };
    let (missing, dir) = (bench.path("missing"), bench.path(""));
    for args in [&[][..], &["a", "b"], &[&missing], &[&dir]] {
        assert_eq!(bench.check(RDB, args), 1, "{args:?}");
    }
    let timed = "--truncate-to-timestamp";
    for args in [
        &[][..],
        &["--other", "x"],
        &["--fix"],
        &[timed, "5"],
        &[timed, "5x", "f"],
        &["--fix", timed, "5", "f"],
        &["a", "--fix"],
        &[&missing],
        &[&dir],
    ] {
        assert_eq!(bench.check(LOG, args), 1, "{args:?}");
    }
    for option in ["-v", "--version"] {
        let ran = run(&bench.path(RDB), &[option], "", &[]);
        assert!(ran.code == 0 && ran.stdout.starts_with("redis-check-rdb 7."), "{ran:?}");
    }
    let empty = bench.write("empty", b"");
    assert_eq!(bench.check(RDB, &[&empty]), 1);
    assert_eq!(bench.check(LOG, &[&empty]), 0);
    assert_eq!(bench.check(LOG, &["--fix", &empty]), 0);
}

#[test]
fn damaged_snapshots() {
    let Some(bench) = Bench::new() else { return };
    let (whole, _server) = written_by(ServerKind::Node);
    for len in (0..whole.len()).step_by(5).chain(whole.len() - 10..whole.len()) {
        let file = bench.write("f.rdb", &whole[..len]);
        assert_eq!(bench.check(RDB, &[&file]), 1, "cut at {len}");
    }
    for at in (0..whole.len()).step_by(4) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let file = bench.write("f.rdb", &bytes);
        let ours = run(&bench.path(RDB), &[&file], "", &[]);
        let stock = run(RDB, &[&file], "", &[]);
        assert_eq!(ours.code, stock.code, "bit {} of byte {at}\n{}\n{}", at % 8, ours.stdout, stock.stdout);
    }
    for magic in ["REDIS9999", "REDIS0000", "NOTREDIS1", "REDIS"] {
        assert_eq!(bench.check(RDB, &[&bench.write("f.rdb", magic.as_bytes())]), 1, "{magic}");
    }
    let mut unchecked = whole.clone();
    let end = unchecked.len() - 8;
    unchecked[end..].fill(0);
    assert_eq!(bench.check(RDB, &[&bench.write("f.rdb", &unchecked)]), 0);
}

#[test]
fn damaged_logs() {
    let Some(bench) = Bench::new() else { return };
    let whole = log();
    let mut codes = [0; 2];
    for len in 0..whole.len() {
        let file = bench.write("f.aof", &whole.as_bytes()[..len]);
        codes[bench.check(LOG, &[&file]) as usize] += 1;
    }
    assert!(codes[0] > 5 && codes[1] > 50, "{codes:?}");
    for (answer, code) in [("y\n", 0), ("Yes\n", 0), ("n\n", 1), ("", 1)] {
        let cut = &whole.as_bytes()[..100];
        let file = bench.path("f.aof");
        let prepare = || {
            bench.write("f.aof", cut);
        };
        assert_eq!(bench.compare(LOG, &["--fix", &file], answer, prepare), code, "{answer:?}");
        assert_eq!(fs::metadata(&file).unwrap().len() < cut.len() as u64, code == 0);
    }
    for tail in
        ["PING\r\n", "*x\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n", "*1\r\n$4\r\nEXEC\r\n", "*0\r\n", "\0\0\0", "#x"]
    {
        let file = bench.write("f.aof", format!("{SELECT}{tail}{PING}").as_bytes());
        bench.check(LOG, &[&file]);
    }
    let file = bench.write("f.aof", format!("{SELECT}*1\r\n$5\r\nMULTI\r\n{PING}").as_bytes());
    assert_eq!(bench.check(LOG, &[&file]), 1);
}

#[test]
fn logs_behind_a_snapshot() {
    let Some(bench) = Bench::new() else { return };
    let (snapshot, _server) = written_by(ServerKind::Node);
    let whole = [&snapshot[..], log().as_bytes()].concat();
    let file = bench.write("f.aof", &whole);
    assert_eq!(bench.check(LOG, &[&file]), 0);
    for len in (10..whole.len()).step_by(11) {
        let file = bench.write("f.aof", &whole[..len]);
        bench.check(LOG, &[&file]);
    }
    let prepare = || {
        bench.write("f.aof", &whole);
    };
    assert_eq!(bench.compare(LOG, &["--truncate-to-timestamp", "200", &file], "", prepare), 0);
    assert_eq!(fs::metadata(&file).unwrap().len() as usize, whole.len() - "#TS:300\r\n".len() - PING.len());
}

#[test]
fn moments() {
    let Some(bench) = Bench::new() else { return };
    let whole = log();
    let file = bench.path("f.aof");
    for (until, code) in
        [("50", 1), ("100", 0), ("150", 0), ("200", 0), ("299", 0), ("300", 0), ("1000", 0), ("0", 0), ("-5", 1)]
    {
        let prepare = || {
            bench.write("f.aof", whole.as_bytes());
        };
        assert_eq!(bench.compare(LOG, &["--truncate-to-timestamp", until, &file], "", prepare), code, "{until}");
    }
    let bad = bench.write("f.aof", format!("#TS:x\r\n{PING}").as_bytes());
    assert_eq!(bench.check(LOG, &["--truncate-to-timestamp", "5", &bad]), 1);
    assert_eq!(bench.check(LOG, &[&bad]), 0);
}

#[test]
fn logs_of_several_files() {
    let Some(bench) = Bench::new() else { return };
    let manifest = bench.path("log/m.manifest");
    let lists = [
        "file b seq 1 type b\nfile i1 seq 1 type i\nfile i2 seq 2 type i\n",
        "# a comment\nfile i1 seq 1 type i\nfile i2 seq 2 type i\nfile h seq 1 type h\n",
        "file b seq 1 type b\n",
        "file b seq 1 type b\nfile gone seq 1 type i\n",
        "file gone seq 1 type b\n",
        "file b seq 1 type b\nfile ends seq 1 type i\n",
        "file b seq 1 type b\nfile begins seq 1 type i\n",
        "file b seq 1 type x\n",
        "file i2 seq 2 type i\nfile i1 seq 1 type i\n",
        "file b seq 1 type b",
        "file\n",
        "\n",
        "# nothing\n",
    ];
    let prepare = |list: &str, cut: &str| {
        bench.write("log/m.manifest", list.as_bytes());
        for (name, text) in [
            ("b", SELECT.to_owned()),
            ("i1", format!("#TS:100\r\n{PING}#TS:200\r\n{PING}")),
            ("i2", format!("#TS:300\r\n{PING}#TS:400\r\n{PING}")),
            ("ends", format!("{PING}*1\r\n$4\r\nEXEC\r\n{PING}")),
            ("begins", format!("*1\r\n$5\r\nMULTI\r\n{PING}*1\r\n$5\r\nmulti\r\n")),
        ] {
            let len = if name == cut { text.len() - 3 } else { text.len() };
            bench.write(&format!("log/{name}"), &text.as_bytes()[..len]);
        }
    };
    for list in lists {
        for cut in ["", "b", "i1", "i2"] {
            bench.compare(LOG, &[&manifest], "", || prepare(list, cut));
            bench.compare(LOG, &["--fix", &manifest], "y\n", || prepare(list, cut));
        }
    }
    for until in ["50", "100", "250", "350", "400"] {
        bench.compare(LOG, &["--truncate-to-timestamp", until, &manifest], "", || prepare(lists[0], ""));
    }
    let last = fs::read_to_string(bench.path("log/i2")).unwrap();
    assert!(last.ends_with(&format!("#TS:400\r\n{PING}")), "the last moment leaves all of it");
    // A damaged last file is cut, and the log is whole again.
    prepare(lists[0], "i2");
    assert_eq!(run(&bench.path(LOG), &["--fix", &manifest], "y\n", &[]).code, 0);
    assert_eq!(bench.check(LOG, &[&manifest]), 0);
    assert_eq!(fs::read_to_string(bench.path("log/i2")).unwrap(), format!("#TS:300\r\n{PING}#TS:400\r\n"));
}
