//! WAIT and WAITAOF: clients that wait until replicas, or disks, have what they wrote.

use std::collections::BTreeSet;

use super::client::{Client, ClientId, Parked};
use super::server::Server;
use crate::base::Millis;
use crate::repl::Input;
use crate::resp::{ErrorReply, Reply};

/// Why an append-only file cannot be waited for.
pub const NO_LOG: ErrorReply =
    ErrorReply::Static("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

/// What has to be told of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// So many replicas have applied it (WAIT).
    Applied { replicas: usize },
    /// So many replicas have it on disk, and this server as well if `here` (WAITAOF).
    OnDisk { here: bool, replicas: usize },
}

/// A wait for a write whose end is at `offset` of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckWait {
    pub offset: u64,
    pub wanted: Wanted,
    pub until: Option<Millis>,
}

/// The clients that wait so.
#[derive(Debug, Default)]
pub struct AckWaits(BTreeSet<ClientId>);

impl AckWaits {
    pub(super) fn remove(&mut self, id: ClientId) {
        self.0.remove(&id);
    }
}

/// Who has a write.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    here: bool,
    replicas: usize,
}

impl Acked {
    fn fulfils(self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Applied { replicas } => self.replicas >= replicas,
            Wanted::OnDisk { here, replicas } => self.here >= here && self.replicas >= replicas,
        }
    }

    fn write(self, wanted: Wanted, reply: &mut Reply) {
        if let Wanted::OnDisk { .. } = wanted {
            reply.array(2);
            reply.int(i64::from(self.here));
        }
        reply.uint(self.replicas);
    }
}

impl Server {
    fn acked(&self, offset: u64, wanted: Wanted) -> Acked {
        let replicas = match wanted {
            Wanted::Applied { .. } => self.repl.acked_by(offset),
            Wanted::OnDisk { .. } => self.repl.fsynced_by(offset),
        };
        Acked { here: self.repl.fsynced().is_some_and(|fsynced| fsynced >= offset), replicas }
    }

    /// Answers who has the last write of `client`, as soon as they are those that are wanted: at once if the client may
    /// not wait.
    pub fn wait_for_acks(&mut self, client: &mut Client, wanted: Wanted, until: Option<Millis>, may_block: bool) {
        let offset = client.write_offset;
        let acked = self.acked(offset, wanted);
        if acked.fulfils(wanted) || !may_block {
            acked.write(wanted, &mut client.reply);
            return;
        }
        client.parked = Some(Parked::Acks(AckWait { offset, wanted, until }));
        self.ack_waits.0.insert(client.id);
        if let Some(until) = until {
            self.set_alarm(client.id, until);
        }
        if !matches!(wanted, Wanted::OnDisk { replicas: 0, .. }) {
            self.repl.request_acks(self.mono());
            self.drain_repl();
            self.wake_replicas();
        }
    }

    /// Ends the waits that are fulfilled.
    pub(super) fn finish_ack_waits(&mut self) {
        let waiting: Vec<ClientId> = self.ack_waits.0.iter().copied().collect();
        for id in waiting {
            let Some(Parked::Acks(wait)) = self.clients.get(id).and_then(|client| client.parked) else { continue };
            if self.acked(wait.offset, wait.wanted).fulfils(wait.wanted) {
                self.end_ack_wait(id, wait);
            }
        }
    }

    /// Ends a wait with what there is.
    pub(super) fn end_ack_wait(&mut self, id: ClientId, wait: AckWait) {
        let acked = self.acked(wait.offset, wait.wanted);
        self.finish_wait(id, None, |client| acked.write(wait.wanted, &mut client.reply));
    }

    /// The append-only file is on disk up to this offset of the stream.
    pub fn log_is_durable(&mut self, offset: u64) {
        if self.repl.fsynced() != Some(offset) {
            self.repl_input(Input::Fsynced(Some(offset)));
            self.finish_ack_waits();
            self.look_at_copies();
        }
    }

    /// What is on disk is not known any more.
    pub fn log_tells_nothing(&mut self) {
        self.repl_input(Input::Fsynced(None));
    }

    /// There is no append-only file any more.
    pub fn log_is_off(&mut self) {
        self.log_tells_nothing();
        let waiting: Vec<ClientId> = self.ack_waits.0.iter().copied().collect();
        for id in waiting {
            let parked = self.clients.get(id).and_then(|client| client.parked);
            if matches!(parked, Some(Parked::Acks(AckWait { wanted: Wanted::OnDisk { here: true, .. }, .. }))) {
                self.fail_wait(id, &NO_LOG);
            }
        }
    }
}
