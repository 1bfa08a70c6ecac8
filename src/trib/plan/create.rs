//! Which nodes of a new cluster become primaries, which slots they get, and who replicates whom.
//!
//! Nodes are taken host by host in turn, so that primaries spread over hosts; the first ones are the
//! primaries, in slot order, and the others replicate them in order. Where several hosts take part the
//! replicas are then exchanged until no exchange makes the cluster safer against the loss of a host. The
//! same input always gives the same plan: on one host nothing is ever exchanged.

use std::collections::BTreeMap;

use super::spread::{self, Place, Violations};
use crate::base::{SLOTS, Slot};
use crate::trib::addr::Addr;

/// Fewer primaries cannot elect a successor of a failed one.
pub const PRIMARIES_MIN: usize = 3;

/// A new cluster. Nodes are named by their place in the list given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePlan {
    pub primaries: Vec<PlannedPrimary>,
    /// Grouped by primary for the replicas asked for, then those beyond that.
    pub replicas: Vec<PlannedReplica>,
    /// Whether the order given had to be looked at for the loss of a host at all.
    pub affinity_tried: bool,
    pub affinity: Affinity,
    /// What is left to be wished for, where the nodes were spread over hosts or zones.
    pub spread: Option<Violations>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedPrimary {
    pub node: usize,
    pub first: Slot,
    pub last: Slot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedReplica {
    pub node: usize,
    /// Place of the primary's node in the list given.
    pub primary: usize,
    /// Beyond the number asked for: the nodes did not divide evenly.
    pub extra: bool,
}

/// What the loss of one host can take away, in the plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Affinity {
    /// Replicas on the host of their own primary.
    pub with_primary: usize,
    /// Pairs of replicas of one primary that share a host.
    pub pairs: usize,
}

/// Why there is no plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// This many nodes would be enough.
    TooFew {
        needed: usize,
    },
    /// The shards that were written out are so few.
    FewShards {
        shards: usize,
    },
    /// There are fewer slots than primaries.
    TooMany,
    Duplicate(Addr),
}

/// Plans a cluster of `nodes` with `replicas` replicas for each primary and as many primaries as are safe.
#[cfg(test)]
pub fn plan(nodes: &[Addr], replicas: usize) -> Result<CreatePlan, Refusal> {
    plan_with_least(nodes, replicas, PRIMARIES_MIN)
}

/// Plans a cluster of `nodes` with `replicas` replicas for each of at least `least` primaries, which is at least one.
pub fn plan_with_least(nodes: &[Addr], replicas: usize, least: usize) -> Result<CreatePlan, Refusal> {
    let count = count_primaries(nodes, replicas, least)?;
    let order = interleave(nodes);
    let (primaries, rest) = order.split_at(count);
    let mut seats = seat_in_order(nodes, primaries, rest, replicas);
    let hosts = Hosts::of(nodes);
    let affinity_tried = hosts.affinity(primaries, &seats) != Affinity::default();
    while let Some(cycle) = hosts.improvement(primaries, &seats) {
        exchange(&mut seats, &cycle);
    }
    Ok(CreatePlan {
        primaries: with_slots(primaries),
        affinity_tried,
        affinity: hosts.affinity(primaries, &seats),
        spread: None,
        replicas: seats
            .into_iter()
            .map(|seat| PlannedReplica { node: seat.node, primary: primaries[seat.group], extra: seat.extra })
            .collect(),
    })
}

/// The same, with the nodes spread over their places as well as can be ([`spread`]).
pub fn plan_spread(nodes: &[Addr], replicas: usize, least: usize, places: &[Place]) -> Result<CreatePlan, Refusal> {
    let seating = spread::plan(places, count_primaries(nodes, replicas, least)?);
    let mut seen = vec![0; seating.primaries.len()];
    let planned = seating.replicas.iter().map(|&(node, group)| {
        seen[group] += 1;
        PlannedReplica { node, primary: seating.primaries[group], extra: seen[group] > replicas }
    });
    let (wanted, extra): (Vec<_>, Vec<_>) = planned.partition(|replica| !replica.extra);
    Ok(CreatePlan {
        primaries: with_slots(&seating.primaries),
        replicas: wanted.into_iter().chain(extra).collect(),
        affinity_tried: false,
        affinity: Affinity::default(),
        spread: Some(spread::violations(places, &seating)),
    })
}

