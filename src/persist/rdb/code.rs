//! The numbers of the format: value types, opcodes, versions.

/// The version that is written: the newest that Redis 7.0 reads.
pub const WRITTEN_VERSION: u16 = 10;
/// What Redis 7.2 and the Valkeys before 9 write.
const REDIS_72_VERSION: u16 = 11;
/// The newest version that is understood (Valkey 9).
pub const NEWEST_VERSION: u16 = 80;
/// Versions from here to 79 belong to other vendors: their type numbers above 21 mean something else.
const FIRST_FOREIGN_VERSION: u16 = 12;

/// Whom something is written for, the oldest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Reader {
    /// Redis 7.0 and all that came after it; they cannot be told when fields of hashes expire, nor when a consumer
    /// was active last.
    #[default]
    Redis7,
    /// Redis 7.2, and Valkey before 9; they cannot be told when fields of hashes expire.
    Redis72,
    /// Valkey 9, and servers like this one.
    Valkey9,
}

impl Reader {
    /// The version of what is written.
    #[must_use]
    pub fn version(self) -> u16 {
        match self {
            Reader::Redis7 => WRITTEN_VERSION,
            Reader::Redis72 => REDIS_72_VERSION,
            Reader::Valkey9 => NEWEST_VERSION,
        }
    }

    /// The first bytes of a file.
    #[must_use]
    pub fn magic(self) -> String {
        match self {
            Reader::Redis7 | Reader::Redis72 => format!("REDIS{:04}", self.version()),
            Reader::Valkey9 => format!("VALKEY{:03}", self.version()),
        }
    }
}

/// The type byte in front of a serialized value.
pub mod value_type {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET_TEXT: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET: u8 = 5;
    pub const MODULE_OLD: u8 = 6;
    pub const MODULE: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_1: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_3: u8 = 21;
    pub const HASH_EXPIRY: u8 = 22;
    /// Hashes whose fields expire in files of Redis 7.4 and later (version 12): see [`redis_hash`](super::super::redis_hash).
    pub const REDIS_HASH: u8 = 24;
    pub const REDIS_HASH_PACK: u8 = 25;
}

/// The byte in front of everything else in a file.
pub mod opcode {
    pub const SLOT_IMPORT: u8 = 243;
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const FUNCTION_OLD: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQUENCY: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_MS: u8 = 252;
    pub const EXPIRE_SECS: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// What a quicklist node holds.
pub mod container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// The directive `rdb-version-check`: whether versions that nobody here has seen are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VersionCheck {
    #[default]
    Strict,
    Relaxed,
    /// Not for servers: also the types that Redis has added since 7.4, for those who carry values from one server to another.
    Any,
}

impl VersionCheck {
    /// Whether data of this version may be read at all.
    #[must_use]
    pub fn accepts(self, version: u16) -> bool {
        version >= 1 && (self != VersionCheck::Strict || (version <= NEWEST_VERSION && !is_foreign(version)))
    }

    /// Whether this is a type of Redis's own that may be read from data of this version.
    #[must_use]
    pub fn takes_redis_type(self, version: u16, code: u8) -> bool {
        let is_own = matches!(code, value_type::REDIS_HASH | value_type::REDIS_HASH_PACK);
        self == VersionCheck::Any && is_foreign(version) && is_own
    }
}

/// Whether the version belongs to another vendor.
#[must_use]
pub fn is_foreign(version: u16) -> bool {
    (FIRST_FOREIGN_VERSION..NEWEST_VERSION).contains(&version)
}

/// What people call a value type, for messages.
#[must_use]
pub fn type_name(code: u8) -> &'static str {
    use value_type as t;
    match code {
        t::STRING => "string",
        t::LIST | t::LIST_ZIPLIST | t::LIST_QUICKLIST | t::LIST_QUICKLIST_2 => "list",
        t::SET | t::SET_INTSET | t::SET_LISTPACK => "set",
        t::ZSET_TEXT | t::ZSET | t::ZSET_ZIPLIST | t::ZSET_LISTPACK => "sorted set",
        t::HASH | t::HASH_ZIPMAP | t::HASH_ZIPLIST | t::HASH_LISTPACK => "hash",
        t::HASH_EXPIRY | t::REDIS_HASH | t::REDIS_HASH_PACK => "hash with field expiry",
        t::STREAM_1 | t::STREAM_2 | t::STREAM_3 => "stream",
        t::MODULE | t::MODULE_OLD => "module value",
        _ => "unknown type",
    }
}

/// The nine characters in the upper 54 bits of a module type's id.
#[must_use]
pub fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| char::from(CHARACTERS[(id >> (58 - 6 * i)) as usize & 63])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, strict, relaxed) in [
            (0, false, false),
            (1, true, true),
            (11, true, true),
            (12, false, true),
            (79, false, true),
            (80, true, true),
            (81, false, true),
        ] {
            assert_eq!(VersionCheck::Strict.accepts(version), strict, "{version}");
            assert_eq!(VersionCheck::Relaxed.accepts(version), relaxed, "{version}");
            assert_eq!(VersionCheck::Any.accepts(version), relaxed, "{version}");
        }
        use VersionCheck::{Any, Relaxed};
        for (check, version, code, takes) in [
            (Any, 12, 24, true),
            (Any, 12, 25, true),
            (Any, 12, 23, false),
            (Any, 80, 24, false),
            (Relaxed, 12, 24, false),
        ] {
            assert_eq!(check.takes_redis_type(version, code), takes, "{check:?} {version} {code}");
        }
    }
}
