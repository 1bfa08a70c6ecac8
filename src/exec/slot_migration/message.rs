//! What the two ends of a migration say to each other: CLUSTER SYNCSLOTS and its subcommands.

use super::job::JobName;
use super::ranges::SlotRanges;
use crate::base::NodeId;
use crate::resp::args::push_command;
use crate::resp::{Args, Argv, ErrorReply, is_word};

/// A message without arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    Ack,
    SnapshotEof,
    RequestPause,
    Paused,
    RequestFailover,
    FailoverGranted,
    /// What the sender is capable of: of no interest yet.
    Capa,
}

const NAMES: [(&str, Message); 7] = [
    ("ACK", Message::Ack),
    ("SNAPSHOT-EOF", Message::SnapshotEof),
    ("REQUEST-PAUSE", Message::RequestPause),
    ("PAUSED", Message::Paused),
    ("REQUEST-FAILOVER", Message::RequestFailover),
    ("FAILOVER-GRANTED", Message::FailoverGranted),
    ("CAPA", Message::Capa),
];

impl Message {
    /// The message of this name, in any case.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Message> {
        NAMES.iter().find(|(name, _)| is_word(word, name)).map(|(_, message)| *message)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, message)| *message == self).map_or("", |(name, _)| name)
    }

    /// Appends it as a command.
    pub fn push(self, out: &mut Vec<u8>) {
        push_command(out, Argv::of(&[b"CLUSTER", b"SYNCSLOTS", self.name().as_bytes()]).args());
    }
}

/// `ESTABLISH SOURCE <id> NAME <job> SLOTSRANGE <first> <last> …`, the groups in any order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Establish {
    pub source: NodeId,
    pub name: JobName,
    pub ranges: SlotRanges,
}

impl Establish {
    /// Reads the words behind ESTABLISH.
    ///
    /// # Errors
    /// A syntax error, or what is wrong with the ranges.
    pub fn parse(args: Args<'_>) -> Result<Establish, ErrorReply> {
        let words: Vec<&[u8]> = args.iter().collect();
        let (mut source, mut name, mut ranges) = (None, None, None);
        let mut at = 0;
        while at < words.len() {
            let is = |word: &str| is_word(words[at], word);
            let id = words.get(at + 1).and_then(|word| NodeId::parse(word));
            if is("SOURCE") && source.is_none() && id.is_some() {
                source = id;
                at += 2;
            } else if is("NAME") && name.is_none() && id.is_some() {
                name = id;
                at += 2;
            } else if is("SLOTSRANGE") && ranges.is_none() {
                let is_number = |word: &&&[u8]| word.first().is_some_and(u8::is_ascii_digit) && word.len() < 40;
                let count = words[at + 1..].iter().take_while(is_number).count();
                ranges = Some(SlotRanges::parse(&words[at + 1..=at + count])?);
                at += 1 + count;
            } else {
                return Err(ErrorReply::Syntax);
            }
        }
        match (source, name, ranges) {
            (Some(source), Some(name), Some(ranges)) => Ok(Establish { source, name, ranges }),
            _ => Err(ErrorReply::Syntax),
        }
    }

    #[must_use]
    pub fn to_argv(&self) -> Argv {
        let mut argv = Argv::of(&[b"CLUSTER", b"SYNCSLOTS", b"ESTABLISH", b"SOURCE", self.source.as_bytes()]);
        argv.push(b"NAME").push(self.name.as_bytes()).push(b"SLOTSRANGE");
        self.ranges.push_words(&mut argv);
        argv
    }
}

/// `FINISH STATE success|failed NAME <job> [MESSAGE <text>]`, the groups in any order: what replicas and the log are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finish {
    pub name: JobName,
    pub success: bool,
    pub message: String,
}

impl Finish {
    /// Reads the words behind FINISH.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(args: Args<'_>) -> Result<Finish, ErrorReply> {
        let (mut name, mut success, mut message) = (None, None, None);
        for at in (0..args.len()).step_by(2) {
            let value = args.get(at + 1).ok_or(ErrorReply::Syntax)?;
            if args.is(at, "NAME") && name.is_none() {
                name = Some(NodeId::parse(value).ok_or(ErrorReply::Syntax)?);
            } else if args.is(at, "STATE") && success.is_none() {
                success = Some(match value {
                    v if is_word(v, "success") => true,
                    v if is_word(v, "failed") => false,
                    _ => return Err(ErrorReply::Syntax),
                });
            } else if args.is(at, "MESSAGE") && message.is_none() {
                message = Some(String::from_utf8_lossy(value).into_owned());
            } else {
                return Err(ErrorReply::Syntax);
            }
        }
        match (name, success) {
            (Some(name), Some(success)) => Ok(Finish { name, success, message: message.unwrap_or_default() }),
            _ => Err(ErrorReply::Syntax),
        }
    }

    #[must_use]
    pub fn to_argv(&self) -> Argv {
        let state: &[u8] = if self.success { b"success" } else { b"failed" };
        let mut argv = Argv::of(&[b"CLUSTER", b"SYNCSLOTS", b"FINISH", b"STATE", state]);
        argv.push(b"NAME").push(self.name.as_bytes());
        if !self.message.is_empty() {
            argv.push(b"MESSAGE").push(self.message.as_bytes());
        }
        argv
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    fn argv(text: &str) -> Argv {
        Argv::of(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn establish_in_any_order() {
        let (source, name) = (NodeId::random(&mut Rng::seeded(1)), NodeId::random(&mut Rng::seeded(2)));
        let made = Establish::parse(argv(&format!("slotsrange 1 2 7 7 name {name} SOURCE {source}")).args()).unwrap();
        assert_eq!((made.source, made.name, made.ranges.text().as_str()), (source, name, "1-2 7-7"));
        assert_eq!(Establish::parse(made.to_argv().args().from(3)), Ok(made));
        for bad in [
            format!("NAME {name} SOURCE {source}"),
            format!("NAME {name} NAME {name} SOURCE {source} SLOTSRANGE 1 2"),
            format!("NAME short SOURCE {source} SLOTSRANGE 1 2"),
            format!("NAME {name} SOURCE {source} SLOTSRANGE 1 2 MORE"),
            "SOURCE".to_owned(),
        ] {
            assert_eq!(Establish::parse(argv(&bad).args()), Err(ErrorReply::Syntax), "{bad}");
        }
    }

    #[test]
    fn finish_and_the_plain_ones() {
        let name = NodeId::random(&mut Rng::seeded(2));
        let finish = Finish { name, success: false, message: "two words".to_owned() };
        assert_eq!(Finish::parse(finish.to_argv().args().from(3)), Ok(finish));
        for bad in ["STATE success", "STATE maybe NAME x", "NAME", &format!("NAME {name} NAME {name}")] {
            assert_eq!(Finish::parse(argv(bad).args()), Err(ErrorReply::Syntax), "{bad}");
        }
        for (name, message) in NAMES {
            assert_eq!(Message::parse(name.to_lowercase().as_bytes()), Some(message));
            assert_eq!(message.name(), name);
        }
        assert_eq!(Message::parse(b"NACK"), None);
    }
}
