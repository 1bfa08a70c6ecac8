//! The links of the cluster bus: sockets on one side, the engine's numbered links on the other.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::bus_auth::{AuthPolicy, Opened};
use super::outgoing::Way;
use super::shared::{Shared, now};
use crate::cluster::auth::{self, Opener, Sealer};
use crate::cluster::frame::{self, Frame};
use crate::cluster::{Input, LinkId};
use crate::config::ClusterAuth;

/// Room offered to one read of a link.
const READ_BYTES: usize = 16 * 1024;
/// The longest a link may take to begin, in either direction.
const BEGIN_MAX: Duration = Duration::from_secs(5);
/// How many accepted connections may be about to prove themselves.
const PROVING_MAX: usize = 1024;

/// The bus side of the main thread.
pub struct Bus {
    shared: Arc<Shared>,
    links: HashMap<LinkId, Link>,
    acceptor: Acceptor,
    proving: Arc<AtomicUsize>,
}

/// Tells the main thread of links that it did not open itself.
#[derive(Clone)]
pub struct Acceptor {
    shared: Arc<Shared>,
    accepted: mpsc::UnboundedSender<(LinkId, TcpStream)>,
    /// The number of the last one, whatever the socket it came by.
    last: Arc<AtomicU64>,
}

impl Acceptor {
    /// Accepts links on `listener` for ever, but none before the data is loaded: who cannot serve had better look dead.
    pub async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok(_) if self.shared.server().loads_own_data() => {}
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
    /// Bytes that are not sent yet, and how many of them the engine was told of.
    queued: Arc<AtomicU64>,
    told: u64,
    /// Whether the other side has proven that it knows the key; known once the link has begun.
    proven: Arc<AtomicUsize>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// States of [`Link::proven`].
const BEGINS: usize = 0;
const PLAIN: usize = 1;
const PROVEN: usize = 2;

impl Bus {
    /// The bus, and the channel on which accepted connections come.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> (Bus, mpsc::UnboundedReceiver<(LinkId, TcpStream)>) {
        let (accepted, connections) = mpsc::unbounded_channel();
        let acceptor = Acceptor { shared: Arc::clone(&shared), accepted, last: Arc::default() };
        (Bus { shared, links: HashMap::new(), acceptor, proving: Arc::default() }, connections)
    }

    /// What accepts links for this bus.
    #[must_use]
    pub fn acceptor(&self) -> Acceptor {
        self.acceptor.clone()
    }

    /// Takes an accepted connection into service.
    pub fn take_in(&mut self, link: LinkId, stream: TcpStream) {
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
        let (policy, timeout_ms) = {
            let config = &self.shared.server().config;
            (AuthPolicy::of(config), config.cluster_node_timeout_ms)
        };
        // A peer that is gone for good is found out by the system, whether or not it is known.
        let keepalive = Duration::from_secs((timeout_ms / 1000).clamp(1, 3600).unsigned_abs() * 2);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(keepalive));
        // The engine hears of it when it has begun. Unless proofs are asked for, that is now.
        let (shared, proving) = (Arc::clone(&self.shared), Arc::clone(&self.proving));
        let begun = move || {
            let (peer_ip, local_ip) = (peer.ip().to_canonical(), local.ip().to_canonical());
            shared.with(|server| server.bus_input(now(), Input::Accepted { link, peer_ip, local_ip }));
        };
        if policy.mode == ClusterAuth::Off {
            begun();
            self.start(link, async move { policy.accept(stream).await });
            return;
        }
        if proving.fetch_add(1, Ordering::Relaxed) >= PROVING_MAX {
            proving.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.start(link, async move {
            let opened = tokio::time::timeout(BEGIN_MAX, policy.accept(stream)).await;
            proving.fetch_sub(1, Ordering::Relaxed);
            let opened = opened??;
            begun();
            Ok(opened)
        });
    }

    /// Opens a link to `ip:port`.
    pub fn connect(&mut self, link: LinkId, ip: String, port: u16) {
        let shared = Arc::clone(&self.shared);
        let (policy, way) = {
            let server = self.shared.server();
            (AuthPolicy::of(&server.config), Way::of(&server.config))
        };
        self.start(link, async move {
            let opened =
                tokio::time::timeout(BEGIN_MAX, async move { policy.open(way.connect(&ip, port).await?).await });
            let opened = opened.await??;
            shared.with(|server| server.bus_input(now(), Input::LinkUp { link }));
            Ok(opened)
        });
    }

