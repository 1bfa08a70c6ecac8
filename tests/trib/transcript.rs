//! Transcripts: what the operator typed and what `trib` answered, kept in `snapshots/` and compared at every run.
//!
//! A transcript is read like a terminal: `$ trib check …`, the answers typed (`< yes`), stdout as it is, every line of
//! stderr behind `2> `, and the exit code in brackets. What differs from run to run has a name that does not: the first
//! server listens on 17001 and has the id `aaaa…`, and `~` stands for times, epochs, memory and loads.
//!
//! `UPDATE=1 cargo test --test trib snapshots` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Ran, Server};
use crate::trib_with;

/// Where they are kept.
pub const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trib/snapshots");

/// Columns of tables and CSV, and fields of JSON, that differ from run to run.
const COLUMNS: &[&str] =
    &["memory", "ops/s", "lag", "bytes", "cpu usec", "bytes in", "bytes out", "began", "by", "pid", "size", "uptime"];
const FIELDS: &[&str] = &[
    "memory_bytes",
    "ops_per_sec",
    "lag_bytes",
    "began_ms",
    "operator",
    "pid",
    "uptime_secs",
    "bytes",
    "size",
    "cluster",
    "epoch",
    "lag",
    "cpu_usec",
    "bytes_in",
    "bytes_out",
];

/// A session with `trib` that is written down.
pub struct Transcript {
    name: &'static str,
    text: String,
    names: Names,
    state: tempfile::TempDir,
}

impl Transcript {
    /// With these servers, in the order of their names.
    pub fn new(name: &'static str, servers: &[&Server]) -> Transcript {
        let mut names = Names::default();
        for server in servers {
            names.port(server.port);
            if let Ok(id) = server.call::<String>("CLUSTER MYID") {
                names.id(&id);
            }
        }
        let state = tempfile::tempdir().expect("a directory");
        names.texts.push((state.path().display().to_string(), "HOME"));
        Transcript { name, text: String::new(), names, state }
    }

    /// Text that is shown under another name: a directory.
    pub fn call_it(&mut self, text: impl std::fmt::Display, name: &'static str) {
        self.names.texts.push((text.to_string(), name));
    }

    /// Ports that belong to no server of the test's own; they may stand alone at the beginning of a line.
    pub fn ports(&mut self, ports: impl IntoIterator<Item = u16>) {
        self.names.alone = true;
        ports.into_iter().for_each(|port| self.names.port(port));
    }

    /// A word about what follows.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {text}\n");
    }

    pub fn run(&mut self, line: &str) -> Ran {
        self.run_with(line, &[], &[])
    }

    /// With these lines typed.
    pub fn answer(&mut self, line: &str, answers: &[&str]) -> Ran {
        self.run_with(line, answers, &[])
    }

    fn run_with(&mut self, line: &str, answers: &[&str], env: &[(&str, &str)]) -> Ran {
        let home = self.state.path().display().to_string();
        let env: Vec<(&str, &str)> = [("XDG_STATE_HOME", home.as_str()), ("XDG_CONFIG_HOME", &home)]
            .into_iter()
            .chain(env.iter().copied())
            .collect();
        let input: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        let ran = trib_with(line, &input, &env);
        self.learn_jobs();
        let mut shown = self.names.replace(&format!("$ trib {line}\n"));
        for answer in answers {
            let _ = writeln!(shown, "< {}", self.names.replace(answer));
        }
        shown += &masked(&self.names.replace(&ran.stdout), line);
        if !ran.stdout.is_empty() && !ran.stdout.ends_with('\n') {
            shown += "(no end of line)\n";
        }
        let said = masked(&self.names.replace(&ran.stderr), "");
        // That it waits is said only where there is something to wait for.
        let mut said: Vec<&str> = said.lines().filter(|line| !line.starts_with("Waiting for ")).collect();
        if line.contains("backup ") {
            // One after the other, as they finish.
            said.sort_unstable();
        }
        for line in said {
            let _ = writeln!(shown, "2> {line}");
        }
        let _ = writeln!(shown, "[exit {}]\n", ran.code);
        self.text += &shown;
        ran
    }

    /// The id of the so-manieth job of this transcript, from 1.
    pub fn job(&self, number: usize) -> String {
        let name = format!("job{number:03}");
        let job = self.names.jobs.iter().find(|(_, shown)| **shown == name);
        job.unwrap_or_else(|| panic!("there is no {name}")).0.clone()
    }

    /// The jobs of the journal are named by letters that nobody can foresee.
    fn learn_jobs(&mut self) {
        let jobs = fs::read_dir(self.state.path().join("trib/jobs")).into_iter().flatten().flatten();
        let mut new: Vec<(std::time::SystemTime, String)> = jobs
            .filter_map(|entry| {
                let name = entry.path().file_stem()?.to_string_lossy().into_owned();
                let at = entry.metadata().ok()?.created().ok()?;
                (!self.names.jobs.contains_key(&name)).then_some((at, name))
            })
            .collect();
        new.sort();
        for (_, name) in new {
            let next = format!("job{:03}", self.names.jobs.len() + 1);
            self.names.jobs.insert(name, next);
        }
    }

    /// Compares with what is kept, or keeps it.
    pub fn end(self) {
        let path = PathBuf::from(DIR).join(format!("{}.txt", self.name));
        let text = self.text.trim_end().to_owned() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(DIR).expect("the directory is made");
            fs::write(&path, &text).expect("the transcript is written");
            return;
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{}", difference(&path, &kept, &text));
    }
}

