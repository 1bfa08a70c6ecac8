//! The cluster's side: every key to its owner, whoever that is by now.
//!
//! A [`Landing`] knows the owner of every slot, a [`Lane`] is one worker's connections to them. Redirections are followed
//! and remembered, so a reshard or a failover meanwhile costs some round trips, not the work.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::cast::{self, Cast};
use super::tally::Tally;
use super::wire::{Commands, Wire, push_command};
use super::{Cargo, Conflict, Settings};
use crate::base::{SLOTS, Slot, key_slot};
use crate::persist::payload::is_same_value;
use crate::resp::client::ReplyValue;
use crate::trib::access::Access;
use crate::trib::addr::Addr;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Failure};
use crate::trib::keytext;
use crate::trib::quarantine::Quarantine;
use crate::trib::ui::{Ui, Wording};
use crate::trib::view::ClusterView;

/// How long owners may be asked again that are loading, failing over or without an owner for the slot.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Redirections that one command may follow.
const HOPS_MAX: usize = 8;

/// The cluster that keys come into.
pub struct Landing<'a> {
    pub ui: &'a Ui,
    access: &'a Access,
    pub settings: &'a Settings,
    pub tally: &'a Tally<'a>,
    /// Who sends the keys, as it is named in errors.
    pub origin: String,
    nodes: RefCell<Vec<Addr>>,
    /// The owner of each slot, by its place among the nodes.
    owners: RefCell<Vec<usize>>,
    /// The form of values that the cluster has taken last, when it did not take them as they came.
    form: Cell<usize>,
}

/// One command for the owner of a slot.
struct Ask {
    slot: Slot,
    command: Vec<u8>,
}

/// What became of a key.
enum Outcome {
    Arrived,
    Exists,
    Refused(String),
}

/// Where a command is sent next.
#[derive(Clone, Copy)]
struct Try {
    ask: usize,
    node: usize,
    asking: bool,
}

impl<'a> Landing<'a> {
    /// Every slot has to have an owner.
    pub fn new(
        ui: &'a Ui,
        access: &'a Access,
        view: &ClusterView,
        settings: &'a Settings,
        tally: &'a Tally<'a>,
        origin: String,
    ) -> Result<Landing<'a>, Error> {
        let nodes: Vec<Addr> = view.primaries().map(|node| node.addr.clone()).collect();
        let mut owners: Vec<Option<usize>> = vec![None; SLOTS];
        for (index, node) in view.primaries().enumerate() {
            node.slots.iter().for_each(|slot| owners[slot.index()] = Some(index));
        }
        let owners = owners.into_iter().collect::<Option<Vec<_>>>();
        let owners = owners.ok_or_else(|| {
            Error::failed("[ERR] Not all slots are covered by nodes.").hint("trib fix covers them again")
        })?;
        let (nodes, owners) = (RefCell::new(nodes), RefCell::new(owners));
        Ok(Landing { ui, access, settings, tally, origin, nodes, owners, form: Cell::new(cast::AS_IT_CAME) })
    }

    /// Connections for one more worker, made when they are needed.
    #[must_use]
    pub fn lane(&self) -> Lane<'_> {
        Lane { landing: self, wires: HashMap::new() }
    }

    /// The node that owns the key, as far as is known.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Addr {
        self.nodes.borrow()[self.owners.borrow()[key_slot(key).index()]].clone()
    }

    /// The end of a command that may not meet a key; redis-cli has the source say it.
    pub fn conflict(&self, key: &[u8]) -> Error {
        let node = self.owner(key);
        match self.ui.wording() {
            Wording::RedisCli => {
                self.ui.part(format!("Migrating {} to {node}: ", String::from_utf8_lossy(key)));
                let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
                Error::failed(format!("Source {} replied with error:\n{busy}", self.origin))
            }
            Wording::Trib => Error::failed(format!("[ERR] {} exists already on {node}.", keytext::shown(key))).hint(
                "--on-conflict skip leaves such keys alone, replace overwrites them, report goes on and names them",
            ),
        }
    }

    fn index_of(&self, addr: &Addr) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.iter().position(|node| node == addr).unwrap_or_else(|| {
            nodes.push(addr.clone());
            nodes.len() - 1
        })
    }
}

/// One worker's way into the cluster.
pub struct Lane<'l> {
    landing: &'l Landing<'l>,
    /// By node and database.
    wires: HashMap<(usize, u32), Wire>,
}

