//! The journal: what a run is about to do and what it has done, on disk before and while it happens.
//!
//! A job is a file of lines of JSON that only ever grows: first what is planned and how the cluster looks, then every
//! step that is done, then how it ended. Each line is on the disk before the work goes on. So whatever kills the program,
//! the next one knows what was meant; how far it got, it sees at the cluster itself ([`replan`]), which is the only one
//! to ask about that. No secret is ever written: a job holds node ids, addresses, slots, and the words of the command,
//! which the grammar has freed of passwords.

pub mod replan;
pub mod store;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::addr::Addr;
use super::fresh::Fresh;
use super::local::process::Identity;
use super::planned::{Member, Step};
use super::slots::SlotSet;
use super::view::ClusterView;
use crate::base::NodeId;

pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The first line.
    Begun(Box<Header>),
    /// These slots are where they were to go.
    Moved { from: String, to: String, slots: String },
    /// A part of the work that has a name is done.
    Stage { name: String },
    /// Values that had to give way are in this file.
    Saved { file: String },
    /// The operator's command for a node runs, in this process. Another run of the node's server than this one means
    /// that the command has done its work.
    Restarting { node: String, server: String, shell: Identity },
    /// A node has been restarted, and is back.
    Restarted { node: String },
    /// Another process has taken the job up again.
    Resumed { at_ms: u64, run: Run },
    Ended {
        at_ms: u64,
        how: End,
        /// Whether all was done, and what was to be complained about would be no different another time.
        #[serde(default)]
        carried_out: bool,
    },
    /// Another job has taken it back.
    Undone { at_ms: u64 },
}

/// What is planned, by whom, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    pub version: u32,
    pub id: String,
    pub at_ms: u64,
    pub run: Run,
    /// `user@host`.
    pub operator: String,
    /// The subcommand with its options, without secrets.
    pub command: Vec<String>,
    /// The nodes as they were before.
    pub cluster: Vec<Before>,
    pub steps: Vec<Step>,
}

/// The process that works.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    pub host: String,
    pub process: Identity,
}

/// A node before the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Before {
    pub id: String,
    pub addr: String,
    /// As the other nodes have to be told: with the bus port where that is unusual.
    pub meet: String,
    /// Whom it replicated.
    pub primary: Option<String>,
    pub slots: String,
}

impl Before {
    /// The nodes of a cluster.
    #[must_use]
    pub fn of(view: &ClusterView) -> Vec<Before> {
        let before = |node: &super::view::Node| Before {
            id: node.id.to_string(),
            addr: node.addr.to_string(),
            meet: dialled(&node.announced),
            primary: node.primary.map(|id| id.to_string()),
            slots: node.slots.to_string(),
        };
        view.nodes.iter().map(before).collect()
    }
}

impl From<&Before> for Member {
    fn from(before: &Before) -> Member {
        Member { id: before.id.clone(), addr: before.addr.clone() }
    }
}

impl From<&Fresh> for Before {
    fn from(node: &Fresh) -> Before {
        let (id, addr) = (node.id.to_string(), node.addr.to_string());
        Before { id, addr, meet: dialled(&node.meet), primary: None, slots: String::new() }
    }
}

/// A text of the journal that stands for a node or its address, and does not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is no node and no address of one")]
pub struct BadNode(pub String);

impl TryFrom<&Before> for Fresh {
    type Error = BadNode;

    fn try_from(before: &Before) -> Result<Fresh, BadNode> {
        let addr = |text: &str| text.parse().map_err(|_| BadNode(text.to_owned()));
        let id = NodeId::parse(before.id.as_bytes()).ok_or_else(|| BadNode(before.id.clone()))?;
        Ok(Fresh { addr: addr(&before.addr)?, meet: addr(&before.meet)?, id })
    }
}

fn dialled(addr: &Addr) -> String {
    match addr.unusual_bus_port() {
        Some(bus_port) => format!("{addr}@{bus_port}"),
        None => addr.to_string(),
    }
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    Done,
    Failed,
    /// By Ctrl-C.
    Interrupted,
    /// What had been done was taken back by the command itself.
    RolledBack,
}

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Running,
    Done,
    Failed,
    Interrupted,
    RolledBack,
    Undone,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Interrupted => "interrupted",
            State::RolledBack => "rolled-back",
            State::Undone => "undone",
        })
    }
}

/// What kind of work a job is, as far as finishing and undoing it go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Slots change hands, and replicas after them.
    Moves,
    /// A cluster is made of nodes.
    Create,
    /// A node joins.
    Add,
    /// A node goes, after its slots if it has any.
    Remove,
    Fix,
    /// Keys come from outside.
    Import,
    /// Nodes are restarted one by one, and hand over before.
    Roll,
    /// Replicas take over from their primaries.
    Roles,
    Other,
}

