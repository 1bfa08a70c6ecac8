//! The containers, one per file, and the values built from them.
//!
//! Unsafe code is allowed in this room only (and in `base` and `node/os.rs`): every block says why it is sound.

pub mod alloc;
pub mod blob;
pub mod copy;
pub mod dict;
pub mod entry;
pub mod geohash;
pub mod hash;
pub mod hll;
pub mod intset;
pub mod item;
pub mod list;
pub mod listpack;
pub mod packed;
pub mod pair;
pub mod quicklist;
pub mod set;
pub mod skiplist;
pub mod stream;
pub mod table;
pub mod value;
pub mod zset;

pub use intset::Intset;
pub use item::Item;
pub use listpack::Listpack;

/// Foreign bytes that break the rules of the format they claim to be in, and which rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Corrupt(pub &'static str);

/// What governs the encodings of collections: the thresholds between compact and full encodings, as the directives of the same names set them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value: usize,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value: usize,
    /// Positive: elements per node; -1 to -5: 4, 8, 16, 32 or 64 KiB per node.
    pub list_max_listpack_size: i64,
    pub list_compress_depth: usize,
    /// An element of so many bytes gets a node of its own, even where it would fit in with others.
    pub list_plain_min_bytes: usize,
    /// Seed of the hash tables of large collections, drawn once at start, so that nobody can aim at collisions.
    pub hash_seed: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            list_plain_min_bytes: usize::MAX,
            hash_seed: 0,
        }
    }
}

/// Visits pieces of a table from `cursor` on until `count` items were seen, or ten times as many pieces, and returns
/// the cursor to go on with: 0 when the walk is over.
fn scan_some<'a, T: dict::Keyed>(
    table: &'a dict::Dict<T>,
    cursor: u64,
    count: usize,
    mut visit: impl FnMut(&'a T),
) -> u64 {
    let mut cursor = cursor;
    let mut seen = 0;
    let mut steps = count.saturating_mul(10).max(1);
    loop {
        cursor = table.scan(cursor, &mut |item| {
            seen += 1;
            visit(item);
        });
        steps -= 1;
        if cursor == 0 || seen >= count || steps == 0 {
            return cursor;
        }
    }
}

/// Makes room for about `count` more items. The count may be what a file or client claims, so that only so much is
/// made ready as costs little if it is a lie.
fn reserve_some<T: dict::Keyed>(table: &mut dict::Dict<T>, count: usize) {
    table.reserve(table.len() + count.min(1 << 16));
}
