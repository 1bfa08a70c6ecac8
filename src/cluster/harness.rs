//! A small deterministic world for tests: engines, a network, disks and a clock, all in one struct.
//!
//! Node `i` listens on 127.0.0.1, client port 7000 + i, bus port 17000 + i. A packet takes a
//! millisecond. Replication is a number: a replica that reaches its primary has its offset.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::base::{Millis, NodeId, Rng, Slot};

const LATENCY_MS: i64 = 1;
const TICK_MS: i64 = 100;
/// How often `run_until` looks.
const CHECK_EVERY_MS: i64 = 25;
/// Wall time at the start of the world.
const EPOCH_MS: i64 = 1_700_000_000_000;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

enum Event {
    Tick { node: usize, life: u32 },
    Arrive { from: usize, link: LinkId, port: u16 },
    Up { node: usize, link: LinkId },
    Down { node: usize, link: LinkId },
    Deliver { node: usize, link: LinkId, bytes: bytes::Bytes },
}

/// What one machine is besides its engine.
#[derive(Default)]
pub struct Machine {
    pub engine: Option<Engine>,
    pub config: Config,
    /// `nodes.conf`.
    pub disk: String,
    /// The other end of each link.
    links: BTreeMap<LinkId, (usize, LinkId)>,
    next_inbound: u64,
    life: u32,
    pub offset: u64,
    pub following: Option<NodeId>,
    linked_at: Option<i64>,
    /// Its data are not those of its primary.
    pub foreign: bool,
    pub paused_until: Option<Millis>,
    pub deleted: Vec<Slot>,
    pub flushed: bool,
    pub published: Vec<(Vec<u8>, bool)>,
    /// How often the configuration was saved.
    pub saves: usize,
    /// How many links it closed.
    pub closed: usize,
    pub log: Vec<String>,
    pub keys: BTreeMap<Slot, usize>,
    pub sent_bytes: u64,
}

pub struct Net {
    pub now_ms: i64,
    pub nodes: Vec<Machine>,
    events: BTreeMap<(i64, u64), Event>,
    seq: u64,
    /// Nodes of different groups do not reach each other.
    groups: Vec<u32>,
    seed: u64,
    pub packets: u64,
}

pub struct Keys<'a>(pub &'a BTreeMap<Slot, usize>);

impl SlotKeys for Keys<'_> {
    fn count(&self, slot: Slot) -> usize {
        self.0.get(&slot).copied().unwrap_or(0)
    }
    fn is_empty(&self) -> bool {
        self.0.values().all(|n| *n == 0)
    }
}

impl Net {
    pub fn new(count: usize, seed: u64, tune: impl Fn(&mut Config)) -> Net {
        let mut net = Net {
            now_ms: 1_000,
            nodes: Vec::new(),
            events: BTreeMap::new(),
            seq: 0,
            groups: vec![0; count],
            seed,
            packets: 0,
        };
        for i in 0..count {
            let mut config = Config { port: 7000 + i as u16, ..Config::default() };
            tune(&mut config);
            net.nodes.push(Machine { config, ..Machine::default() });
            net.start(i);
        }
        net
    }

    pub fn clock(&self) -> Clock {
        Clock { wall: Millis(EPOCH_MS + self.now_ms), mono: Millis(self.now_ms) }
    }

    fn schedule(&mut self, after_ms: i64, event: Event) {
        self.seq += 1;
        self.events.insert((self.now_ms + after_ms, self.seq), event);
    }

    /// Starts a node that is down, from its disk if that is not empty.
    pub fn start(&mut self, i: usize) {
        let rng = Rng::seeded(self.seed * 1000 + i as u64 + 100 * u64::from(self.nodes[i].life));
        let (now, machine) = (self.clock(), &mut self.nodes[i]);
        machine.life += 1;
        machine.engine = Some(if machine.disk.is_empty() {
            Engine::new(machine.config.clone(), rng, now)
        } else {
            Engine::restore(machine.config.clone(), rng, now, &machine.disk).expect("a readable nodes.conf")
        });
        let life = machine.life;
        self.perform(i);
        self.schedule(1 + (i as i64 * 37) % TICK_MS, Event::Tick { node: i, life });
    }

    /// The process is gone; its peers see their links break.
    pub fn kill(&mut self, i: usize) {
        self.nodes[i].engine = None;
        self.nodes[i].life += 1;
        for (_, (peer, link)) in std::mem::take(&mut self.nodes[i].links) {
            self.schedule(LATENCY_MS, Event::Down { node: peer, link });
        }
    }

    /// Cuts the network: each node's group. Links across stay, and carry nothing.
    pub fn partition(&mut self, groups: &[u32]) {
        self.groups = groups.to_vec();
    }

    pub fn heal(&mut self) {
        self.groups = vec![0; self.nodes.len()];
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        self.groups[a] == self.groups[b]
    }

    pub fn engine(&self, i: usize) -> &Engine {
        self.nodes[i].engine.as_ref().expect("the node is up")
    }

