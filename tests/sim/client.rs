//! Clients as applications have them: they follow redirections, give up on what does not answer, and remember what they
//! were promised.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use trib::base::{Slot, key_slot};
use trib::resp::client::ReplyValue;

use crate::desk::{Desk, NoReply};
use crate::queue::{MS, Micros, SEC};

/// Redirections that one command follows before it counts as failed.
const HOPS: usize = 8;

/// Keys that a client alone writes.
pub const OWN_KEYS: usize = 12;

/// Keys that all write, of all types.
const SHARED_KEYS: u64 = 8;

/// What a client says about one of its keys. The world checks it.
#[derive(Clone, Debug)]
pub enum Claim {
    /// It is about to write this version.
    Tried { key: String, version: u64 },
    /// The write was answered with OK.
    Acked { key: String, version: u64 },
    /// Nobody answered: the write may happen, now or later, when newer ones have happened.
    Unanswered { key: String, version: u64 },
    /// WAIT behind the write told of so many replicas.
    Waited { actor: usize, key: String, version: u64, host: usize, replicas: usize },
}

pub type Claims = Rc<RefCell<Vec<Claim>>>;

pub struct Client {
    pub desk: Desk,
    pub number: usize,
    /// Who it is among those outside.
    pub actor: usize,
    pub claims: Claims,
    /// Machines that it knows from the beginning.
    pub hosts: usize,
    pub until: Micros,
    /// The longest pause between two commands.
    pub think: Micros,
    pub owners: BTreeMap<Slot, usize>,
}

/// The host in a redirection such as `MOVED 866 10.0.0.1:6379`.
pub fn redirected_to(error: &[u8], code: &str) -> Option<usize> {
    let text = std::str::from_utf8(error).ok()?;
    let mut words = text.split(' ');
    (words.next() == Some(code)).then_some(())?;
    host_of(words.nth(1)?)
}

/// The host behind `ip:port`.
pub fn host_of(address: &str) -> Option<usize> {
    let (ip, _) = address.rsplit_once(':')?;
    let mut parts = ip.split('.').skip(2).map(|part| part.parse::<usize>().ok());
    let (high, low) = (parts.next()??, parts.next()??);
    Some(high * 250 + low.checked_sub(1)?)
}

pub fn own_key(client: usize, key: usize) -> String {
    format!("c{client}:{key}")
}

/// The version in a value that a client has written.
pub fn version_of(value: &[u8]) -> Option<u64> {
    let digits = value.split(|b| *b == b':').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Client {
    pub async fn work(mut self) {
        let mut versions = [0u64; OWN_KEYS];
        while self.desk.now() < self.until {
            self.desk.sleep(MS + self.desk.below(self.think)).await;
            let key = self.desk.below(OWN_KEYS as u64) as usize;
            match self.desk.below(10) {
                0..4 => {
                    versions[key] += 1;
                    self.write(own_key(self.number, key), versions[key], false).await;
                }
                4..6 => {
                    versions[key] += 1;
                    self.write(own_key(self.number, key), versions[key], true).await;
                }
                6 => drop(self.run(&own_key(self.number, key), &["GET", &own_key(self.number, key)], false).await),
                _ => self.change_shared().await,
            }
        }
    }

    /// Writes a version of a key of its own, and may wait for a replica to have it.
    async fn write(&mut self, key: String, version: u64, wait: bool) {
        self.claims.borrow_mut().push(Claim::Tried { key: key.clone(), version });
        let padding = "x".repeat(self.desk.below(40) as usize);
        let value = format!("{version}:{padding}");
        let Ok((host, replies)) = self.run(&key, &["SET", &key, &value], wait).await else {
            return self.claims.borrow_mut().push(Claim::Unanswered { key, version });
        };
        if !replies.first().is_some_and(ReplyValue::is_ok) {
            return;
        }
        let mut claims = self.claims.borrow_mut();
        claims.push(Claim::Acked { key: key.clone(), version });
        if let Some(ReplyValue::Integer(replicas @ 1..)) = replies.get(1) {
            let replicas = *replicas as usize;
            claims.push(Claim::Waited { actor: self.actor, key, version, host, replicas });
        }
    }

    /// Does something to a key that others use as well.
    async fn change_shared(&mut self) {
        let number = self.desk.below(SHARED_KEYS);
        let member = self.desk.below(30).to_string();
        let (kind, rest): (&str, Vec<&str>) = match self.desk.below(12) {
            0 => ("n", vec!["INCR"]),
            1 => ("l", vec!["RPUSH", &member]),
            2 => ("l", vec!["LPOP"]),
            3 => ("h", vec!["HSET", &member, "1"]),
            4 => ("h", vec!["HINCRBY", &member, "3"]),
            5 => ("s", vec!["SADD", &member]),
            6 => ("s", vec!["SPOP"]),
            7 => ("z", vec!["ZADD", &member, "m"]),
            8 => ("n", vec!["PEXPIRE", "700"]),
            9 => ("l", vec!["LTRIM", "0", "20"]),
            10 => ("x", vec!["APPEND", "abc"]),
            _ => ("x", vec!["DEL"]),
        };
        let key = format!("shared:{kind}{number}");
        let mut words = vec![rest[0], &key];
        words.extend(&rest[1..]);
        drop(self.run(&key, &words, false).await);
    }

    /// Runs a command where its key is, with WAIT behind it if so wanted. Gives the host that answered
    /// last, also where all refuse it.
    async fn run(&mut self, key: &str, words: &[&str], wait: bool) -> Result<(usize, Vec<ReplyValue>), NoReply> {
        let slot = key_slot(key.as_bytes());
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let wait_words: [&[u8]; 3] = [b"WAIT", b"1", b"400"];
        let (mut asking, mut refused) = (None, (0, Vec::new()));
        for _ in 0..HOPS {
            let known = self.owners.get(&slot).copied();
            let host = asking.or(known).unwrap_or_else(|| self.desk.below(self.hosts as u64) as usize);
            let asked = asking.take().is_some();
            let mut commands: Vec<&[&[u8]]> = Vec::new();
            if asked {
                commands.push(&[b"ASKING"]);
            }
            commands.push(&words);
            if wait {
                commands.push(&wait_words);
            }
            let Ok(mut replies) = self.desk.call_all(host, &commands, 1500 * MS).await else {
                self.owners.remove(&slot);
                return Err(NoReply);
            };
            if asked {
                replies.remove(0);
            }
            let Some(error) = replies.first().and_then(ReplyValue::as_error) else { return Ok((host, replies)) };
            if let Some(host) = redirected_to(error, "MOVED") {
                self.owners.insert(slot, host);
            } else if let Some(host) = redirected_to(error, "ASK") {
                asking = Some(host);
            } else {
                self.owners.remove(&slot);
                self.desk.sleep(20 * MS + self.desk.below(200 * MS)).await;
            }
            refused = (host, replies);
        }
        self.desk.sleep(SEC / 10).await;
        Ok(refused)
    }
}
