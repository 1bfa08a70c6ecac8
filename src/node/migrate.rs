//! The outside half of MIGRATE: carries keys to another server and brings its answers back.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::shared::Shared;
use crate::exec::effect::{MigrateOutcome, MigrateRequest};
use crate::resp::client::{ReplyParser, ReplyValue};

/// A connection that was not used for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Connections kept, at most.
const KEPT_MAX: usize = 64;

/// What a kept connection is good for: the same target, the same user, the same database.
type Target = (String, u16, Vec<u8>);

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    /// The connection failed or was closed.
    Closed,
    /// Patience ran out.
    Silent,
}

/// Connections to targets, kept from one MIGRATE to the next.
#[derive(Default)]
pub struct Targets {
    idle: Mutex<HashMap<Target, (TcpStream, Instant)>>,
}

impl Targets {
    /// How many connections are kept; `otherwise` while somebody takes or gives one.
    #[must_use]
    pub fn idle_count(&self, otherwise: u64) -> u64 {
        self.idle.try_lock().map_or(otherwise, |idle| idle.len() as u64)
    }

    /// Performs one request and tells the server how it went.
    pub async fn perform(&self, shared: Arc<Shared>, request: MigrateRequest) {
        let outcome = self.migrate(&request).await;
        shared.with(|server| server.migrated(request.token, outcome));
    }

    async fn migrate(&self, request: &MigrateRequest) -> MigrateOutcome {
        let target = (request.host.clone(), request.port, request.preamble.clone());
        let patience = Duration::from_millis(request.timeout_ms);
        if let Some(stream) = self.take(&target).await {
            let (outcome, end) = self.exchange(&target, stream, request, false, patience).await;
            // The target may have closed a kept connection: then nothing was answered, and it is tried once on a new
            // one. After silence it may still store the keys, and must not be asked twice.
            if !matches!((&outcome, end), (MigrateOutcome::Failed { answered, .. }, End::Closed) if answered.is_empty())
            {
                return outcome;
            }
        }
        match timeout(patience, TcpStream::connect((request.host.as_str(), request.port))).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                self.exchange(&target, stream, request, true, patience).await.0
            }
            _ => MigrateOutcome::ConnectFailed,
        }
    }

    async fn take(&self, target: &Target) -> Option<TcpStream> {
        let mut idle = self.idle.lock().await;
        idle.retain(|_, (_, since)| since.elapsed() < IDLE_MAX);
        idle.remove(target).map(|(stream, _)| stream)
    }

    async fn keep(&self, target: &Target, stream: TcpStream) {
        let mut idle = self.idle.lock().await;
        if idle.len() < KEPT_MAX {
            idle.insert(target.clone(), (stream, Instant::now()));
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        mut stream: TcpStream,
        request: &MigrateRequest,
        fresh: bool,
        patience: Duration,
    ) -> (MigrateOutcome, End) {
        let mut answered = Vec::with_capacity(request.keys);
        let mut refused = None;
        let preamble_replies = if fresh { request.preamble_replies } else { 0 };
        let talk = async {
            if fresh {
                stream.write_all(&request.preamble).await?;
            }
            stream.write_all(&request.restores).await?;
            Ok::<_, io::Error>(())
        };
        match timeout(patience, talk).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return (MigrateOutcome::Failed { answered, reading: false }, End::Closed),
            Err(_) => return (MigrateOutcome::Failed { answered, reading: false }, End::Silent),
        }
        let mut replies = Replies::default();
        for n in 0..preamble_replies + request.keys {
            // The patience is for silence, not for the whole: many keys may take long.
            let reply = match timeout(patience, replies.next(&mut stream)).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(_)) => return (MigrateOutcome::Failed { answered, reading: true }, End::Closed),
                Err(_) => return (MigrateOutcome::Failed { answered, reading: true }, End::Silent),
            };
            match reply {
                ReplyValue::Error(text) if n < preamble_replies => {
                    refused.get_or_insert(String::from_utf8_lossy(&text).into_owned());
                }
                ReplyValue::Error(text) => answered.push(Err(String::from_utf8_lossy(&text).into_owned())),
                _ if n >= preamble_replies => answered.push(Ok(())),
                _ => {}
            }
        }
        if let Some(text) = refused {
            return (MigrateOutcome::Refused(text), End::Answered);
        }
        self.keep(target, stream).await;
        (MigrateOutcome::Answered(answered), End::Answered)
    }
}

/// Reads replies one by one.
#[derive(Default)]
struct Replies {
    parser: ReplyParser,
    buf: Vec<u8>,
}

impl Replies {
    async fn next(&mut self, stream: &mut TcpStream) -> io::Result<ReplyValue> {
        loop {
            match self.parser.next_reply() {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            }
            self.buf.clear();
            if stream.read_buf(&mut self.buf).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.parser.feed(&self.buf);
        }
    }
}
