//! A stock redis-server for tests: what it writes is read here, and what is written here it must read.

mod aof;
mod dump;
mod rdb;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue, RedisResult};

use super::samples::Elements;
use crate::base::crc64::crc64;
use crate::base::num;
use crate::data::value::Kind;

/// A running server with a data directory of its own; it ends with this value.
pub struct Oracle {
    process: Child,
    connection: Option<Connection>,
    port: u16,
    dir: tempfile::TempDir,
}

/// A server with these extra arguments; nothing (said on stderr) where redis-server is not installed, except in
/// continuous integration, where a test that tests nothing must not pass.
pub fn start(args: &[&str]) -> Option<Oracle> {
    start_in(tempfile::tempdir().expect("a temporary directory"), args)
}

/// Like [`start`], with the data directory that the server finds.
pub fn start_in(dir: tempfile::TempDir, args: &[&str]) -> Option<Oracle> {
    let port = free_port();
    let spawned = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning", "--dir"])
        .arg(dir.path())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let process = match spawned {
        Ok(process) => process,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: redis-server is not installed");
            return None;
        }
        Err(error) => panic!("redis-server: {error}"),
    };
    let mut oracle = Oracle { process, connection: None, port, dir };
    oracle.connection = Some(oracle.connect());
    Some(oracle)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Oracle {
    /// Waits until the server answers, its data loaded.
    fn connect(&mut self) -> Connection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).expect("an address");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(mut connection) = client.get_connection()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return connection;
            }
            if let Some(status) = self.process.try_wait().expect("its state") {
                let mut log = String::new();
                if let Some(mut stdout) = self.process.stdout.take() {
                    let _ = std::io::Read::read_to_string(&mut stdout, &mut log);
                }
                panic!("redis-server ended with {status}:\n{log}");
            }
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn try_run<T: FromRedisValue>(&mut self, words: &[&[u8]]) -> RedisResult<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(self.connection.as_mut().expect("a connection"))
    }

    pub fn run<T: FromRedisValue>(&mut self, words: &[&[u8]]) -> T {
        self.try_run(words).unwrap_or_else(|error| {
            let words: Vec<String> = words.iter().map(|w| w[..w.len().min(60)].escape_ascii().to_string()).collect();
            panic!("{words:?}: {error}")
        })
    }
}

/// What a key holds, as [`contents`](super::samples::contents) tells it of a value.
impl Oracle {
    pub fn contents(&mut self, key: &[u8], kind: Kind) -> Elements {
        match kind {
            Kind::String => vec![self.run(&[b"GET", key])],
            Kind::List => self.run(&[b"LRANGE", key, b"0", b"-1"]),
            Kind::Set => {
                let mut members: Elements = self.run(&[b"SMEMBERS", key]);
                members.sort();
                members
            }
            Kind::Hash => {
                let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = self.run(&[b"HGETALL", key]);
                pairs.sort();
                pairs.into_iter().flat_map(|(field, value)| [field, value]).collect()
            }
            Kind::ZSet => {
                let pairs: Vec<(Vec<u8>, Vec<u8>)> = self.run(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]);
                let score = |text: &[u8]| num::parse_f64(text).expect("a score").to_string().into_bytes();
                pairs.into_iter().flat_map(|(member, text)| [member, score(&text)]).collect()
            }
            Kind::Stream => {
                let mut elements = Elements::new();
                flatten(&self.run(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]), &mut elements);
                elements
            }
        }
    }
}

/// The values of a nested reply, without the names of maps and what no two servers have in common.
fn flatten(value: &redis::Value, out: &mut Elements) {
    match value {
        redis::Value::Array(items) => match items.first() {
            Some(redis::Value::BulkString(name)) if matches!(&name[..], b"length" | b"name") => {
                for pair in items.chunks(2) {
                    let own = [&b"radix-tree-keys"[..], b"radix-tree-nodes", b"seen-time"];
                    if !own.iter().any(|own| pair[0] == redis::Value::BulkString(own.to_vec())) {
                        flatten(&pair[1], out);
                    }
                }
            }
            _ => items.iter().for_each(|item| flatten(item, out)),
        },
        redis::Value::BulkString(text) => out.push(text.clone()),
        redis::Value::Int(n) => out.push(n.to_string().into_bytes()),
        redis::Value::Nil => out.push(b"nil".to_vec()),
        other => panic!("{other:?}"),
    }
}

/// A payload of this body with the footer that belongs to it.
pub fn sign(body: &[u8]) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&[10, 0]);
    let crc = crc64(0, &payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
