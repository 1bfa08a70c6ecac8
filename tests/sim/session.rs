//! The server's side of one client connection: bytes in, batches run, bytes out.

use trib::base::Millis;
use trib::exec::client::ClientFlags;
use trib::exec::{ClientId, Server};
use trib::resp::request::{Batch, RequestLimits, RequestParser};

use crate::net::End;

/// How much of the replication stream a connection takes at once.
const FEED_BYTES: usize = 256 << 10;

pub struct Session {
    pub end: End,
    id: ClientId,
    buf: Vec<u8>,
    parser: RequestParser,
    batch: Batch,
    /// The next command of the batch to run.
    next: usize,
}

/// What a run came to.
pub struct Ran {
    pub out: Vec<u8>,
    pub ended: bool,
}

impl Session {
    pub fn new(end: End, id: ClientId) -> Session {
        Session { end, id, buf: Vec::new(), parser: RequestParser::default(), batch: Batch::default(), next: 0 }
    }

    /// Takes bytes that the client has sent.
    ///
    /// # Panics
    /// When they are no commands: clients here know the protocol.
    pub fn take(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        let limits = RequestLimits { bulk_max_bytes: 64 << 20, ..RequestLimits::default() };
        self.parser.parse(&mut self.buf, limits, &mut self.batch).expect("a client sends commands");
    }

    /// Runs what can be run and takes what the client has to read.
    pub fn run(&mut self, server: &mut Server, now: Millis) -> Ran {
        if self.next < self.batch.len() {
            self.next = server.run_batch(self.id, &self.buf, &self.batch, self.next, now);
        }
        if self.next == self.batch.len() && self.next > 0 {
            self.batch.clear();
            self.next = 0;
            let done = self.parser.safe_to_drop();
            self.buf.drain(..done);
            self.parser.shift(done);
        }
        server.feed_replica(self.id, FEED_BYTES);
        let Some(client) = server.clients.get_mut(self.id) else { return Ran { out: Vec::new(), ended: true } };
        let mut out = std::mem::take(&mut client.reply.buf);
        if client.is(ClientFlags::CLOSE_NOW) {
            out.clear();
        }
        Ran { out, ended: client.is_closing() }
    }
}
