//! The table of known nodes.
//!
//! A node has an index for life, and an id that is random until its handshake is over. The table is
//! walked in the order of ids, so that the same history gives the same packets.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use super::clock::Clock;
use super::flags::NodeFlags;
use super::io::LinkId;
use crate::base::{Millis, NodeId, Rng};

/// A node's place in the table. The engine scrubs every copy when it removes the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeIdx(NonZeroU32);

impl NodeIdx {
    fn from_position(position: usize) -> NodeIdx {
        NodeIdx(NonZeroU32::MIN.saturating_add(position as u32))
    }

    fn position(self) -> usize {
        self.0.get() as usize - 1
    }

    #[cfg(test)]
    pub(super) fn for_test(n: u32) -> NodeIdx {
        NodeIdx(NonZeroU32::new(n).unwrap())
    }
}

/// Where a node listens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addr {
    pub ip: String,
    /// Plain client port; 0: none.
    pub tcp_port: u16,
    /// TLS client port; 0: none.
    pub tls_port: u16,
    /// Bus port.
    pub cport: u16,
}

/// What a node says about itself in extensions. Empty or zero: not said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    pub hostname: String,
    pub nodename: String,
    pub client_ipv4: String,
    pub client_ipv6: String,
    pub client_tcp_port: u16,
    pub client_tls_port: u16,
    pub availability_zone: String,
}

/// One known node.
///
/// What gossip about others looks at comes first, within two lines of the processor's cache: at a thousand nodes a server
/// reads and writes some hundred thousand entries a second, each about some other node, and most of what that costs is
/// waiting for memory.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Node {
    pub id: NodeId,
    pub flags: NodeFlags,
    pub pong_received: Option<Clock>,
    /// Who reported it as failing, and when (monotonic).
    pub reports: BTreeMap<NodeIdx, Millis>,
    /// When the PING was sent whose PONG is awaited.
    pub ping_sent: Option<Clock>,
    pub outbound: Option<LinkId>,
    pub addr: Addr,
    pub inbound: Option<LinkId>,
    /// Any packet at all.
    pub data_received: Option<Clock>,
    /// When the last PING that was answered had been sent: monotonic.
    pub answered: Option<Millis>,
    pub meet_sent: Option<Millis>,
    /// Monotonic, of the last attempt.
    pub connect_tried: Option<Millis>,
    pub created: Clock,
    /// The node's own. For a replica the primary's counts; see `Engine::epoch_of`.
    pub config_epoch: u64,
    pub repl_offset: u64,
    /// `None` while it is a replica: its primary is not known (yet).
    pub primary: Option<NodeIdx>,
    pub replicas: BTreeSet<NodeIdx>,
    /// Monotonic, when it became FAIL.
    pub failed_at: Millis,
    /// Monotonic, when this primary lost its last good replica.
    pub orphaned_at: Option<Millis>,
    /// Monotonic, since when there was no inbound link.
    pub inbound_lost_at: Millis,
    pub shard_id: NodeId,
    pub attributes: Attributes,
    /// It has sent something that only a server with shard ids sends.
    pub speaks_shards: bool,
}

impl Node {
    #[must_use]
    pub fn new(id: NodeId, shard_id: NodeId, flags: NodeFlags, now: Clock) -> Node {
        Node {
            id,
            shard_id,
            flags,
            addr: Addr::default(),
            attributes: Attributes::default(),
            config_epoch: 0,
            repl_offset: 0,
            primary: None,
            replicas: BTreeSet::new(),
            outbound: None,
            inbound: None,
            created: now,
            ping_sent: None,
            answered: None,
            pong_received: None,
            data_received: None,
            meet_sent: None,
            connect_tried: None,
            failed_at: Millis::ZERO,
            orphaned_at: None,
            inbound_lost_at: now.mono,
            speaks_shards: false,
            reports: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn is(&self, flags: NodeFlags) -> bool {
        self.flags.intersects(flags)
    }

    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.is(NodeFlags::PRIMARY)
    }

    #[must_use]
    pub fn is_replica(&self) -> bool {
        self.is(NodeFlags::REPLICA)
    }

    #[must_use]
    pub fn in_handshake(&self) -> bool {
        self.is(NodeFlags::HANDSHAKE)
    }

    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.is(NodeFlags::FAIL)
    }

    /// The name to log: the id and, if it has one, the human name.
    #[must_use]
    pub fn label(&self) -> String {
        if self.attributes.nodename.is_empty() {
            self.id.to_string()
        } else {
            format!("{} ({})", self.id, self.attributes.nodename)
        }
    }
}

