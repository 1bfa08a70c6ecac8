//! What the mover tells while it works, and how the operator gets to see it.
//!
//! The report goes to stdout line by line, in the words of the classic tools: a slot is a line when it is
//! done, since several move at a time. Someone at a terminal also sees a bar with the time that is left,
//! on stderr. A log gets a line for each pair of nodes, and on stderr now and then one that says how far it is.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Job, Trouble};
use crate::base::Slot;
use crate::trib::addr::Addr;
use crate::trib::slots::SlotSet;
use crate::trib::table::count;
use crate::trib::ui::Ui;
use crate::trib::view::ClusterView;
use crate::trib::vocabulary::Vocabulary;

/// Hears of every step as it happens. Jobs are named by their position.
pub trait Observer {
    /// So many keys are to be moved in all; new ones may appear, others may go.
    fn counted(&self, _keys: u64) {}
    fn begun(&self, _job: usize) {}
    fn keys_moved(&self, _keys: u64) {}
    /// The slot is at its target; so many keys went with it.
    fn slot_moved(&self, _job: usize, _slot: Slot, _keys: u64) {}
    fn ended(&self, _job: usize) {}
    /// The servers cannot do it themselves, so this program will.
    fn falls_back(&self, _why: &Trouble) {}
    /// A node answers more slowly than the operator allows, so nothing is sent for a while. Told once.
    fn paused(&self, _node: &Addr, _p99: Duration) {}
    /// Ctrl-C was pressed; what is in flight is finished first.
    fn stopping(&self) {}
    /// Some seconds have gone by.
    fn still_moving(&self) {}
}

/// How the report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `Moving slot 5 from A to B: ...`, a dot for each key (reshard).
    Slots,
    /// `Moving slot range 5-7 9-9 from A to B via atomic slot migration###`, a `#` for each slot (reshard of valkey-cli).
    Ranges,
    /// `Moving 100 slots from A to B`, then a line with a `#` for each slot (rebalance).
    Hashes,
}

/// Reports to the operator.
pub struct Reporter<'a> {
    ui: &'a Ui,
    style: Style,
    pairs: Vec<(Addr, Addr, usize)>,
    /// What each job has moved.
    moved: RefCell<Vec<SlotSet>>,
    hashes: RefCell<Hashes>,
    bar: ProgressBar,
    keys: Count,
    slots: Count,
}

/// So many of so many.
#[derive(Default)]
struct Count {
    done: Cell<u64>,
    all: Cell<u64>,
}

impl Count {
    fn advance(&self, by: u64) {
        self.done.set(self.done.get() + by);
    }
}

/// Lines of `#` that must not mix, though their jobs run at the same time: one is written as it grows, the
/// others wait for it to end.
#[derive(Default)]
struct Hashes {
    live: Option<usize>,
    waiting: Vec<Line>,
}

struct Line {
    job: usize,
    slots: usize,
    ended: bool,
}