    /// Queues a packet.
    pub fn send(&mut self, link: LinkId, bytes: Bytes) {
        if let Some(open) = self.links.get(&link) {
            open.queued.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            // A link that is ending reports that itself.
            let _ = open.outgoing.send(bytes);
        }
    }

    /// Closes a link, whatever it still has queued.
    pub fn close(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Tells the engine of queues that have changed: before its tick.
    pub fn tell_queues(&mut self) {
        for (link, open) in &mut self.links {
            let bytes = open.queued.load(Ordering::Relaxed);
            if bytes != open.told {
                open.told = bytes;
                self.shared.with(|server| server.bus_input(now(), Input::LinkQueue { link: *link, bytes }));
            }
        }
    }

    /// What the configuration asks of links has changed: those that would not be let in any more are closed.
    pub fn enforce_auth(&mut self) {
        if AuthPolicy::of(&self.shared.server().config).mode != ClusterAuth::Require {
            return;
        }
        let plain = |link: &&Link| link.proven.load(Ordering::Relaxed) != PROVEN;
        let ids: Vec<LinkId> = self.links.iter().filter(|(_, link)| plain(link)).map(|(id, _)| *id).collect();
        for link in ids {
            self.close(link);
            self.shared.with(|server| server.bus_input(now(), Input::LinkDown { link }));
        }
    }

    fn start(&mut self, link: LinkId, begin: impl Future<Output = io::Result<Opened>> + Send + 'static) {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (queued, proven) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(BEGINS)));
        let shared = Arc::clone(&self.shared);
        let (waiting, is_proven) = (Arc::clone(&queued), Arc::clone(&proven));
        let task = tokio::spawn(async move {
            // A link that fails is reported as down; why does not matter to the engine.
            if let Ok(Opened { stream, read: start, session }) = begin.await {
                is_proven.store(if session.is_some() { PROVEN } else { PLAIN }, Ordering::Relaxed);
                let _ = stream.set_nodelay(true);
                let (sealer, opener) = session.map(|session| (session.sealer, session.opener)).unzip();
                let (reader, writer) = stream.into_split();
                tokio::select! {
                    _ = read(&shared, link, reader, start, opener) => {}
                    _ = write(writer, queue, &waiting, sealer) => {}
                }
            }
            shared.with(|server| server.bus_input(now(), Input::LinkDown { link }));
        });
        self.links.insert(link, Link { outgoing, task: task.abort_handle(), queued, told: 0, proven });
    }
}

/// Cuts what comes into packets and hands them to the engine, until the link ends or talks nonsense.
async fn read(
    shared: &Shared,
    link: LinkId,
    mut reader: tcp::OwnedReadHalf,
    mut buf: BytesMut,
    mut opener: Option<Opener>,
) -> io::Result<()> {
    let mac_len = if opener.is_some() { auth::LEN } else { 0 };
    loop {
        loop {
            let len = match frame::next(&buf) {
                Frame::NeedMore(total) if total > frame::STRANGER_MAX && !shared.server().knows_link(link) => {
                    return Ok(());
                }
                Frame::NeedMore(_) => break,
                Frame::Packet(len) if buf.len() < len + mac_len => break,
                Frame::Packet(len) => len,
                Frame::Bad => return Ok(()),
            };
            let packet = buf.split_to(len);
            if let Some(opener) = &mut opener {
                let Some(mac) = buf.first_chunk() else { return Ok(()) };
                if !opener.open(&packet, mac) {
                    return Ok(());
                }
                buf.advance(mac_len);
            }
            shared.with(|server| server.bus_input(now(), Input::Packet { link, bytes: &packet }));
        }
        buf.reserve(READ_BYTES);
        if reader.read_buf(&mut buf).await? == 0 {
            return Ok(());
        }
    }
}

async fn write(
    mut writer: tcp::OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    queued: &AtomicU64,
    mut sealer: Option<Sealer>,
) -> io::Result<()> {
    while let Some(bytes) = queue.recv().await {
        match &mut sealer {
            Some(sealer) => {
                let mac = sealer.seal(&bytes);
                writer.write_all_buf(&mut Buf::chain(&bytes[..], &mac[..])).await?;
            }
            None => writer.write_all(&bytes).await?,
        }
        queued.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
