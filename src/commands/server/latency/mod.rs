//! LATENCY: what was slow, and how long commands take.

mod graph;
mod report;

use crate::commands::help::help;
use crate::exec::latency::LatencyEvent;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply};

const ADMIN: Flags = Flags::ADMIN.union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE);
const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// How much of an event's name an error shows.
const SHOWN_NAME_BYTES: usize = 128;

pub const COMMANDS: &[Command] = &[Command::container(
    "latency",
    &[
        Command::new("latency|doctor", 2, doctor)
            .flags(ADMIN)
            .doc(Group::Server, "2.8.13", "O(1)", "Tells in words what was slow and what to do about it.")
            .tips(TIPS),
        Command::new("latency|graph", 3, graph)
            .flags(ADMIN)
            .doc(Group::Server, "2.8.13", "O(1)", "Draws the samples of an event.")
            .tips(TIPS)
            .args(&[Arg::string("event")]),
        Command::new("latency|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).doc(
            Group::Server,
            "2.8.13",
            "O(1)",
            "Gives this text.",
        ),
        Command::new("latency|histogram", -2, histogram)
            .flags(ADMIN)
            .doc(Group::Server, "7.0.0", "O(N)", "Shows how long the calls of commands took, all together.")
            .tips(TIPS)
            .args(&[Arg::string("command").optional().multiple()]),
        Command::new("latency|history", 3, history)
            .flags(ADMIN)
            .doc(Group::Server, "2.8.13", "O(1)", "Shows the samples of an event: when, and how many milliseconds.")
            .tips(TIPS)
            .args(&[Arg::string("event")]),
        Command::new("latency|latest", 2, latest)
            .flags(ADMIN)
            .doc(Group::Server, "2.8.13", "O(1)", "Shows the latest and the worst sample of every event.")
            .tips(TIPS),
        Command::new("latency|reset", -2, reset)
            .flags(ADMIN)
            .doc(Group::Server, "2.8.13", "O(1)", "Forgets the samples of these events, or of all.")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum"])
            .args(&[Arg::string("event").optional().multiple()]),
    ],
)
.doc(Group::Server, "2.8.13", "", "What was slow.")];

fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let text = report::write(ctx.server);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn graph(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (name, now_secs) = (args.at(2), ctx.now.secs());
    let found = LatencyEvent::find(name).and_then(|event| Some((event, ctx.server.latency.get(event)?)));
    let Some((event, series)) = found else {
        let name = shown(name, SHOWN_NAME_BYTES);
        return Err(ErrorReply::text_of(format!("ERR No samples available for event '{name}'")));
    };
    let text = graph::draw(event, series, now_secs);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn histogram(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Ctx { server, client, .. } = ctx;
    let found = server.commands.with_latency(args.from(2));
    client.reply.map(found.len());
    for (command, histogram) in found {
        client.reply.bulk_str(command.name);
        client.reply.map(2);
        client.reply.bulk_str("calls");
        client.reply.int(histogram.total() as i64);
        client.reply.bulk_str("histogram_usec");
        let steps = histogram.cumulative();
        client.reply.map(steps.len());
        for (usec, calls) in steps {
            client.reply.int(usec as i64);
            client.reply.int(calls as i64);
        }
    }
    Ok(())
}

fn history(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Ctx { server, client, .. } = ctx;
    let Some(series) = LatencyEvent::find(args.at(2)).and_then(|event| server.latency.get(event)) else {
        client.reply.array(0);
        return Ok(());
    };
    client.reply.array(series.samples().len());
    for sample in series.samples() {
        client.reply.array(2);
        client.reply.int(sample.at_secs);
        client.reply.int(sample.ms as i64);
    }
    Ok(())
}

fn latest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let Ctx { server, client, .. } = ctx;
    client.reply.array(server.latency.iter().len());
    for (event, series) in server.latency.iter() {
        client.reply.array(4);
        client.reply.bulk_str(event.name());
        let last = series.latest();
        client.reply.int(last.at_secs);
        client.reply.int(last.ms as i64);
        client.reply.int(series.max_ms as i64);
    }
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let latency = &mut ctx.server.latency;
    let forgotten = if args.len() == 2 {
        latency.clear()
    } else {
        args.from(2).iter().filter(|name| LatencyEvent::find(name).is_some_and(|event| latency.forget(event))).count()
    };
    ctx.reply().uint(forgotten);
    Ok(())
}
