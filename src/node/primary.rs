//! The link to this server's primary, and the snapshot that arrives on it.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, tcp};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::disk;
use super::load;
use super::shared::{Shared, now};
use super::startup::plain;
use crate::repl::{Input, LinkId, Output};

/// Room offered to one read.
const READ_BYTES: usize = 64 << 10;

/// The link, while there is one.
pub struct PrimaryLink {
    shared: Arc<Shared>,
    open: Option<(LinkId, mpsc::UnboundedSender<Bytes>, AbortHandle)>,
    incoming: Option<Incoming>,
}

/// The file that a snapshot is written to.
struct Incoming {
    path: PathBuf,
    file: File,
    error: Option<std::io::Error>,
}

impl PrimaryLink {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> PrimaryLink {
        PrimaryLink { shared, open: None, incoming: None }
    }

    /// Performs what the engine asks of its link.
    pub fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { link, to } => self.connect(link, to.host, to.port),
            Output::SendToPrimary { link, bytes } => {
                if let Some((open, outgoing, _)) = &self.open
                    && *open == link
                {
                    // A link that is ending reports that itself.
                    let _ = outgoing.send(bytes);
                }
            }
            Output::CloseLink(link) => {
                if let Some((_, _, task)) = self.open.take_if(|(open, ..)| *open == link) {
                    task.abort();
                }
            }
            Output::BeginLoad { .. } => self.begin(),
            Output::LoadChunk(bytes) => {
                if let Some(incoming) = &mut self.incoming
                    && incoming.error.is_none()
                {
                    incoming.error = incoming.file.write_all(&bytes).err();
                }
            }
            Output::EndLoad => self.end(),
            Output::AbortLoad => self.abort(),
            other => debug_assert!(false, "{other:?} is the state machine's own business"),
        }
    }

    fn connect(&mut self, link: LinkId, host: String, port: u16) {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let shared = Arc::clone(&self.shared);
        shared.server().primary_link = Some(link);
        let task = tokio::spawn(async move {
            if let Ok(stream) = TcpStream::connect((host.as_str(), port)).await {
                let _ = stream.set_nodelay(true);
                shared.with(|server| server.repl_input(Input::LinkUp(link)));
                let (reader, writer) = stream.into_split();
                tokio::select! {
                    () = read(&shared, link, reader) => {}
                    () = write(writer, queue) => {}
                }
            }
            shared.with(|server| server.repl_input(Input::LinkDown(link)));
        });
        self.open = Some((link, outgoing, task.abort_handle()));
    }

    fn begin(&mut self) {
        let path = {
            let server = self.shared.server();
            disk::data_path(&server.config, format!("temp-{}.{}.rdb", now().secs(), std::process::id()).as_bytes())
        };
        match File::create(&path) {
            Ok(file) => self.incoming = Some(Incoming { path, file, error: None }),
            Err(error) => {
                let text = plain(&error);
                self.shared.logger.warning(format_args!(
                    "Opening the temp file needed for MASTER <-> REPLICA synchronization: {text}"
                ));
                self.incoming = None;
            }
        }
    }

    fn end(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            self.shared.with(|server| server.repl_input(Input::LoadDone { ok: false }));
            return;
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(take_over(shared, incoming));
    }

    fn abort(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            let _ = fs::remove_file(incoming.path);
        }
    }
}

/// Replaces the dataset by the snapshot that has arrived.
async fn take_over(shared: Arc<Shared>, incoming: Incoming) {
    let Incoming { path, file, error } = incoming;
    let len = file.metadata().map_or(0, |m| m.len());
    drop(file);
    let config = shared.server().config.clone();
    let opened = match error {
        Some(error) => Err(load::LoadError::Io(error)),
        None => load::open_rdb(&path, &config),
    };
    let reader = match opened {
        Ok(reader) => reader,
        Err(error) => {
            // Nothing was touched: the old data stays until a better snapshot comes.
            shared.logger.warning(format_args!("Can't read the MASTER synchronization DB: {error}"));
            let _ = fs::remove_file(&path);
            shared.with(|server| server.repl_input(Input::LoadDone { ok: false }));
            return;
        }
    };
    shared.aof.dataset_replaced();
    shared.with(|server| server.begin_loading(now(), len, true));
    let loaded = load::load_rdb(&shared, reader, false).await;
    let (facts, result) = match loaded {
        Ok((facts, _)) => (facts, Ok(())),
        Err(error) => (Default::default(), Err(error.to_string())),
    };
    // Where nothing is meant to be on disk, what came from the primary shall not stay there either.
    let keep = !(config.rdb_del_sync_files && !config.appendonly && config.save.is_empty());
    if result.is_err() || !keep || fs::rename(&path, disk::rdb_path(&config)).is_err() {
        let _ = fs::remove_file(&path);
    }
    shared.with(|server| {
        server.end_loading(now(), &facts, result);
        if server.aof.is_on() {
            // The log described the old data: it begins anew with a base of the new.
            server.outbox.push(crate::exec::Effect::RewriteAof);
        }
    });
}

async fn read(shared: &Shared, link: LinkId, mut reader: tcp::OwnedReadHalf) {
    let mut buf = BytesMut::new();
    loop {
        buf.reserve(READ_BYTES);
        match reader.read_buf(&mut buf).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let bytes = buf.split().freeze();
        shared.with(|server| {
            server.now = now();
            server.repl_input(Input::FromPrimary { link, bytes });
        });
        // Bytes that cannot be executed yet are held by the engine, but not without end.
        while !shared.server().repl.accepts_bytes() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

async fn write(mut writer: tcp::OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
