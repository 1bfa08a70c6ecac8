//! Carries a snapshot's bytes from the state machine to a file, or lets them go to replicas.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::aof::Aof;
use super::disk::{self, RealDisk};
use super::shared::{Shared, now};
use super::slowness::Slowness;
use super::startup::plain;
use crate::exec::ClientId;
use crate::exec::client::ClientFlags;
use crate::exec::snapshot::{Purpose, Slice};
use crate::persist::snapshot_file::SnapshotFile;
use crate::repl::{Input, ReplicaId};

/// A file is written in chunks of about this size.
const CHUNK_BYTES: usize = 512 << 10;

/// How long to wait for receivers that are behind.
const BEHIND_PAUSE: Duration = Duration::from_millis(2);

/// A replica that has this much to read gets no more of a file.
const REPLICA_QUEUE_MAX_BYTES: usize = 1 << 20;

/// A snapshot whose keys take their time looks this often whether anybody still wants it.
const DELAY_MAX: Duration = Duration::from_millis(50);

/// How slow a snapshot is to be.
struct Delay {
    usec: i64,
    keys: u64,
    slowness: Slowness,
}

impl Delay {
    /// As slow as it is to be when it begins.
    fn new(shared: &Shared) -> Delay {
        Delay { usec: shared.server().config.rdb_key_save_delay_usec, keys: 0, slowness: Slowness::default() }
    }

    /// Waits for as long as the keys of the last slice take.
    async fn wait(&mut self, shared: &Shared) {
        if self.usec == 0 {
            return;
        }
        loop {
            let keys = shared.server().snapshot_keys();
            let Some(keys) = keys else { break };
            self.slowness.add(self.usec, keys.saturating_sub(self.keys));
            self.keys = keys;
            let Some(pause) = self.slowness.take(DELAY_MAX) else { break };
            tokio::time::sleep(pause).await;
        }
    }
}

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

/// Takes the snapshot that has just begun to its end. False when it is not where it belongs.
pub async fn carry(shared: Arc<Shared>, aof: Arc<Aof>) -> bool {
    let (target, in_steps) = {
        let server = shared.server();
        let config = &server.config;
        match server.job.as_ref().map(|job| &job.purpose) {
            None => return false,
            Some(Purpose::AofBase) => {
                (Target::AofBase { temp: disk::temp_base_path(config) }, config.aof_rewrite_incremental_fsync)
            }
            Some(Purpose::File(_)) => {
                let target = Target::File { temp: disk::temp_rdb_path(config), name: disk::rdb_path(config) };
                (target, config.rdb_save_incremental_fsync)
            }
            Some(purpose @ Purpose::Replicas(request)) if purpose.is_file() => {
                let name = sync_path(&shared_dir(config), request.snapshot.0);
                (Target::File { temp: disk::temp_rdb_path(config), name }, config.rdb_save_incremental_fsync)
            }
            Some(Purpose::Replicas(_)) => (Target::Replicas, false),
        }
    };
    let result = match target {
        Target::File { temp, name } => match to_file(&shared, temp, in_steps).await {
            Ok(Some(file)) => on_disk(move || file.place(&RealDisk, &name)).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        },
        Target::AofBase { temp } => match to_file(&shared, temp.clone(), in_steps).await {
            Ok(Some(file)) => finish_base(&aof, file, temp).await.map(Some),
            other => {
                aof.abandon_base();
                other.map(|_| None)
            }
        },
        Target::Replicas => to_replicas(&shared).await,
    };
    let result = match result {
        Ok(Some(len)) => Ok(len),
        Ok(None) => Err("cancelled".to_owned()),
        Err(error) => Err(plain(&error)),
    };
    let done = result.is_ok();
    shared.with(|server| server.snapshot_ended(now(), result));
    done
}

/// Does something that waits for the disk beside everything else.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await?
}

/// A file whose chunks are written beside everything else, one at a time.
struct Writing {
    idle: Option<SnapshotFile<File>>,
    busy: Option<JoinHandle<(SnapshotFile<File>, io::Result<()>)>>,
}

impl Writing {
    /// The file, when its last chunk is written.
    async fn file(&mut self) -> io::Result<SnapshotFile<File>> {
        if let Some(busy) = self.busy.take() {
            let (file, result) = busy.await?;
            self.idle = Some(file);
            result?;
        }
        self.idle.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    async fn write(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        let mut file = self.file().await?;
        self.busy = Some(spawn_blocking(move || {
            let result = file.write(&chunk);
            (file, result)
        }));
        Ok(())
    }
}

/// All bytes in the file (not durable yet), or `None` when nobody wants them any more. Nothing is left after an error.
async fn to_file(shared: &Shared, temp: PathBuf, in_steps: bool) -> io::Result<Option<SnapshotFile<File>>> {
    let path = temp.clone();
    let file = on_disk(move || SnapshotFile::create(&RealDisk, &path, in_steps)).await?;
    let mut writing = Writing { idle: Some(file), busy: None };
    let result = fill(shared, &mut writing).await;
    if !matches!(result, Ok(Some(_))) {
        // What is being written must not be written on behind the next snapshot's back.
        drop(writing.file().await);
        let _ = fs::remove_file(&temp);
    }
    result
}

/// The walk goes on while a chunk is written.
async fn fill(shared: &Shared, writing: &mut Writing) -> io::Result<Option<SnapshotFile<File>>> {
    let (mut chunk, mut delay) = (Vec::new(), Delay::new(shared));
    loop {
        let slice = shared.with(|server| server.snapshot_slice(now(), &mut chunk));
        delay.wait(shared).await;
        if chunk.len() >= CHUNK_BYTES || slice == Slice::Complete {
            writing.write(std::mem::take(&mut chunk)).await?;
        }
        match slice {
            Slice::More => tokio::task::yield_now().await,
            Slice::Behind => tokio::time::sleep(BEHIND_PAUSE).await,
            Slice::Cancelled => return Ok(None),
            Slice::Complete => return writing.file().await.map(Some),
        }
    }
}

/// Makes the base durable and gives it to the log.
async fn finish_base(aof: &Aof, mut file: SnapshotFile<File>, temp: PathBuf) -> io::Result<u64> {
    let synced = on_disk(move || {
        let result = file.sync();
        Ok((file, result))
    })
    .await?;
    let (file, result) = synced;
    let result = match result {
        Ok(()) => aof.finish_base(temp).await,
        Err(error) => {
            aof.abandon_base();
            Err(error)
        }
    };
    let len = file.written_bytes();
    if let Err(error) = result {
        file.discard(&RealDisk);
        return Err(error);
    }
    Ok(len)
}

async fn to_replicas(shared: &Shared) -> io::Result<Option<u64>> {
    let (mut chunk, mut delay) = (Vec::new(), Delay::new(shared));
    loop {
        let slice = shared.with(|server| server.snapshot_slice(now(), &mut chunk));
        delay.wait(shared).await;
        match slice {
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
