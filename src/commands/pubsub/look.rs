//! PUBSUB: who listens to what, on this server.

use crate::commands::help::help;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group};
use crate::pubsub::Kind;
use crate::resp::{Args, ErrorReply};

const LOOKS: Flags = Flags::LOADING.union(Flags::PUBSUB).union(Flags::STALE);

pub const COMMANDS: &[Command] =
    &[Command::container("pubsub", SUBCOMMANDS).doc(Group::PubSub, "2.8.0", "", "Who listens to what.")];

const SUBCOMMANDS: &[Command] = &[
    Command::new("pubsub|channels", -2, channels)
        .flags(LOOKS)
        .doc(Group::PubSub, "2.8.0", "O(N) where N is the number of channels", "Names the channels with listeners.")
        .args(&[Arg::pattern("pattern").optional()]),
    Command::new("pubsub|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).doc(
        Group::PubSub,
        "6.2.0",
        "O(1)",
        "Gives this text.",
    ),
    Command::new("pubsub|numpat", 2, numpat).flags(LOOKS).doc(
        Group::PubSub,
        "2.8.0",
        "O(1)",
        "Counts the patterns with listeners.",
    ),
    Command::new("pubsub|numsub", -2, numsub)
        .flags(LOOKS)
        .doc(Group::PubSub, "2.8.0", "O(N) where N is the number of channels", "Counts the listeners of channels.")
        .args(&[Arg::string("channel").optional().multiple()]),
    Command::new("pubsub|shardchannels", -2, shardchannels)
        .flags(LOOKS)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of channels",
            "Names the shard channels with listeners.",
        )
        .args(&[Arg::pattern("pattern").optional()]),
    Command::new("pubsub|shardnumsub", -2, shardnumsub)
        .flags(LOOKS)
        .doc(
            Group::PubSub,
            "7.0.0",
            "O(N) where N is the number of channels",
            "Counts the listeners of shard channels.",
        )
        .args(&[Arg::string("shardchannel").optional().multiple()]),
];

fn channels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    names(ctx, args, Kind::Channel)
}

fn shardchannels(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    names(ctx, args, Kind::Shard)
}

fn names(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Done {
    if args.len() > 3 {
        return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "PUBSUB"));
    }
    let names = ctx.server.pubsub.names(kind, args.get(2));
    let reply = ctx.reply();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn numpat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let patterns = ctx.server.pubsub.totals().patterns;
    ctx.reply().uint(patterns);
    Ok(())
}

fn numsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    listeners(ctx, args, Kind::Channel)
}

fn shardnumsub(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    listeners(ctx, args, Kind::Shard)
}

fn listeners(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Done {
    let channels = args.from(2);
    ctx.reply().array(2 * channels.len());
    for channel in channels.iter() {
        let count = ctx.server.pubsub.count(kind, channel);
        ctx.reply().bulk(channel);
        ctx.reply().uint(count);
    }
    Ok(())
}
