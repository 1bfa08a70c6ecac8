//! Listening sockets, and the threads that serve what they accept.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::connection::Connection;
use super::os;
use super::shared::{Shared, now};
use crate::exec::Server;
use crate::exec::effect::shown_addr;

/// The runtimes that serve connections: the main thread's, and one for each further I/O thread.
pub struct IoThreads {
    handles: Vec<Handle>,
    next: AtomicUsize,
}

impl IoThreads {
    /// Starts `threads - 1` further threads beside the calling one, whose runtime is `main`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(main: Handle, threads: usize) -> io::Result<IoThreads> {
        let mut handles = vec![main];
        for n in 1..threads.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            thread::Builder::new().name(format!("io_thd_{n}")).spawn(move || {
                os::prepare_for_signals();
                runtime.block_on(std::future::pending::<()>());
            })?;
        }
        Ok(IoThreads { handles, next: AtomicUsize::new(0) })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// The runtime for the next connection, and whether that is another than the main thread's.
    fn next(&self) -> (&Handle, bool) {
        let i = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        (&self.handles[i], i > 0)
    }
}

/// What the configuration says of listening sockets.
#[derive(Clone, Copy, Debug)]
pub struct SocketKind {
    pub backlog: i32,
    /// `socket-mark-id`; 0 for none.
    pub mark: u32,
    /// Clients may come by several paths (`mptcp`).
    pub multipath: bool,
}

/// Binds one address.
///
/// # Errors
/// What the system says: in use, not available, not permitted.
pub fn bind(ip: IpAddr, port: u16, kind: SocketKind) -> io::Result<TcpListener> {
    let addr = SocketAddr::new(ip, port);
    let protocol = if kind.multipath { Protocol::MPTCP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(protocol))?;
    if kind.mark != 0 {
        socket.set_mark(kind.mark)?;
    }
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(kind.backlog)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// An address of the `bind` directive: whether it may be missing on this machine (a leading `-`), and the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddr {
    pub optional: bool,
    pub ip: IpAddr,
}

/// Reads one word of `bind`: an address, `*` or `::*`, with a `-` in front when it may be missing.
#[must_use]
pub fn parse_bind(word: &str) -> Option<BindAddr> {
    let (optional, word) = word.strip_prefix('-').map_or((false, word), |w| (true, w));
    let ip = match word {
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => word.parse().ok().or_else(|| resolve(word))?,
    };
    Some(BindAddr { optional, ip })
}

/// The first address of a name.
pub(super) fn resolve(host: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    Some((host, 0).to_socket_addrs().ok()?.next()?.ip())
}

/// Accepts clients for ever.
pub async fn accept_clients(shared: Arc<Shared>, threads: Arc<IoThreads>, listener: TcpListener) {
    let mut accepted = 0;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                welcome(&shared, &threads, stream, peer);
                accepted += 1;
                if accepted >= shared.server().config.max_new_connections_per_cycle {
                    // A crowd at the door must not keep those inside waiting.
                    tokio::task::yield_now().await;
                    accepted = 0;
                }
            }
            Err(_) => {
                // Out of descriptors, most likely: clients that leave will free some.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn welcome(shared: &Arc<Shared>, threads: &IoThreads, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().map_or_else(|_| String::new(), |a| shown_addr(a.ip(), a.port()));
    let (id, keepalive_secs) = {
        let mut server = shared.server();
        if is_protected(&server, peer.ip()) {
            server.stats.rejected_connections += 1;
            drop(server);
            refuse(&stream, PROTECTED.as_bytes());
            return;
        }
        let id = server.connect(shown_addr(peer.ip(), peer.port()), local, now());
        (id, server.config.tcp_keepalive_secs)
    };
    let Some(id) = id else {
        refuse(&stream, Server::REFUSAL);
        return;
    };
    if keepalive_secs > 0 {
        let interval = Duration::from_secs((u64::from(keepalive_secs) / 3).max(1));
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(u64::from(keepalive_secs)))
            .with_interval(interval)
            .with_retries(3);
        let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    }
    let (handle, beside) = threads.next();
    let shared = Arc::clone(shared);
    if threads.len() == 1 {
        handle.spawn(Connection::new(shared, id, stream).serve());
    } else if let Ok(stream) = stream.into_std() {
        handle.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => Connection::new(shared, id, stream).beside(beside).serve().await,
                Err(_) => shared.with(|server| server.disconnect(id)),
            }
        });
    } else {
        shared.with(|server| server.disconnect(id));
    }
}

fn refuse(stream: &TcpStream, text: &[u8]) {
    // Best effort: the peer is about to be hung up on.
    let _ = stream.try_write(text);
}

/// Protected mode: without a password and without an explicit `bind`, only this machine may connect.
fn is_protected(server: &Server, peer: IpAddr) -> bool {
    let config = &server.config;
    config.protected_mode && config.requirepass.is_empty() && !peer.to_canonical().is_loopback()
}

const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG \
REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";
