//! The world of one run: machines, the network between them, those outside, and time. Everything follows from the seed.

use std::collections::BTreeMap;

use trib::base::{Millis, Rng};
use trib::exec::slot_migration::ExportLink;
use trib::exec::{Server, Token};

use crate::actors::Actor;
use crate::checks::Checks;
use crate::faults::Faults;
use crate::machine::Machine;
use crate::net::{Arrival, End, Item, Net, Port};
use crate::operator::Deeds;
use crate::plan::Plan;
use crate::queue::{MS, Micros, Queue};
use crate::trace::Trace;

/// How often the bus engine is told that time passes, and the server does its own work.
const TICK: Micros = 100 * MS;

/// Something that happens at a moment.
#[derive(Clone, Debug)]
pub enum Event {
    BusTick {
        node: usize,
        life: u32,
    },
    Cron {
        node: usize,
        life: u32,
    },
    Alarm {
        node: usize,
        life: u32,
    },
    /// The dataset has been read.
    Booted {
        node: usize,
        life: u32,
    },
    /// The primary's snapshot has been written to the disk and can be loaded.
    Incoming {
        node: usize,
        life: u32,
    },
    /// The snapshot under way goes on.
    Slice {
        node: usize,
        life: u32,
    },
    /// The append-only log is made durable.
    LogSync {
        node: usize,
        life: u32,
    },
    /// An atomic slot migration may have something for its target.
    Pull {
        node: usize,
        life: u32,
        link: ExportLink,
    },
    MigrateTimeout {
        node: usize,
        life: u32,
        token: Token,
    },
    ConnectTimeout {
        end: End,
    },
    /// Something arrives at an end of a connection.
    Arrive {
        to: End,
        item: Item,
    },
    /// Something that had arrived while the process stood still is read: the network has no say in it any more.
    Read {
        to: End,
        item: Item,
    },
    /// What the network held back goes on.
    Release,
    /// What was held back for one end arrives.
    Flush {
        end: End,
    },
    Wake {
        actor: usize,
        number: u64,
    },
    /// A call has been waiting for long enough.
    Overdue {
        actor: usize,
        number: u64,
    },
    Fault,
    /// A machine that was switched off, or whose process ended, begins again.
    Restart {
        node: usize,
    },
    Resume {
        node: usize,
    },
    /// The network is whole again.
    Mend,
    Heal,
}

pub struct World {
    pub plan: Plan,
    pub now: Micros,
    pub rng: Rng,
    queue: Queue<Event>,
    pub nodes: Vec<Machine>,
    pub hosts: BTreeMap<String, usize>,
    pub net: Net,
    pub actors: Vec<Actor>,
    pub faults: Faults,
    pub checks: Checks,
    /// What the operator has done and the world is to know.
    pub deeds: Deeds,
    pub trace: Trace,
    /// The first thing that was found to be wrong.
    pub broken: Option<String>,
}

impl World {
    pub fn new(plan: Plan, readable: bool) -> World {
        let mut rng = Rng::seeded(plan.seed);
        let nodes: Vec<Machine> = (0..plan.machines()).map(|node| Machine::new(plan.config(node))).collect();
        let hosts = nodes.len() + plan.clients + 1;
        World {
            now: 0,
            queue: Queue::default(),
            hosts: (0..nodes.len()).map(|node| (Plan::ip(node), node)).collect(),
            net: Net::new(hosts, plan.weather),
            actors: Vec::new(),
            faults: Faults::new(&plan, rng.next_u64()),
            checks: Checks::new(nodes.len()),
            deeds: Deeds::default(),
            trace: Trace::new(readable),
            broken: None,
            nodes,
            rng,
            plan,
        }
    }

    /// The machine of an address.
    pub fn host_of(&self, ip: &str) -> Option<usize> {
        self.hosts.get(ip).copied()
    }

    pub fn plan(&mut self, after: Micros, event: Event) {
        self.queue.plan(self.now + after, event);
    }

