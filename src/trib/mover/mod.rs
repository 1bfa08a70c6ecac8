//! The mover: carries slots and their keys from primary to primary, for every subcommand that moves any.
//!
//! A slot travels in three strides. It is opened: IMPORTING on the target, then MIGRATING on the source,
//! so that clients are sent after keys that have already gone. Its keys go with MIGRATE until the source
//! holds none; from then on none can appear there, because a missing key is looked for at the target.
//! Then it is handed over: the target is told first, since from that moment somebody serves the slot
//! whatever happens; then the source, then the other primaries.
//!
//! What costs time is not the data but the round trips and the writing of the servers' configuration
//! files, so everything goes in pipelines over many slots: a server saves once for a whole batch. What
//! must not cost time is the clients' waiting: MIGRATE blocks the source, so a burst of keys is kept to
//! about ten milliseconds, measured while moving ([`pace`]).
//!
//! Why MIGRATE, and not DUMP, RESTORE and a deletion guarded by WATCH, as imports have it ([`ferry`](super::ferry))?
//! Keys that are carried that way in pipelines do not wait for a round trip for every slot, and are several times as fast
//! where the way is long. But then a key is on both sides for a while, and the slot is open to clients: one that deletes the
//! key at the source is told that it is gone, and the next one is sent to the target and finds the old value there. WATCH
//! keeps the source from deleting what was changed; nothing keeps the target from showing it. MIGRATE alone has each key at
//! one place at any moment. So the automatic choice is between the servers' own atomic migration, which is better in every
//! respect and is taken wherever both ends have it, and MIGRATE.
//!
//! When something goes wrong, what is in flight is closed: a slot that has left completely is handed
//! over, one that has not begun is made stable again. Only a slot with keys on both sides stays open,
//! where clients are still served; `trib fix` finishes it.

pub mod apply;
mod atomic;
pub mod brake;
mod budget;
mod busy;
mod drain;
mod fetch;
mod latency;
mod link;
mod outcome;
mod pace;
pub mod progress;
mod reads;
pub mod room;
mod schedule;
pub mod settle;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::addr::Addr;
use super::cli::MoveArgs;
use super::client::{Pool, join_all};
use super::error::Failure;
use super::journal::Record;
use super::journal::store::Journal;
use super::plan::{SlotMove, Transfer};
use super::quarantine::Quarantine;
use super::slots::SlotSet;
use super::view::ClusterView;
use crate::base::{NodeId, Slot};
use atomic::Dialect;
pub use atomic::until_idle;
use brake::{Brake, Limits};
use link::Link;
pub use outcome::{Outcome, Trouble};
use progress::Observer;
use schedule::Schedule;

/// How keys are moved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long one MIGRATE may wait for the other node, as the server is told.
    pub timeout: Duration,
    /// The greatest number of keys in one MIGRATE; `None` for as many as fit the time.
    pub batch: Option<usize>,
    /// Whether the source's value wins where a key exists on both sides with different values.
    pub replace: bool,
    pub engine: Engine,
    pub limits: Limits,
    /// Whether to move without asking the targets for their memory.
    pub ignore_memory: bool,
    /// Whether the target's value stays where a key exists on both sides with different values.
    pub keep: bool,
    /// Where a value is saved before it is overwritten or dropped.
    pub quarantine: Option<Rc<Quarantine>>,
    /// Where slots that have arrived are written down.
    pub record: Option<Rc<Journal>>,
}

/// Who moves slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// The servers where both can, else this program
    #[default]
    Auto,
    /// The servers, all slots of a pair of nodes at once or not at all (CLUSTER MIGRATESLOTS, or CLUSTER MIGRATION of
    /// Redis 8.4)
    Atomic,
    /// This program, key by key (MIGRATE)
    Migrate,
}

impl From<&MoveArgs> for Settings {
    fn from(args: &MoveArgs) -> Settings {
        Settings {
            timeout: Duration::from_millis(args.timeout_ms),
            batch: args.pipeline.map(|keys| keys as usize),
            replace: args.replace,
            engine: Engine::Migrate,
            limits: Limits {
                keys_per_sec: args.max_keys_per_sec,
                bytes_per_sec: args.max_bytes_per_sec,
                p99: args.pause_if_p99_over.map(Duration::from_millis),
            },
            ignore_memory: args.ignore_memory,
            keep: false,
            quarantine: None,
            record: None,
        }
    }
}

/// What is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The slots, with all their keys.
    Slots,
    /// Only the keys: the slots are already where they belong, and the source still holds keys of them.
    /// The source must be importing or migrating the slots, or it would not let the keys go.
    Keys,
}

/// Slots, or their keys, that go from one primary to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub from: NodeId,
    pub to: NodeId,
    pub slots: Vec<Slot>,
    pub scope: Scope,
    /// Keys of the slots may be at the target already, and only there.
    pub half_moved: bool,
}

