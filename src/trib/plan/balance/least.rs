//! The least that has to move, where so few slots cost anything that every way to hand them out can be weighed.
//!
//! A few hot slots are what `--by ops` often finds. With slots of all sizes the question is as hard as packing bins,
//! so the search has a limit of steps; what is not decided within it stays as it was planned.

/// A slot that costs something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub load: u64,
    /// Who has it, by place.
    pub home: usize,
    /// Who is to have it by the plan that is at hand.
    pub planned: usize,
}

/// Who may have what.
pub(super) struct Question<'a> {
    pub shares: &'a [f64],
    /// Whether a node may own slots.
    pub takes: &'a [bool],
    /// Nodes with the same number are in one zone.
    pub zones: &'a [usize],
    /// Less than this is nothing: floating point is not exact.
    pub nothing: f64,
}

/// Of more pieces not every way can be weighed.
const PIECES: usize = 24;
const STEPS: u32 = 300_000;

/// The owner of each piece, in their order, if less can move than is planned, with the nodes as near to their shares and no
/// more of it between zones; `None` where the plan is as good as any, or too many ways would have to be weighed.
pub(super) fn moves(pieces: &[Piece], question: &Question<'_>) -> Option<Vec<usize>> {
    if pieces.len() > PIECES {
        return None;
    }
    // The heaviest first: they decide soonest that a way leads nowhere.
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(pieces[at].load), at));
    let mut loads = vec![0; question.shares.len()];
    pieces.iter().for_each(|piece| loads[piece.planned] += piece.load);
    let cost = |owner: &dyn Fn(&Piece) -> usize| {
        pieces.iter().fold(Cost::default(), |cost, piece| cost.with(piece, owner(piece), question.zones))
    };
    let planned = cost(&|piece| piece.planned);
    let mut search = Search {
        pieces: order.iter().map(|&at| pieces[at]).collect(),
        question,
        surplus: question.surplus(&loads) + question.nothing,
        crossing: planned.crossing,
        least: planned.moved,
        loads: vec![0; question.shares.len()],
        owners: Vec::with_capacity(pieces.len()),
        best: None,
        steps: STEPS,
    };
    search.descend(Cost::default());
    let best = search.best.filter(|_| search.steps > 0)?;
    let mut owners = vec![0; pieces.len()];
    order.iter().zip(best).for_each(|(&at, owner)| owners[at] = owner);
    Some(owners)
}

impl Question<'_> {
    /// By how much nodes are above their shares, in all: half of how far all are off.
    fn surplus(&self, loads: &[u64]) -> f64 {
        loads.iter().zip(self.shares).map(|(load, share)| (*load as f64 - share).max(0.0)).sum()
    }
}

/// What has moved, and what of it between zones.
#[derive(Clone, Copy, Default)]
struct Cost {
    moved: u64,
    crossing: u64,
}

impl Cost {
    fn with(self, piece: &Piece, owner: usize, zones: &[usize]) -> Cost {
        let load = |is_so: bool| if is_so { piece.load } else { 0 };
        Cost {
            moved: self.moved + load(owner != piece.home),
            crossing: self.crossing + load(zones[owner] != zones[piece.home]),
        }
    }
}

struct Search<'a> {
    pieces: Vec<Piece>,
    question: &'a Question<'a>,
    /// More than this above their shares the nodes may not be.
    surplus: f64,
    crossing: u64,
    /// What moves in the best way so far.
    least: u64,
    loads: Vec<u64>,
    owners: Vec<usize>,
    best: Option<Vec<usize>>,
    steps: u32,
}

impl Search<'_> {
    /// Hands out the next piece in every way that could still be better than the best.
    fn descend(&mut self, cost: Cost) {
        let Some(&piece) = self.pieces.get(self.owners.len()) else {
            self.least = cost.moved;
            self.best = Some(self.owners.clone());
            return;
        };
        let others = (0..self.loads.len()).filter(|&node| node != piece.home);
        for owner in std::iter::once(piece.home).chain(others).filter(|&node| self.question.takes[node]) {
            if self.steps == 0 {
                return;
            }
            self.steps -= 1;
            let cost = cost.with(&piece, owner, self.question.zones);
            self.loads[owner] += piece.load;
            // A node never gets rid of what it has been given: the surplus only grows.
            let leads_on = cost.moved < self.least
                && cost.crossing <= self.crossing
                && self.question.surplus(&self.loads) <= self.surplus;
            if leads_on {
                self.owners.push(owner);
                self.descend(cost);
                self.owners.pop();
            }
            self.loads[owner] -= piece.load;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(of: &[(u64, usize, usize)]) -> Vec<Piece> {
        of.iter().map(|&(load, home, planned)| Piece { load, home, planned }).collect()
    }

    #[test]
    fn three_nodes_that_have_each_others_are_sorted_out() {
        let question = Question { shares: &[9.0, 9.0, 9.0], takes: &[true; 3], zones: &[0; 3], nothing: 1e-6 };
        let planned = pieces(&[(5, 0, 1), (4, 0, 1), (6, 1, 2), (3, 1, 2), (7, 2, 0), (2, 2, 0)]);
        assert_eq!(moves(&planned, &question), Some(vec![0, 0, 1, 1, 2, 2]));
        let question = Question { takes: &[true, false, true], shares: &[13.0, 0.0, 14.0], ..question };
        let planned = pieces(&[(5, 0, 2), (4, 0, 0), (6, 1, 2), (3, 1, 2), (7, 2, 0), (2, 2, 0)]);
        assert_eq!(moves(&planned, &question), Some(vec![2, 0, 0, 0, 2, 2]), "who may own nothing gets nothing");
    }

    #[test]
    fn nothing_crosses_zones_for_it() {
        // The 6 of the first would be enough, but the only one in its zone is the second.
        let planned = pieces(&[(6, 0, 0), (3, 0, 1), (4, 0, 1), (6, 2, 2)]);
        let question = Question { shares: &[6.0, 7.0, 6.0], takes: &[true; 3], zones: &[0, 0, 1], nothing: 1e-6 };
        assert_eq!(moves(&planned, &question), None);
        let question = Question { shares: &[7.0, 6.0, 6.0], ..question };
        assert_eq!(moves(&planned, &question), Some(vec![1, 0, 0, 2]));
    }

    #[test]
    fn many_alike_are_given_up() {
        let planned: Vec<Piece> =
            (0..PIECES).map(|n| Piece { load: 1000 + n as u64, home: n % 2, planned: 2 + n % 6 }).collect();
        let question = Question { shares: &[3000.0; 8], takes: &[true; 8], zones: &[0; 8], nothing: 1e-6 };
        assert_eq!(moves(&planned, &question), None);
        assert_eq!(moves(&vec![planned[0]; PIECES + 1], &question), None);
    }
}
