//! Both ends of a migration against each other, in any order of events, with the link lost and either end killed at any
//! moment.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::export::{self, Limits};
use super::import;
use super::job::{Job, JobName, Operation, State};
use super::message::Message;
use super::ranges::SlotRanges;
use crate::base::{Millis, NodeId, Rng};
use crate::cluster::Clock;

const LIMITS: Limits = Limits { silence_ms: 60_000, failover_ms: 5000, pending_max: Some(0) };

/// Longer than anything may take after the last event.
const END_MS: i64 = 10_000;

/// What goes from the source to the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Establish,
    Message(Message),
}

struct World {
    now: i64,
    source: Option<Job>,
    target: Option<Job>,
    establish_refused: bool,
    to_target: VecDeque<Line>,
    /// An answer, or a message.
    to_source: VecDeque<Option<Message>>,
    link: bool,
    /// The target has claimed the slots, and the source has heard of it.
    claimed: bool,
    heard: bool,
    /// The source has made sure that a late claim does not win.
    kept: bool,
    walks: bool,
}

fn name(seed: u64) -> JobName {
    NodeId::random(&mut Rng::seeded(seed))
}

fn job(operation: Operation, state: State, now: Clock) -> Job {
    let ranges = SlotRanges::of_file(&[(0, 9)]).expect("a good range");
    Job::new(name(1), operation, ranges, state, now)
}

impl World {
    fn new() -> World {
        let mut world = World {
            now: 1000,
            source: None,
            target: None,
            establish_refused: false,
            to_target: VecDeque::new(),
            to_source: VecDeque::new(),
            link: true,
            claimed: false,
            heard: false,
            kept: false,
            walks: false,
        };
        world.source = Some(job(Operation::Export, State::Connecting, world.clock()));
        world.tell_source(export::Event::Connected { authenticates: false });
        world
    }

    fn clock(&self) -> Clock {
        Clock { wall: Millis(self.now + 1_000_000), mono: Millis(self.now) }
    }

    fn tell_source(&mut self, event: export::Event<'_>) {
        let now = self.clock();
        let Some(job) = &mut self.source else { return };
        for action in export::step(job, now, LIMITS, event) {
            match action {
                export::Action::SendAuth => unreachable!("there is no password"),
                export::Action::SendEstablish => self.to_target.push_back(Line::Establish),
                export::Action::Send(message) => self.to_target.push_back(Line::Message(message)),
                export::Action::Walk => self.walks = true,
                export::Action::Keep => self.kept = true,
                export::Action::Pause | export::Action::Grant => {}
                export::Action::End => self.link = false,
            }
        }
    }

    fn tell_target(&mut self, event: import::Event<'_>) {
        let now = self.clock();
        let Some(job) = &mut self.target else { return };
        let mut again = Vec::new();
        for action in import::step(job, now, LIMITS.silence_ms, event) {
            match action {
                import::Action::Send(message) => self.to_source.push_back(Some(message)),
                import::Action::Copy { .. } => again.push(import::Event::Copied),
                import::Action::TakeOver => {
                    assert!(!self.kept, "the source keeps the slots");
                    self.claimed = true;
                }
                import::Action::Clean => again.push(import::Event::Cleaned),
                import::Action::Announce | import::Action::Show => {}
                import::Action::Drop => self.link = false,
            }
        }
        again.into_iter().for_each(|event| self.tell_target(event));
    }

    fn deliver_to_target(&mut self) {
        match self.to_target.pop_front().filter(|_| self.link) {
            Some(Line::Establish) if self.establish_refused => self.to_source.push_back(Some(Message::Paused)),
            Some(Line::Establish) => {
                self.target = Some(job(Operation::Import, State::WaitingForAck, self.clock()));
                self.to_source.push_back(None);
            }
            Some(Line::Message(message)) => self.tell_target(import::Event::Heard(message)),
            None => {}
        }
    }

    fn deliver_to_source(&mut self) {
        match self.to_source.pop_front().filter(|_| self.link) {
            Some(None) => self.tell_source(export::Event::Answered(Ok(()))),
            Some(Some(_)) if self.source.as_ref().is_some_and(|job| job.state == State::ReadingEstablish) => {
                self.tell_source(export::Event::Answered(Err("no")));
            }
            Some(Some(message)) => self.tell_source(export::Event::Heard(message)),
            None => {}
        }
    }

    fn notice_lost_link(&mut self) {
        if !self.link {
            self.tell_source(export::Event::LinkLost);
            self.tell_target(import::Event::LinkLost);
        }
    }

