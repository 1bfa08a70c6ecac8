//! Balance: give every primary its share of what slots cost (keys, memory, time), moving as little of it as can be.
//!
//! Slots are taken where a node has more than its share and go where one has less, never more at a time than both
//! can do with: so nothing is moved that would have to be moved again. They go as runs from the ends of a node's
//! ranges, as long as such runs are found, next to the taker's own ranges where that makes little difference; within
//! a zone before between zones. What is left, because slots cannot be divided, is settled slot by slot as long as that
//! brings the nodes nearer to their shares.
//!
//! In the end no single slot could be moved for the better: where one node is above its share and another one below,
//! the two are together off by less than the lightest slot of the former, or by what the slack allows.

mod least;

use std::collections::{BTreeMap, BTreeSet};

use super::Transfer;
use super::rebalance::{RebalanceError, exact_shares};
use crate::base::{NodeId, SLOTS, Slot};

/// A primary with what its slots cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Laden {
    pub id: NodeId,
    /// Empty where nobody knows.
    pub zone: String,
    /// Its part of the whole: finite and not negative.
    pub weight: f64,
    /// In ascending order of slots.
    pub slots: Vec<(Slot, u64)>,
}

/// Where one primary stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub id: NodeId,
    pub load: u64,
    pub share: f64,
    /// Its load when everything has been moved.
    pub after: u64,
}

impl Standing {
    /// Whether it is off its share by more than `threshold` percent of its load; one without any is off at any
    /// threshold.
    #[must_use]
    pub fn is_off(&self, threshold: f64) -> bool {
        match self.load {
            0 => self.share > 0.0,
            load => (100.0 - 100.0 * self.share / load as f64).abs() > threshold,
        }
    }
}

/// What is to be done, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Balanced {
    /// In the order the nodes were given.
    pub standings: Vec<Standing>,
    /// Empty when no node is off by more than the threshold, or when no slot can be moved for the better.
    pub transfers: Vec<Transfer>,
}

/// Ranges are broken up for what is more than this part of the threshold.
const SLACK_PART: f64 = 0.25;

/// The same with each zone for itself: no slot leaves its zone, however much heavier that is than the others.
pub fn plan_each_zone(nodes: &[Laden], threshold: f64) -> Result<Balanced, RebalanceError> {
    let zones: BTreeSet<&str> = nodes.iter().map(|node| node.zone.as_str()).collect();
    let mut whole = Balanced { standings: Vec::new(), transfers: Vec::new() };
    for zone in zones {
        let members: Vec<Laden> = nodes.iter().filter(|node| node.zone == zone).cloned().collect();
        let part = plan(&members, threshold)?;
        whole.standings.extend(part.standings);
        whole.transfers.extend(part.transfers);
    }
    let place = |standing: &Standing| nodes.iter().position(|node| node.id == standing.id);
    whole.standings.sort_by_key(place);
    Ok(whole)
}

/// Plans the moves, if any node is off by more than `threshold` percent.
pub fn plan(nodes: &[Laden], threshold: f64) -> Result<Balanced, RebalanceError> {
    let loads: Vec<u64> = nodes.iter().map(|node| node.slots.iter().map(|(_, load)| load).sum()).collect();
    let shares = shares(nodes, &loads)?;
    let mut standings: Vec<Standing> = nodes
        .iter()
        .zip(loads.iter().zip(&shares))
        .map(|(node, (&load, &share))| Standing { id: node.id, load, share, after: load })
        .collect();
    let must_go = nodes.iter().any(|node| node.weight == 0.0 && !node.slots.is_empty());
    if !must_go && !standings.iter().any(|standing| standing.is_off(threshold)) {
        return Ok(Balanced { standings, transfers: Vec::new() });
    }
    let mut work = Work::new(nodes, loads, shares, threshold / 100.0 * SLACK_PART);
    loop {
        work.move_runs();
        while work.move_one() {
            work.move_runs();
        }
        // What is handed out in another way may be brought nearer to the shares than it was.
        let has_changed = work.exchange_back();
        if !work.move_the_least() && !has_changed {
            break;
        }
    }
    work.empty_those_without_weight();
    for (standing, load) in standings.iter_mut().zip(&work.loads) {
        standing.after = *load;
    }
    Ok(Balanced { standings, transfers: work.transfers() })
}

