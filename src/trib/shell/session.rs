//! The connection of a shell: it follows redirections where that is wanted, and knows which commands are answered by more
//! than one reply.

use std::time::Duration;

use crate::resp::client::ReplyValue as Reply;
use crate::trib::access::Access;
use crate::trib::addr::Addr;
use crate::trib::error::Failure;
use crate::trib::ferry::wire::{Commands, Wire};

/// Redirections that one command may follow.
const HOPS_MAX: usize = 16;
/// A command may wait for as long as it likes; the peer that has vanished is noticed by the system.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// A connection to one server, and to others where it sends us.
pub struct Session {
    access: Access,
    /// Where the conversation began, and where it is now.
    pub addr: Addr,
    wire: Wire,
    /// RESP3 is spoken.
    resp3: bool,
    pub database: u32,
    /// Redirections are followed.
    follows: bool,
    /// Between MULTI and EXEC.
    pub in_transaction: bool,
}

/// What a command was answered with.
pub struct Answer {
    /// Told before the answer: `-> Redirected to slot [5] located at h:1`.
    pub redirected: Vec<String>,
    /// Pushes that came before the answer.
    pub pushes: Vec<Reply>,
    pub reply: Reply,
}

impl Session {
    /// Connects to the server.
    pub async fn open(
        addr: &Addr,
        access: &Access,
        database: u32,
        resp3: bool,
        follows: bool,
    ) -> Result<Session, Failure> {
        let wire = connect(addr, access, database, resp3).await?;
        Ok(Session {
            access: access.clone(),
            addr: addr.clone(),
            wire,
            resp3,
            database,
            follows,
            in_transaction: false,
        })
    }

    /// Connects anew, to where the conversation is.
    pub async fn reconnect(&mut self) -> Result<(), Failure> {
        self.wire = connect(&self.addr, &self.access, self.database, self.resp3).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Goes to another server.
    pub async fn go_to(&mut self, addr: Addr) -> Result<(), Failure> {
        self.addr = addr;
        self.reconnect().await
    }

    /// Sends a command and waits for its answer, for as long as it takes.
    pub async fn call(&mut self, words: &[Vec<u8>]) -> Result<Answer, Failure> {
        let mut answer = Answer { redirected: Vec::new(), pushes: Vec::new(), reply: Reply::Null };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut asking = false;
        for _ in 0..=HOPS_MAX {
            let mut commands = Commands::new();
            if asking {
                commands.add(&[b"ASKING"]);
            }
            commands.add(&words);
            self.wire.send(&commands).await?;
            if asking {
                self.next(&mut answer.pushes, false).await?;
            }
            answer.reply = self.next(&mut answer.pushes, subscribes(&words)).await?;
            let Some((slot, addr, ask)) = self.redirection(&answer.reply).filter(|_| self.follows) else { break };
            answer.redirected.push(format!("-> Redirected to slot [{slot}] located at {addr}"));
            self.go_to(addr).await?;
            asking = ask;
        }
        self.remember(&words, &answer.reply);
        Ok(answer)
    }

    /// The next reply, whatever it is: of a subscription, or of MONITOR.
    pub async fn listen(&mut self) -> Result<Reply, Failure> {
        self.wire.receive(PATIENCE).await
    }

    async fn next(&mut self, pushes: &mut Vec<Reply>, push_is_answer: bool) -> Result<Reply, Failure> {
        loop {
            match self.wire.receive(PATIENCE).await? {
                push @ Reply::Push(_) if !push_is_answer => pushes.push(push),
                reply => return Ok(reply),
            }
        }
    }

    fn redirection(&self, reply: &Reply) -> Option<(String, Addr, bool)> {
        let text = std::str::from_utf8(reply.as_error()?).ok()?;
        let words: Vec<&str> = text.split(' ').collect();
        let [code @ ("MOVED" | "ASK"), slot, place] = words[..] else { return None };
        let (host, port) = place.rsplit_once(':')?;
        let host = if host.is_empty() { self.addr.host.clone() } else { host.trim_matches(['[', ']']).to_owned() };
        Some((slot.to_owned(), Addr::new(host, port.parse().ok()?), code == "ASK"))
    }

    /// What the command has changed for the prompt, and for the next connection.
    fn remember(&mut self, words: &[&[u8]], reply: &Reply) {
        if reply.as_error().is_some() && !words[0].eq_ignore_ascii_case(b"exec") {
            return;
        }
        let name = words[0].to_ascii_lowercase();
        match name.as_slice() {
            b"select" => {
                let number = words.get(1).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                self.database = number.unwrap_or(self.database);
            }
            b"multi" => self.in_transaction = true,
            b"exec" | b"discard" | b"reset" => self.in_transaction = false,
            b"hello" => self.resp3 = words.get(1).map_or(self.resp3, |version| *version == b"3"),
            _ => {}
        }
    }
}

async fn connect(addr: &Addr, access: &Access, database: u32, resp3: bool) -> Result<Wire, Failure> {
    let mut wire = Wire::open(addr, access, database).await?;
    if resp3 {
        wire.call(access.timeouts.reply, &[b"HELLO", b"3"]).await?;
    }
    Ok(wire)
}

/// Whether the command is answered by pushes in RESP3.
fn subscribes(words: &[&[u8]]) -> bool {
    const NAMES: [&[u8]; 6] =
        [b"subscribe", b"psubscribe", b"ssubscribe", b"unsubscribe", b"punsubscribe", b"sunsubscribe"];
    words.first().is_some_and(|word| NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// Whether replies follow without end.
#[must_use]
pub fn is_endless(words: &[Vec<u8>]) -> bool {
    const NAMES: [&[u8]; 4] = [b"subscribe", b"psubscribe", b"ssubscribe", b"monitor"];
    words.first().is_some_and(|word| NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// Whether the line has a secret in it, and is not to be kept.
#[must_use]
pub fn is_secret(words: &[Vec<u8>]) -> bool {
    let is = |at: usize, name: &str| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let has = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let sets_secret = || {
        words.iter().any(|word| {
            let word = word.to_ascii_lowercase();
            [&b"requirepass"[..], b"masterauth", b"primaryauth", b"masteruser"].contains(&word.as_slice())
                || word.ends_with(b"-pass")
        })
    };
    is(0, "auth")
        || (is(0, "hello") && has("auth"))
        || (is(0, "acl") && is(1, "setuser"))
        || (is(0, "config") && is(1, "set") && sets_secret())
        || (is(0, "migrate") && (has("auth") || has("auth2")))
        || (is(0, "sentinel") && has("auth-pass"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn secrets_are_not_kept() {
        for line in [
            "AUTH x",
            "hello 3 AUTH u p",
            "acl setuser u >p",
            "config set requirepass x",
            "config set maxmemory 1 tls-key-file-pass x",
            "migrate h 1 k 0 5 auth2 u p",
        ] {
            assert!(is_secret(&words(line)), "{line}");
        }
        for line in ["get auth", "hello 3", "acl list", "config get requirepass", "migrate h 1 k 0 5"] {
            assert!(!is_secret(&words(line)), "{line}");
        }
    }

    #[test]
    fn commands_without_an_end() {
        assert!(is_endless(&words("MONITOR")) && is_endless(&words("SSubscribe x")));
        assert!(!is_endless(&words("unsubscribe")) && !is_endless(&[]));
        assert!(subscribes(&[b"UNSUBSCRIBE"]) && !subscribes(&[b"publish"]));
    }
}
