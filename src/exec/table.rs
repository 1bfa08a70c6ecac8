//! The command table: names to declarations, with the counters each command keeps.

use std::collections::HashMap;

use super::histogram::Histogram;
use super::spec::Command;
use super::stats::CommandStats;
use crate::resp::Args;

/// Where a command stands in the table; stays the same while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandIndex(u16);

impl CommandIndex {
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

/// A command and its counters.
#[derive(Debug)]
pub struct TableEntry {
    pub command: &'static Command,
    /// The command's name as most clients spell it.
    upper: Box<str>,
    pub stats: CommandStats,
    /// How long its calls took, once there was one while that is counted (`latency-tracking`).
    pub latency: Option<Box<Histogram>>,
    /// Subcommands by their lower-case name, without the container's.
    subcommands: HashMap<&'static str, CommandIndex>,
}

/// All commands the server knows.
#[derive(Debug, Default)]
pub struct CommandTable {
    entries: Vec<TableEntry>,
    by_name: HashMap<&'static str, CommandIndex>,
}

/// What looking up a command's name gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    Found(CommandIndex),
    /// The container is known, its subcommand is not.
    UnknownSubcommand(CommandIndex),
    Unknown,
}

/// The longest name worth looking up.
const NAME_MAX_BYTES: usize = 32;

impl CommandTable {
    /// A table of these commands.
    ///
    /// # Panics
    /// When two have the same name.
    #[must_use]
    pub fn new(groups: &[&'static [Command]]) -> CommandTable {
        let mut table = CommandTable::default();
        for command in groups.iter().copied().flatten() {
            let index = table.add(command);
            let old = table.by_name.insert(command.name, index);
            assert!(old.is_none(), "command {} is declared twice", command.name);
            for sub in command.subcommands {
                let sub_index = table.add(sub);
                let name = sub.name.split_once('|').map_or(sub.name, |(_, name)| name);
                table.entries[index.0 as usize].subcommands.insert(name, sub_index);
            }
        }
        table
    }

    fn add(&mut self, command: &'static Command) -> CommandIndex {
        let index = CommandIndex(self.entries.len() as u16);
        self.entries.push(TableEntry {
            command,
            upper: command.name.to_ascii_uppercase().into(),
            stats: CommandStats::default(),
            latency: None,
            subcommands: HashMap::new(),
        });
        index
    }

    /// Whether `word` is the whole name of this command, in any case.
    #[inline]
    #[must_use]
    pub fn is_called(&self, index: CommandIndex, word: &[u8]) -> bool {
        let entry = &self.entries[index.0 as usize];
        entry.upper.as_bytes() == word || word.eq_ignore_ascii_case(entry.upper.as_bytes())
    }

    /// Finds the command, or subcommand, that `args` calls.
    #[must_use]
    pub fn lookup(&self, args: Args<'_>) -> Lookup {
        let Some(index) = lower(args.at(0), |name| self.by_name.get(name).copied()) else { return Lookup::Unknown };
        let entry = &self.entries[index.0 as usize];
        if entry.subcommands.is_empty() {
            return Lookup::Found(index);
        }
        match args.get(1) {
            None => Lookup::Found(index),
            Some(sub) => lower(sub, |name| entry.subcommands.get(name).copied())
                .map_or(Lookup::UnknownSubcommand(index), Lookup::Found),
        }
    }

    /// Finds a command by its full name, `config|get` for a subcommand, in any case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<CommandIndex> {
        let mut parts = name.splitn(2, |&b| b == b'|');
        let index = lower(parts.next()?, |name| self.by_name.get(name).copied())?;
        match parts.next() {
            None => Some(index),
            Some(sub) => lower(sub, |name| self.entries[index.0 as usize].subcommands.get(name).copied()),
        }
    }

    #[must_use]
    pub fn command(&self, index: CommandIndex) -> &'static Command {
        self.entries[index.0 as usize].command
    }

    pub fn stats_mut(&mut self, index: CommandIndex) -> &mut CommandStats {
        &mut self.entries[index.0 as usize].stats
    }

    pub fn entry_mut(&mut self, index: CommandIndex) -> &mut TableEntry {
        &mut self.entries[index.0 as usize]
    }

    /// The commands of these names (all, if there are none) whose calls were timed; the name of a container stands for
    /// its subcommands. Names of no command are passed over.
    #[must_use]
    pub fn with_latency(&self, names: Args<'_>) -> Vec<(&'static Command, &Histogram)> {
        let timed = |entry: &'_ TableEntry| entry.latency.is_some();
        let chosen: Vec<&TableEntry> = if names.is_empty() {
            self.entries.iter().filter(|entry| timed(entry)).collect()
        } else {
            let found = names.iter().filter_map(|name| self.find(name)).map(|index| &self.entries[index.0 as usize]);
            found
                .flat_map(|entry| {
                    let mut subs: Vec<CommandIndex> = entry.subcommands.values().copied().collect();
                    subs.sort_by_key(|index| index.0);
                    let subs = subs.into_iter().map(|index| &self.entries[index.0 as usize]);
                    std::iter::once(entry).chain(subs)
                })
                .filter(|entry| timed(entry))
                .collect()
        };
        chosen.into_iter().filter_map(|entry| Some((entry.command, entry.latency.as_deref()?))).collect()
    }

    /// Every command and subcommand, containers before what they hold.
    pub fn iter(&self) -> impl Iterator<Item = &TableEntry> {
        self.entries.iter()
    }

    /// The commands that are no subcommands.
    pub fn top_level(&self) -> impl Iterator<Item = &'static Command> {
        self.entries.iter().map(|e| e.command).filter(|c| !c.name.contains('|'))
    }

    pub fn reset_stats(&mut self) {
        for entry in &mut self.entries {
            entry.stats = CommandStats::default();
            entry.latency = None;
        }
    }
}

/// Calls `find` with the lower-case form of `name`, without allocating.
fn lower<T>(name: &[u8], find: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut buf = [0u8; NAME_MAX_BYTES];
    let buf = buf.get_mut(..name.len())?;
    buf.copy_from_slice(name);
    buf.make_ascii_lowercase();
    find(std::str::from_utf8(buf).ok()?)
}
