//! The extensions that may follow the gossip section of PING, PONG and MEET.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::header::{u16_at, u32_at, u64_at};
use crate::base::NodeId;

/// Length, type and two unused bytes.
pub(super) const EXT_HEADER_LEN: usize = 8;

/// One extension. Texts are without their terminating NUL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Extension<'a> {
    Hostname(&'a [u8]),
    Nodename(&'a [u8]),
    /// A node the sender was told to forget, and for how long still.
    Forgotten {
        id: NodeId,
        ttl_s: u64,
    },
    ShardId(NodeId),
    ClientIpv4(&'a [u8]),
    ClientIpv6(&'a [u8]),
    ClientTcpPort(u16),
    ClientTlsPort(u16),
    AvailabilityZone(&'a [u8]),
    /// A type this node does not know, or one whose content makes no sense.
    Unknown(u16),
}

fn text(data: &[u8]) -> &[u8] {
    &data[..data.iter().position(|&b| b == 0).unwrap_or(data.len())]
}

/// A text that is an address, in the room that it needs. Redis 8 sends a secret of 40 bytes under the number of Valkey's
/// first address: that is not to be shown to clients, who would dial it.
fn address<T: FromStr>(data: &[u8]) -> Option<&[u8]> {
    let text = text(data);
    let room = (text.len() + 1).next_multiple_of(8);
    (room == data.len() && str::from_utf8(text).ok()?.parse::<T>().is_ok()).then_some(text)
}

/// Reads the extension at the start of `bytes`, whose length has been checked, and says how long it is.
/// `None` if the lengths do not fit.
pub(super) fn read(bytes: &[u8]) -> Option<(Extension<'_>, usize)> {
    if bytes.len() < EXT_HEADER_LEN {
        return None;
    }
    let len = u32_at(bytes, 0) as usize;
    if len < EXT_HEADER_LEN || !len.is_multiple_of(8) || len > bytes.len() {
        return None;
    }
    let kind = u16_at(bytes, 4);
    let data = &bytes[EXT_HEADER_LEN..len];
    let known = match kind {
        0 => Some(Extension::Hostname(text(data))),
        1 => Some(Extension::Nodename(text(data))),
        2 if data.len() >= 48 => {
            NodeId::parse(&data[..40]).map(|id| Extension::Forgotten { id, ttl_s: u64_at(data, 40) })
        }
        3 if data.len() >= 40 => NodeId::parse(&data[..40]).map(Extension::ShardId),
        4 => address::<Ipv4Addr>(data).map(Extension::ClientIpv4),
        5 => address::<Ipv6Addr>(data).map(Extension::ClientIpv6),
        6 if data.len() >= 2 => Some(Extension::ClientTcpPort(u16_at(data, 0))),
        7 if data.len() >= 2 => Some(Extension::ClientTlsPort(u16_at(data, 0))),
        8 => Some(Extension::AvailabilityZone(text(data))),
        _ => None,
    };
    Some((known.unwrap_or(Extension::Unknown(kind)), len))
}

pub(super) fn write(out: &mut Vec<u8>, ext: &Extension<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; EXT_HEADER_LEN]);
    let kind: u16 = match ext {
        Extension::Hostname(_) => 0,
        Extension::Nodename(_) => 1,
        Extension::Forgotten { .. } => 2,
        Extension::ShardId(_) => 3,
        Extension::ClientIpv4(_) => 4,
        Extension::ClientIpv6(_) => 5,
        Extension::ClientTcpPort(_) => 6,
        Extension::ClientTlsPort(_) => 7,
        Extension::AvailabilityZone(_) => 8,
        Extension::Unknown(kind) => *kind,
    };
    match ext {
        Extension::Hostname(text)
        | Extension::Nodename(text)
        | Extension::ClientIpv4(text)
        | Extension::ClientIpv6(text)
        | Extension::AvailabilityZone(text) => {
            out.extend_from_slice(text);
            out.push(0);
        }
        Extension::Forgotten { id, ttl_s } => {
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&ttl_s.to_be_bytes());
        }
        Extension::ShardId(id) => out.extend_from_slice(id.as_bytes()),
        Extension::ClientTcpPort(port) | Extension::ClientTlsPort(port) => out.extend_from_slice(&port.to_be_bytes()),
        Extension::Unknown(_) => {}
    }
    let len = (out.len() - start).next_multiple_of(8);
    out.resize(start + len, 0);
    out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
    out[start + 4..start + 6].copy_from_slice(&kind.to_be_bytes());
}
