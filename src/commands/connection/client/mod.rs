//! CLIENT: who is connected, and how the server treats them.

mod filter;
mod line;
mod tracking;

use filter::{Filter, Filters, Purpose};

use super::hello::check_name;
use crate::base::num;
use crate::commands::help::help;
use crate::exec::client::{ClientFlags, ClientId, Parked, ReplyMode};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply, is_word};

const SEEN: Flags = Flags::LOADING.union(Flags::NOSCRIPT).union(Flags::STALE);
const OWN: Flags = SEEN.union(Flags::ALLOW_BUSY);
const ADMIN: Flags = SEEN.union(Flags::ADMIN);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ON_OFF: &[Arg] = &[Arg::one_of("enabled", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")])];

pub const COMMANDS: &[Command] = &[Command::container("client", SUBCOMMANDS).doc(
    Group::Connection,
    "2.4.0",
    "",
    "Who is connected, and how the server treats them.",
)];

const fn sub(name: &'static str, arity: i32, handler: crate::exec::spec::Handler, flags: Flags) -> Command {
    Command::new(name, arity, handler).flags(flags).acl(Acl::CONNECTION)
}

const SUBCOMMANDS: &[Command] = &[
    sub("client|caching", 3, tracking::caching, OWN)
        .doc(Group::Connection, "6.0.0", "O(1)", "Says whether what the next command reads is cached.")
        .args(&[Arg::one_of("mode", &[Arg::flag("yes", "YES"), Arg::flag("no", "NO")])]),
    sub("client|capa", -3, capa, OWN)
        .doc(Group::Connection, "8.0.0", "O(1)", "Names what the client understands; what is unknown here is ignored.")
        .args(&[Arg::string("capability").multiple()]),
    sub("client|getname", 2, getname, OWN).doc(Group::Connection, "2.6.9", "O(1)", "Gives this connection's name."),
    sub("client|getredir", 2, tracking::getredir, OWN).doc(
        Group::Connection,
        "6.0.0",
        "O(1)",
        "Gives the client to which invalidations are sent: 0 for this one, -1 for none.",
    ),
    sub("client|help", 2, help, Flags::LOADING.union(Flags::STALE)).doc(
        Group::Connection,
        "5.0.0",
        "O(1)",
        "Gives this text.",
    ),
    sub("client|id", 2, id, OWN).doc(Group::Connection, "5.0.0", "O(1)", "Gives this connection's number."),
    sub("client|import-source", 3, import_source, SEEN)
        .doc(
            Group::Connection,
            "8.1.0",
            "O(1)",
            "Says that this connection brings data from elsewhere and sees keys whose time is over, or does not.",
        )
        .args(ON_OFF),
    sub("client|info", 2, info, SEEN)
        .doc(Group::Connection, "6.2.0", "O(1)", "Describes this connection.")
        .tips(&["nondeterministic_output"]),
    sub("client|kill", -3, kill, ADMIN)
        .doc(Group::Connection, "2.4.0", "O(N)", "Closes the connections that match.")
        .args(&[Arg::one_of(
            "filter",
            &[
                Arg::string("old-format").deprecated("2.8.12").display("ip:port"),
                Arg::one_of("new-format", filter::KILL_ARGS).multiple(),
            ],
        )]),
    sub("client|list", -2, list, ADMIN)
        .doc(Group::Connection, "2.4.0", "O(N)", "Describes the connections that match, one a line.")
        .tips(&["nondeterministic_output"])
        .args(filter::LIST_ARGS),
    sub("client|no-evict", 3, no_evict, OWN.union(Flags::ADMIN))
        .doc(Group::Connection, "7.0.0", "O(1)", "Keeps this connection when memory runs out, or does not.")
        .args(ON_OFF),
    sub("client|no-touch", 3, no_touch, OWN)
        .doc(Group::Connection, "7.2.0", "O(1)", "Makes this connection's uses of keys leave no trace, or does not.")
        .args(ON_OFF),
    sub("client|pause", -3, pause, ADMIN)
        .doc(Group::Connection, "3.0.0", "O(1)", "Makes commands, or those that write, wait for some milliseconds.")
        .args(&[
            Arg::int("timeout"),
            Arg::one_of("mode", &[Arg::flag("write", "WRITE"), Arg::flag("all", "ALL")]).since("6.2.0").optional(),
        ]),
    sub("client|reply", 3, reply, OWN.union(Flags::NO_MULTI))
        .doc(Group::Connection, "3.2.0", "O(1)", "Turns replies on or off, or skips the next.")
        .args(&[Arg::one_of("action", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF"), Arg::flag("skip", "SKIP")])]),
    sub("client|setinfo", 4, setinfo, OWN)
        .doc(Group::Connection, "7.2.0", "O(1)", "Names the library that this connection uses, or its version.")
        .tips(ALL_NODES)
        .args(&[Arg::one_of(
            "attr",
            &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")],
        )]),
    sub("client|setname", 3, setname, OWN)
        .doc(Group::Connection, "2.6.9", "O(1)", "Names this connection.")
        .tips(ALL_NODES)
        .args(&[Arg::string("connection-name")]),
    sub("client|tracking", -3, tracking::tracking, SEEN)
        .doc(
            Group::Connection,
            "6.0.0",
            "O(1), and O(N) for N prefixes",
            "Tells this connection when what it has read is changed, or no more.",
        )
        .args(tracking::ARGS),
    sub("client|trackinginfo", 2, tracking::trackinginfo, SEEN).doc(
        Group::Connection,
        "6.2.0",
        "O(1)",
        "Describes how this connection tracks.",
    ),
    sub("client|unblock", -3, unblock, ADMIN)
        .doc(Group::Connection, "5.0.0", "O(log N)", "Ends the wait of a client.")
        .args(&[
            Arg::int("client-id"),
            Arg::one_of("unblock-type", &[Arg::flag("timeout", "TIMEOUT"), Arg::flag("error", "ERROR")]).optional(),
        ]),
    sub("client|unpause", 2, unpause, ADMIN).doc(Group::Connection, "6.2.0", "O(N)", "Ends a pause."),
];

fn id(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let id = ctx.client.id.0;
    ctx.reply().int(id as i64);
    Ok(())
}

fn capa(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.from(2).iter().any(|word| is_word(word, "redirect")) {
        ctx.client.flags |= ClientFlags::CAPA_REDIRECT;
    }
    ctx.reply().ok();
    Ok(())
}

fn import_source(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !ctx.server.config.import_mode {
        return Err(ErrorReply::Static("ERR Server is not in import mode"));
    }
    switch(ctx, args, ClientFlags::IMPORT_SOURCE)
}

fn getname(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let client = &mut *ctx.client;
    if client.name.is_empty() {
        client.reply.null();
    } else {
        client.reply.bulk(&client.name);
    }
    Ok(())
}

fn setname(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    check_name(args.at(2))?;
    ctx.client.name = args.at(2).to_vec();
    ctx.reply().ok();
    Ok(())
}

fn setinfo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (attribute, value) = (args.at(2), args.at(3));
    let shown = crate::resp::error::shown(attribute, 128);
    let client = &mut *ctx.client;
    let field = if args.is(2, "lib-name") {
        &mut client.lib_name
    } else if args.is(2, "lib-ver") {
        &mut client.lib_ver
    } else {
        return Err(ErrorReply::text_of(format!("ERR Unrecognized option '{shown}'")));
    };
    if check_name(value).is_err() {
        return Err(ErrorReply::text_of(format!("ERR {shown} cannot contain spaces, newlines or special characters.")));
    }
    *field = value.to_vec();
    client.reply.ok();
    Ok(())
}

fn info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let mut text = Vec::new();
    line::push(&mut text, ctx.client, ctx.server, ctx.now);
    ctx.reply().verbatim("txt", &text);
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let filters = Filters::parse(args.from(2), Purpose::List, ctx.server.keyspace.databases())?;
    let mut text = Vec::new();
    let mut clients: Vec<_> = ctx.server.clients.iter().chain(std::iter::once(&*ctx.client)).collect();
    clients.sort_unstable_by_key(|client| client.id);
    for client in clients {
        if filters.match_client(client, ctx.client.id, ctx.now) {
            line::push(&mut text, client, ctx.server, ctx.now);
        }
    }
    ctx.reply().verbatim("txt", &text);
    Ok(())
}

fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let old_form = args.len() == 3;
    let filters = if old_form {
        let addr = String::from_utf8_lossy(args.at(2)).into_owned();
        Filters::of(Filter::Addr(addr))
    } else {
        Filters::parse(args.from(2), Purpose::Kill, ctx.server.keyspace.databases())?
    };
    let (me, now) = (ctx.client.id, ctx.now);
    let killed: Vec<ClientId> =
        ctx.server.clients.iter().filter(|c| filters.match_client(c, me, now)).map(|c| c.id).collect();
    for id in &killed {
        ctx.server.close(*id, ClientFlags::CLOSE_NOW);
    }
    let suicide = filters.match_client(ctx.client, me, now);
    if suicide {
        // It still reads the reply.
        ctx.client.flags |= ClientFlags::CLOSE_AFTER_REPLY;
    }
    let count = killed.len() + usize::from(suicide);
    match (old_form, count) {
        (true, 0) => return Err(ErrorReply::Static("ERR No such client")),
        (true, _) => ctx.reply().ok(),
        (false, _) => ctx.reply().uint(count),
    }
    Ok(())
}

/// Sets or clears `flag` as ON or OFF at argument 2 says.
fn switch(ctx: &mut Ctx<'_>, args: Args<'_>, flag: ClientFlags) -> Done {
    let on = args.is(2, "on");
    if !on && !args.is(2, "off") {
        return Err(ErrorReply::Syntax);
    }
    ctx.client.flags.set(flag, on);
    ctx.reply().ok();
    Ok(())
}

fn no_evict(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    switch(ctx, args, ClientFlags::NO_EVICT)
}

fn no_touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    switch(ctx, args, ClientFlags::NO_TOUCH)
}

fn reply(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let client = &mut *ctx.client;
    if args.is(2, "on") {
        client.reply_mode = ReplyMode::On;
        client.reply.ok();
    } else if args.is(2, "off") {
        client.reply_mode = ReplyMode::Off;
    } else if args.is(2, "skip") {
        if client.reply_mode != ReplyMode::Off {
            client.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(ErrorReply::Syntax);
    }
    Ok(())
}

fn pause(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let writes_only = match args.get(3) {
        None => false,
        Some(_) if args.len() > 4 => return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "CLIENT")),
        Some(mode) if is_word(mode, "write") => true,
        Some(mode) if is_word(mode, "all") => false,
        Some(_) => return Err(ErrorReply::Static("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = num::parse_i64(args.at(2)).ok_or(ErrorReply::Static("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(ErrorReply::Static("ERR timeout is negative"));
    }
    let until = ctx.now.0.checked_add(ms).ok_or(ErrorReply::Static("ERR timeout is out of range"))?;
    let mut asked = (crate::base::Millis(until), writes_only);
    // A second pause makes the first longer and stricter, never shorter or milder.
    if let Some((before, mild)) = ctx.server.pause.asked.filter(|(before, _)| ctx.now < *before) {
        asked = (asked.0.max(before), asked.1 && mild);
    }
    ctx.server.pause.asked = Some(asked);
    ctx.server.settle_expiry();
    ctx.reply().ok();
    Ok(())
}

fn unpause(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.pause.asked = None;
    ctx.server.settle_expiry();
    ctx.server.retry_parked();
    ctx.reply().ok();
    Ok(())
}

fn unblock(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let with_error = match args.get(3) {
        None => false,
        Some(_) if args.len() > 4 => return Err(ErrorReply::Syntax),
        Some(how) if is_word(how, "timeout") => false,
        Some(how) if is_word(how, "error") => true,
        Some(_) => return Err(ErrorReply::Static("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = num::parse_i64(args.at(2)).ok_or(ErrorReply::NotInteger)?;
    let ended = ctx.server.end_wait(ClientId(id as u64), with_error);
    ctx.reply().int(i64::from(ended));
    Ok(())
}

/// What a client is parked for that CLIENT UNBLOCK and the `b` of its flags mean.
fn is_blocked(parked: Option<Parked>) -> bool {
    matches!(parked, Some(parked) if parked != Parked::Retry)
}
