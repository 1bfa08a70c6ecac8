//! The way to a node: a TCP connection, inside of TLS where that is wanted.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::access::{Access, Family};
use super::addr::Addr;
use super::error::Failure;

/// Bytes to and from a node.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why a host cannot be reached that has addresses, but none of the family that was asked for.
pub const NO_SUCH_ADDRESS: &str = "the host has no address of the wanted kind";

/// A peer that has vanished without a word is noticed after a while even where no reply is due.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Connects to the node, not yet as anybody, within the time there is for it.
pub async fn connect(addr: &Addr, access: &Access) -> Result<Box<dyn Stream>, Failure> {
    let refused = |reason: String| Failure::Connect { node: addr.clone(), reason };
    let limit = access.timeouts.connect;
    let lacking = Cell::new("no connection");
    let connecting = async {
        let place = access.map.outside(addr);
        let stream = connect_tcp(&place, access.family).await.map_err(|e| refused(describe(&e)))?;
        lacking.set("TLS: no handshake");
        let Some(tls) = &access.tls else { return Ok(Box::new(stream) as Box<dyn Stream>) };
        let stream = tls.wrap(&place.host, stream).await.map_err(|e| refused(format!("TLS: {}", describe(&e))))?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(result) => result,
        Err(_) => Err(refused(format!("{} within {} ms", lacking.get(), limit.as_millis()))),
    }
}

/// Tries the addresses that the host stands for, one after the other.
async fn connect_tcp(addr: &Addr, family: Family) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, NO_SUCH_ADDRESS);
    for candidate in lookup_host((addr.host.as_str(), addr.port)).await?.filter(|found| family.allows(found.ip())) {
        match TcpStream::connect(candidate).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn describe(error: &io::Error) -> String {
    without_number(&error.to_string()).to_owned()
}

/// The system's own words (`Connection refused`) without the error number.
#[must_use]
pub fn without_number(text: &str) -> &str {
    text.split(" (os error").next().unwrap_or(text)
}
