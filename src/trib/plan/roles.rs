//! Rebalance of roles: primaries spread evenly over zones and over the hosts of each zone, by the fewest failovers.
//!
//! After some failovers one host may carry most of the primaries. Every shard could have its primary wherever it has a
//! node; the plan chooses for each so that the fullest zone has as few as can be, and so on downwards, then the same for the
//! hosts of each zone, and among all such choices one that changes the fewest shards. That is a flow of least cost: each
//! shard sends one unit to a host, hosts pass it on to their zone; both are the more expensive the more they have, a change
//! costs a little. Shards are added one after the other, each along the cheapest path, on which earlier ones may be moved on.

/// One shard: the host of each node that could be its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Host of the present primary.
    pub now: usize,
    /// Hosts that have a node of the shard, the present one included; those the operator prefers, where there are any.
    pub hosts: Vec<usize>,
}

/// The host of each shard's primary; `zones` has the zone of each host.
#[must_use]
pub fn plan(shards: &[Shard], zones: &[usize]) -> Vec<usize> {
    let in_zones = zones.iter().max().map_or(0, |&last| last + 1);
    let mut flow = Flow {
        shards,
        zones,
        chosen: Vec::with_capacity(shards.len()),
        on_hosts: vec![0; zones.len()],
        in_zones: vec![0; in_zones],
    };
    for _ in shards {
        flow.add();
    }
    flow.chosen
}

struct Flow<'s> {
    shards: &'s [Shard],
    zones: &'s [usize],
    /// Host of each shard that was added.
    chosen: Vec<usize>,
    /// Shards on each host.
    on_hosts: Vec<i64>,
    /// Shards in each zone.
    in_zones: Vec<i64>,
}

/// A cheapest way to a host or a zone.
#[derive(Clone, Copy)]
struct Way {
    cost: i64,
    last: Last,
}

/// The last step of a way.
#[derive(Clone, Copy)]
enum Last {
    /// The new shard comes to the host.
    New,
    /// This shard is moved to the host, from another.
    Shard(usize, usize),
    /// From a host to its zone, which then has one more.
    Enter(usize),
    /// From a zone to a host of it, which then has one less.
    Leave(usize),
}

/// Cheapest ways, as far as they are known.
struct Ways {
    to_hosts: Vec<Option<Way>>,
    to_zones: Vec<Option<Way>>,
}

