//! One run from its seed to its end.

use std::rc::Rc;

use trib::cluster::Engine;

use crate::client::Client;
use crate::desk::Desk;
use crate::machine::NODES_CONF;
use crate::operator::{Deed, Deeds, Operator};
use crate::plan::Plan;
use crate::queue::{MS, Micros, SEC};
use crate::world::{Event, World};

/// How long a cluster may take to come into being.
const BUILD_MAX: Micros = 60 * SEC;

/// How often the world looks whether all is well.
const LOOK_EVERY: Micros = 250 * MS;

/// What became of a run.
pub struct Outcome {
    pub broken: Option<String>,
    pub hash: u64,
    pub events: u64,
    pub faults: u64,
    pub acked: u64,
    pub waited: u64,
    pub promotions: u64,
    pub virtual_time: Micros,
    /// What happened, where a log was kept.
    pub log: Vec<String>,
}

impl Outcome {
    /// A run that ended in a panic, which has told about itself.
    pub fn panicked() -> Outcome {
        Outcome {
            broken: Some("by a panic".to_owned()),
            hash: 0,
            events: 0,
            faults: 0,
            acked: 0,
            waited: 0,
            promotions: 0,
            virtual_time: 0,
            log: Vec::new(),
        }
    }
}

/// Runs a plan.
pub fn run(plan: Plan, readable: bool) -> Outcome {
    let mut world = World::new(plan, readable);
    world.build();
    if world.broken.is_none() {
        world.suffer();
    }
    if world.broken.is_none() {
        world.recover();
    }
    if world.broken.is_none() {
        world.check_end();
    }
    Outcome {
        broken: world.broken.take(),
        hash: world.trace.hash(),
        events: world.trace.events(),
        faults: world.faults.count,
        acked: world.checks.acked_writes,
        waited: world.checks.waited_writes,
        promotions: world.checks.promotions,
        virtual_time: world.now,
        log: world.trace.take_lines(),
    }
}

impl World {
    /// Starts the machines and makes a cluster of them.
    pub fn build(&mut self) {
        self.start_all();
        if self.plan.by_meeting {
            let operator = self.operator();
            let builder = self.employ(operator.desk.clone(), Box::pin(operator.build()));
            let until = self.now + BUILD_MAX;
            if !self.run(until, |world| world.actors[builder].has_ended()) {
                self.fail(|| "the cluster could not be built".to_owned());
            }
        }
        self.await_health(BUILD_MAX);
    }

    /// Starts all machines; they know each other already unless they are to meet.
    pub fn start_all(&mut self) {
        if !self.plan.by_meeting {
            for (node, text) in self.plan.nodes_conf().into_iter().enumerate() {
                self.nodes[node].disk.replace(NODES_CONF, text.into_bytes(), true);
            }
        }
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }

    fn operator(&mut self) -> Operator {
        Operator {
            desk: Desk::new(self.rng.next_u64()),
            plan: Rc::new(self.plan.clone()),
            deeds: Deeds::clone(&self.deeds),
        }
    }

    /// Lets clients and the operator work while things go wrong.
    fn suffer(&mut self) {
        let until = self.now + self.plan.duration;
        self.plan.duration = until;
        self.faults.until = until;
        for number in 0..self.plan.clients {
            let desk = Desk::new(self.rng.next_u64());
            let client = Client {
                desk: desk.clone(),
                number,
                actor: self.actors.len(),
                claims: self.checks.claims.clone(),
                hosts: self.plan.members(),
                until,
                think: 40 * MS,
                owners: Default::default(),
            };
            self.employ(desk, Box::pin(client.work()));
        }
        if self.plan.operator {
            let operator = self.operator();
            self.employ(operator.desk.clone(), Box::pin(operator.work()));
        }
        self.plan(self.plan.fault_every, Event::Fault);
        self.run(until, |_| false);
    }

    /// Everything is mended; the operator brings to an end what is half done.
    fn recover(&mut self) {
        self.happen(Event::Heal);
        // Who was forgotten, and was not heard of everywhere, is let in again when the ban is over.
        let ban = if self.plan.purges { 60 * SEC } else { 0 };
        let patience = 30 * SEC + 10 * self.plan.node_timeout + ban;
        // Those outside finish what they are doing, and what they have asked for comes to its end: who is promised a shard
        // takes what it knows of it, and may not know yet that a slot has come.
        let until = self.now + patience;
        self.run(until, |world| {
            let mut engines = world.nodes.iter().filter_map(|machine| machine.engine());
            world.actors.iter().all(crate::actors::Actor::has_ended) && !engines.any(Engine::is_in_manual_failover)
        });
        let operator = self.operator();
        let fixer = self.employ(operator.desk.clone(), Box::pin(operator.fix()));
        let until = self.now + patience;
        if !self.run(until, |world| world.actors[fixer].has_ended()) {
            let trouble = self.trouble();
            return self.fail(|| format!("slots cannot be mended: {trouble:?}"));
        }
        self.await_health(patience);
    }

    /// Waits until all is well, for so long at most.
    pub fn await_health(&mut self, patience: Micros) {
        let until = self.now + patience;
        while self.broken.is_none() {
            let Some(trouble) = self.trouble() else { return };
            if self.now >= until {
                self.describe();
                return self.fail(|| format!("not well after {} ms: {trouble}", patience / MS));
            }
            let next = self.now + LOOK_EVERY;
            self.run(next, |_| false);
        }
    }

    /// Tells the log how every machine sees things.
    pub fn describe(&mut self) {
        for node in 0..self.nodes.len() {
            for line in ["CLUSTER NODES", "INFO replication"] {
                let told =
                    self.ask(node, line).and_then(|reply| reply.as_bytes().map(<[u8]>::to_vec)).unwrap_or_default();
                let now = self.now;
                self.trace.say(now, || format!("node {node}: {line}\n{}", String::from_utf8_lossy(&told)));
            }
        }
    }

    /// Takes note of what the operator has done.
    pub fn note_deeds(&mut self) {
        let deeds = std::mem::take(&mut self.deeds.borrow_mut().news);
        for deed in deeds {
            match deed {
                Deed::Moves(slot) => self.checks.touch(slot, self.now),
                Deed::Forces => self.checks.lossy = true,
            }
        }
    }
}