/// Where two transcripts part.
fn difference(path: &Path, kept: &str, now: &str) -> String {
    let at = kept.lines().zip(now.lines()).take_while(|(kept, now)| kept == now).count();
    let command = kept.lines().take(at + 1).filter(|line| line.starts_with("$ ")).last().unwrap_or_default();
    let part = |text: &str| text.lines().skip(at.saturating_sub(2)).take(12).collect::<Vec<_>>().join("\n");
    format!(
        "{} is not what trib says now, at line {} ({command}).\n--- kept\n{}\n--- now\n{}\n\
         If it is better so: UPDATE=1 cargo test --test trib snapshots",
        path.display(),
        at + 1,
        part(kept),
        part(now)
    )
}

/// What is called otherwise in a transcript.
#[derive(Default)]
struct Names {
    ports: BTreeMap<u16, u16>,
    ids: Vec<String>,
    jobs: BTreeMap<String, String>,
    texts: Vec<(String, &'static str)>,
    /// Whether ports stand in the first column of tables.
    alone: bool,
}

impl Names {
    fn port(&mut self, port: u16) {
        let next = 17_001 + u16::try_from(self.ports.len()).expect("few servers");
        self.ports.entry(port).or_insert(next);
    }

    fn id(&mut self, id: &str) {
        if !self.ids.iter().any(|known| known == id) {
            self.ids.push(id.to_owned());
        }
    }

    /// Everything by its other name, word by word; ids that are new get the next letter.
    fn replace(&mut self, text: &str) -> String {
        let text = self.texts.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let text = text.replace(env!("CARGO_PKG_VERSION"), "~");
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            if end == 0 {
                let c = rest.chars().next().expect("not empty");
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let (word, tail) = rest.split_at(end);
            out += &self.word(word, is_at_port(&out) || self.alone && out.ends_with("\n  "));
            rest = tail;
        }
        out
    }

