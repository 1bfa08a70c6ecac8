//! Keys on their way into a cluster from outside: from a server, from another cluster, from snapshot files.
//!
//! Each is read as a payload of DUMP and given to its owner by RESTORE, many in one write, to all owners at the same time,
//! by several workers that each have connections of their own ([`landing`]). What the operator gets to see is in [`tally`].

use std::rc::Rc;
use std::time::Duration;

use super::quarantine::Quarantine;

mod cast;
pub mod file;
pub mod landing;
pub mod live;
pub mod migrate;
pub mod tally;
pub mod wire;

/// What happens to a key that the cluster has already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Conflict {
    /// It is left alone and reported, and the command ends with an error
    #[default]
    Report,
    /// It is left alone
    Skip,
    /// It is overwritten
    Replace,
    /// The first one ends the command
    Fail,
}

/// One key on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cargo {
    pub key: Vec<u8>,
    /// As DUMP gives it.
    pub payload: Vec<u8>,
    /// Time to live, 0 for a key that does not expire.
    pub ttl_ms: u64,
}

/// How keys are carried.
#[derive(Clone, Debug)]
pub struct Settings {
    pub conflict: Conflict,
    /// Read every value back and compare it.
    pub verify: bool,
    /// Workers.
    pub jobs: usize,
    /// Keys in one write.
    pub batch: usize,
    /// How long a node may be silent.
    pub limit: Duration,
    /// Only keys of this pattern.
    pub pattern: Option<String>,
    /// What a run before has brought is not counted as being in the way: keys that are there already, as they would be
    /// sent.
    pub goes_on: bool,
    /// Where values are saved before they are overwritten.
    pub quarantine: Option<Rc<Quarantine>>,
}

/// A hash of the key, to remember many of them in little memory.
#[must_use]
pub fn hash_of(key: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
