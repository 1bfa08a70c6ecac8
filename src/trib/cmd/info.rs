//! `trib info`: keys, slots and replicas of every primary.

use serde::Serialize;

use super::Context;
use crate::base::SLOTS;
use crate::trib::cli::SeedArgs;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Kind};
use crate::trib::report;
use crate::trib::view::{ClusterView, Node};
use crate::trib::vitals;

/// Show keys, slots and replicas of every primary
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub seed: SeedArgs,
}

/// One primary as data.
#[derive(Serialize)]
struct Shard {
    addr: String,
    id: String,
    keys: u64,
    slots: usize,
    replicas: usize,
}

/// All of them, as far as they answer.
#[derive(Serialize)]
pub struct Summary {
    keys: u64,
    primaries: Vec<Shard>,
    complete: bool,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    let summary = summary(ctx, &view).await;
    ctx.ui.json(&summary);
    if summary.complete { Ok(()) } else { Err(Error::reported(Kind::Unhealthy)) }
}

/// One line a primary, and the sums. Primaries that do not answer make it incomplete, which is said.
pub async fn summary(ctx: &Context<'_>, view: &ClusterView) -> Summary {
    let is_asked = |node: &&Node| node.is_primary() && node.is_reachable();
    let primaries: Vec<&Node> = report::in_order(ctx.ui, view).into_iter().filter(is_asked).collect();
    let sizes = join_all(primaries.iter().map(|node| vitals::count_keys(&ctx.pool, &node.addr))).await;
    let mut summary = Summary { keys: 0, primaries: Vec::new(), complete: true };
    for (node, size) in primaries.iter().zip(sizes) {
        match size {
            Ok(keys) => {
                summary.keys += keys;
                let replicas = view.replicas_of(&node.id).count();
                ctx.ui.line(format!(
                    "{} ({}...) -> {keys} keys | {} slots | {replicas} {}.",
                    node.addr,
                    &node.id.as_str()[..8],
                    node.slots.len(),
                    ctx.ui.vocabulary().slaves(),
                ));
                let (addr, id) = (node.addr.to_string(), node.id.to_string());
                summary.primaries.push(Shard { addr, id, keys, slots: node.slots.len(), replicas });
            }
            Err(failure) => {
                ctx.ui.failure(&failure);
                summary.complete = false;
            }
        }
    }
    for node in view.unreachable().filter(|node| node.is_primary() && !node.slots.is_empty()) {
        if let Err(failure) = &node.report {
            ctx.ui.failure(failure);
        }
        summary.complete = false;
    }
    let masters = ctx.ui.vocabulary().masters();
    ctx.ui.ok(format!("[OK] {} keys in {} {masters}.", summary.keys, primaries.len()));
    ctx.ui.line(format!("{:.2} keys per slot on average.", summary.keys as f64 / SLOTS as f64));
    summary
}
