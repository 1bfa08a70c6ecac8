//! `trib info`: keys, slots and replicas of every primary.

use super::Context;
use crate::base::SLOTS;
use crate::trib::cli::SeedArgs;
use crate::trib::client::command;
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::view::{ClusterView, Node};

/// Show keys, slots and replicas of every primary
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub seed: SeedArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    summary(ctx, &view).await
}

/// One line a primary, and the sums. Primaries that do not answer make it incomplete, which is said.
pub async fn summary(ctx: &Context<'_>, view: &ClusterView) -> Result<(), Error> {
    let primaries: Vec<&Node> = view.primaries().collect();
    let sizes = ctx.pool.call_all(primaries.iter().map(|node| &node.addr), &command("DBSIZE")).await;
    let (mut keys, mut missing) = (0, false);
    for (node, size) in primaries.iter().zip(sizes) {
        match size.and_then(|value| whole_number(node, &value)) {
            Ok(size) => {
                keys += size;
                ctx.ui.line(format!(
                    "{} ({}...) -> {size} keys | {} slots | {} slaves.",
                    node.addr,
                    &node.id.as_str()[..8],
                    node.slots.len(),
                    view.replicas_of(&node.id).count(),
                ));
            }
            Err(failure) => {
                ctx.ui.failure(&failure);
                missing = true;
            }
        }
    }
    for node in view.unreachable().filter(|node| node.is_primary() && !node.slots.is_empty()) {
        if let Err(failure) = &node.report {
            ctx.ui.failure(failure);
        }
        missing = true;
    }
    ctx.ui.ok(format!("[OK] {keys} keys in {} masters.", primaries.len()));
    ctx.ui.line(format!("{:.2} keys per slot on average.", keys as f64 / SLOTS as f64));
    if missing { Err(Error::reported(Kind::Unhealthy)) } else { Ok(()) }
}

fn whole_number(node: &Node, value: &redis::Value) -> Result<u64, Failure> {
    match value {
        redis::Value::Int(n) => Ok(u64::try_from(*n).unwrap_or(0)),
        _ => Err(Failure::Unexpected { node: node.addr.clone(), reason: "DBSIZE is no number".to_owned() }),
    }
}
