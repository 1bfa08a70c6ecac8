//! Spread: a new cluster that loses as little as can be when a host or a whole zone goes.
//!
//! Two things count as a violation, and their number is the least there can be for these nodes: a replica in
//! the place (host or zone) of its own primary, and a primary beyond a place's even share of them. Of the plans
//! with that number the one with fewer replicas beside their primaries is taken, then the one whose primaries are
//! spread most evenly. Given where the primaries are, replicas of one primary are then kept apart from each other,
//! and inside of a zone hosts are kept apart in the same way.
//!
//! How many primaries each place has is found first. How many replicas must then sit beside their primaries
//! follows from counting alone: a place's replicas can sit with every primary but its own, and of all places
//! only one can be too large for that. Who sits where is a flow of least cost.

use std::collections::BTreeMap;

use super::flow::{ArcId, Cost, Flow};

/// Where a node is. Hosts are told apart within their zone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// What primaries and replicas are spread over.
    pub domain: String,
    /// What they are spread over within it; the same for all where the domain is all that counts.
    pub host: String,
}

/// Who is what, by place in the list given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seating {
    /// In the order in which they get slots.
    pub primaries: Vec<usize>,
    /// A replica with the place of its primary in `primaries`.
    pub replicas: Vec<(usize, usize)>,
}

/// What the loss of one place can take away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Violations {
    /// Replicas in the domain of their own primary.
    pub with_primary: usize,
    /// Primaries beyond the even share of their domain.
    pub crowded: usize,
}

impl Violations {
    #[must_use]
    pub fn count(self) -> usize {
        self.with_primary + self.crowded
    }
}

/// Seats nodes so that there are `primaries` of them, which is at least one and at most as many as there are nodes;
/// the others replicate them, as evenly as they divide.
#[must_use]
pub fn plan(places: &[Place], primaries: usize) -> Seating {
    let domains = Domains::of(places);
    let counts = share_out(&domains.sizes(), primaries);
    let chosen = domains.choose(places, &counts);
    let replicas = seat(places, &chosen);
    Seating { primaries: chosen, replicas }
}

/// Counts what is wrong with a seating.
#[must_use]
pub fn violations(places: &[Place], seating: &Seating) -> Violations {
    let domains = Domains::of(places);
    let even = seating.primaries.len().div_ceil(domains.members.len().max(1));
    let of = |node: usize| &places[node].domain;
    let in_domain = |members: &Vec<usize>| seating.primaries.iter().filter(|node| members.contains(node)).count();
    Violations {
        with_primary: seating
            .replicas
            .iter()
            .filter(|&&(node, group)| of(node) == of(seating.primaries[group]))
            .count(),
        crowded: domains.members.iter().map(|members| in_domain(members).saturating_sub(even)).sum(),
    }
}

/// The domains in the order in which they are named first, with their nodes.
struct Domains {
    members: Vec<Vec<usize>>,
}

impl Domains {
    fn of(places: &[Place]) -> Domains {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (node, place) in places.iter().enumerate() {
            let number = *numbers.entry(&place.domain).or_insert(members.len());
            if number == members.len() {
                members.push(Vec::new());
            }
            members[number].push(node);
        }
        Domains { members }
    }

    fn sizes(&self) -> Vec<usize> {
        self.members.iter().map(Vec::len).collect()
    }

    /// The primaries: one of each domain in turn, and within a domain one of each host in turn.
    fn choose(&self, places: &[Place], counts: &[usize]) -> Vec<usize> {
        let in_turn: Vec<Vec<usize>> = self.members.iter().map(|members| by_host_in_turn(places, members)).collect();
        let rounds = counts.iter().copied().max().unwrap_or(0);
        let round = |round: usize| {
            let taken = in_turn.iter().zip(counts).filter(move |(_, count)| round < **count);
            taken.map(move |(members, _)| members[round])
        };
        (0..rounds).flat_map(round).collect()
    }
}

fn by_host_in_turn(places: &[Place], members: &[usize]) -> Vec<usize> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, usize)> = Vec::with_capacity(members.len());
    for &node in members {
        let turn = seen.entry(&places[node].host).or_insert(0);
        turns.push((*turn, node));
        *turn += 1;
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, node)| node).collect()
}

/// Which of two ways to choose primaries is better: primaries beyond the even share, then the sum of squares.
type Unevenness = (usize, usize);

