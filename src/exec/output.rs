//! How much output a client may have that it does not read: `client-output-buffer-limit`. Replicas are watched by the
//! replication engine.

use super::client::{Client, ClientFlags};
use super::effect::{Effect, LogLevel};
use super::server::Server;
use crate::base::Millis;
use crate::config::{OutputLimit, OutputLimits};

/// A batch that has written this much is looked at before its end.
pub const LOOK_BYTES: usize = 64 << 10;

/// Watches the output of clients of one moment.
#[derive(Clone, Copy)]
pub struct OutputWatch<'a> {
    pub limits: &'a OutputLimits,
    pub now: Millis,
}

impl OutputWatch<'_> {
    fn limit_of(self, client: &Client) -> OutputLimit {
        if client.is(ClientFlags::PUBSUB) { self.limits.pubsub } else { self.limits.normal }
    }

    /// Whether `client` has more output than it may, or has had for too long.
    #[must_use]
    pub fn is_exceeded(self, client: &mut Client) -> bool {
        let limit = self.limit_of(client);
        if limit.hard_bytes == 0 && limit.soft_bytes == 0
            || client.flags.intersects(ClientFlags::REPLICA | ClientFlags::PRIMARY | ClientFlags::LOADER)
        {
            client.over_soft_limit_since = None;
            return false;
        }
        let pending = (client.reply.buf.len() + client.unwritten_bytes()) as u64;
        if limit.hard_bytes > 0 && pending >= limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || pending < limit.soft_bytes {
            client.over_soft_limit_since = None;
            return false;
        }
        let since = *client.over_soft_limit_since.get_or_insert(self.now);
        self.now.since(since) > limit.soft_secs * 1000
    }
}

/// Closes a client that does not read: what it has not read yet is dropped at once.
pub fn close_for_output(client: &mut Client, outbox: &mut Vec<Effect>) {
    client.flags |= ClientFlags::CLOSE_NOW;
    client.reply.buf = Vec::new();
    let text = format!(
        "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits.",
        client.id.0, client.peer
    );
    outbox.push(Effect::Log(LogLevel::Warning, text));
    outbox.push(Effect::Wake(client.id));
}

impl Server {
    /// Closes `client`, whose commands are running, if it has more output than it may.
    pub(super) fn check_output(&mut self, client: &mut Client) {
        let watch = OutputWatch { limits: &self.config.client_output_buffer_limit, now: self.now };
        if !client.is(ClientFlags::CLOSE_NOW) && watch.is_exceeded(client) {
            close_for_output(client, &mut self.outbox);
            self.stats.closed_for_output += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::ClientId;

    #[test]
    fn hard_at_once_and_soft_after_a_while() {
        let limit = |hard_bytes, soft_bytes, soft_secs| OutputLimit { hard_bytes, soft_bytes, soft_secs };
        let limits = OutputLimits { normal: limit(0, 0, 0), replica: limit(1, 1, 1), pubsub: limit(1000, 100, 2) };
        let mut client = Client::new(ClientId(1), String::new(), String::new(), Millis::ZERO);
        let over = |client: &mut Client, bytes: usize, ms: i64| {
            client.reply.buf.resize(bytes, 0);
            OutputWatch { limits: &limits, now: Millis(ms) }.is_exceeded(client)
        };
        assert!(!over(&mut client, 5000, 0));
        client.flags |= ClientFlags::PUBSUB;
        assert!(over(&mut client, 1000, 0));
        assert!(!over(&mut client, 99, 0));
        assert!(!over(&mut client, 100, 10_000));
        assert!(!over(&mut client, 200, 12_000));
        assert!(over(&mut client, 200, 12_001));
        assert!(!over(&mut client, 99, 12_002));
        assert!(!over(&mut client, 100, 12_003));
        client.flags |= ClientFlags::REPLICA;
        assert!(!over(&mut client, 5000, 12_003));
    }
}
