//! What goes wrong, and when.

use trib::base::Rng;

use crate::plan::{Mood, Plan};
use crate::queue::{MS, Micros, SEC};
use crate::world::{Event, World};

pub struct Faults {
    rng: Rng,
    /// No more faults after this moment.
    pub until: Micros,
    pub count: u64,
}

impl Faults {
    pub fn new(plan: &Plan, seed: u64) -> Faults {
        Faults { rng: Rng::seeded(seed), until: plan.duration, count: 0 }
    }
}

impl World {
    /// Something goes wrong, and the next thing is planned.
    pub fn fault(&mut self) {
        if self.now >= self.faults.until {
            return;
        }
        let after = self.faults.rng.below(2 * self.plan.fault_every) + MS;
        self.plan(after, Event::Fault);
        self.faults.count += 1;
        match self.plan.mood {
            Mood::Calm => self.harmless_fault(),
            Mood::Rough => self.any_fault(),
        }
    }

    fn some_node(&mut self) -> usize {
        self.faults.rng.below(self.nodes.len() as u64) as usize
    }

    /// How long a trouble lasts: often shorter than the node timeout, often longer. Where the operator is rash it lasts so
    /// long that there is time for mistakes.
    fn some_time(&mut self) -> Micros {
        let most = if self.plan.rash { 6 } else { 3 };
        50 * MS + self.faults.rng.below(self.plan.node_timeout * most)
    }

    /// What no acknowledged write may be lost by.
    fn harmless_fault(&mut self) {
        match self.faults.rng.below(4) {
            0 => self.jump_clock(),
            1 => self.break_connection(true),
            2 => self.break_connection(false),
            _ => {
                let (node, most) = (self.some_node(), self.plan.node_timeout / 20);
                let delay = self.faults.rng.below(most);
                self.net.slow_down(node, delay);
            }
        }
    }

    fn any_fault(&mut self) {
        let node = self.some_node();
        let time = self.some_time();
        match self.faults.rng.below(16) {
            0 | 1 => {
                self.crash(node);
                self.plan(time, Event::Restart { node });
            }
            2 => {
                self.power_off(node);
                self.plan(time, Event::Restart { node });
            }
            3 => {
                // In the midst of what it is doing: between a save and what the save protects, for one.
                let acts = self.faults.rng.below(60) as u32;
                self.nodes[node].doom = Some(acts);
                self.plan(time, Event::Restart { node });
            }
            4 | 5 => {
                self.pause(node);
                self.plan(time, Event::Resume { node });
            }
            6 => self.cut_off(node, time),
            7 | 8 => self.split(time),
            9 => {
                let to = self.some_node();
                self.net.block(node, to);
                self.mend_after(time);
            }
            10 => {
                let delay = self.faults.rng.below(400 * MS);
                self.net.slow_down(node, delay);
                self.mend_after(time);
            }
            11 => self.stall(time),
            12 => self.break_connection(false),
            _ => self.harmless_fault(),
        }
    }

    fn mend_after(&mut self, time: Micros) {
        self.plan(time, Event::Mend);
    }

    /// The network is whole again.
    pub fn mend(&mut self) {
        self.net.heal();
        self.plan_release(MS);
    }

    fn cut_off(&mut self, node: usize, time: Micros) {
        let mut groups = vec![0; self.net.hosts()];
        groups[node] = 1;
        let now = self.now;
        self.trace.say(now, || format!("node {node} is cut off for {} ms", time / MS));
        self.net.partition(groups);
        self.mend_after(time);
    }

    fn split(&mut self, time: Micros) {
        let parts = 2 + self.faults.rng.below(2);
        let groups: Vec<u32> = (0..self.net.hosts()).map(|_| self.faults.rng.below(parts) as u32).collect();
        let now = self.now;
        self.trace.say(now, || format!("the network falls into {groups:?} for {} ms", time / MS));
        self.net.partition(groups);
        self.mend_after(time);
    }

    fn stall(&mut self, time: Micros) {
        let until = self.now + time;
        if let Some(end) = self.net.pick(self.nodes.len(), &mut self.faults.rng) {
            self.net.stall(end, until);
            self.plan_release(time + MS);
        }
    }

    /// A connection between two machines breaks: both ends learn of it, or only one.
    fn break_connection(&mut self, both: bool) {
        let Some(end) = self.net.pick(self.nodes.len(), &mut self.faults.rng) else { return };
        let ends = if both { vec![end, end.other()] } else { vec![end] };
        for end in ends {
            let Some((host, role)) = self.net.owner(end) else { continue };
            // A process that stands still hears of it when it sends something.
            if self.nodes[host].is_running() {
                self.net.kill(end);
                self.lost(host, role);
            }
        }
    }

    fn jump_clock(&mut self) {
        let node = self.some_node();
        let size = self.faults.rng.below(120 * SEC) as i64;
        let forward = self.faults.rng.below(2) == 0;
        self.nodes[node].clock.jump(if forward { size } else { -size });
    }
}