fn shares(nodes: &[Laden], loads: &[u64]) -> Result<Vec<f64>, RebalanceError> {
    let total: u64 = loads.iter().sum();
    let weights: Vec<f64> = nodes.iter().map(|node| node.weight).collect();
    match exact_shares(&weights, usize::try_from(total).unwrap_or(usize::MAX)) {
        Some(shares) => Ok(shares),
        None if nodes.iter().all(|node| node.slots.is_empty()) => Ok(vec![0.0; nodes.len()]),
        None => Err(RebalanceError::NoWeight),
    }
}

/// Slots in a row that could go together, in the list of their owner.
struct Run {
    first: usize,
    count: usize,
    load: u64,
    /// It would join a range of the taker.
    joins: bool,
}

/// Who owns what while slots are given away.
struct Work<'n> {
    nodes: &'n [Laden],
    shares: Vec<f64>,
    loads: Vec<u64>,
    /// What each node owns by now, in ascending order of slots.
    owned: Vec<Vec<(Slot, u64)>>,
    /// The owner of each slot, by place.
    owner: Vec<Option<usize>>,
    /// How far from its share a node may be before its ranges are broken up, as a part of the share.
    slack: f64,
    /// Less than this is nothing: floating point is not exact.
    nothing: f64,
}

impl<'n> Work<'n> {
    fn new(nodes: &'n [Laden], loads: Vec<u64>, shares: Vec<f64>, slack: f64) -> Work<'n> {
        let mut owner = vec![None; SLOTS];
        for (at, node) in nodes.iter().enumerate() {
            for (slot, _) in &node.slots {
                owner[slot.index()] = Some(at);
            }
        }
        let nothing = loads.iter().sum::<u64>() as f64 * 1e-9;
        let owned = nodes.iter().map(|node| node.slots.clone()).collect();
        Work { nodes, shares, loads, owned, owner, slack, nothing }
    }

    fn surplus(&self, node: usize) -> f64 {
        self.loads[node] as f64 - self.shares[node]
    }

    /// Nodes above their share (`sign` 1) or below it (-1) with the difference, the greatest first.
    fn ranked(&self, sign: f64) -> Vec<(f64, usize)> {
        let differing = (0..self.nodes.len()).map(|node| (sign * self.surplus(node), node));
        let mut ranked: Vec<(f64, usize)> = differing.filter(|(off, _)| *off > self.nothing).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked
    }

    fn is_within_slack(&self, node: usize) -> bool {
        self.surplus(node).abs() <= self.shares[node] * self.slack
    }

    fn same_zone(&self, a: usize, b: usize) -> bool {
        self.nodes[a].zone == self.nodes[b].zone
    }

    /// Moves runs that fit both sides until there are none.
    fn move_runs(&mut self) {
        for within_zone in [true, false] {
            while let Some((from, to, run)) = self.next_run(within_zone) {
                self.give(from, to, run.first, run.count);
            }
        }
    }

    fn next_run(&self, within_zone: bool) -> Option<(usize, usize, Run)> {
        let takers = self.ranked(-1.0);
        for (surplus, from) in self.ranked(1.0) {
            let taker = takers.iter().find(|(_, to)| !within_zone || self.same_zone(from, *to));
            let Some(&(deficit, to)) = taker else { continue };
            if self.is_within_slack(from) && self.is_within_slack(to) {
                continue;
            }
            // Whoever needs less could not take what is too much for the neediest.
            if let Some(run) = self.best_run(from, to, surplus.min(deficit)) {
                return Some((from, to, run));
            }
        }
        None
    }

    /// What fits into `room` best.
    fn best_run(&self, from: usize, to: usize, room: f64) -> Option<Run> {
        let slots = &self.owned[from];
        let mut best: Option<Run> = None;
        let mut start = 0;
        while start < slots.len() {
            let mut end = start + 1;
            while end < slots.len() && slots[end].0.get() == slots[end - 1].0.get() + 1 {
                end += 1;
            }
            let forwards = self.run(from, to, room, start..end, false);
            let backwards = self.run(from, to, room, start..end, true);
            for run in [forwards, backwards].into_iter().flatten() {
                if best.as_ref().is_none_or(|known| is_better(&run, known, room)) {
                    best = Some(run);
                }
            }
            start = end;
        }
        best.or_else(|| self.single(from, room))
    }

    /// The longest run from one end of a range that fits and is worth moving.
    fn run(&self, from: usize, to: usize, room: f64, range: std::ops::Range<usize>, backwards: bool) -> Option<Run> {
        let slots = &self.owned[from];
        let (mut load, mut count, mut taken) = (0, 0, (0, 0));
        let length = range.len();
        while count < length {
            let at = if backwards { range.end - 1 - count } else { range.start + count };
            let slot = slots[at].1;
            if (load + slot) as f64 > room {
                break;
            }
            load += slot;
            count += 1;
            if slot > 0 {
                taken = (count, load);
            }
        }
        let (count, load) = taken;
        if count == 0 {
            return None;
        }
        let first = if backwards { range.end - count } else { range.start };
        let is_takers = |slot: Option<u16>| slot.and_then(Slot::new).is_some_and(|s| self.owner[s.index()] == Some(to));
        let (low, high) = (slots[first].0.get(), slots[first + count - 1].0.get());
        let joins = is_takers(low.checked_sub(1)) || is_takers(high.checked_add(1));
        Some(Run { first, count, load, joins })
    }

    /// The heaviest slot that fits, from within a range.
    fn single(&self, from: usize, room: f64) -> Option<Run> {
        let slots = self.owned[from].iter().enumerate();
        let fitting = slots.filter(|(_, (_, load))| *load > 0 && *load as f64 <= room);
        let (first, &(_, load)) = fitting.max_by_key(|&(at, (_, load))| (*load, std::cmp::Reverse(at)))?;
        Some(Run { first, count: 1, load, joins: false })
    }

    /// Moves the one slot that brings the nodes nearest to their shares, though it is too much for one side of it.
    fn move_one(&mut self) -> bool {
        let takers = self.ranked(-1.0);
        let mut best: Option<(f64, usize, usize, usize)> = None;
        for (surplus, from) in self.ranked(1.0) {
            // Lighter ones fit nobody, or they would have been moved as runs.
            let slots = self.owned[from].iter().enumerate().filter(|(_, (_, load))| *load > 0);
            let Some((at, &(_, load))) = slots.min_by_key(|&(at, (_, load))| (*load, at)) else { continue };
            let load = load as f64;
            for &(deficit, to) in &takers {
                if self.is_within_slack(from) && self.is_within_slack(to) {
                    continue;
                }
                let gain = surplus + deficit - (surplus - load).abs() - (deficit - load).abs();
                if gain > self.nothing && best.is_none_or(|(known, ..)| gain > known) {
                    best = Some((gain, from, to, at));
                }
            }
        }
        let Some((_, from, to, at)) = best else { return false };
        self.give(from, to, at, 1);
        true
    }

    fn give(&mut self, from: usize, to: usize, first: usize, count: usize) {
        let given: Vec<(Slot, u64)> = self.owned[from].drain(first..first + count).collect();
        let load: u64 = given.iter().map(|(_, load)| load).sum();
        self.loads[from] -= load;
        self.loads[to] += load;
        for (slot, _) in &given {
            self.owner[slot.index()] = Some(to);
        }
        let at = self.owned[to].partition_point(|(slot, _)| *slot < given[0].0);
        self.owned[to].splice(at..at, given);
        // A run may surround slots that the taker has already.
        self.owned[to].sort_unstable_by_key(|(slot, _)| *slot);
    }

    /// Slots that cost nothing have to leave such nodes, too: they go to a neighbour, or to whoever has the least.
    fn empty_those_without_weight(&mut self) {
        let fullness = |work: &Work<'_>, node: usize| (work.loads[node] as f64 / work.nodes[node].weight, node);
        for from in (0..self.nodes.len()).filter(|&node| self.nodes[node].weight == 0.0) {
            while let Some(&(slot, _)) = self.owned[from].first() {
                let before = slot.get().checked_sub(1).and_then(Slot::new).and_then(|slot| self.owner[slot.index()]);
                let takes = |node: &usize| self.nodes[*node].weight > 0.0;
                let least = (0..self.nodes.len())
                    .filter(takes)
                    .map(|node| fullness(self, node))
                    .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let Some(to) = before.filter(takes).or(least.map(|(_, node)| node)) else { return };
                self.give(from, to, 0, 1);
            }
        }
    }

    /// Two nodes may have ended with what was the other's: where they could as well change places, so that more stays where
    /// it was, they do. Whether any did.
    fn exchange_back(&mut self) -> bool {
        let count = self.nodes.len();
        let mut origin = vec![0; SLOTS];
        for (at, node) in self.nodes.iter().enumerate() {
            node.slots.iter().for_each(|(slot, _)| origin[slot.index()] = at);
        }
        // What each node has by now that was each other's, and its own.
        let mut held = vec![vec![0u64; count]; count];
        for (at, slots) in self.owned.iter().enumerate() {
            slots.iter().for_each(|(slot, load)| held[at][origin[slot.index()]] += load);
        }
        let pairs = || (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)));
        let mut has_changed = false;
        while let Some((a, b)) = pairs().find(|&(a, b)| {
            let more_stays = held[a][b] + held[b][a] > held[a][a] + held[b][b];
            more_stays && self.could_exchange(a, b)
        }) {
            has_changed = true;
            held.swap(a, b);
            self.owned.swap(a, b);
            self.loads.swap(a, b);
            for at in [a, b] {
                self.owned[at].iter().for_each(|(slot, _)| self.owner[slot.index()] = Some(at));
            }
        }
        has_changed
    }

    /// Whether two nodes would be as near to their shares with what the other has.
    fn could_exchange(&self, a: usize, b: usize) -> bool {
        let off = |node: usize, load: u64| (load as f64 - self.shares[node]).abs();
        let (now, then) =
            (off(a, self.loads[a]) + off(b, self.loads[b]), off(a, self.loads[b]) + off(b, self.loads[a]));
        let both_may_own = self.nodes[a].weight > 0.0 && self.nodes[b].weight > 0.0;
        both_may_own && self.same_zone(a, b) && then <= now + self.nothing
    }

    /// Where few slots cost anything, the way that moves the least of all is taken. Whether it was another one.
    fn move_the_least(&mut self) -> bool {
        let loaded = |(at, node): (usize, &'n Laden)| {
            node.slots.iter().filter(|(_, load)| *load > 0).map(move |&(slot, load)| (slot, at, load))
        };
        let slots: Vec<(Slot, usize, u64)> = self.nodes.iter().enumerate().flat_map(loaded).collect();
        let planned = |slot: Slot, home| self.owner[slot.index()].unwrap_or(home);
        let piece = |&(slot, home, load)| least::Piece { load, home, planned: planned(slot, home) };
        let pieces: Vec<least::Piece> = slots.iter().map(piece).collect();
        let zone = |node: &Laden| self.nodes.iter().position(|other| other.zone == node.zone).unwrap_or(0);
        let question = least::Question {
            shares: &self.shares,
            takes: &self.nodes.iter().map(|node| node.weight > 0.0).collect::<Vec<_>>(),
            zones: &self.nodes.iter().map(zone).collect::<Vec<_>>(),
            nothing: self.nothing,
        };
        let Some(owners) = least::moves(&pieces, &question) else { return false };
        for ((&(slot, ..), piece), owner) in slots.iter().zip(&pieces).zip(owners) {
            if owner != piece.planned {
                let at = self.owned[piece.planned].partition_point(|(known, _)| *known < slot);
                self.give(piece.planned, owner, at, 1);
            }
        }
        true
    }

    /// What changed hands, by who gave and who took.
    fn transfers(&self) -> Vec<Transfer> {
        let mut transfers: BTreeMap<(usize, usize), Vec<Slot>> = BTreeMap::new();
        for (from, node) in self.nodes.iter().enumerate() {
            for (slot, _) in &node.slots {
                if let Some(to) = self.owner[slot.index()].filter(|to| *to != from) {
                    transfers.entry((from, to)).or_default().push(*slot);
                }
            }
        }
        let id = |node: usize| self.nodes[node].id;
        transfers.into_iter().map(|((from, to), slots)| Transfer { from: id(from), to: id(to), slots }).collect()
    }
}

