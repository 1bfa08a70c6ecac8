//! The sockets that clients and the cluster bus come in by: opened at the start, and moved while the server runs.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::bus::Acceptor;
use super::listen::{self, BindAddr, IoThreads, SocketKind};
use super::log::Logger;
use super::shared::Shared;
use super::startup::plain;
use crate::config::Config;

/// Who comes in by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Client,
    Bus,
}

/// A socket that the configuration asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    kind: Kind,
    addr: SocketAddr,
    /// The address may be missing on this machine.
    optional: bool,
    /// The address as `bind` has it.
    word: String,
}

/// A socket that is served.
struct Open {
    wanted: Wanted,
    task: JoinHandle<()>,
}

/// A socket that is bound, and not yet served.
pub type Bound = (Wanted, TcpListener);

/// All listening sockets.
pub struct Listeners {
    shared: Arc<Shared>,
    threads: Arc<IoThreads>,
    bus: Acceptor,
    open: Vec<Open>,
}

/// Binds everything that `config` asks for.
///
/// # Errors
/// The line to log before giving up.
pub fn bind_all(config: &Config, logger: &Logger) -> Result<Vec<Bound>, String> {
    let wanted = wanted(config)?;
    let mut bound = Vec::new();
    for one in wanted {
        let suffix = if one.kind == Kind::Bus { "cluster" } else { "TCP" };
        match bind(&one, config) {
            Ok(listener) => bound.extend(listener.map(|listener| (one, listener))),
            Err(error) => {
                warn(logger, &one, &error);
                return Err(format!("Failed listening on port {} ({suffix}), aborting.", one.addr.port()));
            }
        }
    }
    let lacks = |kind| !bound.iter().any(|(one, _)| one.kind == kind);
    if config.port != 0 && lacks(Kind::Client) {
        return Err("Failed listening on port, aborting.".into());
    }
    if config.cluster_enabled && lacks(Kind::Bus) {
        return Err(format!("Failed listening on port {} (cluster), aborting.", bus_port(config).unwrap_or(0)));
    }
    Ok(bound)
}

fn socket_kind(config: &Config, kind: Kind) -> SocketKind {
    // Only clients come by several paths.
    let multipath = config.mptcp && kind == Kind::Client;
    SocketKind { backlog: config.tcp_backlog, mark: config.socket_mark_id, multipath }
}

fn bus_port(config: &Config) -> Option<u16> {
    if config.cluster_port != 0 { Some(config.cluster_port) } else { config.port.checked_add(10_000) }
}

/// The sockets that `config` asks for, or why they cannot be opened.
fn wanted(config: &Config) -> Result<Vec<Wanted>, String> {
    let mut ports = vec![];
    if config.port != 0 {
        ports.push((Kind::Client, config.port));
    }
    if config.cluster_enabled {
        let text = "Redis port number too high for cluster mode. Cluster communication port number will be client port \
                    + 10000. Your Redis port number must be 55535 or less.";
        ports.push((Kind::Bus, bus_port(config).ok_or_else(|| text.to_owned())?));
    }
    let mut list = Vec::new();
    for (kind, port) in ports {
        for word in &config.bind {
            let Some(BindAddr { optional, ip }) = listen::parse_bind(word) else {
                let text =
                    format!("Could not create server TCP listening socket {word}:{port}: Name or service not known");
                return Err(text);
            };
            list.push(Wanted { kind, addr: SocketAddr::new(ip, port), optional, word: word.clone() });
        }
    }
    Ok(list)
}

