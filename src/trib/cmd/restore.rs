//! `trib restore`: the keys and functions of a backup, into a cluster of whatever shape.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use super::Context;
use super::import::{FerryArgs, rooms};
use crate::trib::cli::{PlanArgs, SeedArgs};
use crate::trib::client::join_all;
use crate::trib::error::{Error, Kind};
use crate::trib::ferry::file::{Load, Purpose, Snapshot};
use crate::trib::ferry::landing::Landing;
use crate::trib::ferry::tally::Tally;
use crate::trib::manifest::{self, Saved};
use crate::trib::planned::{self, Step};
use crate::trib::report;
use crate::trib::view::ClusterView;

/// Restore a backup into a cluster, of whatever shape
///
/// The files are checked before anything is changed. Every key goes to the node that owns it now, with its time to live,
/// and every primary gets the functions. Backups of redis-cli and valkey-cli can be restored, too.
#[derive(clap::Args)]
pub struct Args {
    /// The directory of the backup
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    ferry: FerryArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let seed = args.seed.addr()?;
    let saved = manifest::read(&args.dir)?;
    ui.heading(format!(">>> Restoring {} to cluster {seed}", args.dir.display()));
    check(&saved).await?;
    let view = ClusterView::load(&ctx.pool, &seed).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    if !report::cluster_check(ui, &view, None).is_consistent() {
        return Err(Error::reported(Kind::Unhealthy).hint("repair the cluster first, with 'trib fix'"));
    }
    let steps = saved.iter().map(|one| Step::Load { file: one.path.display().to_string() });
    ctx.pass(args.plan.dry_run, planned::digest(&view), steps.collect())?;
    let settings = args.ferry.settings(ctx, ctx.pool.timeouts().reply.max(Duration::from_secs(10)), false);
    let tally = Tally::new(ui, "restored");
    let origin = args.dir.display().to_string();
    let landing = Landing::new(ui, ctx.pool.access(), &view, &settings, &tally, origin)?;
    let load = Load {
        landing: &landing,
        pool: &ctx.pool,
        view: &view,
        snapshots: saved.into_iter().map(|one| Snapshot::File(one.path)).collect(),
        purpose: Purpose::Restore,
        rooms: rooms(ctx, &view).await?,
        database: None,
        loaded: RefCell::default(),
    };
    let brought = load.run().await;
    if let Some(quarantine) = &settings.quarantine {
        quarantine.tell(ui, &seed);
    }
    brought?;
    ctx.carried_out();
    tally.end()
}

/// Every file against what was written down of it.
async fn check(saved: &[Saved]) -> Result<(), Error> {
    let checks = saved.iter().cloned().map(|one| tokio::task::spawn_blocking(move || one.check()));
    for (one, result) in saved.iter().zip(join_all(checks).await) {
        let result = result.unwrap_or_else(|e| Err(e.to_string()));
        result.map_err(|why| {
            Error::failed(format!("[ERR] {} is damaged: {why}", one.path.display()))
                .hint("nothing was changed; 'trib verify' looks at all files of a backup")
        })?;
    }
    Ok(())
}
