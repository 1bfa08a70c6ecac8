//! Empties slots at the source: lists keys and migrates them until none is left.
//!
//! The usual way is a stream of bursts, each some MIGRATEs over several slots, two of them under way so
//! that the source never waits for this program. What a burst could not move is tried key by key, where
//! each error has a meaning of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use redis::{Cmd, Value};

use super::super::client::{Client, add_migrate_auth, command};
use super::super::error::Failure;
use super::super::keytext;
use super::brake::Brake;
use super::link::Link;
use super::pace::Pace;
use super::progress::Observer;
use super::{Settings, Stop, Trouble, busy, room};
use crate::base::Slot;

/// Keys of one slot that are listed at a time.
const PAGE: usize = 1000;
/// Bursts under way: one that the source works on, one that it finds when it is done.
const UNDER_WAY: usize = 2;
/// Rounds without any key moved, error or change before a slot counts as stuck.
const IDLE_ROUNDS: usize = 50;
/// The least that one MIGRATE of many is given to reach the target: long enough for one that is busy, short enough that a
/// burst to one that hangs does not block the source for ever. What was too slow goes key by key, with all the time.
const SHARE_LEAST: Duration = Duration::from_millis(200);
/// Between two tries, where only time helps.
const PAUSE: Duration = Duration::from_millis(100);

/// The keys of one slot that go in one MIGRATE.
struct Parcel<'k> {
    slot: Slot,
    keys: &'k [Vec<u8>],
}

/// What says how fast to go, and who hears of it.
#[derive(Clone, Copy)]
pub struct Guide<'d> {
    pub pace: &'d Pace,
    pub brake: &'d Brake,
    pub observer: &'d dyn Observer,
    pub stop: &'d Cell<Stop>,
}

/// Empties slots of one link.
pub struct Drain<'d, 'a> {
    link: &'d Link<'a>,
    settings: &'d Settings,
    guide: Guide<'d>,
    /// Keys that have left, by slot; a slot is in it as soon as a key of it was sent.
    sent: RefCell<BTreeMap<Slot, u64>>,
}

/// What one round achieved.
#[derive(Default)]
struct Round {
    moved: u64,
    /// Slots to be looked at key by key, with the database.
    careful: BTreeSet<(u32, Slot)>,
    /// An error that may pass by itself.
    passing: Option<Failure>,
    /// The target was too slow for a MIGRATE, or is gone.
    too_slow: bool,
}

impl<'d, 'a> Drain<'d, 'a> {
    pub fn new(link: &'d Link<'a>, settings: &'d Settings, guide: Guide<'d>) -> Drain<'d, 'a> {
        Drain { link, settings, guide, sent: RefCell::default() }
    }

    /// Whether keys of the slot may have left.
    pub fn has_touched(&self, slot: Slot) -> bool {
        self.sent.borrow().contains_key(&slot)
    }

    /// How many keys of the slot have left.
    pub fn keys_of(&self, slot: Slot) -> u64 {
        self.sent.borrow().get(&slot).copied().unwrap_or(0)
    }

    /// Moves all keys of the slots. Done when the source counts none.
    pub async fn empty(&mut self, slots: &[Slot]) -> Result<(), Trouble> {
        let mut left: Vec<Slot> = slots.to_vec();
        let mut idle = 0;
        let mut patience: Option<Instant> = None;
        loop {
            let counts = self.link.count(self.link.source, &left).await?;
            let held: Vec<(Slot, u64)> = left.into_iter().zip(counts).filter(|&(_, keys)| keys > 0).collect();
            left = held.iter().map(|&(slot, _)| slot).collect();
            let Some(&(slot, keys)) = held.first() else { return Ok(()) };
            if idle >= IDLE_ROUNDS {
                return Err(Trouble::Stuck { slot, from: self.link.source.addr.clone(), keys });
            }
            if self.guide.stop.get() == Stop::Now {
                return Err(Trouble::Stopped);
            }
            let mut round = Round::default();
            for database in 0..self.link.databases().await? {
                if !round.too_slow {
                    self.round(database, &left, &mut round).await?;
                }
            }
            if round.too_slow {
                // A target that hangs would cost the time limit for every key.
                self.link.target().await?.call(&command("PING")).await?;
            }
            for &(database, slot) in &round.careful {
                self.carefully(database, slot).await?;
            }
            let moved = round.moved > 0 || !round.careful.is_empty();
            idle = if moved || round.passing.is_some() { 0 } else { idle + 1 };
            if moved {
                patience = None;
            } else if let Some(failure) = round.passing {
                if patience.get_or_insert_with(Instant::now).elapsed() > self.settings.timeout {
                    return Err(failure.into());
                }
                tokio::time::sleep(PAUSE).await;
            } else if idle > 1 {
                tokio::time::sleep(PAUSE / 10).await;
            }
        }
    }