/// Whether a run is better than another one: it fills clearly more of the room, or as much and joins a range.
fn is_better(run: &Run, known: &Run, room: f64) -> bool {
    let filled = |run: &Run| (run.load as f64 / room * 16.0) as u64;
    (filled(run), run.joins, run.load) > (filled(known), known.joins, known.load)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::moves;
    use super::super::testkit::id;
    use super::*;

    /// Nodes whose slots cost that much, dealt out in ascending order.
    fn laden(nodes: &[(f64, &[u64])]) -> Vec<Laden> {
        let mut slots = Slot::all();
        let node = |(n, (weight, loads)): (usize, &(f64, &[u64]))| Laden {
            id: id(n),
            zone: String::new(),
            weight: *weight,
            slots: slots.by_ref().zip(loads.iter().copied()).collect(),
        };
        nodes.iter().enumerate().map(node).collect()
    }

    fn told(plan: &Balanced) -> Vec<(NodeId, NodeId, Vec<u16>)> {
        let slots = |transfer: &Transfer| transfer.slots.iter().map(|slot| slot.get()).collect();
        plan.transfers.iter().map(|transfer| (transfer.from, transfer.to, slots(transfer))).collect()
    }

    #[test]
    fn a_run_next_to_the_taker_goes() {
        let nodes = laden(&[(1.0, &[5, 5, 5, 5, 5, 5]), (1.0, &[5, 5])]);
        let plan = plan(&nodes, 2.0).unwrap();
        assert_eq!(told(&plan), [(id(0), id(1), vec![4, 5])]);
        assert_eq!(plan.standings.iter().map(|standing| standing.after).collect::<Vec<_>>(), [20, 20]);
    }

    #[test]
    fn slots_that_cost_nothing_stay_unless_they_lie_between() {
        let nodes = laden(&[(1.0, &[0, 0, 9, 0, 1, 0, 10, 0]), (1.0, &[])]);
        assert_eq!(told(&plan(&nodes, 2.0).unwrap()), [(id(0), id(1), vec![0, 1, 2, 3, 4])]);
        let nodes = laden(&[(0.0, &[0, 0]), (1.0, &[3])]);
        assert_eq!(told(&plan(&nodes, 2.0).unwrap()), [(id(0), id(1), vec![0, 1])], "no weight, no slots");
    }

    #[test]
    fn a_zone_is_balanced_for_itself() {
        let mut nodes = laden(&[(1.0, &[5, 5, 5, 5]), (1.0, &[1, 1]), (1.0, &[]), (1.0, &[])]);
        for (node, zone) in nodes.iter_mut().zip(["x", "y", "x", "y"]) {
            node.zone = zone.to_owned();
        }
        let plan = plan_each_zone(&nodes, 2.0).unwrap();
        assert_eq!(plan.standings.iter().map(|standing| standing.after).collect::<Vec<_>>(), [10, 1, 10, 1]);
        let ways: Vec<_> = plan.transfers.iter().map(|transfer| (transfer.from, transfer.to)).collect();
        assert_eq!(ways, [(id(0), id(2)), (id(1), id(3))]);
    }

    #[test]
    fn one_hot_slot_stays_alone() {
        let nodes = laden(&[(1.0, &[100, 1, 1]), (1.0, &[2])]);
        assert_eq!(told(&plan(&nodes, 2.0).unwrap()), [(id(0), id(1), vec![1, 2])]);
        let nodes = laden(&[(1.0, &[100]), (1.0, &[2])]);
        assert!(plan(&nodes, 2.0).unwrap().transfers.is_empty(), "moving it would only turn things round");
    }

    #[test]
    fn zones_keep_what_they_can() {
        let mut nodes = laden(&[(1.0, &[10; 4]), (1.0, &[10; 4]), (1.0, &[10; 2]), (1.0, &[10; 2])]);
        for (node, zone) in nodes.iter_mut().zip(["a", "b", "b", "a"]) {
            node.zone = zone.to_owned();
        }
        let plan = plan(&nodes, 2.0).unwrap();
        let pairs: Vec<_> = plan.transfers.iter().map(|transfer| (transfer.from, transfer.to)).collect();
        assert_eq!(pairs, [(id(0), id(3)), (id(1), id(2))]);
    }

    #[test]
    fn within_the_threshold_nothing_moves() {
        let nodes = laden(&[(1.0, &[51, 50]), (1.0, &[50, 49])]);
        assert!(plan(&nodes, 2.0).unwrap().transfers.is_empty());
        assert!(plan(&laden(&[(0.0, &[1])]), 2.0).is_err(), "nobody may take it");
        assert!(plan(&[], 2.0).unwrap().transfers.is_empty());
    }

    #[test]
    fn a_whole_cluster_is_planned_with_few_pieces() {
        let each: Vec<u64> = (0..16_384u64).map(|n| n * 7919 % 101).collect();
        let nodes = laden(&[(1.0, &each[..5461]), (1.0, &each[5461..10_922]), (1.0, &each[10_922..]), (1.0, &[])]);
        let plan = plan(&nodes, 2.0).unwrap();
        assert!(plan.standings.iter().all(|standing| (standing.after as f64 / standing.share - 1.0).abs() < 0.005));
        let pieces: usize = plan
            .transfers
            .iter()
            .map(|transfer| transfer.slots.iter().copied().collect::<super::super::SlotSet>().ranges().len())
            .sum();
        assert_eq!(pieces, 3, "one from each");
    }

    fn imbalance(loads: &[u64], shares: &[f64]) -> f64 {
        loads.iter().zip(shares).map(|(load, share)| (*load as f64 - share).abs()).sum()
    }

    /// The least load that has to move for the nodes to be as near to their shares as `wanted`, over every way to
    /// hand out the slots.
    fn least_moved(nodes: &[Laden], shares: &[f64], wanted: f64) -> u64 {
        let slots: Vec<(usize, u64)> = nodes
            .iter()
            .enumerate()
            .flat_map(|(at, node)| node.slots.iter().map(move |(_, load)| (at, *load)))
            .collect();
        let ways = nodes.len().pow(slots.len() as u32);
        let mut least = u64::MAX;
        for way in 0..ways {
            let (mut way, mut moved, mut loads) = (way, 0, vec![0; nodes.len()]);
            for (owner, load) in &slots {
                let to = way % nodes.len();
                way /= nodes.len();
                loads[to] += load;
                moved += if to == *owner { 0 } else { *load };
            }
            if imbalance(&loads, shares) <= wanted + 1e-6 {
                least = least.min(moved);
            }
        }
        least
    }

    #[test]
    fn nodes_do_not_take_what_was_the_others() {
        let nodes = laden(&[(1.0, &[4, 8, 8][..]), (1.0, &[6]), (1.0, &[3])]);
        let plan = plan(&nodes, 0.0).unwrap();
        let took: Vec<usize> = plan.transfers.iter().map(|transfer| transfer.slots.len()).collect();
        assert_eq!((took, plan.transfers.iter().all(|step| step.from == nodes[0].id)), (vec![1, 1], true));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn shares_are_met_as_far_as_slots_allow(
            nodes in prop::collection::vec((prop_oneof![Just(0.0), Just(1.0), 0.1f64..8.0], prop::collection::vec(0u64..1000, 0..60)), 1..6),
        ) {
            let mut nodes: Vec<(f64, &[u64])> = nodes.iter().map(|(weight, loads)| (*weight, &loads[..])).collect();
            nodes[0].0 = nodes[0].0.max(0.5);
            let nodes = laden(&nodes);
            let plan = plan(&nodes, 0.0).unwrap();
            let mut owned: Vec<BTreeMap<Slot, u64>> = nodes.iter().map(|node| node.slots.iter().copied().collect()).collect();
            let at = |id: NodeId| nodes.iter().position(|node| node.id == id).unwrap();
            for step in plan.transfers.iter().flat_map(moves) {
                let load = owned[at(step.from)].remove(&step.slot).expect("it is at its source, once");
                prop_assert!(owned[at(step.to)].insert(step.slot, load).is_none());
            }
            for (held, standing) in owned.iter().zip(&plan.standings) {
                prop_assert_eq!(held.values().sum::<u64>(), standing.after);
            }
            for (node, held) in nodes.iter().zip(&owned) {
                prop_assert!(node.weight > 0.0 || held.is_empty());
            }
            let off = |n: usize| plan.standings[n].after as f64 - plan.standings[n].share;
            for (over, held) in owned.iter().enumerate() {
                let Some(lightest) = held.values().copied().filter(|load| *load > 0).min() else { continue };
                for under in 0..nodes.len() {
                    if off(over) > 1e-3 && off(under) < -1e-3 {
                        prop_assert!(off(over) - off(under) <= lightest as f64 + 1e-3);
                    }
                }
            }
        }

        #[test]
        fn no_more_is_moved_than_has_to_be(
            owners in prop::collection::vec((0usize..3, 1u64..10), 1..9),
        ) {
            let mut loads: Vec<Vec<u64>> = vec![Vec::new(); 3];
            for (owner, load) in owners {
                loads[owner].push(load);
            }
            let nodes = laden(&loads.iter().map(|loads| (1.0, &loads[..])).collect::<Vec<_>>());
            let plan = plan(&nodes, 0.0).unwrap();
            let shares: Vec<f64> = plan.standings.iter().map(|standing| standing.share).collect();
            let after: Vec<u64> = plan.standings.iter().map(|standing| standing.after).collect();
            let load_of = |slot: Slot| nodes.iter().flat_map(|node| &node.slots).find(|(known, _)| *known == slot).unwrap().1;
            let moved: u64 = plan.transfers.iter().flat_map(moves).map(|step| load_of(step.slot)).sum();
            let least = least_moved(&nodes, &shares, imbalance(&after, &shares));
            prop_assert_eq!(moved, least);
        }
    }
}