impl Lane<'_> {
    /// Brings the keys in and says of each whether it is there now, as it was sent. `replace` overwrites what is there.
    pub async fn land(&mut self, database: u32, cargo: &[Cargo], replace: bool) -> Result<Vec<bool>, Error> {
        let landing = self.landing;
        let replace = replace || landing.settings.conflict == Conflict::Replace;
        if let Some(quarantine) = landing.settings.quarantine.as_deref().filter(|_| replace) {
            self.save(database, cargo, quarantine).await?;
        }
        let mut outcomes = self.put(database, cargo, replace).await?;
        if landing.settings.goes_on {
            self.recognise(database, cargo, &mut outcomes).await?;
        }
        let mut there = vec![false; cargo.len()];
        let mut arrived = Vec::with_capacity(cargo.len());
        let mut conflict = None;
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let key = &cargo[index].key;
            match (outcome, landing.settings.conflict) {
                (Outcome::Arrived, _) => {
                    there[index] = true;
                    arrived.push((key.as_slice(), landing.owner(key)));
                }
                (Outcome::Exists, Conflict::Skip) => landing.tally.skip(),
                (Outcome::Exists, Conflict::Fail) => conflict = conflict.or(Some(key)),
                (Outcome::Exists, _) => {
                    landing.tally.refuse(key, &format!("it exists already on {}", landing.owner(key)));
                }
                (Outcome::Refused(why), _) => landing.tally.refuse(key, &why),
            }
        }
        landing.tally.arrive(arrived.iter().map(|(key, node)| (*key, node)));
        if landing.settings.verify {
            let sent: Vec<usize> = (0..cargo.len()).filter(|&index| there[index]).collect();
            let same = self.compare(database, &sent.iter().map(|&index| &cargo[index]).collect::<Vec<_>>()).await?;
            for (index, why) in sent.into_iter().zip(same) {
                if let Some(why) = why {
                    there[index] = false;
                    landing.tally.differ(&cargo[index].key, &why);
                }
            }
        }
        conflict.map_or(Ok(there), |key| Err(landing.conflict(key)))
    }

    /// Saves what the cluster has under these keys, but for values that are sent as they are.
    async fn save(&mut self, database: u32, cargo: &[Cargo], quarantine: &Quarantine) -> Result<(), Error> {
        let all: Vec<&Cargo> = cargo.iter().collect();
        let replies = self.read_back(database, &all).await?;
        for (one, replies) in cargo.iter().zip(replies.chunks_exact(2)) {
            let node = self.landing.owner(&one.key);
            match replies {
                [ReplyValue::Null, _] => {}
                [ReplyValue::Bulk(_), ReplyValue::Integer(-1)] if difference(one, replies).is_none() => {}
                [ReplyValue::Bulk(payload), ReplyValue::Integer(ttl_ms)] => quarantine
                    .save(&node, database, &one.key, *ttl_ms, payload)
                    .map_err(|e| Error::failed(format!("[ERR] {e}")).hint("--quarantine names another directory"))?,
                _ => {
                    let text = replies.iter().find_map(ReplyValue::as_error).map(String::from_utf8_lossy);
                    let text = text.unwrap_or_default().into_owned();
                    return Err(Failure::Reply { node, text }.into());
                }
            }
        }
        Ok(())
    }

    /// Keys that exist as they were sent have arrived.
    async fn recognise(&mut self, database: u32, cargo: &[Cargo], outcomes: &mut [Outcome]) -> Result<(), Failure> {
        let exists = |outcome: &Outcome| matches!(outcome, Outcome::Exists);
        let known: Vec<usize> = (0..cargo.len()).filter(|&index| exists(&outcomes[index])).collect();
        let keys: Vec<&Cargo> = known.iter().map(|&index| &cargo[index]).collect();
        for (index, difference) in known.into_iter().zip(self.compare(database, &keys).await?) {
            if difference.is_none() {
                outcomes[index] = Outcome::Arrived;
            }
        }
        Ok(())
    }

    /// Brings keys in once more that have changed since [`Lane::land`] brought them.
    pub async fn land_again(&mut self, database: u32, cargo: &[Cargo]) -> Result<Vec<bool>, Error> {
        let outcomes = self.put(database, cargo, true).await?;
        let there = cargo.iter().zip(outcomes).map(|(one, outcome)| match outcome {
            Outcome::Arrived => true,
            Outcome::Exists => false,
            Outcome::Refused(why) => {
                self.landing.tally.refuse(&one.key, &why);
                false
            }
        });
        Ok(there.collect())
    }

    /// Reads the keys back; says of each why it is not as it was sent, if it is not.
    pub async fn compare(&mut self, database: u32, cargo: &[&Cargo]) -> Result<Vec<Option<String>>, Failure> {
        let replies = self.read_back(database, cargo).await?;
        Ok(cargo.iter().zip(replies.chunks_exact(2)).map(|(one, replies)| difference(one, replies)).collect())
    }

    /// DUMP and PTTL of each key.
    async fn read_back(&mut self, database: u32, cargo: &[&Cargo]) -> Result<Vec<ReplyValue>, Failure> {
        let asks = cargo.iter().flat_map(|one| {
            let slot = key_slot(&one.key);
            [b"DUMP", &b"PTTL"[..]].map(|name| {
                let mut command = Vec::with_capacity(32 + one.key.len());
                push_command(&mut command, &[name, &one.key]);
                Ask { slot, command }
            })
        });
        let asks: Vec<Ask> = asks.collect();
        self.scatter(database, &asks).await
    }

    /// RESTORE of each key, in another form where a server does not read the one that was sent.
    async fn put(&mut self, database: u32, cargo: &[Cargo], replace: bool) -> Result<Vec<Outcome>, Failure> {
        let mut casts: Vec<Cast<'_>> =
            cargo.iter().map(|one| Cast::new(&one.payload, self.landing.form.get())).collect();
        let mut outcomes: Vec<Option<Outcome>> = cargo.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..cargo.len()).collect();
        while !left.is_empty() {
            let asks: Vec<Ask> = left.iter().map(|&at| restore(&cargo[at], casts[at].payload(), replace)).collect();
            let replies = self.scatter(database, &asks).await?;
            let mut again = Vec::new();
            for (at, reply) in left.into_iter().zip(replies) {
                let is_unread = cast::is_unread(&reply);
                if is_unread && casts[at].recast() {
                    again.push(at);
                    continue;
                }
                outcomes[at] = Some(match self.outcome(&cargo[at], reply)? {
                    Outcome::Refused(why) if is_unread => Outcome::Refused(casts[at].explain(&why)),
                    Outcome::Arrived => {
                        self.remember(&casts[at]);
                        Outcome::Arrived
                    }
                    other => other,
                });
            }
            left = again;
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// What was taken in another form tells how to send the next.
    fn remember(&self, cast: &Cast<'_>) {
        let Some(form) = cast.lesson() else { return };
        if self.landing.form.replace(form) == cast::AS_IT_CAME {
            self.landing.tally.note("Values are written anew: the cluster does not read them as they came.");
        }
    }

    fn outcome(&self, one: &Cargo, reply: ReplyValue) -> Result<Outcome, Failure> {
        let ReplyValue::Error(text) = reply else { return Ok(Outcome::Arrived) };
        let text = String::from_utf8_lossy(&text).into_owned();
        match text.split(' ').next().unwrap_or_default() {
            "BUSYKEY" => Ok(Outcome::Exists),
            // What will be said of every other key as well.
            "OOM" | "NOAUTH" | "NOPERM" | "READONLY" | "MISCONF" | "CLUSTERDOWN" | "LOADING" => {
                Err(Failure::Reply { node: self.landing.owner(&one.key), text })
            }
            _ => Ok(Outcome::Refused(text)),
        }
    }

    /// Sends every command to the owner of its slot and gives the replies in the order of the commands.
    async fn scatter(&mut self, database: u32, asks: &[Ask]) -> Result<Vec<ReplyValue>, Failure> {
        let mut replies: Vec<Option<ReplyValue>> = asks.iter().map(|_| None).collect();
        let owners = |ask: usize| self.landing.owners.borrow()[asks[ask].slot.index()];
        let mut tries: Vec<Try> = (0..asks.len()).map(|ask| Try { ask, node: owners(ask), asking: false }).collect();
        let (begun, mut hops) = (Instant::now(), 0);
        while !tries.is_empty() {
            let answers = self.send(database, asks, &tries).await?;
            let mut again = Vec::new();
            let mut pause = false;
            for (attempt, reply) in answers {
                match self.where_next(attempt, asks[attempt.ask].slot, &reply) {
                    Some(next) if hops < HOPS_MAX => again.push(next),
                    None if is_passing(&reply) && begun.elapsed() < PATIENCE => {
                        pause = true;
                        again.push(Try { asking: false, ..attempt });
                    }
                    _ => replies[attempt.ask] = Some(reply),
                }
            }
            tries = again;
            if pause {
                tokio::time::sleep(PAUSE).await;
            } else {
                hops += 1;
            }
        }
        Ok(replies.into_iter().flatten().collect())
    }

    /// Sends what is to be tried to all nodes at the same time.
    async fn send(&mut self, database: u32, asks: &[Ask], tries: &[Try]) -> Result<Vec<(Try, ReplyValue)>, Failure> {
        let mut by_node: HashMap<usize, Vec<Try>> = HashMap::new();
        for one in tries {
            by_node.entry(one.node).or_default().push(*one);
        }
        let mut parcels = Vec::with_capacity(by_node.len());
        for (node, tries) in by_node {
            parcels.push((node, tries, self.wires.remove(&(node, database))));
        }
        let landing = self.landing;
        let (access, limit) = (landing.access, landing.settings.limit);
        let sent = join_all(parcels.into_iter().map(|(node, tries, wire)| async move {
            let addr = landing.nodes.borrow()[node].clone();
            let mut wire = match wire {
                Some(wire) => wire,
                None => Wire::open(&addr, access, database).await?,
            };
            let mut commands = Commands::new();
            for one in &tries {
                if one.asking {
                    commands.add(&[b"ASKING"]);
                }
                commands.add_encoded(&asks[one.ask].command);
            }
            let mut replies = wire.exchange(limit, &commands).await?.into_iter();
            let mut answers = Vec::with_capacity(tries.len());
            for one in tries {
                if one.asking {
                    replies.next();
                }
                answers.extend(replies.next().map(|reply| (one, reply)));
            }
            Ok::<_, Failure>((node, wire, answers))
        }))
        .await;
        let mut all = Vec::with_capacity(tries.len());
        for result in sent {
            let (node, wire, answers) = result?;
            self.wires.insert((node, database), wire);
            all.extend(answers);
        }
        Ok(all)
    }

    /// Where a reply sends the command, if it does.
    fn where_next(&self, attempt: Try, slot: Slot, reply: &ReplyValue) -> Option<Try> {
        let text = std::str::from_utf8(reply.as_error()?).ok()?;
        let mut words = text.split(' ');
        let asking = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        // Without a host it is the one that was asked.
        let asked = self.landing.nodes.borrow()[attempt.node].host.clone();
        let host = if host.is_empty() { asked } else { host.trim_matches(['[', ']']).to_owned() };
        let node = self.landing.index_of(&Addr::new(host, port.parse().ok()?));
        if !asking {
            self.landing.owners.borrow_mut()[slot.index()] = node;
        }
        Some(Try { ask: attempt.ask, node, asking })
    }
}

