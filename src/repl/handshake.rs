//! What a replica says before it asks for the stream, and how it understands the answers. Pure: the state machine around
//! it is in `replica.rs`.

use std::collections::VecDeque;

use super::config::Config;
use super::history::ReplId;
use super::select::command;

/// What an awaited line answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Ping,
    Auth,
    /// Any REPLCONF; a primary that does not know the option may say so.
    Option,
    Psync,
}

/// The first words to a primary.
#[must_use]
pub fn ping() -> Vec<u8> {
    command(&[b"PING"])
}

/// Whether the answer to PING lets the handshake go on: a primary that wants a password first is alive too.
#[must_use]
pub fn ping_accepted(line: &[u8]) -> bool {
    let starts = |prefix: &[u8]| line.starts_with(prefix);
    starts(b"+") || starts(b"-NOAUTH") || starts(b"-NOPERM") || starts(b"-ERR operation not permitted")
}

fn authentication(config: &Config) -> (Vec<u8>, VecDeque<Step>) {
    let Some(auth) = &config.primary_auth else { return (Vec::new(), VecDeque::new()) };
    let words: &[&[u8]] = match &config.primary_user {
        Some(user) => &[b"AUTH", user, auth],
        None => &[b"AUTH", auth],
    };
    (command(words), VecDeque::from([Step::Auth]))
}

/// Everything before SYNC on the second link of a dual-channel synchronisation.
#[must_use]
pub fn second_introduction(config: &Config) -> (Vec<u8>, VecDeque<Step>) {
    let (mut out, mut steps) = authentication(config);
    let port = config.announce_port.to_string();
    out.extend(command(&[
        b"REPLCONF",
        b"capa",
        b"eof",
        b"rdb-only",
        b"1",
        b"rdb-channel",
        b"1",
        b"listening-port",
        port.as_bytes(),
        b"version",
        config.version.as_bytes(),
    ]));
    steps.push_back(Step::Option);
    if let Some(ip) = &config.announce_ip {
        out.extend(command(&[b"REPLCONF", b"ip-address", ip.as_bytes()]));
        steps.push_back(Step::Option);
    }
    (out, steps)
}

/// Everything between PING and PSYNC, written at once, with what each awaited line will answer.
#[must_use]
pub fn introduction(config: &Config) -> (Vec<u8>, VecDeque<Step>) {
    let (mut out, mut steps) = authentication(config);
    let mut say = |words: &[&[u8]]| {
        out.extend(command(words));
        steps.push_back(Step::Option);
    };
    say(&[b"REPLCONF", b"listening-port", config.announce_port.to_string().as_bytes()]);
    if let Some(ip) = &config.announce_ip {
        say(&[b"REPLCONF", b"ip-address", ip.as_bytes()]);
    }
    let mut able: Vec<&[u8]> = vec![b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"];
    if config.dual_channel {
        able.extend([&b"capa"[..], b"dual-channel"]);
    }
    say(&able);
    say(&[b"REPLCONF", b"version", config.version.as_bytes()]);
    if let Some(id) = &config.cluster_node_id {
        say(&[b"REPLCONF", b"SET-CLUSTER-NODE-ID", id.as_bytes()]);
    }
    (out, steps)
}

/// `PSYNC <id> <offset of the next byte>`, or `PSYNC ? -1` without a past.
#[must_use]
pub fn psync(past: Option<(ReplId, u64)>, failover: bool) -> Vec<u8> {
    let offset = past.map_or_else(|| "-1".to_owned(), |(_, offset)| (offset + 1).to_string());
    let id = past.as_ref().map_or(&b"?"[..], |(id, _)| id.as_bytes());
    let mut words: Vec<&[u8]> = vec![b"PSYNC", id, offset.as_bytes()];
    if failover {
        words.push(b"FAILOVER");
    }
    command(&words)
}

/// The answer to PSYNC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PsyncReply {
    FullResync {
        id: ReplId,
        offset: u64,
    },
    /// The snapshot is to be asked for over a second link.
    DualChannel,
    /// Go on; with an id if the primary told one.
    Continue(Option<ReplId>),
    /// The primary cannot now; ask again later.
    Later,
    /// A `+FULLRESYNC` that cannot be read.
    Malformed,
    /// The primary does not know PSYNC: ask in the old way.
    Unsupported,
}

