//! Who owns which slots: claims in headers and UPDATE messages, and what follows when slots change hands.

use super::bitmap::{self, Bitmap};
use super::breakage::Breakage;
use super::engine::{Engine, Save};
use super::io::{LinkId, LogLevel, Output};
use super::node::NodeIdx;
use super::packet::{self, Header, MessageType, ReplicaOf};
use super::slots::Taken;
use crate::base::{Millis, NodeId, Slot};

impl Engine {
    /// Looks at the bitmap in a known sender's header, which came over `link`.
    pub(super) fn on_claimed_slots(&mut self, sender: NodeIdx, link: LinkId, header: &Header<'_>) {
        let primary = header.replica_of == ReplicaOf::Nobody;
        let owner = self.nodes[sender].primary.unwrap_or(sender);
        if !primary && owner == sender {
            return;
        }
        let same = self.claims_match(owner, header.slots);
        let id = self.nodes[sender].id;
        self.slots.note_let_go(&id, if primary { header.slots } else { &bitmap::EMPTY });
        if primary {
            if !same {
                self.claim_slots(sender, header.config_epoch, header.slots, self.sent_after(sender, link));
            }
            self.settle_empty_twins(sender, header.config_epoch);
        }
        if !same {
            self.correct(sender, header.config_epoch, header.slots);
        }
    }

    /// Whether a bitmap says exactly what is known of a node.
    fn claims_match(&self, owner: NodeIdx, claimed: &Bitmap) -> bool {
        bitmap::count(claimed) == self.slots.count(owner)
            && bitmap::iter(claimed).all(|slot| self.slots.owner(slot) == Some(owner) && !self.slots.is_unclaimed(slot))
    }

    /// A time after which a node's packet was sent for certain, if there is one: what came in answer to a PING is
    /// younger than that. What a node sends unasked may have waited in a queue for any time, and overtakes nothing
    /// only within its own link.
    fn sent_after(&self, sender: NodeIdx, link: LinkId) -> Option<Millis> {
        matches!(link, LinkId::Outbound(_)).then_some(self.nodes[sender].answered)?
    }

    /// `sender` claims these slots with this epoch: the newer claim wins. See [`Engine::sent_after`] for `sent_after`.
    fn claim_slots(&mut self, sender: NodeIdx, epoch: u64, claimed: &Bitmap, sent_after: Option<Millis>) {
        if sender == self.me {
            return;
        }
        let my_shard_primary = self.myself().primary.unwrap_or(self.me);
        let (mut lost, mut insist, mut dirty) = (false, false, Vec::new());
        for slot in bitmap::iter(claimed) {
            let owner = self.slots.owner(slot);
            if owner == Some(sender) {
                self.slots.set_unclaimed(slot, false);
                continue;
            }
            let free = owner.is_none_or(|o| self.slots.is_unclaimed(slot) || self.nodes[o].config_epoch < epoch)
                || (owner == Some(self.me) && self.is_granted(slot, sender));
            if !free && !self.is_broken(Breakage::StaleClaimWins) {
                continue;
            }
            if owner == Some(self.me) {
                match self.taken_from_shard_of(slot, sender) {
                    Some(Taken { ordered: true, .. }) => {
                        insist = true;
                        continue;
                    }
                    // It was sent before the two agreed, for all that is known.
                    Some(Taken { at, .. }) if sent_after.is_none_or(|sent| sent <= at) => continue,
                    _ => {}
                }
                dirty.push(slot);
            }
            lost |= owner == Some(my_shard_primary);
            self.settle_open_slot(slot, sender);
            self.bind_slot(slot, sender);
            self.save_soon();
        }
        if lost {
            self.todo.save = Save::Now;
        }
        if insist {
            self.bump_epoch();
            self.todo.broadcast = true;
        }
        self.note_unclaimed(sender, claimed, sent_after);
        self.follow_targets(sender);
        if lost && self.slots.count(my_shard_primary) == 0 && self.join_successor(sender) {
            return;
        }
        if !dirty.is_empty() && self.myself().is_primary() {
            self.emit(Output::DeleteSlotKeys(dirty));
        }
    }

