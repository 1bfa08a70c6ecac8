//! A client as the state machine sees it: who it is, what it may, what it waits for, and its output.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bitflags::bitflags;

use super::acks::AckWait;
use super::effect::Token;
use super::multi::Transaction;
use super::table::CommandIndex;
use super::tracking::Tracking;
use crate::base::{Millis, Slot};
use crate::repl::ReplicaId;
use crate::resp::Reply;

/// A client's number: never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ClientFlags: u32 {
        /// The next command may be served from a slot that is being imported.
        const ASKING = 1;
        /// READONLY was sent: a replica may serve reads.
        const READONLY = 1 << 1;
        const CLOSE_AFTER_REPLY = 1 << 2;
        /// Killed: nothing more is read or written.
        const CLOSE_NOW = 1 << 3;
        /// A replica of this server.
        const REPLICA = 1 << 4;
        /// The stream of this server's primary.
        const PRIMARY = 1 << 5;
        const NO_EVICT = 1 << 6;
        const NO_TOUCH = 1 << 7;
        /// The AOF being loaded.
        const LOADER = 1 << 8;
        /// Came over the Unix socket.
        const UNIX_SOCKET = 1 << 9;
        /// Has subscriptions.
        const PUBSUB = 1 << 10;
        /// Watches all commands.
        const MONITOR = 1 << 11;
        /// Understands -REDIRECT (CLIENT CAPA redirect).
        const CAPA_REDIRECT = 1 << 12;
        /// Brings data from elsewhere (CLIENT IMPORT-SOURCE): sees keys whose time is over.
        const IMPORT_SOURCE = 1 << 13;
        /// The source of a slot migration, sending keys.
        const SLOT_IMPORT = 1 << 14;
        /// Its connection shall give back room that it does not use.
        const TRIM = 1 << 15;
    }
}

/// What becomes of replies (CLIENT REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// Not the reply of this command (SKIP itself), but of the next.
    SkipNext,
    Skip,
}

/// Why a client runs no commands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Until the outside has answered.
    Waiting(Token),
    /// Until one of the keys that its command named has data, or the time is over.
    Keys,
    /// Until enough replicas or disks have its last write, or the time is over.
    Acks(AckWait),
    /// Until the replicas have its SETSLOTs, or the time is over.
    SlotOrders,
    /// The command is tried again when a pause ends or a frozen key thaws.
    Retry,
}

/// What a connection has taken of its client's replies and not yet written; the connection keeps it up to date.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Bytes that are not written.
    pub unwritten: AtomicUsize,
    /// Size of the buffer they are in.
    pub capacity: AtomicUsize,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    pub id: ClientId,
    pub reply: Reply,
    /// With `appendfsync always`: so much of the output shows nothing that is not on disk.
    pub settled_bytes: usize,
    pub db: u32,
    pub authenticated: bool,
    pub flags: ClientFlags,
    pub reply_mode: ReplyMode,
    pub parked: Option<Parked>,
    pub transaction: Option<Box<Transaction>>,
    /// Watched keys, and whether one of them was changed.
    pub watched: Vec<(u32, Box<[u8]>)>,
    pub watch_broken: bool,
    /// It caches what it reads.
    pub tracking: Option<Box<Tracking>>,
    pub replica: Option<ReplicaId>,
    pub name: Vec<u8>,
    pub lib_name: Vec<u8>,
    pub lib_ver: Vec<u8>,
    /// `ip:port` of both ends, or the path of the Unix socket.
    pub peer: String,
    pub local: String,
    pub created: Millis,
    pub last_interaction: Millis,
    pub last_command: Option<CommandIndex>,
    /// The replication offset behind the last write.
    pub write_offset: u64,
    pub commands: u64,
    pub net_input_bytes: u64,
    pub net_output_bytes: u64,
    /// Bytes read and not yet run, and the size of the buffer they are in.
    pub query_bytes: usize,
    pub query_capacity: usize,
    /// The most bytes of replies it had at once since the peak was last reset, and when that is due.
    pub reply_peak_bytes: usize,
    pub peak_reset_due: Millis,
    /// What the connection has taken of its replies.
    pub outgoing: Arc<Outgoing>,
    /// Since when it has more output than its soft limit.
    pub over_soft_limit_since: Option<Millis>,
    /// What of its memory is part of the sum over all clients.
    counted_bytes: usize,
    /// Slot of the last command's keys, for introspection of where clients go.
    pub slot: Option<Slot>,
}

impl Client {
    #[must_use]
    pub fn new(id: ClientId, peer: String, local: String, now: Millis) -> Client {
        Client {
            id,
            reply: Reply::default(),
            settled_bytes: 0,
            db: 0,
            authenticated: false,
            flags: ClientFlags::empty(),
            reply_mode: ReplyMode::On,
            parked: None,
            transaction: None,
            watched: Vec::new(),
            watch_broken: false,
            tracking: None,
            replica: None,
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_ver: Vec::new(),
            peer,
            local,
            created: now,
            last_interaction: now,
            last_command: None,
            write_offset: 0,
            commands: 0,
            net_input_bytes: 0,
            net_output_bytes: 0,
            query_bytes: 0,
            query_capacity: 0,
            reply_peak_bytes: 0,
            peak_reset_due: now,
            outgoing: Arc::default(),
            over_soft_limit_since: None,
            counted_bytes: 0,
            slot: None,
        }
    }

