//! What a run has while it changes something: the lock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use super::addr::Addr;
use super::cmd::Context;
use super::error::Error;
use super::harmony;
use super::lock::claim::Operator;
use super::lock::{self, Lock, Needed};
use super::planned;
use super::ui::Ui;
use super::view::ClusterView;

/// Between two looks whether the lock is still there. Also keeps its connections from being closed as idle.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Shared by a subcommand and those it runs.
#[derive(Default)]
pub struct Session {
    locks: RefCell<Vec<Rc<Lock>>>,
    /// Whether the cluster was asked for its lock, with or without success.
    asked: Cell<bool>,
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
        match planned::digest(&now) == planned::digest(&view) {
            true => Ok(view),
            // Somebody has just finished.
            false => harmony::load(&self.pool, &view.seed().addr).await,
        }
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
}

impl Session {
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
}

/// This run, as others see it.
fn myself(command: String) -> Operator {
    let mut token = [0; 6];
    // Without it, the process's number still tells runs on one host apart.
    let _ = getrandom::fill(&mut token);
    let pid = std::process::id();
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    Operator { token, command, pid, who: format!("{user}@{host}") }
}