    /// An invariant does not hold.
    pub fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(format!("at {:.3} ms: {}", self.now as f64 / 1000.0, what()));
        }
    }

    /// Lets time pass until `until`, or until something is wrong, or `done`.
    pub fn run(&mut self, until: Micros, mut done: impl FnMut(&World) -> bool) -> bool {
        while self.broken.is_none() {
            if done(self) {
                return true;
            }
            let Some((at, event)) = self.queue.next(until) else {
                self.now = until;
                return false;
            };
            self.now = at;
            self.happen(event);
        }
        false
    }

    /// Something happens.
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::BusTick { node, life } => self.tick(node, life, 1, Server::bus_tick),
            Event::Cron { node, life } => {
                self.tick(node, life, 2, Server::cron);
                self.log_cron(node);
            }
            Event::Alarm { node, life } => self.in_life(node, life, event, World::ring),
            Event::Booted { node, life } => self.in_life(node, life, event, World::booted),
            Event::Incoming { node, life } => self.in_life(node, life, event, World::load_incoming),
            Event::Slice { node, life } => self.in_life(node, life, event, World::slice),
            Event::LogSync { node, life } => self.in_life(node, life, event, World::sync_log),
            Event::Pull { node, life, link } => {
                self.in_life(node, life, event, |world, node| world.pull_export(node, link));
            }
            Event::MigrateTimeout { node, life, token } => {
                self.in_life(node, life, event, |world, node| world.migrate_failed(node, token));
            }
            Event::ConnectTimeout { end } => self.give_up(end),
            Event::Arrive { to, item } => self.arrive(to, item),
            Event::Read { to, item } => {
                let arrival = self.net.take_in(to);
                self.take_in(to, item, arrival);
            }
            Event::Release => self.release(),
            Event::Flush { end } => self.flush(end),
            Event::Wake { actor, number } => self.wake(actor, number),
            Event::Overdue { actor, number } => self.overdue(actor, number),
            Event::Fault => self.fault(),
            Event::Restart { node } => self.restart(node),
            Event::Resume { node } => self.resume(node),
            Event::Mend => self.mend(),
            Event::Heal => self.heal(),
        }
    }

    /// Lets `act` happen to the process that it is meant for; later, if that stands still.
    fn in_life(&mut self, node: usize, life: u32, event: Event, act: impl FnOnce(&mut World, usize)) {
        let machine = &mut self.nodes[node];
        if machine.life != life || machine.process.is_none() {
            return;
        }
        if machine.paused {
            machine.waiting.push_back(event);
            return;
        }
        self.trace.event(self.now, 3, node, &[]);
        act(self, node);
    }

    /// Does something with the server of a machine, then what that leads to.
    pub fn with(&mut self, node: usize, act: impl FnOnce(&mut Server, Millis)) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let now = machine.clock.wall();
        let Some(process) = &mut machine.process else { return };
        act(&mut process.server, now);
        self.perform_all(node);
        self.check(node);
    }

    fn tick(&mut self, node: usize, life: u32, kind: u8, act: impl FnOnce(&mut Server, Millis)) {
        let machine = &self.nodes[node];
        if machine.life != life || machine.process.is_none() {
            return;
        }
        self.trace.event(self.now, kind, node, &[]);
        // Ticks that a process misses are not made up for.
        if !machine.paused {
            self.with(node, act);
        }
        let event = if kind == 1 { Event::BusTick { node, life } } else { Event::Cron { node, life } };
        self.plan(TICK, event);
    }

    // --- The network ---

    /// Sends something from one end of a connection to the other.
    pub fn send(&mut self, end: End, item: Item) {
        if !self.net.is_alive(end) && !matches!(item, Item::Reset) {
            return;
        }
        if let Some(at) = self.net.send(self.now, end, &mut self.rng) {
            self.queue.plan(at, Event::Arrive { to: end.other(), item });
        }
    }

    /// Closes this end, in order behind what was sent.
    pub fn close(&mut self, end: End) {
        if self.net.is_alive(end) {
            self.send(end, Item::Closed);
            self.net.kill(end);
        }
    }

    fn release(&mut self) {
        for (at, end) in self.net.can_go_on(self.now, &mut self.rng) {
            self.queue.plan(at, Event::Flush { end });
        }
    }

    /// What is held back may go on soon.
    pub fn plan_release(&mut self, after: Micros) {
        self.plan(after, Event::Release);
    }

    fn flush(&mut self, end: End) {
        for item in self.net.take_held(self.now, end) {
            let arrival = self.net.take_in(end);
            self.take_in(end, item, arrival);
        }
    }

    fn arrive(&mut self, to: End, item: Item) {
        let arrival = self.net.arrive(self.now, to, &item);
        self.take_in(to, item, arrival);
    }

    fn take_in(&mut self, to: End, item: Item, arrival: Arrival) {
        let Arrival::Take { host, role, port } = arrival else { return };
        let bytes = if let Item::Bytes(bytes) = &item { &bytes[..] } else { &[] };
        self.trace.event(self.now, 4, host, bytes);
        if host >= self.nodes.len() {
            return self.arrive_at_actor(to, role, item);
        }
        let machine = &mut self.nodes[host];
        if !machine.powered {
            return;
        }
        let bus_waits = port == Port::Bus && machine.process.as_ref().is_some_and(|process| process.booting);
        if machine.process.is_some() && (machine.paused || bus_waits) {
            // The system accepts connections and takes bytes; the process will see them when it goes on.
            machine.waiting.push_back(Event::Read { to, item });
            return;
        }
        if !self.net.is_alive(to) || machine.process.is_none() {
            if matches!(item, Item::Open | Item::Bytes(_)) {
                self.net.kill(to);
                self.send(to, Item::Reset);
            }
            return;
        }
        match item {
            Item::Open => self.accept(host, to, port),
            Item::Opened => {
                self.net.set_opened(to);
                self.opened(host, role);
            }
            Item::Bytes(bytes) => self.take_bytes(host, role, &bytes),
            Item::Closed | Item::Reset => {
                self.net.kill(to);
                self.lost(host, role);
            }
        }
    }
}