/// How many primaries each domain of these sizes has.
fn share_out(sizes: &[usize], primaries: usize) -> Vec<usize> {
    let shape = Shape::new(sizes, primaries);
    // Allowing more replicas beside their primaries never makes the primaries more uneven.
    let (mut low, mut high) = (0, shape.seats);
    while low < high {
        let middle = (low + high) / 2;
        match shape.best(sizes, middle) {
            Some(_) => high = middle,
            None => low = middle + 1,
        }
    }
    let (least, _) = shape.best(sizes, shape.seats).expect("with all of them allowed nothing is forbidden");
    let mut best: Option<(usize, Unevenness, Vec<usize>)> = None;
    for with_primary in low..=shape.seats {
        // What is to come has at least the crowding that cannot be helped.
        if best.as_ref().is_some_and(|(total, ..)| *total <= with_primary + least.0) {
            break;
        }
        let Some((unevenness, counts)) = shape.best(sizes, with_primary) else { continue };
        let total = with_primary + unevenness.0;
        if best.as_ref().is_none_or(|(known, ..)| total < *known) {
            best = Some((total, unevenness, counts));
        }
    }
    best.map(|(.., counts)| counts).unwrap_or_default()
}

/// The numbers behind a choice of primaries.
struct Shape {
    primaries: usize,
    /// Replicas in all.
    seats: usize,
    /// Replicas that every primary has.
    each: usize,
    /// Primaries that have one more.
    extra: usize,
    /// The even share of primaries.
    even: usize,
}

impl Shape {
    fn new(sizes: &[usize], primaries: usize) -> Shape {
        let seats = sizes.iter().sum::<usize>() - primaries;
        Shape {
            primaries,
            seats,
            each: seats / primaries,
            extra: seats % primaries,
            even: primaries.div_ceil(sizes.len()),
        }
    }

    /// The most even choice with at most so many replicas beside their primaries, domain by domain: for every number
    /// of primaries placed so far, and of them that can have one replica more, the best way to get there.
    fn best(&self, sizes: &[usize], with_primary: usize) -> Option<(Unevenness, Vec<usize>)> {
        let width = self.extra + 1;
        let place = |placed: usize, extra: usize| placed * width + extra;
        let mut ways: Vec<Option<Unevenness>> = vec![None; (self.primaries + 1) * width];
        ways[0] = Some((0, 0));
        let mut chosen: Vec<Vec<(usize, usize)>> = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let mut next: Vec<Option<Unevenness>> = vec![None; ways.len()];
            let mut choice = vec![(0, 0); ways.len()];
            for placed in 0..=self.primaries {
                for extra in 0..width {
                    let Some((crowded, squares)) = ways[place(placed, extra)] else { continue };
                    for count in 0..=size.min(self.primaries - placed) {
                        let Some(room) = self.room(size, count, with_primary) else { continue };
                        let unevenness = (crowded + count.saturating_sub(self.even), squares + count * count);
                        let to = place(placed + count, (extra + room).min(self.extra));
                        if next[to].is_none_or(|known| unevenness < known) {
                            next[to] = Some(unevenness);
                            choice[to] = (count, extra);
                        }
                    }
                }
            }
            ways = next;
            chosen.push(choice);
        }
        let (mut placed, mut extra) = (self.primaries, self.extra);
        let unevenness = ways[place(placed, extra)]?;
        let mut counts = Vec::with_capacity(sizes.len());
        for choice in chosen.iter().rev() {
            let (count, before) = choice[place(placed, extra)];
            counts.push(count);
            placed -= count;
            extra = before;
        }
        counts.reverse();
        Some((unevenness, counts))
    }

    /// How many of its primaries may have one replica more in a domain of so many nodes and primaries, so that at most
    /// `with_primary` of the replicas there find no seat elsewhere; `None` where that is so already without.
    fn room(&self, size: usize, primaries: usize, with_primary: usize) -> Option<usize> {
        let replicas_and_own_seats = size - primaries + primaries * self.each;
        (self.seats + with_primary).checked_sub(replicas_and_own_seats).map(|room| room.min(primaries))
    }
}

/// Far apart, so that a wish that counts more outweighs any number of those that count less.
const WISH: [Cost; 4] = [1 << 96, 1 << 64, 1 << 32, 1];