impl From<Transfer> for Job {
    fn from(transfer: Transfer) -> Job {
        Job { from: transfer.from, to: transfer.to, slots: transfer.slots, scope: Scope::Slots, half_moved: false }
    }
}

/// How often the observer hears that time goes by.
const BEAT: Duration = Duration::from_secs(10);

/// How urgently to stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// When the slots in flight are done.
    Soon,
    /// After the burst of keys in flight.
    Now,
}

/// Moves slots on one cluster.
pub struct Mover<'a> {
    pool: &'a Pool,
    view: &'a ClusterView,
    settings: Settings,
    observer: &'a dyn Observer,
    stop: Cell<Stop>,
    brake: Brake,
}

impl<'a> Mover<'a> {
    #[must_use]
    pub fn new(pool: &'a Pool, view: &'a ClusterView, settings: Settings, observer: &'a dyn Observer) -> Mover<'a> {
        let brake = Brake::new(settings.limits);
        Mover { pool, view, settings, observer, stop: Cell::new(Stop::No), brake }
    }

    /// Does the jobs, those of different nodes at the same time, and waits for none but its own end: see
    /// [`settle`] for the cluster's agreement. Ctrl-C (or SIGTERM) stops after the slots in flight, once
    /// more at once.
    pub async fn run(&self, jobs: &[Job]) -> Outcome {
        let work = self.work(jobs);
        let watch = self.brake.watch(self.pool, self.ends(jobs));
        tokio::pin!(work, watch);
        let mut terminate = signal(SignalKind::terminate()).ok();
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        loop {
            let interrupted = async {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    Some(()) = async { terminate.as_mut()?.recv().await } => {}
                }
            };
            tokio::select! {
                outcome = &mut work => return outcome,
                never = &mut watch => match never {},
                _ = beat.tick() => self.observer.still_moving(),
                () = interrupted => {
                    self.stop.set(if self.stop.get() == Stop::No { Stop::Soon } else { Stop::Now });
                    self.observer.stopping();
                }
            }
        }
    }

