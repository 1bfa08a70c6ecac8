//! One client connection: bytes in, batches run, bytes out.
//!
//! A task owns the socket and its buffers. It parses without the lock, takes the lock once for a whole batch, and writes
//! after releasing it. While replies cannot be written nothing more is read: a client that does not read cannot make the
//! server remember more and more for it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::shared::{Bell, Shared, now};
use crate::exec::ClientId;
use crate::exec::client::{ClientFlags, Outgoing};
use crate::exec::clients_cron::reply_room;
use crate::exec::settled::Hold;
use crate::resp::ErrorReply;
use crate::resp::error::ProtocolError;
use crate::resp::request::{Batch, RequestLimits, RequestParser};

/// Room offered to one read.
const READ_BYTES: usize = 16 * 1024;

/// Buffers beyond this size are given back when they are empty.
const KEEP_BYTES: usize = 64 * 1024;

/// How much of the replication stream a replica's connection takes at once.
const FEED_BYTES: usize = 256 << 10;

/// The most that is reserved ahead for a large argument: the rest is reserved when that much has really come.
const RESERVE_MAX_BYTES: usize = 32 << 20;

/// A connection's end of the server.
pub struct Connection<S> {
    shared: Arc<Shared>,
    id: ClientId,
    bell: Arc<Bell>,
    /// The waker that hangs on the bell.
    hung: Option<Waker>,
    stream: S,
    buf: Vec<u8>,
    parser: RequestParser,
    batch: Batch,
    /// The next command of the batch to run.
    next: usize,
    out: Vec<u8>,
    /// How much of `out` is written.
    written: usize,
    /// How much is not, for others to see.
    outgoing: Arc<Outgoing>,
    limits: RequestLimits,
    query_max_bytes: usize,
    /// What is to be written waits for this.
    hold: Option<Hold>,
    /// The savings of nodes.conf that had been asked for when this connection last wrote: what it says must not be known
    /// before it is durable.
    nodes_conf: u64,
    /// The client broke the protocol: it is told so after the replies to what it sent before.
    broken: Option<ProtocolError>,
    /// The client is to be closed when what it still has to read is written.
    ending: bool,
    /// It is a replica, and there is more of the stream than it could be given at once.
    hungry: bool,
    /// Its small writes were told to wait for more (`repl-disable-tcp-nodelay`).
    delayed: bool,
    /// Served by a further I/O thread.
    beside: bool,
    /// It has no room for requests until the next one comes.
    unprepared: bool,
    /// Room for replies is given back when they are written.
    trim: bool,
}

/// Why a connection woke up.
enum Event {
    Read(usize),
    Rung,
}

