//! One connection for bulk work: commands go out as one piece of memory, replies come back as bytes.
//!
//! Only one exchange is under way on it at a time. Silence is what a time limit is for, not the length of the work.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::resp::client::{ReplyParser, ReplyValue};
use crate::trib::access::Access;
use crate::trib::addr::Addr;
use crate::trib::client::auth_command;
use crate::trib::dial::{self, Stream};
use crate::trib::error::Failure;

const CHUNK: usize = 64 * 1024;

/// Commands to be sent together.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    bytes: Vec<u8>,
    count: usize,
}

impl Commands {
    #[must_use]
    pub fn new() -> Commands {
        Commands::default()
    }

    /// Adds a command of these words.
    pub fn add(&mut self, words: &[&[u8]]) -> &mut Commands {
        push_command(&mut self.bytes, words);
        self.count += 1;
        self
    }

    /// Adds a command that is encoded already.
    pub fn add_encoded(&mut self, command: &[u8]) {
        self.bytes.extend_from_slice(command);
        self.count += 1;
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Appends a command of these words as it goes over the wire.
pub fn push_command(out: &mut Vec<u8>, words: &[&[u8]]) {
    push_head(out, b'*', words.len());
    for word in words {
        push_head(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A connection to one node.
pub struct Wire {
    addr: Addr,
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    parser: ReplyParser,
    chunk: Vec<u8>,
}

impl Wire {
    /// Connects, authenticates and selects the database.
    pub async fn open(addr: &Addr, access: &Access, database: u32) -> Result<Wire, Failure> {
        let (read, write) = tokio::io::split(dial::connect(addr, access).await?);
        let chunk = Vec::with_capacity(CHUNK);
        let mut wire = Wire { addr: addr.clone(), read, write, parser: ReplyParser::default(), chunk };
        let mut commands = Commands::new();
        if let Some(auth) = auth_command(access.login_for(addr)) {
            commands.add_encoded(&auth.get_packed_command());
        }
        if database != 0 {
            commands.add(&[b"SELECT", database.to_string().as_bytes()]);
        }
        for reply in wire.exchange(access.timeouts.reply, &commands).await? {
            wire.accept(reply)?;
        }
        Ok(wire)
    }

    #[must_use]
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Sends the commands and waits for all their replies; `limit` is how long the node may be silent. An error reply is a
    /// reply. After a failure the connection is of no use.
    pub async fn exchange(&mut self, limit: Duration, commands: &Commands) -> Result<Vec<ReplyValue>, Failure> {
        let mut replies = Vec::with_capacity(commands.count);
        let Wire { addr, read, write, parser, chunk } = self;
        // What is sent may be more than the way there holds, while replies come already.
        let sending = async {
            write.write_all(&commands.bytes).await.map_err(|e| lost(addr, &e))?;
            write.flush().await.map_err(|e| lost(addr, &e))
        };
        let reading = async {
            while replies.len() < commands.count {
                replies.push(next(addr, read, parser, chunk, limit).await?);
            }
            Ok(())
        };
        tokio::try_join!(sending, reading)?;
        Ok(replies)
    }

    /// Sends the commands, and does not wait for replies.
    pub async fn send(&mut self, commands: &Commands) -> Result<(), Failure> {
        self.send_bytes(&commands.bytes).await
    }

    /// The same with commands that somebody else has encoded.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = async {
            self.write.write_all(bytes).await?;
            self.write.flush().await
        };
        sent.await.map_err(|e| lost(&self.addr, &e))
    }

    /// The next reply, or what else the node sends.
    pub async fn receive(&mut self, limit: Duration) -> Result<ReplyValue, Failure> {
        let Wire { addr, read, parser, chunk, .. } = self;
        next(addr, read, parser, chunk, limit).await
    }

    /// Sends one command; an error reply is a failure.
    pub async fn call(&mut self, limit: Duration, words: &[&[u8]]) -> Result<ReplyValue, Failure> {
        let mut replies = self.exchange(limit, Commands::new().add(words)).await?;
        match replies.pop() {
            Some(reply) => self.accept(reply),
            None => Err(self.unexpected("no reply")),
        }
    }

    /// An error reply as a failure of this node.
    pub fn accept(&self, reply: ReplyValue) -> Result<ReplyValue, Failure> {
        match reply {
            ReplyValue::Error(text) => {
                Err(Failure::Reply { node: self.addr.clone(), text: String::from_utf8_lossy(&text).into_owned() })
            }
            other => Ok(other),
        }
    }

    #[must_use]
    pub fn unexpected(&self, reason: &str) -> Failure {
        Failure::Unexpected { node: self.addr.clone(), reason: reason.to_owned() }
    }
}

async fn next(
    addr: &Addr,
    read: &mut ReadHalf<Box<dyn Stream>>,
    parser: &mut ReplyParser,
    chunk: &mut Vec<u8>,
    limit: Duration,
) -> Result<ReplyValue, Failure> {
    loop {
        if let Some(reply) = parser.next_reply().map_err(|e| lost(addr, &io::Error::other(e)))? {
            return Ok(reply);
        }
        chunk.clear();
        match tokio::time::timeout(limit, read.read_buf(chunk)).await {
            Err(_) => return Err(Failure::Timeout { node: addr.clone(), waited: limit }),
            Ok(Ok(0)) => return Err(lost(addr, &io::ErrorKind::UnexpectedEof.into())),
            Ok(result) => _ = result.map_err(|e| lost(addr, &e))?,
        }
        parser.feed(chunk);
    }
}

fn lost(addr: &Addr, error: &io::Error) -> Failure {
    Failure::Lost { node: addr.clone(), reason: dial::without_number(&error.to_string()).to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::trib::access::Timeouts;

    /// Takes one connection and sends it these bytes as soon as something has come.
    fn serve(reply: &'static [u8]) -> Addr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                stream.write_all(reply).unwrap();
            }
            let _ = stream.read(&mut buffer);
        });
        Addr::new("127.0.0.1", port)
    }

    fn exchange(reply: &'static [u8], commands: usize) -> Result<Vec<ReplyValue>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let timeouts = Timeouts::new(Duration::from_secs(5), Some(Duration::from_secs(5)));
            let access = Access { timeouts, ..Access::default() };
            let mut wire = Wire::open(&serve(reply), &access, 0).await?;
            let mut all = Commands::new();
            (0..commands).for_each(|_| _ = all.add(&[b"PING"]));
            wire.exchange(Duration::from_millis(200), &all).await
        })
    }

    #[test]
    fn replies_come_in_the_order_of_the_commands() {
        let replies = exchange(b"+PONG\r\n-ERR no\r\n$3\r\na\0b\r\n", 3).unwrap();
        assert_eq!(
            replies,
            [
                ReplyValue::Status(b"PONG".to_vec()),
                ReplyValue::Error(b"ERR no".to_vec()),
                ReplyValue::Bulk(b"a\0b".to_vec())
            ]
        );
    }

    #[test]
    fn silence_and_nonsense_are_failures() {
        assert!(matches!(exchange(b"+PONG\r\n", 2), Err(Failure::Timeout { .. })));
        assert!(matches!(exchange(b"hello\r\n", 1), Err(Failure::Lost { .. })));
    }

    #[test]
    fn commands_on_the_wire() {
        let mut commands = Commands::new();
        commands.add(&[b"SET", b"k", b"\r\n"]).add(&[b"PING"]);
        assert_eq!(commands.bytes, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!((commands.count, commands.bytes()), (2, commands.bytes.len()));
    }
}
