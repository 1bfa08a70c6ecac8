//! The slow log: the commands that took long, the latest first.

use std::collections::VecDeque;

use super::client::Client;
use super::server::Server;
use super::spec::{Command, Flags};
use crate::base::Millis;
use crate::resp::Args;

/// At most so many arguments of a command are kept, and so many bytes of each.
const ARGS_MAX: usize = 32;
const ARG_MAX_BYTES: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub struct SlowCommand {
    pub id: u64,
    pub at: Millis,
    pub usec: u64,
    /// Shortened where they are many or long.
    pub args: Vec<Vec<u8>>,
    pub peer: String,
    pub client_name: Vec<u8>,
}

/// The slow commands that are kept.
#[derive(Debug, Default)]
pub struct SlowLog {
    /// The latest first.
    entries: VecDeque<SlowCommand>,
    next_id: u64,
}

impl SlowLog {
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The latest first.
    pub fn iter(&self) -> impl Iterator<Item = &SlowCommand> {
        self.entries.iter()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    fn add(&mut self, mut slow: SlowCommand, max: usize) {
        slow.id = self.next_id;
        self.next_id += 1;
        self.entries.push_front(slow);
        self.entries.truncate(max);
    }
}

impl Server {
    /// Keeps the command if it took as long as `slowlog-log-slower-than` says.
    pub(super) fn note_if_slow(&mut self, client: &Client, command: &Command, args: Args<'_>, usec: u64) {
        let threshold_us = self.config.slowlog_log_slower_than_us;
        let is_slow = threshold_us >= 0 && usec >= threshold_us as u64;
        if !is_slow || command.flags.contains(Flags::SKIP_SLOWLOG) {
            return;
        }
        let slow = SlowCommand {
            id: 0,
            at: self.now,
            usec,
            args: shorten(args, holds_secrets(command.name)),
            peer: client.peer.clone(),
            client_name: client.name.clone(),
        };
        self.slowlog.add(slow, self.config.slowlog_max_len);
    }
}

/// Commands whose arguments may be passwords.
fn holds_secrets(name: &str) -> bool {
    matches!(name, "auth" | "hello" | "config|set" | "migrate")
}

fn shorten(args: Args<'_>, secret: bool) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut words: Vec<Vec<u8>> = args
        .range(0, kept)
        .iter()
        .enumerate()
        .map(|(i, arg)| match arg.get(..ARG_MAX_BYTES) {
            _ if secret && i > 0 => b"(redacted)".to_vec(),
            Some(head) if arg.len() > ARG_MAX_BYTES => {
                let rest = format!("... ({} more bytes)", arg.len() - ARG_MAX_BYTES);
                [head, rest.as_bytes()].concat()
            }
            _ => arg.to_vec(),
        })
        .collect();
    if args.len() > kept {
        words.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Argv;

    #[test]
    fn long_commands_are_shortened() {
        let long = vec![b'x'; 130];
        let mut argv = Argv::of(&[b"SET", &long]);
        assert_eq!(shorten(argv.args(), false)[1], [&long[..128], b"... (2 more bytes)"].concat());
        assert_eq!(shorten(argv.args(), true)[1], b"(redacted)");
        for _ in 0..31 {
            argv.push(b"y");
        }
        let words = shorten(argv.args(), false);
        assert_eq!((words.len(), words[31].as_slice()), (32, &b"... (2 more arguments)"[..]));
        assert_eq!(shorten(argv.args().range(0, 32), false)[31], b"y");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut log = SlowLog::default();
        let slow = SlowCommand {
            id: 0,
            at: Millis::ZERO,
            usec: 1,
            args: Vec::new(),
            peer: String::new(),
            client_name: Vec::new(),
        };
        for _ in 0..5 {
            log.add(slow.clone(), 3);
        }
        assert_eq!(log.iter().map(|s| s.id).collect::<Vec<_>>(), [4, 3, 2]);
    }
}
