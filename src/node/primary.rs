//! The link to this server's primary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::incoming::{Ahead, Incoming};
use super::outgoing::Way;
use super::shared::{Shared, now};
use crate::repl::{Input, LinkId, Output};

/// Room offered to one read.
const READ_BYTES: usize = 64 << 10;

/// How long nothing is read when what has been read cannot be taken.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// The link, while there is one.
pub struct PrimaryLink {
    shared: Arc<Shared>,
    /// One, or two while a snapshot comes over the second.
    open: BTreeMap<LinkId, (mpsc::UnboundedSender<Bytes>, AbortHandle)>,
    incoming: Incoming,
}

impl PrimaryLink {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> PrimaryLink {
        PrimaryLink { incoming: Incoming::new(Arc::clone(&shared)), shared, open: BTreeMap::new() }
    }

    /// Performs what the engine asks of its link.
    pub fn perform(&mut self, output: Output) {
        match output {
            Output::Connect { link, to } => self.connect(link, to.host, to.port),
            Output::SendToPrimary { link, bytes } => {
                if let Some((outgoing, _)) = self.open.get(&link) {
                    // A link that is ending reports that itself.
                    let _ = outgoing.send(bytes);
                }
            }
            Output::CloseLink(link) => {
                if let Some((_, task)) = self.open.remove(&link) {
                    task.abort();
                }
            }
            Output::BeginLoad { history, framing } => self.incoming.begin(history, framing),
            Output::LoadChunk(bytes) => self.incoming.chunk(bytes),
            Output::EndLoad => self.incoming.end(),
            Output::AbortLoad => self.incoming.abort(),
            other => debug_assert!(false, "{other:?} is the state machine's own business"),
        }
    }

    fn connect(&mut self, link: LinkId, host: String, port: u16) {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (shared, ahead) = (Arc::clone(&self.shared), self.incoming.ahead.clone());
        let way = Way::of(&shared.server().config);
        let task = tokio::spawn(async move {
            if let Ok(stream) = way.connect(&host, port).await {
                let _ = stream.set_nodelay(true);
                shared.with(|server| server.repl_input(Input::LinkUp(link)));
                let (reader, writer) = stream.into_split();
                tokio::select! {
                    () = read(&shared, link, reader, &ahead) => {}
                    () = write(writer, queue) => {}
                }
            }
            shared.with(|server| server.repl_input(Input::LinkDown(link)));
        });
        self.open.retain(|_, (_, task)| !task.is_finished());
        self.open.insert(link, (outgoing, task.abort_handle()));
    }
}

async fn read(shared: &Shared, link: LinkId, mut reader: tcp::OwnedReadHalf, ahead: &Ahead) {
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
        // Bytes that cannot be taken yet are held, but not without end.
        while ahead.is_too_far() || !shared.server().accepts_bytes(link) {
            tokio::time::sleep(FULL_PAUSE).await;
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