impl Kind {
    #[must_use]
    pub fn of(command: Option<&str>, steps: &[Step]) -> Kind {
        let any = |found: fn(&Step) -> bool| steps.iter().any(found);
        let (is_fix, is_import) =
            (command == Some("fix"), any(|step| matches!(step, Step::Import { .. } | Step::Load { .. })));
        match () {
            () if is_fix => Kind::Fix,
            () if is_import => Kind::Import,
            () if any(|step| matches!(step, Step::Restart { .. })) => Kind::Roll,
            () if !steps.is_empty() && steps.iter().all(|step| matches!(step, Step::Promote { .. })) => Kind::Roles,
            () if any(|step| matches!(step, Step::AssignSlots { .. })) => Kind::Create,
            () if any(|step| matches!(step, Step::Forget { .. })) => Kind::Remove,
            () if any(|step| matches!(step, Step::Join { .. })) => Kind::Add,
            () if any(|step| matches!(step, Step::MoveSlots { .. }))
                && steps.iter().all(|step| matches!(step, Step::MoveSlots { .. } | Step::Replicate { .. })) =>
            {
                Kind::Moves
            }
            () => Kind::Other,
        }
    }
}

/// A restart that was begun; see [`Record::Restarting`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restarting {
    pub node: String,
    pub server: String,
    pub shell: Identity,
}

/// A job as its file tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    pub header: Header,
    /// The process that worked on it last.
    pub run: Run,
    /// Slots that are known to have arrived.
    pub moved: SlotSet,
    pub stages: Vec<String>,
    /// Files with values that had to give way; see [`quarantine`](super::quarantine).
    pub saved: Vec<String>,
    /// Ids of nodes that have been restarted.
    pub restarted: Vec<String>,
    /// The restart that was begun last, and not known to have ended.
    pub restarting: Option<Restarting>,
    pub end: Option<End>,
    /// All was done, however it ended.
    pub carried_out: bool,
    pub undone: bool,
}