    /// Bytes of replies that the connection has taken and not yet written.
    #[must_use]
    pub fn unwritten_bytes(&self) -> usize {
        self.outgoing.unwritten.load(Ordering::Relaxed)
    }

    /// Size of the buffers its replies are in.
    #[must_use]
    pub fn reply_capacity(&self) -> usize {
        self.reply.buf.capacity() + self.outgoing.capacity.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn is(&self, flag: ClientFlags) -> bool {
        self.flags.contains(flag)
    }

    /// The stream of the primary or of a slot's source, or a file being loaded: trusted, never redirected, never refused.
    #[must_use]
    pub fn is_obeyed(&self) -> bool {
        self.flags.intersects(ClientFlags::PRIMARY | ClientFlags::LOADER | ClientFlags::SLOT_IMPORT)
    }

    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.flags.intersects(ClientFlags::CLOSE_AFTER_REPLY | ClientFlags::CLOSE_NOW)
    }

    /// Bytes of its buffers, of its open transaction and of the client itself.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |t| t.queued_bytes);
        let watched: usize = self.watched.iter().map(|(_, key)| key.len() + size_of::<(u32, Box<[u8]>)>()).sum();
        size_of::<Client>() + self.query_capacity + self.reply_capacity() + queued + watched
    }

    /// Whether its memory counts against `maxmemory-clients`.
    #[must_use]
    pub fn counts_as_client(&self) -> bool {
        !self.flags.intersects(ClientFlags::REPLICA | ClientFlags::PRIMARY)
    }

    /// The address it comes from; none over the Unix socket.
    #[must_use]
    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.parse::<SocketAddr>().ok().map(|addr| addr.ip())
    }

    /// Writes the end of the command that the client was parked for.
    pub fn finish(&mut self, write: impl FnOnce(&mut Client)) {
        self.parked = None;
        let from = self.reply.buf.len();
        write(self);
        self.apply_reply_mode(from);
    }

    /// Drops the reply from byte `from` of the output on, if nobody wants it, when its command has ended.
    pub(super) fn apply_reply_mode(&mut self, from: usize) {
        match self.reply_mode {
            ReplyMode::On => {}
            ReplyMode::Off => self.reply.buf.truncate(from),
            ReplyMode::SkipNext => {
                self.reply.buf.truncate(from);
                self.reply_mode = ReplyMode::Skip;
            }
            ReplyMode::Skip => {
                self.reply.buf.truncate(from);
                self.reply_mode = ReplyMode::On;
            }
        }
    }

    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }
}

/// Client ids are dense and chosen by the server: they are their own hash.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = self.0 << 8 | u64::from(b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        // The table takes its tag from the high bits, so these must differ as well.
        self.0 = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// All connected clients. The one whose command runs is taken out meanwhile.
#[derive(Debug, Default)]
pub struct Clients {
    by_id: HashMap<ClientId, Box<Client>, BuildHasherDefault<IdHasher>>,
    next_id: u64,
    /// Memory of all of them, as of when each was last put back.
    memory_bytes: usize,
}

impl Clients {
    pub fn next_id(&mut self) -> ClientId {
        self.next_id += 1;
        ClientId(self.next_id)
    }

    pub fn put(&mut self, mut client: Box<Client>) {
        let bytes = if client.counts_as_client() { client.memory_bytes() } else { 0 };
        self.memory_bytes = self.memory_bytes + bytes - client.counted_bytes;
        client.counted_bytes = bytes;
        self.by_id.insert(client.id, client);
    }

    /// A client that was taken will not be put back.
    pub fn forget(&mut self, client: &Client) {
        self.memory_bytes -= client.counted_bytes;
    }

    /// Memory of all clients but replicas and the primary.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Counts the memory of all clients anew: those who only listen are never put back.
    pub fn sum_up(&mut self) {
        self.memory_bytes = 0;
        for client in self.by_id.values_mut() {
            client.counted_bytes = if client.counts_as_client() { client.memory_bytes() } else { 0 };
            self.memory_bytes += client.counted_bytes;
        }
    }

    pub fn take(&mut self, id: ClientId) -> Option<Box<Client>> {
        self.by_id.remove(&id)
    }

    #[must_use]
    pub fn get(&self, id: ClientId) -> Option<&Client> {
        self.by_id.get(&id).map(|c| &**c)
    }

    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.by_id.get_mut(&id).map(|c| &mut **c)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.by_id.values().map(|c| &**c)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.by_id.values_mut().map(|c| &mut **c)
    }
}
