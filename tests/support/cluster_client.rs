//! A client that follows redirections, the way applications do: it has to notice nothing of a move.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use redis::{Cmd, Connection, RedisResult, Value};
use trib::base::{Slot, key_slot};

/// Redirections that one command follows before it counts as failed.
const HOPS: usize = 16;

/// Between two tries, where nobody had a better address.
const PAUSE: Duration = Duration::from_millis(20);

pub struct ClusterClient {
    /// Nodes it has heard of, the one that it began with first.
    known: Vec<u16>,
    connections: HashMap<u16, Connection>,
    owners: HashMap<Slot, u16>,
}

impl ClusterClient {
    #[must_use]
    pub fn new(seed: u16) -> ClusterClient {
        ClusterClient { known: vec![seed], connections: HashMap::new(), owners: HashMap::new() }
    }

    /// Runs a command on one key. A node that has gone, or is of no cluster any more, is not asked again: another one
    /// knows who owns the slot now.
    pub fn query(&mut self, cmd: &Cmd, key: &str) -> RedisResult<Value> {
        let slot = key_slot(key.as_bytes());
        let mut port = *self.owners.get(&slot).unwrap_or(&self.known[0]);
        let mut asking = false;
        let mut result = Ok(Value::Nil);
        for _ in 0..HOPS {
            result = self.ask(port, std::mem::take(&mut asking), cmd);
            let Err(error) = &result else { return result };
            if let Some((code, to)) = redirection(error) {
                port = to;
                if !self.known.contains(&port) {
                    self.known.push(port);
                }
                if code == "MOVED" {
                    self.owners.insert(slot, port);
                } else {
                    asking = true;
                }
            } else if error.is_io_error() || error.code() == Some("CLUSTERDOWN") {
                self.connections.remove(&port);
                self.owners.retain(|_, owner| *owner != port);
                let at = self.known.iter().position(|known| *known == port).map_or(0, |at| at + 1);
                port = self.known[at % self.known.len()];
                std::thread::sleep(PAUSE);
            } else {
                return result;
            }
        }
        result
    }

    fn ask(&mut self, port: u16, asking: bool, cmd: &Cmd) -> RedisResult<Value> {
        let connection = match self.connections.entry(port) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(redis::Client::open(format!("redis://127.0.0.1:{port}/"))?.get_connection()?)
            }
        };
        if asking {
            redis::cmd("ASKING").exec(connection)?;
        }
        cmd.query(connection)
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
