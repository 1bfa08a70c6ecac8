//! The connections of slot migrations: carry what the state machine has for a target, and bring what the target says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, tcp};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::shared::{Shared, now};
use super::startup::plain;
use crate::exec::slot_migration::{ExportLink, Pull};

/// The longest a target may take to accept.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long to wait where there is more to send, but not now.
const LATER_PAUSE: Duration = Duration::from_millis(2);

/// Room offered to one read: a target says little.
const READ_BYTES: usize = 4 << 10;

/// The open connections.
pub struct Exports {
    shared: Arc<Shared>,
    links: HashMap<ExportLink, (AbortHandle, Arc<Notify>)>,
}

impl Exports {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Exports {
        Exports { shared, links: HashMap::new() }
    }

    pub fn open(&mut self, link: ExportLink, host: String, port: u16) {
        let bell = Arc::new(Notify::new());
        let (shared, rung) = (Arc::clone(&self.shared), Arc::clone(&bell));
        let task = tokio::spawn(async move {
            let connected = match timeout(CONNECT_MAX, TcpStream::connect((host.as_str(), port))).await {
                Ok(connected) => connected.map_err(|error| plain(&error)),
                Err(_) => Err("timed out".to_owned()),
            };
            let (stream, result) = match connected {
                Ok(stream) => (Some(stream), Ok(())),
                Err(error) => (None, Err(error)),
            };
            shared.with(|server| server.export_connected(link, now(), result));
            if let Some(stream) = stream {
                let _ = stream.set_nodelay(true);
                let (reader, writer) = stream.into_split();
                tokio::select! {
                    () = read(&shared, link, reader) => {}
                    () = write(&shared, link, writer, &rung) => {}
                }
                shared.with(|server| server.export_lost(link, now()));
            }
        });
        self.links.insert(link, (task.abort_handle(), bell));
    }

    pub fn wake(&self, link: ExportLink) {
        if let Some((_, bell)) = self.links.get(&link) {
            bell.notify_one();
        }
    }

    pub fn close(&mut self, link: ExportLink) {
        if let Some((task, _)) = self.links.remove(&link) {
            task.abort();
        }
    }
}

async fn read(shared: &Shared, link: ExportLink, mut reader: tcp::OwnedReadHalf) {
    let mut buf = BytesMut::new();
    loop {
        buf.reserve(READ_BYTES);
        match reader.read_buf(&mut buf).await {
            Ok(0) | Err(_) => return,
            Ok(_) => shared.with(|server| server.export_received(link, now(), &buf.split())),
        }
    }
}

async fn write(shared: &Shared, link: ExportLink, mut writer: tcp::OwnedWriteHalf, bell: &Notify) {
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let pull = shared.with(|server| server.export_pull(link, now(), &mut chunk));
        if !chunk.is_empty() && writer.write_all(&chunk).await.is_err() {
            return;
        }
        match pull {
            Pull::More => tokio::task::yield_now().await,
            Pull::Later => tokio::time::sleep(LATER_PAUSE).await,
            Pull::Wait => bell.notified().await,
            Pull::Over => return,
        }
    }
}
