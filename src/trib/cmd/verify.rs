//! `trib verify`: whether a backup is whole, and whether a cluster has what it holds.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::import::rooms;
use crate::trib::addr::Addr;
use crate::trib::cli::SheetArgs;
use crate::trib::client::join_all;
use crate::trib::error::{Error, Failure};
use crate::trib::ferry::file::{self, Contents, Load, Purpose, Snapshot};
use crate::trib::ferry::landing::Landing;
use crate::trib::ferry::tally::{Counts, Tally};
use crate::trib::ferry::{Conflict, Settings};
use crate::trib::manifest::{self, Saved};
use crate::trib::table::{self, Sheet, count};
use crate::trib::view::ClusterView;
use crate::trib::vitals;

/// Check that a backup is whole, and that a cluster has all that is in it
///
/// Every file is compared with the checksums of nodes.json and read to its end. With a node of a cluster, every value is
/// compared with the one that the cluster has.
#[derive(clap::Args)]
pub struct Args {
    /// The directory of the backup
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Any node of the cluster to compare with
    #[arg(value_name = "HOST:PORT")]
    node: Option<Addr>,
    /// How many batches of keys are compared at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    sheet: SheetArgs,
}

/// One file.
#[derive(Serialize)]
struct Row {
    file: String,
    node: String,
    slots: usize,
    bytes: Option<u64>,
    keys: Option<u64>,
    expires: Option<u64>,
    libraries: Option<u64>,
    /// `ok`, or what is wrong.
    state: String,
}

/// What was found, as data.
#[derive(Serialize)]
struct Data<'d> {
    files: &'d [Row],
    /// How the keys of the backup compare with those of the cluster; null where no cluster was looked at.
    cluster: Option<Counts>,
}

const OK: &str = "ok";

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let ui = ctx.ui;
    let saved = manifest::read(&args.dir)?;
    let looks = saved.iter().cloned().map(|one| tokio::task::spawn_blocking(move || look(&one)));
    let mut rows = Vec::with_capacity(saved.len());
    for (one, found) in saved.iter().zip(join_all(looks).await) {
        rows.push(found.unwrap_or_else(|e| row(one, None, e.to_string())));
    }
    if !ui.is_json() {
        args.sheet.print(ui, &sheet(&rows, args.sheet.csv), &rows);
    }
    let bad = rows.iter().filter(|row| row.state != OK).count();
    if bad > 0 || args.node.is_none() {
        ui.json(&Data { files: &rows, cluster: None });
    }
    if bad > 0 {
        return Err(Error::failed(format!("[ERR] {bad} of {} files are damaged.", rows.len()))
            .hint("a file that is damaged is not restored; an older backup, or a replica, may have what it held"));
    }
    let Some(node) = &args.node else {
        ui.ok(format!("[OK] The backup in {} is whole.", args.dir.display()));
        return Ok(());
    };
    let view = ClusterView::load(&ctx.pool, node).await?;
    let settings = Settings {
        conflict: Conflict::Report,
        verify: false,
        jobs: usize::from(args.jobs),
        batch: 250,
        limit: ctx.pool.timeouts().reply.max(Duration::from_secs(10)),
        pattern: None,
        goes_on: false,
        quarantine: None,
    };
    let tally = Tally::new(ui, "verified");
    let landing = Landing::new(ui, ctx.pool.access(), &view, &settings, &tally, args.dir.display().to_string())?;
    let load = Load {
        landing: &landing,
        pool: &ctx.pool,
        view: &view,
        snapshots: saved.into_iter().map(|one| Snapshot::File(one.path)).collect(),
        purpose: Purpose::Compare,
        rooms: rooms(ctx, &view).await?,
        database: None,
        loaded: RefCell::default(),
    };
    load.run().await?;
    let held = keys_of(ctx, &view).await?;
    let in_backup: u64 = rows.iter().filter_map(|row| row.keys).sum();
    if held > in_backup {
        ui.note(format!("The cluster has {}, {} more than the backup.", count(held, "key"), held - in_backup));
    }
    ui.json(&Data { files: &rows, cluster: Some(tally.counts()) });
    tally.conclude()
}

/// Looks at one file, thoroughly.
fn look(saved: &Saved) -> Row {
    let sums = match saved.check() {
        Ok(sums) => sums,
        Err(why) => return row(saved, None, why),
    };
    match file::examine(&saved.path) {
        Ok(contents) => {
            let strange = contents.slots.iter().find(|slot| !saved.slots().contains(*slot));
            let state =
                strange.map_or(OK.to_owned(), |slot| format!("it has keys of slot {slot}, which the node had not"));
            row(saved, Some((sums.bytes, contents)), state)
        }
        Err(why) => row(saved, None, why),
    }
}

fn row(saved: &Saved, found: Option<(u64, Contents)>, state: String) -> Row {
    let entry = &saved.entry;
    let (bytes, contents) = found.unzip();
    Row {
        file: saved.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        node: Addr::new(entry.host.clone(), entry.port).to_string(),
        slots: entry.slots_count,
        bytes,
        keys: contents.as_ref().map(|contents| contents.keys),
        expires: contents.as_ref().map(|contents| contents.expires),
        libraries: contents.map(|contents| contents.libraries),
        state,
    }
}

/// CSV is for programs: bytes are numbers there.
fn sheet(rows: &[Row], exact: bool) -> Sheet {
    let mut sheet = Sheet::new(&["node", ">slots", ">keys", ">expire", ">libraries", ">bytes", "state", "file"]);
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    for row in rows {
        sheet.add([
            row.node.clone(),
            row.slots.to_string(),
            number(row.keys),
            number(row.expires),
            number(row.libraries),
            if exact { number(row.bytes) } else { row.bytes.map(table::bytes).unwrap_or_default() },
            row.state.clone(),
            row.file.clone(),
        ]);
    }
    sheet
}

async fn keys_of(ctx: &Context<'_>, view: &ClusterView) -> Result<u64, Failure> {
    let counts = view.primaries().map(|node| vitals::count_keys(&ctx.pool, &node.addr));
    join_all(counts).await.into_iter().sum()
}
