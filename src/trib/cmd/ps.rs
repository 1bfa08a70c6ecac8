//! `trib ps`: the nodes of a cluster that `trib up` started.

use std::path::PathBuf;

use super::Context;
use crate::trib::client::Pool;
use crate::trib::error::Error;
use crate::trib::local::state::State;
use crate::trib::local::{layout, topology};

/// List the nodes of a cluster that 'trib up' started
#[derive(clap::Args)]
pub struct Args {
    /// Where the nodes live
    #[arg(long, value_name = "DIR", default_value = "trib-cluster")]
    dir: PathBuf,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let state = State::expect(&args.dir)?;
    let mut access = ctx.options.access.clone();
    if access.login.password.is_none() {
        access.login.password = layout::value_of(&state.directives, "requirepass").map(str::to_owned);
    }
    let pool = Pool::new(access);
    let rows = topology::rows(&pool, &state).await;
    if ctx.ui.is_json() {
        ctx.ui.json(&rows);
    } else {
        ctx.ui.line(topology::table(&rows));
    }
    Ok(())
}
