//! Reads a dataset from files, in slices between which the sockets are served.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::shared::{Shared, now};
use super::slowness::Slowness;
use crate::base::Millis;
use crate::config::Config;
use crate::exec::loading::LoadedFacts;
pub use crate::exec::rdb_load::{LoadError, Reading, open};
use crate::persist::check;
use crate::persist::rdb::{Event, RdbError, RdbReader};

/// How long the sockets wait for their turn at most.
const SLICE: Duration = Duration::from_millis(5);

/// What the decoder hands over at once: so many keys, or so many bytes of the file.
const BATCH_EVENTS: usize = 256;
const BATCH_BYTES: u64 = 64 << 10;

/// It decodes so many batches ahead.
const BATCHES_AHEAD: usize = 16;

/// Opens an RDB file: a wrong kind or version is refused before anything is touched for its sake.
///
/// # Errors
/// What the system or the header says.
pub fn open_rdb(path: &Path, config: &Config) -> Result<RdbReader<BufReader<File>>, LoadError> {
    open(BufReader::with_capacity(256 << 10, File::open(path)?), config)
}

/// Reads all of an RDB into the keyspace; the server has been told that a load begins. With `merge` a key that is there
/// already is replaced; else it is an error. A thread reads and decodes ahead of what is put in place here.
///
/// # Errors
/// The file cannot be understood: what was loaded until then stands in the keyspace.
pub async fn load_rdb<R: Read + Send + 'static>(
    shared: &Shared,
    reader: RdbReader<BufReader<R>>,
    merge: bool,
) -> Result<(LoadedFacts, RdbReader<BufReader<R>>), LoadError> {
    let (out, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let decoder = spawn_blocking(move || decode(reader, &out));
    let mut state = Reading::new(merge);
    let (mut rested, mut slowness) = (Instant::now(), Slowness::default());
    while let Some(Decoded { events, offset }) = batches.recv().await {
        let mut events = events.into_iter();
        while let Some(pause) = take(shared, &mut state, &mut events, &mut slowness)? {
            tokio::time::sleep(pause).await;
        }
        if let Some(loading) = &mut shared.server().loading {
            loading.loaded_bytes = offset;
        }
        if rested.elapsed() >= SLICE {
            tokio::task::yield_now().await;
            rested = Instant::now();
        }
    }
    let reader = decoder.await.map_err(|error| LoadError::Io(error.into()))??;
    if let Some(loading) = shared.server().loading {
        let (loaded, expired) = (loading.keys_loaded, loading.keys_expired);
        shared.logger.notice(format_args!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}."));
    }
    Ok((state.facts(), reader))
}

/// Puts events in their place, all of them or up to a pause that is due.
fn take(
    shared: &Shared,
    state: &mut Reading,
    events: &mut impl Iterator<Item = Event>,
    slowness: &mut Slowness,
) -> Result<Option<Duration>, LoadError> {
    let mut server = shared.server();
    let delay_usec = server.config.key_load_delay_usec;
    let mut pause = slowness.take(Duration::MAX);
    while pause.is_none() {
        let Some(event) = events.next() else { break };
        let keys = u64::from(matches!(event, Event::Entry(_)));
        let taken = state.take(&mut server, event);
        if taken.is_err() {
            shared.log_now(&mut server);
        }
        taken?;
        if delay_usec != 0 {
            slowness.add(delay_usec, keys);
            pause = slowness.take(Duration::MAX);
        }
    }
    shared.log_now(&mut server);
    Ok(pause)
}

/// Some keys, and where in the file they end.
struct Decoded {
    events: Vec<Event>,
    offset: u64,
}

/// Reads to the end of the file, as long as somebody wants it.
fn decode<R: Read>(
    mut reader: RdbReader<BufReader<R>>,
    out: &mpsc::Sender<Decoded>,
) -> Result<RdbReader<BufReader<R>>, LoadError> {
    loop {
        let (mut events, from, mut over) = (Vec::with_capacity(BATCH_EVENTS), reader.offset(), false);
        while !over && events.len() < BATCH_EVENTS && reader.offset() - from < BATCH_BYTES {
            match reader.next() {
                Ok(event) => {
                    over = matches!(event, Event::End { .. });
                    events.push(event);
                }
                Err(error) => {
                    // What is sound in front of it is put in place, and tells why a file that names a key twice is damaged.
                    let _ = out.blocking_send(Decoded { events, offset: reader.offset() });
                    return Err(error.into());
                }
            }
        }
        let sent = out.blocking_send(Decoded { events, offset: reader.offset() });
        if over || sent.is_err() {
            return Ok(reader);
        }
    }
}

/// What the log says of a file that is there and cannot be read: why, and what `--check-rdb` finds in it, if the one
/// who asks has not been told everything by its header already.
pub async fn damage(error: &LoadError, path: &Path) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    let is_clear = match error {
        LoadError::Rdb(why) => matches!(why, RdbError::BadMagic(_) | RdbError::Version(_) | RdbError::Io(_)),
        LoadError::Database(_) | LoadError::Io(_) => true,
        LoadError::Duplicate { .. } => false,
    };
    if !is_clear {
        let path = path.to_owned();
        let report = spawn_blocking(move || check_rdb(&path)).await;
        lines.extend(report.map_err(io::Error::from).and_then(|report| report).unwrap_or_default());
    }
    lines
}

fn check_rdb(path: &Path) -> io::Result<Vec<String>> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    let mut out = Vec::new();
    check::rdb::check(BufReader::with_capacity(256 << 10, File::open(path)?), &name, now(), &mut out)?;
    Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect())
}

/// Seconds with thousandths, for the log.
#[must_use]
pub fn seconds_since(start: Millis) -> f64 {
    now().since(start) as f64 / 1000.0
}