    fn word(&mut self, word: &str, at_port: bool) -> String {
        if at_port
            && let Some(port) = word.parse::<u16>().ok()
            && let Some(name) = self
                .ports
                .get(&port)
                .copied()
                .or_else(|| self.ports.get(&port.checked_sub(10_000)?).map(|name| name + 10_000))
        {
            return name.to_string();
        }
        if let Some(job) = self.jobs.get(word) {
            return job.clone();
        }
        let is_hex = word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if word.len() == 40 && is_hex {
            self.id(word);
        }
        match self.ids.iter().position(|id| is_hex && word.len() >= 8 && id.starts_with(word)) {
            Some(at) => char::from(b'a' + u8::try_from(at).expect("few ids")).to_string().repeat(word.len()),
            None => word.to_owned(),
        }
    }
}

/// Whether a port comes next.
fn is_at_port(before: &str) -> bool {
    const BEFORE: &[&str] =
        &["127.0.0.1:", "127.0.0.1-", "127.0.0.1 ", "(port ", "-p ", "--port ", "replica of ", "\"port\": "];
    // The end of a range: 127.0.0.1:7000-
    let ends_range = |line: &str| {
        line.rsplit_once(':')
            .is_some_and(|(host, port)| host.ends_with("127.0.0.1") && port.len() < 8 && port.ends_with('-'))
    };
    BEFORE.iter().any(|end| before.ends_with(end)) || before.lines().next_back().is_some_and(ends_range)
}

/// Without what differs from run to run.
fn masked(text: &str, line: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(mask_line).collect();
    if line.contains("--csv") {
        mask_csv(&mut lines);
    }
    mask_tables(&mut lines);
    if line.contains("--cluster ") {
        sort_blocks(&mut lines);
    }
    let end = if text.ends_with('\n') { "\n" } else { "" };
    // While the nodes meet there is a dot for every look.
    for at in 1..lines.len() {
        if lines[at - 1].starts_with("Waiting for the cluster to join") && lines[at].bytes().all(|b| b == b'.') {
            lines[at] = "....".to_owned();
        }
    }
    lines.join("\n") + end
}

fn mask_line(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, after) in [(" in ", " s"), ("(pid ", ")"), ("redis ", ""), ("epoch ", ""), ("(", " bytes behind")] {
        line = mask_number(&line, before, after);
    }
    if let Some((kind, _)) = line.split_once(": ").filter(|(kind, _)| kind.contains(" of type ")) {
        return format!("{kind}: ~ in all");
    }
    let Some((name, value)) = line.trim_start().strip_prefix('"').and_then(|rest| rest.split_once("\": ")) else {
        return line;
    };
    if !FIELDS.contains(&name) || value.starts_with(['{', '[', 'n']) {
        return line;
    }
    let comma = if value.ends_with(',') { "," } else { "" };
    let value = if value.starts_with('"') { "\"~\"" } else { "~" };
    let indent = &line[..line.len() - line.trim_start().len()];
    format!("{indent}\"{name}\": {value}{comma}")
}

/// `~` in the place of a number between these.
fn mask_number(line: &str, before: &str, after: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        let end = tail.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tail.len());
        let number = tail[..end].trim_end_matches('.');
        out += head;
        if !number.is_empty() && tail[number.len()..].starts_with(after) {
            out += "~";
            rest = &tail[number.len()..];
        } else {
            rest = tail;
        }
    }
    out + rest
}

fn mask_csv(lines: &mut [String]) {
    let Some((head, rows)) = lines.split_first_mut() else { return };
    let columns: Vec<String> = head.split(',').map(str::to_owned).collect();
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        if cells.len() == columns.len() {
            let mask = |(cell, column): (&&str, &String)| {
                if COLUMNS.contains(&column.as_str()) && !cell.is_empty() { "~".to_owned() } else { (*cell).to_owned() }
            };
            *row = cells.iter().zip(&columns).map(mask).collect::<Vec<_>>().join(",");
        }
    }
}

/// Draws tables with such columns anew, as wide as what is left.
fn mask_tables(lines: &mut Vec<String>) {
    let is_rule = |line: &String| !line.is_empty() && line.chars().all(|c| c == '─');
    let mut at = 0;
    while let Some(top) = lines.iter().skip(at).position(is_rule).map(|found| found + at) {
        let Some(bottom) = lines.iter().skip(top + 2 + 1).position(is_rule).map(|found| found + top + 3) else {
            return;
        };
        let head = cells(&lines[top + 1]);
        let is_changed = head.iter().any(|(_, name)| COLUMNS.contains(&name.as_str()));
        if is_changed || lines[top].chars().count() != lines[top + 3].chars().count() {
            let rows: Vec<Vec<(usize, String)>> =
                [top + 1].into_iter().chain(top + 3..bottom).map(|row| cells(&lines[row])).collect();
            let drawn = draw(&rows);
            lines.splice(top..=bottom, drawn.iter().cloned());
        }
        at = bottom + 1;
    }
}

