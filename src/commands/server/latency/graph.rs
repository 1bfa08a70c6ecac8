//! LATENCY GRAPH: the samples of an event as bars of text, the oldest on the left.

use std::fmt::Write as _;

use crate::exec::latency::{LatencyEvent, Sample, Series};

/// So many samples are drawn.
const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// The top of a bar: how far it reaches into its row.
const TOPS: [char; 3] = ['_', 'o', '#'];

/// The picture: a line of what it shows, the bars, and under each bar how long ago that was, from top to bottom.
pub fn draw(event: LatencyEvent, series: &Series, now_secs: i64) -> String {
    let samples: Vec<Sample> = series.samples().skip(series.samples().len().saturating_sub(COLUMNS)).collect();
    let high = samples.iter().map(|s| s.ms).max().unwrap_or(0);
    let low = samples.iter().map(|s| s.ms).min().unwrap_or(0);
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.name(),
        series.max_ms,
        "-".repeat(COLUMNS)
    );
    let levels = (ROWS * TOPS.len()) as u64;
    let heights: Vec<usize> =
        samples.iter().map(|s| ((s.ms - low) * levels / (high - low).max(1)).min(levels - 1) as usize).collect();
    for row in (0..ROWS).rev() {
        for height in &heights {
            text.push(match height.checked_sub(row * TOPS.len()) {
                None => ' ',
                Some(part) => TOPS.get(part).copied().unwrap_or('|'),
            });
        }
        text.push('\n');
    }
    let ages: Vec<Vec<char>> = samples.iter().map(|s| age(now_secs - s.at_secs).chars().collect()).collect();
    let longest = ages.iter().map(Vec::len).max().unwrap_or(0);
    for row in 0..=longest {
        let line: String = match row.checked_sub(1) {
            None => " ".repeat(ages.len()),
            Some(i) => ages.iter().map(|age| age.get(i).copied().unwrap_or(' ')).collect(),
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

/// A time ago in its largest whole unit.
fn age(secs: i64) -> String {
    match secs {
        ..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86_400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Millis;
    use crate::exec::latency::Latency;

    #[test]
    fn bars_and_ages() {
        let mut latency = Latency::default();
        for (second, ms) in [6, 10, 50, 34, 2, 100].into_iter().enumerate() {
            latency.note(LatencyEvent::Command, Millis(second as i64 * 1000), ms);
        }
        let series = latency.get(LatencyEvent::Command).unwrap();
        let text = draw(LatencyEvent::Command, series, 62);
        let expected = "\
command - high 100 ms, low 2 ms (all time high 100 ms)
--------------------------------------------------------------------------------
     #
     |
  #_ |
__||_|

111555
mmm987
   sss
";
        let trimmed: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        assert_eq!(trimmed, expected);
    }
}