    /// The bus tells the source that the target has claimed, if that is alive.
    fn tell_of_claim(&mut self) {
        if self.claimed && self.target.is_some() {
            self.heard = true;
            self.tell_source(export::Event::Owned(export::Ownership::Targets));
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.tell_source(export::Event::Tick { idle_ms: 0 });
        self.tell_target(import::Event::Tick { idle_ms: 0 });
    }

    fn act(&mut self, choice: u8) {
        match choice {
            0..=9 => self.deliver_to_target(),
            10..=19 => self.deliver_to_source(),
            20..=23 if std::mem::take(&mut self.walks) => self.tell_source(export::Event::Walked),
            24..=27 => self.tell_source(export::Event::Pending(0)),
            28 => self.tell_source(export::Event::Pending(1)),
            29..=31 => self.pass(100),
            32 => self.pass(3000),
            33..=36 => self.tell_of_claim(),
            37 => self.link = false,
            38 => self.notice_lost_link(),
            39 => self.tell_source(export::Event::Cancelled),
            40 => self.tell_source(export::Event::Failed("x")),
            41 => self.tell_target(import::Event::Failed("y")),
            _ => {}
        }
        self.check();
    }

    /// Whether the source serves writes to the slots.
    fn source_writes(&self) -> bool {
        !self.heard && self.source.as_ref().is_none_or(|job| !job.holds_writes())
    }

    fn check(&self) {
        // Two would write, unless the source knows that the target's claim loses.
        if self.claimed && !self.kept && self.source.is_some() {
            assert!(!self.source_writes(), "{:?} {:?}", self.source, self.target);
        }
    }

    /// Everything that is under way comes to its end. The killed stay dead.
    fn finish(&mut self) {
        for _ in 0..100 {
            self.deliver_to_target();
            self.deliver_to_source();
            if std::mem::take(&mut self.walks) {
                self.tell_source(export::Event::Walked);
            }
            self.tell_source(export::Event::Pending(0));
            self.tell_of_claim();
            self.notice_lost_link();
            self.check();
        }
        for _ in 0..END_MS / 100 {
            self.pass(100);
            self.notice_lost_link();
            self.check();
        }
    }
}

/// What happens at some moment of a migration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blow {
    Nothing,
    SourceKilled,
    TargetKilled,
    LinkLost,
}

fn ends_well(choices: &[u8], at: usize, blow: Blow) {
    let mut world = World::new();
    for (i, choice) in choices.iter().enumerate() {
        if i == at {
            match blow {
                Blow::Nothing => {}
                Blow::SourceKilled => (world.source, world.link) = (None, false),
                Blow::TargetKilled => (world.target, world.link) = (None, false),
                Blow::LinkLost => world.link = false,
            }
        }
        world.act(*choice);
    }
    world.finish();
    for job in [&world.source, &world.target].into_iter().flatten() {
        assert!(job.state.is_finished(), "{job:?}");
    }
    let state = |job: &Option<Job>| job.as_ref().map(|job| job.state);
    // Who is alive agrees on who has the slots.
    if state(&world.source) == Some(State::Success) {
        assert!(world.claimed);
    }
    if let (Some(source), Some(target)) = (state(&world.source), state(&world.target)) {
        assert_eq!(world.claimed, target == State::Success);
        if world.claimed && !world.kept {
            assert_eq!(source, State::Success);
        }
    }
}

proptest! {
    #[test]
    fn any_order_with_a_blow_at_any_moment(
        choices in proptest::collection::vec(0u8..42, 0..120),
        at in 0usize..120,
        blow in prop_oneof![
            Just(Blow::Nothing), Just(Blow::SourceKilled), Just(Blow::TargetKilled), Just(Blow::LinkLost)
        ],
    ) {
        ends_well(&choices, at, blow);
    }
}

/// The steps of a migration that nothing disturbs.
const SMOOTH: [u8; 17] = [0, 10, 0, 0, 10, 20, 0, 0, 10, 24, 0, 10, 0, 10, 0, 33, 33];

#[test]
fn a_blow_at_each_step_of_a_smooth_migration() {
    for blow in [Blow::Nothing, Blow::SourceKilled, Blow::TargetKilled, Blow::LinkLost] {
        for at in 0..SMOOTH.len() {
            ends_well(&SMOOTH, at, blow);
        }
    }
}

#[test]
fn a_smooth_migration_passes_through_all_states() {
    let mut world = World::new();
    let mut seen = Vec::new();
    for choice in SMOOTH {
        world.act(choice);
        seen.extend(world.source.iter().chain(&world.target).map(|job| job.state));
    }
    seen.dedup();
    for state in [
        State::ReadingEstablish,
        State::WaitingForAck,
        State::Snapshotting,
        State::ReceivingSnapshot,
        State::Replicating,
        State::WaitingForPaused,
        State::WaitingToPause,
        State::FailoverPaused,
        State::FailoverRequested,
        State::FailoverGranted,
        State::Success,
    ] {
        assert!(seen.contains(&state), "{state:?} is missing in {seen:?}");
    }
    assert!(world.claimed && world.source.as_ref().is_some_and(|job| job.state == State::Success));
}

#[test]
fn a_refusal_ends_the_job_with_the_targets_words() {
    let mut world = World::new();
    world.establish_refused = true;
    world.deliver_to_target();
    world.deliver_to_source();
    let job = world.source.unwrap();
    assert_eq!((job.state, job.message.as_str()), (State::Failed, "Received error during handshake to target: no"));
}

#[test]
fn silence_and_a_pause_that_ends_are_failures() {
    let mut world = World::new();
    for choice in &SMOOTH[..5] {
        world.act(*choice);
    }
    world.tell_source(export::Event::Tick { idle_ms: LIMITS.silence_ms + 1 });
    assert_eq!(world.source.as_ref().unwrap().message, super::why::SILENCE);
    let until = |steps: usize| {
        let mut world = World::new();
        SMOOTH[..steps].iter().for_each(|choice| world.act(*choice));
        world
    };
    let mut paused = until(10);
    assert_eq!(paused.source.as_ref().unwrap().state, State::FailoverPaused);
    paused.pass(2 * LIMITS.failover_ms);
    assert_eq!(paused.source.as_ref().unwrap().message, super::why::TIMED_OUT_PAUSED);
    let mut granted = until(12);
    granted.deliver_to_source();
    assert_eq!(granted.source.as_ref().unwrap().state, State::FailoverGranted);
    granted.pass(2 * LIMITS.failover_ms);
    assert_eq!(granted.source.as_ref().unwrap().message, super::why::UNPAUSED_GRANTED);
    assert!(granted.kept);
}
