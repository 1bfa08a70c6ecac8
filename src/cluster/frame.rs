//! Cuts the byte stream of a bus link into whole packets.

use super::packet::{HEADER_LEN, LIGHT_BIT, LIGHT_HEADER_LEN, MessageType, SIGNATURE};

/// Bytes that must be there before anything can be said about a packet.
const PREFIX_LEN: usize = 14;

/// No message but PUBLISH and MODULE can rightfully be longer: a header, 65,535 gossip entries and
/// room for extensions.
const MAX_CONTROL_LEN: usize = 8 << 20;

/// No packet of a node that is not known (it asks to be let in) is longer: some thousand gossip entries.
pub const STRANGER_MAX: usize = 512 << 10;

/// PUBLISH carries what a client may send as one bulk string (512 MiB), twice, and a header.
const MAX_PAYLOAD_LEN: usize = (1 << 30) + HEADER_LEN + 64;

/// What the beginning of a link's receive buffer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// At least this many bytes must be in the buffer before it is worth asking again. A caller grows
    /// its buffer as bytes arrive, so that a length alone allocates nothing.
    NeedMore(usize),
    /// The first that many bytes are one packet.
    Packet(usize),
    /// Not the bus protocol, or an absurd length: close the link.
    Bad,
}

/// Looks at the beginning of `buffer`.
#[must_use]
pub fn next(buffer: &[u8]) -> Frame {
    if !buffer.starts_with(&SIGNATURE[..buffer.len().min(SIGNATURE.len())]) {
        return Frame::Bad;
    }
    let Some(prefix) = buffer.first_chunk::<PREFIX_LEN>() else {
        return Frame::NeedMore(PREFIX_LEN);
    };
    let total = u32::from_be_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
    let kind = u16::from_be_bytes([prefix[12], prefix[13]]);
    let least = if kind & LIGHT_BIT == 0 { HEADER_LEN } else { LIGHT_HEADER_LEN };
    let most = match MessageType::from_wire(kind & !LIGHT_BIT) {
        Some(MessageType::Publish | MessageType::PublishShard | MessageType::Module) => MAX_PAYLOAD_LEN,
        _ => MAX_CONTROL_LEN,
    };
    if total < least || total > most {
        Frame::Bad
    } else if buffer.len() < total {
        Frame::NeedMore(total)
    } else {
        Frame::Packet(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(total: u32, kind: u16) -> Vec<u8> {
        let mut bytes = b"RCmb".to_vec();
        bytes.extend(total.to_be_bytes());
        bytes.extend([0, 1, 0, 0]);
        bytes.extend(kind.to_be_bytes());
        bytes
    }

    #[test]
    fn frames() {
        assert_eq!(next(b""), Frame::NeedMore(14));
        assert_eq!(next(b"RCm"), Frame::NeedMore(14));
        assert_eq!(next(b"GET "), Frame::Bad);
        assert_eq!(next(b"G"), Frame::Bad);
        assert_eq!(next(&prefix(2256, 0)), Frame::NeedMore(2256));
        assert_eq!(next(&prefix(2255, 0)), Frame::Bad);
        assert_eq!(next(&prefix(2256 + (9 << 20), 0)), Frame::Bad);
        assert_eq!(next(&prefix(2256 + (9 << 20), 4)), Frame::NeedMore(2256 + (9 << 20)));
        assert_eq!(next(&prefix(16, 4 | LIGHT_BIT)), Frame::NeedMore(16));
        let mut whole = prefix(2256, 0);
        whole.resize(3000, 0);
        assert_eq!(next(&whole), Frame::Packet(2256));
        assert_eq!(next(&prefix(u32::MAX, 4)), Frame::Bad);
    }
}