    /// Where the nodes are that give or take slots.
    fn ends(&self, jobs: &[Job]) -> Vec<&'a Addr> {
        let takes_part = |id| jobs.iter().any(|job| job.from == id || job.to == id);
        self.view.primaries().filter(|node| takes_part(node.id)).map(|node| &node.addr).collect()
    }

    async fn work(&self, jobs: &[Job]) -> Outcome {
        let mut outcome = Outcome::default();
        let links = join_all(jobs.iter().map(|job| self.connect(job))).await;
        let mut ready = Vec::with_capacity(jobs.len());
        for (index, link) in links.into_iter().enumerate() {
            match link {
                Ok(link) => ready.push((index, link)),
                Err(trouble) => {
                    outcome.trouble.get_or_insert(trouble);
                }
            }
        }
        if outcome.trouble.is_some() {
            return outcome;
        }
        if let Err(trouble) = reads::check(ready.iter().map(|(_, link)| link)).await {
            outcome.trouble = Some(trouble);
            return outcome;
        }
        if !self.settings.ignore_memory
            && let Err(trouble) = room::check(ready.iter().map(|(_, link)| link)).await
        {
            outcome.trouble = Some(trouble);
            return outcome;
        }
        self.observer.counted(ready.iter().flat_map(|(_, link)| link.counts.values()).sum());
        let mut schedule = Schedule::new(jobs);
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(index) = schedule.next().filter(|_| self.stop.get() == Stop::No) {
                let link = &ready[index].1;
                running.push(async move { (index, self.transfer(index, &jobs[index], link).await) });
            }
            let Some((index, ended)) = running.next().await else { break };
            schedule.done(index);
            outcome.moved.extend(ended.moved);
            outcome.left_open.extend(ended.left_open);
            if let Some(trouble) = ended.trouble {
                self.stop.set(self.stop.get().max(Stop::Soon));
                // That others were stopped is a consequence, not the reason.
                if outcome.trouble.as_ref().is_none_or(|known| *known == Trouble::Stopped) {
                    outcome.trouble = Some(trouble);
                }
            }
        }
        if schedule.has_waiting() && outcome.trouble.is_none() {
            outcome.trouble = Some(Trouble::Stopped);
        }
        outcome
    }

    /// Connects to both ends of a job and counts what there is to move.
    async fn connect(&self, job: &Job) -> Result<Link<'a>, Trouble> {
        let primary = |id: NodeId| self.view.primaries().find(|node| node.id == id).ok_or(Trouble::NoPrimary(id));
        let (source, target) = (primary(job.from)?, primary(job.to)?);
        let others = self.view.primaries().filter(|node| node.id != job.from && node.id != job.to).collect();
        let mut link = Link { pool: self.pool, source, target, others, counts: BTreeMap::new() };
        let counts = link.count(source, &job.slots).await?;
        link.counts = job.slots.iter().copied().zip(counts).collect();
        Ok(link)
    }

    /// Does one job, a batch of slots after the other.
    async fn transfer(&self, index: usize, job: &Job, link: &Link<'a>) -> Outcome {
        let mut outcome = Outcome::default();
        let as_moves = |slots: &[Slot]| -> Vec<SlotMove> {
            slots.iter().map(|&slot| SlotMove { slot, from: job.from, to: job.to }).collect()
        };
        self.observer.begun(index);
        let mut by_servers = Vec::new();
        match self.atomically(index, job, link, &mut by_servers).await {
            Ok(()) => {}
            Err(trouble) => outcome.trouble = Some(trouble),
        }
        outcome.moved = as_moves(&by_servers);
        let arrived: SlotSet = by_servers.into_iter().collect();
        let rest: Vec<Slot> = job.slots.iter().copied().filter(|slot| !arrived.contains(*slot)).collect();
        if outcome.trouble.is_some() || rest.is_empty() {
            self.observer.ended(index);
            return outcome;
        }
        let pace = pace::Pace::new(self.settings.batch, &self.brake);
        for batch in batches(&rest, &link.counts, self.brake.most_open_keys()) {
            if self.stop.get() != Stop::No {
                outcome.trouble = Some(Trouble::Stopped);
                break;
            }
            let guide = drain::Guide { pace: &pace, brake: &self.brake, observer: self.observer, stop: &self.stop };
            let mut drain = drain::Drain::new(link, &self.settings, guide);
            let moved = match job.scope {
                Scope::Slots => self.move_slots(link, batch, &mut drain).await,
                Scope::Keys => drain.empty(batch).await,
            };
            let (done, left_open, trouble) = match moved {
                Ok(()) => (batch.to_vec(), Vec::new(), None),
                Err(trouble) if job.scope == Scope::Keys => (Vec::new(), batch.to_vec(), Some(trouble)),
                Err(trouble) => {
                    let (done, open) = link.close(batch, |slot| job.half_moved || drain.has_touched(slot)).await;
                    (done, open, Some(trouble))
                }
            };
            self.record(job, &done);
            for &slot in &done {
                self.observer.slot_moved(index, slot, drain.keys_of(slot));
            }
            outcome.moved.extend(as_moves(&done));
            outcome.left_open.extend(as_moves(&left_open));
            if trouble.is_some() {
                outcome.trouble = trouble;
                break;
            }
        }
        self.observer.ended(index);
        outcome
    }

    /// Writes down that slots have arrived.
    fn record(&self, job: &Job, slots: &[Slot]) {
        if let Some(journal) = self.settings.record.as_ref().filter(|_| job.scope == Scope::Slots && !slots.is_empty())
        {
            let slots: SlotSet = slots.iter().copied().collect();
            let (from, to) = (job.from.to_string(), job.to.to_string());
            journal.note(&Record::Moved { from, to, slots: slots.to_string() });
        }
    }

    /// Has the servers do the job, if they are to; `moved` are the slots that they have moved. What they move cannot be
    /// slowed down, so where there are limits they move a little at a time.
    async fn atomically(&self, index: usize, job: &Job, link: &Link<'a>, moved: &mut Vec<Slot>) -> Result<(), Trouble> {
        let engine = self.settings.engine;
        let wanted = job.scope == Scope::Slots && engine != Engine::Migrate;
        if !wanted {
            return Ok(());
        }
        let dialect = atomic::dialect(link).await?;
        if engine == Engine::Auto && dialect.is_none() {
            return Ok(());
        }
        let key_bytes = match self.brake.counts_bytes() {
            true => room::bytes_per_key(link).await?.unwrap_or(0),
            false => 0,
        };
        let keys_of = |slots: &[Slot]| slots.iter().filter_map(|slot| link.counts.get(slot)).sum::<u64>();
        let free = self.without_strays(job, link).await?;
        for portion in portions(&free, &link.counts, self.brake.most_keys_atomic(key_bytes)) {
            if self.stop.get() != Stop::No {
                return Err(Trouble::Stopped);
            }
            let keys = keys_of(portion);
            self.brake.admit(link, keys, keys.saturating_mul(key_bytes), &self.stop, self.observer).await?;
            let asked = match dialect {
                Some(Dialect::Fetch) => fetch::migrate(link, portion, &self.stop).await,
                // Where none is known, the refusal of the server tells more than we know.
                Some(Dialect::Push) | None => atomic::migrate(link, portion, &self.stop).await,
            };
            match asked {
                Ok(()) => {}
                Err(trouble @ (Trouble::Refused { .. } | Trouble::Node(Failure::Reply { .. })))
                    if engine == Engine::Auto =>
                {
                    self.observer.falls_back(&trouble);
                    return Ok(());
                }
                Err(trouble) => return Err(trouble),
            }
            self.record(job, portion);
            for &slot in portion {
                let keys = keys_of(&[slot]);
                self.observer.keys_moved(keys);
                self.observer.slot_moved(index, slot, keys);
            }
            moved.extend_from_slice(portion);
        }
        Ok(())
    }

    /// The slots of the job that the servers may move: those of which the target holds no keys already. Such strays are
    /// compared, and kept apart, where keys are moved one by one; servers that move slots themselves drop them unseen, and
    /// a target that runs Valkey 9 stops with a failed assertion.
    async fn without_strays(&self, job: &Job, link: &Link<'a>) -> Result<Vec<Slot>, Trouble> {
        let counts = link.count(link.target, &job.slots).await?;
        let (mut free, mut taken) = (Vec::with_capacity(job.slots.len()), SlotSet::new());
        for (&slot, keys) in job.slots.iter().zip(counts) {
            match keys {
                0 => free.push(slot),
                _ => taken.insert(slot),
            }
        }
        if taken.is_empty() {
            return Ok(free);
        }
        let to = link.target.addr.clone();
        match self.settings.engine {
            Engine::Auto => self.observer.falls_back(&Trouble::Occupied { to, slots: taken }),
            _ => return Err(Trouble::Occupied { to, slots: taken }),
        }
        Ok(free)
    }

    async fn move_slots(
        &self,
        link: &Link<'a>,
        slots: &[Slot],
        drain: &mut drain::Drain<'_, 'a>,
    ) -> Result<(), Trouble> {
        link.open(slots).await?;
        drain.empty(slots).await?;
        link.hand_over(slots).await?;
        Ok(())
    }
}