/// A cluster of just these shards, each a primary with its replicas by their places in `nodes`.
pub fn plan_shards(nodes: &[Addr], shards: &[(usize, Vec<usize>)], least: usize) -> Result<CreatePlan, Refusal> {
    refuse_duplicates(nodes)?;
    if shards.len() < least.max(1) {
        return Err(Refusal::FewShards { shards: shards.len() });
    }
    if shards.len() > SLOTS {
        return Err(Refusal::TooMany);
    }
    let primaries: Vec<usize> = shards.iter().map(|(primary, _)| *primary).collect();
    let of = |(primary, replicas): &(usize, Vec<usize>)| {
        let primary = *primary;
        replicas.clone().into_iter().map(move |node| PlannedReplica { node, primary, extra: false })
    };
    Ok(CreatePlan {
        primaries: with_slots(&primaries),
        replicas: shards.iter().flat_map(of).collect(),
        affinity_tried: false,
        affinity: Affinity::default(),
        spread: None,
    })
}

fn refuse_duplicates(nodes: &[Addr]) -> Result<(), Refusal> {
    match nodes.iter().enumerate().find(|(i, addr)| nodes[..*i].contains(addr)) {
        Some((_, twice)) => Err(Refusal::Duplicate(twice.clone())),
        None => Ok(()),
    }
}

/// How many primaries so many nodes make.
fn count_primaries(nodes: &[Addr], replicas: usize, least: usize) -> Result<usize, Refusal> {
    refuse_duplicates(nodes)?;
    let group = replicas.saturating_add(1);
    let count = nodes.len() / group;
    if count < least.max(1) {
        return Err(Refusal::TooFew { needed: group.saturating_mul(least.max(1)) });
    }
    if count > SLOTS {
        return Err(Refusal::TooMany);
    }
    Ok(count)
}

/// Primaries in the order of their slots.
fn with_slots(primaries: &[usize]) -> Vec<PlannedPrimary> {
    let ranges = allocate_slots(primaries.len());
    primaries.iter().zip(ranges).map(|(&node, (first, last))| PlannedPrimary { node, first, last }).collect()
}

/// Divides all slots among `count` primaries as redis-trib does, at most one slot apart.
fn allocate_slots(count: usize) -> Vec<(Slot, Slot)> {
    let each = SLOTS as f64 / count as f64;
    let mut first = 0;
    let mut ranges = Vec::with_capacity(count);
    for i in 0..count {
        let cursor = each * i as f64;
        let mut last = (cursor + each - 1.0).round() as usize;
        if last >= SLOTS || i == count - 1 {
            last = SLOTS - 1;
        }
        let slot = |n: usize| Slot::new(n as u16).expect("below the number of slots");
        ranges.push((slot(first), slot(last)));
        first = last + 1;
    }
    ranges
}

/// One node of each host in turn, hosts and their nodes in the order given.
fn interleave(nodes: &[Addr]) -> Vec<usize> {
    let mut hosts: Vec<(&str, Vec<usize>)> = Vec::new();
    for (i, addr) in nodes.iter().enumerate() {
        match hosts.iter_mut().find(|(host, _)| *host == addr.host) {
            Some((_, members)) => members.push(i),
            None => hosts.push((&addr.host, vec![i])),
        }
    }
    let longest = hosts.iter().map(|(_, members)| members.len()).max().unwrap_or(0);
    (0..longest).flat_map(|round| hosts.iter().filter_map(move |(_, m)| m.get(round).copied())).collect()
}

/// A replica's place: who sits there, and with which primary (by its place among the primaries).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seat {
    node: usize,
    group: usize,
    extra: bool,
}

/// Every primary takes the first nodes that are left, those of other hosts first; what remains is dealt
/// out one each.
fn seat_in_order(nodes: &[Addr], primaries: &[usize], rest: &[usize], replicas: usize) -> Vec<Seat> {
    let mut left: Vec<usize> = rest.to_vec();
    let mut seats = Vec::with_capacity(left.len());
    let mut take = |group: usize, extra: bool, left: &mut Vec<usize>| {
        let host = &nodes[primaries[group]].host;
        let at = left.iter().position(|&node| nodes[node].host != *host).unwrap_or(0);
        seats.push(Seat { node: left.remove(at), group, extra });
    };
    for group in 0..primaries.len() {
        for _ in 0..replicas {
            take(group, false, &mut left);
        }
    }
    for group in (0..primaries.len()).cycle() {
        if left.is_empty() || replicas == 0 {
            break;
        }
        take(group, true, &mut left);
    }
    seats
}

