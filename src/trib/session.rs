//! What a run has while it changes something: the lock, and the journal it writes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use super::addr::Addr;
use super::cmd::Context;
use super::error::{self, Error};
use super::fresh::Fresh;
use super::grammar;
use super::harmony;
use super::journal::store::{Journal, Store, now_ms};
use super::journal::{self, Before, End, Header, Job, Kind, Record, Run};
use super::local::process::Identity;
use super::lock::claim::Operator;
use super::lock::{self, Lock, Needed};
use super::planned::{self, Plan, Step};
use super::ui::Ui;
use super::view::ClusterView;
use crate::base::NodeId;

/// Between two looks whether the lock is still there. Also keeps its connections from being closed as idle.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Shared by a subcommand and those it runs.
#[derive(Default)]
pub struct Session {
    locks: RefCell<Vec<Rc<Lock>>>,
    /// Whether the cluster was asked for its lock, with or without success.
    asked: Cell<bool>,
    /// The nodes as they were when the lock was taken.
    before: RefCell<Vec<Before>>,
    /// What is going to be done, until it is agreed to.
    planned: RefCell<Option<Plan>>,
    journal: RefCell<Option<(Rc<Journal>, Kind)>>,
    /// The job that is gone on with, as it was found.
    resumed: RefCell<Option<Rc<Job>>>,
    is_carried_out: Cell<bool>,
    /// Whether what was done was taken back at once.
    is_rolled_back: Cell<bool>,
}

impl Context<'_> {
    /// Takes the cluster's lock for the rest of the run, and gives the view as it is under the lock: for every
    /// subcommand that changes something, right after it has looked. A dry run changes nothing and takes none.
    pub async fn hold(&self, view: ClusterView, dry_run: bool) -> Result<ClusterView, Error> {
        if dry_run || self.session.asked.replace(true) {
            return Ok(view);
        }
        self.take(lock::seats(&view), Needed::Majority).await?;
        let now = ClusterView::load(&self.pool, &view.seed().addr).await?;
        let view = match planned::digest(&now) == planned::digest(&view) {
            true => view,
            // Somebody has just finished.
            false => harmony::load(&self.pool, &view.seed().addr).await?,
        };
        self.session.before.borrow_mut().extend(Before::of(&view));
        Ok(view)
    }

    /// Locks nodes that are in no cluster yet, all of them.
    pub async fn hold_nodes(&self, addrs: &[Addr], dry_run: bool) -> Result<(), Error> {
        if dry_run { Ok(()) } else { self.take(addrs.to_vec(), Needed::All).await }
    }

    async fn take(&self, addrs: Vec<Addr>, needed: Needed) -> Result<(), Error> {
        let command = self.options.words.first().cloned().unwrap_or_default();
        let terms = self.options.lock;
        let lock = Lock::take(self.ui, self.pool.access(), addrs, needed, myself(command), terms).await?;
        self.session.locks.borrow_mut().extend(lock.map(Rc::new));
        Ok(())
    }

    /// Has the journal know nodes that are to join.
    pub fn remember<'n>(&self, nodes: impl IntoIterator<Item = &'n Fresh>) {
        self.session.before.borrow_mut().extend(nodes.into_iter().map(Before::from));
    }

    /// Where jobs are kept.
    pub fn store(&self) -> Result<Store, Error> {
        Store::locate(self.options.journal.as_deref(), |name| std::env::var(name).ok())
    }

    /// What to do about a node of a cluster whose creation was cut off here, or has failed.
    #[must_use]
    pub fn cut_off_creation(&self, id: &NodeId) -> Option<String> {
        let (jobs, host) = (self.store().and_then(|store| store.jobs()).ok()?, host());
        let job = jobs.iter().rev().find(|job| {
            let names_it = job.header.cluster.iter().any(|node| node.id == id.as_str());
            names_it && job.kind() == Kind::Create && job.is_left(&host)
        })?;
        let id = &job.header.id;
        Some(format!(
            "job {id} has begun a cluster of it: 'trib resume {id}' finishes that, 'trib undo {id}' takes it back"
        ))
    }

    /// Writes down what is going to be done, and that it was agreed to. What sets single values has no use for it and may be secret; what was not
    /// preceded by [`Context::hold`] or [`Context::remember`] could not be found again.
    pub fn agreed(&self) -> Result<(), Error> {
        let session = &self.session;
        let Some(Plan { command: words, steps, .. }) = session.planned.take() else { return Ok(()) };
        let is_one_step = steps.iter().all(|step| matches!(step, Step::SetConfig { .. }));
        if session.journal.borrow().is_some() || is_one_step || session.before.borrow().is_empty() {
            return Ok(());
        }
        let kind = Kind::of(words.first().map(String::as_str), &steps);
        // Whatever else a command was given may be anything, also a secret.
        let words = match kind {
            Kind::Other => words.into_iter().take(1).collect(),
            // It is the operator's, and is asked for again.
            Kind::Roll => grammar::without(words, "--restart"),
            _ => words,
        };
        let me = myself(String::new());
        let header = Header {
            version: journal::VERSION,
            id: me.token[..6].to_owned(),
            at_ms: now_ms(),
            run: this_run(),
            operator: me.who,
            command: words,
            cluster: session.before.borrow().clone(),
            steps,
        };
        let begun = self.store().and_then(|store| {
            store.begin(header).map_err(|e| Error::failed(format!("[ERR] The journal cannot be written: {e}")))
        });
        match begun {
            Ok(journal) => *session.journal.borrow_mut() = Some((Rc::new(journal), kind)),
            Err(error) if self.options.journal.is_some() => return Err(error),
            Err(error) => {
                let error::What::Message(why) = &error.what else { return Err(error) };
                let why = why.trim_start_matches("[ERR] ");
                self.ui.note(format!("Warning: {why} If this run is cut off, 'trib resume' cannot finish it."));
            }
        }
        Ok(())
    }

    /// Takes a job up again: what is done from now on is written to it. A dry run only looks at it.
    pub fn take_up(&self, store: &Store, job: &Job, dry_run: bool) -> Result<(), Error> {
        *self.session.resumed.borrow_mut() = Some(Rc::new(job.clone()));
        if dry_run {
            return Ok(());
        }
        let journal = store.reopen(job)?;
        journal.note(&Record::Resumed { at_ms: now_ms(), run: this_run() });
        *self.session.journal.borrow_mut() = Some((Rc::new(journal), job.kind()));
        Ok(())
    }

    /// The job that this run goes on with, if it does, as it was left.
    #[must_use]
    pub fn resumed(&self) -> Option<Rc<Job>> {
        self.session.resumed.borrow().clone()
    }

    /// The journal that is written, if one is.
    #[must_use]
    pub fn journal(&self) -> Option<Rc<Journal>> {
        self.session.journal()
    }

    /// Writes down that a part of the work is done.
    pub fn stage(&self, name: &str) {
        self.note(&Record::Stage { name: name.to_owned() });
    }

    /// Writes a line to the journal, if one is written.
    pub fn note(&self, record: &Record) {
        self.session.note(record);
    }

    /// All has been done; what is to be complained about would be no different another time.
    pub fn carried_out(&self) {
        self.session.is_carried_out.set(true);
    }

    /// What was done has been taken back.
    pub fn rolled_back(&self) {
        self.session.is_rolled_back.set(true);
    }
}

