//! Writing the primitives, each appended to a byte vector.

use crate::base::{lzf, num};

/// Strings up to this length are not worth compressing.
const MIN_COMPRESSED_STRING: usize = 21;
/// What compression must save.
const MIN_SAVING: usize = 4;
/// The longest text of a 32-bit integer.
const MAX_INT_TEXT: usize = 11;

pub fn push_length(out: &mut Vec<u8>, length: u64) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.extend_from_slice(&(1 << 14 | length as u16).to_be_bytes());
    } else if let Ok(length) = u32::try_from(length) {
        out.push(0x80);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// A string in its shortest form: integer, compressed (if `compress`), or plain.
pub fn push_string(out: &mut Vec<u8>, bytes: &[u8], compress: bool) {
    if bytes.len() <= MAX_INT_TEXT
        && let Some(int) = num::parse_i64(bytes)
        && push_small_int(out, int)
    {
        return;
    }
    if compress
        && bytes.len() >= MIN_COMPRESSED_STRING
        && let Some(packed) = lzf::compress(bytes, bytes.len() - MIN_SAVING)
    {
        push_compressed(out, &packed, bytes.len());
        return;
    }
    push_plain(out, bytes);
}

/// The text of an integer, as an integer if it has 32 bits.
pub fn push_int_string(out: &mut Vec<u8>, int: i64) {
    if !push_small_int(out, int) {
        push_plain(out, itoa::Buffer::new().format(int).as_bytes());
    }
}

/// A string that was compressed from `length` bytes already.
pub fn push_compressed(out: &mut Vec<u8>, packed: &[u8], length: usize) {
    out.push(0xc3);
    push_length(out, packed.len() as u64);
    push_length(out, length as u64);
    out.extend_from_slice(packed);
}

fn push_plain(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_small_int(out: &mut Vec<u8>, int: i64) -> bool {
    if let Ok(int) = i8::try_from(int) {
        out.push(0xc0);
        out.push(int as u8);
    } else if let Ok(int) = i16::try_from(int) {
        out.push(0xc1);
        out.extend_from_slice(&int.to_le_bytes());
    } else if let Ok(int) = i32::try_from(int) {
        out.push(0xc2);
        out.extend_from_slice(&int.to_le_bytes());
    } else {
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_string(&mut out, bytes, true);
        out
    }

    #[test]
    fn the_shortest_form_is_taken() {
        for (text, form) in [
            (&b""[..], &b"\x00"[..]),
            (b"2", b"\xc0\x02"),
            (b"-128", b"\xc0\x80"),
            (b"128", b"\xc1\x80\x00"),
            (b"-2147483648", b"\xc2\x00\x00\x00\x80"),
            (b"2147483648", b"\x0a2147483648"),
            (b"007", b"\x03007"),
            (b"-0", b"\x02-0"),
            (b"+1", b"\x02+1"),
        ] {
            assert_eq!(string(text), form);
        }
        // 20 bytes stay as they are, 21 are compressed.
        assert_eq!(string(&[b'a'; 20])[0], 20);
        assert_eq!(string(&[b'a'; 21])[0], 0xc3);
        let mut out = Vec::new();
        push_string(&mut out, &[b'a'; 21], false);
        assert_eq!(out[0], 21);
    }

    #[test]
    fn lengths_take_the_form_their_size_needs() {
        for (length, form) in [
            (63, &b"\x3f"[..]),
            (64, b"\x40\x40"),
            (16383, b"\x7f\xff"),
            (16384, b"\x80\x00\x00\x40\x00"),
            (u64::from(u32::MAX) + 1, b"\x81\x00\x00\x00\x01\x00\x00\x00\x00"),
        ] {
            let mut out = Vec::new();
            push_length(&mut out, length);
            assert_eq!(out, form);
        }
    }
}
