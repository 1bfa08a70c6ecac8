//! The words of COMMAND for the flags of the declarations.

use crate::exec::{Acl, Flags, KeyFlags};

/// The word for one flag; none for flags that only the server itself looks at.
pub fn flag(flag: Flags) -> Option<&'static str> {
    Some(match flag {
        Flags::WRITE => "write",
        Flags::READONLY => "readonly",
        Flags::DENYOOM => "denyoom",
        Flags::ADMIN => "admin",
        Flags::PUBSUB => "pubsub",
        Flags::NOSCRIPT => "noscript",
        Flags::BLOCKING => "blocking",
        Flags::LOADING => "loading",
        Flags::STALE => "stale",
        Flags::SKIP_MONITOR => "skip_monitor",
        Flags::SKIP_SLOWLOG => "skip_slowlog",
        Flags::ASKING => "asking",
        Flags::FAST => "fast",
        Flags::NO_AUTH => "no_auth",
        Flags::NO_ASYNC_LOADING => "no_async_loading",
        Flags::NO_MULTI => "no_multi",
        Flags::ALLOW_BUSY => "allow_busy",
        Flags::MOVABLE_KEYS => "movablekeys",
        Flags::NO_MANDATORY_KEYS => "no_mandatory_keys",
        _ => return None,
    })
}

/// The name of one ACL category.
pub fn acl(category: Acl) -> &'static str {
    match category {
        Acl::KEYSPACE => "keyspace",
        Acl::READ => "read",
        Acl::WRITE => "write",
        Acl::SET => "set",
        Acl::SORTEDSET => "sortedset",
        Acl::LIST => "list",
        Acl::HASH => "hash",
        Acl::STRING => "string",
        Acl::BITMAP => "bitmap",
        Acl::HYPERLOGLOG => "hyperloglog",
        Acl::GEO => "geo",
        Acl::STREAM => "stream",
        Acl::PUBSUB => "pubsub",
        Acl::ADMIN => "admin",
        Acl::FAST => "fast",
        Acl::SLOW => "slow",
        Acl::BLOCKING => "blocking",
        Acl::DANGEROUS => "dangerous",
        Acl::CONNECTION => "connection",
        Acl::TRANSACTION => "transaction",
        Acl::SCRIPTING => "scripting",
        _ => "",
    }
}

/// The word for one flag of a key spec.
pub fn key_flag(flag: KeyFlags) -> &'static str {
    match flag {
        KeyFlags::RO => "RO",
        KeyFlags::RW => "RW",
        KeyFlags::OW => "OW",
        KeyFlags::RM => "RM",
        KeyFlags::ACCESS => "access",
        KeyFlags::UPDATE => "update",
        KeyFlags::INSERT => "insert",
        KeyFlags::DELETE => "delete",
        KeyFlags::NOT_KEY => "not_key",
        KeyFlags::INCOMPLETE => "incomplete",
        KeyFlags::VARIABLE_FLAGS => "variable_flags",
        _ => "",
    }
}
