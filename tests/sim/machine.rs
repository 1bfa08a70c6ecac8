//! One simulated machine: its disk and clock, and the server process on it while there is one.

use std::collections::{BTreeMap, VecDeque};

use trib::base::{Millis, Rng};
use trib::cluster;
use trib::config::Config;
use trib::exec::memory::MemoryMeter;
use trib::exec::server::Facts;
use trib::exec::slot_migration::ExportLink;
use trib::exec::table::CommandTable;
use trib::exec::{ClientId, Server, Setup, Token};
use trib::repl;

use crate::clock::NodeClock;
use crate::disk::Disk;
use crate::incoming::Incoming;
use crate::log::Log;
use crate::migrate::Migration;
use crate::net::End;
use crate::perform::Act;
use crate::session::Session;
use crate::world::Event;

/// Where the engine's memory across restarts is.
pub const NODES_CONF: &str = "nodes.conf";

/// The dataset.
pub const DUMP: &str = "dump.rdb";

/// No memory is ever short here.
struct Plenty;

impl MemoryMeter for Plenty {
    fn used_bytes(&self) -> u64 {
        0
    }
}

/// A running server and what the process around it holds.
pub struct Process {
    pub server: Server,
    /// The dataset is being read: bus links wait.
    pub booting: bool,
    pub bus: BTreeMap<cluster::LinkId, End>,
    pub accepted: u64,
    pub sessions: BTreeMap<ClientId, Session>,
    pub primary_link: Option<(repl::LinkId, End)>,
    /// The snapshot that arrives from the primary.
    pub incoming: Option<Incoming>,
    /// The file of the snapshot under way.
    pub outgoing: Vec<u8>,
    pub migrations: BTreeMap<Token, Migration>,
    /// Whether each of them is accepted.
    pub exports: BTreeMap<ExportLink, (End, bool)>,
    pub log: Log,
    /// What the server has asked for and is still to be done.
    pub todo: VecDeque<Act>,
    /// The earliest moment of wall time at which waits of clients end.
    pub alarm: Option<Millis>,
}

impl Process {
    /// All its connections.
    pub fn ends(&self) -> Vec<End> {
        let bus = self.bus.values().copied();
        let sessions = self.sessions.values().map(|session| session.end);
        let migrations = self.migrations.values().map(|migration| migration.end);
        let exports = self.exports.values().map(|(end, _)| *end);
        bus.chain(sessions).chain(migrations).chain(exports).chain(self.primary_link.map(|(_, end)| end)).collect()
    }
}

pub struct Machine {
    pub process: Option<Box<Process>>,
    /// Counts the processes: events of an earlier one come to nothing.
    pub life: u32,
    pub powered: bool,
    pub paused: bool,
    /// What happened to a process that stands still (or boots, as far as the bus goes), in order.
    pub waiting: VecDeque<Event>,
    pub disk: Disk,
    pub clock: NodeClock,
    pub config: Config,
    /// The process ends badly after so many more effects.
    pub doom: Option<u32>,
}

impl Machine {
    pub fn new(config: Config) -> Machine {
        Machine {
            process: None,
            life: 0,
            powered: true,
            paused: false,
            waiting: VecDeque::new(),
            disk: Disk::default(),
            clock: NodeClock::default(),
            config,
            doom: None,
        }
    }

    /// Whether a process runs and is not stopped.
    pub fn is_running(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    pub fn server(&self) -> Option<&Server> {
        self.process.as_ref().map(|process| &process.server)
    }

    pub fn engine(&self) -> Option<&cluster::Engine> {
        self.server().and_then(|server| server.cluster.as_deref())
    }

    /// A process on this machine, with its place in the cluster as the disk tells; nothing is loaded yet.
    ///
    /// # Panics
    /// When its nodes.conf cannot be read: it is written so that this cannot happen.
    pub fn boot(&mut self, seed: u64) {
        self.life += 1;
        self.waiting.clear();
        self.doom = None;
        let now = self.clock.wall();
        let mut server = Server::new(Setup {
            config: self.config.clone(),
            commands: CommandTable::new(&trib::commands::all()),
            stopwatch: Box::new(self.clock.clone()),
            memory: Box::new(Plenty),
            seed,
            now,
            facts: Facts::default(),
        });
        let rng = Rng::seeded(server.rng.next_u64());
        let (config, clock) = (Server::cluster_config(&self.config), server.clock());
        let engine = match self.disk.read(NODES_CONF) {
            None => cluster::Engine::new(config, rng, clock),
            Some(text) => {
                let text = std::str::from_utf8(text).expect("nodes.conf is text");
                cluster::Engine::restore(config, rng, clock, text).expect("nodes.conf can be read")
            }
        };
        server.join(engine);
        server.begin_loading(now, 0, false);
        self.process = Some(Box::new(Process {
            server,
            booting: true,
            bus: BTreeMap::new(),
            accepted: 0,
            sessions: BTreeMap::new(),
            primary_link: None,
            incoming: None,
            outgoing: Vec::new(),
            migrations: BTreeMap::new(),
            exports: BTreeMap::new(),
            log: Log::default(),
            todo: VecDeque::new(),
            alarm: None,
        }));
    }
}
