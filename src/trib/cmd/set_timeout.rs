//! `trib set-timeout`: the node timeout of every node.

use super::Context;
use crate::trib::addr::Addr;
use crate::trib::cli::PlanArgs;
use crate::trib::client::{Pool, command, join_all};
use crate::trib::error::{Error, Failure, Kind};
use crate::trib::planned::{self, Step};
use crate::trib::report;
use crate::trib::ui::Wording;
use crate::trib::view::{ClusterView, Node};

/// Below this, a node under load is taken for dead.
const TIMEOUT_MS_MIN: u64 = 100;

/// Set the node timeout of every node, now and in its configuration file
#[derive(clap::Args)]
pub struct Args {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    node: Addr,
    /// The new node timeout
    #[arg(value_name = "MILLISECONDS")]
    timeout_ms: u64,
    #[command(flatten)]
    plan: PlanArgs,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    if args.timeout_ms < TIMEOUT_MS_MIN {
        return Err(Error::usage("Setting a node timeout of less than 100 milliseconds is a bad idea."));
    }
    let view = ClusterView::load(&ctx.pool, &args.node).await?;
    let view = ctx.hold(view, args.plan.dry_run).await?;
    let step = |node: &Node| Step::SetConfig {
        node: node.into(),
        name: "cluster-node-timeout".to_owned(),
        value: args.timeout_ms.to_string(),
    };
    ctx.pass(args.plan.dry_run, planned::digest(&view), view.nodes.iter().map(step).collect())?;
    ui.heading(">>> Reconfiguring node timeout in every cluster node...");
    let nodes = report::in_order(ui, &view);
    let results = join_all(nodes.iter().map(|node| set(&ctx.pool, node, args.timeout_ms))).await;
    let mut errors = 0;
    for (node, result) in nodes.iter().zip(&results) {
        match result {
            Ok(()) => ui.warning(format!("*** New timeout set for {}", node.addr)),
            Err(failure) => {
                errors += 1;
                ui.error(format!("ERR setting node-timeout for {}: {}", node.addr, failure.reason()));
            }
        }
    }
    ui.heading(format!(">>> New node timeout set. {} OK, {errors} ERR.", results.len() - errors));
    match ui.wording() {
        Wording::Trib if errors > 0 => Err(Error::reported(Kind::Failed)),
        // redis-cli counts the errors and calls it a success.
        _ => Ok(()),
    }
}

async fn set(pool: &Pool, node: &Node, timeout_ms: u64) -> Result<(), Failure> {
    if let Err(failure) = &node.report {
        return Err(failure.clone());
    }
    let mut set = command("CONFIG SET cluster-node-timeout");
    pool.call(&node.addr, set.arg(timeout_ms)).await?;
    pool.call(&node.addr, &command("CONFIG REWRITE")).await?;
    Ok(())
}
