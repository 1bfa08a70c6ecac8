//! What is left of a job, and what takes it back: from its plan and from the cluster as it is now.
//!
//! The journal tells what was meant, the cluster what has become of it. A slot of the plan has arrived, is where it was,
//! or is between the two; anything else means that somebody has changed the cluster since, and then nothing is guessed.
//! A node that has been failed over meanwhile is replaced by the primary that its shard has now.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Before, Record};
use crate::base::{NodeId, Slot};
use crate::trib::addr::Addr;
use crate::trib::plan::Transfer;
use crate::trib::planned::{Member, Step};
use crate::trib::slots::{BadSlots, SlotSet};
use crate::trib::view::{ClusterView, Node};

/// Why a job cannot be finished or taken back.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MovedOn {
    #[error("{addr} ({id}) is no primary that answers, and no other node has taken its place")]
    Gone { id: String, addr: String },
    #[error("slot {slot} belongs to {owner} by now, which neither gave it nor was to get it")]
    Elsewhere { slot: Slot, owner: Addr },
    #[error("slot {slot} is open at {node} for another move than this one")]
    Busy { slot: Slot, node: Addr },
    #[error("slot {slot} has {owners} owners")]
    Contested { slot: Slot, owners: usize },
    #[error("the journal holds {text}, which cannot be read")]
    Unreadable { text: String },
}

/// What is left to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rest {
    /// Who has to be told the new owner of slots, because it still thinks they are its own or open.
    pub tell: Vec<Tell>,
    pub transfers: Vec<Transfer>,
    /// Slots that need nothing more.
    pub arrived: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tell {
    pub node: NodeId,
    pub owner: NodeId,
    pub slots: SlotSet,
}

/// What takes a job back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reversal {
    /// Slots that are under way arrive first, so that their keys are in one place.
    pub first: Rest,
    pub back: Vec<Transfer>,
}

/// Where a slot of the plan is.
#[derive(Debug)]
enum Place<'v> {
    /// At its target; these primaries have not understood it.
    Arrived { at: &'v Node, unaware: Vec<NodeId> },
    /// At its source, and open on either side or not.
    Left { at: &'v Node, is_open: bool },
}

/// The rest of the slot moves among `steps`.
pub fn resume(steps: &[Step], before: &[Before], view: &ClusterView) -> Result<Rest, MovedOn> {
    let now = Now { before, view };
    let mut rest = Rest::default();
    for (slot, from, to) in planned(steps)? {
        match now.place(slot, from, to)? {
            Place::Arrived { unaware, .. } if unaware.is_empty() => rest.arrived += 1,
            Place::Arrived { at, unaware } => unaware.into_iter().for_each(|node| rest.tell(node, at.id, slot)),
            Place::Left { at, .. } => add(&mut rest.transfers, slot, at.id, now.primary(to)?.id),
        }
    }
    Ok(rest)
}

/// The moves that bring the slots of `steps` back.
pub fn undo(steps: &[Step], before: &[Before], view: &ClusterView) -> Result<Reversal, MovedOn> {
    let now = Now { before, view };
    let mut reversal = Reversal::default();
    for (slot, from, to) in planned(steps)? {
        match now.place(slot, from, to)? {
            Place::Arrived { at, unaware } => {
                unaware.into_iter().for_each(|node| reversal.first.tell(node, at.id, slot));
                add(&mut reversal.back, slot, at.id, now.primary(from)?.id);
            }
            Place::Left { is_open: false, .. } => {}
            Place::Left { at, is_open: true } => {
                let target = now.primary(to)?.id;
                add(&mut reversal.first.transfers, slot, at.id, target);
                add(&mut reversal.back, slot, target, at.id);
            }
        }
    }
    Ok(reversal)
}

/// What is to be written down of the slots of the plan that their targets own by now, whoever moved them: the run that was
/// cut off may have said nothing of them, and servers that move slots go on without it.
#[must_use]
pub fn arrived(steps: &[Step], before: &[Before], view: &ClusterView) -> Vec<Record> {
    let now = Now { before, view };
    let of_step = |step: &Step| {
        let Step::MoveSlots { from, to, slots } = step else { return None };
        let owned = &now.primary(to).ok()?.slots;
        let slots: SlotSet = slots.parse::<SlotSet>().ok()?.iter().filter(|slot| owned.contains(*slot)).collect();
        let moved = || Record::Moved { from: from.id.clone(), to: to.id.clone(), slots: slots.to_string() };
        (!slots.is_empty()).then(moved)
    };
    steps.iter().filter_map(of_step).collect()
}

/// The node if it is a primary still, else the one primary that its shard has now.
pub fn heir<'v>(before: &'v [Before], view: &'v ClusterView, member: &Member) -> Result<&'v Node, MovedOn> {
    Now { before, view }.primary(member)
}

/// The planned moves, slot by slot.
fn planned(steps: &[Step]) -> Result<Vec<(Slot, &Member, &Member)>, MovedOn> {
    let mut all = Vec::new();
    for step in steps {
        if let Step::MoveSlots { from, to, slots } = step {
            let slots: SlotSet = slots.parse().map_err(|_: BadSlots| MovedOn::Unreadable { text: slots.clone() })?;
            all.extend(slots.iter().map(|slot| (slot, from, to)));
        }
    }
    Ok(all)
}

fn add(transfers: &mut Vec<Transfer>, slot: Slot, from: NodeId, to: NodeId) {
    match transfers.iter_mut().find(|transfer| transfer.from == from && transfer.to == to) {
        Some(transfer) => transfer.slots.push(slot),
        None => transfers.push(Transfer { from, to, slots: vec![slot] }),
    }
}

impl Rest {
    fn tell(&mut self, node: NodeId, owner: NodeId, slot: Slot) {
        match self.tell.iter_mut().find(|tell| tell.node == node && tell.owner == owner) {
            Some(tell) => tell.slots.insert(slot),
            None => self.tell.push(Tell { node, owner, slots: [slot].into_iter().collect() }),
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tell.is_empty() && self.transfers.is_empty()
    }

    /// How many slots are to be moved still.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.transfers.iter().map(|transfer| transfer.slots.len()).sum()
    }
}

/// The cluster now, beside what it was.
struct Now<'a> {
    before: &'a [Before],
    view: &'a ClusterView,
}