    /// Lists the keys that one database has of the slots and sends them once.
    async fn round(&self, database: u32, slots: &[Slot], round: &mut Round) -> Result<(), Trouble> {
        let client = self.link.source_in(database).await?;
        let pages = self.link.list(database, slots, PAGE).await?;
        let pages: Vec<(Slot, Vec<Vec<u8>>)> = slots.iter().copied().zip(pages).collect();
        let mut parcels = Parcels { pages: &pages, page: 0, key: 0 };
        let bursts = std::iter::from_fn(|| parcels.burst(self.guide.pace));
        let source = Source::new();
        let mut results =
            stream::iter(bursts).map(|burst| self.send(&client, database, burst, &source)).buffered(UNDER_WAY);
        while let Some(result) = results.next().await {
            for (slot, keys, reply) in result? {
                match reply {
                    Ok(reply) => round.moved += self.note(slot, keys, &reply),
                    Err(failure) if is_for_one_key(&failure) => {
                        round.too_slow |= !is_in_the_way(&failure);
                        round.careful.insert((database, slot));
                    }
                    Err(failure) if is_passing(&failure) => _ = round.passing.get_or_insert(failure),
                    Err(failure) => return Err(failure.into()),
                }
            }
            if round.too_slow {
                break;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        client: &Client,
        database: u32,
        burst: Vec<Parcel<'_>>,
        source: &Source,
    ) -> Result<Vec<(Slot, u64, Result<Value, Failure>)>, Trouble> {
        let keys: Vec<&Vec<u8>> = burst.iter().flat_map(|parcel| parcel.keys).collect();
        self.admit(database, &keys).await?;
        let replace = self.replaces();
        let each = self.share(burst.len());
        let cmds: Vec<Cmd> = burst.iter().map(|parcel| self.migrate(database, parcel.keys, replace, each)).collect();
        for parcel in &burst {
            self.sent.borrow_mut().entry(parcel.slot).or_default();
        }
        let expected = self.guide.pace.expected(cmds.len(), keys.len());
        source.turn(expected).await;
        let begun = source.begin();
        let replies = client.pipeline(self.patience(client, cmds.len()), &cmds).await?;
        if let Some(took) = source.end(begun, expected) {
            self.guide.pace.learn(cmds.len(), keys.len(), took);
        }
        Ok(burst.iter().zip(replies).map(|(parcel, reply)| (parcel.slot, parcel.keys.len() as u64, reply)).collect())
    }

    /// Waits until these keys may go.
    async fn admit(&self, database: u32, keys: &[&Vec<u8>]) -> Result<(), Trouble> {
        let Guide { pace, brake, observer, stop } = self.guide;
        let mut bytes = 0;
        if brake.counts_bytes() {
            let sizes = room::sizes(self.link, database, keys).await?;
            bytes = sizes.iter().sum();
            pace.limit(brake.most_keys(bytes.checked_div(sizes.len() as u64)));
        }
        brake.admit(self.link, keys.len() as u64, bytes, stop, observer).await
    }

    /// Moves the keys of one slot one by one, looking closer where a key is in the way.
    async fn carefully(&self, database: u32, slot: Slot) -> Result<(), Trouble> {
        let client = self.link.source_in(database).await?;
        let mut conflicts = Vec::new();
        let pages = self.link.list(database, &[slot], PAGE).await?;
        for key in pages.into_iter().flatten() {
            self.admit(database, &[&key]).await?;
            let one = std::slice::from_ref(&key);
            let limit = self.patience(&client, 1);
            let mut reply =
                client.call_within(limit, &self.migrate(database, one, self.replaces(), self.settings.timeout)).await;
            if reply.as_ref().is_err_and(is_in_the_way) {
                let target = self.link.target_in(database).await?;
                let is_same = busy::is_same(&client, &target, &key).await?;
                if !is_same && !self.make_way(&client, &target, database, &key).await? {
                    conflicts.push(key);
                    continue;
                }
                reply = client.call_within(limit, &self.migrate(database, one, true, self.settings.timeout)).await;
            }
            match reply {
                Ok(reply) => _ = self.note(slot, 1, &reply),
                Err(failure) if is_passing(&failure) => {}
                Err(failure) => return Err(name_the_key(failure, &key).into()),
            }
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        let (from, to) = (self.link.source.addr.clone(), self.link.target.addr.clone());
        Err(Trouble::Conflict { slot, from, to, keys: conflicts })
    }

    /// Whether keys are overwritten without being looked at: not where each has to be saved first.
    fn replaces(&self) -> bool {
        self.settings.replace && self.settings.quarantine.is_none()
    }

    /// Settles which of two values stays, where the operator has said so; the other one is saved first.
    async fn make_way(&self, source: &Client, target: &Client, database: u32, key: &[u8]) -> Result<bool, Trouble> {
        let Settings { replace, keep, .. } = *self.settings;
        if !replace && !keep {
            return Ok(false);
        }
        if let Some(quarantine) = &self.settings.quarantine {
            quarantine.keep(if replace { target } else { source }, database, key).await?;
        }
        if !replace {
            let mut delete = command("DEL");
            delete.arg(key);
            // A source that imports the slot wants to be asked.
            for reply in source.pipeline(source.timeouts().reply, &[command("ASKING"), delete]).await? {
                reply?;
            }
        }
        Ok(true)
    }

    /// Counts what has left; NOKEY is a success without a key.
    fn note(&self, slot: Slot, keys: u64, reply: &Value) -> u64 {
        let moved = if *reply == Value::Okay { keys } else { 0 };
        *self.sent.borrow_mut().entry(slot).or_default() += moved;
        self.guide.observer.keys_moved(moved);
        moved
    }

    /// MIGRATE to where the other nodes know the target, which need not be where this program does.
    fn migrate(&self, database: u32, keys: &[Vec<u8>], replace: bool, timeout: Duration) -> Cmd {
        let target = &self.link.target.announced;
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut cmd = command("MIGRATE");
        cmd.arg(&target.host).arg(target.port).arg("").arg(database).arg(timeout_ms);
        if replace {
            cmd.arg("REPLACE");
        }
        add_migrate_auth(&mut cmd, self.link.pool.access(), target);
        cmd.arg("KEYS").arg(keys);
        cmd
    }

    /// The time limit of each of so many MIGRATEs: the source serves nobody until the last of them is over.
    fn share(&self, commands: usize) -> Duration {
        let commands = u32::try_from(commands).unwrap_or(u32::MAX).max(1);
        (self.settings.timeout / commands).max(SHARE_LEAST.min(self.settings.timeout))
    }

    /// How long to wait for so many MIGRATEs: each may connect, write and read before it gives up.
    fn patience(&self, client: &Client, commands: usize) -> Duration {
        let all = u32::try_from(commands).unwrap_or(u32::MAX);
        self.share(commands).saturating_mul(3).saturating_mul(all).saturating_add(client.timeouts().reply)
    }
}

/// When the source was given bursts, and when it was done with them.
struct Source {
    under_way: Cell<usize>,
    last_sent: Cell<Instant>,
    busy_until: Cell<Instant>,
    is_in_doubt: Cell<bool>,
}

impl Source {
    /// Less than this is not worth waiting for.
    const SHORT: Duration = Duration::from_millis(2);

    fn new() -> Source {
        let now = Instant::now();
        let (last_sent, busy_until) = (Cell::new(now), Cell::new(now));
        Source { under_way: Cell::new(0), last_sent, busy_until, is_in_doubt: Cell::new(false) }
    }

    /// Waits until a burst that takes so long may be sent. A server reads all that has come and answers when it is done
    /// with all of it: bursts that arrive together are one, which is twice as long, and then it has nothing to do until
    /// the next two are on their way.
    async fn turn(&self, takes: Duration) {
        if takes >= Self::SHORT && self.under_way.get() > 0 {
            tokio::time::sleep((takes / 2).saturating_sub(self.last_sent.get().elapsed())).await;
        }
    }

    fn begin(&self) -> Instant {
        self.under_way.set(self.under_way.get() + 1);
        self.last_sent.set(Instant::now());
        self.last_sent.get()
    }

    /// How long the source was busy with the burst, where that can be said: it began with it when it was done with the one
    /// before. Of two that were answered together the second seems to have taken no time at all.
    fn end(&self, begun: Instant, expected: Duration) -> Option<Duration> {
        self.under_way.set(self.under_way.get() - 1);
        let took = begun.max(self.busy_until.replace(Instant::now())).elapsed();
        let is_in_doubt = took < expected / 8 && !self.is_in_doubt.get();
        self.is_in_doubt.set(is_in_doubt);
        (!is_in_doubt).then_some(took)
    }
}

/// Where the next burst begins.
struct Parcels<'k> {
    pages: &'k [(Slot, Vec<Vec<u8>>)],
    page: usize,
    key: usize,
}

impl<'k> Parcels<'k> {
    /// The next burst, as many keys as the pace allows; `None` when all keys have gone.
    fn burst(&mut self, pace: &Pace) -> Option<Vec<Parcel<'k>>> {
        let mut sum = 0;
        let mut burst = Vec::new();
        while let Some((slot, keys)) = self.pages.get(self.page) {
            let rest = &keys[self.key..];
            if rest.is_empty() {
                (self.page, self.key) = (self.page + 1, 0);
                continue;
            }
            let take = rest.len().min(pace.batch());
            // No slot is cut just to fill a burst: that would cost one more round trip.
            if !burst.is_empty() && !pace.fits(burst.len() + 1, sum + take) {
                break;
            }
            burst.push(Parcel { slot: *slot, keys: &rest[..take] });
            self.key += take;
            sum += take;
        }
        (!burst.is_empty()).then_some(burst)
    }
}

/// Errors that one key of many may have caused: it exists at the target, or is so big that the time ran
/// out.
fn is_for_one_key(failure: &Failure) -> bool {
    is_in_the_way(failure) || failure.code() == Some("IOERR")
}

fn is_in_the_way(failure: &Failure) -> bool {
    failure.reply().is_some_and(|text| text.contains("BUSYKEY"))
}

/// Errors of a node that is busy with something that ends: said by the source itself, or by the target
/// and passed on.
fn is_passing(failure: &Failure) -> bool {
    const PASSING: [&str; 5] = ["LOADING", "BUSY", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN"];
    failure.reply().is_some_and(|text| {
        let text = text.strip_prefix("ERR Target instance replied with error: ").unwrap_or(text);
        text.split(' ').next().is_some_and(|code| PASSING.contains(&code))
    })
}

fn name_the_key(failure: Failure, key: &[u8]) -> Failure {
    match failure {
        Failure::Reply { node, text } => {
            Failure::Reply { node, text: format!("{text} (key '{}')", keytext::shown(key)) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::brake::Limits;
    use super::*;

    fn failure(text: &str) -> Failure {
        Failure::Reply { node: "h:1".parse().unwrap(), text: text.to_owned() }
    }

    #[test]
    fn errors_are_told_apart_whoever_said_them() {
        let busy = failure("ERR Target instance replied with error: BUSYKEY Target key name already exists.");
        assert!(is_for_one_key(&busy) && is_in_the_way(&busy) && !is_passing(&busy));
        assert!(is_for_one_key(&failure("IOERR error or timeout reading to target instance")));
        assert!(is_passing(&failure("ERR Target instance replied with error: LOADING Redis is loading")));
        assert!(is_passing(&failure("BUSY Redis is busy running a script.")));
        for text in ["NOAUTH Authentication required.", "ERR syntax error", "BUSYGROUP x"] {
            assert!(!is_passing(&failure(text)) && !is_for_one_key(&failure(text)), "{text}");
        }
    }

    #[test]
    fn bursts_cut_the_keys_without_losing_one() {
        let slot = |n| Slot::new(n).unwrap();
        let keys = |n: usize| (0..n).map(|i| i.to_string().into_bytes()).collect::<Vec<_>>();
        let pages = [(slot(1), keys(3)), (slot(2), keys(0)), (slot(3), keys(40))];
        let pace = Pace::new(Some(10), &Brake::new(Limits::default()));
        let mut parcels = Parcels { pages: &pages, page: 0, key: 0 };
        let bursts: Vec<Vec<(u16, usize)>> = std::iter::from_fn(|| parcels.burst(&pace))
            .map(|burst| burst.iter().map(|parcel| (parcel.slot.get(), parcel.keys.len())).collect())
            .collect();
        assert_eq!(bursts, [vec![(1, 3), (3, 10)], vec![(3, 10)], vec![(3, 10)], vec![(3, 10)]]);
    }
}