/// Cuts the slots into batches that are open at the same time: many when they are nearly empty, since the
/// cost is per batch then; few when they are full, since an open slot costs its clients a detour.
fn batches<'s>(slots: &'s [Slot], counts: &BTreeMap<Slot, u64>, keys_at_most: u64) -> impl Iterator<Item = &'s [Slot]> {
    const SLOTS_AT_MOST: usize = 512;
    const KEYS_ABOUT: u64 = 16_384;
    cut(slots, counts, SLOTS_AT_MOST, KEYS_ABOUT.min(keys_at_most))
}

/// Cuts the slots into what the servers move at a time: everything where nothing limits them.
fn portions<'s>(
    slots: &'s [Slot],
    counts: &BTreeMap<Slot, u64>,
    keys_at_most: Option<u64>,
) -> impl Iterator<Item = &'s [Slot]> {
    cut(slots, counts, slots.len(), keys_at_most.unwrap_or(u64::MAX))
}

/// Cuts the slots where there would be too many, or too many keys in them. One slot is the least.
fn cut<'s>(
    slots: &'s [Slot],
    counts: &BTreeMap<Slot, u64>,
    slots_at_most: usize,
    keys_at_most: u64,
) -> impl Iterator<Item = &'s [Slot]> {
    let counts: Vec<u64> = slots.iter().map(|slot| counts.get(slot).copied().unwrap_or(0)).collect();
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut keys = 0;
        let rest = &counts[start..];
        let length = rest.iter().take(slots_at_most).take_while(|&&count| {
            let fits = keys == 0 || keys + count <= keys_at_most;
            keys += count;
            fits
        });
        let end = start + length.count();
        let batch = &slots[start..end];
        start = end;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(n: u16) -> Slot {
        Slot::new(n).unwrap()
    }

    #[test]
    fn full_slots_travel_alone_and_empty_ones_in_crowds() {
        let slots: Vec<Slot> = Slot::all().take(1200).collect();
        let mut counts = BTreeMap::from([(slot(0), 1_000_000), (slot(2), 10_000), (slot(3), 10_000)]);
        let lengths: Vec<usize> = batches(&slots, &counts, u64::MAX).map(<[Slot]>::len).collect();
        assert_eq!(lengths, [1, 2, 512, 512, 173]);
        let lengths: Vec<usize> = portions(&slots, &counts, Some(100)).map(<[Slot]>::len).collect();
        assert_eq!(lengths, [1, 2, 1, 1196], "a slot that is too full goes alone");
        assert_eq!(portions(&slots, &counts, None).count(), 1);
        counts.clear();
        let all: Vec<Slot> = batches(&slots, &counts, u64::MAX).flatten().copied().collect();
        assert_eq!(all, slots);
        assert_eq!(batches(&[], &counts, u64::MAX).count(), 0);
    }
}
