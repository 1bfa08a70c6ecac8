//! The differences that are meant: `known.txt`, each with its reason, command and both replies.

use std::collections::BTreeSet;

use crate::reply::Reply;

/// One entry: a command line, and what each of the two answers.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    file: String,
    command: String,
    node: String,
    stock: String,
}

/// The list, and which of it was met.
pub struct Known {
    entries: Vec<Entry>,
    met: BTreeSet<usize>,
}

impl Known {
    /// Reads the list: after the lines of a reason (`#`), the file and command (`list.txt> LLEN l`), then `node` and
    /// `stock` with their replies.
    ///
    /// # Panics
    /// A line is none of these, or an entry has no reason.
    pub fn read(text: &str) -> Known {
        let mut entries: Vec<Entry> = Vec::new();
        let mut has_reason = false;
        for line in text.lines() {
            if let Some(reason) = line.strip_prefix('#') {
                has_reason = !reason.trim().is_empty();
            } else if let Some(reply) = line.strip_prefix("  node  ") {
                entries.last_mut().expect("a command before").node = reply.to_owned();
            } else if let Some(reply) = line.strip_prefix("  stock ") {
                entries.last_mut().expect("a command before").stock = reply.to_owned();
            } else if let Some((file, command)) = line.split_once("> ") {
                assert!(has_reason, "no reason for {line}");
                let (file, command) = (file.to_owned(), command.to_owned());
                entries.push(Entry { file, command, node: String::new(), stock: String::new() });
            } else {
                assert!(line.is_empty(), "known differences: {line}");
                has_reason = false;
            }
        }
        Known { entries, met: BTreeSet::new() }
    }

    /// An entry stands for one line: one that fits several could hide what happens at the others.
    pub fn assert_unambiguous(&self, file: &str, commands: &[String]) {
        for entry in self.entries.iter().filter(|entry| entry.file == file) {
            let lines = commands.iter().filter(|command| **command == entry.command).count();
            assert_eq!(lines, 1, "known.txt: {file} has {lines} lines {}", entry.command);
        }
    }

    /// Whether this difference is on the list, word for word.
    pub fn has(&mut self, file: &str, command: &str, node: &Reply, stock: &Reply) -> bool {
        let (node, stock) = (node.to_string(), stock.to_string());
        let found = self
            .entries
            .iter()
            .position(|e| e.file == file && e.command == command && e.node == node && e.stock == stock);
        self.met.extend(found);
        found.is_some()
    }

    /// The entries that no run has met: they no longer differ, or differ in another way.
    pub fn unmet(&self) -> Vec<String> {
        let unmet = self.entries.iter().enumerate().filter(|(i, _)| !self.met.contains(i));
        unmet.map(|(_, e)| format!("{}> {}", e.file, e.command)).collect()
    }
}
