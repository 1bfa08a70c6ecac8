//! How many keys have arrived, and what became of the others; the operator sees it as it happens.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::trib::addr::Addr;
use crate::trib::error::Error;
use crate::trib::keytext;
use crate::trib::table::count;
use crate::trib::ui::{Ui, Wording};

/// Counts, and what is said about single keys.
pub struct Tally<'a> {
    ui: &'a Ui,
    /// What is done to the keys: `imported`.
    done: &'static str,
    bar: ProgressBar,
    begun: Instant,
    arrived: Cell<u64>,
    skipped: Cell<u64>,
    expired: Cell<u64>,
    refused: Cell<u64>,
    differing: Cell<u64>,
}

/// The counts as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub arrived: u64,
    /// The cluster had them, and that is no error.
    pub skipped: u64,
    /// They had expired before they could be brought.
    pub expired: u64,
    pub refused: u64,
    /// What was read back is not what was sent.
    pub differing: u64,
}

impl<'a> Tally<'a> {
    /// `done` says what is done to the keys: `imported`.
    #[must_use]
    pub fn new(ui: &'a Ui, done: &'static str) -> Tally<'a> {
        let bar = if std::io::stderr().is_terminal() { new_bar() } else { ProgressBar::hidden() };
        let zero = Cell::default;
        Tally {
            ui,
            done,
            bar,
            begun: Instant::now(),
            arrived: zero(),
            skipped: zero(),
            expired: zero(),
            refused: zero(),
            differing: zero(),
        }
    }

    /// So many more keys are to come.
    pub fn expect(&self, keys: u64) {
        self.bar.inc_length(keys);
    }

    /// A line of the report.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| self.ui.line(text));
    }

    /// Something to know beside the report.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| self.ui.note(text));
    }

    /// These keys are there. redis-cli has a line for each; here they are shown to those who want to see more.
    pub fn arrive<'k>(&self, keys: impl ExactSizeIterator<Item = (&'k [u8], &'k Addr)>) {
        self.arrived.set(self.arrived.get() + keys.len() as u64);
        self.bar.inc(keys.len() as u64);
        if self.ui.wording() == Wording::RedisCli || self.ui.is_verbose() {
            let line = |(key, node)| format!("Migrating {} to {node}: OK\n", String::from_utf8_lossy(key));
            let lines: String = keys.map(line).collect();
            self.bar.suspend(|| self.ui.part(lines));
        }
    }

    pub fn skip(&self) {
        self.skipped.set(self.skipped.get() + 1);
        self.bar.inc(1);
    }

    pub fn expire(&self) {
        self.expired.set(self.expired.get() + 1);
        self.bar.inc(1);
    }

    /// The key does not go into the cluster.
    pub fn refuse(&self, key: &[u8], why: &str) {
        self.refused.set(self.refused.get() + 1);
        self.bar.inc(1);
        let line = format!("[ERR] {} was not {}: {why}", keytext::shown(key), self.done);
        self.bar.suspend(|| self.ui.error(line));
    }

    /// The key is in the cluster, but not as it was sent.
    pub fn differ(&self, key: &[u8], why: &str) {
        self.differing.set(self.differing.get() + 1);
        self.bar.suspend(|| self.ui.error(format!("[ERR] {} differs: {why}", keytext::shown(key))));
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            arrived: self.arrived.get(),
            skipped: self.skipped.get(),
            expired: self.expired.get(),
            refused: self.refused.get(),
            differing: self.differing.get(),
        }
    }

    /// Says how it went; keys that were refused or differ are an error.
    pub fn end(&self) -> Result<(), Error> {
        self.ui.json(&self.counts());
        self.conclude()
    }

    /// The same where the counts are part of other data.
    pub fn conclude(&self) -> Result<(), Error> {
        self.bar.finish_and_clear();
        let counts = self.counts();
        let mut more = String::new();
        for (count, what) in [(counts.skipped, "were there already"), (counts.expired, "had expired")] {
            if count > 0 {
                more += &format!(", {count} {what}");
            }
        }
        if self.ui.wording() == Wording::Trib {
            let secs = self.begun.elapsed().as_secs_f64();
            self.ui.line(format!("*** {} {} in {secs:.1} s{more}.", count(counts.arrived, "key"), self.done));
        }
        match (counts.refused, counts.differing) {
            (0, 0) => Ok(()),
            (0, _) => Err(Error::failed(format!(
                "[ERR] {} {}.",
                count(counts.differing, "key"),
                if counts.differing == 1 { "differs" } else { "differ" }
            ))
            .hint("clients may have written to them meanwhile; 'trib where' shows where a key lives")),
            (refused, _) => Err(Error::failed(format!(
                "[ERR] {} {} not {}.",
                count(refused, "key"),
                if refused == 1 { "was" } else { "were" },
                self.done
            ))
            .hint(
                "each is named above with the reason; --on-conflict replace overwrites keys that exist in the cluster",
            )),
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos} keys, {per_sec}, {elapsed} gone, {eta} left");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::ui::tests::captured;

    #[test]
    fn the_end_says_what_became_of_all_keys() {
        let node: Addr = "h:1".parse().unwrap();
        let (ui, out, _) = captured(Wording::RedisCli, "");
        let tally = Tally::new(&ui, "imported");
        tally.arrive([(&b"a"[..], &node), (b"b", &node)].into_iter());
        tally.skip();
        tally.expire();
        assert!(tally.end().is_ok());
        assert_eq!(out.text(), "Migrating a to h:1: OK\nMigrating b to h:1: OK\n");
        let (ui, out, _) = captured(Wording::Trib, "");
        let tally = Tally::new(&ui, "imported");
        tally.arrive([(&b"a"[..], &node)].into_iter());
        tally.refuse(b"x", "no room");
        assert!(format!("{:?}", tally.end().unwrap_err().what).contains("1 key was not imported."));
        assert!(out.text().starts_with("[ERR] x was not imported: no room\n*** 1 key imported in "), "{}", out.text());
        let counts = Counts { arrived: 1, skipped: 0, expired: 0, refused: 1, differing: 0 };
        assert_eq!(tally.counts(), counts);
    }
}