fn restore(one: &Cargo, payload: &[u8], replace: bool) -> Ask {
    let ttl = one.ttl_ms.to_string();
    let words: [&[u8]; 5] = [b"RESTORE", &one.key, ttl.as_bytes(), payload, b"REPLACE"];
    let mut command = Vec::with_capacity(80 + one.key.len() + payload.len());
    push_command(&mut command, &words[..if replace { 5 } else { 4 }]);
    Ask { slot: key_slot(&one.key), command }
}

/// Errors that end by themselves.
fn is_passing(reply: &ReplyValue) -> bool {
    const PASSING: [&[u8]; 5] = [b"LOADING ", b"CLUSTERDOWN ", b"TRYAGAIN ", b"NOREPLICAS ", b"BUSY "];
    reply.as_error().is_some_and(|text| PASSING.iter().any(|code| text.starts_with(code)))
}

/// Why what was read back, payload and time to live, is not what was sent.
fn difference(sent: &Cargo, replies: &[ReplyValue]) -> Option<String> {
    match replies {
        [ReplyValue::Bulk(payload), ReplyValue::Integer(ttl)] => match is_same_value(&sent.payload, payload) {
            Ok(true) if (sent.ttl_ms == 0) == (*ttl < 0) => None,
            Ok(true) if sent.ttl_ms == 0 => Some("it expires, and did not where it came from".to_owned()),
            Ok(true) => Some("it does not expire, and did where it came from".to_owned()),
            Ok(false) => Some("another value".to_owned()),
            Err(why) => Some(format!("its value cannot be compared: {why}")),
        },
        // It may have expired meanwhile.
        [ReplyValue::Null, _] if sent.ttl_ms != 0 => None,
        [ReplyValue::Null, _] => Some("it is not in the cluster".to_owned()),
        replies => {
            let said = replies.iter().find_map(ReplyValue::as_error).unwrap_or(b"an unexpected reply");
            Some(String::from_utf8_lossy(said).into_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::tests::captured;
    use crate::trib::view::tests::small;

    fn settings() -> Settings {
        Settings {
            conflict: Conflict::Report,
            verify: false,
            jobs: 1,
            batch: 10,
            limit: Duration::from_secs(1),
            pattern: None,
            goes_on: false,
            quarantine: None,
        }
    }

    #[test]
    fn redirections_are_followed_and_remembered() {
        let (ui, _, _) = captured(Wording::Trib, "");
        let (access, settings, tally) = (Access::default(), settings(), Tally::new(&ui, "imported"));
        let landing = Landing::new(&ui, &access, &small(), &settings, &tally, "s:1".to_owned()).unwrap();
        let lane = landing.lane();
        let slot = key_slot(b"k");
        let attempt = Try { ask: 3, node: 0, asking: false };
        let error = |text: &str| ReplyValue::Error(text.into());
        let next = lane.where_next(attempt, slot, &error("ASK 7629 [::1]:7001")).unwrap();
        assert!(next.asking && next.ask == 3 && landing.nodes.borrow()[next.node] == Addr::new("::1", 7001));
        assert_eq!(landing.owner(b"k"), small().seed().addr, "asking is for once");
        lane.where_next(attempt, slot, &error("MOVED 7629 :7009")).unwrap();
        assert_eq!(landing.owner(b"k"), Addr::new("127.0.0.1", 7009));
        for other in ["ERR x", "MOVED", "MOVED 1 h", "OOM command not allowed"] {
            assert!(lane.where_next(attempt, slot, &error(other)).is_none(), "{other}");
        }
        assert!(is_passing(&error("LOADING Redis is loading")) && !is_passing(&error("LOADINGx")));
        assert!(!is_passing(&ReplyValue::Null));
    }

    #[test]
    fn what_was_read_back_is_compared() {
        // DUMP of "2" by a Valkey 9 server and by one that writes version 10.
        let new = b"\x00\xc0\x02\x50\x00\x40\x88\x79\x2d\x66\x86\x19\x3f".to_vec();
        let bulk = ReplyValue::Bulk;
        let sent = |ttl_ms| Cargo { key: b"k".to_vec(), payload: new.clone(), ttl_ms };
        let said = |ttl_ms, reply, ttl| difference(&sent(ttl_ms), &[reply, ReplyValue::Integer(ttl)]);
        assert_eq!(said(0, bulk(new.clone()), -1), None);
        assert_eq!(said(9, bulk(new.clone()), 5), None);
        assert!(said(0, bulk(new.clone()), 5).unwrap().contains("it expires"));
        assert!(said(9, bulk(new.clone()), -1).unwrap().contains("does not expire"));
        assert!(said(0, bulk(b"other".to_vec()), -1).unwrap().contains("cannot be compared"));
        assert_eq!(said(9, ReplyValue::Null, -2), None);
        assert!(said(0, ReplyValue::Null, -2).unwrap().contains("not in the cluster"));
        assert_eq!(said(0, ReplyValue::Error(b"NOPERM x".to_vec()), -2).unwrap(), "NOPERM x");
    }

    #[test]
    fn slots_without_an_owner_are_refused() {
        let (ui, _, _) = captured(Wording::Trib, "");
        let view =
            crate::trib::view::tests::view("10.0.0.1:7000", &["a 10.0.0.1:7000 myself,master - 0 0 1 connected 0-9"]);
        let (access, settings, tally) = (Access::default(), settings(), Tally::new(&ui, "imported"));
        assert!(Landing::new(&ui, &access, &view, &settings, &tally, String::new()).is_err());
    }
}
