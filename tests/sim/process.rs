//! What happens to a server process: connections come and go, bytes arrive, the dataset is loaded, moments pass.

use std::net::{IpAddr, Ipv4Addr};

use trib::base::Millis;
use trib::exec::loading::LoadedFacts;
use trib::exec::rdb_load::{self, LoadError, RdbLoad};
use trib::exec::{ClientId, Server};
use trib::{cluster, repl};

use crate::bugs::Bug;
use crate::machine::DUMP;
use crate::net::{End, Item, Port, Role};
use crate::plan::Plan;
use crate::queue::MS;
use crate::session::Session;
use crate::world::{Event, World};

/// The address of a host: a machine's own, or that of somebody outside.
fn ip_of(host: usize) -> IpAddr {
    Plan::ip(host).parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

impl World {
    pub fn accept(&mut self, node: usize, to: End, port: Port) {
        let Some((peer, _)) = self.net.owner(to.other()) else { return };
        self.send(to, Item::Opened);
        match port {
            Port::Bus => {
                let Some(process) = &mut self.nodes[node].process else { return };
                process.accepted += 1;
                let link = cluster::LinkId::Inbound(process.accepted);
                process.bus.insert(link, to);
                self.net.set_role(to, Role::Bus(link));
                let accepted = cluster::Input::Accepted { link, peer_ip: ip_of(peer), local_ip: ip_of(node) };
                self.with(node, |server, now| server.bus_input(now, accepted));
            }
            Port::Client => {
                let machine = &mut self.nodes[node];
                machine.clock.set(self.now);
                let now = machine.clock.wall();
                let Some(process) = &mut machine.process else { return };
                let addr = |host: usize, port: u16| format!("{}:{port}", ip_of(host));
                let connected = process.server.connect(addr(peer, 40_000), addr(node, Plan::PORT), now);
                let Some(id) = connected else { return self.close(to) };
                process.sessions.insert(id, Session::new(to, id));
                self.net.set_role(to, Role::Served(id));
            }
        }
    }

    pub fn opened(&mut self, node: usize, role: Role) {
        match role {
            Role::Bus(link) => self.with(node, |server, now| server.bus_input(now, cluster::Input::LinkUp { link })),
            Role::ToPrimary(link) => self.with(node, |server, _| server.repl_input(repl::Input::LinkUp(link))),
            Role::Export(link) => self.export_opened(node, link),
            Role::Nobody | Role::Served(_) | Role::Migrate(_) | Role::Actor(_) => {}
        }
    }

    pub fn take_bytes(&mut self, node: usize, role: Role, bytes: &bytes::Bytes) {
        match role {
            Role::Bus(link) => {
                self.with(node, |server, now| server.bus_input(now, cluster::Input::Packet { link, bytes }));
            }
            Role::ToPrimary(link) => {
                let times = match self.plan.bug {
                    Some(Bug::StreamSkips) if self.rng.below(40) == 0 => 0,
                    Some(Bug::StreamRepeats) if self.rng.below(40) == 0 => 2,
                    _ => 1,
                };
                for _ in 0..times {
                    let bytes = bytes.clone();
                    self.with(node, |server, now| {
                        server.now = now;
                        server.repl_input(repl::Input::FromPrimary { link, bytes });
                    });
                }
            }
            Role::Served(id) => {
                let Some(process) = &mut self.nodes[node].process else { return };
                if let Some(session) = process.sessions.get_mut(&id) {
                    session.take(bytes);
                }
                let dirty = process.server.keyspace.dirty();
                self.run_session(node, id);
                if self.nodes[node].server().is_some_and(|server| server.keyspace.dirty() != dirty) {
                    self.check_served(node, id);
                }
                self.perform_all(node);
                self.check(node);
            }
            Role::Migrate(token) => self.migrate_replies(node, token, bytes),
            Role::Export(link) => self.with(node, |server, now| server.export_received(link, now, bytes)),
            Role::Nobody | Role::Actor(_) => {}
        }
    }

    /// A connection of a process is gone.
    pub fn lost(&mut self, node: usize, role: Role) {
        let Some(process) = &mut self.nodes[node].process else { return };
        match role {
            Role::Bus(link) => {
                process.bus.remove(&link);
                self.with(node, |server, now| server.bus_input(now, cluster::Input::LinkDown { link }));
            }
            Role::ToPrimary(link) => {
                process.primary_link.take_if(|(open, _)| *open == link);
                self.with(node, |server, _| server.repl_input(repl::Input::LinkDown(link)));
            }
            Role::Served(id) => {
                process.sessions.remove(&id);
                self.with(node, |server, _| server.disconnect(id));
            }
            Role::Migrate(token) => self.migrate_failed(node, token),
            Role::Export(link) => self.export_lost(node, link),
            Role::Nobody | Role::Actor(_) => {}
        }
    }

    /// A connection that is not accepted after so long will not be.
    pub fn give_up(&mut self, end: End) {
        if self.net.is_opened(end) || !self.net.is_alive(end) {
            return;
        }
        if let Some((host, role)) = self.net.owner(end).filter(|(host, _)| *host < self.nodes.len()) {
            self.close(end);
            self.lost(host, role);
        }
    }

    pub fn set_alarm(&mut self, node: usize, at: Millis) {
        let machine = &mut self.nodes[node];
        let Some(process) = &mut machine.process else { return };
        process.alarm = Some(process.alarm.map_or(at, |earlier| earlier.min(at)));
        let (life, after) = (machine.life, machine.clock.until(at));
        self.plan(after, Event::Alarm { node, life });
    }

    /// An alarm rings: too early where wall time has jumped back meanwhile, or where an earlier one has rung.
    pub fn ring(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let Some(process) = &mut machine.process else { return };
        let Some(at) = process.alarm else { return };
        let (life, left) = (machine.life, machine.clock.until(at));
        if left > 0 {
            return self.plan(left, Event::Alarm { node, life });
        }
        process.alarm = None;
        self.with(node, Server::alarm);
    }

    /// Begins a process on a machine.
    pub fn start(&mut self, node: usize) {
        let (seed, now) = (self.rng.next_u64(), self.now);
        self.trace.say(now, || format!("node {node} starts"));
        let machine = &mut self.nodes[node];
        machine.clock.set(now);
        machine.boot(seed);
        if let (Some(Bug::Engine(how)), Some(process)) = (self.plan.bug, &mut machine.process)
            && let Some(engine) = &mut process.server.cluster
        {
            engine.break_on_purpose(how);
        }
        let life = machine.life;
        self.perform_all(node);
        let after = MS + self.rng.below(self.plan.load_time);
        self.plan(after, Event::Booted { node, life });
    }

    /// The dataset is read; the process takes part from now on.
    pub fn booted(&mut self, node: usize) {
        let loaded = self.load_from_disk(node);
        let facts = match loaded {
            Ok(facts) => facts,
            Err(error) => return self.fail(|| format!("node {node} cannot load its dataset: {error}")),
        };
        let machine = &mut self.nodes[node];
        machine.clock.set(self.now);
        let (now, life) = (machine.clock.wall(), machine.life);
        let Some(process) = &mut machine.process else { return };
        process.booting = false;
        process.server.end_loading(now, &facts, Ok(()));
        process.server.booted(facts.saved);
        self.perform_all(node);
        let (bus, cron) = (self.rng.below(100 * MS), self.rng.below(100 * MS));
        self.plan(bus, Event::BusTick { node, life });
        self.plan(cron, Event::Cron { node, life });
        self.plan(self.plan.sync_period, Event::LogSync { node, life });
        self.go_on(node);
    }

    /// What waited for a process to go on happens now, as far as it still may.
    pub fn go_on(&mut self, node: usize) {
        for event in std::mem::take(&mut self.nodes[node].waiting) {
            self.happen(event);
        }
    }

    fn load_from_disk(&mut self, node: usize) -> Result<LoadedFacts, LoadError> {
        if self.nodes[node].config.appendonly {
            return self.load_log(node);
        }
        let machine = &mut self.nodes[node];
        match (&mut machine.process, machine.disk.read(DUMP)) {
            (Some(process), Some(bytes)) => load(&mut process.server, bytes),
            _ => Ok(LoadedFacts::default()),
        }
    }

    /// The client of a connection on its machine, if it is one.
    pub fn served(&self, end: End) -> Option<(usize, ClientId)> {
        match self.net.owner(end)? {
            (host, Role::Served(id)) => Some((host, id)),
            _ => None,
        }
    }
}

/// Reads an RDB into a server.
pub fn load(server: &mut Server, bytes: &[u8]) -> Result<LoadedFacts, LoadError> {
    let reader = rdb_load::open(bytes, &server.config)?;
    let mut load = RdbLoad::new(reader, false);
    while !load.step(server, || true)? {}
    Ok(load.into_parts().0)
}
