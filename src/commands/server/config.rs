//! CONFIG: the directives while the server runs.

use crate::commands::help::help;
use crate::config::{self, Change};
use crate::exec::client::{Client, ClientFlags};
use crate::exec::effect::ConfigRequest;
use crate::exec::{Arg, Command, Ctx, Done, Effect, Flags, Group, Server};
use crate::resp::{Args, ErrorReply};

const ADMIN: Flags = Flags::ADMIN.union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub const COMMANDS: &[Command] = &[Command::container(
    "config",
    &[
        Command::new("config|get", -3, get)
            .flags(ADMIN)
            .doc(Group::Server, "2.0.0", "O(N)", "Shows the directives whose names match.")
            .args(&[Arg::string("parameter").multiple()]),
        Command::new("config|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).doc(
            Group::Server,
            "5.0.0",
            "O(1)",
            "Prints this help.",
        ),
        Command::new("config|resetstat", 2, resetstat)
            .flags(ADMIN)
            .doc(Group::Server, "2.0.0", "O(1)", "Sets the counters of INFO to zero.")
            .tips(ALL_NODES),
        Command::new("config|rewrite", 2, rewrite)
            .flags(ADMIN)
            .doc(Group::Server, "2.8.0", "O(1)", "Writes the directives as they are into the configuration file.")
            .tips(ALL_NODES),
        Command::new("config|set", -4, set)
            .flags(ADMIN)
            .doc(Group::Server, "2.0.0", "O(N)", "Changes directives, all of them or none.")
            .tips(ALL_NODES)
            .args(&[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()]),
    ],
)
.doc(Group::Server, "2.0.0", "", "Directives while the server runs.")];

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let patterns: Vec<&[u8]> = args.from(2).iter().collect();
    let found = ctx.server.config.get_matching(&patterns);
    let reply = ctx.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk_str(name);
        reply.bulk(&value);
    }
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !args.len().is_multiple_of(2) {
        return Err(ErrorReply::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> = (2..args.len()).step_by(2).map(|i| (args.at(i), args.at(i + 1))).collect();
    let local = is_local(ctx.client);
    let is_held =
        |name: &[u8]| config::find(name).is_some_and(|known| known.flags.contains(config::Flags::NOT_LOADING));
    if ctx.server.is_loading() && pairs.iter().any(|(name, _)| is_held(name)) {
        return Err(ErrorReply::Loading);
    }
    let change =
        ctx.server.config.with_set(&pairs, local).map_err(|error| ErrorReply::text_of(format!("ERR {error}")))?;
    if Server::needs_outside(&change) {
        return apply_outside(ctx, &pairs, local, change);
    }
    ctx.server.reconfigure(change);
    ctx.reply().ok();
    Ok(())
}

fn apply_outside(ctx: &mut Ctx<'_>, pairs: &[(&[u8], &[u8])], local: bool, change: Change) -> Done {
    let request = ConfigRequest {
        token: ctx.park(),
        pairs: pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        local,
        names: change.changed.iter().map(|directive| directive.name).collect(),
        config: change.config,
    };
    ctx.effect(Effect::ApplyConfig(Box::new(request)));
    Ok(())
}

fn resetstat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.stats.reset();
    (ctx.server.saves.count, ctx.server.log_growth.rewrites) = (0, 0);
    ctx.server.reset_slot_stats();
    ctx.server.commands.reset_stats();
    ctx.server.keyspace.reset_stats();
    ctx.reply().ok();
    Ok(())
}

fn rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let token = ctx.park();
    ctx.effect(Effect::RewriteConfig { token, whole: false });
    Ok(())
}

/// Whether the client is on this machine: over the loopback or the Unix socket.
pub(super) fn is_local(client: &Client) -> bool {
    client.is(ClientFlags::UNIX_SOCKET) || client.peer_ip().is_some_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use crate::commands::bench::Bench;
    use crate::exec::loading::LoadedFacts;

    #[test]
    fn where_data_is_read_from_stays_while_it_is_read() {
        let mut bench = Bench::start();
        let client = bench.client();
        bench.server.begin_loading(bench.now, 1, false);
        for line in ["appendonly no", "repl-diskless-load disabled", "dir .", "maxmemory 0 APPENDONLY yes"] {
            let answer = bench.call(client, &format!("CONFIG SET {line}"));
            assert_eq!(answer, "-LOADING Redis is loading the dataset in memory", "{line}");
        }
        assert_eq!(bench.call(client, "CONFIG SET maxmemory 0"), "OK");
        bench.server.end_loading(bench.now, &LoadedFacts::default(), Ok(()));
        assert_eq!(bench.call(client, "CONFIG SET appendonly no"), "OK");
    }
}
