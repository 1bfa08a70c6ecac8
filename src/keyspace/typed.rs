//! A value as the type a command expects, or WRONGTYPE.

use crate::data::entry::Entry;
use crate::data::hash::Hash;
use crate::data::list::List;
use crate::data::set::Set;
use crate::data::stream::Stream;
use crate::data::table::EntryMut;
use crate::data::value::{ValueMut, ValueRef};
use crate::data::zset::ZSet;
use crate::resp::ErrorReply;

/// Read access by type.
pub trait Typed {
    /// # Errors
    /// WRONGTYPE.
    fn list(&self) -> Result<&List, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn set(&self) -> Result<&Set, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn hash(&self) -> Result<&Hash, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn zset(&self) -> Result<&ZSet, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn stream(&self) -> Result<&Stream, ErrorReply>;
    /// The string's text; integers are written into `buf`.
    ///
    /// # Errors
    /// WRONGTYPE.
    fn text<'a>(&'a self, buf: &'a mut itoa::Buffer) -> Result<&'a [u8], ErrorReply>;
}

/// Write access by type.
pub trait TypedMut {
    /// # Errors
    /// WRONGTYPE.
    fn list_mut(&mut self) -> Result<&mut List, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn set_mut(&mut self) -> Result<&mut Set, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn hash_mut(&mut self) -> Result<&mut Hash, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn zset_mut(&mut self) -> Result<&mut ZSet, ErrorReply>;
    /// # Errors
    /// WRONGTYPE.
    fn stream_mut(&mut self) -> Result<&mut Stream, ErrorReply>;
}

macro_rules! as_type {
    ($self:ident, $variant:ident) => {
        match $self.value() {
            ValueRef::$variant(value) => Ok(value),
            _ => Err(ErrorReply::WrongType),
        }
    };
}

macro_rules! as_type_mut {
    ($self:ident, $variant:ident) => {
        match $self.collection_mut() {
            ValueMut::$variant(value) => Ok(value),
            _ => Err(ErrorReply::WrongType),
        }
    };
}

impl Typed for Entry {
    fn list(&self) -> Result<&List, ErrorReply> {
        as_type!(self, List)
    }
    fn set(&self) -> Result<&Set, ErrorReply> {
        as_type!(self, Set)
    }
    fn hash(&self) -> Result<&Hash, ErrorReply> {
        as_type!(self, Hash)
    }
    fn zset(&self) -> Result<&ZSet, ErrorReply> {
        as_type!(self, ZSet)
    }
    fn stream(&self) -> Result<&Stream, ErrorReply> {
        as_type!(self, Stream)
    }
    fn text<'a>(&'a self, buf: &'a mut itoa::Buffer) -> Result<&'a [u8], ErrorReply> {
        match self.value() {
            ValueRef::Int(n) => Ok(buf.format(n).as_bytes()),
            ValueRef::Bytes(bytes) => Ok(bytes),
            _ => Err(ErrorReply::WrongType),
        }
    }
}

impl TypedMut for EntryMut<'_> {
    fn list_mut(&mut self) -> Result<&mut List, ErrorReply> {
        as_type_mut!(self, List)
    }
    fn set_mut(&mut self) -> Result<&mut Set, ErrorReply> {
        as_type_mut!(self, Set)
    }
    fn hash_mut(&mut self) -> Result<&mut Hash, ErrorReply> {
        as_type_mut!(self, Hash)
    }
    fn zset_mut(&mut self) -> Result<&mut ZSet, ErrorReply> {
        as_type_mut!(self, ZSet)
    }
    fn stream_mut(&mut self) -> Result<&mut Stream, ErrorReply> {
        as_type_mut!(self, Stream)
    }
}
