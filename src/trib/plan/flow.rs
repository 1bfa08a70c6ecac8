//! Flows of least cost: who goes where when places are few and some are worse than others.
//!
//! Every unit takes the cheapest way that is left, ways that push others aside included, so what comes out is
//! the best there is and not just a good one. Costs may be negative; there must be no circle of negative cost at
//! the start. The same network always gives the same flow.

use std::collections::VecDeque;

/// Wide enough to rank several wishes in one number, however many nodes there are.
pub type Cost = i128;

/// An arc, named by the place it was added at.
pub type ArcId = usize;

struct Arc {
    to: usize,
    /// What may still flow.
    room: usize,
    cost: Cost,
}

/// A network of vertices, numbered from 0, and arcs.
pub struct Flow {
    /// Every arc is followed by its reverse.
    arcs: Vec<Arc>,
    from: Vec<Vec<usize>>,
}

impl Flow {
    #[must_use]
    pub fn new(vertices: usize) -> Flow {
        Flow { arcs: Vec::new(), from: vec![Vec::new(); vertices] }
    }

    /// An arc on which up to `room` units may flow, each at `cost`.
    pub fn arc(&mut self, from: usize, to: usize, room: usize, cost: Cost) -> ArcId {
        let id = self.arcs.len();
        self.from[from].push(id);
        self.from[to].push(id + 1);
        self.arcs.push(Arc { to, room, cost });
        self.arcs.push(Arc { to: from, room: 0, cost: -cost });
        id
    }

    /// Sends up to `units` from `source` to `sink` at the least cost; how many found a way.
    pub fn send(&mut self, source: usize, sink: usize, units: usize) -> usize {
        let mut sent = 0;
        while sent < units
            && let Some(way) = self.cheapest_way(source, sink)
        {
            let room = way.iter().map(|&arc| self.arcs[arc].room).min().unwrap_or(0).min(units - sent);
            for arc in way {
                self.arcs[arc].room -= room;
                self.arcs[arc ^ 1].room += room;
            }
            sent += room;
        }
        sent
    }

    /// How much flows on an arc.
    #[must_use]
    pub fn on(&self, arc: ArcId) -> usize {
        self.arcs[arc ^ 1].room
    }

    /// The arcs of the cheapest way, by relaxing what has changed until nothing does.
    fn cheapest_way(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut cost: Vec<Option<Cost>> = vec![None; self.from.len()];
        let mut by: Vec<usize> = vec![usize::MAX; self.from.len()];
        let mut is_waiting = vec![false; self.from.len()];
        let mut waiting = VecDeque::from([source]);
        cost[source] = Some(0);
        while let Some(at) = waiting.pop_front() {
            is_waiting[at] = false;
            let Some(so_far) = cost[at] else { continue };
            for &id in &self.from[at] {
                let arc = &self.arcs[id];
                let total = so_far + arc.cost;
                if arc.room == 0 || cost[arc.to].is_some_and(|known| known <= total) {
                    continue;
                }
                cost[arc.to] = Some(total);
                by[arc.to] = id;
                if !std::mem::replace(&mut is_waiting[arc.to], true) {
                    waiting.push_back(arc.to);
                }
            }
        }
        cost[sink]?;
        let mut way = Vec::new();
        let mut at = sink;
        while at != source {
            way.push(by[at]);
            at = self.arcs[by[at] ^ 1].to;
        }
        Some(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_unit_pushes_an_earlier_one_aside() {
        // Two workers, two places: the first fits both, the second only the first one's favourite.
        let mut flow = Flow::new(6);
        flow.arc(0, 1, 1, 0);
        flow.arc(0, 2, 1, 0);
        let favourite = flow.arc(1, 3, 1, 1);
        let other = flow.arc(1, 4, 1, 5);
        let only = flow.arc(2, 3, 1, 2);
        flow.arc(3, 5, 1, 0);
        flow.arc(4, 5, 1, 0);
        assert_eq!(flow.send(0, 5, 10), 2);
        assert_eq!((flow.on(favourite), flow.on(other), flow.on(only)), (0, 1, 1));
    }

    #[test]
    fn what_has_no_way_stays() {
        let mut flow = Flow::new(3);
        flow.arc(0, 1, 3, 1);
        assert_eq!(flow.send(0, 2, 3), 0);
        let arc = flow.arc(1, 2, 2, -4);
        assert_eq!(flow.send(0, 2, 3), 2);
        assert_eq!(flow.on(arc), 2);
    }
}
