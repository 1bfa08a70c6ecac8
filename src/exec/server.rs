//! The whole server in one value. `node` keeps it behind a mutex, the simulator holds many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use super::acks::AckWaits;
use super::alarm::Alarms;
use super::blocked::Blocked;
use super::client::{Client, ClientFlags, ClientId, Clients, Parked};
use super::clients_cron::PEAK_RESET_MS;
use super::commandlog::CommandLog;
use super::effect::{Effect, LogLevel, Token};
use super::frozen::Frozen;
use super::latency::Latency;
use super::loading::{Aside, Loading};
use super::log_growth::LogGrowth;
use super::memory::MemoryMeter;
use super::multi::Watches;
use super::propagate::{AofBuffer, Unit};
use super::push::OwnMessages;
use super::replication::PrimaryStream;
use super::shutdown::Ending;
use super::slot_migration::SlotMigrations;
use super::slot_orders::SlotOrders;
use super::slot_stats::SlotStats;
use super::snapshot::{Job, Saves};
use super::stats::Stats;
use super::suspended::Suspended;
use super::table::CommandTable;
use super::tracking::TrackingTable;
use crate::base::crc64::crc64;
use crate::base::{Millis, NodeId, Rng};
use crate::cluster;
use crate::config::Config;
use crate::keyspace::{EvictionPool, ExpireCursor, Keyspace, LapsedFields};
use crate::pubsub::Subscriptions;
use crate::repl::{self, Endpoint};
use crate::resp::ErrorReply;

/// Measures how long commands take. The one clock of this room, handed in by the owner.
pub trait Stopwatch: Send {
    /// Microseconds since some fixed moment.
    fn micros(&self) -> u64;

    /// Wall time in microseconds since 1970.
    fn wall_micros(&self) -> i64;
}

/// What the owner knows when it makes a server.
pub struct Setup {
    pub config: Config,
    pub commands: CommandTable,
    pub stopwatch: Box<dyn Stopwatch>,
    pub memory: Box<dyn MemoryMeter>,
    /// From the operating system, or the simulation's own.
    pub seed: u64,
    pub now: Millis,
    pub facts: Facts,
}

/// Facts of the process that INFO and a few commands report.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub pid: u32,
    pub executable: String,
    pub config_file: Option<String>,
    pub os: String,
    pub allocator: String,
    pub total_system_memory_bytes: u64,
    /// As redis-server's `--version` would name it, for `redis_version` and the log.
    pub server_name: String,
    /// The service manager that hears from this process: `systemd`, `upstart` or `no`.
    pub supervised: &'static str,
}

/// Readings that only the owner can take, refreshed by it now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    pub rss_bytes: u64,
    pub allocator_active_bytes: u64,
    pub allocator_resident_bytes: u64,
    /// CPU time of the process.
    pub cpu_sys_us: u64,
    pub cpu_user_us: u64,
    /// Keys of large values that wait for being freed, and how many have been.
    pub lazy_free_pending: u64,
    pub lazy_freed: u64,
    /// Memory that the allocator has offered back to the system and may still take again.
    pub allocator_muzzy_bytes: u64,
    /// CPU time of the main thread.
    pub main_sys_us: u64,
    pub main_user_us: u64,
    /// Connections that are kept for the next MIGRATE.
    pub migrate_connections: u64,
}

/// Who may run commands now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    /// CLIENT PAUSE: until when by the wall clock, and whether only writes wait.
    pub asked: Option<(Millis, bool)>,
    /// A failover holds writes back until this monotonic time: a wall clock that jumps must not let writes in that the
    /// replica, which takes over from where it saw the stream stop, will never have.
    pub failover: Option<Millis>,
    /// The server is ending and waits for its replicas.
    pub shutdown: bool,
}

impl Server {
    /// Whether writes (and, if so, everything) wait now.
    #[must_use]
    pub fn paused(&self) -> (bool, bool) {
        let Pause { asked, failover, shutdown } = self.pause;
        let asked = asked.filter(|(until, _)| self.now < *until);
        let failover = failover.is_some_and(|until| self.mono() < until);
        (asked.is_some() || failover || shutdown, asked.is_some_and(|(_, writes_only)| !writes_only))
    }
}

