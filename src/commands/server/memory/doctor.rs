//! MEMORY DOCTOR: what the numbers mean, in words.

use super::overview::{Overview, ratio};
use crate::exec::{Ctx, Done, Server};
use crate::resp::Args;

/// Below this there is too little to judge by.
const LITTLE_BYTES: u64 = 5 << 20;
/// What is lost for less than this is not worth a word.
const WORTH_BYTES: u64 = 10 << 20;
/// Buffers of a client, on average, that are large.
const CLIENT_BYTES: u64 = 200 << 10;
const REPLICA_BYTES: u64 = 10 << 20;

/// Something that may be wrong: whether it is, what it is called, and what it means.
struct Finding {
    holds: bool,
    name: &'static str,
    meaning: &'static str,
}

pub(super) fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let server = &*ctx.server;
    let sums = Overview::of(server, server.clients.iter().chain(std::iter::once(&*ctx.client)));
    let text = if sums.used < LITTLE_BYTES {
        "There is hardly anything in memory: nothing to examine yet.\n".to_owned()
    } else {
        diagnosis(&findings(server, &sums))
    };
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn findings(server: &Server, sums: &Overview) -> [Finding; 6] {
    let gauges = server.gauges;
    let (active, resident, rss) = (gauges.allocator_active_bytes, gauges.allocator_resident_bytes, gauges.rss_bytes);
    let exceeds = |whole: u64, part: u64, limit: f64| ratio(whole, part) > limit && whole - part > WORTH_BYTES;
    let on_average = |bytes: u64, count: u64| bytes.checked_div(count).unwrap_or(0);
    [
        Finding {
            holds: ratio(sums.peak, sums.used) > 1.5,
            name: "peak memory",
            meaning: "More than half as much again was in use before. The allocator may keep what was freed, so that the \
                      process looks larger than its data. MEMORY PURGE gives unused pages back.",
        },
        Finding {
            holds: exceeds(rss, sums.used, 1.4),
            name: "high fragmentation",
            meaning: "The process takes more than 1.4 times what its data need. Where the workload changed a lot, a \
                      restart or a failover to a fresh replica helps; see also the findings below.",
        },
        Finding {
            holds: exceeds(active, sums.used, 1.1),
            name: "fragmented pages",
            meaning: "More than a tenth of the pages in use is holes between values. Values of other sizes than the ones \
                      that went fill them only in part.",
        },
        Finding {
            holds: exceeds(resident, active, 1.1),
            name: "pages not given back",
            meaning: "The allocator holds pages that nothing uses. MEMORY PURGE gives them back at once.",
        },
        Finding {
            holds: on_average(sums.replicas, sums.replica_count) > REPLICA_BYTES,
            name: "large buffers of replicas",
            meaning: "Replicas do not keep up with what they are sent: look at the network between the servers, and at \
                      the load of the replicas.",
        },
        Finding {
            holds: on_average(sums.normal, sums.normal_count) > CLIENT_BYTES,
            name: "large buffers of clients",
            meaning: "Clients send or leave unread more than 200 KiB each: large values, long pipelines, or subscribers \
                      that are too slow. CLIENT LIST shows which (omem, qbuf), client-output-buffer-limit bounds them.",
        },
    ]
}

fn diagnosis(findings: &[Finding]) -> String {
    let found: Vec<String> =
        findings.iter().filter(|f| f.holds).map(|f| format!(" * {}: {}\n", f.name, f.meaning)).collect();
    if found.is_empty() {
        return "Nothing is wrong with the memory of this server.\n".to_owned();
    }
    format!("This is what stands out in the memory of this server:\n\n{}", found.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_is_told() {
        let finding = |holds, name| Finding { holds, name, meaning: "so" };
        assert!(diagnosis(&[finding(false, "a"), finding(false, "b")]).starts_with("Nothing"));
        let text = diagnosis(&[finding(false, "a"), finding(true, "b"), finding(true, "c")]);
        assert!(text.ends_with(":\n\n * b: so\n\n * c: so\n"), "{text}");
    }
}
