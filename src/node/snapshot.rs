//! Carries a snapshot's bytes from the state machine to a file, or lets them go to replicas.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::aof::Aof;
use super::disk;
use super::shared::{Shared, now};
use super::startup::plain;
use crate::exec::ClientId;
use crate::exec::client::ClientFlags;
use crate::exec::snapshot::{Purpose, Slice};
use crate::repl::{Input, ReplicaId};

/// How long to wait for receivers that are behind.
const BEHIND_PAUSE: Duration = Duration::from_millis(2);

/// A replica that has this much to read gets no more of a file.
const REPLICA_QUEUE_MAX_BYTES: usize = 1 << 20;

/// Where the bytes of the running snapshot go.
enum Target {
    /// Written here, then renamed to its name.
    File {
        temp: PathBuf,
        name: PathBuf,
    },
    AofBase {
        temp: PathBuf,
    },
    Replicas,
}

/// Takes the snapshot that has just begun to its end.
pub async fn carry(shared: Arc<Shared>, aof: Arc<Aof>) {
    let target = {
        let server = shared.server();
        match server.job.as_ref().map(|job| &job.purpose) {
            None => return,
            Some(Purpose::AofBase) => Target::AofBase { temp: disk::temp_rdb_path(&server.config) },
            Some(Purpose::File(_)) => {
                Target::File { temp: disk::temp_rdb_path(&server.config), name: disk::rdb_path(&server.config) }
            }
            Some(purpose @ Purpose::Replicas(request)) if purpose.is_file() => Target::File {
                temp: disk::temp_rdb_path(&server.config),
                name: sync_path(&shared_dir(&server.config), request.snapshot.0),
            },
            Some(Purpose::Replicas(_)) => Target::Replicas,
        }
    };
    let result = match target {
        Target::File { temp, name } => {
            let result = to_file(&shared, &temp).await;
            let result = match result {
                Ok(Some(len)) => finish_file(&temp, &name).map(|()| Some(len)),
                other => other,
            };
            if !matches!(result, Ok(Some(_))) {
                let _ = fs::remove_file(&temp);
            }
            result
        }
        Target::AofBase { temp } => match to_file(&shared, &temp).await {
            Ok(Some(len)) => aof.finish_base(&shared, &temp).map(|()| Some(len)),
            other => other,
        },
        Target::Replicas => to_replicas(&shared).await,
    };
    let result = match result {
        Ok(Some(len)) => Ok(len),
        Ok(None) => Err("cancelled".to_owned()),
        Err(error) => Err(plain(&error)),
    };
    shared.with(|server| server.snapshot_ended(now(), result));
}

/// The bytes in the file, or `None` when nobody wants them any more.
async fn to_file(shared: &Shared, temp: &Path) -> io::Result<Option<u64>> {
    let mut file = File::create(temp)?;
    let mut len = 0;
    loop {
        let mut chunk = Vec::new();
        let slice = shared.with(|server| server.snapshot_slice(now(), &mut chunk));
        if !chunk.is_empty() {
            len += chunk.len() as u64;
            file = spawn_blocking(move || file.write_all(&chunk).map(|()| file)).await??;
        }
        match slice {
            Slice::More => tokio::task::yield_now().await,
            Slice::Behind => tokio::time::sleep(BEHIND_PAUSE).await,
            Slice::Cancelled => return Ok(None),
            Slice::Complete => {
                spawn_blocking(move || file.sync_all()).await??;
                return Ok(Some(len));
            }
        }
    }
}

fn finish_file(temp: &Path, name: &Path) -> io::Result<()> {
    fs::rename(temp, name)?;
    disk::sync_dir(name)
}

async fn to_replicas(shared: &Shared) -> io::Result<Option<u64>> {
    let mut chunk = Vec::new();
    loop {
        match shared.with(|server| server.snapshot_slice(now(), &mut chunk)) {
            Slice::More => tokio::task::yield_now().await,
            Slice::Behind => tokio::time::sleep(BEHIND_PAUSE).await,
            Slice::Cancelled => return Ok(None),
            Slice::Complete => return Ok(Some(0)),
        }
    }
}

fn shared_dir(config: &crate::config::Config) -> PathBuf {
    disk::data_path(config, b"")
}

/// The file of a disk-based full synchronisation.
fn sync_path(dir: &Path, snapshot: u64) -> PathBuf {
    dir.join(format!("temp-sync-{}-{snapshot}.rdb", std::process::id()))
}

/// Queues the file of a disk-based full synchronisation on a replica's connection, as fast as it reads.
pub async fn send_file(shared: Arc<Shared>, snapshot: u64, replica: ReplicaId) {
    let path = sync_path(&shared_dir(&shared.server().config), snapshot);
    let id = ClientId(replica.0);
    match queue_file(&shared, &path, id).await {
        Ok(true) => shared.with(|server| server.repl_input(Input::FileSent(replica))),
        Ok(false) => {}
        Err(_) => shared.with(|server| server.close(id, ClientFlags::CLOSE_NOW)),
    }
    // Replicas that share the snapshot have it open themselves.
    let _ = fs::remove_file(&path);
}

/// False when the replica is gone.
async fn queue_file(shared: &Shared, path: &Path, id: ClientId) -> io::Result<bool> {
    use std::io::Read;
    let mut file = File::open(path)?;
    loop {
        let mut chunk = vec![0; 256 << 10];
        let n;
        (file, chunk, n) = spawn_blocking(move || file.read(&mut chunk).map(|n| (file, chunk, n))).await??;
        if n == 0 {
            return Ok(true);
        }
        let queued = shared.with(|server| {
            let client = server.clients.get_mut(id)?;
            client.reply.raw(&chunk[..n]);
            server.outbox.push(crate::exec::Effect::Wake(id));
            Some(())
        });
        if queued.is_none() {
            return Ok(false);
        }
        let behind = || {
            let server = shared.server();
            server.clients.get(id).is_some_and(|c| c.reply.buf.len() + c.unwritten_bytes() > REPLICA_QUEUE_MAX_BYTES)
        };
        while behind() {
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
    }
}
