//! DEBUG RELOAD and DEBUG LOADAOF: the dataset is read again from its files.
//!
//! From the moment at which the file is complete until all of it is read, other clients are told that the server is
//! loading, so that nothing changes in between.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use super::aof::Aof;
use super::load::{self, LoadError};
use super::shared::{Shared, now};
use super::startup::plain;
use super::{boot, disk};
use crate::config::Config;
use crate::exec::Server;
use crate::exec::effect::{ReloadRequest, ReloadSource};
use crate::keyspace::Tables;
use crate::persist::rdb::RdbReader;
use crate::resp::ErrorReply;

/// Begins to read the dataset; the answer follows when it has been read.
pub fn begin(shared: &Arc<Shared>, aof: &Arc<Aof>, request: ReloadRequest) {
    let (shared, aof) = (Arc::clone(shared), Arc::clone(aof));
    let opened = shared.with(|server| {
        // Another one may have begun since the command was run.
        if server.is_loading() {
            return Err("another load is under way".to_owned());
        }
        match request.source {
            ReloadSource::File { save, flush, .. } => {
                open_file(server, save, flush).map(|(file, old)| (Some(file), old))
            }
            ReloadSource::Log => Ok((None, server.begin_reload(now(), 0, true))),
        }
    });
    let merge = matches!(request.source, ReloadSource::File { merge: true, .. });
    match opened {
        Ok((reader, old)) => drop(tokio::spawn(async move {
            let mut result = match reader {
                Some(reader) => read_file(&shared, reader, merge).await,
                None => read_log(&shared, &aof).await,
            };
            // What is there is not given away for a part of what was to be read.
            let failed = match (&mut result, old) {
                (Err(lines), Some(old)) => {
                    lines.push("The dataset is as it was before the reload.".to_owned());
                    Some(old)
                }
                _ => None,
            };
            shared.with(|server| server.end_reload(now(), failed));
            finish(&shared, request, result);
        })),
        Err(error) => finish(&shared, request, Err(vec![error])),
    }
}

/// A file that is going to be read, and what was there before, if that has given way.
type Opened = (RdbReader<BufReader<File>>, Option<Vec<Tables>>);

/// Writes the file if it is to be written, opens it, and lets the load begin.
fn open_file(server: &mut Server, save: bool, flush: bool) -> Result<Opened, String> {
    let mut config = server.config.clone();
    config.rdbchecksum &= !server.switches.checksums_skipped;
    let path = disk::rdb_path(&config);
    server.now = now();
    if save {
        if server.job.is_some() {
            return Err("another snapshot is under way".to_owned());
        }
        write_file(server, &config, &path).map_err(|error| plain(&error))?;
    }
    let reader = load::open_rdb(&path, &config).map_err(|error| match error {
        LoadError::Io(error) => format!("Can't open {}: {}", path.display(), plain(&error)),
        error => format!("{error} ({})", path.display()),
    })?;
    let len = fs::metadata(&path).map_or(0, |meta| meta.len());
    Ok((reader, server.begin_reload(now(), len, flush)))
}

async fn read_file(shared: &Shared, reader: RdbReader<BufReader<File>>, merge: bool) -> Result<(), Vec<String>> {
    match load::load_rdb(shared, reader, merge).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let path = disk::rdb_path(&shared.server().config);
            Err(load::damage(&error, &path).await)
        }
    }
}

fn write_file(server: &mut Server, config: &Config, path: &Path) -> std::io::Result<()> {
    let temp = disk::temp_rdb_path(config);
    let written = File::create(&temp).and_then(|mut file| server.write_dataset(|chunk| file.write_all(chunk)));
    let placed = written.and_then(|()| fs::rename(&temp, path));
    if placed.is_err() {
        let _ = fs::remove_file(&temp);
    }
    placed
}

async fn read_log(shared: &Shared, aof: &Aof) -> Result<(), Vec<String>> {
    aof.settle(false).await.map_err(|error| vec![format!("Error writing to the AOF file: {}", plain(&error))])?;
    let mut config = shared.server().config.clone();
    // What a cut file lacks is here still, and with the replicas.
    config.aof_load_truncated = false;
    let files = aof.files();
    for (i, path) in files.iter().enumerate() {
        boot::load_log_file(shared, &config, path, i + 1 == files.len()).await?;
    }
    Ok(())
}

fn finish(shared: &Shared, request: ReloadRequest, result: Result<(), Vec<String>>) {
    let result = result.map_err(|lines| {
        for line in lines {
            shared.logger.warning(format_args!("{line}"));
        }
        match request.source {
            ReloadSource::File { .. } => ErrorReply::Static("ERR Error trying to load the RDB dump, check server logs"),
            ReloadSource::Log => ErrorReply::Static("ERR Error trying to load the AOF files, check server logs"),
        }
    });
    shared.with(|server| {
        if result.is_ok() {
            server.log(crate::exec::effect::LogLevel::Warning, "DB reloaded by DEBUG");
        }
        server.finish_ok(request.token, result);
    });
}
