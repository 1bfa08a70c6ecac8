//! `trib up`: a cluster on this machine, in one command.

use std::path::PathBuf;
use std::time::Duration;

use super::Context;
use crate::trib::client::Pool;
use crate::trib::error::Error;
use crate::trib::found::Founding;
use crate::trib::local::layout::{self, Shape};
use crate::trib::local::start::{self, Launch};
use crate::trib::local::state::{Lock, State};
use crate::trib::local::{files, topology};
use crate::trib::plan::create::{self, PRIMARIES_MIN};
use crate::trib::preflight;
use crate::trib::ui::Ui;

const FIRST_PORT: u16 = 7000;
const FORM_LIMIT: Duration = Duration::from_secs(60);

/// Start a cluster on this machine
///
/// Starts the nodes on 127.0.0.1, makes them a cluster and returns when it works: every node serves, every
/// replica is linked, and a write was read back on every shard. Run again on the same directory, it starts
/// what does not run. Stop it with 'trib down'.
#[derive(clap::Args)]
pub struct Args {
    /// Primaries, and replicas of each [default: 3x1]
    #[arg(value_name = "PRIMARIESxREPLICAS")]
    shape: Option<Shape>,
    /// Port of the first node; the others follow [default: 7000]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Where the nodes live
    #[arg(long, value_name = "DIR", default_value = "trib-cluster")]
    dir: PathBuf,
    /// Allow fewer than 3 primaries
    #[arg(long)]
    allow_few: bool,
    /// The server program to start instead of 'node'
    #[arg(long, value_name = "PATH", hide = true)]
    server_bin: Option<PathBuf>,
    /// Directives for every node: --name value ..., or a whole directive in each word
    #[arg(last = true, value_name = "DIRECTIVE")]
    directives: Vec<String>,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let made_dir = files::make_dir(&args.dir)?;
    let dir = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let lock = Lock::take(&dir);
    let prepared = match lock.as_ref() {
        Ok(_) => prepare(ctx, args, &dir, made_dir).await,
        Err(error) => Err(error.clone()),
    };
    let state = match prepared {
        Ok(state) => state,
        Err(error) => {
            if made_dir {
                // Empty but for the lock: nothing was started.
                let _ = std::fs::remove_dir_all(&dir);
            }
            return Err(error);
        }
    };
    let local = with_credentials(ctx, &state);
    let mut launch = Launch::new(dir, state);
    let brought_up = tokio::select! {
        result = bring_up(&local, ui, &mut launch) => result,
        _ = tokio::signal::ctrl_c() => Err(Error::failed("*** Interrupted.")),
    };
    if let Err(error) = brought_up {
        let undone = launch.undo(ui).await;
        if let Err(also) = undone {
            ui.end(&also);
        }
        return Err(error);
    }
    show(ui, &local.pool, &launch).await;
    Ok(())
}

/// What is to be started: the cluster that the directory holds, or a new one.
async fn prepare(ctx: &Context<'_>, args: &Args, dir: &std::path::Path, made_dir: bool) -> Result<State, Error> {
    let mut directives = layout::directives(&args.directives);
    if let Some(password) = &ctx.options.access.login.password {
        for name in ["requirepass", "masterauth"] {
            if layout::value_of(&directives, name).is_none() {
                directives.push(format!("{name} {}", layout::quote(password)));
            }
        }
    }
    if let Some(mut known) = State::load(dir)? {
        if known.formed {
            return resume(known, args, directives, dir);
        }
        // An earlier start did not get as far as a cluster, so there is nothing to keep.
        start::stop(ctx.ui, &mut known, |_| true, Duration::from_secs(5), || {}).await;
        files::purge_nodes(dir, &known)
            .map_err(|e| Error::failed(format!("[ERR] {} cannot be cleaned up: {e}", dir.display())))?;
        return new_state(args, directives, known.made_dir);
    }
    new_state(args, directives, made_dir)
}

fn new_state(args: &Args, directives: Vec<String>, made_dir: bool) -> Result<State, Error> {
    let shape = args.shape.unwrap_or_default();
    if shape.primaries < PRIMARIES_MIN && !args.allow_few {
        return Err(Error::usage(format!(
            "*** {shape} has fewer than {PRIMARIES_MIN} primaries: when one of them fails, the others are no majority, \
             so no replica is ever promoted."
        ))
        .hint("--allow-few starts it all the same"));
    }
    let ports =
        layout::ports(shape, args.port.unwrap_or(FIRST_PORT)).map_err(|bad| Error::usage(format!("*** {bad}")))?;
    let server = start::server_program(args.server_bin.as_deref())?;
    Ok(State::new(shape, &ports, server, directives, made_dir))
}