/// What DEBUG switches, for tests.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    pub cron_paused: bool,
    /// Payloads and RDB files are taken whatever their checksums say.
    pub checksums_skipped: bool,
    /// Buffers of replies keep the size they have.
    pub reply_buffers_kept: bool,
    /// After how long the peak of a client's replies is forgotten; never with `None`.
    pub peak_reset_ms: Option<i64>,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            cron_paused: false,
            checksums_skipped: false,
            reply_buffers_kept: false,
            peak_reset_ms: Some(PEAK_RESET_MS),
        }
    }
}

/// The server as a state machine.
pub struct Server {
    pub config: Config,
    pub facts: Facts,
    pub gauges: Gauges,
    pub keyspace: Keyspace,
    pub clients: Clients,
    /// When all clients are looked at next.
    pub(super) clients_pass_due: Millis,
    pub commands: CommandTable,
    /// The command that was called last, for those who cannot ask the server: they come after a crash.
    pub last_called: Arc<AtomicU16>,
    pub stats: Stats,
    pub rng: Rng,
    pub run_id: NodeId,
    pub started: Millis,
    /// Wall time of the running batch.
    pub now: Millis,
    pub pause: Pause,
    pub(super) ending: Option<Ending>,
    /// What the world has to do, in order.
    pub outbox: Vec<Effect>,
    pub unit: Unit,
    pub aof: AofBuffer,
    pub log_growth: LogGrowth,
    pub repl: repl::Engine,
    pub watches: Watches,
    pub pubsub: Subscriptions,
    /// Messages that the running command sends to its own client.
    pub own_messages: OwnMessages,
    /// Who watches all commands.
    pub(super) monitors: BTreeSet<ClientId>,
    pub tracking: TrackingTable,
    /// How many clients track.
    pub tracking_clients: usize,
    pub command_log: CommandLog,
    pub latency: Latency,
    /// Who waits for which keys.
    pub blocked: Blocked,
    /// Who waits for acknowledgements.
    pub(super) ack_waits: AckWaits,
    /// Who waits with CLUSTER SETSLOT for replicas.
    pub(super) slot_orders: SlotOrders,
    /// When waits of clients end by themselves.
    pub alarms: Alarms,
    /// Expired keys are looked for, and do not wait for their next use.
    pub active_expire: bool,
    pub switches: Switches,
    /// The engine of the cluster bus, in cluster mode.
    pub cluster: Option<Box<cluster::Engine>>,
    /// Costs of slots, while they are counted.
    pub slot_stats: Option<Box<SlotStats>>,
    pub frozen: Frozen,
    pub migrations: SlotMigrations,
    /// The EXEC that stands still; nobody else runs commands meanwhile.
    pub(super) suspended: Option<Box<Suspended>>,
    pub loading: Option<Loading>,
    /// The dataset that is being read beside the one that is there.
    pub(super) aside: Option<Box<Aside>>,
    /// Keys that the last load brought, and those that had expired meanwhile.
    pub last_load: (u64, u64),
    /// What the file that is read had of which the time was over.
    pub(super) lapsed_in_file: Vec<LapsedFields>,
    /// Runs the commands of a log while it is loaded.
    pub(super) loader: Option<Box<Client>>,
    /// The snapshot under way.
    pub job: Option<Job>,
    pub saves: Saves,
    /// Why the AOF cannot be written, while it cannot.
    pub aof_error: Option<String>,
    /// When the log last told that this replica applies what it cannot keep.
    pub(super) unsaved_told: Option<Millis>,
    /// Whether this server is a replica, as of the last turn of the replication engine.
    pub(super) follows: bool,
    /// The primary's stream, when this server is a replica.
    pub primary_stream: PrimaryStream,
    /// The database that the stream after a full synchronisation begins in.
    pub(super) stream_db: u32,
    /// The client whose command runs, when it is a replica: it is not among the others meanwhile, so what the engine has
    /// for it is kept here.
    pub(super) current_replica: Option<(ClientId, Vec<u8>)>,
    pub(super) expire_cursor: ExpireCursor,
    pub(super) stopwatch: Box<dyn Stopwatch>,
    pub memory: Box<dyn MemoryMeter>,
    /// What was in use before there was any key.
    pub startup_memory_bytes: u64,
    pub(super) eviction: EvictionPool,
    /// The last command's round of eviction found nothing more to give up.
    pub(super) out_of_memory: bool,
    /// Since when more memory is in use than `maxmemory` allows.
    pub over_limit_since: Option<Millis>,
    /// By how much slow replicas make the backlog longer than it should be.
    pub(super) backlog_excess_bytes: usize,
    /// Within a batch: when the last command ended, which is when the next one begins. Reading the clock costs as much
    /// as a small command.
    pub(super) lap: Option<u64>,
    pub(super) scratch: Vec<u8>,
    /// How long the running command lets the server stand still: it is performed later, and is its time nevertheless.
    pub asked_sleep_usec: u64,
    /// Which client an answer from outside finishes.
    waiting: BTreeMap<Token, ClientId>,
    next_token: u64,
}

