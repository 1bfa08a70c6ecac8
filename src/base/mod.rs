//! Leaf helpers without state; the locale alone is the process's.

pub mod big;
pub mod collate;
pub mod crc64;
pub mod extended;
pub mod glob;
pub mod id;
pub mod lzf;
pub mod num;
pub mod rng;
pub mod slot;
pub mod time;
pub mod words;

pub use extended::Extended;
pub use id::NodeId;
pub use rng::Rng;
pub use slot::{SLOTS, Slot, key_slot};
pub use time::Millis;