/// The hosts by number, and what sharing one costs.
struct Hosts {
    of_node: Vec<usize>,
    count: usize,
}

/// A replica beside its primary outweighs any number of replicas beside each other.
const WITH_PRIMARY_COST: i64 = 1 << 32;

/// Seats, by place, whose occupants each move to the next one; the last moves to the first.
type Cycle = Vec<usize>;

impl Hosts {
    fn of(nodes: &[Addr]) -> Hosts {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_node = Vec::with_capacity(nodes.len());
        for addr in nodes {
            let next = numbers.len();
            of_node.push(*numbers.entry(&addr.host).or_insert(next));
        }
        Hosts { count: numbers.len(), of_node }
    }

    fn counts(&self, groups: usize, seats: &[Seat]) -> Vec<Vec<usize>> {
        let mut counts = vec![vec![0; groups]; self.count];
        for seat in seats {
            counts[self.of_node[seat.node]][seat.group] += 1;
        }
        counts
    }

    fn affinity(&self, primaries: &[usize], seats: &[Seat]) -> Affinity {
        let mut affinity = Affinity::default();
        for (host, counts) in self.counts(primaries.len(), seats).iter().enumerate() {
            for (group, &n) in counts.iter().enumerate() {
                if self.of_node[primaries[group]] == host {
                    affinity.with_primary += n;
                }
                affinity.pairs += n * n.saturating_sub(1) / 2;
            }
        }
        affinity
    }

    /// A circular exchange of replicas that lowers the cost, if there is one: a negative cycle in the
    /// graph whose arcs are "put one more replica of this host into that group" and "take one out". The
    /// cost of a host in a group grows ever faster with their number, so that when no such cycle is left
    /// the plan is the best there is, not just a local one.
    fn improvement(&self, primaries: &[usize], seats: &[Seat]) -> Option<Cycle> {
        let groups = primaries.len();
        let counts = self.counts(groups, seats);
        let cost_of_next = |host: usize, group: usize, already: usize| -> i64 {
            let with_primary = if self.of_node[primaries[group]] == host { WITH_PRIMARY_COST } else { 0 };
            with_primary + already as i64
        };
        // Vertices: hosts, then groups. Only hosts with replicas can take part.
        let hosts: Vec<usize> = (0..self.count).filter(|&h| counts[h].iter().any(|&n| n > 0)).collect();
        let vertices = self.count + groups;
        let mut distance = vec![0i64; vertices];
        let mut before: Vec<Option<usize>> = vec![None; vertices];
        for _ in 0..vertices {
            let mut relaxed = false;
            for &host in &hosts {
                for (group, &n) in counts[host].iter().enumerate() {
                    let mut relax = |from: usize, to: usize, cost: i64| {
                        if distance[from] + cost < distance[to] {
                            distance[to] = distance[from] + cost;
                            before[to] = Some(from);
                            relaxed = true;
                        }
                    };
                    relax(host, self.count + group, cost_of_next(host, group, n));
                    if n > 0 {
                        relax(self.count + group, host, -cost_of_next(host, group, n - 1));
                    }
                }
            }
            if !relaxed {
                return None;
            }
            if let Some(cycle) = find_cycle(&before) {
                return Some(self.seats_of_cycle(&cycle, seats));
            }
        }
        None
    }

    /// The seats whose occupants move on by one: in each group of the cycle, one of the host that leaves.
    fn seats_of_cycle(&self, cycle: &[usize], seats: &[Seat]) -> Cycle {
        let after = |i: usize| cycle[(i + 1) % cycle.len()];
        let leaving = cycle.iter().enumerate().filter(|(_, vertex)| **vertex >= self.count);
        leaving
            .map(|(i, &vertex)| {
                let (group, host) = (vertex - self.count, after(i));
                seats
                    .iter()
                    .position(|seat| seat.group == group && self.of_node[seat.node] == host)
                    .expect("an arc out of a group has a replica behind it")
            })
            .collect()
    }
}

