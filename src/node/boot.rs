//! Bringing the dataset back at the start: the append-only log if it is on, else the RDB file.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::aof::{self, Aof};
use super::disk::{self, RealDisk};
use super::load;
use super::shared::{Shared, now};
use super::slowness::Slowness;
use super::startup::plain;
use crate::config::Config;
use crate::exec::loading::LoadedFacts;
use crate::persist::aof::startup::{Found, Start, Verdict, decide_start, judge_damage};
use crate::persist::aof::{
    AofError, AofReader, BaseFormat, Manifest, Place, Record, log, names, reader::has_rdb_preamble,
};
use crate::persist::rdb::{Aux, Event, RdbWriter, WriteOptions};

/// How long one slice of a log may take.
const SLICE_MS: i64 = 5;

/// Commands between two looks at the clock.
const COMMANDS_PER_LOOK: usize = 64;

/// Loads what is on disk. Sockets are served meanwhile (with LOADING).
///
/// # Errors
/// The lines to log before giving up: a dataset that cannot be understood is never overwritten.
pub async fn load(shared: &Arc<Shared>, aof: &Aof) -> Result<(), Vec<String>> {
    let config = shared.server().config.clone();
    let started = now();
    let (facts, what) = if config.appendonly {
        load_log(shared, aof, &config).await?;
        (LoadedFacts::default(), "append only file")
    } else {
        (load_file(shared, &config).await?, "disk")
    };
    shared.with(|server| {
        server.end_loading(now(), &facts, Ok(()));
        if !server.keyspace.is_empty() {
            let text = format!("DB loaded from {what}: {:.3} seconds", load::seconds_since(started));
            server.log(crate::exec::effect::LogLevel::Notice, text);
        }
        shared.log_now(server);
        server.booted(facts.saved);
    });
    Ok(())
}

async fn load_file(shared: &Shared, config: &Config) -> Result<LoadedFacts, Vec<String>> {
    let path = disk::rdb_path(config);
    let len = match fs::metadata(&path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(LoadedFacts::default()),
        Err(error) => return Err(vec![format!("Fatal error loading the DB: {}. Exiting.", plain(&error))]),
    };
    let loaded = match load::open_rdb(&path, config) {
        Ok(reader) => {
            shared.with(|server| server.begin_loading(now(), len, false));
            load::load_rdb(shared, reader, false).await
        }
        Err(error) => Err(error),
    };
    match loaded {
        Ok((facts, _)) => Ok(facts),
        Err(error) => {
            let mut lines = load::damage(&error, &path).await;
            lines.push(format!("Fatal error loading the DB, check server logs. Exiting. ({})", path.display()));
            Err(lines)
        }
    }
}

async fn load_log(shared: &Arc<Shared>, aof: &Aof, config: &Config) -> Result<(), Vec<String>> {
    let io = |what: &str, error: std::io::Error| vec![format!("{what}: {}", plain(&error))];
    let place = aof::place(config);
    let manifest = match fs::read(place.manifest()) {
        Ok(text) => Some(Manifest::parse(&text).map_err(|error| vec![error.to_string()])?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io("Fatal error: can't open the AOF manifest file", error)),
    };
    let single = disk::data_path(config, &config.appendfilename);
    let base_present =
        manifest.as_ref().and_then(|m| m.base.as_ref()).is_some_and(|base| place.path(&base.name).exists());
    let data_present = has_data(&place, config).map_err(|e| io("Can't read the directory of the AOF", e))?;
    let found = Found { manifest, single_file: single.is_file(), base_present, data_present };
    let manifest = match decide_start(found, &place.name) {
        Start::Load(manifest) => manifest,
        Start::Upgrade(manifest) => {
            log::upgrade(&RealDisk, &place, &single, &manifest)
                .map_err(|e| io("Can't move the AOF into its directory", e))?;
            shared.logger.notice(format_args!("Successfully migrated an old-style AOF"));
            manifest
        }
        Start::Refuse => {
            return Err(vec![format!(
                "Fatal error: {} holds a base or increments of an append-only file, but no manifest that names them. Bring \
                 back {}, or move the files away to begin with an empty dataset.",
                place.dir.display(),
                place.manifest().display()
            )]);
        }
        Start::Create => {
            let manifest = create_base(shared, config, &place).map_err(|e| io("Can't create the AOF base file", e))?;
            return aof.open(shared, config, manifest).map_err(|e| io("Can't open the append-only file", e));
        }
    };
    let total: u64 = manifest.to_load().map(|file| fs::metadata(place.path(&file.name)).map_or(0, |m| m.len())).sum();
    shared.with(|server| server.begin_loading(now(), total, false));
    let files: Vec<_> = manifest.to_load().cloned().collect();
    for (i, file) in files.iter().enumerate() {
        let (path, begun) = (place.path(&file.name), now());
        load_log_file(shared, config, &path, i + 1 == files.len()).await?;
        let kind = if manifest.base.as_ref() == Some(file) { "base" } else { "incr" };
        shared.logger.notice(format_args!(
            "DB loaded from {kind} file {}: {:.3} seconds",
            String::from_utf8_lossy(&file.name),
            load::seconds_since(begun)
        ));
    }
    aof.open(shared, config, manifest).map_err(|e| io("Can't open the append-only file", e))
}

