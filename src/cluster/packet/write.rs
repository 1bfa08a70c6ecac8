//! Encoding.

use super::super::bitmap::Bitmap;
use super::header::{OFF_COUNT, OFF_EXTENSIONS, OFF_TOTLEN};
use super::{Extension, GossipEntry, Header, LIGHT_BIT, LIGHT_HEADER_LEN, MessageType, SIGNATURE, VERSION};
use super::{ext, gossip, header};
use crate::base::NodeId;

fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = (bytes.len() as u32).to_be_bytes();
    bytes[OFF_TOTLEN..OFF_TOTLEN + 4].copy_from_slice(&len);
    bytes
}

/// PING, PONG or MEET. More than 65,535 entries or extensions cannot be expressed; the rest is left out.
#[must_use]
pub fn encode_ping(head: &Header<'_>, entries: &[GossipEntry<'_>], extensions: &[Extension<'_>]) -> Vec<u8> {
    let entries = &entries[..entries.len().min(usize::from(u16::MAX))];
    let extensions = &extensions[..extensions.len().min(usize::from(u16::MAX))];
    let mut bytes = header::write(head);
    for entry in entries {
        gossip::write(&mut bytes, entry);
    }
    for extension in extensions {
        ext::write(&mut bytes, extension);
    }
    bytes[OFF_COUNT..OFF_COUNT + 2].copy_from_slice(&(entries.len() as u16).to_be_bytes());
    bytes[OFF_EXTENSIONS..OFF_EXTENSIONS + 2].copy_from_slice(&(extensions.len() as u16).to_be_bytes());
    finish(bytes)
}

/// AUTH_REQUEST, AUTH_ACK or MFSTART: a header alone.
#[must_use]
pub fn encode_bare(head: &Header<'_>) -> Vec<u8> {
    header::write(head)
}

#[must_use]
pub fn encode_fail(head: &Header<'_>, failed: &NodeId) -> Vec<u8> {
    let mut bytes = header::write(head);
    bytes.extend_from_slice(failed.as_bytes());
    finish(bytes)
}

#[must_use]
pub fn encode_update(head: &Header<'_>, node: &NodeId, config_epoch: u64, slots: &Bitmap) -> Vec<u8> {
    let mut bytes = header::write(head);
    bytes.extend_from_slice(&config_epoch.to_be_bytes());
    bytes.extend_from_slice(node.as_bytes());
    bytes.extend_from_slice(slots);
    finish(bytes)
}

fn push_publish(bytes: &mut Vec<u8>, channel: &[u8], message: &[u8]) {
    bytes.extend_from_slice(&(channel.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(channel);
    bytes.extend_from_slice(message);
}

/// PUBLISH or PUBLISHSHARD, as `head.kind` says.
#[must_use]
pub fn encode_publish(head: &Header<'_>, channel: &[u8], message: &[u8]) -> Vec<u8> {
    let mut bytes = header::write(head);
    push_publish(&mut bytes, channel, message);
    finish(bytes)
}

/// The same behind a light header, for peers that said they read it.
#[must_use]
pub fn encode_publish_light(kind: MessageType, channel: &[u8], message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; LIGHT_HEADER_LEN];
    bytes[..4].copy_from_slice(&SIGNATURE);
    bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
    bytes[12..14].copy_from_slice(&(kind as u16 | LIGHT_BIT).to_be_bytes());
    push_publish(&mut bytes, channel, message);
    finish(bytes)
}
