//! What a server answers while it reads its dataset: the same as a stock server.

use std::fs::{self, File};
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
    let mut server = Server::start(kind, "");
    let mut pipe = redis::pipe();
    for i in 0..3000 {
        pipe.cmd("SET").arg(format!("k:{i}")).arg("x".repeat(i % 200)).ignore();
    }
    pipe.cmd("SAVE").ignore();
    pipe.query::<()>(&mut server.connect()).unwrap();
    server.kill();
    let path = server.dir().join("dump.rdb");
    let program = if kind == ServerKind::Node { env!("CARGO_BIN_EXE_node") } else { "redis-server" };
    let mut command = Command::new(program);
    command.arg(server.dir().join("redis.conf")).current_dir(server.dir()).stdout(Stdio::null());
    let whole = fs::read(&path).unwrap();
    let mut feed = None;
    if kind == ServerKind::Node {
        // A file that comes slowly.
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    } else {
        command.args(["--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024"]);
    }
    let mut process = Loading(command.spawn().unwrap());
    if kind == ServerKind::Node {
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(&whole[..whole.len() / 2]).unwrap();
        feed = Some(file);
    }
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
    drop(feed);
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
