//! Reading the primitives: bytes with an offset and a running checksum, lengths, strings, doubles.

use std::io::BufRead;

use super::error::{RdbError, Result};
use crate::base::{crc64::crc64, lzf, num};
use crate::data::Corrupt;

/// How much is allocated for a string before its bytes have been seen.
const FIRST_ALLOCATION: u64 = 64 << 10;

/// A source of serialized data. It consumes exactly what it is asked for, so that what follows in the same stream
/// (commands after the preamble of an AOF, the replication stream after a full sync) is still there.
pub struct Input<R> {
    inner: R,
    /// Bytes of `inner`'s buffer that were handed out but not consumed yet: they are checksummed together.
    used: usize,
    /// Offset of the buffer's beginning.
    offset: u64,
    crc: Option<u64>,
    /// What was read since somebody wished to have it.
    copy: Option<Vec<u8>>,
}

/// What a length prefix announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    Plain(u64),
    /// A string in a special encoding.
    Special(u8),
}

impl<R: BufRead> Input<R> {
    pub fn new(inner: R) -> Input<R> {
        Input { inner, used: 0, offset: 0, crc: None, copy: None }
    }

    /// Like [`Input::new`], but keeps the CRC-64 of everything that is read.
    pub fn checksummed(inner: R) -> Input<R> {
        Input { crc: Some(0), ..Input::new(inner) }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset + self.used as u64
    }

    /// The checksum of everything read so far.
    pub fn crc(&mut self) -> Result<u64> {
        self.settle()?;
        Ok(self.crc.unwrap_or(0))
    }

    /// Keeps everything that is read from here on, for [`Input::copied`].
    pub fn copy_from_here(&mut self) -> Result<()> {
        self.settle()?;
        self.copy = Some(Vec::new());
        Ok(())
    }

    /// What was read since [`Input::copy_from_here`].
    pub fn copied(&mut self) -> Result<Vec<u8>> {
        self.settle()?;
        Ok(self.copy.take().unwrap_or_default())
    }

    /// The source, positioned behind the last byte that was read.
    pub fn into_inner(mut self) -> Result<R> {
        self.settle()?;
        Ok(self.inner)
    }

    /// An error about the place where the input stands.
    pub fn corrupt(&self, reason: &'static str) -> RdbError {
        RdbError::Corrupt { offset: self.offset(), reason: reason.into() }
    }

    /// Gives the place to what a container found wrong with bytes that were just read.
    pub fn checked<T>(&self, result: std::result::Result<T, Corrupt>) -> Result<T> {
        result.map_err(|Corrupt(reason)| self.corrupt(reason))
    }

    fn settle(&mut self) -> Result<()> {
        if self.used > 0 {
            let bytes = &self.inner.fill_buf()?[..self.used];
            if let Some(crc) = &mut self.crc {
                *crc = crc64(*crc, bytes);
            }
            if let Some(copy) = &mut self.copy {
                copy.extend_from_slice(bytes);
            }
            self.inner.consume(self.used);
            self.offset += self.used as u64;
            self.used = 0;
        }
        Ok(())
    }

    /// What is buffered and not read yet: at least one byte.
    fn buffered(&mut self) -> Result<&[u8]> {
        if self.used == self.inner.fill_buf()?.len() {
            self.settle()?;
        }
        let offset = self.offset();
        match &self.inner.fill_buf()?[self.used..] {
            [] => Err(RdbError::Truncated { offset, begin: offset }),
            bytes => Ok(bytes),
        }
    }

    pub fn byte(&mut self) -> Result<u8> {
        let byte = self.buffered()?[0];
        self.used += 1;
        Ok(byte)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        let (mut filled, begin) = (0, self.offset());
        while filled < N {
            let bytes = self.buffered().map_err(|error| error.beginning_at(begin))?;
            let step = bytes.len().min(N - filled);
            out[filled..filled + step].copy_from_slice(&bytes[..step]);
            filled += step;
            self.used += step;
        }
        Ok(out)
    }

