//! PING, ECHO, SELECT, QUIT, RESET.

use super::ANY_TIME;
use crate::commands::parse;
use crate::exec::client::{ClientFlags, ReplyMode};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply, Proto};

pub const COMMANDS: &[Command] = &[
    Command::new("ping", -1, ping)
        .flags(Flags::FAST)
        .acl(Acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Answers PONG, or what it was given.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[Arg::string("message").optional()]),
    Command::new("echo", 2, echo)
        .flags(Flags::FAST.union(Flags::LOADING).union(Flags::STALE))
        .acl(Acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Answers what it was given.")
        .args(&[Arg::string("message")]),
    Command::new("select", 2, select)
        .flags(Flags::ALLOW_BUSY.union(Flags::FAST).union(Flags::LOADING).union(Flags::STALE))
        .acl(Acl::CONNECTION)
        .doc(Group::Connection, "1.0.0", "O(1)", "Changes the database of this connection.")
        .args(&[Arg::int("index")]),
    Command::new("quit", -1, quit).flags(ANY_TIME).acl(Acl::CONNECTION).doc(
        Group::Connection,
        "1.0.0",
        "O(1)",
        "Closes the connection after the replies that are due.",
    ),
    Command::new("reset", 1, reset).flags(ANY_TIME).acl(Acl::CONNECTION).doc(
        Group::Connection,
        "6.2.0",
        "O(1)",
        "Makes the connection as it was when it was opened.",
    ),
];

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() <= 2 && ctx.client.is(ClientFlags::PUBSUB) && ctx.client.reply.proto == Proto::Resp2 {
        // What looks like a message is told apart from one by its first word.
        let reply = ctx.reply();
        reply.array(2);
        reply.bulk_str("pong");
        reply.bulk(args.get(1).unwrap_or_default());
        return Ok(());
    }
    match args.len() {
        1 => ctx.reply().simple("PONG"),
        2 => ctx.reply().bulk(args.at(1)),
        _ => return Err(ErrorReply::arity("ping")),
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.reply().bulk(args.at(1));
    Ok(())
}

fn select(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let db = i64::from(parse::int32(args.at(1))?);
    if ctx.server.config.cluster_enabled && ctx.server.keyspace.databases() == 1 && db != 0 {
        return Err(ErrorReply::Static("ERR SELECT is not allowed in cluster mode"));
    }
    if db < 0 || db >= i64::from(ctx.server.keyspace.databases()) {
        return Err(ErrorReply::DbOutOfRange);
    }
    ctx.client.db = db as u32;
    ctx.reply().ok();
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.reply().ok();
    ctx.client.flags |= ClientFlags::CLOSE_AFTER_REPLY;
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let Ctx { server, client, .. } = ctx;
    if client.is(ClientFlags::REPLICA) {
        return Err(ErrorReply::Static("ERR can only reset normal client connections"));
    }
    server.discard(client);
    server.stop_hearing(client);
    client.db = 0;
    client.name.clear();
    client.flags -= ClientFlags::ASKING
        | ClientFlags::READONLY
        | ClientFlags::NO_EVICT
        | ClientFlags::NO_TOUCH
        | ClientFlags::CAPA_REDIRECT
        | ClientFlags::IMPORT_SOURCE;
    client.reply_mode = ReplyMode::On;
    client.reply.proto = Proto::Resp2;
    client.authenticated = server.config.requirepass.is_empty();
    client.reply.simple("RESET");
    Ok(())
}