/// The cells of a row, each with the place where it ends.
fn cells(row: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut place = 0;
    for part in row.split("   ") {
        let width = part.chars().count();
        if !part.trim().is_empty() {
            found.push((place + part.trim_end().chars().count(), part.trim().to_owned()));
        }
        place += width + 3;
    }
    found
}

fn draw(rows: &[Vec<(usize, String)>]) -> Vec<String> {
    let columns = rows[0].len();
    let mut texts: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|(_, text)| text.clone()).collect()).collect();
    let to_the_right: Vec<bool> = (0..columns)
        .map(|column| rows.iter().all(|row| row.get(column).map(|cell| cell.0) == Some(rows[0][column].0)))
        .collect();
    for column in (0..columns).filter(|column| COLUMNS.contains(&rows[0][*column].1.as_str())) {
        for row in texts.iter_mut().skip(1).filter(|row| row.get(column).is_some_and(|cell| cell != "-")) {
            row[column] = "~".to_owned();
        }
    }
    let width = |column: usize| {
        texts.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let rule = "─".repeat(widths.iter().map(|width| width + 3).sum::<usize>() + 1);
    let mut drawn: Vec<String> = texts
        .iter()
        .map(|row| {
            let cell = |(column, text): (usize, &String)| {
                let width = widths.get(column).copied().unwrap_or(0);
                if to_the_right.get(column) == Some(&true) {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                }
            };
            let row: Vec<String> = row.iter().enumerate().map(cell).collect();
            format!("  {}  ", row.join("   "))
        })
        .collect();
    drawn.insert(1, rule.clone());
    drawn.insert(0, rule.clone());
    drawn.push(rule);
    drawn
}

/// redis-cli lists nodes as the servers do, which is in no order: the first one stays, the others are sorted by address.
fn sort_blocks(lines: &mut Vec<String>) {
    let begins = |line: &str| line.starts_with("M: ") || line.starts_with("S: ");
    let is_of_a_node = |line: &str| line.starts_with("127.0.0.1:") || line.starts_with("*** New timeout set for ");
    let mut blocks: Vec<Vec<String>> = Vec::new();
    for line in lines.drain(..) {
        match blocks.last_mut() {
            Some(block) if begins(&block[0]) && line.starts_with("   ") => block.push(line),
            _ => blocks.push(vec![line]),
        }
    }
    let kind = |block: &Vec<String>| {
        if begins(&block[0]) {
            1
        } else if is_of_a_node(&block[0]) {
            2
        } else {
            0
        }
    };
    let key = |block: &Vec<String>| {
        block[0].split(' ').find(|word| word.contains(':') && word.len() > 2).unwrap_or_default().to_owned()
    };
    let mut at = 0;
    while at < blocks.len() {
        let group = kind(&blocks[at]);
        let end = at + blocks[at..].iter().take_while(|block| kind(block) == group).count();
        if group > 0 {
            let first = if group == 1 { at + 1 } else { at };
            blocks[first..end].sort_by_key(key);
        }
        at = end;
    }
    *lines = blocks.into_iter().flatten().collect();
}

#[test]
fn what_changes_has_a_name_that_does_not() {
    let mut names = Names::default();
    names.port(12_345);
    names.id("0123456789012345678901234567890123456789");
    let said = names.replace("127.0.0.1:12345 (01234567...) owns 12345 slots, bus (port 22345)");
    assert_eq!(said, "127.0.0.1:17001 (aaaaaaaa...) owns 12345 slots, bus (port 27001)");
    assert_eq!(masked("*** 2 keys imported in 0.3 s.\n", ""), "*** 2 keys imported in ~ s.\n");
    assert_eq!(masked("  \"memory_bytes\": 12,\n  \"keys\": 3\n", ""), "  \"memory_bytes\": ~,\n  \"keys\": 3\n");
    assert_eq!(masked("node,memory,keys\nh:1,5,6\n", "x --csv"), "node,memory,keys\nh:1,~,6\n");
    let table = "──────\n  node   memory   keys  \n──────\n  h:1    2.0 MB      5  \n──────\n";
    let drawn = masked(table, "");
    assert!(drawn.contains("\n  h:1         ~      5  \n"), "{drawn}");
}
