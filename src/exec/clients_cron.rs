//! What clients are looked at for by time: who is idle for too long, who does not read, whose buffers are larger than what
//! is done with them.

use super::client::{Client, ClientFlags};
use super::effect::Effect;
use super::output::{OutputWatch, close_for_output};
use super::server::{Server, Switches};
use crate::base::Millis;

/// How long the peak of a client's replies counts.
pub const PEAK_RESET_MS: i64 = 5000;

/// A buffer of replies of this size is always let be.
const REPLY_KEPT_BYTES: usize = 1024;

/// Without a command for so long, a client has no buffer for requests.
const QUERY_KEPT_MS: i64 = 2000;

/// Between two looks at all clients: so long, and longer when they are many, but never longer than the most.
const PASS_MS: i64 = 100;
const PASS_MAX_MS: i64 = 1000;
const CLIENTS_PER_PASS_MS: i64 = 10;

impl Server {
    /// Looks at all clients, when that is due.
    pub(super) fn clients_cron(&mut self) {
        // Wall time may have been set back: then it is due at once.
        if (1..=PASS_MAX_MS).contains(&self.clients_pass_due.since(self.now)) {
            return;
        }
        let pass_ms = (self.clients.len() as i64 / CLIENTS_PER_PASS_MS).clamp(PASS_MS, PASS_MAX_MS);
        // A tick that comes a little early must not put it off by a whole one.
        self.clients_pass_due = self.now + (pass_ms - PASS_MS / 2);
        let Server { clients, outbox, config, stats, switches, now, .. } = self;
        let now = *now;
        let timeout_ms = config.timeout_secs * 1000;
        let watch = OutputWatch { limits: &config.client_output_buffer_limit, now };
        for client in clients.iter_mut().filter(|client| !client.is(ClientFlags::CLOSE_NOW)) {
            if watch.is_exceeded(client) {
                close_for_output(client, outbox);
                stats.closed_for_output += 1;
            } else if is_idle(client, timeout_ms, now) {
                client.flags |= ClientFlags::CLOSE_NOW;
                outbox.push(Effect::Wake(client.id));
            } else if wants_trim(client, switches, now) {
                client.flags |= ClientFlags::TRIM;
                outbox.push(Effect::Wake(client.id));
            }
        }
        self.clients.sum_up();
    }
}

fn is_idle(client: &Client, timeout_ms: i64, now: Millis) -> bool {
    let exempt = ClientFlags::REPLICA
        | ClientFlags::PRIMARY
        | ClientFlags::SLOT_IMPORT
        | ClientFlags::MONITOR
        | ClientFlags::PUBSUB;
    timeout_ms > 0
        && !client.flags.intersects(exempt)
        && client.parked.is_none()
        && now.since(client.last_interaction) > timeout_ms
}

/// Whether the client's connection holds much more room than it needs. Forgets the peak of its replies when that is due.
fn wants_trim(client: &mut Client, switches: &Switches, now: Millis) -> bool {
    if client.flags.intersects(ClientFlags::REPLICA | ClientFlags::PRIMARY | ClientFlags::SLOT_IMPORT) {
        return false;
    }
    let needed = reply_room(client).saturating_mul(2);
    let replies = !switches.reply_buffers_kept && client.reply_capacity() > needed + REPLY_KEPT_BYTES;
    if let Some(reset_ms) = switches.peak_reset_ms
        && now >= client.peak_reset_due
    {
        client.reply_peak_bytes = client.reply.buf.len();
        client.peak_reset_due = now + reset_ms;
    }
    let idle = now.since(client.last_interaction) > QUERY_KEPT_MS;
    replies || idle && client.query_bytes == 0 && client.query_capacity > 0
}

/// The size that a client's buffer of replies may keep.
#[must_use]
pub fn reply_room(client: &Client) -> usize {
    client.reply_peak_bytes.max(REPLY_KEPT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::ClientId;

    #[test]
    fn room_is_given_back_when_the_peak_is_long_ago() {
        let mut switches = Switches::default();
        let mut client = Client::new(ClientId(1), String::new(), String::new(), Millis::ZERO);
        client.reply.buf.reserve_exact(10_000);
        client.reply_peak_bytes = 8000;
        client.peak_reset_due = Millis(PEAK_RESET_MS);
        assert!(!wants_trim(&mut client, &switches, Millis(PEAK_RESET_MS - 1)), "the peak is near");
        assert!(!wants_trim(&mut client, &switches, Millis(PEAK_RESET_MS)), "it counts for the last time");
        assert_eq!(client.reply_peak_bytes, 0);
        assert!(wants_trim(&mut client, &switches, Millis(PEAK_RESET_MS + 1)));
        switches.reply_buffers_kept = true;
        assert!(!wants_trim(&mut client, &switches, Millis(PEAK_RESET_MS + 1)));

        switches = Switches { peak_reset_ms: None, ..Switches::default() };
        client.reply_peak_bytes = 8000;
        assert!(!wants_trim(&mut client, &switches, Millis(1 << 40)), "the peak is never forgotten");
        assert_eq!(client.reply_peak_bytes, 8000);
    }

    #[test]
    fn an_idle_client_has_no_buffer_for_requests() {
        let switches = Switches::default();
        let mut client = Client::new(ClientId(1), String::new(), String::new(), Millis::ZERO);
        client.query_capacity = 16_384;
        assert!(!wants_trim(&mut client, &switches, Millis(QUERY_KEPT_MS)));
        assert!(wants_trim(&mut client, &switches, Millis(QUERY_KEPT_MS + 1)));
        client.query_bytes = 3;
        assert!(!wants_trim(&mut client, &switches, Millis(QUERY_KEPT_MS + 1)), "a part of a request is in it");
        client.query_bytes = 0;
        client.flags |= ClientFlags::REPLICA;
        assert!(!wants_trim(&mut client, &switches, Millis(QUERY_KEPT_MS + 1)));
    }

    #[test]
    fn idle_clients_are_closed_but_not_those_who_wait() {
        let mut client = Client::new(ClientId(1), String::new(), String::new(), Millis::ZERO);
        assert!(!is_idle(&client, 0, Millis(1 << 40)), "without a timeout");
        assert!(!is_idle(&client, 1000, Millis(1000)));
        assert!(is_idle(&client, 1000, Millis(1001)));
        client.flags |= ClientFlags::PUBSUB;
        assert!(!is_idle(&client, 1000, Millis(1001)));
    }
}