    /// `length` bytes. What is allocated follows what has been read, whatever `length` promises.
    pub fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let likely = length.min(FIRST_ALLOCATION.max(self.available()));
        let mut out = Vec::with_capacity(likely as usize);
        let begin = self.offset();
        while (out.len() as u64) < length {
            let left = length - out.len() as u64;
            let bytes = self.buffered().map_err(|error| error.beginning_at(begin))?;
            let step = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if out.capacity() - out.len() < step {
                let doubled = out.len().max(step);
                out.reserve_exact(doubled.min(usize::try_from(left).unwrap_or(usize::MAX)));
            }
            out.extend_from_slice(&bytes[..step]);
            self.used += step;
        }
        Ok(out)
    }

    fn available(&mut self) -> u64 {
        self.buffered().map_or(0, |bytes| bytes.len() as u64)
    }

    pub fn u16_le(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn i32_le(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn i64_le(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A length or the announcement of a special string.
    pub fn length_or_special(&mut self) -> Result<Length> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(first)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            3 => Length::Special(first & 0x3f),
            _ if first == 0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            _ if first == 0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => return Err(self.corrupt("Unknown length encoding")),
        })
    }

    /// A length where no special string is possible.
    pub fn length(&mut self) -> Result<u64> {
        match self.length_or_special()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(self.corrupt("special string encoding where a length is expected")),
        }
    }

    /// A string in any of its encodings.
    pub fn string(&mut self) -> Result<Vec<u8>> {
        let special = match self.length_or_special()? {
            Length::Plain(length) => return self.bytes(length),
            Length::Special(special) => special,
        };
        let int = match special {
            0 => i64::from(self.byte()? as i8),
            1 => i64::from(i16::from_le_bytes(self.array()?)),
            2 => i64::from(self.i32_le()?),
            3 => return self.compressed_string(),
            _ => return Err(self.corrupt("Unknown string encoding")),
        };
        let mut text = Vec::new();
        num::push_i64(&mut text, int);
        Ok(text)
    }

    fn compressed_string(&mut self) -> Result<Vec<u8>> {
        let packed_length = self.length()?;
        let length = self.length()?;
        let packed = self.bytes(packed_length)?;
        let length = usize::try_from(length).map_err(|_| self.corrupt("Invalid LZF compressed string"))?;
        lzf::decompress(&packed, length).ok_or_else(|| self.corrupt("Invalid LZF compressed string"))
    }

    /// A double as 8 bytes.
    pub fn f64_le(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A double as the oldest sorted sets have it: text behind a length byte.
    pub fn f64_text(&mut self) -> Result<f64> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            length => {
                let text = self.bytes(u64::from(length))?;
                num::parse_f64(&text).ok_or_else(|| self.corrupt("Invalid double"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::super::output;
    use super::*;

    #[test]
    fn lengths_in_every_form() {
        for (bytes, length) in [
            (&b"\x00"[..], 0),
            (b"\x3f", 63),
            (b"\x40\x40", 64),
            (b"\x7f\xff", 16383),
            (b"\x80\x00\x00\x40\x00", 16384),
            (b"\x81\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32),
            (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX),
        ] {
            assert_eq!(Input::new(bytes).length().unwrap(), length);
        }
        assert!(matches!(Input::new(&b"\x82"[..]).length(), Err(RdbError::Corrupt { .. })));
        assert!(matches!(Input::new(&b"\xc0\x01"[..]).length(), Err(RdbError::Corrupt { .. })));
        assert!(matches!(Input::new(&b"\x80\x00"[..]).length(), Err(RdbError::Truncated { offset: 2, begin: 1 })));
    }

    #[test]
    fn strings_in_every_form() {
        for (bytes, text) in [
            (&b"\x03abc"[..], &b"abc"[..]),
            (b"\xc0\xfe", b"-2"),
            (b"\xc1\x00\x80", b"-32768"),
            (b"\xc2\xff\xff\xff\x7f", b"2147483647"),
            (b"\xc3\x05\x09\x02abc\x80\x02", b""),
            (b"\xc3\x06\x09\x02abc\x80\x02", b"abcabcabc"),
        ] {
            match Input::new(bytes).string() {
                Ok(string) => assert_eq!(string, text),
                Err(error) => {
                    assert!(text.is_empty(), "{error}");
                    assert!(matches!(error, RdbError::Corrupt { .. }));
                }
            }
        }
        assert!(matches!(Input::new(&b"\xc4"[..]).string(), Err(RdbError::Corrupt { .. })));
    }

    #[test]
    fn a_promise_of_many_bytes_allocates_little() {
        let mut claim = b"\x81\x00\x00\x01\x00\x00\x00\x00\x00".to_vec();
        claim.extend_from_slice(b"short");
        assert!(matches!(Input::new(&claim[..]).string(), Err(RdbError::Truncated { offset: 14, begin: 9 })));
        let mut bomb = b"\xc3\x02".to_vec();
        output::push_length(&mut bomb, 1 << 40);
        bomb.extend_from_slice(b"\x00a");
        assert!(matches!(Input::new(&bomb[..]).string(), Err(RdbError::Corrupt { .. })));
    }

    #[test]
    fn doubles_as_text() {
        assert_eq!(Input::new(&b"\x032.5"[..]).f64_text().unwrap(), 2.5);
        assert_eq!(Input::new(&b"\xff"[..]).f64_text().unwrap(), f64::NEG_INFINITY);
        assert!(Input::new(&b"\xfd"[..]).f64_text().unwrap().is_nan());
        assert!(Input::new(&b"\x01x"[..]).f64_text().is_err());
    }

    proptest! {
        #[test]
        fn strings_come_back_and_checksum_does_not_depend_on_chunks(
            strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20),
            chunk in 1usize..50,
        ) {
            let mut out = Vec::new();
            for s in &strings {
                output::push_string(&mut out, s, true);
            }
            let whole = out.len() as u64;
            out.extend_from_slice(b"behind");
            let mut input = Input::checksummed(BufReader::with_capacity(chunk, &out[..]));
            for s in &strings {
                prop_assert_eq!(&input.string().unwrap(), s);
            }
            prop_assert_eq!(input.offset(), whole);
            prop_assert_eq!(input.crc().unwrap(), crc64(0, &out[..whole as usize]));
            let mut rest = Vec::new();
            std::io::Read::read_to_end(&mut input.into_inner().unwrap(), &mut rest).unwrap();
            prop_assert_eq!(rest, b"behind");
        }
    }
}