    /// How a slot of mine was handed over by `sender` or its shard, which has not been heard without it.
    ///
    /// It may claim the slot with an epoch that I had not heard of when I took mine. What an operator has ordered is as if I
    /// had: mine is made the higher one, else the slot would go back to where its keys are no more, and those here be deleted.
    /// A node that has granted me its slot lets it go whatever the epochs, or has taken it back with a higher one: which of
    /// the two, it says in packets that are younger than the hand-over.
    ///
    /// A node of my own shard that claims my slots is my successor, wherever it comes from. And who is to have the slot back
    /// from me claims it by right.
    fn taken_from_shard_of(&self, slot: Slot, sender: NodeIdx) -> Option<Taken> {
        let taken = self.slots.taken(slot)?;
        let to_have_it = self.same_shard(sender, self.me)
            || self.is_granted(slot, sender)
            || self.slots.migrating_to(slot) == Some(sender);
        if to_have_it || !self.myself().is_primary() {
            return None;
        }
        let from = self.nodes.find(&taken.from)?;
        (from == sender || self.same_shard(from, sender)).then_some(taken)
    }

    /// An open slot changes hands: who it comes from or goes to may have changed with it.
    fn settle_open_slot(&mut self, slot: Slot, sender: NodeIdx) {
        if self.slots.migrating_to(slot).is_some() && !self.same_shard(sender, self.me) {
            self.slots.set_migrating(slot, None);
        }
        if let Some(source) = self.slots.importing_from(slot) {
            let still = self.same_shard(source, sender).then_some(sender);
            self.slots.set_importing(slot, still);
        }
    }

    /// Slots a node has but does not claim any more stay bound until another claims them; those that are on their way
    /// here I claim myself in the end ([`Engine::tick_vacant`]).
    ///
    /// An operator may have told me before the node knew it that the slot is its own. A packet it sent before that does
    /// not claim the slot yet, which must not be taken for a claim given up: if the slot is on its way to me by now, I
    /// would take it with a newer epoch, and the owner would delete the keys that have not left. So it takes a packet
    /// that is younger than the order.
    fn note_unclaimed(&mut self, sender: NodeIdx, claimed: &Bitmap, sent_after: Option<Millis>) {
        let may_be_older =
            |slot| self.slots.ordered_at(slot).is_some_and(|at| sent_after.is_none_or(|sent| sent <= at));
        let dropped: Vec<Slot> =
            self.slots.of(sender).filter(|slot| !bitmap::contains(claimed, *slot) && !may_be_older(*slot)).collect();
        for slot in dropped {
            self.slots.set_unclaimed(slot, true);
        }
    }

