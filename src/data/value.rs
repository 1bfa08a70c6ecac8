//! What a key can hold: the value owned, looked at, and held for change.
//!
//! In the keyspace a value lives inside its [`Entry`](super::entry::Entry), which chooses how it is stored; here is
//! the form in which values come in and go out.

use std::fmt;

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::zset::ZSet;
use crate::base::num::parse_i64;

/// An owned value.
#[derive(Debug)]
pub enum Value {
    /// A string whose text is this number in canonical form.
    Int(i64),
    Bytes(Vec<u8>),
    List(List),
    Set(Set),
    Hash(Hash),
    ZSet(ZSet),
    Stream(Box<Stream>),
}

/// A value looked at where it lives.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    List(&'a List),
    Set(&'a Set),
    Hash(&'a Hash),
    ZSet(&'a ZSet),
    Stream(&'a Stream),
}

/// A value held for change where it lives. Strings have ways of their own, because changing them may move them.
#[derive(Debug)]
pub enum ValueMut<'a> {
    String,
    List(&'a mut List),
    Set(&'a mut Set),
    Hash(&'a mut Hash),
    ZSet(&'a mut ZSet),
    Stream(&'a mut Stream),
}

/// The type of a value, as TYPE and SCAN name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    String,
    List,
    Set,
    Hash,
    ZSet,
    Stream,
}

/// How a value is stored, as OBJECT ENCODING names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    Int,
    Embstr,
    Raw,
    Listpack,
    Quicklist,
    Intset,
    Hashtable,
    Skiplist,
    Stream,
}

/// The longest text of an `i64`.
const INT_TEXT_MAX: usize = 20;

/// The number whose canonical text this is, if it is one.
#[inline]
#[must_use]
pub fn int_of(text: &[u8]) -> Option<i64> {
    if text.len() > INT_TEXT_MAX { None } else { parse_i64(text) }
}

impl Value {
    /// A string value: a number if the text is one.
    #[must_use]
    pub fn from_bytes(text: &[u8]) -> Value {
        int_of(text).map_or_else(|| Value::Bytes(text.to_vec()), Value::Int)
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.as_ref().kind()
    }

    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Int(n) => ValueRef::Int(*n),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::List(list) => ValueRef::List(list),
            Value::Set(set) => ValueRef::Set(set),
            Value::Hash(hash) => ValueRef::Hash(hash),
            Value::ZSet(zset) => ValueRef::ZSet(zset),
            Value::Stream(stream) => ValueRef::Stream(stream),
        }
    }
}

impl ValueRef<'_> {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            ValueRef::Int(_) | ValueRef::Bytes(_) => Kind::String,
            ValueRef::List(_) => Kind::List,
            ValueRef::Set(_) => Kind::Set,
            ValueRef::Hash(_) => Kind::Hash,
            ValueRef::ZSet(_) => Kind::ZSet,
            ValueRef::Stream(_) => Kind::Stream,
        }
    }

    /// Asks for the memory that a lookup of a member reads first, if the value is a set or a hash: a small one's listpack,
    /// or the bucket in a table so large that it is not in the cache. Gives what [`ValueRef::prefetch_found`] wants.
    #[must_use]
    pub fn prefetch_member(&self, member: &[u8]) -> Option<u64> {
        match self {
            ValueRef::Set(set) => set.prefetch(member),
            ValueRef::Hash(hash) => hash.prefetch(member),
            _ => None,
        }
    }

    /// Asks for the member itself, some time after its bucket.
    pub fn prefetch_found(&self, hash: u64) {
        match self {
            ValueRef::Set(set) => set.prefetch_found(hash),
            ValueRef::Hash(hash_value) => hash_value.prefetch_found(hash),
            _ => {}
        }
    }

    /// How a collection is stored. How a string is stored depends on its entry; see [`super::entry::Entry::encoding`].
    pub(super) fn collection_encoding(&self) -> Option<Encoding> {
        match self {
            ValueRef::Int(_) | ValueRef::Bytes(_) => None,
            ValueRef::List(list) => Some(list.encoding()),
            ValueRef::Set(set) => Some(set.encoding()),
            ValueRef::Hash(hash) => Some(hash.encoding()),
            ValueRef::ZSet(zset) => Some(zset.encoding()),
            ValueRef::Stream(_) => Some(Encoding::Stream),
        }
    }

    /// Bytes of a collection beside its entry; 0 for a string.
    pub(super) fn collection_bytes(&self) -> usize {
        match self {
            ValueRef::Int(_) | ValueRef::Bytes(_) => 0,
            ValueRef::List(list) => list.mem_bytes(),
            ValueRef::Set(set) => set.mem_bytes(),
            ValueRef::Hash(hash) => hash.mem_bytes(),
            ValueRef::ZSet(zset) => zset.mem_bytes(),
            ValueRef::Stream(stream) => stream.mem_bytes(),
        }
    }
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Hash => "hash",
            Kind::ZSet => "zset",
            Kind::Stream => "stream",
        }
    }

    /// The kind of this name, in any case.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Kind> {
        [Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::ZSet, Kind::Stream]
            .into_iter()
            .find(|kind| kind.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

impl Encoding {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::Embstr => "embstr",
            Encoding::Raw => "raw",
            Encoding::Listpack => "listpack",
            Encoding::Quicklist => "quicklist",
            Encoding::Intset => "intset",
            Encoding::Hashtable => "hashtable",
            Encoding::Skiplist => "skiplist",
            Encoding::Stream => "stream",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_become_ints() {
        for (text, int) in [
            ("0", Some(0)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("007", None),
            ("+1", None),
            ("", None),
            ("1.0", None),
            ("000000000000000000000000000001", None),
        ] {
            match (Value::from_bytes(text.as_bytes()), int) {
                (Value::Int(n), Some(m)) => assert_eq!(n, m),
                (Value::Bytes(bytes), None) => assert_eq!(bytes, text.as_bytes()),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn kinds_are_found_by_name() {
        for kind in [Kind::String, Kind::List, Kind::Set, Kind::Hash, Kind::ZSet, Kind::Stream] {
            assert_eq!(Kind::parse(kind.name().to_uppercase().as_bytes()), Some(kind));
        }
        assert_eq!(Kind::parse(b"strin"), None);
    }
}
