//! The source's side of a migration, as a state machine: what happens in which state, and what is to be done.
//!
//! No IO and no clock: [`step`] is told the time and what has happened. Once the slots are granted the target may own them
//! at any moment without this end having heard of it. So from then on nothing lets writes go on but the news of the new
//! owner or the end of the pause, which is longer than anything that the target may still be waiting for.

use super::job::{Job, State};
use super::message::Message;
use super::why;
use crate::cluster::Clock;

/// Writes are held back for at least this long after the slots were granted.
const GRANTED_PAUSE_MS: i64 = 2000;

/// What directives say.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `repl-timeout`.
    pub silence_ms: i64,
    /// `cluster-manual-failover-timeout`.
    pub failover_ms: i64,
    /// `slot-migration-max-failover-repl-bytes`: bytes that may be on their way when writes are held back.
    pub pending_max: Option<u64>,
}

/// Whose the slots are, as far as this node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    Mine,
    Targets,
    /// Neither, or some the one and some the other.
    Other,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    Connected {
        authenticates: bool,
    },
    ConnectFailed(&'a str),
    /// The target has answered to AUTH or ESTABLISH.
    Answered(Result<(), &'a str>),
    Heard(Message),
    /// All keys are in the link's queue.
    Walked,
    /// Before more is sent: so much is waiting.
    Pending(u64),
    Owned(Ownership),
    LinkLost,
    Cancelled,
    Failed(&'a str),
    /// Ten times a second. `idle_ms`: since the target was heard last.
    Tick {
        idle_ms: i64,
    },
}

/// What is to be done, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    SendAuth,
    SendEstablish,
    Send(Message),
    /// Walk over the keys, and forward from now on what is written to those that the walk has passed.
    Walk,
    /// Forward nothing more, and hold writes to the slots back.
    Pause,
    /// Let the cluster's engine give the slots to the target.
    Grant,
    /// The target has not taken what it was granted: see that it cannot do so later.
    Keep,
    /// It is over: drop the link, the walk, the pause and the grant, whatever there is of them.
    End,
}

/// Tells the job what happened.
pub fn step(job: &mut Job, now: Clock, limits: Limits, event: Event<'_>) -> Vec<Action> {
    if job.state.is_finished() {
        return Vec::new();
    }
    if job.state == State::FailoverGranted {
        return granted_step(job, now, limits, event);
    }
    match event {
        Event::Connected { authenticates } if job.state == State::Connecting => {
            if authenticates {
                job.enter(now, State::ReadingAuth);
                vec![Action::SendAuth]
            } else {
                job.enter(now, State::ReadingEstablish);
                vec![Action::SendEstablish]
            }
        }
        Event::ConnectFailed(error) => fail(job, now, &format!("Unable to connect to target node: {error}")),
        Event::Answered(answer) => answered(job, now, answer),
        Event::Heard(message) => heard(job, now, limits, message),
        Event::Walked if job.state == State::Snapshotting => {
            job.enter(now, State::Replicating);
            vec![Action::Send(Message::SnapshotEof)]
        }
        Event::Pending(bytes) if job.state == State::WaitingToPause => {
            if limits.pending_max.is_some_and(|max| bytes > max) {
                return Vec::new();
            }
            job.enter(now, State::FailoverPaused);
            job.paused_until = Some(now.mono + 2 * limits.failover_ms);
            vec![Action::Pause, Action::Send(Message::Paused)]
        }
        Event::Owned(Ownership::Mine) | Event::Pending(_) => Vec::new(),
        Event::Owned(_) => fail(job, now, why::NOT_MINE),
        Event::LinkLost => fail(job, now, why::TARGET_LOST),
        Event::Cancelled => {
            job.enter(now, State::Cancelled);
            vec![Action::End]
        }
        Event::Failed(why) => fail(job, now, why),
        Event::Tick { idle_ms } => tick(job, now, limits, idle_ms),
        Event::Connected { .. } | Event::Walked => fail(job, now, why::OUT_OF_ORDER),
    }
}

fn fail(job: &mut Job, now: Clock, why: &str) -> Vec<Action> {
    job.fail(now, State::Failed, why);
    vec![Action::End]
}

/// Whether writes are still held back.
fn is_paused(job: &Job, now: Clock) -> bool {
    job.paused_until.is_some_and(|until| now.mono < until)
}

fn answered(job: &mut Job, now: Clock, answer: Result<(), &str>) -> Vec<Action> {
    match (job.state, answer) {
        (State::ReadingAuth, Ok(())) => {
            job.enter(now, State::ReadingEstablish);
            vec![Action::SendEstablish]
        }
        (State::ReadingAuth, Err(error)) => fail(job, now, &format!("Failed to AUTH to target node: {error}")),
        (State::ReadingEstablish, Ok(())) => {
            // There is no child to wait for: the walk begins at once.
            job.enter(now, State::Snapshotting);
            job.told = now.mono;
            vec![Action::Send(Message::Ack), Action::Walk]
        }
        (State::ReadingEstablish, Err(error)) => {
            fail(job, now, &format!("Received error during handshake to target: {error}"))
        }
        _ => fail(job, now, why::BAD_COMMAND),
    }
}

fn heard(job: &mut Job, now: Clock, limits: Limits, message: Message) -> Vec<Action> {
    match (message, job.state) {
        (Message::Capa, _) => Vec::new(),
        (Message::Ack, _) => {
            job.acked = now.wall;
            Vec::new()
        }
        (Message::RequestPause, State::Replicating) => {
            job.enter(now, State::WaitingToPause);
            Vec::new()
        }
        (Message::RequestFailover, State::FailoverPaused) if is_paused(job, now) => {
            job.enter(now, State::FailoverGranted);
            let longer = now.mono + GRANTED_PAUSE_MS.max(limits.failover_ms);
            job.paused_until = job.paused_until.max(Some(longer));
            vec![Action::Grant, Action::Send(Message::FailoverGranted)]
        }
        (Message::RequestFailover, State::FailoverPaused) => fail(job, now, why::UNPAUSED),
        _ => fail(job, now, why::OUT_OF_ORDER),
    }
}

fn tick(job: &mut Job, now: Clock, limits: Limits, idle_ms: i64) -> Vec<Action> {
    if job.state == State::FailoverPaused && !is_paused(job, now) {
        return fail(job, now, why::TIMED_OUT_PAUSED);
    }
    if idle_ms > limits.silence_ms {
        return fail(job, now, why::SILENCE);
    }
    // While it gets keys the target hears enough of this end.
    let speaks = matches!(job.state, State::Replicating | State::WaitingToPause | State::FailoverPaused);
    if speaks && job.must_tell(now) { vec![Action::Send(Message::Ack)] } else { Vec::new() }
}

/// The target may own the slots already.
fn granted_step(job: &mut Job, now: Clock, limits: Limits, event: Event<'_>) -> Vec<Action> {
    match event {
        Event::Owned(Ownership::Targets) => {
            job.enter(now, State::Success);
            vec![Action::End]
        }
        Event::LinkLost => {
            // A target that lives has claimed the slots by now, or gives the import up: it is not waited for to the end.
            job.paused_until = job.paused_until.min(Some(now.mono + GRANTED_PAUSE_MS.max(limits.failover_ms)));
            Vec::new()
        }
        Event::Tick { .. } if !is_paused(job, now) => {
            job.fail(now, State::Failed, why::UNPAUSED_GRANTED);
            vec![Action::Keep, Action::End]
        }
        Event::Tick { .. } if job.must_tell(now) => vec![Action::Send(Message::Ack)],
        Event::Heard(Message::Ack) => {
            job.acked = now.wall;
            Vec::new()
        }
        _ => Vec::new(),
    }
}
