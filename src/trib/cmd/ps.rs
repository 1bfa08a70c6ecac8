//! `trib ps`: the nodes of a cluster that `trib up` started.

use std::path::PathBuf;

use super::Context;
use crate::trib::client::{Credentials, Pool};
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
    let given = ctx.options.credentials.clone();
    let written = || layout::value_of(&state.directives, "requirepass").map(str::to_owned);
    let credentials = Credentials { password: given.password.or_else(written), ..given };
    let pool = Pool::new(credentials, ctx.options.timeouts);
    ctx.ui.line(topology::table(&topology::rows(&pool, &state).await));
    Ok(())
}