/// `None` when the address is not there and need not be.
fn bind(one: &Wanted, config: &Config) -> io::Result<Option<TcpListener>> {
    match listen::bind(one.addr.ip(), one.addr.port(), socket_kind(config, one.kind)) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if may_be_missing(one.optional, one.addr.ip(), &error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An address marked `-` need not exist here, and neither need IPv6.
fn may_be_missing(optional: bool, ip: IpAddr, error: &io::Error) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, Unsupported};
    let absent = matches!(error.kind(), AddrNotAvailable | Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    absent && (optional || ip.is_ipv6())
}

fn warn(logger: &Logger, one: &Wanted, error: &io::Error) {
    logger.warning(format_args!(
        "Warning: Could not create server TCP listening socket {}:{}: bind: {}",
        one.word,
        one.addr.port(),
        plain(error)
    ));
}

impl Listeners {
    /// Serves the sockets that were bound at the start.
    #[must_use]
    pub fn serve(shared: Arc<Shared>, threads: Arc<IoThreads>, bus: Acceptor, bound: Vec<Bound>) -> Listeners {
        let mut listeners = Listeners { shared, threads, bus, open: Vec::new() };
        listeners.add(bound);
        listeners
    }

    fn add(&mut self, bound: Vec<Bound>) {
        for (wanted, listener) in bound {
            let task = match wanted.kind {
                Kind::Client => {
                    let (shared, threads) = (Arc::clone(&self.shared), Arc::clone(&self.threads));
                    tokio::spawn(listen::accept_clients(shared, threads, listener))
                }
                Kind::Bus => tokio::spawn(self.bus.clone().accept(listener)),
            };
            self.open.push(Open { wanted, task });
        }
    }

    /// Moves to the sockets of another configuration. New ones are opened before old ones close, but where an old one
    /// is in the way; connections stay. False when one cannot be opened, which the log tells: then all is as it was.
    pub async fn move_to(&mut self, config: &Config) -> bool {
        let logger = self.shared.logger.clone();
        let wanted = match wanted(config) {
            Ok(wanted) => wanted,
            Err(text) => {
                logger.warning(format_args!("Warning: {text}"));
                return false;
            }
        };
        let is = |a: &Wanted, b: &Wanted| a.kind == b.kind && a.addr == b.addr;
        let (kept, old): (Vec<Open>, Vec<Open>) =
            std::mem::take(&mut self.open).into_iter().partition(|open| wanted.iter().any(|one| is(one, &open.wanted)));
        let missing = wanted.into_iter().filter(|one| !kept.iter().any(|open| is(one, &open.wanted)));
        let (mut blocked, mut bound, mut failed) = (Vec::new(), Vec::new(), false);
        for one in missing {
            match bind(&one, config) {
                Ok(listener) => bound.extend(listener.map(|listener| (one, listener))),
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && old.iter().any(|o| overlap(&o.wanted, &one)) =>
                {
                    blocked.push(one);
                }
                Err(error) => {
                    warn(&logger, &one, &error);
                    failed = true;
                }
            }
        }
        self.open = kept;
        let has_clients = bound.iter().map(|(one, _)| one).chain(&blocked).chain(self.open.iter().map(|o| &o.wanted));
        failed |= config.port != 0 && !has_clients.clone().any(|one| one.kind == Kind::Client);
        if failed {
            self.open.extend(old);
            return false;
        }
        let mut closed = Vec::new();
        for open in old {
            open.task.abort();
            // The socket is closed when the task has ended, which it does by being aborted.
            let _ = open.task.await;
            closed.push(open.wanted);
        }
        match Self::bind_each(&blocked, config, &logger) {
            Some(more) => {
                self.add(bound);
                self.add(more);
                true
            }
            None => {
                drop(bound);
                let back = closed.iter().filter_map(|one| Some((one.clone(), bind(one, config).ok()??))).collect();
                self.add(back);
                false
            }
        }
    }

    fn bind_each(list: &[Wanted], config: &Config, logger: &Logger) -> Option<Vec<Bound>> {
        let mut bound = Vec::new();
        for one in list {
            match bind(one, config) {
                Ok(listener) => bound.extend(listener.map(|listener| (one.clone(), listener))),
                Err(error) => {
                    warn(logger, one, &error);
                    return None;
                }
            }
        }
        Some(bound)
    }
}

/// Whether a socket at one address keeps one from being opened at the other.
fn overlap(a: &Wanted, b: &Wanted) -> bool {
    let same_ip = a.addr.ip() == b.addr.ip() || a.addr.ip().is_unspecified() || b.addr.ip().is_unspecified();
    a.addr.port() == b.addr.port() && same_ip
}
