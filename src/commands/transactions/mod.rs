//! The transactions group: commands queued to run as one.

use crate::exec::multi::Transaction;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::resp::{Args, ErrorReply};

pub const FAMILIES: &[&[Command]] = &[COMMANDS];

const ANY_TIME: Flags =
    Flags::ALLOW_BUSY.union(Flags::FAST).union(Flags::LOADING).union(Flags::NOSCRIPT).union(Flags::STALE);

const COMMANDS: &[Command] = &[
    Command::new("multi", 1, multi).flags(ANY_TIME.union(Flags::NO_MULTI)).acl(Acl::TRANSACTION).doc(
        Group::Transactions,
        "1.2.0",
        "O(1)",
        "Begins a transaction.",
    ),
    Command::new("exec", 1, exec)
        .flags(Flags::LOADING.union(Flags::NOSCRIPT).union(Flags::SKIP_SLOWLOG).union(Flags::STALE))
        .acl(Acl::TRANSACTION)
        .doc(Group::Transactions, "1.2.0", "", "Runs the queued commands."),
    Command::new("discard", 1, discard).flags(ANY_TIME).acl(Acl::TRANSACTION).doc(
        Group::Transactions,
        "2.0.0",
        "O(N)",
        "Ends a transaction without running it.",
    ),
    Command::new("watch", -2, watch)
        .flags(ANY_TIME.union(Flags::NO_MULTI))
        .acl(Acl::TRANSACTION)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .doc(Group::Transactions, "2.2.0", "O(1)", "Lets the next EXEC run only if these keys stay as they are.")
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("unwatch", 1, unwatch).flags(ANY_TIME).acl(Acl::TRANSACTION).doc(
        Group::Transactions,
        "2.2.0",
        "O(1)",
        "Forgets the watched keys.",
    ),
];

fn multi(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if ctx.client.in_transaction() {
        return Err(ErrorReply::Static("ERR MULTI calls can not be nested"));
    }
    ctx.client.transaction = Some(Box::<Transaction>::default());
    ctx.reply().ok();
    Ok(())
}

fn exec(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.dont_propagate();
    ctx.server.exec(ctx.client)
}

fn discard(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if !ctx.client.in_transaction() {
        return Err(ErrorReply::Static("ERR DISCARD without MULTI"));
    }
    ctx.server.discard(ctx.client);
    ctx.reply().ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if ctx.client.in_transaction() {
        return Err(ErrorReply::Static("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.from(1).iter() {
        // A key that has expired counts as missing from now on.
        ctx.db().exists(key);
        ctx.server.watch(ctx.client, key);
    }
    ctx.reply().ok();
    Ok(())
}

fn unwatch(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.unwatch(ctx.client);
    ctx.reply().ok();
    Ok(())
}

#[cfg(test)]
mod tests;
