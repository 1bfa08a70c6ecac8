//! What can be said about a cluster, and whether it is so.
//!
//! ```text
//! n4 is primary              n4 is replica               n4 is replica of n1
//! n2 sees n1 as fail         a word of CLUSTER NODES (master, slave, fail, fail?), `known` or `unknown`
//! n2 sees slot 100 at n1     slot 100 is at n1           (so say all that run)
//! n1 migrates slot 100 to n2     n2 imports slot 100 from n1     no slots are open
//! n1 state ok                state ok                    (of all that run)
//! n4 epoch 5                 n1 epoch equals n2          epochs differ     (those of primaries)
//! n1 has key a               n1 lacks key a              (in its memory)
//! all slots served           views agree                 all is well       (everything, replicas up to date included)
//! promotions 1               so many replicas became primaries since the beginning
//! writes acknowledged are there      what clients were promised is with whoever owns the slot
//! ```

use trib::base::{SLOTS, Slot, key_slot};
use trib::cluster::{Engine, NodeFlags, NodeView};

use super::Stage;
use super::names::name;
use crate::checks::version_on;
use crate::ending::picture;

/// What is against something that was said; `None` when nothing is.
type Doubt = Option<String>;

fn unless(holds: bool, seen: impl FnOnce() -> String) -> Doubt {
    if holds { None } else { Some(seen()) }
}