impl Session {
    fn journal(&self) -> Option<Rc<Journal>> {
        self.journal.borrow().as_ref().map(|(journal, _)| Rc::clone(journal))
    }

    /// Writes a line to the journal, if one is written.
    pub fn note(&self, record: &Record) {
        if let Some(journal) = self.journal() {
            journal.note(record);
        }
    }

    /// What the run is going to do, if it is agreed to.
    pub(super) fn plan(&self, plan: Plan) {
        *self.planned.borrow_mut() = Some(plan);
    }

    /// Stops the run, as Ctrl-C would, when its lock goes to somebody else. Runs beside the work; never ends.
    pub async fn watch(&self, ui: &Ui) {
        loop {
            tokio::time::sleep(WATCH_PAUSE).await;
            let locks = self.locks.borrow().clone();
            for lock in locks {
                let Some(by) = lock.lost().await else { continue };
                ui.error(format!("*** The lock was taken away by {}: stopping.", by.describe()));
                let _ = kill_process(getpid(), Signal::INT);
                std::future::pending::<()>().await;
            }
        }
    }

    /// Writes down how the job ended; gives what to tell the operator about going on.
    pub fn finish(&self, ui: &Ui, result: &Result<(), Error>) -> Option<String> {
        let (journal, kind) = self.journal.borrow_mut().take()?;
        let how = match result {
            Ok(()) => End::Done,
            Err(_) if self.is_rolled_back.get() => End::RolledBack,
            Err(error) if error.is_interruption() => End::Interrupted,
            Err(_) => End::Failed,
        };
        let carried_out = self.is_carried_out.get();
        journal.note(&Record::Ended { at_ms: now_ms(), how, carried_out });
        if journal.is_torn() {
            ui.note("Warning: the journal of this run is not complete: is the disk full?");
        }
        let is_over = matches!(how, End::Done | End::RolledBack) || carried_out;
        let can_go_on = !is_over && kind != Kind::Other;
        let more = if kind == Kind::Roll { " --restart COMMAND" } else { "" };
        can_go_on.then(|| format!("go on with: trib resume {}{more}", journal.id))
    }
}

/// This run, as others see it.
fn myself(command: String) -> Operator {
    let mut token = [0; 6];
    // Without it, the process's number still tells runs on one host apart.
    let _ = getrandom::fill(&mut token);
    let pid = std::process::id();
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    Operator { token, command, pid, who: format!("{user}@{}", host()) }
}

fn this_run() -> Run {
    Run { host: host(), process: Identity::of(std::process::id()) }
}

/// The name of this host.
#[must_use]
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
