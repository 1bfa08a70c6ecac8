//! Connections to other servers, from the address and with the mark that the configuration asks for.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::listen::resolve;
use crate::config::Config;

/// How connections leave this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// `bind-source-addr`.
    from: Option<IpAddr>,
    /// `socket-mark-id`; 0 for none.
    mark: u32,
}

impl Way {
    #[must_use]
    pub fn of(config: &Config) -> Way {
        let from = std::str::from_utf8(&config.bind_source_addr).ok().filter(|host| !host.is_empty());
        Way { from: from.and_then(|host| host.parse().ok().or_else(|| resolve(host))), mark: config.socket_mark_id }
    }

    /// Connects to the first address of `host` that answers.
    ///
    /// # Errors
    /// What the system says of the last address.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        if *self == Way::default() {
            return TcpStream::connect((host, port)).await;
        }
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for addr in lookup_host((host, port)).await? {
            match self.connect_to(addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_to(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if self.mark != 0 {
            socket.set_mark(self.mark)?;
        }
        if let Some(from) = self.from.filter(|from| from.is_ipv4() == addr.is_ipv4()) {
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.set_nonblocking(true)?;
        TcpSocket::from_std_stream(socket.into()).connect(addr).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn from_another_address_of_this_machine() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Config { bind_source_addr: b"127.0.0.77".to_vec(), ..Config::default() };
        let stream = Way::of(&config).connect("127.0.0.1", port).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), "127.0.0.77");
        assert_eq!(listener.accept().await.unwrap().1.ip().to_string(), "127.0.0.77");
        assert_eq!(Way::of(&Config::default()), Way::default());
    }
}
