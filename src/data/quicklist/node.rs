//! One node of a quicklist: a run of small elements packed into a listpack, or a single large one, either of them
//! possibly compressed.

use std::borrow::Cow;

use super::Fill;
use crate::base::lzf;
use crate::data::alloc::size_class;
use crate::data::{Item, Listpack};

/// Smaller nodes are not worth compressing, and neither is saving less than [`LEAST_GAIN_BYTES`].
const LEAST_TO_COMPRESS_BYTES: usize = 48;
const LEAST_GAIN_BYTES: usize = 9;

/// A node as it comes from a file or payload.
#[derive(Debug)]
pub enum Loaded {
    Plain(Vec<u8>),
    Packed(Listpack),
}

/// A node as it is to be written: what it holds, and the bytes of that.
#[derive(Clone, Copy, Debug)]
pub struct NodeRef<'a> {
    /// One element, rather than a listpack of elements.
    pub plain: bool,
    pub stored: Stored<'a>,
}

/// Bytes as they are, or as LZF of that many bytes.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    Raw(&'a [u8]),
    Lzf { packed: &'a [u8], size: usize },
}

#[derive(Debug)]
pub(super) struct Node {
    count: usize,
    body: Body,
    /// Compressing was tried in vain since the last change.
    stubborn: bool,
}

#[derive(Debug)]
enum Body {
    Plain(Box<[u8]>),
    Packed(Listpack),
    Lzf { plain: bool, packed: Box<[u8]>, size: usize },
}

impl Node {
    pub(super) fn of_one(value: &[u8], fill: Fill) -> Node {
        if fill.is_large(value.len()) {
            return Node { count: 1, body: Body::Plain(value.into()), stubborn: false };
        }
        let mut pack = Listpack::new();
        pack.push(value);
        Node::of_pack(pack)
    }

    pub(super) fn of_pack(pack: Listpack) -> Node {
        Node { count: pack.len(), body: Body::Packed(pack), stubborn: false }
    }

    pub(super) fn of_loaded(node: Loaded) -> Node {
        match node {
            Loaded::Plain(value) => Node { count: 1, body: Body::Plain(value.into()), stubborn: false },
            Loaded::Packed(pack) => Node::of_pack(pack),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn mem_bytes(&self) -> usize {
        match &self.body {
            Body::Plain(bytes) | Body::Lzf { packed: bytes, .. } => size_class(bytes.len()),
            Body::Packed(pack) => pack.mem_bytes(),
        }
    }

    pub(super) fn as_ref(&self) -> NodeRef<'_> {
        match &self.body {
            Body::Plain(bytes) => NodeRef { plain: true, stored: Stored::Raw(bytes) },
            Body::Packed(pack) => NodeRef { plain: false, stored: Stored::Raw(pack.bytes()) },
            Body::Lzf { plain, packed, size } => NodeRef { plain: *plain, stored: Stored::Lzf { packed, size: *size } },
        }
    }

    /// The elements, unpacked for the look if need be.
    pub(super) fn look(&self) -> Look<'_> {
        match &self.body {
            Body::Plain(bytes) => Look::Plain(Cow::Borrowed(bytes)),
            Body::Packed(pack) => Look::Packed(Cow::Borrowed(pack)),
            Body::Lzf { plain, packed, size } => match unpack(*plain, packed, *size) {
                Body::Packed(pack) => Look::Packed(Cow::Owned(pack)),
                Body::Plain(bytes) | Body::Lzf { packed: bytes, .. } => Look::Plain(Cow::Owned(bytes.into_vec())),
            },
        }
    }

    /// Unpacks the node for good.
    pub(super) fn open(&mut self) {
        if let Body::Lzf { plain, packed, size } = &self.body {
            self.body = unpack(*plain, packed, *size);
        }
        self.stubborn = false;
    }

    /// Compresses the node if that pays.
    pub(super) fn close(&mut self) {
        let (plain, raw) = match &self.body {
            Body::Plain(bytes) => (true, &bytes[..]),
            Body::Packed(pack) => (false, pack.bytes()),
            Body::Lzf { .. } => return,
        };
        if self.stubborn || raw.len() < LEAST_TO_COMPRESS_BYTES {
            return;
        }
        match lzf::compress(raw, raw.len() - LEAST_GAIN_BYTES) {
            Some(packed) => self.body = Body::Lzf { plain, size: raw.len(), packed: packed.into() },
            None => self.stubborn = true,
        }
    }

    /// The listpack, for a change after which [`Node::recount`] is called; nothing for a plain node.
    pub(super) fn pack_mut(&mut self) -> Option<&mut Listpack> {
        self.open();
        match &mut self.body {
            Body::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    /// The listpack of a node that is one and is not compressed.
    pub(super) fn pack(&self) -> Option<&Listpack> {
        match &self.body {
            Body::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    pub(super) fn into_pack(self) -> Option<Listpack> {
        match self.body {
            Body::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    pub(super) fn set_count(&mut self, count: usize) {
        self.count = count;
    }

    /// Bytes of the elements unpacked, if the node is packed into a listpack.
    pub(super) fn pack_bytes(&self) -> Option<usize> {
        match &self.body {
            Body::Packed(pack) => Some(pack.bytes().len()),
            Body::Lzf { plain: false, size, .. } => Some(*size),
            Body::Plain(_) | Body::Lzf { .. } => None,
        }
    }

    /// Whether a value of `len` bytes may join the node.
    pub(super) fn has_room(&self, len: usize, fill: Fill) -> bool {
        self.pack_bytes().is_some_and(|bytes| !fill.is_large(len) && fill.allows(bytes + len + 8, self.count + 1))
    }

    /// Whether two nodes may become one.
    pub(super) fn can_merge(&self, other: &Node, fill: Fill) -> bool {
        match (self.pack_bytes(), other.pack_bytes()) {
            (Some(a), Some(b)) => fill.allows(a + b - 7, self.count + other.count),
            _ => false,
        }
    }
}

fn unpack(plain: bool, packed: &[u8], size: usize) -> Body {
    let raw = lzf::decompress(packed, size).expect("what the node compressed itself");
    if plain { Body::Plain(raw.into()) } else { Body::Packed(Listpack::trust(&raw)) }
}

/// The elements of a node, looked at.
pub(super) enum Look<'a> {
    Plain(Cow<'a, [u8]>),
    Packed(Cow<'a, Listpack>),
}

impl Look<'_> {
    /// Calls `f` with elements from the `skip`-th on, counted from the front, or from the back if `reverse`, until it
    /// breaks.
    pub(super) fn walk<B>(
        &self,
        skip: usize,
        reverse: bool,
        mut f: impl FnMut(Item<'_>) -> std::ops::ControlFlow<B>,
    ) -> std::ops::ControlFlow<B> {
        match self {
            Look::Plain(bytes) if skip == 0 => f(Item::Bytes(bytes)),
            Look::Plain(_) => std::ops::ControlFlow::Continue(()),
            Look::Packed(pack) if reverse => match pack.seek(-1 - skip as i64) {
                Some(at) => pack.iter_until(pack.next(at)).rev().try_for_each(f),
                None => std::ops::ControlFlow::Continue(()),
            },
            Look::Packed(pack) => match pack.seek(skip as i64) {
                Some(at) => pack.iter_from(at).try_for_each(f),
                None => std::ops::ControlFlow::Continue(()),
            },
        }
    }
}
