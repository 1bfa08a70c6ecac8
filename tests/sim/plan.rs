//! What kind of run a seed stands for: how many machines, how they are configured, what the network is like, which faults
//! there are and for how long.

use trib::base::{NodeId, Rng};
use trib::config::{AppendFsync, Config, DisklessLoad, Guard, SavePoint};

use crate::bugs::Bug;
use crate::net::Weather;
use crate::queue::{MS, Micros, SEC};

/// Which troubles a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Only what must never lose an acknowledged write: slow and broken links, jumping clocks, an operator at work.
    Calm,
    /// Everything.
    Rough,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub primaries: usize,
    pub replicas_each: usize,
    /// Machines that are not in the cluster at first: the operator may add them.
    pub spares: usize,
    pub clients: usize,
    pub operator: bool,
    pub mood: Mood,
    pub node_timeout: Micros,
    pub weather: Weather,
    /// What is done wrong on purpose.
    pub bug: Option<Bug>,
    /// How long the troubles last.
    pub duration: Micros,
    /// The time between two faults, on average.
    pub fault_every: Micros,
    pub load_time: Micros,
    pub sync_period: Micros,
    /// The cluster is built by MEET, as an operator does it; else all nodes begin with a nodes.conf.
    pub by_meeting: bool,
    /// Who builds it gives every node an epoch of its own; else all begin with epoch 0, and settle that among themselves.
    pub numbered: bool,
    /// The operator orders several things at once where one would do: two failovers, two new epochs.
    pub rash: bool,
    /// The operator removes nodes as well.
    pub purges: bool,
    aof: Vec<Option<AppendFsync>>,
    saves: bool,
    diskless: bool,
    /// Where a replica puts the data of a snapshot.
    diskless_load: DisklessLoad,
    repl_timeout_secs: i64,
    validity_factor: u32,
}

impl Plan {
    pub const PORT: u16 = 6379;

    /// The plan of a seed; `nodes` says how many machines there are, if that is not left to the seed.
    pub fn of_seed(seed: u64, nodes: Option<usize>) -> Plan {
        let mut rng = Rng::seeded(seed ^ 0x51a7_e5ee_d000_0000);
        // What was thought of later is drawn from its own source: nothing else in the plans of old seeds changes.
        let mut later = Rng::seeded(seed ^ 0x0dd5_0000_1a7e_0000);
        let mut one_in = |n: u64| rng.below(n) == 0;
        let mood = if one_in(4) { Mood::Calm } else { Mood::Rough };
        let (by_meeting, saves, diskless, lossy) = (one_in(4), one_in(3), !one_in(3), one_in(2));
        let (few, operator) = (one_in(3), !one_in(4));
        let (primaries, replicas_each) = match nodes {
            Some(nodes) => (nodes.div_ceil(2).max(1), usize::from(nodes > 1)),
            None if few => (3, rng.below(2) as usize),
            None => (3 + rng.below(2) as usize, 1 + usize::from(rng.below(3) == 0)),
        };
        let spares = if nodes.is_none() { rng.below(2) as usize } else { 0 };
        let machines = primaries * (1 + replicas_each) + spares;
        let policies = [None, None, Some(AppendFsync::EverySecond), Some(AppendFsync::Always)];
        let aof = (0..machines).map(|_| policies[rng.below(4) as usize]).collect();
        let loads = [
            DisklessLoad::Disabled,
            DisklessLoad::Disabled,
            DisklessLoad::OnEmptyDb,
            DisklessLoad::FlushBeforeLoad,
            DisklessLoad::SwapDb,
            DisklessLoad::SwapDb,
        ];
        let node_timeout = [1, 2, 2, 3][rng.below(4) as usize] * SEC;
        Plan {
            seed,
            primaries,
            replicas_each,
            spares,
            clients: 2 + rng.below(2) as usize,
            operator,
            mood,
            node_timeout,
            weather: Weather {
                latency: (100, 100 + rng.below(3 * MS)),
                loss_one_in: if lossy { 50 + rng.below(500) } else { 0 },
                retransmit: 200 * MS,
            },
            bug: None,
            duration: 10 * SEC + rng.below(20 * SEC),
            fault_every: 300 * MS + rng.below(2500 * MS),
            load_time: MS + rng.below(300 * MS),
            sync_period: 200 * MS + rng.below(SEC),
            by_meeting,
            numbered: later.below(2) == 0,
            rash: later.below(4) == 0 && mood == Mood::Rough,
            purges: later.below(4) == 0,
            aof,
            saves,
            diskless,
            repl_timeout_secs: 3 + rng.below(20) as i64,
            validity_factor: [0, 2, 10, 10][rng.below(4) as usize],
            diskless_load: loads[rng.below(6) as usize],
        }
    }

