//! The target's side of a migration, as a state machine, and that of those who only follow one (the target's replicas).
//!
//! No IO and no clock: [`step`] is told the time and what has happened.

use super::job::{Job, State};
use super::message::Message;
use super::why;
use crate::cluster::Clock;

/// A source holds writes back for at least two seconds after it has granted the slots, which it did after it was asked.
/// Who hears of it later than that, since the process stood still, may not claim any more.
const CLAIM_MAX_MS: i64 = 1900;

/// Whose the slots are, as far as this node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    Sources,
    Mine,
    Other,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    Heard(Message),
    /// Replicas and disk have what has come, or have had their time.
    Copied,
    Owned(Ownership),
    LinkLost,
    /// This node has become a primary; a replica.
    Promoted,
    Demoted,
    Failed(&'a str),
    /// The dataset is being replaced, and with it all that was imported.
    Replaced(&'a str),
    /// A failed import's keys are gone.
    Cleaned,
    /// The primary has told how it ended.
    Finished {
        success: bool,
        message: &'a str,
    },
    /// Ten times a second. `idle_ms`: since the source was heard last.
    Tick {
        idle_ms: i64,
    },
}

/// What is to be done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Send(Message),
    /// See that replicas and disk have what has come, then tell [`Event::Copied`]. `paused`: writes are held back
    /// meanwhile.
    Copy {
        paused: bool,
    },
    /// Claim the slots.
    TakeOver,
    /// Delete the keys of those slots that are not this node's, then tell [`Event::Cleaned`].
    Clean,
    /// Tell replicas and the log how it ended.
    Announce,
    /// The slots' keys are like any others.
    Show,
    /// Drop the link, if there is one.
    Drop,
}

/// Tells the job what happened.
pub fn step(job: &mut Job, now: Clock, silence_ms: i64, event: Event<'_>) -> Vec<Action> {
    match (job.state, event) {
        (State::Success | State::Cancelled | State::Failed, _) => Vec::new(),
        (_, Event::Replaced(why)) => {
            job.fail(now, State::Failed, why);
            vec![Action::Show, Action::Drop]
        }
        (State::CleaningUp, Event::Cleaned) => {
            job.enter(now, State::Failed);
            vec![Action::Announce, Action::Show]
        }
        (State::CleaningUp, Event::Demoted) => {
            job.enter(now, State::OccurringOnPrimary);
            Vec::new()
        }
        (State::CleaningUp, _) => Vec::new(),
        (State::OccurringOnPrimary, event) => followed(job, now, event),
        (_, Event::Heard(message)) => heard(job, now, message),
        (State::ReceivingSnapshot, Event::Copied) => {
            job.enter(now, State::WaitingForPaused);
            vec![Action::Send(Message::RequestPause)]
        }
        (State::WaitingForPaused, Event::Copied) => {
            job.enter(now, State::FailoverRequested);
            job.paused_until = Some(now.mono + CLAIM_MAX_MS);
            vec![Action::Send(Message::RequestFailover)]
        }
        (_, Event::Demoted) => {
            job.enter(now, State::OccurringOnPrimary);
            vec![Action::Drop]
        }
        (_, Event::Owned(Ownership::Other)) => fail(job, now, why::NOT_THE_SOURCES),
        (_, Event::Owned(Ownership::Mine)) => fail(job, now, why::MINE_ALREADY),
        (_, Event::LinkLost) => fail(job, now, why::SOURCE_LOST),
        (_, Event::Failed(why)) => fail(job, now, why),
        (_, Event::Tick { idle_ms }) if idle_ms > silence_ms => fail(job, now, why::SILENCE),
        (state, Event::Tick { .. }) if state != State::WaitingForAck && job.must_tell(now) => {
            vec![Action::Send(Message::Ack)]
        }
        _ => Vec::new(),
    }
}

fn fail(job: &mut Job, now: Clock, why: &str) -> Vec<Action> {
    job.fail(now, State::CleaningUp, why);
    vec![Action::Drop, Action::Clean]
}

fn heard(job: &mut Job, now: Clock, message: Message) -> Vec<Action> {
    match (message, job.state) {
        (Message::Capa, _) => Vec::new(),
        (Message::Ack, State::WaitingForAck) => {
            job.acked = now.wall;
            job.told = now.mono;
            job.enter(now, State::ReceivingSnapshot);
            vec![Action::Send(Message::Ack)]
        }
        (Message::Ack, _) => {
            job.acked = now.wall;
            Vec::new()
        }
        // The source deletes its keys as soon as the slots are claimed: replicas and disk get the bulk of them before
        // writes are held back, and the rest afterwards.
        (Message::SnapshotEof, State::ReceivingSnapshot) => vec![Action::Copy { paused: false }],
        (Message::Paused, State::WaitingForPaused) => vec![Action::Copy { paused: true }],
        (Message::FailoverGranted, State::FailoverRequested)
            if job.paused_until.is_some_and(|until| now.mono >= until) =>
        {
            fail(job, now, why::UNPAUSED)
        }
        (Message::FailoverGranted, State::FailoverRequested) => {
            job.enter(now, State::Success);
            vec![Action::TakeOver, Action::Announce, Action::Show, Action::Drop]
        }
        _ => fail(job, now, why::OUT_OF_ORDER),
    }
}

/// The migration happens on this node's primary, or did so when the file was written that was loaded.
fn followed(job: &mut Job, now: Clock, event: Event<'_>) -> Vec<Action> {
    match event {
        Event::Finished { success, message } => {
            job.fail(now, if success { State::Success } else { State::Failed }, message);
            vec![Action::Show]
        }
        Event::Promoted => fail(job, now, why::FAILOVER),
        Event::Failed(why) => fail(job, now, why),
        _ => Vec::new(),
    }
}
