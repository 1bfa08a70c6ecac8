//! WAIT, WAITAOF: how many others have what this connection wrote.

use crate::base::num;
use crate::commands::parse::{self, TimeUnit};
use crate::exec::acks::{NO_LOG, Wanted};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("wait", 3, wait)
        .flags(Flags::BLOCKING)
        .acl(Acl::CONNECTION)
        .doc(Group::Generic, "3.0.0", "O(1)", "Waits until replicas have acknowledged this connection's writes.")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .args(&[Arg::int("numreplicas"), Arg::int("timeout")]),
    Command::new("waitaof", 4, waitaof)
        .flags(Flags::BLOCKING)
        .acl(Acl::CONNECTION)
        .doc(Group::Generic, "7.2.0", "O(1)", "Waits until this connection's writes are on disk, here and at replicas.")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .args(&[Arg::int("numlocal"), Arg::int("numreplicas"), Arg::int("timeout")]),
];

fn wait(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !ctx.server.repl.is_primary() {
        return Err(ErrorReply::Static(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated.",
        ));
    }
    let replicas = num::parse_i64(args.at(1)).ok_or(ErrorReply::NotInteger)?;
    // Fewer than none are always there.
    let replicas = usize::try_from(replicas).unwrap_or(0);
    wait_for(ctx, Wanted::Applied { replicas }, args.at(2))
}

fn waitaof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let here = match parse::int(args.at(1))? {
        0 => false,
        1 => true,
        _ => return Err(ErrorReply::Static("ERR value is out of range, value must between 0 and 1")),
    };
    let replicas = parse::count(args.at(2))?;
    parse::wait_until(args.at(3), TimeUnit::Millis, ctx.now)?;
    if !ctx.server.repl.is_primary() {
        return Err(ErrorReply::Static(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just \
             local and are not propagated.",
        ));
    }
    if here && !ctx.server.config.appendonly {
        return Err(NO_LOG);
    }
    wait_for(ctx, Wanted::OnDisk { here, replicas }, args.at(3))
}

fn wait_for(ctx: &mut Ctx<'_>, wanted: Wanted, timeout: &[u8]) -> Done {
    let until = parse::wait_until(timeout, TimeUnit::Millis, ctx.now)?;
    let may_block = ctx.may_block();
    ctx.server.wait_for_acks(ctx.client, wanted, until, may_block);
    Ok(())
}