/// The first bytes of an id, in its order.
fn prefix(id: &NodeId) -> u64 {
    id.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Eight hexadecimal digits, each in its byte, as a number below 2^32. Other letters give some such number.
fn eight_digits(text: u64) -> u64 {
    // The low four bits of a digit are its value, and nine less than that of a letter.
    let values = (text & 0x0f0f_0f0f_0f0f_0f0f) + 9 * (text >> 6 & 0x0101_0101_0101_0101);
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (fours | fours >> 16) & 0xffff_ffff
}

/// All known nodes, myself included.
#[derive(Debug, Default)]
pub struct NodeTable {
    places: Vec<Option<Node>>,
    free: Vec<NodeIdx>,
    /// In the order of ids, each beside its prefix: nearly every look-up ends within a few lines of this one small vector.
    order: Vec<(u64, NodeIdx)>,
    /// The same indices in an order that sampling shuffles as it goes.
    deck: Vec<NodeIdx>,
}

impl NodeTable {
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// Where the first entry stands whose prefix is not below this one. Ids are random digits: it is near to where it would
    /// be if they were spread evenly, so the search goes outwards from there.
    fn first_from(&self, prefix: u64) -> usize {
        let count = self.order.len();
        let guess = ((eight_digits(prefix) * count as u64) >> 32) as usize;
        let below = |place: usize| self.order[place].0 < prefix;
        let (mut low, mut high, mut step) = (guess, guess, 4);
        while low > 0 && !below(low - 1) {
            high = low - 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
        while high < count && below(high) {
            low = high + 1;
            high = (high + step).min(count);
            step *= 2;
        }
        low + self.order[low..high].partition_point(|(other, _)| *other < prefix)
    }

    /// Where an id stands in the order, or where it would.
    fn place_of(&self, id: &NodeId) -> Result<usize, usize> {
        let prefix = prefix(id);
        let first = self.first_from(prefix);
        for (i, (other, idx)) in self.order[first..].iter().enumerate() {
            match (*other == prefix).then(|| self[*idx].id.cmp(id)) {
                Some(Ordering::Equal) => return Ok(first + i),
                Some(Ordering::Less) => {}
                _ => return Err(first + i),
            }
        }
        Err(self.order.len())
    }

    /// Nodes that are past their handshake, myself included.
    #[must_use]
    pub fn members(&self) -> usize {
        self.iter().filter(|(_, node)| !node.in_handshake()).count()
    }

    #[must_use]
    pub fn find(&self, id: &NodeId) -> Option<NodeIdx> {
        self.place_of(id).ok().map(|place| self.order[place].1)
    }

    /// Whether `idx` still refers to the node with this id.
    #[must_use]
    pub fn has(&self, idx: NodeIdx, id: &NodeId) -> bool {
        self.places[idx.position()].as_ref().is_some_and(|node| node.id == *id)
    }

    /// Adds a node whose id is not in the table.
    pub fn insert(&mut self, node: Node) -> NodeIdx {
        let place = self.place_of(&node.id).expect_err("an id is in the table once");
        let prefix = prefix(&node.id);
        let idx = if let Some(idx) = self.free.pop() {
            self.places[idx.position()] = Some(node);
            idx
        } else {
            self.places.push(Some(node));
            NodeIdx::from_position(self.places.len() - 1)
        };
        self.order.insert(place, (prefix, idx));
        self.deck.push(idx);
        idx
    }

    /// Takes a node out. The caller must hold no other copy of `idx` afterwards.
    pub fn remove(&mut self, idx: NodeIdx) -> Node {
        self.order.retain(|(_, other)| *other != idx);
        self.deck.retain(|other| *other != idx);
        self.free.push(idx);
        self.places[idx.position()].take().expect("an index refers to a node")
    }

    /// Gives a node its real id, which is not in the table.
    pub fn rename(&mut self, idx: NodeIdx, id: NodeId) {
        self.order.retain(|(_, other)| *other != idx);
        self[idx].id = id;
        let place = self.place_of(&id).expect_err("an id is in the table once");
        self.order.insert(place, (prefix(&id), idx));
    }

    /// All nodes in the order of their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeIdx, &Node)> {
        self.order.iter().map(|(_, idx)| (*idx, &self[*idx]))
    }

    /// The indices of all nodes in the order of their ids, for walks that change the table.
    #[must_use]
    pub fn indices(&self) -> Vec<NodeIdx> {
        self.order.iter().map(|(_, idx)| *idx).collect()
    }

    /// Up to `most` indices from `after` on in the order of ids, wrapping around at the end.
    #[must_use]
    pub fn round_robin(&self, after: &NodeId, most: usize) -> Vec<NodeIdx> {
        let next = self.place_of(after).map_or_else(|place| place, |place| place + 1);
        let (before, behind) = self.order.split_at(next);
        behind.iter().chain(before).take(most).map(|(_, idx)| *idx).collect()
    }

    /// Draws nodes at random, each at most once, until `take` (told of each) has accepted `wanted`.
    pub fn sample(&mut self, rng: &mut Rng, wanted: usize, mut take: impl FnMut(NodeIdx, &Node) -> bool) {
        let (mut taken, mut drawn) = (0, 0);
        while taken < wanted && drawn < self.deck.len() {
            let pick = drawn + rng.below((self.deck.len() - drawn) as u64) as usize;
            self.deck.swap(drawn, pick);
            let idx = self.deck[drawn];
            drawn += 1;
            taken += usize::from(take(idx, &self[idx]));
        }
    }
}

impl Index<NodeIdx> for NodeTable {
    type Output = Node;
    fn index(&self, idx: NodeIdx) -> &Node {
        self.places[idx.position()].as_ref().expect("an index refers to a node")
    }
}

impl IndexMut<NodeIdx> for NodeTable {
    fn index_mut(&mut self, idx: NodeIdx) -> &mut Node {
        self.places[idx.position()].as_mut().expect("an index refers to a node")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_distinct_and_bounded() {
        let mut rng = Rng::seeded(1);
        let mut table = NodeTable::default();
        for _ in 0..20 {
            let id = NodeId::random(&mut rng);
            table.insert(Node::new(id, id, NodeFlags::PRIMARY, Clock::default()));
        }
        for wanted in [0, 1, 7, 20, 100] {
            let mut seen = BTreeSet::new();
            table.sample(&mut rng, wanted, |idx, _| seen.insert(idx));
            assert_eq!(seen.len(), wanted.min(20));
        }
        let gone = table.indices()[3];
        table.remove(gone);
        let mut seen = BTreeSet::new();
        table.sample(&mut rng, 100, |idx, _| seen.insert(idx));
        assert!(seen.len() == 19 && !seen.contains(&gone));
    }

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let mut rng = Rng::seeded(3);
        // Random ones, and many that begin alike: nothing of an even spread.
        let mut ids: Vec<NodeId> = (0..300).map(|_| NodeId::random(&mut rng)).collect();
        for n in 0..300 {
            let digits = ["0123456789abcdef", "ffffffffffffffff", "no0digits0at0all"][n % 3];
            ids.push(NodeId::parse(format!("{digits}{n:024x}").as_bytes()).unwrap());
        }
        rng.shuffle(&mut ids);
        let mut table = NodeTable::default();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(table.find(id), None);
            let idx = table.insert(Node::new(*id, *id, NodeFlags::PRIMARY, Clock::default()));
            assert_eq!(table.find(id), Some(idx), "the {n}th");
        }
        assert!(ids.iter().all(|id| table.find(id).is_some_and(|idx| table[idx].id == *id)));
        let told: Vec<NodeId> = table.iter().map(|(_, node)| node.id).collect();
        ids.sort_unstable();
        assert_eq!(told, ids);
    }

    #[test]
    fn digits_are_read_as_a_number() {
        for digits in ["01234567", "89abcdef", "fedcba98", "00000000", "ffffffff"] {
            let text = u64::from_be_bytes(digits.as_bytes().try_into().unwrap());
            assert_eq!(eight_digits(text), u64::from_str_radix(digits, 16).unwrap());
        }
        assert!(eight_digits(u64::from_be_bytes(*b"zzzzzzzz")) < 1 << 32);
    }

    #[test]
    fn round_robin_wraps() {
        let mut rng = Rng::seeded(2);
        let mut table = NodeTable::default();
        for _ in 0..5 {
            let id = NodeId::random(&mut rng);
            table.insert(Node::new(id, id, NodeFlags::PRIMARY, Clock::default()));
        }
        let order = table.indices();
        let got = table.round_robin(&table[order[2]].id, 4);
        assert_eq!(got, [order[3], order[4], order[0], order[1]]);
        assert_eq!(table.round_robin(&table[order[2]].id, 99).len(), 5);
    }
}