impl<'a> Reporter<'a> {
    /// For these jobs on this cluster.
    #[must_use]
    pub fn new(ui: &'a Ui, view: &ClusterView, jobs: &[Job], style: Style) -> Reporter<'a> {
        let addr = |id| view.node(id).map_or_else(|| Addr::new("?", 0), |node| node.addr.clone());
        let pairs = jobs.iter().map(|job| (addr(&job.from), addr(&job.to), job.slots.len())).collect();
        let bar = if std::io::stderr().is_terminal() { new_bar() } else { ProgressBar::hidden() };
        let slots = Count::default();
        slots.all.set(jobs.iter().map(|job| job.slots.len() as u64).sum());
        bar.set_length(slots.all.get());
        let moved = RefCell::new(vec![SlotSet::new(); jobs.len()]);
        Reporter { ui, style, pairs, moved, hashes: RefCell::default(), bar, keys: Count::default(), slots }
    }

    fn write(&self, text: &str) {
        self.bar.suspend(|| self.ui.part(text));
    }

    /// One line when all is done, since several jobs run at the same time.
    fn write_ranges(&self, job: usize) {
        let ((from, to, _), moved) = (&self.pairs[job], &self.moved.borrow()[job]);
        if !moved.is_empty() {
            let (slots, hashes) = (Vocabulary::ranges(moved), "#".repeat(moved.len()));
            self.write(&format!("Moving slot range {slots} from {from} to {to} via atomic slot migration{hashes}\n"));
        }
    }

    fn head_line(&self, job: usize) -> String {
        let (from, to, slots) = &self.pairs[job];
        format!("Moving {slots} slots from {from} to {to}\n")
    }
}

/// Keys and slots count alike: a slot without keys is work, too.
fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}  {elapsed} gone, {eta} left");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Observer for Reporter<'_> {
    fn counted(&self, keys: u64) {
        self.bar.inc_length(keys);
        self.bar.set_message(format!("{keys} keys in all"));
        self.keys.all.set(keys);
    }

    fn begun(&self, job: usize) {
        if !self.ui.shows_each() {
            let (from, to, slots) = &self.pairs[job];
            self.write(&format!("Moving {} from {from} to {to}\n", count(*slots, "slot")));
            return;
        }
        if self.style != Style::Hashes {
            return;
        }
        let mut hashes = self.hashes.borrow_mut();
        if hashes.live.is_none() {
            hashes.live = Some(job);
            self.write(&self.head_line(job));
        } else {
            hashes.waiting.push(Line { job, slots: 0, ended: false });
        }
    }

    fn keys_moved(&self, keys: u64) {
        self.bar.inc(keys);
        self.keys.advance(keys);
    }

    fn slot_moved(&self, job: usize, slot: Slot, keys: u64) {
        self.bar.inc(1);
        self.slots.advance(1);
        if !self.ui.shows_each() {
            return;
        }
        match self.style {
            Style::Slots => {
                let (from, to, _) = &self.pairs[job];
                let dots = ".".repeat(usize::try_from(keys).unwrap_or(usize::MAX));
                let colon = self.ui.vocabulary().pick(": ", "");
                self.write(&format!("Moving slot {slot} from {from} to {to}{colon}{dots}\n"));
            }
            Style::Ranges => self.moved.borrow_mut()[job].insert(slot),
            Style::Hashes => {
                let mut hashes = self.hashes.borrow_mut();
                if hashes.live == Some(job) {
                    self.write("#");
                } else if let Some(line) = hashes.waiting.iter_mut().find(|line| line.job == job) {
                    line.slots += 1;
                }
            }
        }
    }

    fn ended(&self, job: usize) {
        if self.style == Style::Ranges && self.ui.shows_each() {
            self.write_ranges(job);
        }
        if self.style != Style::Hashes || !self.ui.shows_each() {
            return;
        }
        let mut hashes = self.hashes.borrow_mut();
        if let Some(line) = hashes.waiting.iter_mut().find(|line| line.job == job) {
            line.ended = true;
            return;
        }
        self.write("\n");
        hashes.live = None;
        while hashes.live.is_none() && !hashes.waiting.is_empty() {
            let line = hashes.waiting.remove(0);
            let end = if line.ended { "\n" } else { "" };
            self.write(&format!("{}{}{end}", self.head_line(line.job), "#".repeat(line.slots)));
            hashes.live = (!line.ended).then_some(line.job);
        }
    }

    fn falls_back(&self, why: &Trouble) {
        self.bar.suspend(|| self.ui.note(format!("{why}; the keys are moved one by one instead.")));
    }

    fn paused(&self, node: &Addr, p99: Duration) {
        let millis = p99.as_secs_f64() * 1000.0;
        self.bar.suspend(|| {
            self.ui.note(format!("Pausing while {node} is slow (the p99 of its PING is {millis:.1} ms)..."));
        });
    }

    fn stopping(&self) {
        self.bar.suspend(|| {
            self.ui.note("Stopping when the slots in flight are done; press Ctrl-C once more to stop at once.");
        });
    }

    fn still_moving(&self) {
        if self.ui.shows_each() || !self.bar.is_hidden() {
            return;
        }
        let [slots, keys] =
            [&self.slots, &self.keys].map(|found| format!("{} of {}", found.done.get(), found.all.get()));
        self.ui.note(format!("... {slots} slots and {keys} keys have been moved"));
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;
    use crate::trib::ui::Wording;
    use crate::trib::ui::tests::{captured, valkeys};
    use crate::trib::view::tests::{id, small};

    fn jobs() -> Vec<Job> {
        let job = |from, to, slots: std::ops::Range<u16>| Job {
            from: id(from),
            to: id(to),
            slots: slots.filter_map(Slot::new).collect(),
            scope: Scope::Slots,
            half_moved: false,
        };
        vec![job('a', 'b', 0..2), job('b', 'a', 9000..9003)]
    }

    #[test]
    fn a_slot_is_a_line_with_a_dot_for_each_key() {
        let (ui, out, _) = captured(Wording::RedisCli, "");
        let jobs = jobs();
        let reporter = Reporter::new(&ui, &small(), &jobs, Style::Slots);
        reporter.begun(0);
        reporter.slot_moved(0, jobs[0].slots[0], 3);
        reporter.slot_moved(1, jobs[1].slots[0], 0);
        assert_eq!(
            out.text(),
            "Moving slot 0 from 127.0.0.1:7000 to 10.0.0.2:7000: ...\n\
             Moving slot 9000 from 10.0.0.2:7000 to 127.0.0.1:7000: \n"
        );
    }

    #[test]
    fn valkey_cli_has_no_colon_and_a_line_for_what_moved_at_once() {
        let (ui, out, _) = valkeys("");
        let jobs = jobs();
        Reporter::new(&ui, &small(), &jobs, Style::Slots).slot_moved(0, jobs[0].slots[0], 3);
        let reporter = Reporter::new(&ui, &small(), &jobs, Style::Ranges);
        for (job, slot) in [(0, 0), (1, 0), (1, 2)] {
            reporter.slot_moved(job, jobs[job].slots[slot], 1);
        }
        reporter.ended(1);
        assert_eq!(
            out.text(),
            "Moving slot 0 from 127.0.0.1:7000 to 10.0.0.2:7000...\n\
             Moving slot range 9000-9000 9002-9002 from 10.0.0.2:7000 to 127.0.0.1:7000 via atomic slot migration##\n"
        );
    }

    #[test]
    fn a_log_has_a_line_for_each_pair_and_says_how_far_it_is() {
        for style in [Style::Slots, Style::Hashes] {
            let (ui, out, err) = captured(Wording::Trib, "");
            let jobs = jobs();
            let reporter = Reporter::new(&ui, &small(), &jobs, style);
            reporter.counted(70);
            for job in [0, 1] {
                reporter.begun(job);
                reporter.keys_moved(30);
                reporter.slot_moved(job, jobs[job].slots[0], 30);
            }
            reporter.ended(0);
            if reporter.bar.is_hidden() {
                reporter.still_moving();
                assert_eq!(err.text(), "... 2 of 5 slots and 60 of 70 keys have been moved\n");
            }
            assert_eq!(
                out.text(),
                "Moving 2 slots from 127.0.0.1:7000 to 10.0.0.2:7000\n\
                 Moving 3 slots from 10.0.0.2:7000 to 127.0.0.1:7000\n"
            );
        }
    }

    #[test]
    fn lines_of_hashes_do_not_mix() {
        let (ui, out, _) = captured(Wording::RedisCli, "");
        let jobs = jobs();
        let reporter = Reporter::new(&ui, &small(), &jobs, Style::Hashes);
        reporter.begun(0);
        reporter.begun(1);
        reporter.slot_moved(0, jobs[0].slots[0], 0);
        reporter.slot_moved(1, jobs[1].slots[0], 0);
        reporter.slot_moved(1, jobs[1].slots[1], 0);
        assert_eq!(out.text(), "Moving 2 slots from 127.0.0.1:7000 to 10.0.0.2:7000\n#");
        reporter.slot_moved(0, jobs[0].slots[1], 0);
        reporter.ended(0);
        reporter.slot_moved(1, jobs[1].slots[2], 0);
        reporter.ended(1);
        assert_eq!(
            out.text(),
            "Moving 2 slots from 127.0.0.1:7000 to 10.0.0.2:7000\n##\n\
             Moving 3 slots from 10.0.0.2:7000 to 127.0.0.1:7000\n###\n"
        );
    }
}
