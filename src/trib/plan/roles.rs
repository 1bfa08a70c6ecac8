//! Rebalance of roles: primaries spread evenly over hosts or zones, by the fewest failovers.
//!
//! After some failovers one host may carry most of the primaries. Every shard could have its primary wherever it has a
//! node; the plan chooses for each so that the fullest place has as few as can be, and so on downwards, and among all
//! such choices one that changes the fewest shards. That is a flow of least cost: each shard sends one unit to a place, a place is the more
//! expensive the more it has, a change costs a little. Shards are added one after the other, each along the cheapest path, on which
//! earlier ones may be moved on.

/// One shard: the place of each node that could be its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Place of the present primary.
    pub now: usize,
    /// Places that have a node of the shard, the present one included; those the operator prefers, where there are any.
    pub places: Vec<usize>,
}

/// The place of each shard's primary; `places` is how many there are.
#[must_use]
pub fn plan(shards: &[Shard], places: usize) -> Vec<usize> {
    let mut flow = Flow { shards, chosen: Vec::with_capacity(shards.len()), held: vec![0; places] };
    for _ in shards {
        flow.add();
    }
    flow.chosen
}

struct Flow<'s> {
    shards: &'s [Shard],
    /// Place of each shard that was added.
    chosen: Vec<usize>,
    /// Shards at each place.
    held: Vec<i64>,
}

/// A cheapest way to a place: the cost, and the shard that was moved there with the place it came from.
#[derive(Clone, Copy)]
struct Way {
    cost: i64,
    last: Option<(usize, usize)>,
}

impl Flow<'_> {
    /// More than all changes together: a better spread is worth any of them.
    fn place_cost(&self) -> i64 {
        self.shards.len() as i64 + 1
    }

    fn change_cost(&self, shard: usize, place: usize) -> i64 {
        i64::from(self.shards[shard].now != place)
    }

    /// Adds the next shard along the cheapest path.
    fn add(&mut self) {
        let new = self.chosen.len();
        let mut ways: Vec<Option<Way>> = vec![None; self.held.len()];
        for &place in &self.shards[new].places {
            ways[place] = Some(Way { cost: self.change_cost(new, place), last: None });
        }
        // Bellman and Ford: a path is not longer than there are places.
        for _ in 0..self.held.len() {
            if !self.relax(&mut ways) {
                break;
            }
        }
        let total = |place: usize| ways[place].map(|way| way.cost + (2 * self.held[place] + 1) * self.place_cost());
        let end = (0..self.held.len()).filter_map(|place| Some((total(place)?, place))).min();
        let Some((_, end)) = end else { panic!("a shard has a place") };
        self.held[end] += 1;
        // Backwards from the end: each shard on the path goes to where the next one has made room.
        let mut place = end;
        while let Some((shard, from)) = ways[place].and_then(|way| way.last) {
            self.chosen[shard] = place;
            place = from;
        }
        self.chosen.push(place);
    }

    /// Looks for cheaper ways that move one more shard; whether there was one.
    fn relax(&self, ways: &mut [Option<Way>]) -> bool {
        let mut found = false;
        for (shard, &from) in self.chosen.iter().enumerate() {
            let Some(way) = ways[from] else { continue };
            for &to in self.shards[shard].places.iter().filter(|&&to| to != from) {
                let cost = way.cost + self.change_cost(shard, to) - self.change_cost(shard, from);
                if ways[to].is_none_or(|known| cost < known.cost) {
                    ways[to] = Some(Way { cost, last: Some((shard, from)) });
                    found = true;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(now: usize, places: &[usize]) -> Shard {
        Shard { now, places: places.to_vec() }
    }

    /// How uneven it is and how many changes it takes: less is better.
    fn cost(shards: &[Shard], chosen: &[usize], places: usize) -> (usize, usize) {
        let mut held = vec![0; places];
        for &place in chosen {
            held[place] += 1;
        }
        let changes = shards.iter().zip(chosen).filter(|(shard, place)| shard.now != **place).count();
        (held.iter().map(|n| n * n).sum(), changes)
    }

    fn least(shards: &[Shard], chosen: &mut Vec<usize>, places: usize) -> (usize, usize) {
        let Some(next) = shards.get(chosen.len()) else { return cost(shards, chosen, places) };
        let mut best = (usize::MAX, usize::MAX);
        for &place in &next.places {
            chosen.push(place);
            best = best.min(least(shards, chosen, places));
            chosen.pop();
        }
        best
    }

    #[test]
    fn a_host_that_carries_everything_gives_away() {
        let all = [shard(0, &[0, 1]), shard(0, &[0, 2]), shard(0, &[0, 1])];
        let chosen = plan(&all, 3);
        assert_eq!(cost(&all, &chosen, 3), (3, 2));
        assert_eq!(chosen[1], 2);
    }

    #[test]
    fn what_is_even_stays() {
        let all = [shard(0, &[0, 1]), shard(1, &[1, 0]), shard(2, &[2, 0])];
        assert_eq!(plan(&all, 3), [0, 1, 2]);
        assert_eq!(plan(&[], 0), [0usize; 0]);
        assert_eq!(plan(&[shard(4, &[1])], 5), [1], "the operator prefers another place");
    }

    #[test]
    fn a_chain_of_moves_is_found() {
        // Only the first can leave place 0, to 1, whose own can go on to 2.
        let all = [shard(0, &[0, 1]), shard(0, &[0]), shard(1, &[1, 2])];
        assert_eq!(plan(&all, 3), [1, 0, 2]);
    }

    proptest! {
        #[test]
        fn no_choice_is_evener_or_changes_less(
            shards in prop::collection::vec((0usize..5, prop::collection::btree_set(0usize..5, 1..4)), 0..7),
        ) {
            let shards: Vec<Shard> = shards
                .into_iter()
                .map(|(now, mut places)| {
                    places.insert(now);
                    Shard { now, places: places.into_iter().collect() }
                })
                .collect();
            let chosen = plan(&shards, 5);
            for (shard, place) in shards.iter().zip(&chosen) {
                prop_assert!(shard.places.contains(place));
            }
            prop_assert_eq!(cost(&shards, &chosen, 5), least(&shards, &mut Vec::new(), 5));
        }
    }
}
