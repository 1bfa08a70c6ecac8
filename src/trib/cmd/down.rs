//! `trib down`: stops what `trib up` started.

use std::path::PathBuf;
use std::time::Duration;

use super::Context;
use crate::trib::error::Error;
use crate::trib::local::files;
use crate::trib::local::start;
use crate::trib::local::state::{Lock, State};

/// Stop a cluster that 'trib up' started
///
/// Only processes that 'trib up' started are stopped, however they are called and whatever number they have
/// now. The data stays for the next 'trib up', unless --purge is given.
#[derive(clap::Args)]
pub struct Args {
    /// Where the nodes live
    #[arg(long, value_name = "DIR", default_value = "trib-cluster")]
    dir: PathBuf,
    /// Delete the data and everything else 'trib up' made
    #[arg(long)]
    purge: bool,
    /// How long the nodes may take to save and end before they are killed
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    grace: u16,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    // Looked at before the lock is taken: the lock is a file, and there may be no directory for it.
    State::expect(&args.dir)?;
    let _lock = Lock::take(&args.dir)?;
    let mut state = State::expect(&args.dir)?;
    let stopped = start::stop(ui, &mut state, |_| true, Duration::from_secs(u64::from(args.grace)), || {}).await;
    state.save(&args.dir)?;
    let left: Vec<String> =
        state.nodes.iter().filter(|node| node.is_running()).map(|node| node.port.to_string()).collect();
    if !left.is_empty() {
        return Err(Error::failed(format!("[ERR] Not stopped: {}", left.join(", "))));
    }
    ui.ok(match stopped {
        0 => "[OK] No node was running.".to_owned(),
        1 => "[OK] 1 node stopped.".to_owned(),
        more => format!("[OK] {more} nodes stopped."),
    });
    if args.purge {
        let kept = files::purge(&args.dir, &state)
            .map_err(|e| Error::failed(format!("[ERR] {} cannot be deleted: {e}", args.dir.display())))?;
        for dir in &kept {
            ui.note(format!("{} stays: there are files in it that trib did not make", dir.display()));
        }
        ui.ok(format!("[OK] {} deleted.", if kept.is_empty() { "Everything" } else { "Everything else" }));
    }
    Ok(())
}
