//! The packets of the cluster bus, byte for byte as stock nodes write and read them.
//!
//! Decoding borrows from the packet and allocates nothing. All integers are big-endian.

pub mod ext;
pub mod gossip;
pub mod header;
mod read;
mod write;

pub use ext::Extension;
pub use gossip::{GossipEntry, RawEntry};
pub use header::{Header, MsgFlags, ReplicaOf};
pub use read::{Extensions, Gossip, PacketError, decode};
pub use write::{encode_bare, encode_fail, encode_ping, encode_publish, encode_publish_light, encode_update};

use super::bitmap::Bitmap;
use crate::base::NodeId;

/// The first four bytes of every packet.
pub const SIGNATURE: [u8; 4] = *b"RCmb";
/// The only protocol version there is.
pub const VERSION: u16 = 1;
/// Bytes of a full header; the body follows.
pub const HEADER_LEN: usize = 2256;
/// Bytes of a light header, which says nothing about its sender.
pub const LIGHT_HEADER_LEN: usize = 16;
/// Bytes of one gossip entry.
pub const GOSSIP_LEN: usize = 104;
/// Set in the type of a packet with a light header.
pub const LIGHT_BIT: u16 = 0x8000;
/// Bytes of the longest textual address, NUL included.
pub const IP_LEN: usize = 46;

/// What a packet is for. The discriminants are the wire's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub enum MessageType {
    Ping = 0,
    Pong = 1,
    Meet = 2,
    Fail = 3,
    Publish = 4,
    AuthRequest = 5,
    AuthAck = 6,
    Update = 7,
    MfStart = 8,
    Module = 9,
    PublishShard = 10,
}

impl MessageType {
    /// All types in wire order.
    pub const ALL: [MessageType; 11] = [
        MessageType::Ping,
        MessageType::Pong,
        MessageType::Meet,
        MessageType::Fail,
        MessageType::Publish,
        MessageType::AuthRequest,
        MessageType::AuthAck,
        MessageType::Update,
        MessageType::MfStart,
        MessageType::Module,
        MessageType::PublishShard,
    ];

    /// The type with this number (without the light bit), if there is one.
    #[must_use]
    pub fn from_wire(n: u16) -> Option<MessageType> {
        Self::ALL.get(usize::from(n)).copied()
    }

    /// The name in the counters of CLUSTER INFO.
    #[must_use]
    pub fn stats_name(self) -> &'static str {
        match self {
            MessageType::Ping => "ping",
            MessageType::Pong => "pong",
            MessageType::Meet => "meet",
            MessageType::Fail => "fail",
            MessageType::Publish => "publish",
            MessageType::AuthRequest => "auth-req",
            MessageType::AuthAck => "auth-ack",
            MessageType::Update => "update",
            MessageType::MfStart => "mfstart",
            MessageType::Module => "module",
            MessageType::PublishShard => "publishshard",
        }
    }

    /// PING, PONG and MEET share one body and most of the processing.
    #[must_use]
    pub fn is_ping_family(self) -> bool {
        matches!(self, MessageType::Ping | MessageType::Pong | MessageType::Meet)
    }
}

/// A packet whose lengths have all been checked.
#[derive(Debug)]
pub enum Packet<'a> {
    Full(Header<'a>, Body<'a>),
    /// Light header: PUBLISH, PUBLISHSHARD or MODULE from whoever is behind the link.
    Light(MessageType, Body<'a>),
}

/// What follows the header.
#[derive(Debug)]
pub enum Body<'a> {
    Ping {
        gossip: Gossip<'a>,
        extensions: Extensions<'a>,
    },
    /// The node that failed; `None` if the id is malformed.
    Fail(Option<NodeId>),
    Publish {
        channel: &'a [u8],
        message: &'a [u8],
    },
    Update {
        node: Option<NodeId>,
        config_epoch: u64,
        slots: &'a Bitmap,
    },
    /// A module's message; this server has no modules, so only its length was checked.
    Module,
    /// AUTH_REQUEST, AUTH_ACK and MFSTART say all in the header.
    Bare,
}

/// A NUL-padded text field. Text with bytes that no address has reads as empty, so that nothing
/// odd reaches `nodes.conf` or a log.
fn read_ip(field: &[u8]) -> &str {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let sane = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'%');
    if end < field.len() && field[..end].iter().all(sane) {
        std::str::from_utf8(&field[..end]).unwrap_or("")
    } else {
        ""
    }
}

fn write_ip(field: &mut [u8], ip: &str) {
    let bytes = ip.as_bytes();
    let len = bytes.len().min(field.len() - 1);
    field[..len].copy_from_slice(&bytes[..len]);
}

#[cfg(test)]
mod tests;
