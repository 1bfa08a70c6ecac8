//! Transcripts: one classic situation a file, in `tests/sim/scenarios`, in lines that an operator reads.
//!
//! ```text
//! # A comment.
//! cluster 3x1 timeout 2000 seed 7     three primaries n1..n3, the replica of n1 is n4, and so on; words behind it
//!                                     (`spare 1`, `appendonly yes`) add nodes or set directives of all nodes
//! n1> SET b 1                         a command; what it is answered with stands behind it, indented:
//!   OK                                `*` is any text, a line `...` any lines
//! client> GET b                       the same from somebody who follows redirections
//!   1
//! clients 2 for 10s                   so many clients write so long, beside everything else
//! wait 5s
//! cut n1 n2,n3                        nothing gets from n1 to those nodes or back
//! partition n1 n4 | n2 n3             nothing gets from one group to another
//! lag n5 300ms                        everything to and from n5 takes longer
//! hold replication of n5              what its primary sends it does not arrive
//! heal                                the network is as it was
//! kill n1,n2      start all           a process ends, and begins again
//! power off n1                        its machine goes dark, and what is not durable is gone (`start` switches it on)
//! stop n1         cont n1             a process stands still, and goes on
//! n4 is primary                       what must hold now (see `facts.rs`)
//! within 10s views agree              ... at some moment before that time is over
//! for 20s promotions 0                ... all that time
//! ```
//!
//! In replies ids and addresses are shown as names of nodes; in CLUSTER and MIGRATE names stand for them.
//! Time is that of the simulator: nothing waits, and every run is the same.

mod console;
mod facts;
mod names;
mod setup;
mod steps;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::world::World;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/scenarios");

/// A transcript that is being run.
struct Stage {
    world: World,
    /// Who types the commands.
    console: Option<console::Console>,
    /// The ids of the nodes.
    ids: Vec<String>,
}

/// One thing that a transcript says.
struct Line<'a> {
    number: usize,
    text: &'a str,
    reply: Vec<&'a str>,
}

/// Runs all transcripts whose names have the filter in them. True when all hold.
pub fn check(args: &Args) -> bool {
    let mut paths: Vec<PathBuf> = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) => {
            println!("{DIRECTORY}: {error}");
            return false;
        }
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut ok = !paths.is_empty();
    for path in paths {
        let name = format!("transcript {}", path.file_stem().unwrap_or_default().to_string_lossy());
        if args.filter.as_ref().is_none_or(|filter| name.contains(filter)) {
            let told = catch_unwind(AssertUnwindSafe(|| perform_file(&path, args.log)));
            let told = told.unwrap_or_else(|_| Err("a panic".to_owned()));
            println!("sim {name} ... {}", if told.is_ok() { "ok" } else { "FAILED" });
            if let Err(trouble) = told {
                println!("{trouble}");
                ok = false;
            }
        }
    }
    ok
}

fn perform_file(path: &Path, log: bool) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).to_string_lossy();
    perform(&shown, &text, log)
}

/// Runs one transcript. The error tells the line and what was seen there.
fn perform(file: &str, text: &str, log: bool) -> Result<(), String> {
    let mut lines = read(text).map_err(|number| format!("{file}:{number}: a reply to nothing"))?.into_iter();
    let mut stage: Option<Stage> = None;
    let result = lines.try_for_each(|line| {
        let done = match &mut stage {
            None => Stage::new(line.text, log).map(|new| stage = Some(new)),
            Some(stage) => stage.step(&line),
        };
        let done = stage.as_mut().map_or(Ok(()), Stage::unbroken).and(done);
        done.map_err(|seen| format!("{file}:{}: {}\n    {}", line.number, line.text, seen.replace('\n', "\n    ")))
    });
    if let Some(stage) = stage.as_mut().filter(|_| log) {
        stage.world.trace.take_lines().iter().for_each(|line| println!("{line}"));
    }
    if stage.is_none() && result.is_ok() { Err(format!("{file}: nothing is in it")) } else { result }
}

/// What is not so is found out, with the line that says it.
pub fn finds_what_is_false(_: &Args) -> bool {
    let falsehoods = [
        ("n1> SET b 1\n  QUEUED", "x:2: n1> SET b 1\n    OK"),
        ("n1> SET a 1\n  MOVED * n2", "x:2: n1> SET a 1\n    MOVED 15495 n3"),
        ("\nn4 is primary", "x:3: n4 is primary\n    n4 is replica of n1"),
        ("within 2s n2 sees n1 as fail", "x:2: within 2s n2 sees n1 as fail\n    n2 sees n1 as master"),
        ("stop n1\nfor 20s n4 is replica", "x:3: for 20s n4 is replica\n    after"),
        ("slot 100 is at n2", "x:2: slot 100 is at n2\n    n1: slot 100 is at n1"),
        ("kill n3\nwait 1s\nall slots served", "x:4: all slots served\n    n1: nobody serves slot 10922"),
        ("writes acknowledged are there", "x:2: writes acknowledged are there\n    no write was acknowledged"),
        ("n1 is", "x:2: n1 is\n    n1 is primary"),
        ("n9 is primary", "x:2: n9 is primary\n    n9 is no node"),
        ("all is fine", "x:2: all is fine\n    all is no node"),
        ("wait 5s\n  OK", "x:3: a reply to nothing"),
    ];
    falsehoods.iter().all(|(said, found)| {
        let told = perform("x", &format!("cluster 3x1 seed 1\n{said}\n"), false);
        let ok = told.as_ref().is_err_and(|told| told.starts_with(found));
        if !ok {
            println!("{said:?}: {told:?}");
        }
        ok
    })
}

/// The lines of a transcript, replies with what they answer. The error is the number of a reply to nothing.
fn read(text: &str) -> Result<Vec<Line<'_>>, usize> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, text) = (index + 1, line.trim());
        if text.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("  ") {
            lines.last_mut().filter(|line| line.text.contains("> ")).ok_or(number)?.reply.push(text);
        } else {
            lines.push(Line { number, text, reply: Vec::new() });
        }
    }
    Ok(lines)
}

impl Stage {
    /// What must hold in every run holds in this one.
    fn unbroken(&mut self) -> Result<(), String> {
        self.world.broken.take().map_or(Ok(()), Err)
    }
}