/// Whether the directory of the log holds files of it with something in them. A base of nothing is what a first start that
/// was cut off leaves.
fn has_data(place: &Place, config: &Config) -> std::io::Result<bool> {
    let entries = match fs::read_dir(&place.dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let counts = match names::base_format(&place.name, name) {
            Some(BaseFormat::Rdb) => !is_empty_snapshot(&entry.path(), config),
            Some(BaseFormat::Commands) => true,
            None => names::is_increment(&place.name, name),
        };
        if counts && entry.metadata()?.len() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a snapshot is whole and has no keys.
fn is_empty_snapshot(path: &Path, config: &Config) -> bool {
    let Ok(mut reader) = load::open_rdb(path, config) else { return false };
    loop {
        match reader.next() {
            Ok(Event::End { .. }) => return true,
            Ok(Event::Aux { .. }) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

/// A base of the dataset as it is before anything was ever written: empty.
fn create_base(shared: &Shared, config: &Config, place: &Place) -> std::io::Result<Manifest> {
    let format = if config.aof_use_rdb_preamble { BaseFormat::Rdb } else { BaseFormat::Commands };
    let mut bytes = Vec::new();
    if format == BaseFormat::Rdb {
        let aux = Aux {
            server_version: crate::exec::state::COMPAT_VERSION,
            ctime_secs: now().secs(),
            used_memory_bytes: 0,
            replication: None,
            aof_base: true,
        };
        let options =
            WriteOptions { checksum: config.rdbchecksum, compress: config.rdbcompression, ..WriteOptions::default() };
        RdbWriter::begin(&mut bytes, options, &aux).finish(&mut bytes);
    }
    let manifest = log::create_base(&RealDisk, place, format, &bytes)?;
    if let Some(base) = &manifest.base {
        let name = String::from_utf8_lossy(&base.name);
        shared.logger.notice(format_args!("Creating AOF base file {name} on server start"));
    }
    Ok(manifest)
}

pub(super) async fn load_log_file(
    shared: &Shared,
    config: &Config,
    path: &Path,
    is_last: bool,
) -> Result<(), Vec<String>> {
    let shown = path.file_name().unwrap_or_default().display().to_string();
    let fatal = |error: &dyn std::fmt::Display| vec![format!("Fatal error: can't read the AOF file {shown}: {error}")];
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => vec![format!("The AOF file {shown} doesn't exist")],
        _ => vec![format!("Fatal error: can't open the append log file {shown} for reading: {}", plain(&error))],
    })?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut offset = 0;
    let head = reader.fill_buf().map_err(|error| fatal(&plain(&error)))?;
    if has_rdb_preamble(head) {
        shared.logger.notice(format_args!("Reading RDB base file on AOF loading..."));
        let loaded = match load::open(reader, config) {
            Ok(rdb) => load::load_rdb(shared, rdb, false).await,
            Err(error) => Err(error),
        };
        let rdb = match loaded {
            Ok((_, rdb)) => rdb,
            Err(error) => {
                let mut lines = load::damage(&error, path).await;
                lines.push(format!("Error reading the RDB preamble of the AOF file {shown}, AOF loading aborted"));
                return Err(lines);
            }
        };
        offset = rdb.offset();
        reader = rdb.into_inner().map_err(|error| fatal(&error))?;
    }
    match replay(shared, AofReader::new(reader, offset)).await {
        Ok(()) => Ok(()),
        Err(Replay::Refused(text)) => Err(vec![format!("{text} reading the append only file {shown}")]),
        Err(Replay::Damaged(error)) => match judge_damage(&error, &shown, is_last, config.aof_load_truncated) {
            Verdict::Refuse { log } => Err(log),
            Verdict::Truncate { len, log } => {
                for line in log {
                    shared.logger.warning(format_args!("{line}"));
                }
                let cut = File::options().write(true).open(path).and_then(|file| {
                    file.set_len(len)?;
                    file.sync_all()
                });
                cut.map_err(|error| vec![format!("Error truncating the AOF file {shown}: {}", plain(&error))])
            }
        },
    }
}

/// Why the commands of a file could not all be run.
enum Replay {
    Damaged(AofError),
    /// A command that this server does not have, or that is not one.
    Refused(String),
}

async fn replay(shared: &Shared, mut reader: AofReader<BufReader<File>>) -> Result<(), Replay> {
    shared.server().begin_replay(now());
    let mut slowness = Slowness::default();
    let result = loop {
        let step = {
            let mut server = shared.server();
            let deadline = now() + SLICE_MS;
            replay_slice(&mut server, &mut reader, deadline, &mut slowness)
        };
        match step {
            Ok(true) => match slowness.take(Duration::MAX) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => tokio::task::yield_now().await,
            },
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    shared.server().end_replay();
    result
}

/// False at the end of the file.
fn replay_slice(
    server: &mut crate::exec::Server,
    reader: &mut AofReader<BufReader<File>>,
    deadline: crate::base::Millis,
    slowness: &mut Slowness,
) -> Result<bool, Replay> {
    let delay_usec = server.config.key_load_delay_usec;
    let per_look = if delay_usec == 0 { COMMANDS_PER_LOOK } else { 1 };
    while now() < deadline && !slowness.is_due() {
        for _ in 0..per_look {
            slowness.add(delay_usec, 1);
            match reader.next().map_err(Replay::Damaged)? {
                None => return Ok(false),
                Some(Record::Annotation(_)) => {}
                Some(Record::Command(args)) => server.replay(args).map_err(Replay::Refused)?,
            }
        }
    }
    Ok(true)
}
