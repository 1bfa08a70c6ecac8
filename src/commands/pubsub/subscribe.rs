//! SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and what ends them.

use crate::exec::client::ReplyMode;
use crate::exec::pubsub::confirm;
use crate::exec::push::Message;
use crate::exec::{Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::pubsub::Kind;
use crate::resp::{Args, Reply};

const LISTENS: Flags = Flags::LOADING.union(Flags::NOSCRIPT).union(Flags::PUBSUB).union(Flags::STALE);
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::NOT_KEY)];

pub const COMMANDS: &[Command] = &[
    Command::new("subscribe", -2, subscribe)
        .flags(LISTENS)
        .doc(Group::PubSub, "2.0.0", "O(N) where N is the number of channels", "Listens to channels.")
        .args(&[Arg::string("channel").multiple()]),
    Command::new("unsubscribe", -1, unsubscribe)
        .flags(LISTENS)
        .doc(Group::PubSub, "2.0.0", "O(N) where N is the number of channels", "Stops listening to channels.")
        .args(&[Arg::string("channel").optional().multiple()]),
    Command::new("psubscribe", -2, psubscribe)
        .flags(LISTENS)
        .doc(Group::PubSub, "2.0.0", "O(N) where N is the number of patterns", "Listens to all channels that match.")
        .args(&[Arg::pattern("pattern").multiple()]),
    Command::new("punsubscribe", -1, punsubscribe)
        .flags(LISTENS)
        .doc(Group::PubSub, "2.0.0", "O(N) where N is the number of patterns", "Stops listening to patterns.")
        .args(&[Arg::pattern("pattern").optional().multiple()]),
    Command::new("ssubscribe", -2, ssubscribe)
        .flags(LISTENS)
        .keys(SHARD_CHANNELS)
        .doc(Group::PubSub, "7.0.0", "O(N) where N is the number of channels", "Listens to shard channels.")
        .args(&[Arg::string("shardchannel").multiple()]),
    Command::new("sunsubscribe", -1, sunsubscribe)
        .flags(LISTENS)
        .keys(SHARD_CHANNELS)
        .doc(Group::PubSub, "7.0.0", "O(N) where N is the number of channels", "Stops listening to shard channels.")
        .args(&[Arg::string("shardchannel").optional().multiple()]),
];

fn subscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    listen(ctx, args, Kind::Channel)
}

fn psubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    listen(ctx, args, Kind::Pattern)
}

fn ssubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    listen(ctx, args, Kind::Shard)
}

fn unsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stop(ctx, args, Kind::Channel)
}

fn punsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stop(ctx, args, Kind::Pattern)
}

fn sunsubscribe(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stop(ctx, args, Kind::Shard)
}

fn listen(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Done {
    let word = match kind {
        Kind::Channel => "subscribe",
        Kind::Pattern => "psubscribe",
        Kind::Shard => "ssubscribe",
    };
    let mut reply = Reply::new(ctx.client.reply.proto);
    for name in args.from(1).iter() {
        ctx.server.subscribe(ctx.client, kind, name);
        confirm(&mut reply, word, Some(name), kind, ctx.server.pubsub.counts_of(ctx.client.id.into()));
    }
    answer(ctx, reply);
    Ok(())
}

fn stop(ctx: &mut Ctx<'_>, args: Args<'_>, kind: Kind) -> Done {
    let me = ctx.client.id.into();
    let mut reply = Reply::new(ctx.client.reply.proto);
    let mut end = |ctx: &mut Ctx<'_>, name: &[u8]| {
        ctx.server.unsubscribe(ctx.client, kind, name);
        confirm(&mut reply, unsubscribed(kind), Some(name), kind, ctx.server.pubsub.counts_of(me));
    };
    if args.len() > 1 {
        args.from(1).iter().for_each(|name| end(ctx, name));
    } else {
        let names = ctx.server.pubsub.names_of(me, kind);
        names.iter().for_each(|name| end(ctx, name));
        if names.is_empty() {
            confirm(&mut reply, unsubscribed(kind), None, kind, ctx.server.pubsub.counts_of(me));
        }
    }
    answer(ctx, reply);
    Ok(())
}

/// Confirmations are pushes: CLIENT REPLY OFF and SKIP do not silence them.
fn answer(ctx: &mut Ctx<'_>, confirmations: Reply) {
    if ctx.client.reply_mode == ReplyMode::On {
        ctx.reply().raw(&confirmations.buf);
    } else {
        ctx.server.own_messages.add(ctx.client.id, Message::written(confirmations));
    }
}

fn unsubscribed(kind: Kind) -> &'static str {
    match kind {
        Kind::Channel => "unsubscribe",
        Kind::Pattern => "punsubscribe",
        Kind::Shard => "sunsubscribe",
    }
}