impl Job {
    /// From the lines of a file. The last line may be torn, and lines of a later version are left out.
    #[must_use]
    pub fn read(text: &str) -> Option<Job> {
        let mut records = text.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok());
        let Some(Record::Begun(header)) = records.next() else { return None };
        let mut job = Job {
            run: header.run.clone(),
            header: *header,
            moved: SlotSet::new(),
            stages: Vec::new(),
            saved: Vec::new(),
            restarted: Vec::new(),
            restarting: None,
            end: None,
            carried_out: false,
            undone: false,
        };
        for record in records {
            match record {
                Record::Begun(_) => {}
                Record::Moved { slots, .. } => job.moved.extend_from(&slots.parse().unwrap_or_default()),
                Record::Stage { name } => job.stages.push(name),
                Record::Saved { file } => job.saved.push(file),
                Record::Restarting { node, server, shell } => job.restarting = Some(Restarting { node, server, shell }),
                Record::Restarted { node } => {
                    job.restarting = None;
                    job.restarted.push(node);
                }
                Record::Resumed { run, .. } => (job.run, job.end, job.carried_out) = (run, None, false),
                Record::Ended { how, carried_out, .. } => (job.end, job.carried_out) = (Some(how), carried_out),
                Record::Undone { .. } => job.undone = true,
            }
        }
        (job.header.version == VERSION).then_some(job)
    }

    /// How it stands, seen from a process on `host`. A job of another host counts as running until it says otherwise.
    #[must_use]
    pub fn state(&self, host: &str) -> State {
        match self.end {
            _ if self.undone => State::Undone,
            Some(End::Done) => State::Done,
            Some(End::Failed) => State::Failed,
            Some(End::Interrupted) => State::Interrupted,
            Some(End::RolledBack) => State::RolledBack,
            None if self.run.host != host || self.run.process.is_running() => State::Running,
            None => State::Interrupted,
        }
    }

    /// Whether it was cut off or has failed, and can be gone on with.
    #[must_use]
    pub fn is_left(&self, host: &str) -> bool {
        let is_over = self.carried_out || self.kind() == Kind::Other;
        !is_over && matches!(self.state(host), State::Interrupted | State::Failed)
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(self.header.command.first().map(String::as_str), &self.header.steps)
    }

    /// The slots that are to change hands.
    #[must_use]
    pub fn planned_slots(&self) -> SlotSet {
        let mut all = SlotSet::new();
        for step in &self.header.steps {
            if let Step::MoveSlots { slots, .. } = step {
                all.extend_from(&slots.parse().unwrap_or_default());
            }
        }
        all
    }

    /// How far it is known to have got.
    #[must_use]
    pub fn progress(&self) -> String {
        let planned = self.planned_slots().len();
        let restarts = self.header.steps.iter().filter(|step| matches!(step, Step::Restart { .. })).count();
        match self.stages.last() {
            _ if planned > 0 => format!("{} of {planned} slots", self.moved.len()),
            _ if restarts > 0 => format!("{} of {restarts} nodes", self.restarted.len()),
            Some(stage) => stage.clone(),
            None => String::new(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn member(letter: char) -> Member {
        Member { id: letter.to_string().repeat(40), addr: format!("10.0.0.1:{}", letter as u32) }
    }

    pub(crate) fn move_slots(from: char, to: char, slots: &str) -> Step {
        Step::MoveSlots { from: member(from), to: member(to), slots: slots.to_owned() }
    }

    pub(crate) fn header(steps: Vec<Step>) -> Header {
        let process = Identity { pid: 1, started: "long ago".into() };
        Header {
            version: VERSION,
            id: "abc".into(),
            at_ms: 5,
            run: Run { host: "here".into(), process },
            operator: "me@here".into(),
            command: vec!["reshard".into(), "h:1".into()],
            cluster: Vec::new(),
            steps,
        }
    }

    fn text(records: &[Record]) -> String {
        records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect()
    }

    fn moved(slots: &str) -> Record {
        Record::Moved { from: "a".into(), to: "b".into(), slots: slots.into() }
    }

    #[test]
    fn a_job_is_read_from_its_lines_also_from_torn_ones() {
        let begun = Record::Begun(Box::new(header(vec![move_slots('a', 'b', "0-9,12")])));
        let whole = text(&[begun.clone(), moved("0-3"), moved("5")]);
        let job = Job::read(&whole).unwrap();
        assert_eq!((job.progress().as_str(), job.kind()), ("5 of 11 slots", Kind::Moves));
        assert_eq!(job.state("here"), State::Interrupted, "its process is gone");
        assert_eq!(job.state("elsewhere"), State::Running, "nobody can tell from there");
        let torn = Job::read(&whole[..whole.len() - 9]).unwrap();
        assert_eq!(torn.moved.to_string(), "0-3");
        for none in ["", "{}", "{\"record\":\"moved\"}"] {
            assert_eq!(Job::read(none), None, "{none}");
        }
        let later = Header { version: 2, ..header(Vec::new()) };
        assert_eq!(Job::read(&text(&[Record::Begun(Box::new(later))])), None);

        let ended = |how| Record::Ended { at_ms: 6, how, carried_out: false };
        let state = |records: &[Record]| Job::read(&text(records)).unwrap().state("here");
        assert_eq!(state(&[begun.clone(), ended(End::Done)]), State::Done);
        let run = header(Vec::new()).run;
        assert_eq!(
            state(&[begun.clone(), ended(End::Failed), Record::Resumed { at_ms: 7, run }]),
            State::Interrupted,
            "taken up and left again"
        );
        assert_eq!(state(&[begun, ended(End::Done), Record::Undone { at_ms: 8 }]), State::Undone);
    }

    #[test]
    fn a_job_that_failed_is_left_unless_all_was_done() {
        let begun = |command: &str| {
            let header = Header { command: vec![command.into()], ..header(vec![move_slots('a', 'b', "0-9")]) };
            Record::Begun(Box::new(header))
        };
        let ended = |how, carried_out| Record::Ended { at_ms: 6, how, carried_out };
        let is_left = |records: &[Record]| Job::read(&text(records)).unwrap().is_left("here");
        assert!(is_left(&[begun("reshard")]) && is_left(&[begun("reshard"), ended(End::Failed, false)]));
        assert!(!is_left(&[begun("reshard"), ended(End::Failed, true)]));
        assert!(!is_left(&[begun("reshard"), ended(End::Done, false)]));
        let earlier = "{\"record\":\"ended\",\"at_ms\":6,\"how\":\"failed\"}\n";
        assert!(Job::read(&(text(&[begun("reshard")]) + earlier)).unwrap().is_left("here"));
        let other = Record::Begun(Box::new(header(vec![Step::Reset { node: member('a') }])));
        assert!(!is_left(&[other]), "nobody can go on with that");
    }

    #[test]
    fn the_steps_tell_what_kind_of_work_it_is() {
        let (a, b) = (member('a'), member('b'));
        let join = Step::Join { node: a.clone() };
        let forget = Step::Forget { node: a.clone() };
        let assign = Step::AssignSlots { node: a.clone(), slots: "0".into() };
        let replicate = Step::Replicate { node: b, primary: a };
        let moves = move_slots('a', 'b', "1");
        let promote = Step::Promote { node: member('b'), primary: member('a') };
        for (command, steps, kind) in [
            ("rebalance", vec![moves.clone()], Kind::Moves),
            ("create", vec![assign, join.clone(), replicate.clone()], Kind::Create),
            ("add-node", vec![join, replicate.clone()], Kind::Add),
            ("del-node", vec![moves.clone(), replicate.clone(), forget], Kind::Remove),
            ("fix", vec![moves.clone()], Kind::Fix),
            ("drain", vec![moves.clone(), replicate.clone()], Kind::Moves),
            ("roll", vec![promote.clone(), Step::Restart { node: member('a') }], Kind::Roll),
            ("failover", vec![promote], Kind::Roles),
            ("forget", vec![replicate], Kind::Other),
            ("reshard", Vec::new(), Kind::Other),
        ] {
            assert_eq!(Kind::of(Some(command), &steps), kind, "{command}");
        }
    }
}
