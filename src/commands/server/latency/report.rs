//! LATENCY DOCTOR: the samples in words, and what usually helps.

use std::fmt::Write as _;

use crate::exec::Server;
use crate::exec::latency::{LatencyEvent, Series};

/// The report.
pub fn write(server: &Server) -> String {
    let threshold_ms = server.config.latency_monitor_threshold_ms;
    if server.latency.iter().len() == 0 {
        return if threshold_ms == 0 {
            "Latency monitoring is off. Switch it on with \"CONFIG SET latency-monitor-threshold <milliseconds>\", and \
             ask again when it has seen something.\n"
                .to_owned()
        } else {
            format!("Nothing has taken {threshold_ms} ms or more so far.\n")
        };
    }
    let mut text = String::from("These took long:\n\n");
    for (n, (event, series)) in server.latency.iter().enumerate() {
        let _ = writeln!(text, "{}. {}: {}", n + 1, event.name(), summary(series));
    }
    text.push_str("\nWhat to look at:\n\n");
    for line in advice(server) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

fn summary(series: &Series) -> String {
    let count = series.samples().len() as u64;
    let average = series.samples().map(|s| s.ms).sum::<u64>() / count.max(1);
    let deviation = series.samples().map(|s| s.ms.abs_diff(average)).sum::<u64>() / count.max(1);
    let first = series.samples().next().map_or(0, |s| s.at_secs);
    let period = (series.latest().at_secs - first) as f64 / count.saturating_sub(1).max(1) as f64;
    format!(
        "{count} latency spikes (average {average}ms, mean deviation {deviation}ms, period {period:.2} sec). Worst all \
         time event {}ms.",
        series.max_ms
    )
}

fn advice(server: &Server) -> Vec<String> {
    let has = |event| server.latency.get(event).is_some();
    let (config, mut lines) = (&server.config, Vec::new());
    if has(LatencyEvent::Command) {
        let threshold_us = config.latency_monitor_threshold_ms * 1000;
        if config.slowlog_log_slower_than_us < 0 || config.slowlog_log_slower_than_us > threshold_us {
            lines.push(format!(
                "The slow log leaves out commands that are counted here: CONFIG SET slowlog-log-slower-than \
                 {threshold_us} makes it keep them."
            ));
        }
        lines.push("SLOWLOG GET shows which commands were slow, and who sent them.".to_owned());
        lines.push(
            "Commands over whole collections (KEYS, SORT, SMEMBERS, DEL of something large) keep everybody waiting: ask \
             for parts (SCAN, SSCAN), or split the collections."
                .to_owned(),
        );
    }
    if has(LatencyEvent::FastCommand) {
        lines.push(
            "A fast command that takes long was held up by the machine: look for swapping, a busy processor or a noisy \
             neighbour."
                .to_owned(),
        );
    }
    if has(LatencyEvent::ExpireCycle) {
        lines.push("Many keys expire at the same time: spread their times to live.".to_owned());
    }
    if has(LatencyEvent::AofWrite) || has(LatencyEvent::AofFsyncAlways) {
        lines.push(
            "The disk of the append-only file is slow: see who else writes to it, or choose a weaker appendfsync."
                .to_owned(),
        );
    }
    lines
}
