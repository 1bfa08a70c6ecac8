//! A plan of transfers carried out in front of the operator, from the first key to the cluster's
//! agreement.

use super::progress::{Reporter, Style};
use super::{Job, Mover, Settings, settle};
use crate::trib::client::Pool;
use crate::trib::error::Error;
use crate::trib::plan::Transfer;
use crate::trib::ui::Ui;
use crate::trib::view::ClusterView;

/// Moves the slots, reports in that style, and returns when all nodes know the new owners, unless nobody wants to wait for
/// that. The error says how far it went and how to go on.
pub async fn apply(
    ui: &Ui,
    pool: &Pool,
    view: &ClusterView,
    transfers: Vec<Transfer>,
    settings: Settings,
    style: Style,
    no_wait: bool,
) -> Result<(), Error> {
    let jobs: Vec<Job> = transfers.into_iter().map(Job::from).collect();
    let reporter = Reporter::new(ui, view, &jobs, style);
    let outcome = Mover::new(pool, view, settings, &reporter).run(&jobs).await;
    drop(reporter);
    let settled = match no_wait {
        true => Ok(()),
        false => settle::settle(pool, view, &outcome.moved, || say_why(ui)).await,
    };
    outcome.into_result(&view.seed().addr, jobs.iter().map(|job| job.slots.len()).sum())?;
    settled
}

/// Why it takes longer than a moment.
fn say_why(ui: &Ui) {
    ui.note("Waiting for all nodes to hear of the new owners...");
}