fn slot(text: &str) -> Result<Slot, String> {
    text.parse().ok().and_then(Slot::new).ok_or_else(|| format!("{text} is no slot"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

impl Stage {
    /// What is against a fact. The error is that there is no such fact.
    pub fn doubt(&mut self, words: &[&str]) -> Result<Doubt, String> {
        Ok(match *words {
            ["all", "is", "well"] => self.world.trouble().map(|trouble| self.shown(&trouble)),
            ["all", "slots", "served"] => self.unserved(),
            ["views", "agree"] => self.disagreement(),
            ["epochs", "differ"] => self.equal_epochs(),
            ["state", "ok"] => self.of_each(|engine| unless(engine.state_ok(), || "its state is fail".to_owned())),
            ["no", "slots", "are", "open"] => self.of_each(|engine| {
                let open = engine.migrating_slots().chain(engine.importing_slots()).next();
                open.map(|(slot, _)| format!("slot {slot} is open"))
            }),
            ["promotions", wanted] => {
                let seen = self.world.checks.promotions;
                unless(seen == number(wanted)?, || format!("promotions {seen}"))
            }
            ["writes", "acknowledged", "are", "there"] => self.lost_write(),
            ["slot", at, "is", "at", owner] => {
                let (at, owner) = (slot(at)?, self.node(owner)?);
                self.of_each(|engine| self.not_at(engine, at, owner))
            }
            [node, ref fact @ ..] => {
                let node = self.node(node)?;
                self.doubt_of(node, fact)?
            }
            [] => return Err("nothing is said".to_owned()),
        })
    }

    /// The same about one node.
    fn doubt_of(&mut self, node: usize, words: &[&str]) -> Result<Doubt, String> {
        if let [verb @ ("has" | "lacks"), "key", key] = *words {
            let has = self.world.keys_of(node).iter().any(|found| found == key.as_bytes());
            return Ok(unless(has == (verb == "has"), || {
                format!("{} {} it", name(node), if has { "has" } else { "lacks" })
            }));
        }
        let Some(engine) = self.world.nodes[node].engine() else {
            return Ok(Some(format!("{} does not run", name(node))));
        };
        Ok(match *words {
            ["is", ref role @ ..] => {
                let seen = match engine.node(engine.me()).primary {
                    None => "primary".to_owned(),
                    Some(primary) => format!("replica of {}", self.named(&primary.to_string())),
                };
                let wanted = role.join(" ");
                let any = wanted == "replica" && seen.starts_with("replica");
                unless(any || seen == wanted, || format!("{} is {seen}", name(node)))
            }
            ["state", wanted] => {
                let seen = if engine.state_ok() { "ok" } else { "fail" };
                unless(seen == wanted, || format!("{} state {seen}", name(node)))
            }
            ["epoch", "equals", other] => {
                let other = self.world.nodes[self.node(other)?].engine().map(epoch);
                let seen = epoch(engine);
                unless(other == Some(seen), || format!("epochs {seen} and {other:?}"))
            }
            ["epoch", wanted] => {
                let seen = epoch(engine);
                unless(seen == number(wanted)?, || format!("{} epoch {seen}", name(node)))
            }
            ["sees", "slot", at, "at", owner] => self.not_at(engine, slot(at)?, self.node(owner)?),
            ["sees", other, "as", wanted] => {
                let id = &self.ids[self.node(other)?];
                let view = engine.nodes().find(|view| view.node.id.to_string() == *id);
                let seen = view.as_ref().map_or_else(|| "unknown".to_owned(), words_of);
                let any = wanted == "known" && view.is_some();
                unless(any || seen.split(',').any(|word| word == wanted), || {
                    format!("{} sees {other} as {seen}", name(node))
                })
            }
            ["migrates", "slot", at, "to", other] => {
                let at = slot(at)?;
                self.open_elsewhere(engine.migrating_slots().find(|open| open.0 == at), other)
            }
            ["imports", "slot", at, "from", other] => {
                let at = slot(at)?;
                self.open_elsewhere(engine.importing_slots().find(|open| open.0 == at), other)
            }
            _ => return Err(format!("nobody knows what \"{}\" means", words.join(" "))),
        })
    }

    fn open_elsewhere(&self, open: Option<(Slot, trib::base::NodeId)>, wanted: &str) -> Doubt {
        let seen = open.map_or_else(|| "nobody".to_owned(), |(_, id)| self.named(&id.to_string()));
        unless(seen == wanted, || format!("the other end is {seen}"))
    }

    /// What is against something that all who run must say.
    fn of_each(&self, doubt: impl Fn(&Engine) -> Doubt) -> Doubt {
        self.running().find_map(|(node, engine)| Some(format!("{}: {}", name(node), doubt(engine)?)))
    }

    /// The members that run and do not stand still.
    fn running(&self) -> impl Iterator<Item = (usize, &Engine)> {
        let machines = self.world.nodes.iter().enumerate();
        let running = machines.filter(|(_, machine)| machine.is_running());
        running.filter_map(|(node, machine)| Some((node, machine.engine()?))).filter(|(_, e)| e.known_nodes() > 1)
    }

    fn not_at(&self, engine: &Engine, slot: Slot, owner: usize) -> Doubt {
        let seen = engine.slot_owner(slot).map(|idx| engine.node(idx).node.id.to_string());
        unless(seen.as_ref() == Some(&self.ids[owner]), || {
            format!("slot {slot} is at {}", seen.map_or_else(|| "nobody".to_owned(), |id| self.named(&id)))
        })
    }

    /// A slot that not everybody finds with somebody who serves it.
    fn unserved(&self) -> Doubt {
        self.of_each(|engine| {
            let mut slots = (0..SLOTS).filter_map(|slot| Slot::new(slot as u16));
            let lost = slots.find(|slot| {
                let owner = engine.slot_owner(*slot).map(|idx| engine.node(idx).node.id);
                !self.running().any(|(_, other)| Some(other.my_id()) == owner && other.owns(*slot))
            });
            match lost {
                Some(slot) => Some(format!("nobody serves slot {slot}")),
                None => unless(engine.state_ok(), || "its state is fail".to_owned()),
            }
        })
    }

    fn disagreement(&self) -> Doubt {
        let pictures: Vec<(usize, String)> = self.running().map(|(node, e)| (node, self.shown(&picture(e)))).collect();
        let (first, seen) = pictures.first()?;
        let other = pictures.iter().find(|(_, other)| other != seen)?;
        Some(format!("{}:\n{seen}{}:\n{}", name(*first), name(other.0), other.1))
    }

    fn equal_epochs(&self) -> Doubt {
        let primaries: Vec<(usize, u64)> = self
            .running()
            .filter(|(_, engine)| engine.am_primary())
            .map(|(node, engine)| (node, epoch(engine)))
            .collect();
        let pairs = primaries.iter().enumerate().flat_map(|(i, a)| primaries[i + 1..].iter().map(move |b| (a, b)));
        let equal = pairs.into_iter().find(|(a, b)| a.1 == b.1);
        equal.map(|(a, b)| format!("{} and {} are in epoch {}", name(a.0), name(b.0), a.1))
    }

    /// A key that is not what a client was promised, at any who says that it owns the slot.
    fn lost_write(&mut self) -> Doubt {
        let checks = &self.world.checks;
        if checks.acked.is_empty() {
            return Some("no write was acknowledged".to_owned());
        }
        for (key, acked) in checks.acked.clone() {
            let slot = key_slot(key.as_bytes());
            let owners: Vec<usize> =
                self.running().filter(|(_, engine)| engine.owns(slot)).map(|(node, _)| node).collect();
            let [owner] = owners[..] else { return Some(format!("slot {slot} has {} owners", owners.len())) };
            let Some(process) = &mut self.world.nodes[owner].process else { continue };
            let found = version_on(&mut process.server, &key);
            if found.is_none_or(|found| found < acked) {
                return Some(format!("{key} = {acked} was acknowledged, and is {found:?} at {}", name(owner)));
            }
        }
        None
    }

    /// A text with names in the place of ids.
    fn shown(&self, text: &str) -> String {
        let ids = self.ids.iter().enumerate();
        ids.fold(text.to_owned(), |text, (node, id)| text.replace(id, &name(node)))
    }
}

fn epoch(engine: &Engine) -> u64 {
    engine.node(engine.me()).epoch
}

/// The flags of a node as CLUSTER NODES has them.
fn words_of(view: &NodeView<'_>) -> String {
    let mut words = String::new();
    trib::cluster::flags::push_words(&mut words, view.node.flags & !NodeFlags::MYSELF);
    words
}