impl<'a> Now<'a> {
    /// The node if it is a primary still, else the one primary that its shard has now.
    fn primary(&self, member: &Member) -> Result<&'a Node, MovedOn> {
        if let Some(node) = self.view.primaries().find(|node| node.id.as_str() == member.id) {
            return Ok(node);
        }
        let shard = self.shard(&member.id);
        let mut heirs = self.view.primaries().filter(|node| shard.contains(&node.id.as_str()));
        match (heirs.next(), heirs.next()) {
            (Some(heir), None) => Ok(heir),
            _ => Err(MovedOn::Gone { id: member.id.clone(), addr: member.addr.clone() }),
        }
    }

    /// The ids of all that were of one shard with this node.
    fn shard(&self, id: &str) -> Vec<&'a str> {
        let primary_of = |node: &'a Before| node.primary.as_deref().unwrap_or(&node.id);
        let Some(head) = self.before.iter().find(|node| node.id == id).map(primary_of) else { return Vec::new() };
        self.before.iter().filter(|node| primary_of(node) == head).map(|node| node.id.as_str()).collect()
    }

    /// Whether an id that a node names in an open slot stands for this member.
    fn is(&self, id: &NodeId, member: &Member) -> bool {
        id.as_str() == member.id || self.shard(&member.id).contains(&id.as_str())
    }

    fn place(&self, slot: Slot, from: &Member, to: &Member) -> Result<Place<'a>, MovedOn> {
        // Either may be gone without harm: an emptied source becomes a replica.
        let (source, target) = (self.primary(from).ok(), self.primary(to).ok());
        let owners: BTreeMap<NodeId, &Node> = self.view.owners_of(slot).map(|node| (node.id, node)).collect();
        let contested = Err(MovedOn::Contested { slot, owners: owners.len() });
        if let Some(target) = target.filter(|target| owners.contains_key(&target.id)) {
            let mut unaware = Vec::new();
            for node in self.view.primaries() {
                let is_open = node.migrating.contains_key(&slot) || node.importing.contains_key(&slot);
                let owns = owners.contains_key(&node.id) && node.id != target.id;
                if !is_open && !owns {
                    continue;
                }
                // The last stride was cut off: the source has given all it had, but was not told.
                let gave = node.migrating.get(&slot).is_some_and(|id| self.is(id, to));
                match source.is_some_and(|source| source.id == node.id) && gave {
                    true => unaware.push(node.id),
                    false if owns => return contested,
                    false => return Err(MovedOn::Busy { slot, node: node.addr.clone() }),
                }
            }
            return Ok(Place::Arrived { at: target, unaware });
        }
        let owner = match owners.len() {
            1 => owners.into_values().next().expect("there is one"),
            _ => return contested,
        };
        if source.is_none_or(|source| source.id != owner.id) {
            return Err(MovedOn::Elsewhere { slot, owner: owner.addr.clone() });
        }
        let mut is_open = false;
        for node in self.view.primaries() {
            let is_ours = match (node.migrating.get(&slot), node.importing.get(&slot)) {
                (None, None) => continue,
                (Some(meant), _) => node.id == owner.id && self.is(meant, to),
                (None, Some(giver)) => target.is_some_and(|target| target.id == node.id) && self.is(giver, from),
            };
            if !is_ours {
                return Err(MovedOn::Busy { slot, node: node.addr.clone() });
            }
            is_open = true;
        }
        Ok(Place::Left { at: owner, is_open })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::move_slots;
    use super::*;
    use crate::trib::view::tests::{id, view};

    /// What primaries a, b and c say of themselves, behind `connected`.
    fn cluster(own: [&str; 3]) -> ClusterView {
        let said = |me: usize| {
            let line = |n: usize| {
                let letter = ["a", "b", "c"][n];
                let (flags, slots) = if n == me { ("myself,master", own[n]) } else { ("master", "") };
                format!("{letter} 10.0.0.{}:1 {flags} - 0 0 1 connected {slots}", n + 1).trim_end().to_owned() + "\n"
            };
            [line(me), line((me + 1) % 3), line((me + 2) % 3)].concat()
        };
        let texts = [said(0), said(1), said(2)];
        view("10.0.0.1:1", &texts.each_ref().map(String::as_str))
    }

    fn before() -> Vec<Before> {
        let node = |letter: char, primary: Option<char>| Before {
            id: letter.to_string().repeat(40),
            addr: "h:1".into(),
            meet: "h:1".into(),
            primary: primary.map(|letter| letter.to_string().repeat(40)),
            slots: String::new(),
        };
        vec![node('a', None), node('b', None), node('c', None), node('r', Some('a'))]
    }

    fn transfer(from: char, to: char, slots: &[u16]) -> Transfer {
        Transfer { from: id(from), to: id(to), slots: slots.iter().filter_map(|&n| Slot::new(n)).collect() }
    }

    fn steps() -> Vec<Step> {
        vec![move_slots('a', 'b', "0-3"), move_slots('c', 'b', "20")]
    }

    #[test]
    fn what_has_not_arrived_is_moved() {
        let rest = |own| resume(&steps(), &before(), &cluster(own));
        // Nothing done; all done.
        assert_eq!(
            rest(["0-9", "10-19", "20-29"]).unwrap().transfers,
            [transfer('a', 'b', &[0, 1, 2, 3]), transfer('c', 'b', &[20])]
        );
        let done = rest(["4-9", "0-3 10-20", "21-29"]).unwrap();
        assert!(done.is_empty() && done.arrived == 5);
        // Killed while it opened, drained and handed over.
        for own in [
            ["1-9", "0 10-19 [1-<-a] [2-<-a]", "20-29"],
            ["1-9 [1->-b]", "0 10-19 [1-<-a]", "20-29"],
            ["1-9 [1->-b] [2->-b]", "0 10-19 [1-<-a] [2-<-a]", "20-29"],
        ] {
            let rest = rest(own).unwrap();
            assert_eq!(rest.transfers, [transfer('a', 'b', &[1, 2, 3]), transfer('c', 'b', &[20])], "{own:?}");
            assert_eq!((rest.slots(), rest.arrived, rest.tell.len()), (4, 1, 0));
        }
        // Killed when the target knew and the source did not.
        let rest = rest(["1-9 [1->-b] [2->-b]", "0-2 10-20", "21-29"]).unwrap();
        assert_eq!(rest.transfers, [transfer('a', 'b', &[3])]);
        let slots: SlotSet = "1-2".parse().unwrap();
        assert_eq!(rest.tell, [Tell { node: id('a'), owner: id('b'), slots }]);
    }

    #[test]
    fn what_the_targets_own_is_written_down() {
        let moved = |from: char, slots: &str| {
            let id = |letter: char| letter.to_string().repeat(40);
            Record::Moved { from: id(from), to: id('b'), slots: slots.to_owned() }
        };
        let records = |own| arrived(&steps(), &before(), &cluster(own));
        assert_eq!(records(["0-9", "10-19", "20-29"]), []);
        // Also where the source was not told.
        assert_eq!(records(["2-9 [1->-b]", "0-1 10-20", "21-29"]), [moved('a', "0-1"), moved('c', "20")]);
    }

    #[test]
    fn slots_go_back_where_they_came_from() {
        let back = |own| undo(&steps(), &before(), &cluster(own)).unwrap();
        let reversal = back(["4-9", "0-3 10-20", "21-29"]);
        assert!(reversal.first.is_empty());
        assert_eq!(reversal.back, [transfer('b', 'a', &[0, 1, 2, 3]), transfer('b', 'c', &[20])]);
        // What never left stays; what is under way arrives first.
        let reversal = back(["1-9 [1->-b]", "0 10-19 [1-<-a]", "20-29"]);
        assert_eq!(reversal.first.transfers, [transfer('a', 'b', &[1])]);
        assert_eq!(reversal.back, [transfer('b', 'a', &[0, 1])]);
        assert_eq!(back(["0-9", "10-19", "20-29"]), Reversal::default());
    }

    #[test]
    fn a_cluster_that_has_moved_on_is_left_alone() {
        let slot = |n| Slot::new(n).unwrap();
        let addr = |n: u8| Addr::new(format!("10.0.0.{n}"), 1);
        for (own, why) in [
            (["1-9", "10-19", "0 20-29"], MovedOn::Elsewhere { slot: slot(0), owner: addr(3) }),
            (["0-9 [0->-c]", "10-19", "20-29 [0-<-a]"], MovedOn::Busy { slot: slot(0), node: addr(1) }),
            (["0-9", "10-19", "20-29 [2-<-a]"], MovedOn::Busy { slot: slot(2), node: addr(3) }),
            (["0-9", "10-19 [0-<-c]", "20-29"], MovedOn::Busy { slot: slot(0), node: addr(2) }),
            (["1-9", "0 10-19 [0->-a]", "20-29"], MovedOn::Busy { slot: slot(0), node: addr(2) }),
            (["1-9 [0-<-b]", "0 10-19", "20-29"], MovedOn::Busy { slot: slot(0), node: addr(1) }),
            (["1-9", "10-19", "20-29"], MovedOn::Contested { slot: slot(0), owners: 0 }),
            (["0-9", "0 10-19", "20-29"], MovedOn::Contested { slot: slot(0), owners: 2 }),
        ] {
            let view = cluster(own);
            assert_eq!(resume(&steps(), &before(), &view), Err(why.clone()), "{own:?}");
            assert_eq!(undo(&steps(), &before(), &view), Err(why), "{own:?}");
        }
        let odd = [move_slots('a', 'b', "5-x")];
        assert_eq!(resume(&odd, &before(), &cluster(["", "", ""])), Err(MovedOn::Unreadable { text: "5-x".into() }));
    }

    #[test]
    fn a_node_that_was_failed_over_has_an_heir() {
        let lines = |me: char| {
            let line = |letter: char, rest: &str| {
                let rest = if letter == me { rest.replacen(' ', " myself,", 1) } else { rest.to_owned() };
                format!("{letter} {rest}\n")
            };
            line('r', "10.0.0.9:1 master - 0 0 9 connected 1-9 [1->-b]")
                + &line('a', "10.0.0.1:1 slave r 0 0 9 connected")
                + &line('b', "10.0.0.2:1 master - 0 0 2 connected 0 10-20 [1-<-a]")
                + &line('c', "10.0.0.3:1 master - 0 0 3 connected 21-29")
        };
        let texts = ['r', 'a', 'b', 'c'].map(lines);
        let view = view("10.0.0.9:1", &texts.each_ref().map(String::as_str));
        let rest = resume(&steps(), &before(), &view).unwrap();
        assert_eq!(rest.transfers, [transfer('r', 'b', &[1, 2, 3])]);
        assert_eq!(rest.arrived, 2);
        // Nobody knows whose place the new one takes.
        let strangers: Vec<Before> = before().into_iter().take(3).collect();
        let owner = Addr::new("10.0.0.9", 1);
        let slot = Slot::new(1).unwrap();
        assert_eq!(resume(&steps(), &strangers, &view), Err(MovedOn::Elsewhere { slot, owner }));
        // A source that was emptied is missed only when slots are to go back to it.
        let gone = vec![move_slots('z', 'b', "10")];
        assert_eq!(resume(&gone, &before(), &view).unwrap().arrived, 1);
        assert!(matches!(undo(&gone, &before(), &view), Err(MovedOn::Gone { .. })));
    }
}
