//! One gossip entry, 104 bytes: what the sender knows about a third node.

use super::super::flags::NodeFlags;
use super::header::{u16_at, u32_at};
use super::{GOSSIP_LEN, IP_LEN, read_ip, write_ip};
use crate::base::NodeId;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GossipEntry<'a> {
    /// `None`: not a valid id.
    pub id: Option<NodeId>,
    /// Unix seconds; 0 if no ping is in flight.
    pub ping_sent_s: u32,
    /// Unix seconds; 0 if never.
    pub pong_received_s: u32,
    pub ip: &'a str,
    /// Client port: TCP, or TLS where the bus uses TLS.
    pub port: u16,
    /// Bus port.
    pub cport: u16,
    pub flags: NodeFlags,
    /// The other client port.
    pub pport: u16,
}

/// An entry as it came. Most are about nodes that are known and well, and of those not all is of interest.
#[derive(Clone, Copy, Debug)]
pub struct RawEntry<'a>(pub(super) &'a [u8]);

impl<'a> RawEntry<'a> {
    /// `None`: not a valid id.
    #[must_use]
    pub fn id(self) -> Option<NodeId> {
        NodeId::parse(&self.0[..40])
    }

    #[must_use]
    pub fn flags(self) -> NodeFlags {
        NodeFlags::from_bits_retain(u16_at(self.0, 98))
    }

    /// Unix seconds; 0 if never.
    #[must_use]
    pub fn pong_received_s(self) -> u32 {
        u32_at(self.0, 44)
    }

    /// All of it.
    #[must_use]
    pub fn read(self) -> GossipEntry<'a> {
        read(self.0)
    }
}

pub(super) fn read(bytes: &[u8]) -> GossipEntry<'_> {
    GossipEntry {
        id: NodeId::parse(&bytes[..40]),
        ping_sent_s: u32_at(bytes, 40),
        pong_received_s: u32_at(bytes, 44),
        ip: read_ip(&bytes[48..48 + IP_LEN]),
        port: u16_at(bytes, 94),
        cport: u16_at(bytes, 96),
        flags: NodeFlags::from_bits_retain(u16_at(bytes, 98)),
        pport: u16_at(bytes, 100),
    }
}

pub(super) fn write(out: &mut Vec<u8>, entry: &GossipEntry<'_>) {
    let mut bytes = [0; GOSSIP_LEN];
    if let Some(id) = &entry.id {
        bytes[..40].copy_from_slice(id.as_bytes());
    }
    bytes[40..44].copy_from_slice(&entry.ping_sent_s.to_be_bytes());
    bytes[44..48].copy_from_slice(&entry.pong_received_s.to_be_bytes());
    write_ip(&mut bytes[48..48 + IP_LEN], entry.ip);
    bytes[94..96].copy_from_slice(&entry.port.to_be_bytes());
    bytes[96..98].copy_from_slice(&entry.cport.to_be_bytes());
    bytes[98..100].copy_from_slice(&entry.flags.bits().to_be_bytes());
    bytes[100..102].copy_from_slice(&entry.pport.to_be_bytes());
    out.extend_from_slice(&bytes);
}