/// The cluster of before. Its shape and ports are what they are; directives and program may be new.
fn resume(mut state: State, args: &Args, directives: Vec<String>, dir: &std::path::Path) -> Result<State, Error> {
    let first = state.nodes.first().map_or(0, |node| node.port);
    let differs = args.shape.is_some_and(|shape| shape != state.shape) || args.port.is_some_and(|port| port != first);
    if differs {
        return Err(Error::failed(format!(
            "[ERR] {} holds a cluster of {} from port {first} on.",
            dir.display(),
            state.shape
        ))
        .hint("name another directory with --dir, or 'trib down --purge' this one first"));
    }
    if !directives.is_empty() {
        state.directives = directives;
    }
    if args.server_bin.is_some() {
        state.server = start::server_program(args.server_bin.as_deref())?;
    }
    Ok(state)
}

/// The context of the cluster itself, silent, with the password that its nodes were given.
struct Local {
    ui: Ui,
    pool: Pool,
    options: crate::trib::options::Options,
}

fn with_credentials(ctx: &Context<'_>, state: &State) -> Local {
    let mut options = ctx.options.clone();
    let login = &mut options.access.login;
    if login.password.is_none() {
        login.password = layout::value_of(&state.directives, "requirepass").map(str::to_owned);
    }
    Local { ui: Ui::silent(), pool: Pool::new(options.access.clone()), options }
}

async fn bring_up(local: &Local, ui: &Ui, launch: &mut Launch) -> Result<(), Error> {
    let all = launch.state.nodes.len();
    let started = launch.start_missing(&local.pool).await?;
    let (first, last) = (launch.state.nodes[0].port, launch.state.nodes[all - 1].port);
    ui.heading(match (started, launch.state.formed) {
        (0, _) => format!(">>> All {all} nodes are running already"),
        (_, true) => format!(">>> Started {started} of {all} nodes on {}:{first}-{last}", layout::HOST),
        (_, false) => format!(">>> Started {all} nodes on {}:{first}-{last}", layout::HOST),
    });
    if !launch.state.formed {
        form(local, ui, &launch.state).await?;
        launch.state.formed = true;
        launch.state.save(&launch.dir)?;
    }
    ui.heading(">>> Checking that every node serves and every shard takes a write");
    topology::verify(&local.pool, &launch.state).await?;
    Ok(())
}

/// Makes the nodes a cluster, the way 'trib create' does.
async fn form(local: &Local, ui: &Ui, state: &State) -> Result<(), Error> {
    let addrs: Vec<_> = state.nodes.iter().map(|node| layout::addr(node.port)).collect();
    let plan = create::plan_with_least(&addrs, state.shape.replicas, 1)
        .map_err(|_| Error::failed("[ERR] The shape leaves no primary."))?;
    let mut nodes = Vec::with_capacity(addrs.len());
    for addr in &addrs {
        let candidate = preflight::examine(&local.pool, addr, &|_| None).await;
        nodes.push(candidate.map_err(|mut complaints| complaints.swap_remove(0))?.node);
    }
    ui.heading(format!(">>> Forming a cluster of {}", state.shape));
    let ctx = Context::new(local.options.clone(), &local.ui);
    Founding { ctx: &ctx, nodes: &nodes, plan: &plan, limit: FORM_LIMIT, in_sync: true }.run().await?;
    Ok(())
}

async fn show(ui: &Ui, pool: &Pool, launch: &Launch) {
    ui.line(topology::table(&topology::rows(pool, &launch.state).await));
    let auth = if pool.access().login.password.is_some() { " -a PASSWORD" } else { "" };
    ui.ok(format!("[OK] Connect with: redis-cli -c -p {}{auth}", launch.state.nodes[0].port));
    let shown = std::env::current_dir().ok().and_then(|here| launch.dir.strip_prefix(here).ok().map(PathBuf::from));
    let dir = shown.unwrap_or_else(|| launch.dir.clone());
    ui.note(format!("Stop it with: trib down --dir {}", dir.display()));
}
