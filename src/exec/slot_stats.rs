//! What each slot costs: time of the CPU and bytes of the network, counted while `cluster-slot-stats-enabled`.

use super::client::Client;
use super::server::Server;
use super::spec::Command;
use crate::base::{SLOTS, Slot, key_slot};
use crate::resp::Args;

/// The costs of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotUse {
    pub cpu_usec: u64,
    /// Requests, as they came.
    pub bytes_in: u64,
    /// Replies, messages of shard channels to those who listen here, and what went to replicas.
    pub bytes_out: u64,
}

/// The costs of all slots.
#[derive(Debug)]
pub struct SlotStats(Box<[SlotUse]>);

impl Default for SlotStats {
    fn default() -> SlotStats {
        SlotStats(vec![SlotUse::default(); SLOTS].into())
    }
}

impl SlotStats {
    #[must_use]
    pub fn of(&self, slot: Slot) -> SlotUse {
        self.0[slot.index()]
    }

    pub fn of_mut(&mut self, slot: Slot) -> &mut SlotUse {
        &mut self.0[slot.index()]
    }
}

/// What one call was.
pub(super) struct SlotWork {
    pub usec: u64,
    pub reply_bytes: usize,
    /// Of the replication stream, when it began.
    pub offset: u64,
}

/// Bytes of a request as it came over the network.
fn request_bytes(args: Args<'_>) -> usize {
    let line = |n: usize| 3 + n.checked_ilog10().map_or(1, |digits| digits as usize + 1);
    line(args.len()) + args.iter().map(|arg| line(arg.len()) + arg.len() + 2).sum::<usize>()
}

impl Server {
    /// Begins or ends to count, as the configuration says.
    pub(super) fn switch_slot_stats(&mut self) {
        let wanted = self.config.cluster_enabled && self.config.cluster_slot_stats_enabled;
        if wanted != self.slot_stats.is_some() {
            self.slot_stats = wanted.then(Box::default);
        }
    }

    /// Counts one call. The commands of an EXEC are counted one by one, and what they wrote with the EXEC.
    pub(super) fn count_slot(&mut self, client: &Client, command: &Command, args: Args<'_>, work: SlotWork) {
        let (Some(stats), Some(slot)) = (&mut self.slot_stats, client.slot) else { return };
        let used = stats.of_mut(slot);
        let stream_bytes = self.repl.offset().saturating_sub(work.offset);
        if stream_bytes > 0 {
            used.bytes_out += stream_bytes * self.repl.replicas().count() as u64;
        }
        if command.name != "exec" {
            used.cpu_usec += work.usec;
            used.bytes_in += request_bytes(args) as u64;
            used.bytes_out += work.reply_bytes as u64;
        }
    }

    /// Counts the messages that a shard channel has sent to its listeners here, whoever published it.
    pub(super) fn count_shard_messages(&mut self, channel: &[u8], bytes: usize) {
        if let Some(stats) = &mut self.slot_stats {
            stats.of_mut(key_slot(channel)).bytes_out += bytes as u64;
        }
    }

    /// Slots that are another shard's now begin anew when they come back.
    pub(super) fn forget_lost_slot_stats(&mut self) {
        let (Some(stats), Some(engine)) = (&mut self.slot_stats, &self.cluster) else { return };
        for slot in Slot::all().filter(|slot| !engine.is_in_my_shard(*slot)) {
            *stats.of_mut(slot) = SlotUse::default();
        }
    }

    /// All counters back to zero.
    pub fn reset_slot_stats(&mut self) {
        if let Some(stats) = &mut self.slot_stats {
            **stats = SlotStats::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Argv;

    #[test]
    fn requests_are_as_long_as_their_encoding() {
        for words in [&[&b"GET"[..], b"k"][..], &[b"SET", &[b'x'; 1000], b""], &[b"a".as_slice(); 12]] {
            let mut encoded = Vec::new();
            crate::resp::args::push_command(&mut encoded, Argv::of(words).args());
            assert_eq!(request_bytes(Argv::of(words).args()), encoded.len());
        }
    }
}
