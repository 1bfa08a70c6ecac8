//! Reads a dataset from files, in slices between which the sockets are served.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::shared::{Shared, now};
use crate::base::Millis;
use crate::config::Config;
use crate::exec::loading::LoadedFacts;
use crate::exec::rdb_load::RdbLoad;
pub use crate::exec::rdb_load::{LoadError, Reading, open};
use crate::persist::rdb::RdbReader;

/// How long one slice may take.
const SLICE_MS: i64 = 5;

/// Opens an RDB file: a wrong kind or version is refused before anything is touched for its sake.
///
/// # Errors
/// What the system or the header says.
pub fn open_rdb(path: &Path, config: &Config) -> Result<RdbReader<BufReader<File>>, LoadError> {
    open(BufReader::with_capacity(256 << 10, File::open(path)?), config)
}

/// Reads all of an RDB into the keyspace; the server has been told that a load begins. With `merge` a key that is there
/// already is replaced; else it is an error.
///
/// # Errors
/// The file cannot be understood: what was loaded until then stands in the keyspace.
pub async fn load_rdb<R: Read>(
    shared: &Shared,
    reader: RdbReader<BufReader<R>>,
    merge: bool,
) -> Result<(LoadedFacts, RdbReader<BufReader<R>>), LoadError> {
    let mut load = RdbLoad::new(reader, merge);
    loop {
        let deadline = now() + SLICE_MS;
        if load.step(&mut shared.server(), || now() < deadline)? {
            return Ok(load.into_parts());
        }
        tokio::task::yield_now().await;
    }
}

/// Seconds with thousandths, for the log.
#[must_use]
pub fn seconds_since(start: Millis) -> f64 {
    now().since(start) as f64 / 1000.0
}
