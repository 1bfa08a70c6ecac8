//! Decoding: every length is checked before a byte behind it is looked at.

use super::header::{OFF_COUNT, OFF_EXTENSIONS, OFF_TOTLEN, bitmap_at, u16_at, u32_at, u64_at};
use super::{
    Body, Extension, GOSSIP_LEN, GossipEntry, HEADER_LEN, LIGHT_BIT, LIGHT_HEADER_LEN, MessageType, MsgFlags, Packet,
    RawEntry, SIGNATURE, VERSION, ext, gossip, header,
};
use crate::base::NodeId;

/// Why a packet is dropped. The link it came on stays open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    #[error("not a packet of the cluster bus")]
    NotBus,
    #[error("protocol version {0} is not known")]
    Version(u16),
    #[error("message type {0} is not known")]
    UnknownType(u16),
    #[error("message type {0} cannot have a light header")]
    NotLight(u16),
    #[error("length {stated} does not fit message type {kind}")]
    Length { kind: u16, stated: usize },
}

/// The gossip section, read entry by entry.
#[derive(Clone, Copy, Debug)]
pub struct Gossip<'a>(&'a [u8]);

impl<'a> Gossip<'a> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() / GOSSIP_LEN
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries as they came.
    pub fn raw(&self) -> impl Iterator<Item = RawEntry<'a>> + use<'a> {
        self.0.chunks_exact(GOSSIP_LEN).map(RawEntry)
    }

    pub fn iter(&self) -> impl Iterator<Item = GossipEntry<'a>> + use<'a> {
        self.0.chunks_exact(GOSSIP_LEN).map(gossip::read)
    }
}

/// The extension section, read one by one.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    pub fn iter(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (extension, len) = ext::read(rest)?;
            rest = &rest[len..];
            Some(extension)
        })
    }
}

/// Reads one whole packet.
pub fn decode(bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    if bytes.len() < LIGHT_HEADER_LEN
        || !bytes.starts_with(&SIGNATURE)
        || u32_at(bytes, OFF_TOTLEN) as usize != bytes.len()
    {
        return Err(PacketError::NotBus);
    }
    let number = u16_at(bytes, 12);
    let version = u16_at(bytes, 8);
    if version != VERSION {
        return Err(PacketError::Version(version));
    }
    let kind = MessageType::from_wire(number & !LIGHT_BIT).ok_or(PacketError::UnknownType(number & !LIGHT_BIT))?;
    let wrong_length = PacketError::Length { kind: kind as u16, stated: bytes.len() };
    if number & LIGHT_BIT != 0 {
        let body = &bytes[LIGHT_HEADER_LEN..];
        return match kind {
            MessageType::Publish | MessageType::PublishShard => read_publish(body),
            MessageType::Module => read_module(body),
            _ => return Err(PacketError::NotLight(kind as u16)),
        }
        .map(|body| Packet::Light(kind, body))
        .ok_or(wrong_length);
    }
    let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(PacketError::NotBus)?;
    let header = header::read(head, kind);
    let body = match kind {
        MessageType::Ping | MessageType::Pong | MessageType::Meet => {
            let extensions = if header.mflags.contains(MsgFlags::EXT_DATA) { u16_at(bytes, OFF_EXTENSIONS) } else { 0 };
            read_ping(rest, u16_at(bytes, OFF_COUNT), extensions)
        }
        MessageType::Fail => (rest.len() == 40).then(|| Body::Fail(NodeId::parse(rest))),
        MessageType::Publish | MessageType::PublishShard => read_publish(rest),
        MessageType::Module => read_module(rest),
        MessageType::Update => (rest.len() == 8 + 40 + 2048).then(|| Body::Update {
            config_epoch: u64_at(rest, 0),
            node: NodeId::parse(&rest[8..48]),
            slots: bitmap_at(rest, 48),
        }),
        MessageType::AuthRequest | MessageType::AuthAck | MessageType::MfStart => rest.is_empty().then_some(Body::Bare),
    };
    body.map(|body| Packet::Full(header, body)).ok_or(wrong_length)
}

fn read_ping(rest: &[u8], count: u16, extensions: u16) -> Option<Body<'_>> {
    let (entries, tail) = rest.split_at_checked(usize::from(count) * GOSSIP_LEN)?;
    let mut left = tail;
    for _ in 0..extensions {
        let (_, len) = ext::read(left)?;
        left = &left[len..];
    }
    left.is_empty().then_some(Body::Ping { gossip: Gossip(entries), extensions: Extensions(tail) })
}

fn read_publish(rest: &[u8]) -> Option<Body<'_>> {
    let (lengths, payload) = rest.split_first_chunk::<8>()?;
    let (channel_len, message_len) = (u32_at(lengths, 0) as usize, u32_at(lengths, 4) as usize);
    let (channel, message) = payload.split_at_checked(channel_len)?;
    (message.len() == message_len).then_some(Body::Publish { channel, message })
}

fn read_module(rest: &[u8]) -> Option<Body<'_>> {
    let (head, payload) = rest.split_first_chunk::<13>()?;
    (payload.len() == u32_at(head, 8) as usize).then_some(Body::Module)
}