impl Server {
    #[must_use]
    pub fn new(setup: Setup) -> Server {
        let mut rng = Rng::seeded(setup.seed);
        let mut config = setup.config;
        // Nobody outside can know where a large collection's members collide.
        config.limits.hash_seed = rng.next_u64();
        let keyspace_rng = Rng::seeded(rng.next_u64());
        let databases = if config.cluster_enabled { config.cluster_databases } else { config.databases };
        let repl_rng = Rng::seeded(rng.next_u64());
        let mut keyspace = Keyspace::new(databases as u32, config.cluster_enabled, keyspace_rng);
        // Servers that are told the same seed have the same keys at the same places of a scan.
        if !config.hash_seed.is_empty() {
            config.limits.hash_seed = crc64(0, &config.hash_seed);
            keyspace.fix_seed(config.limits.hash_seed);
        }
        keyspace.set_access_policy(Server::access_policy(&config));
        keyspace.set_lazy_free(Server::lazy_free(&config));
        keyspace.set_replica(config.replicaof.is_some() || config.import_mode);
        let primary = config.replicaof.as_ref().map(|p| Endpoint { host: p.host.clone(), port: p.port });
        Server {
            keyspace,
            repl: repl::Engine::new(Server::repl_config(&config, None), repl_rng, primary),
            cluster: None,
            slot_stats: None,
            frozen: Frozen::default(),
            migrations: SlotMigrations::default(),
            suspended: None,
            loading: None,
            aside: None,
            loader: None,
            job: None,
            saves: Saves { last_success: setup.now, ..Saves::default() },
            aof_error: None,
            unsaved_told: None,
            follows: config.replicaof.is_some(),
            primary_stream: PrimaryStream::new(setup.now),
            stream_db: 0,
            current_replica: None,
            expire_cursor: ExpireCursor::default(),
            clients: Clients::default(),
            clients_pass_due: Millis::ZERO,
            commands: setup.commands,
            last_called: Arc::new(AtomicU16::new(u16::MAX)),
            facts: setup.facts,
            gauges: Gauges::default(),
            stats: Stats::default(),
            run_id: NodeId::random(&mut rng),
            started: setup.now,
            now: setup.now,
            pause: Pause::default(),
            ending: None,
            outbox: Vec::new(),
            unit: Unit::default(),
            aof: AofBuffer::default(),
            log_growth: LogGrowth::default(),
            watches: Watches::default(),
            pubsub: Subscriptions::default(),
            own_messages: OwnMessages::default(),
            monitors: BTreeSet::new(),
            tracking: TrackingTable::default(),
            tracking_clients: 0,
            command_log: CommandLog::default(),
            latency: Latency::default(),
            blocked: Blocked::default(),
            ack_waits: AckWaits::default(),
            slot_orders: SlotOrders::default(),
            alarms: Alarms::default(),
            active_expire: true,
            switches: Switches::default(),
            stopwatch: setup.stopwatch,
            startup_memory_bytes: setup.memory.used_bytes(),
            memory: setup.memory,
            eviction: EvictionPool::default(),
            out_of_memory: false,
            over_limit_since: None,
            backlog_excess_bytes: 0,
            last_load: (0, 0),
            lapsed_in_file: Vec::new(),
            lap: None,
            scratch: Vec::new(),
            asked_sleep_usec: 0,
            waiting: BTreeMap::new(),
            next_token: 0,
            config,
            rng,
        }
    }