    /// Slots on their way to a node that was replaced in its shard are on their way to its successor: also while the old
    /// one is down and has not heard yet that it is a replica.
    fn follow_targets(&mut self, sender: NodeIdx) {
        let moved: Vec<Slot> = self
            .slots
            .migrating()
            .filter(|(_, to)| {
                let replaced =
                    self.nodes[*to].is_replica() || self.nodes[*to].config_epoch < self.nodes[sender].config_epoch;
                *to != sender && replaced && self.same_shard(*to, sender)
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in moved {
            self.slots.set_migrating(slot, Some(sender));
            self.save_soon();
        }
    }

    /// My shard's primary has lost its last slot to `sender`: replicate the one that has them now.
    /// Returns false if I stay what I am.
    fn join_successor(&mut self, sender: NodeIdx) -> bool {
        let mate = self.same_shard(sender, self.me);
        if !mate && !self.cfg.allow_replica_migration {
            return false;
        }
        let label = self.nodes[sender].label();
        self.log(
            LogLevel::Notice,
            format!("Configuration change detected. Reconfiguring myself as a replica of {label}"),
        );
        self.become_replica_of(sender, mate);
        true
    }

    /// Two primaries of one shard without slots: one of them is left over from a failover.
    fn settle_empty_twins(&mut self, sender: NodeIdx, epoch: u64) {
        if self.myself().is_primary()
            && self.same_shard(sender, self.me)
            && self.slots.count(self.me) == 0
            && self.slots.count(sender) == 0
            && self.myself().config_epoch < epoch
        {
            self.become_replica_of(sender, true);
        }
    }

    /// The sender claims a slot that another owns with a newer epoch: tell it, once.
    pub(super) fn correct(&mut self, sender: NodeIdx, epoch: u64, claimed: &Bitmap) {
        let newer = bitmap::iter(claimed)
            .filter_map(|slot| self.slots.owner(slot))
            .find(|owner| *owner != sender && self.nodes[*owner].config_epoch > epoch);
        if let Some(owner) = newer {
            self.send_update(sender, owner);
        }
    }

    /// Tells `to` what `about` owns.
    pub(super) fn send_update(&mut self, to: NodeIdx, about: NodeIdx) {
        let slots = self.slots.claimed_bitmap_of(about);
        let (id, epoch) = (self.nodes[about].id, self.nodes[about].config_epoch);
        let bytes = packet::encode_update(&self.header(MessageType::Update), &id, epoch, &slots).into();
        self.send_to(to, MessageType::Update, bytes);
    }

    /// A known node tells that `id` owns these slots with this epoch.
    pub(super) fn on_update(&mut self, id: &NodeId, epoch: u64, slots: &Bitmap) {
        let Some(idx) = self.nodes.find(id) else { return };
        if idx == self.me || self.nodes[idx].config_epoch >= epoch {
            return;
        }
        self.make_primary(idx);
        self.nodes[idx].config_epoch = epoch;
        self.save_soon();
        // Another's knowledge of it may be of any age.
        self.claim_slots(idx, epoch, slots, None);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::flags::NodeFlags;
    use super::super::harness::Net;
    use super::super::io::Input;
    use super::super::packet::{MsgFlags, encode_ping};
    use super::*;

    /// Node `to` hears from node `from`, which claims these slots with its epoch.
    fn hear(net: &mut Net, to: usize, from: NodeId, epoch: u64, slots: &Bitmap) {
        let header = Header {
            kind: MessageType::Pong,
            port: 1,
            pport: 0,
            cport: 2,
            current_epoch: epoch,
            config_epoch: epoch,
            offset: 1,
            sender: Some(from),
            slots,
            replica_of: ReplicaOf::Nobody,
            my_ip: "",
            flags: NodeFlags::PRIMARY,
            state_ok: true,
            mflags: MsgFlags::EXT_DATA,
        };
        let bytes = encode_ping(&header, &[], &[]);
        let (link, ip) = (LinkId::Inbound(1000), IpAddr::V4(Ipv4Addr::LOCALHOST));
        net.input(to, Input::Accepted { link, peer_ip: ip, local_ip: ip });
        net.input(to, Input::Packet { link, bytes: &bytes });
    }

    /// Three primaries, and the ids of the first and of the last, which has the last slot.
    fn three() -> (Net, NodeId, NodeId) {
        let mut net = Net::new(3, 1, |c| c.node_timeout_ms = 1000);
        net.create(3);
        let (first, last) = (net.id(0), net.id(2));
        (net, first, last)
    }

    /// The slot that is on its way from the last node to the first.
    fn moving() -> Slot {
        Slot::new(16383).expect("a slot")
    }

    /// An operator opens it at both ends.
    fn open(net: &mut Net) {
        let (target, source) = (net.id(0), net.id(2));
        net.must(0, &format!("SETSLOT {} IMPORTING {source}", moving()));
        net.must(2, &format!("SETSLOT {} MIGRATING {target}", moving()));
    }

    /// What a node claims.
    fn claims_of(net: &Net, i: usize) -> Box<Bitmap> {
        let engine = net.engine(i);
        engine.slots.bitmap_of(engine.me)
    }

    #[test]
    fn who_was_down_takes_no_slot_that_was_on_its_way_to_it_before_it_is_open() {
        let (mut net, target, source) = three();
        open(&mut net);
        let mut left = claims_of(&net, 2);
        bitmap::remove(&mut left, moving());
        net.kill(0);
        net.partition(&[1, 0, 0]);
        net.start(0);
        let epoch = net.engine(0).current_epoch();
        hear(&mut net, 0, source, 3, &left);
        assert_eq!(net.owner_of(0, 16383), Some(source));
        assert!(net.engine(0).importing_from(moving()).is_some());
        assert_eq!(net.engine(0).current_epoch(), epoch);
        // Once it has seen that nobody has taken its place, the same word is believed.
        net.heal();
        net.run_until(10_000, "node 0 is open", |net| net.engine(0).state_ok());
        assert_eq!(net.owner_of(0, 16383), Some(source));
        net.must(2, &format!("SETSLOT {} NODE {target}", moving()));
        net.run_until(1000, "node 0 has the slot", |net| net.owner_of(0, 16383) == Some(target));
        assert_eq!(net.engine(0).current_epoch(), epoch + 1);
    }

    #[test]
    fn a_slot_that_was_ordered_here_does_not_go_back_to_where_it_was_for_an_epoch_not_heard_of() {
        let (mut net, target, source) = three();
        let before = claims_of(&net, 2);
        open(&mut net);
        net.must(0, &format!("SETSLOT 16383 NODE {target}"));
        let epoch = net.engine(0).current_epoch();
        // It was on its way, or the source has not been told yet; and it had got a new epoch elsewhere.
        hear(&mut net, 0, source, epoch + 5, &before);
        assert_eq!(net.owner_of(0, 16383), Some(target));
        assert_eq!(net.engine(0).current_epoch(), epoch + 6);
        // Another node with a newer epoch is another matter.
        let other = net.id(1);
        let mut claims = claims_of(&net, 1);
        bitmap::insert(&mut claims, moving());
        hear(&mut net, 0, other, epoch + 9, &claims);
        assert_eq!(net.owner_of(0, 16383), Some(other));
    }

    #[test]
    fn a_granted_slot_is_the_sources_again_only_by_what_it_says_later() {
        let (mut net, target, source) = three();
        let before = claims_of(&net, 2);
        // An epoch that the target has not heard of.
        net.with_engine(2, |engine, _| {
            let me = engine.me;
            engine.current_epoch = 20;
            engine.nodes[me].config_epoch = 20;
        });
        net.with_engine(0, |engine, now| engine.take_over(now, [moving()]));
        hear(&mut net, 0, source, 20, &before);
        assert_eq!(net.owner_of(0, 16383), Some(target));
        // The source, which has granted nothing here, goes on claiming the slot, and says so when it is asked.
        net.run_until(10_000, "the source has it again", |net| net.owner_of(0, 16383) == Some(source));
    }

    #[test]
    fn a_slot_goes_back_to_where_it_came_from_when_that_is_ordered_or_granted() {
        let (mut net, here, there) = three();
        open(&mut net);
        net.must(0, &format!("SETSLOT 16383 NODE {here}"));
        net.must(2, &format!("SETSLOT 16383 NODE {here}"));
        let mut with = claims_of(&net, 2);
        bitmap::insert(&mut with, moving());
        let epoch = net.engine(0).current_epoch();

        // Back by the next order, before the one that had it was heard without it.
        net.must(0, &format!("SETSLOT 16383 MIGRATING {there}"));
        hear(&mut net, 0, there, epoch + 1, &with);
        assert_eq!(net.owner_of(0, 16383), Some(there));
    }

    #[test]
    fn who_is_heard_without_a_slot_may_claim_it_anew() {
        let (mut net, _, there) = three();
        let with = claims_of(&net, 2);
        let mut without = with.clone();
        bitmap::remove(&mut without, moving());
        net.with_engine(0, |engine, now| engine.take_over(now, [moving()]));
        let epoch = net.engine(0).current_epoch();
        // What it says is what is known of it.
        hear(&mut net, 0, there, 1, &without);
        hear(&mut net, 0, there, epoch + 1, &with);
        assert_eq!(net.owner_of(0, 16383), Some(there));
    }

    #[test]
    fn a_successor_gets_all_slots_also_those_that_came_from_itself() {
        let mut net = Net::new(4, 1, |c| c.node_timeout_ms = 1000);
        net.create(3);
        let (here, there) = (net.id(0), net.id(2));
        net.with_engine(0, |engine, now| engine.take_over(now, [moving()]));
        let claimed = claims_of(&net, 0);
        let epoch = net.engine(0).current_epoch();
        // Since then it has become a replica of the one that has its slot, and takes its place.
        net.with_engine(0, |engine, _| {
            let idx = engine.nodes.find(&there).expect("it is known");
            engine.nodes[idx].shard_id = engine.myself().shard_id;
        });
        hear(&mut net, 0, there, epoch + 1, &claimed);
        assert_eq!(net.owner_of(0, 16383), Some(there));
        assert_ne!(net.owner_of(0, 0), Some(here));
    }
}