    pub fn id(&self, i: usize) -> NodeId {
        self.engine(i).my_id()
    }

    pub fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|i| self.nodes[*i].engine.is_some()).collect()
    }

    fn index_of(&self, id: NodeId) -> Option<usize> {
        self.alive().into_iter().find(|i| self.id(*i) == id)
    }

    /// Runs a CLUSTER subcommand given as words, and what it leaves for the end of a batch.
    pub fn admin(&mut self, i: usize, words: &str) -> Result<AdminReply, String> {
        let reply = self.admin_in_batch(i, words);
        self.with_engine(i, Engine::finish);
        reply
    }

    /// The same with other commands to follow.
    pub fn admin_in_batch(&mut self, i: usize, words: &str) -> Result<AdminReply, String> {
        let args: Vec<&[u8]> = words.split_ascii_whitespace().map(str::as_bytes).collect();
        let command = AdminCommand::parse(&args).map_err(|e| e.to_string())?.expect("a subcommand of the engine");
        let now = self.clock();
        let machine = &mut self.nodes[i];
        let engine = machine.engine.as_mut().expect("the node is up");
        let reply = engine.admin(now, &command, &Keys(&machine.keys)).map_err(|e| e.to_string());
        self.perform(i);
        reply
    }

    pub fn must(&mut self, i: usize, words: &str) {
        assert_eq!(self.admin(i, words), Ok(AdminReply::Ok), "{words}");
    }

    pub fn with_engine<T>(&mut self, i: usize, act: impl FnOnce(&mut Engine, Clock) -> T) -> T {
        let now = self.clock();
        let result = act(self.nodes[i].engine.as_mut().expect("the node is up"), now);
        self.perform(i);
        result
    }

    pub fn input(&mut self, i: usize, input: Input<'_>) {
        let now = self.clock();
        if let Some(engine) = &mut self.nodes[i].engine {
            engine.handle(now, input);
            self.perform(i);
        }
    }

    fn perform(&mut self, i: usize) {
        let Some(engine) = &mut self.nodes[i].engine else { return };
        let outputs: Vec<Output> = engine.outputs().collect();
        for output in outputs {
            let machine = &mut self.nodes[i];
            match output {
                Output::SaveConfig { text, .. } => {
                    machine.disk = text;
                    machine.saves += 1;
                }
                Output::Connect { link, port, .. } => self.schedule(LATENCY_MS, Event::Arrive { from: i, link, port }),
                Output::Send { link, bytes } => {
                    machine.sent_bytes += bytes.len() as u64;
                    assert_eq!(frame::next(&bytes), Frame::Packet(bytes.len()));
                    if let Some((peer, other)) = machine.links.get(&link).copied() {
                        self.packets += 1;
                        self.schedule(LATENCY_MS, Event::Deliver { node: peer, link: other, bytes });
                    }
                }
                Output::Close { link } => {
                    machine.closed += 1;
                    if let Some((peer, other)) = machine.links.remove(&link) {
                        self.nodes[peer].links.remove(&other);
                        self.schedule(LATENCY_MS, Event::Down { node: peer, link: other });
                    }
                }
                Output::Promote => machine.following = None,
                Output::Follow(target) => {
                    machine.following = Some(target.id);
                    machine.linked_at = None;
                }
                Output::PauseWrites { until } => machine.paused_until = Some(until),
                Output::Unpause => machine.paused_until = None,
                Output::SlotsChanged | Output::StateChanged { .. } => {}
                Output::DeleteSlotKeys(slots) => {
                    for slot in &slots {
                        machine.keys.remove(slot);
                    }
                    machine.deleted.extend(slots);
                }
                Output::PublishLocal { message, sharded, .. } => machine.published.push((message.to_vec(), sharded)),
                Output::FlushAll => {
                    machine.flushed = true;
                    machine.keys.clear();
                }
                Output::Log { text, .. } => machine.log.push(text),
            }
        }
    }

    /// Lets the replication of a node advance and tells the engine.
    pub fn tell_facts(&mut self, i: usize) {
        let mut data = DataAge::Never;
        if let Some(primary) = self.nodes[i].following {
            match self.index_of(primary).filter(|p| self.reach(i, *p) && self.engine(*p).am_primary()) {
                Some(p) => {
                    self.nodes[i].offset = self.nodes[p].offset;
                    self.nodes[i].linked_at = Some(self.now_ms);
                    data = DataAge::LinkedSince { last_io: Millis(self.now_ms) };
                }
                None => data = self.nodes[i].linked_at.map_or(DataAge::Never, |at| DataAge::DownSince(Millis(at))),
            }
        }
        if self.nodes[i].foreign {
            data = DataAge::Foreign;
        }
        let facts = LocalFacts { repl_offset: self.nodes[i].offset, data };
        self.input(i, Input::Facts(facts));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Tick { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].engine.is_some() {
                    self.tell_facts(node);
                    self.input(node, Input::Tick);
                    self.schedule(TICK_MS, Event::Tick { node, life });
                }
            }
            Event::Arrive { from, link, port } => {
                let to = usize::from(port).wrapping_sub(17000);
                if to < self.nodes.len() && !self.reach(from, to) {
                    return;
                }
                if self.nodes.get(to).is_none_or(|machine| machine.engine.is_none()) {
                    self.schedule(LATENCY_MS, Event::Down { node: from, link });
                    return;
                }
                self.nodes[to].next_inbound += 1;
                let other = LinkId::Inbound(self.nodes[to].next_inbound);
                self.nodes[to].links.insert(other, (from, link));
                self.nodes[from].links.insert(link, (to, other));
                self.input(to, Input::Accepted { link: other, peer_ip: LOCALHOST, local_ip: LOCALHOST });
                self.schedule(LATENCY_MS, Event::Up { node: from, link });
            }
            Event::Up { node, link } => self.input(node, Input::LinkUp { link }),
            Event::Down { node, link } => {
                self.nodes[node].links.remove(&link);
                self.input(node, Input::LinkDown { link });
            }
            Event::Deliver { node, link, bytes } => {
                let Some((peer, _)) = self.nodes[node].links.get(&link).copied() else { return };
                if self.reach(node, peer) {
                    self.input(node, Input::Packet { link, bytes: &bytes });
                }
            }
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: i64) {
        let until = self.now_ms + ms;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= until) {
            self.now_ms = entry.key().0;
            let event = entry.remove();
            self.step(event);
        }
        self.now_ms = until;
    }

    /// Lets time pass until `done`, at most `limit_ms`. Returns how long it took.
    pub fn run_until(&mut self, limit_ms: i64, what: &str, done: impl Fn(&Net) -> bool) -> i64 {
        let start = self.now_ms;
        while !done(self) {
            assert!(self.now_ms - start < limit_ms, "{what}: not within {limit_ms} ms\n{}", self.report());
            self.run(CHECK_EVERY_MS);
        }
        self.now_ms - start
    }

    /// What all nodes think, for a failing test's message.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for i in self.alive() {
            let engine = self.engine(i);
            text += &format!("--- node {i}, ok {}, epoch {}\n", engine.state_ok(), engine.current_epoch());
            text += &engine.nodes_text(ClientNet::default());
            for line in self.nodes[i].log.iter().rev().take(30).rev() {
                text += &format!("    # {line}\n");
            }
        }
        text
    }

    pub fn all_ok(&self) -> bool {
        self.alive().into_iter().all(|i| self.engine(i).state_ok())
    }

    /// Who is primary or replica of whom and owns what, as a node sees it.
    pub fn picture(&self, i: usize) -> Vec<String> {
        let engine = self.engine(i);
        let ranges = engine.slot_ranges();
        let line = |view: NodeView<'_>| {
            format!("{} {:?} {} {:?}", view.node.id, view.primary, view.epoch, ranges.get(&view.idx))
        };
        engine.nodes().map(line).collect()
    }

    /// Whether all live nodes see the same.
    pub fn agree(&self) -> bool {
        let mut pictures = self.alive().into_iter().map(|i| self.picture(i));
        let first = pictures.next();
        pictures.all(|picture| Some(picture) == first)
    }

    pub fn knows_all(&self, count: usize) -> bool {
        self.alive().into_iter().all(|i| {
            let engine = self.engine(i);
            engine.known_nodes() == count && engine.nodes().all(|view| !view.node.in_handshake() && view.connected)
        })
    }

    pub fn owner_of(&self, i: usize, slot: u16) -> Option<NodeId> {
        let engine = self.engine(i);
        engine.slot_owner(Slot::new(slot).unwrap()).map(|idx| engine.node(idx).node.id)
    }

    /// A cluster as `trib create` makes it: epochs and slots, MEET, then REPLICATE. Node `i` of the
    /// replicas follows primary `i mod primaries`. Returns the time it took after MEET, in milliseconds.
    pub fn create(&mut self, primaries: usize) -> i64 {
        let count = self.nodes.len();
        for i in 0..primaries {
            let (first, last) = (i * 16384 / primaries, (i + 1) * 16384 / primaries - 1);
            self.must(i, &format!("ADDSLOTSRANGE {first} {last}"));
        }
        for i in 0..count {
            self.must(i, &format!("SET-CONFIG-EPOCH {}", i + 1));
        }
        let start = self.now_ms;
        for i in 1..count {
            self.must(i, "MEET 127.0.0.1 7000");
        }
        self.run_until(2000 + count as i64 * 20, "everybody knows everybody", |net| net.knows_all(count));
        for i in primaries..count {
            let primary = self.id((i - primaries) % primaries);
            self.must(i, &format!("REPLICATE {primary}"));
        }
        self.run_until(2000, "the cluster is ok and all agree", |net| net.all_ok() && net.agree());
        let took = self.now_ms - start;
        // Some writes, so that replicas have an offset.
        for i in 0..primaries {
            self.nodes[i].offset = 100 + i as u64;
        }
        took
    }
}
