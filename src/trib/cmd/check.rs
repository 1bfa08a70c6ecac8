//! `trib check`: whether the cluster is healthy.

use super::{Context, info};
use crate::trib::cli::SeedArgs;
use crate::trib::error::{Error, Kind};
use crate::trib::keycount::{self, KeyCounts};
use crate::trib::report;
use crate::trib::ui::Wording;
use crate::trib::view::ClusterView;
use crate::trib::vitals::Vitals;

/// Check that the cluster is healthy: agreement, open slots, coverage, dead nodes
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub seed: SeedArgs,
    /// Also look for slots whose keys are on several primaries
    #[arg(long)]
    search_multiple_owners: bool,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    let vitals = Vitals::load(&ctx.pool, &view).await;
    if ctx.ui.wording() == Wording::RedisCli {
        // What is missing is said by the check below as well.
        let _ = info::summary(ctx, &view).await;
    }
    let mut well = report::cluster_check(ctx.ui, &view, Some(&vitals)).is_well();
    if args.search_multiple_owners {
        let counts = keycount::load(&ctx.pool, &view).await?;
        well &= multiple_owners(ctx, &view, &counts);
    }
    if well { Ok(()) } else { Err(Error::reported(Kind::Unhealthy)) }
}

/// Reports slots that several primaries own or hold keys of; true when there are none.
fn multiple_owners(ctx: &Context<'_>, view: &ClusterView, counts: &KeyCounts) -> bool {
    ctx.ui.heading(">>> Check for multiple slot owners...");
    let contested = keycount::multiple_owners(view, counts);
    for (slot, owners) in &contested {
        ctx.ui.warning(format!("[WARNING] Slot {slot} has {} owners:", owners.len()));
        for owner in owners {
            ctx.ui.line(format!("    {}", owner.addr));
        }
    }
    if contested.is_empty() {
        ctx.ui.ok("[OK] No multiple owners found.");
    }
    contested.is_empty()
}
