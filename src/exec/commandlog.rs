//! The command log: the commands that took long, and those whose request or reply was large; the latest first.

use std::collections::VecDeque;

use super::client::Client;
use super::secrets::is_secret;
use super::server::Server;
use super::spec::{Command, Flags};
use crate::base::Millis;
use crate::resp::Args;

/// At most so many arguments of a command are kept, and so many bytes of each.
const ARGS_MAX: usize = 32;
const ARG_MAX_BYTES: usize = 128;

/// Why a command is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remarkable {
    /// It took long: microseconds.
    Slow,
    /// Bytes of the request.
    LargeRequest,
    /// Bytes of the reply.
    LargeReply,
}

/// One command that is kept.
#[derive(Clone, Debug)]
pub struct KeptCommand {
    pub id: u64,
    pub at: Millis,
    /// Microseconds or bytes.
    pub amount: u64,
    /// Shortened where they are many or long.
    pub args: Vec<Vec<u8>>,
    pub peer: String,
    pub client_name: Vec<u8>,
}

/// The commands that are kept for one reason.
#[derive(Debug, Default)]
pub struct KeptCommands {
    /// The latest first.
    entries: VecDeque<KeptCommand>,
    next_id: u64,
}

impl KeptCommands {
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The latest first.
    pub fn iter(&self) -> impl Iterator<Item = &KeptCommand> {
        self.entries.iter()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    fn add(&mut self, mut kept: KeptCommand, max: usize) {
        kept.id = self.next_id;
        self.next_id += 1;
        self.entries.push_front(kept);
        self.entries.truncate(max);
    }
}

/// All that is kept, by reason.
#[derive(Debug, Default)]
pub struct CommandLog {
    slow: KeptCommands,
    large_requests: KeptCommands,
    large_replies: KeptCommands,
}

impl CommandLog {
    pub fn of(&mut self, why: Remarkable) -> &mut KeptCommands {
        match why {
            Remarkable::Slow => &mut self.slow,
            Remarkable::LargeRequest => &mut self.large_requests,
            Remarkable::LargeReply => &mut self.large_replies,
        }
    }
}

impl Server {
    /// Keeps the command if it took as long, or its request or reply is as large, as the configuration says.
    pub(super) fn note_if_remarkable(
        &mut self,
        client: &Client,
        command: &Command,
        args: Args<'_>,
        usec: u64,
        reply_bytes: usize,
    ) {
        let config = &self.config;
        let large = config.commandlog_request_larger_than;
        let request_bytes = if args.wire_bytes_max() as i64 >= large { args.wire_bytes() } else { 0 };
        let found = [
            (Remarkable::Slow, config.slowlog_log_slower_than_us, usec, config.slowlog_max_len),
            (Remarkable::LargeRequest, large, request_bytes as u64, config.commandlog_large_request_max_len),
            (
                Remarkable::LargeReply,
                config.commandlog_reply_larger_than,
                reply_bytes as u64,
                config.commandlog_large_reply_max_len,
            ),
        ];
        for (why, threshold, amount, max) in found {
            if threshold < 0 || amount < threshold as u64 || command.flags.contains(Flags::SKIP_SLOWLOG) {
                continue;
            }
            let kept = KeptCommand {
                id: 0,
                at: self.now,
                amount,
                args: shorten(args, command.name),
                peer: client.peer.clone(),
                client_name: client.name.clone(),
            };
            self.command_log.of(why).add(kept, max);
        }
    }
}

/// The arguments of a command of this name, as they are kept.
fn shorten(args: Args<'_>, name: &str) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut words: Vec<Vec<u8>> = args
        .range(0, kept)
        .iter()
        .enumerate()
        .map(|(i, arg)| match arg.get(..ARG_MAX_BYTES) {
            _ if is_secret(name, args, i) => b"(redacted)".to_vec(),
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
        assert_eq!(shorten(argv.args(), "set")[1], [&long[..128], b"... (2 more bytes)"].concat());
        assert_eq!(shorten(argv.args(), "auth")[1], b"(redacted)");
        for _ in 0..31 {
            argv.push(b"y");
        }
        let words = shorten(argv.args(), "set");
        assert_eq!((words.len(), words[31].as_slice()), (32, &b"... (2 more arguments)"[..]));
        assert_eq!(shorten(argv.args().range(0, 32), "set")[31], b"y");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut log = KeptCommands::default();
        let kept = KeptCommand {
            id: 0,
            at: Millis::ZERO,
            amount: 1,
            args: Vec::new(),
            peer: String::new(),
            client_name: Vec::new(),
        };
        for _ in 0..5 {
            log.add(kept.clone(), 3);
        }
        assert_eq!(log.iter().map(|kept| kept.id).collect::<Vec<_>>(), [4, 3, 2]);
    }
}