/// Gives every other node a primary: a replica with its place among the primaries, those of the first one first.
fn seat(places: &[Place], primaries: &[usize]) -> Vec<(usize, usize)> {
    let rest: Vec<usize> = (0..places.len()).filter(|node| !primaries.contains(node)).collect();
    // Nodes of one host are alike.
    let mut kinds: BTreeMap<&Place, Vec<usize>> = BTreeMap::new();
    for &node in &rest {
        kinds.entry(&places[node]).or_default().push(node);
    }
    let mut kinds: Vec<(&Place, Vec<usize>)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, nodes)| nodes[0]);
    let domains: Vec<&str> = kinds.iter().fold(Vec::new(), |mut domains, (place, _)| {
        if !domains.contains(&place.domain.as_str()) {
            domains.push(&place.domain);
        }
        domains
    });
    let each = rest.len() / primaries.len();
    let most = each + 1;
    // The source, the kinds, the groups of a domain, the groups, the sink.
    let kind_at = |kind: usize| 1 + kind;
    let cell_at = |domain: usize, group: usize| 1 + kinds.len() + domain * primaries.len() + group;
    let group_at = |group: usize| 1 + kinds.len() + domains.len() * primaries.len() + group;
    let sink = group_at(primaries.len());
    let mut flow = Flow::new(sink + 1);
    for (kind, (_, nodes)) in kinds.iter().enumerate() {
        flow.arc(0, kind_at(kind), nodes.len(), 0);
    }
    let mut seats: Vec<(usize, usize, ArcId)> = Vec::new();
    for (group, &primary) in primaries.iter().enumerate() {
        let primary = &places[primary];
        for (kind, (place, nodes)) in kinds.iter().enumerate() {
            let domain = domains.iter().position(|domain| *domain == place.domain).expect("collected above");
            let with_primary = if *place == primary { WISH[1] } else { 0 };
            // Every further one beside others costs more.
            for beside in 0..nodes.len().min(most) {
                let cost = with_primary + beside as Cost * WISH[3];
                seats.push((kind, group, flow.arc(kind_at(kind), cell_at(domain, group), 1, cost)));
            }
        }
        for (domain, name) in domains.iter().enumerate() {
            let with_primary = if *name == primary.domain { WISH[0] } else { 0 };
            for beside in 0..most {
                let cost = with_primary + beside as Cost * WISH[2];
                flow.arc(cell_at(domain, group), group_at(group), 1, cost);
            }
        }
        // Nobody gets one more before everybody has what all have.
        flow.arc(group_at(group), sink, each, -(WISH[0] << 24));
        flow.arc(group_at(group), sink, 1, 0);
    }
    flow.send(0, sink, rest.len());
    let mut replicas = Vec::with_capacity(rest.len());
    let mut left: Vec<std::slice::Iter<'_, usize>> = kinds.iter().map(|(_, nodes)| nodes.iter()).collect();
    for (kind, group, arc) in seats {
        if flow.on(arc) > 0
            && let Some(&node) = left[kind].next()
        {
            replicas.push((node, group));
        }
    }
    replicas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One node for each pair of letters: its domain, its host.
    fn places(text: &str) -> Vec<Place> {
        let place = |pair: &[char]| Place { domain: pair[0].to_string(), host: pair[1].to_string() };
        text.chars().filter(|c| *c != ' ').collect::<Vec<_>>().chunks(2).map(place).collect()
    }

    /// Every node a host of its own, in the domain of that letter.
    fn zones(text: &str) -> Vec<Place> {
        let place = |(n, c): (usize, char)| Place { domain: c.to_string(), host: n.to_string() };
        text.chars().enumerate().map(place).collect()
    }

    #[test]
    fn primaries_and_replicas_go_to_different_zones() {
        let places = zones("aaabbbccc");
        let seating = plan(&places, 3);
        assert_eq!(seating.primaries, [0, 3, 6]);
        assert_eq!(violations(&places, &seating), Violations::default());
        for group in 0..3 {
            let mut domains: Vec<&str> = vec![&places[seating.primaries[group]].domain];
            domains.extend(seating.replicas.iter().filter(|r| r.1 == group).map(|r| places[r.0].domain.as_str()));
            domains.sort_unstable();
            assert_eq!(domains, ["a", "b", "c"], "one copy in each zone");
        }
    }

    #[test]
    fn a_zone_that_is_too_large_has_few_primaries() {
        // With a primary in the large zone, one of its replicas could not leave it.
        let places = zones("aaaaaabbc");
        let seating = plan(&places, 3);
        assert_eq!(violations(&places, &seating).count(), 1);
        // One on a, even though its replicas fill both others, once there is room.
        let places = zones("aaaaabbcc");
        assert_eq!(violations(&places, &plan(&places, 3)), Violations::default());
    }

    #[test]
    fn hosts_of_one_zone_are_kept_apart_where_zones_cannot_be() {
        let places = places("z1 z1 z2 z2 z3 z3");
        let seating = plan(&places, 3);
        let host = |node: usize| places[node].host.as_str();
        assert_eq!(seating.primaries.iter().map(|&node| host(node)).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert!(seating.replicas.iter().all(|&(node, group)| host(node) != host(seating.primaries[group])));
        assert_eq!(violations(&places, &seating), Violations { with_primary: 3, crowded: 0 });
    }

    #[test]
    fn no_replicas_and_one_place_are_no_trouble() {
        let places = zones("aaaa");
        assert_eq!(plan(&places, 4), Seating { primaries: vec![0, 1, 2, 3], replicas: vec![] });
        let seating = plan(&places, 1);
        assert_eq!((seating.primaries, seating.replicas.len()), (vec![0], 3));
    }

    #[test]
    fn hundreds_of_nodes_are_planned() {
        let places: Vec<Place> =
            (0..300).map(|n| Place { domain: format!("z{}", n % 3), host: format!("h{}", n / 2) }).collect();
        let seating = plan(&places, 100);
        assert_eq!(violations(&places, &seating), Violations { with_primary: 0, crowded: 0 });
    }

    /// Every seating: the primaries, and for the others their groups, whose sizes differ by one at most.
    fn all_seatings(nodes: usize, primaries: usize, visit: &mut dyn FnMut(&Seating)) {
        fn groups(
            rest: &[usize],
            sizes: &mut Vec<usize>,
            most: usize,
            s: &mut Seating,
            visit: &mut dyn FnMut(&Seating),
        ) {
            let Some((&node, rest)) = rest.split_first() else {
                if sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1 {
                    visit(s);
                }
                return;
            };
            for group in 0..sizes.len() {
                if sizes[group] == most {
                    continue;
                }
                sizes[group] += 1;
                s.replicas.push((node, group));
                groups(rest, sizes, most, s, visit);
                s.replicas.pop();
                sizes[group] -= 1;
            }
        }
        for mask in 0u32..1 << nodes {
            if mask.count_ones() as usize != primaries {
                continue;
            }
            let (chosen, rest): (Vec<usize>, Vec<usize>) = (0..nodes).partition(|&node| mask & (1 << node) != 0);
            let most = rest.len().div_ceil(primaries);
            let mut seating = Seating { primaries: chosen, replicas: Vec::new() };
            groups(&rest, &mut vec![0; primaries], most, &mut seating, visit);
        }
    }

    /// Pairs of replicas of one primary in one domain.
    fn pairs(places: &[Place], seating: &Seating) -> usize {
        let alike = |a: &(usize, usize), b: &(usize, usize)| a.1 == b.1 && places[a.0].domain == places[b.0].domain;
        let replicas = &seating.replicas;
        (0..replicas.len()).map(|i| replicas[..i].iter().filter(|other| alike(other, &replicas[i])).count()).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn no_seating_violates_less(text in "[a-d]{3,8}", primaries in 1usize..5) {
            let places = zones(&text);
            let primaries = primaries.min(places.len());
            let seating = plan(&places, primaries);
            let mut used: Vec<usize> = seating.primaries.clone();
            used.extend(seating.replicas.iter().map(|replica| replica.0));
            used.sort_unstable();
            prop_assert_eq!(used, (0..places.len()).collect::<Vec<_>>());
            let sizes: Vec<usize> =
                (0..primaries).map(|g| seating.replicas.iter().filter(|replica| replica.1 == g).count()).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            let ours = violations(&places, &seating);
            let key = |violations: Violations| (violations.count(), violations.with_primary);
            let mut least = key(ours);
            let mut fewest_pairs = pairs(&places, &seating);
            all_seatings(places.len(), primaries, &mut |other| {
                let theirs = violations(&places, other);
                least = least.min(key(theirs));
                let mut chosen = seating.primaries.clone();
                chosen.sort_unstable();
                if theirs == ours && other.primaries == chosen {
                    fewest_pairs = fewest_pairs.min(pairs(&places, other));
                }
            });
            prop_assert_eq!(key(ours), least);
            prop_assert_eq!(pairs(&places, &seating), fewest_pairs);
            prop_assert_eq!(plan(&places, primaries), seating);
        }
    }
}
