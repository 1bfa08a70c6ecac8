//! The links of the cluster bus: sockets on one side, the engine's numbered links on the other.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::shared::{Shared, now};
use crate::cluster::frame::{self, Frame};
use crate::cluster::{Input, LinkId};

/// Room offered to one read of a link.
const READ_BYTES: usize = 16 * 1024;

/// The bus side of the main thread.
pub struct Bus {
    shared: Arc<Shared>,
    links: HashMap<LinkId, Link>,
    acceptor: Acceptor,
}

/// Tells the main thread of links that it did not open itself.
#[derive(Clone)]
pub struct Acceptor {
    accepted: mpsc::UnboundedSender<(LinkId, TcpStream)>,
    /// The number of the last one, whatever the socket it came by.
    last: Arc<AtomicU64>,
}

impl Acceptor {
    /// Accepts links on `listener` for ever.
    pub async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
                    if self.accepted.send((LinkId::Inbound(number), stream)).is_err() {
                        return;
                    }
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

struct Link {
    outgoing: mpsc::UnboundedSender<Bytes>,
    task: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bus {
    /// The bus, and the channel on which accepted connections come.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> (Bus, mpsc::UnboundedReceiver<(LinkId, TcpStream)>) {
        let (accepted, connections) = mpsc::unbounded_channel();
        let acceptor = Acceptor { accepted, last: Arc::default() };
        (Bus { shared, links: HashMap::new(), acceptor }, connections)
    }

    /// What accepts links for this bus.
    #[must_use]
    pub fn acceptor(&self) -> Acceptor {
        self.acceptor.clone()
    }

    /// Takes an accepted connection into service.
    pub fn take_in(&mut self, link: LinkId, stream: TcpStream) {
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
        let accepted = Input::Accepted { link, peer_ip: peer.ip().to_canonical(), local_ip: local.ip().to_canonical() };
        self.shared.with(|server| server.bus_input(now(), accepted));
        let shared = Arc::clone(&self.shared);
        self.start(link, async move {
            // A link that fails is reported as down; why does not matter to the engine.
            let _ = stream.set_nodelay(true);
            Ok((shared, stream))
        });
    }

    /// Opens a link to `ip:port`, giving up after `timeout`.
    pub fn connect(&mut self, link: LinkId, ip: String, port: u16, timeout: Duration) {
        let shared = Arc::clone(&self.shared);
        self.start(link, async move {
            let stream = tokio::time::timeout(timeout, TcpStream::connect((ip.as_str(), port))).await??;
            stream.set_nodelay(true)?;
            shared.with(|server| server.bus_input(now(), Input::LinkUp { link }));
            Ok((shared, stream))
        });
    }

    /// Queues a packet.
    pub fn send(&mut self, link: LinkId, bytes: Bytes) {
        if let Some(open) = self.links.get(&link) {
            // A link that is ending reports that itself.
            let _ = open.outgoing.send(bytes);
        }
    }

    /// Closes a link, whatever it still has queued.
    pub fn close(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    fn start(
        &mut self,
        link: LinkId,
        open: impl Future<Output = io::Result<(Arc<Shared>, TcpStream)>> + Send + 'static,
    ) {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            if let Ok((shared, stream)) = open.await {
                let (reader, writer) = stream.into_split();
                tokio::select! {
                    _ = read(&shared, link, reader) => {}
                    _ = write(writer, queue) => {}
                }
            }
            shared.with(|server| server.bus_input(now(), Input::LinkDown { link }));
        });
        self.links.insert(link, Link { outgoing, task: task.abort_handle() });
    }
}

/// Cuts what comes into packets and hands them to the engine, until the link ends or talks nonsense.
async fn read(shared: &Shared, link: LinkId, mut reader: tcp::OwnedReadHalf) -> io::Result<()> {
    let mut buf = BytesMut::new();
    loop {
        buf.reserve(READ_BYTES);
        if reader.read_buf(&mut buf).await? == 0 {
            return Ok(());
        }
        loop {
            match frame::next(&buf) {
                Frame::NeedMore(_) => break,
                Frame::Packet(len) => {
                    let packet = buf.split_to(len);
                    shared.with(|server| server.bus_input(now(), Input::Packet { link, bytes: &packet }));
                }
                Frame::Bad => return Ok(()),
            }
        }
    }
}

async fn write(mut writer: tcp::OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Bytes>) -> io::Result<()> {
    while let Some(bytes) = queue.recv().await {
        writer.write_all(&bytes).await?;
    }
    Ok(())
}