    /// A connection was accepted. `None` when there are too many: the caller writes [`Server::REFUSAL`] and closes it.
    pub fn connect(&mut self, peer: String, local: String, now: Millis) -> Option<ClientId> {
        if self.clients.len() >= self.config.maxclients {
            self.stats.rejected_connections += 1;
            return None;
        }
        self.stats.connections += 1;
        let id = self.clients.next_id();
        let mut client = Client::new(id, peer, local, now);
        client.authenticated = self.config.requirepass.is_empty();
        self.clients.put(Box::new(client));
        Some(id)
    }

    /// What a connection beyond `maxclients` is told.
    pub const REFUSAL: &'static [u8] = b"-ERR max number of clients reached\r\n";

    /// A connection ended, from either side.
    pub fn disconnect(&mut self, id: ClientId) {
        let Some(mut client) = self.clients.take(id) else { return };
        self.clients.forget(&client);
        if client.is(ClientFlags::SLOT_IMPORT) {
            self.import_lost(id);
        }
        self.unwatch(&mut client);
        self.stop_hearing(&mut client);
        let Some(mut client) = self.adopt(client) else { return };
        match client.parked {
            Some(Parked::Waiting(token)) => {
                self.waiting.remove(&token);
            }
            Some(Parked::Keys) => self.forget_key_wait(id),
            Some(Parked::Acks(wait)) => {
                self.alarms.clear(id, wait.until);
                self.ack_waits.remove(id);
            }
            Some(Parked::SlotOrders) => self.forget_slot_orders(id),
            Some(Parked::Retry) | None => {}
        }
        self.forget_replica(&mut client);
    }

    /// Parks the client whose command runs until the outside answers to the token.
    pub fn park(&mut self, client: &mut Client) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        client.parked = Some(Parked::Waiting(token));
        self.waiting.insert(token, client.id);
        token
    }

    /// Finishes the client parked under `token`: `write` puts the reply. Nothing happens when it has gone meanwhile.
    pub fn finish(&mut self, token: Token, write: impl FnOnce(&mut Client)) {
        let Some(id) = self.waiting.remove(&token) else { return };
        if self.suspends(token) {
            return self.resume(write);
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.finish(write);
            self.outbox.push(Effect::Wake(id));
        }
    }

    /// Finishes the client parked under `token` with +OK or an error.
    pub fn finish_ok(&mut self, token: Token, result: Result<(), ErrorReply>) {
        self.finish(token, |client| match result {
            Ok(()) => client.reply.ok(),
            Err(error) => client.reply.error(&error),
        });
    }

    /// Lets clients try again whose command was held back.
    pub fn retry_parked(&mut self) {
        self.release_held();
        let Server { clients, outbox, .. } = self;
        for client in clients.iter_mut() {
            if client.parked == Some(Parked::Retry) {
                client.parked = None;
                outbox.push(Effect::Wake(client.id));
            }
        }
    }

    /// Closes a client's connection: now, or after what it still has to read.
    pub fn close(&mut self, id: ClientId, flag: ClientFlags) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.flags |= flag;
        self.outbox.push(Effect::Wake(id));
        // It must not be given what nobody would read.
        if client.parked.take_if(|parked| *parked == Parked::Keys).is_some() {
            self.forget_key_wait(id);
        }
    }

    /// Wall time in microseconds since 1970.
    #[must_use]
    pub fn wall_micros(&self) -> i64 {
        self.stopwatch.wall_micros()
    }

    pub fn log(&mut self, level: LogLevel, text: impl Into<String>) {
        self.outbox.push(Effect::Log(level, text.into()));
    }
}