/// A cycle among the predecessors, in the direction of the arcs.
fn find_cycle(before: &[Option<usize>]) -> Option<Vec<usize>> {
    // 0: not seen; otherwise the walk that saw it.
    let mut seen = vec![0usize; before.len()];
    for start in 0..before.len() {
        let mut at = start;
        while seen[at] == 0 {
            seen[at] = start + 1;
            match before[at] {
                Some(previous) => at = previous,
                None => break,
            }
        }
        if seen[at] != start + 1 || before[at].is_none() {
            continue;
        }
        let mut cycle = vec![at];
        let mut next = before[at].expect("checked above");
        while next != at {
            cycle.push(next);
            next = before[next].expect("on a cycle");
        }
        cycle.reverse();
        return Some(cycle);
    }
    None
}

/// The occupant of each seat moves to the next one of the cycle.
fn exchange(seats: &mut [Seat], cycle: &Cycle) {
    let occupants: Vec<usize> = cycle.iter().map(|&seat| seats[seat].node).collect();
    for (i, &node) in occupants.iter().enumerate() {
        seats[cycle[(i + 1) % cycle.len()]].node = node;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One node for each letter, on the host of that name.
    fn nodes(hosts: &str) -> Vec<Addr> {
        hosts.chars().enumerate().map(|(i, host)| Addr::new(host.to_string(), 7000 + i as u16)).collect()
    }

    fn ranges(plan: &CreatePlan) -> Vec<(u16, u16)> {
        plan.primaries.iter().map(|p| (p.first.get(), p.last.get())).collect()
    }

    fn pairs(plan: &CreatePlan) -> Vec<(usize, usize)> {
        plan.replicas.iter().map(|r| (r.node, r.primary)).collect()
    }

    #[test]
    fn one_host_is_taken_in_order() {
        let plan = plan(&nodes("hhhhhh"), 1).unwrap();
        assert_eq!(ranges(&plan), [(0, 5460), (5461, 10922), (10923, 16383)]);
        assert_eq!(plan.primaries.iter().map(|p| p.node).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(pairs(&plan), [(3, 0), (4, 1), (5, 2)]);
        assert!(plan.affinity_tried);
        assert_eq!(plan.affinity.with_primary, 3);
    }

    #[test]
    fn nodes_that_do_not_divide_become_extra_replicas() {
        let seven = plan(&nodes("hhhhhhh"), 1).unwrap();
        assert_eq!(pairs(&seven), [(3, 0), (4, 1), (5, 2), (6, 0)]);
        assert_eq!(seven.replicas.iter().map(|r| r.extra).collect::<Vec<_>>(), [false, false, false, true]);
        // More left over than there are primaries: everybody still gets a place.
        let plan = plan(&nodes(&"h".repeat(23)), 5).unwrap();
        assert_eq!((plan.primaries.len(), plan.replicas.len()), (3, 20));
    }

    #[test]
    fn hosts_take_turns_and_replicas_go_elsewhere() {
        let plan = plan(&nodes("aabbcc"), 1).unwrap();
        assert_eq!(plan.primaries.iter().map(|p| p.node).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!(plan.affinity, Affinity::default());
    }

    #[test]
    fn a_spread_cluster_names_what_it_could_not_avoid() {
        let nodes = nodes("aaab bbc".replace(' ', "").as_str());
        let places: Vec<Place> =
            nodes.iter().map(|addr| Place { domain: addr.host.clone(), host: String::new() }).collect();
        let plan = plan_spread(&nodes, 1, 3, &places).unwrap();
        assert_eq!(plan.spread, Some(Violations::default()));
        assert_eq!(plan.primaries.iter().map(|p| p.node).collect::<Vec<_>>(), [0, 3, 6]);
        let extra: Vec<bool> = plan.replicas.iter().map(|replica| replica.extra).collect();
        assert_eq!(extra, [false, false, false, true]);
        assert_eq!(plan_spread(&nodes, 2, 3, &places), Err(Refusal::TooFew { needed: 9 }));
    }

    #[test]
    fn shards_that_are_given_stay_as_they_are() {
        let nodes = nodes("hhhhh");
        let shards = [(0, vec![1]), (2, vec![]), (3, vec![4])];
        let plan = plan_shards(&nodes, &shards, PRIMARIES_MIN).unwrap();
        assert_eq!((ranges(&plan)[1], pairs(&plan)), ((5461, 10922), vec![(1, 0), (4, 3)]));
        assert_eq!(plan_shards(&nodes, &shards[..2], PRIMARIES_MIN), Err(Refusal::FewShards { shards: 2 }));
        assert!(plan_shards(&nodes, &shards[..2], 1).is_ok());
    }

    #[test]
    fn impossible_clusters_are_refused() {
        assert_eq!(plan(&nodes("hh"), 0), Err(Refusal::TooFew { needed: 3 }));
        assert_eq!(plan(&nodes("hhhhh"), 1), Err(Refusal::TooFew { needed: 6 }));
        assert_eq!(plan(&nodes("hhh"), usize::MAX), Err(Refusal::TooFew { needed: usize::MAX }));
        let twice = vec![Addr::new("h", 1), Addr::new("h", 2), Addr::new("h", 1)];
        assert_eq!(plan(&twice, 0), Err(Refusal::Duplicate(Addr::new("h", 1))));
    }

    /// The lowest cost over all ways to seat the replicas, by trying them all.
    fn best_affinity(nodes: &[Addr], plan: &CreatePlan) -> Affinity {
        let hosts = Hosts::of(nodes);
        let primaries: Vec<usize> = plan.primaries.iter().map(|p| p.node).collect();
        let group_of = |node: usize| primaries.iter().position(|&p| p == node).unwrap();
        let mut seats: Vec<Seat> =
            plan.replicas.iter().map(|r| Seat { node: r.node, group: group_of(r.primary), extra: r.extra }).collect();
        fn permute(seats: &mut Vec<Seat>, k: usize, visit: &mut dyn FnMut(&[Seat])) {
            if k == seats.len() {
                return visit(seats);
            }
            for i in k..seats.len() {
                let (a, b) = (seats[k].node, seats[i].node);
                (seats[k].node, seats[i].node) = (b, a);
                permute(seats, k + 1, visit);
                (seats[k].node, seats[i].node) = (a, b);
            }
        }
        let mut best: Option<Affinity> = None;
        permute(&mut seats, 0, &mut |seats| {
            let affinity = hosts.affinity(&primaries, seats);
            best = Some(best.map_or(affinity, |best| best.min(affinity)));
        });
        best.unwrap()
    }

    proptest! {
        #[test]
        fn every_plan_is_complete_and_even(hosts in "[a-e]{3,60}", replicas in 0usize..4) {
            let nodes = nodes(&hosts);
            let count = nodes.len() / (replicas + 1);
            match plan(&nodes, replicas) {
                Err(refusal) => {
                    prop_assert!(count < PRIMARIES_MIN);
                    let needed = PRIMARIES_MIN * (replicas + 1);
                    prop_assert_eq!(refusal, Refusal::TooFew { needed });
                }
                Ok(plan) => {
                    prop_assert_eq!(plan.primaries.len(), count);
                    let mut next = 0;
                    let mut sizes = Vec::new();
                    for primary in &plan.primaries {
                        prop_assert_eq!(primary.first.get(), next);
                        next = primary.last.get() + 1;
                        sizes.push(next - primary.first.get());
                    }
                    prop_assert_eq!(next, 16384);
                    prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
                    let mut used: Vec<usize> = plan.primaries.iter().map(|p| p.node).collect();
                    used.extend(plan.replicas.iter().map(|r| r.node));
                    used.sort_unstable();
                    prop_assert_eq!(used, (0..nodes.len()).collect::<Vec<_>>());
                    let of = |p: &PlannedPrimary| plan.replicas.iter().filter(|r| r.primary == p.node).count();
                    let each: Vec<usize> = plan.primaries.iter().map(of).collect();
                    prop_assert!(each.iter().all(|&n| n >= replicas));
                    prop_assert!(each.iter().max().unwrap() - each.iter().min().unwrap() <= 1);
                }
            }
        }

        #[test]
        fn no_other_seating_is_safer(hosts in "[a-d]{6,10}", replicas in 1usize..3) {
            let nodes = nodes(&hosts);
            if let Ok(plan) = plan(&nodes, replicas) {
                prop_assert_eq!(plan.affinity, best_affinity(&nodes, &plan));
            }
        }
    }

    #[test]
    fn slots_are_even_for_every_number_of_primaries() {
        for count in (3..2000).chain([16_383, 16_384]) {
            let ranges = allocate_slots(count);
            let sizes: Vec<u16> = ranges.iter().map(|(first, last)| last.get() - first.get() + 1).collect();
            assert_eq!(sizes.iter().map(|&n| usize::from(n)).sum::<usize>(), SLOTS, "{count}");
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{count}");
        }
    }
}
