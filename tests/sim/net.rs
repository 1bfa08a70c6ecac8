//! The network: connections that keep their bytes in order, and everything that can go wrong with them.
//!
//! A connection behaves as TCP does. What is sent is delivered in order or not at all; a path that is cut holds the
//! bytes back until it is mended (retransmission) unless one end gives up; a process that ends closes its connections,
//! a machine without power says nothing, so that the other end stays half open until it sends something.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use trib::base::Rng;
use trib::exec::slot_migration::ExportLink;
use trib::exec::{ClientId, Token};
use trib::{cluster, repl};

use crate::queue::{MS, Micros};

/// A connection. The number of one that has ended is used again with another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

/// One end of a connection: side 0 opened it, side 1 accepted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    pub conn: ConnId,
    pub side: usize,
}

impl End {
    pub fn other(self) -> End {
        End { side: 1 - self.side, ..self }
    }
}

/// Which of a machine's listeners a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Client,
    Bus,
}

/// What an end of a connection is to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not accepted yet.
    Nobody,
    Bus(cluster::LinkId),
    ToPrimary(repl::LinkId),
    /// A client of the server.
    Served(ClientId),
    /// The target of a MIGRATE.
    Migrate(Token),
    /// The target of an atomic slot migration.
    Export(ExportLink),
    /// Somebody outside: a client, the operator.
    Actor(usize),
}

/// What travels over a connection.
#[derive(Clone, Debug)]
pub enum Item {
    Open,
    Opened,
    Bytes(Bytes),
    /// The other end has closed.
    Closed,
    /// There is no other end.
    Reset,
}

struct Side {
    host: usize,
    role: Role,
    alive: bool,
    /// When what is on its way to this side arrives.
    last_at: Micros,
    /// What the network holds back.
    held: VecDeque<Item>,
    stalled_until: Micros,
}

struct Conn {
    generation: u32,
    port: Port,
    /// The opener knows that it was accepted.
    opened: bool,
    sides: [Side; 2],
}

/// What is to be done with something that has arrived.
pub enum Arrival {
    Nothing,
    Take { host: usize, role: Role, port: Port },
}

/// How the network of a run is when it is well.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub latency: (Micros, Micros),
    /// One message in so many is lost once and comes late; 0: none.
    pub loss_one_in: u64,
    pub retransmit: Micros,
}

pub struct Net {
    conns: Vec<Conn>,
    free: Vec<u32>,
    pub weather: Weather,
    /// Hosts of different groups do not reach each other.
    groups: Vec<u32>,
    /// From here nothing reaches there.
    one_way: BTreeSet<(usize, usize)>,
    /// Hosts whose packets take longer, both ways.
    slow: BTreeMap<usize, Micros>,
    /// Ends for which something is held back.
    holding: BTreeSet<End>,
}

impl Net {
    pub fn new(hosts: usize, weather: Weather) -> Net {
        Net {
            conns: Vec::new(),
            free: Vec::new(),
            weather,
            groups: vec![0; hosts],
            one_way: BTreeSet::new(),
            slow: BTreeMap::new(),
            holding: BTreeSet::new(),
        }
    }

    pub fn hosts(&self) -> usize {
        self.groups.len()
    }

    fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(id.index as usize).filter(|conn| conn.generation == id.generation)
    }

    fn side(&self, end: End) -> Option<&Side> {
        self.conn(end.conn).map(|conn| &conn.sides[end.side])
    }

    fn side_mut(&mut self, end: End) -> Option<&mut Side> {
        let conn = self.conns.get_mut(end.conn.index as usize)?;
        (conn.generation == end.conn.generation).then_some(&mut conn.sides[end.side])
    }

    /// A connection from `from` to the listener of `to`. The opening has yet to be sent.
    pub fn open(&mut self, from: usize, role: Role, to: usize, port: Port) -> End {
        let side = |host, role| Side { host, role, alive: true, last_at: 0, held: VecDeque::new(), stalled_until: 0 };
        let sides = [side(from, role), side(to, Role::Nobody)];
        let conn = match self.free.pop() {
            Some(index) => {
                let conn = &mut self.conns[index as usize];
                (conn.port, conn.opened, conn.sides) = (port, false, sides);
                ConnId { index, generation: conn.generation }
            }
            None => {
                self.conns.push(Conn { generation: 0, port, opened: false, sides });
                ConnId { index: self.conns.len() as u32 - 1, generation: 0 }
            }
        };
        End { conn, side: 0 }
    }

    pub fn set_role(&mut self, end: End, role: Role) {
        if let Some(side) = self.side_mut(end) {
            side.role = role;
        }
    }

    pub fn is_alive(&self, end: End) -> bool {
        self.side(end).is_some_and(|side| side.alive)
    }

    /// The host at this end, and what the end is to it.
    pub fn owner(&self, end: End) -> Option<(usize, Role)> {
        self.side(end).map(|side| (side.host, side.role))
    }

    pub fn set_opened(&mut self, end: End) {
        if let Some(conn) = self.conns.get_mut(end.conn.index as usize).filter(|c| c.generation == end.conn.generation)
        {
            conn.opened = true;
        }
    }

    pub fn is_opened(&self, end: End) -> bool {
        self.conn(end.conn).is_some_and(|conn| conn.opened)
    }

    /// When something sent now from this end arrives at the other. `None`: there is no such connection any more.
    pub fn send(&mut self, now: Micros, end: End, rng: &mut Rng) -> Option<Micros> {
        let (from, to) = (self.side(end)?.host, self.side(end.other())?.host);
        let delay = self.delay(from, to, rng);
        let side = self.side_mut(end.other())?;
        side.last_at = side.last_at.max(now + delay);
        Some(side.last_at)
    }

    fn delay(&self, from: usize, to: usize, rng: &mut Rng) -> Micros {
        let Weather { latency: (least, most), loss_one_in, retransmit } = self.weather;
        let mut delay = least + rng.below(most - least + 1);
        if loss_one_in > 0 && rng.below(loss_one_in) == 0 {
            delay += retransmit + rng.below(retransmit);
        }
        if !self.slow.is_empty() {
            delay += [from, to].iter().filter_map(|host| self.slow.get(host)).sum::<Micros>();
        }
        delay
    }

    /// Whether a packet gets from one host to another.
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        self.groups[from] == self.groups[to] && (self.one_way.is_empty() || !self.one_way.contains(&(from, to)))
    }

    /// Something has come to the end of its way. What the network holds back is kept.
    pub fn arrive(&mut self, now: Micros, to: End, item: &Item) -> Arrival {
        let Some(side) = self.side(to) else { return Arrival::Nothing };
        if side.held.is_empty() && self.is_open(now, to) {
            return self.take_in(to);
        }
        if let Some(side) = self.side_mut(to) {
            side.held.push_back(item.clone());
            self.holding.insert(to);
        }
        Arrival::Nothing
    }

    /// To whom what has arrived goes.
    pub fn take_in(&self, to: End) -> Arrival {
        let (Some(side), Some(conn)) = (self.side(to), self.conn(to.conn)) else { return Arrival::Nothing };
        Arrival::Take { host: side.host, role: side.role, port: conn.port }
    }

    /// Ends for which something is held back that could go on now, and when each does: a sender that got no answer waits
    /// longer and longer before it tries again.
    pub fn can_go_on(&self, now: Micros, rng: &mut Rng) -> Vec<(Micros, End)> {
        let open = self.holding.iter().filter(|end| self.is_open(now, **end));
        open.map(|end| (now + rng.below(300 * MS), *end)).collect()
    }

    fn is_open(&self, now: Micros, to: End) -> bool {
        let (Some(side), Some(from)) = (self.side(to), self.side(to.other())) else { return false };
        now >= side.stalled_until && self.reaches(from.host, side.host)
    }

    /// What was held back for an end, if it can go on: until then whatever else comes waits behind it.
    pub fn take_held(&mut self, now: Micros, to: End) -> VecDeque<Item> {
        if !self.is_open(now, to) {
            return VecDeque::new();
        }
        self.holding.remove(&to);
        self.side_mut(to).map(|side| std::mem::take(&mut side.held)).unwrap_or_default()
    }

    /// This end is of no use any more. A connection of two dead ends is forgotten.
    pub fn kill(&mut self, end: End) {
        let Some(side) = self.side_mut(end) else { return };
        side.alive = false;
        side.held.clear();
        let conn = &mut self.conns[end.conn.index as usize];
        if conn.sides.iter().all(|side| !side.alive) {
            conn.generation += 1;
            self.free.push(end.conn.index);
            self.holding.remove(&end);
            self.holding.remove(&end.other());
        }
    }

    // --- What faults do ---

    /// Cuts the network into groups of hosts.
    pub fn partition(&mut self, groups: Vec<u32>) {
        self.groups = groups;
    }

    pub fn block(&mut self, from: usize, to: usize) {
        self.one_way.insert((from, to));
    }

    pub fn slow_down(&mut self, host: usize, delay: Micros) {
        self.slow.insert(host, delay);
    }

    /// Nothing moves towards this end for a while.
    pub fn stall(&mut self, end: End, until: Micros) {
        if let Some(side) = self.side_mut(end) {
            side.stalled_until = until;
        }
    }

    /// All paths are as they were in the beginning. What was held back has to be released.
    pub fn heal(&mut self) {
        self.groups.fill(0);
        self.one_way.clear();
        self.slow.clear();
        for conn in &mut self.conns {
            for side in &mut conn.sides {
                side.stalled_until = 0;
            }
        }
    }

    /// Some live connection between two machines below number `hosts`, if there is one.
    pub fn pick(&self, hosts: usize, rng: &mut Rng) -> Option<End> {
        let count = self.conns.len() as u64;
        for _ in 0..20 {
            let index = rng.below(count) as u32;
            let conn = self.conns.get(index as usize)?;
            if conn.sides.iter().all(|side| side.alive && side.host < hosts) {
                let conn = ConnId { index, generation: conn.generation };
                return Some(End { conn, side: rng.below(2) as usize });
            }
        }
        None
    }
}
