//! Which transfers may run at the same time.
//!
//! MIGRATE blocks its source, so a source does one transfer at a time. A target waits for its source half
//! of the time, so it takes from two. A node is never both at once: two nodes that send to each other
//! would each block while waiting for the other one.

use std::collections::{HashMap, VecDeque};

use super::Job;
use crate::base::NodeId;

const SOURCES_PER_TARGET: usize = 2;

/// The jobs that wait, and the roles of the nodes that are busy.
pub struct Schedule {
    pairs: Vec<(NodeId, NodeId)>,
    waiting: VecDeque<usize>,
    sending: HashMap<NodeId, usize>,
    receiving: HashMap<NodeId, usize>,
}

impl Schedule {
    pub fn new(jobs: &[Job]) -> Schedule {
        Schedule {
            pairs: jobs.iter().map(|job| (job.from, job.to)).collect(),
            waiting: (0..jobs.len()).collect(),
            sending: HashMap::new(),
            receiving: HashMap::new(),
        }
    }

    /// The first waiting job that can run beside those that run; it counts as running from now on.
    pub fn next(&mut self) -> Option<usize> {
        let position = self.waiting.iter().position(|&index| self.may_run(index))?;
        let index = self.waiting.remove(position)?;
        let (from, to) = self.pairs[index];
        *self.sending.entry(from).or_default() += 1;
        *self.receiving.entry(to).or_default() += 1;
        Some(index)
    }

    pub fn done(&mut self, index: usize) {
        let (from, to) = self.pairs[index];
        for (roles, node) in [(&mut self.sending, from), (&mut self.receiving, to)] {
            *roles.get_mut(&node).expect("it was running") -= 1;
        }
    }

    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn may_run(&self, index: usize) -> bool {
        let (from, to) = self.pairs[index];
        let count = |roles: &HashMap<NodeId, usize>, node| roles.get(&node).copied().unwrap_or(0);
        count(&self.sending, from) == 0
            && count(&self.receiving, from) == 0
            && count(&self.sending, to) == 0
            && count(&self.receiving, to) < SOURCES_PER_TARGET
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    fn schedule(pairs: &[(char, char)]) -> Schedule {
        let id = |letter: char| NodeId::parse(&[letter as u8; 40]).unwrap();
        let jobs: Vec<Job> = pairs
            .iter()
            .map(|&(from, to)| Job {
                from: id(from),
                to: id(to),
                slots: Vec::new(),
                scope: Scope::Slots,
                half_moved: false,
            })
            .collect();
        Schedule::new(&jobs)
    }

    fn running(schedule: &mut Schedule) -> Vec<usize> {
        std::iter::from_fn(|| schedule.next()).collect()
    }

    #[test]
    fn a_source_does_one_thing_and_a_target_two() {
        let mut all = schedule(&[('a', 'd'), ('b', 'd'), ('c', 'd'), ('a', 'e')]);
        assert_eq!(running(&mut all), [0, 1]);
        all.done(0);
        assert_eq!(running(&mut all), [2, 3]);
        assert!(!all.has_waiting());
    }

    #[test]
    fn nodes_never_wait_for_each_other() {
        let mut ring = schedule(&[('a', 'b'), ('b', 'c'), ('c', 'a')]);
        assert_eq!(running(&mut ring), [0]);
        ring.done(0);
        assert_eq!(running(&mut ring), [1]);
        ring.done(1);
        assert_eq!(running(&mut ring), [2]);
    }
}