    /// A large cluster without troubles of its own: a node timeout of 2 s, one replica a primary.
    pub fn large(seed: u64, primaries: usize) -> Plan {
        Plan {
            primaries,
            replicas_each: 1,
            spares: 0,
            clients: 0,
            operator: false,
            node_timeout: 2 * SEC,
            weather: Weather { latency: (100, 1000), loss_one_in: 0, retransmit: 200 * MS },
            by_meeting: false,
            aof: Vec::new(),
            saves: false,
            repl_timeout_secs: 60,
            validity_factor: 10,
            ..Plan::of_seed(seed & !1, None)
        }
    }

    /// A run in which only happens what somebody says.
    pub fn still(primaries: usize, replicas_each: usize) -> Plan {
        Plan {
            replicas_each,
            clients: 4,
            mood: Mood::Calm,
            duration: 0,
            load_time: 100 * MS,
            diskless_load: DisklessLoad::Disabled,
            sync_period: SEC,
            diskless: true,
            ..Plan::large(0, primaries)
        }
    }

    pub fn machines(&self) -> usize {
        self.members() + self.spares
    }

    /// Machines that are in the cluster from the beginning.
    pub fn members(&self) -> usize {
        self.primaries * (1 + self.replicas_each)
    }

    /// The address of a host.
    pub fn ip(host: usize) -> String {
        format!("10.0.{}.{}", host / 250, host % 250 + 1)
    }

    pub fn config(&self, node: usize) -> Config {
        let aof = self.aof.get(node).copied().flatten();
        Config {
            cluster_enabled: true,
            port: Plan::PORT,
            cluster_node_timeout_ms: (self.node_timeout / MS) as i64,
            cluster_replica_validity_factor: self.validity_factor as _,
            cluster_require_full_coverage: self.seed.is_multiple_of(2),
            repl_diskless_sync: self.diskless,
            repl_diskless_sync_delay_secs: 0,
            repl_diskless_load: self.diskless_load,
            repl_timeout_secs: self.repl_timeout_secs,
            repl_ping_replica_period_secs: 1,
            appendonly: aof.is_some(),
            appendfsync: aof.unwrap_or(AppendFsync::EverySecond),
            save: if self.saves { vec![SavePoint { secs: 2, changes: 1 }] } else { Vec::new() },
            enable_debug_command: Guard::Yes,
            ..Config::default()
        }
    }

    /// The primary of a machine in the beginning; itself if it is one.
    pub fn shard(&self, node: usize) -> usize {
        if node < self.primaries { node } else { (node - self.primaries) % self.primaries }
    }

    /// The slots that a primary has in the beginning.
    pub fn slots(&self, primary: usize) -> (usize, usize) {
        (primary * 16384 / self.primaries, (primary + 1) * 16384 / self.primaries - 1)
    }

    /// What each member knows when the cluster is not built by meeting.
    pub fn nodes_conf(&self) -> Vec<String> {
        let mut rng = Rng::seeded(self.seed ^ 0x1d5);
        let ids: Vec<NodeId> = (0..self.members()).map(|_| NodeId::random(&mut rng)).collect();
        let shards: Vec<NodeId> = (0..self.primaries).map(|_| NodeId::random(&mut rng)).collect();
        let line = |node: usize, me: usize| {
            let (ip, shard, myself) = (Plan::ip(node), self.shard(node), if node == me { "myself," } else { "" });
            let head = format!("{} {ip}:{}@{},,tls-port=0,shard-id={}", ids[node], Plan::PORT, 16379, shards[shard]);
            if node < self.primaries {
                let (first, last) = self.slots(node);
                format!("{head} {myself}master - 0 0 {} connected {first}-{last}\n", node + 1)
            } else {
                format!("{head} {myself}slave {} 0 0 {} connected\n", ids[shard], shard + 1)
            }
        };
        let text = |me: usize| {
            let lines: String = (0..self.members()).map(|node| line(node, me)).collect();
            format!("{lines}vars currentEpoch {} lastVoteEpoch 0\n", self.primaries)
        };
        (0..self.members()).map(text).collect()
    }
}
