//! Processes end, stand still and begin again; machines lose their power.

use crate::net::Item;
use crate::queue::{MS, SEC};
use crate::world::World;

impl World {
    /// The process ends at once; the system closes its connections.
    pub fn crash(&mut self, node: usize) {
        let now = self.now;
        self.trace.say(now, || format!("node {node} is killed"));
        self.end(node, true);
    }

    /// The machine goes dark: nobody is told, and what was not durable is gone.
    pub fn power_off(&mut self, node: usize) {
        let now = self.now;
        self.trace.say(now, || format!("node {node} loses its power"));
        self.end(node, false);
        let machine = &mut self.nodes[node];
        machine.powered = false;
        machine.disk.power_failure(&mut self.rng);
    }

    fn end(&mut self, node: usize, tell: bool) {
        let machine = &mut self.nodes[node];
        machine.life += 1;
        machine.paused = false;
        machine.waiting.clear();
        machine.doom = None;
        let Some(process) = machine.process.take() else { return };
        for end in process.ends() {
            if tell {
                self.send(end, Item::Reset);
            }
            self.net.kill(end);
        }
        self.checks.dataset_replaced(node);
    }

    /// The machine has power, and a process begins unless there is one.
    pub fn restart(&mut self, node: usize) {
        self.nodes[node].powered = true;
        if self.nodes[node].process.is_none() {
            self.start(node);
        }
    }

    pub fn pause(&mut self, node: usize) {
        let now = self.now;
        if self.nodes[node].process.is_some() {
            self.trace.say(now, || format!("node {node} stands still"));
            self.nodes[node].paused = true;
        }
    }

    pub fn resume(&mut self, node: usize) {
        let now = self.now;
        if std::mem::take(&mut self.nodes[node].paused) {
            self.trace.say(now, || format!("node {node} goes on"));
            self.go_on(node);
        }
    }

    /// Everything is mended: the network is whole, all machines run.
    pub fn heal(&mut self) {
        let now = self.now;
        self.trace.say(now, || "everything heals".to_owned());
        self.net.heal();
        self.plan_release(MS);
        self.plan_release(SEC);
        for node in 0..self.nodes.len() {
            self.nodes[node].doom = None;
            self.resume(node);
            self.restart(node);
        }
    }
}
