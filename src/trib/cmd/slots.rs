//! `trib slots`: which node serves which slots.

use serde::Serialize;

use super::Context;
use crate::base::SLOTS;
use crate::trib::cli::{SeedArgs, SheetArgs};
use crate::trib::error::Error;
use crate::trib::keycount;
use crate::trib::slotstats::{self, Metric};
use crate::trib::table::Sheet;
use crate::trib::view::ClusterView;

/// List the ranges of slots with their primaries and replicas, or the slots that are used most
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    seed: SeedArgs,
    /// Count the keys of every range
    #[arg(long)]
    keys: bool,
    /// Only the slots that are used most, so many of them
    #[arg(long, value_name = "COUNT", conflicts_with = "keys", value_parser = clap::value_parser!(u16).range(1..=SLOTS as i64))]
    hot: Option<u16>,
    /// By what they are used most
    #[arg(long, value_enum, default_value_t, requires = "hot")]
    by: Metric,
    #[command(flatten)]
    sheet: SheetArgs,
}

/// Slots in a row that one primary owns, or nobody.
#[derive(Serialize)]
struct Range {
    first: u16,
    last: u16,
    primary: Option<String>,
    replicas: Vec<String>,
    keys: Option<u64>,
    /// Slots of the range that are migrating or importing.
    open: String,
}

pub async fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let view = ClusterView::load(&ctx.pool, &args.seed.addr()?).await?;
    if let Some(count) = args.hot {
        return hot(ctx, args, &view, usize::from(count)).await;
    }
    let mut ranges = ranges(&view);
    if args.keys {
        let counts = keycount::load(&ctx.pool, &view).await?;
        for range in &mut ranges {
            let held = (range.first..=range.last).filter_map(crate::base::Slot::new).flat_map(|slot| {
                let counts = &counts;
                view.primaries().map(move |node| counts.get(&node.id, slot))
            });
            range.keys = Some(held.sum());
        }
    }
    let mut sheet = Sheet::new(&[">first", ">last", ">count", "primary", "replicas", ">keys", "open"]);
    for range in &ranges {
        sheet.add([
            range.first.to_string(),
            range.last.to_string(),
            (range.last - range.first + 1).to_string(),
            range.primary.clone().unwrap_or_else(|| "nobody".to_owned()),
            range.replicas.join(" "),
            range.keys.map(|keys| keys.to_string()).unwrap_or_default(),
            range.open.clone(),
        ]);
    }
    args.sheet.print(ctx.ui, &sheet, &ranges);
    Ok(())
}

async fn hot(ctx: &Context<'_>, args: &Args, view: &ClusterView, count: usize) -> Result<(), Error> {
    let slots = slotstats::hottest(&ctx.pool, view, args.by, count).await?;
    let mut sheet = Sheet::new(&[">slot", "primary", ">keys", ">cpu usec", ">bytes in", ">bytes out"]);
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    for slot in &slots {
        let counters = [slot.keys, slot.cpu_usec, slot.bytes_in, slot.bytes_out].map(number);
        sheet.add([slot.slot.to_string(), slot.primary.clone()].into_iter().chain(counters));
    }
    args.sheet.print(ctx.ui, &sheet, &slots);
    Ok(())
}

fn ranges(view: &ClusterView) -> Vec<Range> {
    let open = view.open_slots();
    let range = |first: crate::base::Slot, last: crate::base::Slot, primary: Option<String>, replicas| {
        let (first, last) = (first.get(), last.get());
        let open = open.iter().filter(|slot| (first..=last).contains(&slot.get()));
        Range {
            first,
            last,
            primary,
            replicas,
            keys: None,
            open: open.collect::<crate::trib::slots::SlotSet>().to_string(),
        }
    };
    let mut ranges = Vec::new();
    for node in view.primaries() {
        let replicas: Vec<String> = view.replicas_of(&node.id).map(|replica| replica.addr.to_string()).collect();
        for (first, last) in node.slots.ranges() {
            ranges.push(range(first, last, Some(node.addr.to_string()), replicas.clone()));
        }
    }
    for (first, last) in view.covered().complement().ranges() {
        ranges.push(range(first, last, None, Vec::new()));
    }
    ranges.sort_by_key(|range| range.first);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trib::view::tests::pair;

    #[test]
    fn ranges_are_in_order_and_gaps_are_shown() {
        let view = pair(["0-9 20-29 [7->-b]", "10-19"], ["10-19", "0-9 20-29"]);
        let told: Vec<_> = ranges(&view)
            .into_iter()
            .map(|range| (range.first, range.last, range.primary.unwrap_or_default(), range.open))
            .collect();
        let (a, b) = ("10.0.0.1:7000".to_owned(), "10.0.0.2:7000".to_owned());
        let none = String::new;
        assert_eq!(
            told,
            [(0, 9, a.clone(), "7".to_owned()), (10, 19, b, none()), (20, 29, a, none()), (30, 16383, none(), none())]
        );
    }
}
