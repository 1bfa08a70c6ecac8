//! CLIENT-EVICTION: how much memory clients hold. REPLICATE: what replicas are sent.

use std::fmt::Write as _;

use crate::commands::parse;
use crate::config::ClientsMemory;
use crate::exec::client::Client;
use crate::exec::clients_cron::PEAK_RESET_MS;
use crate::exec::{Ctx, Done};
use crate::resp::{Args, ErrorReply, is_word};

/// Buckets of clients by their memory: below 32 KiB, then twice as much each, from 4 GiB on the last.
const BUCKETS: u32 = 19;
const FIRST_BITS: u32 = 15;

/// The clients that count against `maxmemory-clients`, by their memory.
pub fn eviction(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if ctx.server.config.maxmemory_clients == ClientsMemory::Bytes(0) {
        return Err(ErrorReply::Static("ERR maxmemory-clients is disabled."));
    }
    let mut buckets = [(0, 0); BUCKETS as usize];
    let all = ctx.server.clients.iter().chain(std::iter::once(&*ctx.client));
    for bytes in all.filter(|client| client.counts_as_client()).map(Client::memory_bytes) {
        let (sum, count) = &mut buckets[bucket_of(bytes)];
        *sum += bytes;
        *count += 1;
    }
    let text = told(&buckets);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn bucket_of(bytes: usize) -> usize {
    let bits = usize::BITS - bytes.leading_zeros();
    bits.saturating_sub(FIRST_BITS).min(BUCKETS - 1) as usize
}

/// Per bucket its bounds, the memory of its clients and their number.
fn told(buckets: &[(usize, usize)]) -> String {
    let mut text = String::new();
    for (i, (bytes, count)) in buckets.iter().enumerate() {
        let least = if i == 0 { 0 } else { 1u64 << (i + FIRST_BITS as usize - 1) };
        let most = (1u64 << (i + FIRST_BITS as usize)) - 1;
        let _ = write!(text, "bucket {least:10}");
        let _ = if i + 1 == buckets.len() { write!(text, "+            : ") } else { write!(text, " - {most:10}: ") };
        let _ = writeln!(text, "tot-mem: {bytes:10}, clients: {count}");
    }
    text
}

/// Sends a command to the replicas that is not run here.
pub fn replicate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.server.feed_replicas(args.from(2));
    ctx.reply().ok();
    Ok(())
}

/// When buffers of replies are given back.
pub fn reply_buffer(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let switches = &mut ctx.server.switches;
    if args.is(2, "PEAK-RESET-TIME") {
        switches.peak_reset_ms = match args.at(3) {
            word if is_word(word, "never") => None,
            word if is_word(word, "reset") => Some(PEAK_RESET_MS),
            word => Some(parse::int(word)?),
        };
        let reset_ms = switches.peak_reset_ms.unwrap_or(PEAK_RESET_MS);
        let due = ctx.server.now + reset_ms;
        for client in ctx.server.clients.iter_mut() {
            client.peak_reset_due = client.peak_reset_due.min(due);
        }
    } else if args.is(2, "RESIZING") {
        switches.reply_buffers_kept = parse::int(args.at(3))? == 0;
    } else {
        return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "DEBUG"));
    }
    ctx.reply().ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_by_memory() {
        for (bytes, bucket) in
            [(0, 0), (32_767, 0), (32_768, 1), (65_536, 2), ((4 << 30) - 1, 17), (4 << 30, 18), (usize::MAX, 18)]
        {
            assert_eq!(bucket_of(bytes), bucket, "{bytes}");
        }
        let text = told(&[(5, 1), (40_000, 1), (0, 0)]);
        assert_eq!(
            text,
            "bucket          0 -      32767: tot-mem:          5, clients: 1\n\
             bucket      32768 -      65535: tot-mem:      40000, clients: 1\n\
             bucket      65536+            : tot-mem:          0, clients: 0\n"
        );
    }
}
