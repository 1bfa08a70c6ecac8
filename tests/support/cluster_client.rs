//! A client that follows redirections, the way applications do: it has to notice nothing of a move.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use redis::{Cmd, Connection, RedisResult, Value};
use trib::base::{Slot, key_slot};

/// Redirections that one command follows before it counts as failed.
const HOPS: usize = 16;

pub struct ClusterClient {
    seed: u16,
    connections: HashMap<u16, Connection>,
    owners: HashMap<Slot, u16>,
}

impl ClusterClient {
    #[must_use]
    pub fn new(seed: u16) -> ClusterClient {
        ClusterClient { seed, connections: HashMap::new(), owners: HashMap::new() }
    }

    /// Runs a command on one key.
    pub fn query(&mut self, cmd: &Cmd, key: &str) -> RedisResult<Value> {
        let slot = key_slot(key.as_bytes());
        let mut port = *self.owners.get(&slot).unwrap_or(&self.seed);
        let mut asking = false;
        let mut result = Ok(Value::Nil);
        for _ in 0..HOPS {
            let connection = self.connection(port);
            if std::mem::take(&mut asking) {
                redis::cmd("ASKING").exec(connection)?;
            }
            result = cmd.query(connection);
            let Some((code, to)) = result.as_ref().err().and_then(redirection) else { return result };
            port = to;
            if code == "MOVED" {
                self.owners.insert(slot, port);
            } else {
                asking = true;
            }
        }
        result
    }

    fn connection(&mut self, port: u16) -> &mut Connection {
        self.connections.entry(port).or_insert_with(|| {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("a valid address");
            client.get_connection().expect("the server accepts")
        })
    }
}

fn redirection(error: &redis::RedisError) -> Option<(String, u16)> {
    let code = error.code().filter(|code| ["MOVED", "ASK"].contains(code))?;
    let (addr, _) = error.redirect_node()?;
    Some((code.to_owned(), addr.rsplit_once(':')?.1.parse().ok()?))
}

/// What a writer did and expects to find.
pub struct Written {
    pub commands: u64,
    pub expected: HashMap<String, Option<i64>>,
}

/// Counts, deletes and creates keys as fast as it can, and knows what each must be.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

impl Writer {
    /// Starts one with keys that begin with `prefix`. It panics at the first answer that is an error or
    /// not what it must be, which `finish` passes on.
    #[must_use]
    pub fn start(seed: u16, prefix: &str, keys: u64) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, prefix) = (Arc::clone(&stop), prefix.to_owned());
        let thread = std::thread::spawn(move || {
            let mut client = ClusterClient::new(seed);
            let mut written = Written { commands: 0, expected: HashMap::new() };
            let mut random = trib::base::Rng::seeded(7);
            while !stopped.load(Ordering::Relaxed) {
                let key = format!("{prefix}:{}", random.below(keys));
                let known = written.expected.entry(key.clone()).or_default();
                let (verb, wanted) = match random.below(5) {
                    0 => ("DEL", i64::from(known.is_some())),
                    _ => ("INCR", known.unwrap_or(0) + 1),
                };
                let reply = client.query(redis::cmd(verb).arg(&key), &key);
                assert_eq!(reply, Ok(Value::Int(wanted)), "{verb} {key}");
                *known = (verb == "INCR").then_some(wanted);
                written.commands += 1;
            }
            written
        });
        Writer { stop, thread }
    }

    /// Stops it and reads everything back.
    pub fn finish(self, seed: u16) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.thread.join().expect("no command of the writer failed");
        let mut client = ClusterClient::new(seed);
        for (key, value) in &written.expected {
            let wanted = value.map_or(Value::Nil, |n| Value::BulkString(n.to_string().into_bytes()));
            assert_eq!(client.query(redis::cmd("GET").arg(key), key), Ok(wanted), "GET {key}");
        }
        written.commands
    }
}