/// What a connection can be about.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether small writes wait for more to go with them. What cannot do so goes on as it does.
    fn delay_small_writes(&self, delay: bool);

    /// Whether there may be something to read.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Socket for TcpStream {
    fn delay_small_writes(&self, delay: bool) {
        // Nothing but speed depends on it.
        let _ = self.set_nodelay(!delay);
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl Socket for UnixStream {
    fn delay_small_writes(&self, _: bool) {}

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl<S: Socket> Connection<S> {
    /// Says that it is a further I/O thread that serves this connection.
    #[must_use]
    pub fn beside(mut self, beside: bool) -> Connection<S> {
        self.beside = beside;
        self
    }

    pub fn new(shared: Arc<Shared>, id: ClientId, stream: S) -> Connection<S> {
        let bell = shared.add_bell(id);
        let (limits, query_max_bytes, outgoing) = {
            let server = shared.server();
            let client = server.clients.get(id);
            let authenticated = client.is_some_and(|client| client.authenticated);
            let bulk_max_bytes = server.config.proto_max_bulk_len as u64;
            let outgoing = client.map(|client| Arc::clone(&client.outgoing)).unwrap_or_default();
            let limits = RequestLimits { bulk_max_bytes, authenticated, inline: true };
            (limits, server.config.client_query_buffer_limit, outgoing)
        };
        Connection {
            shared,
            id,
            bell,
            beside: false,
            hung: None,
            stream,
            buf: Vec::new(),
            parser: RequestParser::default(),
            batch: Batch::default(),
            next: 0,
            out: Vec::new(),
            written: 0,
            outgoing,
            limits,
            query_max_bytes,
            hold: None,
            nodes_conf: 0,
            broken: None,
            ending: false,
            hungry: false,
            delayed: false,
            unprepared: true,
            trim: false,
        }
    }

    /// Serves the client until one side closes.
    pub async fn serve(mut self) {
        // A failing socket is an ended client; there is nobody to tell.
        let _ = self.run().await;
        self.shared.remove_bell(self.id);
        self.shared.with(|server| server.disconnect(self.id));
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            match self.wait().await? {
                Event::Read(0) => return Ok(()),
                Event::Read(_) => self.parse(),
                Event::Rung => {}
            }
            self.run_batch();
            self.wait_for_log().await;
            let wanted = self.shared.nodes_conf_wanted();
            if self.nodes_conf != wanted {
                self.nodes_conf = wanted;
                self.shared.wait_for_nodes_conf(wanted).await;
            }
            self.write().await?;
            if self.ending {
                return Ok(());
            }
        }
    }

    /// Waits until what is to be written may leave.
    async fn wait_for_log(&mut self) {
        match self.hold.take() {
            None => {}
            Some(Hold::Durable(offset)) => self.shared.aof.wait_durable(offset).await,
            Some(Hold::Written { offset, tells_changes }) => {
                self.shared.aof.wait_written(&self.shared, offset, tells_changes).await;
            }
        }
    }

    /// Waits for bytes or for the bell. While earlier commands are not done only a little is read ahead: enough to
    /// hear of the end of a client that waits for something.
    async fn wait(&mut self) -> io::Result<Event> {
        let ahead = self.buf.len() - self.batch.done_bytes(self.next);
        let may_read = (self.next == self.batch.len() || ahead < READ_BYTES) && self.broken.is_none();
        if may_read && !self.unprepared {
            // A large argument is read into a buffer of its final size, so that it is not copied again and again.
            let wanted = self.parser.wanted_len().map_or(0, |len| len.saturating_sub(self.buf.len()));
            self.buf.reserve(wanted.clamp(READ_BYTES, RESERVE_MAX_BYTES));
        }
        let hungry = self.hungry;
        if hungry {
            // Others shall have their turn between two helpings.
            tokio::task::yield_now().await;
        }
        let Connection { bell, hung, stream, buf, unprepared, .. } = self;
        poll_fn(|cx| {
            if bell.poll(cx, hung) {
                return Poll::Ready(Ok(Event::Rung));
            }
            let idle = *unprepared && stream.poll_readable(cx)?.is_pending();
            if may_read && !idle {
                if std::mem::take(unprepared) {
                    buf.reserve(READ_BYTES);
                }
                // The future keeps no state between polls, so it may be made anew for each.
                let read = pin!(stream.read_buf(&mut *buf)).poll(cx).map_ok(Event::Read);
                if read.is_ready() {
                    return read;
                }
            }
            if hungry { Poll::Ready(Ok(Event::Rung)) } else { Poll::Pending }
        })
        .await
    }

    fn parse(&mut self) {
        if let Err(error) = self.parser.parse(&mut self.buf, self.limits, &mut self.batch) {
            self.broken = Some(error);
        }
    }

    /// Runs what is parsed and takes what the client has to read.
    fn run_batch(&mut self) {
        let mut server = self.shared.server();
        let (had, log_at) = (self.next, server.aof.offset);
        if self.next < self.batch.len() {
            self.next = server.run_batch(self.id, &self.buf, &self.batch, self.next, now());
        }
        self.hungry = server.feed_replica(self.id, FEED_BYTES);
        let trims_replies = !server.switches.reply_buffers_kept;
        let Some(client) = server.clients.get_mut(self.id) else {
            self.ending = true;
            self.shared.collect(&mut server);
            return;
        };
        if self.next == self.batch.len()
            && let Some(error) = self.broken
        {
            client.reply.error(&ErrorReply::text_of(format!("ERR {error}")));
            client.flags |= ClientFlags::CLOSE_AFTER_REPLY;
        }
        let read = if self.next > had { self.batch.done_bytes(self.next) - self.batch.done_bytes(had) } else { 0 };
        let written = client.reply.buf.len();
        let settled = std::mem::take(&mut client.settled_bytes) == written;
        client.net_input_bytes += read as u64;
        client.query_bytes = self.buf.len() - self.batch.done_bytes(self.next);
        client.query_capacity = self.buf.capacity();
        client.reply_peak_bytes = client.reply_peak_bytes.max(written);
        client.net_output_bytes += written as u64;
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, &mut client.reply.buf);
        } else {
            // What is written need not be kept while the rest waits.
            if self.written > self.out.len() / 2 {
                self.out.drain(..self.written);
                self.written = 0;
            }
            self.out.append(&mut client.reply.buf);
        }
        if client.is(ClientFlags::TRIM) {
            client.flags -= ClientFlags::TRIM;
            self.trim = trims_replies;
            if trims_replies {
                client.reply.buf.shrink_to(reply_room(client));
            }
            self.unprepared = self.buf.is_empty();
            if self.unprepared {
                self.buf = Vec::new();
                client.query_capacity = 0;
            }
        }
        self.ending = client.is_closing();
        self.tell_outgoing();
        let is_replica = client.is(ClientFlags::REPLICA);
        if client.is(ClientFlags::CLOSE_NOW) {
            self.out.clear();
            self.written = 0;
        }
        self.limits.authenticated = client.authenticated;
        self.limits.inline = !client.is(ClientFlags::SLOT_IMPORT);
        let counters = &mut server.stats;
        counters.net_input_bytes += read as u64;
        counters.net_output_bytes += written as u64;
        counters.reads_processed += u64::from(read > 0);
        counters.writes_processed += u64::from(written > 0);
        counters.threaded_reads += u64::from(self.beside && read > 0);
        counters.threaded_writes += u64::from(self.beside && written > 0);
        self.limits.bulk_max_bytes = server.config.proto_max_bulk_len as u64;
        self.query_max_bytes = server.config.client_query_buffer_limit;
        // What came of itself may be the reply to a command that was waiting.
        let tells_changes = server.aof.offset != log_at || self.next == had && written > 0;
        self.hold = server.output_hold(!settled, tells_changes);
        if is_replica && self.delayed != server.config.repl_disable_tcp_nodelay {
            self.delayed = !self.delayed;
            self.stream.delay_small_writes(self.delayed);
        }
        if matches!(self.hold, Some(Hold::Written { .. })) {
            // It sees to the log itself.
            self.shared.send_effects(&mut server);
        } else {
            self.shared.collect(&mut server);
        }
        drop(server);
        if self.next == self.batch.len() {
            self.forget_done();
        }
    }

    /// Drops the bytes of commands that are done.
    fn forget_done(&mut self) {
        self.batch.clear();
        self.next = 0;
        let done = self.parser.safe_to_drop();
        if done == self.buf.len() {
            self.buf.clear();
            if self.buf.capacity() > KEEP_BYTES {
                self.buf = Vec::new();
            }
        } else {
            self.buf.drain(..done);
        }
        self.parser.shift(done);
        if self.buf.len() > self.query_max_bytes && !self.ending {
            self.shared.server().stats.closed_for_input += 1;
            self.ending = true;
        }
    }

    /// Writes what is waiting. Meanwhile the bell is heard: more output may come, or the client is killed.
    async fn write(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            let Connection { bell, hung, stream, out, written, .. } = self;
            let rung = poll_fn(|cx| {
                match Pin::new(&mut *stream).poll_write(cx, &out[*written..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => *written += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if bell.poll(cx, hung) => return Poll::Ready(Ok(true)),
                    Poll::Pending => return Poll::Pending,
                }
                Poll::Ready(Ok(false))
            })
            .await?;
            self.tell_outgoing();
            if rung {
                self.run_batch();
                self.wait_for_log().await;
            }
        }
        self.written = 0;
        self.out.clear();
        if self.out.capacity() > KEEP_BYTES || std::mem::take(&mut self.trim) {
            self.out = Vec::new();
            self.tell_outgoing();
        }
        Ok(())
    }

    fn tell_outgoing(&self) {
        self.outgoing.unwritten.store(self.out.len() - self.written, Ordering::Relaxed);
        self.outgoing.capacity.store(self.out.capacity(), Ordering::Relaxed);
    }
}
