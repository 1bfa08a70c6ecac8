//! What can go wrong, whose fault it is, and what to do about it.
//!
//! Two layers: a [`Failure`] is what one node did to one command; an [`Error`] ends the run and becomes
//! the exit code. Every `Failure` can end the run, so it converts.

use std::time::Duration;

use super::addr::Addr;
use super::dial::NO_SUCH_ADDRESS;

/// What a conversation with one node ended in, when it did not end in a reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// No connection: refused, unreachable, unknown name, too slow.
    #[error("can't connect to node {node}: {reason}")]
    Connect { node: Addr, reason: String },
    /// An error reply, with the server's text.
    #[error("node {node} replied with error: {text}")]
    Reply { node: Addr, text: String },
    /// The connection broke before the reply was there.
    #[error("lost the connection to node {node}: {reason}")]
    Lost { node: Addr, reason: String },
    /// No reply in time. The command may still have been executed.
    #[error("node {node} did not answer within {} ms", waited.as_millis())]
    Timeout { node: Addr, waited: Duration },
    /// A reply that does not mean anything for the command sent.
    #[error("node {node} sent an unexpected reply: {reason}")]
    Unexpected { node: Addr, reason: String },
}

impl Failure {
    /// The node it happened with.
    #[must_use]
    pub fn node(&self) -> &Addr {
        match self {
            Failure::Connect { node, .. }
            | Failure::Reply { node, .. }
            | Failure::Lost { node, .. }
            | Failure::Timeout { node, .. }
            | Failure::Unexpected { node, .. } => node,
        }
    }

    /// The text of an error reply, if it is one.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        match self {
            Failure::Reply { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The first word of an error reply (`ERR`, `NOAUTH`, `BUSYKEY`), if it is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.reply().and_then(|text| text.split(' ').next())
    }

    /// What the reason is, without the node's name.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Failure::Connect { reason, .. } | Failure::Lost { reason, .. } | Failure::Unexpected { reason, .. } => {
                reason.clone()
            }
            Failure::Reply { text, .. } => text.clone(),
            Failure::Timeout { waited, .. } => format!("no answer within {} ms", waited.as_millis()),
        }
    }

    /// The node reads its data and answers when it is done.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        matches!(self, Failure::Reply { text, .. } if text.starts_with("LOADING"))
    }

    /// The node wants another password, or one at all.
    #[must_use]
    pub fn is_refused_login(&self) -> bool {
        self.reply().is_some_and(|text| {
            text.starts_with("NOAUTH") || text.starts_with("WRONGPASS") || text.contains("invalid password")
        })
    }

    /// What the operator can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Failure::Connect { node, reason } if reason.starts_with("TLS: ") => {
                Some(format!("does {node} speak TLS, and does --cacert name the authority of its certificate?"))
            }
            Failure::Timeout { node, .. } => {
                Some(format!("is {node} stopped or busy? --read-timeout gives it longer, another node may know more"))
            }
            Failure::Lost { node, .. } => Some(format!("did {node} stop, or does it expect --tls?")),
            Failure::Connect { reason, .. } if reason == NO_SUCH_ADDRESS => {
                Some("leave away -4 or -6, or name the node by an address of that kind".to_owned())
            }
            Failure::Connect { node, .. } => Some(format!("is a server running and listening on {node}?")),
            Failure::Reply { text, .. } if text.starts_with("NOAUTH") => {
                Some("give the password with -a, --askpass or the environment variable REDISCLI_AUTH".to_owned())
            }
            Failure::Reply { .. } if self.is_refused_login() => {
                Some("check the password (-a, --askpass, REDISCLI_AUTH) and the user (--user)".to_owned())
            }
            Failure::Reply { text, .. } if text.starts_with("NOPERM") => {
                Some("name a user who may run the command with --user".to_owned())
            }
            Failure::Reply { text, .. } if is_unread_text(text) => Some(TOO_OLD.to_owned()),
            _ => None,
        }
    }
}

/// What to do about a node that does not read what another one sends.
pub const TOO_OLD: &str = "the target is older than the source and does not read its values: give slots only to nodes as \
                           new as their owners, or upgrade it first ('trib status' shows the versions)";

/// Whether this is how a server says that it does not read the payload of DUMP that it was given, itself or through
/// MIGRATE.
#[must_use]
pub fn is_unread_text(text: &str) -> bool {
    const SAID: [&str; 3] = ["DUMP payload version or checksum", "Bad data format", "Unsupported foreign data type"];
    SAID.iter().any(|said| text.contains(said))
}

/// How a run ended, when it was not well. The number is the exit code of `trib`'s own grammar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It could not be done.
    Failed = 1,
    /// It was asked for wrongly; nothing was contacted.
    Usage = 2,
    /// The cluster is not healthy.
    Unhealthy = 3,
    /// A dry run found something to do.
    Pending = 4,
    /// The operator said no.
    Declined = 5,
    /// The time given was not enough.
    TimedOut = 6,
}

/// What there is to say about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// The report already said everything.
    Reported,
    /// Complete lines of the report, with their `[ERR]` or `***` where they have one.
    Message(String),
    /// One node's failure, worded by the grammar in use.
    Node(Failure),
}

/// What is said after Ctrl-C: at once, and after what was in flight was closed.
pub const INTERRUPTED: &str = "*** Interrupted.";
pub const STOPPED: &str = "*** stopped before everything was moved.";

/// The end of a run that did not go well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    pub kind: Kind,
    pub what: What,
    /// What to do next; goes to stderr.
    pub hint: Option<String>,
}

impl Error {
    /// A failure with the complete text of its report line.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Error {
        Error { kind: Kind::Failed, what: What::Message(message.into()), hint: None }
    }

    /// Wrong usage, found after the arguments were parsed.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Error {
        Error { kind: Kind::Usage, what: What::Message(message.into()), hint: None }
    }

    #[must_use]
    pub fn timed_out(message: impl Into<String>) -> Error {
        Error { kind: Kind::TimedOut, what: What::Message(message.into()), hint: None }
    }

    /// An end of this kind whose reasons the report has already given.
    #[must_use]
    pub fn reported(kind: Kind) -> Error {
        Error { kind, what: What::Reported, hint: None }
    }

    /// Whether the operator stopped it, with Ctrl-C.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        matches!(&self.what, What::Message(text) if text == INTERRUPTED || text == STOPPED)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let kind = if matches!(failure, Failure::Timeout { .. }) { Kind::TimedOut } else { Kind::Failed };
        Error { kind, hint: failure.hint(), what: What::Node(failure) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_becomes_an_error_with_its_hint() {
        let node: Addr = "127.0.0.1:7000".parse().unwrap();
        let failure = Failure::Reply { node: node.clone(), text: "NOAUTH Authentication required.".into() };
        assert_eq!(failure.code(), Some("NOAUTH"));
        let error = Error::from(failure);
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.hint.unwrap().contains("REDISCLI_AUTH"));
        let slow = Failure::Timeout { node, waited: Duration::from_millis(1500) };
        assert_eq!(slow.to_string(), "node 127.0.0.1:7000 did not answer within 1500 ms");
        assert_eq!(Error::from(slow).kind, Kind::TimedOut);
    }
}
