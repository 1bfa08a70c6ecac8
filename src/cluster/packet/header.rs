//! The full header, 2256 bytes: who sends, what it owns, how far it is.

use super::super::bitmap::{BITMAP_LEN, Bitmap};
use super::super::flags::NodeFlags;
use super::{HEADER_LEN, IP_LEN, MessageType, SIGNATURE, VERSION, read_ip, write_ip};
use crate::base::NodeId;

bitflags::bitflags! {
    /// The first of the three `mflags` bytes.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MsgFlags: u8 {
        /// The sender holds back writes for a manual failover.
        const PAUSED = 1;
        /// Vote even though the primary is not FAIL here.
        const FORCE_ACK = 2;
        /// The sender reads extensions; the extension count is meaningful.
        const EXT_DATA = 4;
    }
}

/// Whose replica the sender says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaOf {
    /// "I am a primary."
    Nobody,
    Node(NodeId),
    /// Not all zeros, yet not an id either.
    Malformed,
}

/// The header's fields, without the counts and lengths that follow from the body.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    pub kind: MessageType,
    /// Announced client port: TCP, or TLS where the bus uses TLS.
    pub port: u16,
    /// The other client port.
    pub pport: u16,
    /// Announced bus port.
    pub cport: u16,
    pub current_epoch: u64,
    /// The sender's, or its primary's where it is a replica.
    pub config_epoch: u64,
    /// Replication offset in bytes.
    pub offset: u64,
    /// `None`: not a valid id.
    pub sender: Option<NodeId>,
    /// The sender's slots, or its primary's where it is a replica.
    pub slots: &'a Bitmap,
    pub replica_of: ReplicaOf,
    /// Announced address, empty if the receiver is to take the socket's.
    pub my_ip: &'a str,
    pub flags: NodeFlags,
    /// The sender's opinion of the cluster.
    pub state_ok: bool,
    pub mflags: MsgFlags,
}

pub(super) const OFF_TOTLEN: usize = 4;
const OFF_VERSION: usize = 8;
const OFF_PORT: usize = 10;
const OFF_TYPE: usize = 12;
pub(super) const OFF_COUNT: usize = 14;
const OFF_CURRENT_EPOCH: usize = 16;
const OFF_CONFIG_EPOCH: usize = 24;
const OFF_OFFSET: usize = 32;
const OFF_SENDER: usize = 40;
const OFF_SLOTS: usize = 80;
const OFF_REPLICA_OF: usize = 2128;
const OFF_MY_IP: usize = 2168;
pub(super) const OFF_EXTENSIONS: usize = 2214;
const OFF_PPORT: usize = 2246;
const OFF_CPORT: usize = 2248;
const OFF_FLAGS: usize = 2250;
const OFF_STATE: usize = 2252;
const OFF_MFLAGS: usize = 2253;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

pub(super) fn bitmap_at(bytes: &[u8], at: usize) -> &Bitmap {
    bytes[at..at + BITMAP_LEN].try_into().expect("a slice of that length")
}

/// Reads the header of a packet of type `kind`.
pub(super) fn read(bytes: &[u8; HEADER_LEN], kind: MessageType) -> Header<'_> {
    let replica_of = &bytes[OFF_REPLICA_OF..OFF_MY_IP];
    Header {
        kind,
        port: u16_at(bytes, OFF_PORT),
        pport: u16_at(bytes, OFF_PPORT),
        cport: u16_at(bytes, OFF_CPORT),
        current_epoch: u64_at(bytes, OFF_CURRENT_EPOCH),
        config_epoch: u64_at(bytes, OFF_CONFIG_EPOCH),
        offset: u64_at(bytes, OFF_OFFSET),
        sender: NodeId::parse(&bytes[OFF_SENDER..OFF_SLOTS]),
        slots: bitmap_at(bytes, OFF_SLOTS),
        replica_of: if replica_of.iter().all(|&b| b == 0) {
            ReplicaOf::Nobody
        } else {
            NodeId::parse(replica_of).map_or(ReplicaOf::Malformed, ReplicaOf::Node)
        },
        my_ip: read_ip(&bytes[OFF_MY_IP..OFF_MY_IP + IP_LEN]),
        flags: NodeFlags::from_bits_retain(u16_at(bytes, OFF_FLAGS)),
        state_ok: bytes[OFF_STATE] == 0,
        mflags: MsgFlags::from_bits_retain(bytes[OFF_MFLAGS]),
    }
}

/// A packet that is only a header yet: its counts are zero and its length is the header's.
pub(super) fn write(header: &Header<'_>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &SIGNATURE);
    put(OFF_TOTLEN, &(HEADER_LEN as u32).to_be_bytes());
    put(OFF_VERSION, &VERSION.to_be_bytes());
    put(OFF_PORT, &header.port.to_be_bytes());
    put(OFF_TYPE, &(header.kind as u16).to_be_bytes());
    put(OFF_CURRENT_EPOCH, &header.current_epoch.to_be_bytes());
    put(OFF_CONFIG_EPOCH, &header.config_epoch.to_be_bytes());
    put(OFF_OFFSET, &header.offset.to_be_bytes());
    if let Some(id) = &header.sender {
        put(OFF_SENDER, id.as_bytes());
    }
    put(OFF_SLOTS, header.slots);
    if let ReplicaOf::Node(id) = &header.replica_of {
        put(OFF_REPLICA_OF, id.as_bytes());
    }
    put(OFF_PPORT, &header.pport.to_be_bytes());
    put(OFF_CPORT, &header.cport.to_be_bytes());
    put(OFF_FLAGS, &header.flags.bits().to_be_bytes());
    put(OFF_STATE, &[u8::from(!header.state_ok)]);
    put(OFF_MFLAGS, &[header.mflags.bits()]);
    write_ip(&mut bytes[OFF_MY_IP..OFF_MY_IP + IP_LEN], header.my_ip);
    bytes
}