/// Understands the answer to PSYNC.
#[must_use]
pub fn psync_reply(line: &[u8]) -> PsyncReply {
    if let Some(rest) = line.strip_prefix(b"+FULLRESYNC") {
        let mut words = rest.split(|&b| b == b' ').filter(|w| !w.is_empty());
        let id = words.next().and_then(ReplId::parse);
        let offset = words.next().and_then(crate::base::num::parse_i64).and_then(|n| u64::try_from(n).ok());
        return match (id, offset) {
            (Some(id), Some(offset)) => PsyncReply::FullResync { id, offset },
            _ => PsyncReply::Malformed,
        };
    }
    if let Some(rest) = line.strip_prefix(b"+CONTINUE") {
        return PsyncReply::Continue(ReplId::parse(rest.trim_ascii()));
    }
    if line == b"+DUALCHANNELSYNC" {
        return PsyncReply::DualChannel;
    }
    if line.starts_with(b"-NOMASTERLINK") || line.starts_with(b"-LOADING") {
        return PsyncReply::Later;
    }
    PsyncReply::Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn ping_answers() {
        for (line, good) in [
            ("+PONG", true),
            ("-NOAUTH Authentication required.", true),
            ("-NOPERM this user has no permissions", true),
            ("-ERR operation not permitted", true),
            ("-ERR unknown", false),
            ("-LOADING x", false),
            ("$4", false),
        ] {
            assert_eq!(ping_accepted(line.as_bytes()), good, "{line}");
        }
    }

    #[test]
    fn the_introduction_says_only_what_is_configured() {
        let mut config = Config { announce_port: 7001, version: "9.1.2".into(), ..Config::default() };
        let (bytes, steps) = introduction(&config);
        assert_eq!(steps, [Step::Option; 3]);
        let expected = concat!(
            "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n7001\r\n",
            "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n",
            "*3\r\n$8\r\nREPLCONF\r\n$7\r\nversion\r\n$5\r\n9.1.2\r\n",
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);

        config.primary_auth = Some(b"secret".to_vec());
        config.primary_user = Some(b"repl".to_vec());
        config.announce_ip = Some("10.0.0.9".into());
        let (bytes, steps) = introduction(&config);
        assert_eq!(steps, [Step::Auth, Step::Option, Step::Option, Step::Option, Step::Option]);
        assert!(bytes.starts_with(b"*3\r\n$4\r\nAUTH\r\n$4\r\nrepl\r\n$6\r\nsecret\r\n"));
    }

    #[test]
    fn psync_requests_and_answers() {
        let id = ReplId::random(&mut Rng::seeded(5));
        assert_eq!(psync(None, false), b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
        let ask = psync(Some((id, 99)), true);
        assert_eq!(
            String::from_utf8(ask).unwrap(),
            format!("*4\r\n$5\r\nPSYNC\r\n$40\r\n{id}\r\n$3\r\n100\r\n$8\r\nFAILOVER\r\n")
        );
        let read = |line: String| psync_reply(line.as_bytes());
        assert_eq!(read(format!("+FULLRESYNC {id} 123")), PsyncReply::FullResync { id, offset: 123 });
        assert_eq!(read(format!("+FULLRESYNC {id}")), PsyncReply::Malformed);
        assert_eq!(read(format!("+FULLRESYNC {id} -1")), PsyncReply::Malformed);
        assert_eq!(read("+FULLRESYNC abc 1".into()), PsyncReply::Malformed);
        assert_eq!(read(format!("+CONTINUE {id}")), PsyncReply::Continue(Some(id)));
        assert_eq!(read("+CONTINUE".into()), PsyncReply::Continue(None));
        assert_eq!(read("-NOMASTERLINK x".into()), PsyncReply::Later);
        assert_eq!(read("-LOADING x".into()), PsyncReply::Later);
        assert_eq!(read("-ERR unknown command".into()), PsyncReply::Unsupported);
    }
}
