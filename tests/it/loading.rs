//! What a server answers while it reads its dataset: the same as a stock server.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::{Server, ServerKind, eventually};

/// Commands that are refused, and some that are not.
const COMMANDS: &[&str] = &[
    "PING",
    "GET k:1",
    "SET a 1",
    "SELECT 1",
    "MULTI",
    "EXEC",
    "DISCARD",
    "AUTH x",
    "SUBSCRIBE c",
    "PUBLISH a b",
    "SHUTDOWN ABORT",
    "BGSAVE",
    "SAVE",
    "BGREWRITEAOF",
    "REPLICAOF NO ONE",
    "ROLE",
    "SLOWLOG LEN",
    "LATENCY LATEST",
    "WAIT 0 0",
    "KEYS *",
    "DBSIZE",
    "FLUSHALL",
    "ECHO a",
    "CLIENT GETNAME",
    "CONFIG SET maxmemory-samples 5",
    "DEBUG SLEEP 0.01",
    "DEBUG SET-ACTIVE-EXPIRE 1",
    "NOTHING",
];

/// A process that ends with the test.
struct Loading(Child);

impl Drop for Loading {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first line of the answer to a command on a connection of its own.
fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// What a server says that is in the middle of its file.
fn while_loading(kind: ServerKind) -> Vec<String> {
    let mut server = Server::start(kind, "enable-debug-command yes");
    let mut pipe = redis::pipe();
    for i in 0..3000 {
        pipe.cmd("SET").arg(format!("k:{i}")).arg("x".repeat(i % 200)).ignore();
    }
    pipe.cmd("SAVE").ignore();
    pipe.query::<()>(&mut server.connect()).unwrap();
    server.kill();
    let program = if kind == ServerKind::Node { env!("CARGO_BIN_EXE_node") } else { "redis-server" };
    let mut command = Command::new(program);
    command.arg(server.dir().join("redis.conf")).current_dir(server.dir()).stdout(Stdio::null());
    command.args(["--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024"]);
    let mut process = Loading(command.spawn().unwrap());
    eventually("it loads", || ask(server.port, "PING").is_ok_and(|line| line.starts_with("-LOADING")));
    let mut answers: Vec<String> =
        COMMANDS.iter().map(|command| format!("{command}: {}", ask(server.port, command).unwrap())).collect();
    let info = server.text("INFO persistence");
    assert!(info.contains("loading:1\r\n"), "it is over too early");
    answers.extend(info.lines().filter_map(|line| Some(line.strip_prefix("loading_")?.split(':').next()?.to_owned())));
    // There is nothing to save, and nothing to wait for.
    let last = ask(server.port, "SHUTDOWN SAVE").unwrap_or_default();
    eventually("it ends", || process.0.try_wait().unwrap().is_some());
    answers.push(format!("SHUTDOWN SAVE: {last}"));
    answers
}

#[test]
fn what_cannot_be_answered_yet_is_refused_as_by_a_stock_server() {
    let node = while_loading(ServerKind::Node);
    assert_eq!(node[0], "PING: -LOADING Redis is loading the dataset in memory");
    assert_eq!(node[3], "SELECT 1: +OK");
    if ServerKind::Stock.is_available() {
        assert_eq!(node, while_loading(ServerKind::Stock));
    }
}

#[test]
fn a_log_is_read_as_slowly_as_that_is_wanted() {
    let mut server = Server::start(ServerKind::Node, "appendonly yes\nappendfsync always");
    for i in 0..50 {
        assert_eq!(server.text(&format!("SET k:{i} v")), "OK");
    }
    server.kill();
    let config = server.dir().join("redis.conf");
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command.arg(config).args(["--key-load-delay", "20000"]).current_dir(server.dir()).stdout(Stdio::null());
    let begun = std::time::Instant::now();
    let _process = Loading(command.spawn().unwrap());
    eventually("it loads", || ask(server.port, "PING").is_ok_and(|line| line.starts_with("-LOADING")));
    eventually("it has loaded", || ask(server.port, "PING").is_ok_and(|line| line == "+PONG"));
    assert!(begun.elapsed().as_millis() >= 50 * 20, "each of the commands takes its time");
    assert_eq!(server.text("DBSIZE"), "50");
}

#[test]
fn a_save_takes_its_time_where_that_is_wanted() {
    let server = Server::start(ServerKind::Node, "rdb-key-save-delay 10000");
    for i in 0..40 {
        assert_eq!(server.text(&format!("SET k:{i} v")), "OK");
    }
    let field = |name: &str| {
        let info = server.text("INFO persistence");
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
        line.unwrap_or_default().parse::<u64>().unwrap()
    };
    let begun = std::time::Instant::now();
    assert_eq!(server.text("BGSAVE"), "Background saving started");
    eventually("a part of the keys is written", || (1..40).contains(&field("current_save_keys_processed")));
    // The delay is that of the time at which it began, and others are served meanwhile.
    assert_eq!(server.text("CONFIG SET rdb-key-save-delay 0"), "OK");
    assert_eq!(server.text("SET later 1"), "OK");
    eventually("it is saved", || field("rdb_bgsave_in_progress") == 0);
    assert!(begun.elapsed().as_millis() >= 40 * 10, "each of the keys takes its time");
    let names = |pattern: &str| server.call::<Vec<String>>(&format!("CONFIG GET {pattern}")).unwrap();
    assert_eq!(names("rdb-key-save-delay"), ["rdb-key-save-delay", "0"]);
    assert_eq!(names("loading-process-events-interval-bytes")[1], "2097152");
    assert!(
        names("rdb-key-save*").is_empty() && names("key-load*").is_empty(),
        "they show when they are asked for only"
    );
}
