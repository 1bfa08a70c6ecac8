//! `trib jobs`: what was changed from here, by whom, and how it ended.

use serde::Serialize;

use super::Context;
use crate::trib::cli::SheetArgs;
use crate::trib::error::Error;
use crate::trib::journal::store::now_ms;
use crate::trib::journal::{Job, State};
use crate::trib::session;
use crate::trib::table::Sheet;

/// List what was changed from this host, and how it ended
///
/// Every command of several steps writes a journal: what it is going to do, and every step that is done. A job that is
/// 'interrupted' was killed or stopped by Ctrl-C: 'trib resume ID' finishes it, 'trib undo ID' takes it back. One that
/// 'failed' can be resumed as soon as the reason is gone. Jobs that are over are forgotten after 60 days. The journal
/// holds no passwords.
#[derive(clap::Args)]
pub struct Args {
    /// Only jobs that are running, interrupted or failed
    #[arg(long)]
    unfinished: bool,
    #[command(flatten)]
    sheet: SheetArgs,
}

/// One job.
#[derive(Serialize)]
struct Row {
    id: String,
    state: State,
    began_ms: u64,
    command: Vec<String>,
    progress: String,
    operator: String,
    pid: u32,
    /// The cluster: any node of it.
    node: String,
}

pub fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let jobs = ctx.store()?.jobs()?;
    let rows: Vec<Row> = jobs.iter().map(row).filter(|row| !args.unfinished || is_unfinished(row.state)).collect();
    if rows.is_empty() && !ctx.ui.is_json() && !args.sheet.csv {
        ctx.ui.line("No jobs.");
        return Ok(());
    }
    args.sheet.print(ctx.ui, &sheet(&rows, now_ms(), args.sheet.csv), &rows);
    Ok(())
}

fn is_unfinished(state: State) -> bool {
    matches!(state, State::Running | State::Interrupted | State::Failed)
}

fn row(job: &Job) -> Row {
    Row {
        id: job.header.id.clone(),
        state: job.state(&session::host()),
        began_ms: job.header.at_ms,
        command: job.header.command.clone(),
        progress: job.progress(),
        operator: job.header.operator.clone(),
        pid: job.run.process.pid,
        node: job.header.cluster.first().map(|node| node.addr.clone()).unwrap_or_default(),
    }
}

/// CSV is for programs: times are numbers there.
fn sheet(rows: &[Row], now_ms: u64, exact: bool) -> Sheet {
    let mut sheet = Sheet::new(&["id", "state", ">began", "command", "progress", "by"]);
    for row in rows {
        let began = if exact { row.began_ms.to_string() } else { ago(now_ms.saturating_sub(row.began_ms)) };
        let command = row.command.join(" ");
        let command = if exact { command } else { shortened(&command) };
        sheet.add([
            row.id.clone(),
            row.state.to_string(),
            began,
            command,
            row.progress.clone(),
            format!("{} (pid {})", row.operator, row.pid),
        ]);
    }
    sheet
}

/// How long ago, in the greatest unit that fits.
fn ago(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Ids and lists of nodes are long; what was done stands at the beginning.
fn shortened(command: &str) -> String {
    const SHOWN: usize = 60;
    match command.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &command[..end]),
        None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::journal::tests::{header, move_slots};
    use crate::trib::journal::{End, Header, Record};

    #[test]
    fn jobs_are_a_table() {
        let begun = |id: &str, command: &str| {
            let command = command.split(' ').map(str::to_owned).collect();
            let host = session::host();
            let plain = header(vec![move_slots('a', 'b', "0-9")]);
            let run = crate::trib::journal::Run { host, ..plain.run.clone() };
            Record::Begun(Box::new(Header { id: id.into(), command, run, ..plain }))
        };
        let moved = Record::Moved { from: "a".into(), to: "b".into(), slots: "0-3".into() };
        let ended = Record::Ended { at_ms: 1, how: End::Done, carried_out: false };
        let read = |records: &[Record]| {
            let lines: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
            row(&Job::read(&lines.join("\n")).unwrap())
        };
        let long = format!("reshard --to {} h:1", "x".repeat(60));
        let rows = [read(&[begun("a1", &long), moved]), read(&[begun("b2", "rebalance h:1"), ended])];
        let table = sheet(&rows, 100_000, false).table();
        let lines: Vec<String> = table.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let long = format!("reshard --to {}...", "x".repeat(47));
        assert_eq!(lines[1], "id state began command progress by");
        assert_eq!(lines[3], format!("a1 interrupted 1 min ago {long} 4 of 10 slots me@here (pid 1)"));
        assert_eq!(lines[4], "b2 done 1 min ago rebalance h:1 0 of 10 slots me@here (pid 1)");
        assert_eq!((is_unfinished(rows[0].state), is_unfinished(rows[1].state)), (true, false));
    }

    #[test]
    fn times_are_told_in_fitting_units() {
        let told = [0, 59_999, 60_000, 7_200_000, 200_000_000].map(ago);
        assert_eq!(told, ["0 s ago", "59 s ago", "1 min ago", "2 h ago", "2 d ago"]);
    }
}