impl Flow<'_> {
    /// More than all changes together: better spread hosts are worth any of them.
    fn host_cost(&self) -> i64 {
        self.shards.len() as i64 + 1
    }

    /// More than the hosts together can cost: better spread zones are worth any of it.
    fn zone_cost(&self) -> i64 {
        let shards = self.shards.len() as i64;
        (shards * shards + 1) * self.host_cost()
    }

    fn change_cost(&self, shard: usize, host: usize) -> i64 {
        i64::from(self.shards[shard].now != host)
    }

    /// Adds the next shard along the cheapest path.
    fn add(&mut self) {
        let new = self.chosen.len();
        let mut ways = Ways { to_hosts: vec![None; self.on_hosts.len()], to_zones: vec![None; self.in_zones.len()] };
        for &host in &self.shards[new].hosts {
            ways.to_hosts[host] = Some(Way { cost: self.change_cost(new, host), last: Last::New });
        }
        // Bellman and Ford: a path is not longer than there are hosts and zones.
        for _ in 0..self.on_hosts.len() + self.in_zones.len() {
            if !self.relax(&mut ways) {
                break;
            }
        }
        let total =
            |zone: usize| Some((ways.to_zones[zone]?.cost + (2 * self.in_zones[zone] + 1) * self.zone_cost(), zone));
        let end = (0..self.in_zones.len()).filter_map(total).min();
        let Some((_, end)) = end else { panic!("a shard has a host") };
        self.in_zones[end] += 1;
        self.follow(&ways, end);
    }

    /// Backwards from the zone where the path ends: each shard on it goes to where the next one has made room.
    fn follow(&mut self, ways: &Ways, end: usize) {
        let mut moved = Vec::new();
        let mut at = ways.to_zones[end];
        let mut host = None;
        while let Some(way) = at {
            at = match (way.last, host) {
                (Last::Enter(from), _) => {
                    self.on_hosts[from] += 1;
                    host = Some(from);
                    ways.to_hosts[from]
                }
                (Last::Leave(zone), left) => {
                    left.into_iter().for_each(|left: usize| self.on_hosts[left] -= 1);
                    ways.to_zones[zone]
                }
                (Last::Shard(shard, from), to) => {
                    moved.extend(to.map(|to| (shard, to)));
                    host = Some(from);
                    ways.to_hosts[from]
                }
                (Last::New, to) => {
                    self.chosen.extend(to);
                    None
                }
            };
        }
        for (shard, to) in moved {
            self.chosen[shard] = to;
        }
    }

    /// Looks for cheaper ways that are one step longer; whether there was one.
    fn relax(&self, ways: &mut Ways) -> bool {
        let mut found = false;
        let mut improve = |known: &mut Option<Way>, cost: i64, last: Last| {
            if known.is_none_or(|known| cost < known.cost) {
                *known = Some(Way { cost, last });
                found = true;
            }
        };
        for (shard, &from) in self.chosen.iter().enumerate() {
            let Some(way) = ways.to_hosts[from] else { continue };
            for &to in self.shards[shard].hosts.iter().filter(|&&to| to != from) {
                let cost = way.cost + self.change_cost(shard, to) - self.change_cost(shard, from);
                improve(&mut ways.to_hosts[to], cost, Last::Shard(shard, from));
            }
        }
        for (host, &zone) in self.zones.iter().enumerate() {
            let held = self.on_hosts[host];
            if let Some(way) = ways.to_hosts[host] {
                improve(&mut ways.to_zones[zone], way.cost + (2 * held + 1) * self.host_cost(), Last::Enter(host));
            }
            if let Some(way) = ways.to_zones[zone].filter(|_| held > 0) {
                improve(&mut ways.to_hosts[host], way.cost - (2 * held - 1) * self.host_cost(), Last::Leave(zone));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(now: usize, hosts: &[usize]) -> Shard {
        Shard { now, hosts: hosts.to_vec() }
    }

    /// How uneven zones and hosts are and how many changes it takes: less is better.
    fn cost(shards: &[Shard], chosen: &[usize], zones: &[usize]) -> (usize, usize, usize) {
        let (mut on_hosts, mut in_zones) = (vec![0; zones.len()], vec![0; zones.len()]);
        for &host in chosen {
            on_hosts[host] += 1;
            in_zones[zones[host]] += 1;
        }
        let changes = shards.iter().zip(chosen).filter(|(shard, host)| shard.now != **host).count();
        let squares = |held: &[usize]| held.iter().map(|n| n * n).sum();
        (squares(&in_zones), squares(&on_hosts), changes)
    }

    fn least(shards: &[Shard], chosen: &mut Vec<usize>, zones: &[usize]) -> (usize, usize, usize) {
        let Some(next) = shards.get(chosen.len()) else { return cost(shards, chosen, zones) };
        let mut best = (usize::MAX, usize::MAX, usize::MAX);
        for &host in &next.hosts {
            chosen.push(host);
            best = best.min(least(shards, chosen, zones));
            chosen.pop();
        }
        best
    }

    #[test]
    fn a_host_that_carries_everything_gives_away() {
        let all = [shard(0, &[0, 1]), shard(0, &[0, 2]), shard(0, &[0, 1])];
        let chosen = plan(&all, &[0; 3]);
        assert_eq!(cost(&all, &chosen, &[0; 3]), (9, 3, 2));
        assert_eq!(chosen[1], 2);
    }

    #[test]
    fn what_is_even_stays() {
        let all = [shard(0, &[0, 1]), shard(1, &[1, 0]), shard(2, &[2, 0])];
        assert_eq!(plan(&all, &[0; 3]), [0, 1, 2]);
        assert_eq!(plan(&[], &[]), [0usize; 0]);
        assert_eq!(plan(&[shard(4, &[1])], &[0; 5]), [1], "the operator prefers another host");
    }

    #[test]
    fn a_chain_of_moves_is_found() {
        // Only the first can leave host 0, to 1, whose own can go on to 2.
        let all = [shard(0, &[0, 1]), shard(0, &[0]), shard(1, &[1, 2])];
        assert_eq!(plan(&all, &[0; 3]), [1, 0, 2]);
    }

    #[test]
    fn zones_come_before_their_hosts() {
        // Hosts 0 and 1 are one zone, 2 and 3 the other. The zones are even, the hosts are not.
        let all = [shard(0, &[0, 1]), shard(0, &[0, 2]), shard(2, &[2, 3]), shard(2, &[2, 0])];
        assert_eq!(plan(&all, &[0, 0, 1, 1]), [1, 0, 3, 2]);
        // To spread the hosts of the one zone would make the zones uneven.
        let all = [shard(0, &[0, 2]), shard(0, &[0, 2]), shard(2, &[2]), shard(2, &[2])];
        assert_eq!(plan(&all, &[0, 0, 1, 1]), [0, 0, 2, 2]);
    }

    proptest! {
        #[test]
        fn no_choice_is_evener_or_changes_less(
            shards in prop::collection::vec((0usize..6, prop::collection::btree_set(0usize..6, 1..4)), 0..8),
            zones in prop::collection::vec(0usize..3, 6),
        ) {
            let shards: Vec<Shard> = shards
                .into_iter()
                .map(|(now, mut hosts)| {
                    hosts.insert(now);
                    Shard { now, hosts: hosts.into_iter().collect() }
                })
                .collect();
            let chosen = plan(&shards, &zones);
            for (shard, host) in shards.iter().zip(&chosen) {
                prop_assert!(shard.hosts.contains(host));
            }
            prop_assert_eq!(cost(&shards, &chosen, &zones), least(&shards, &mut Vec::new(), &zones));
        }
    }
}
