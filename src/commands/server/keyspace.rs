//! DBSIZE, FLUSHDB, FLUSHALL, SWAPDB: databases as wholes.

use crate::base::num;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::keyspace::Tables;
use crate::resp::{Args, ErrorReply};

const FLUSH_ARGS: &[Arg] = &[Arg::one_of(
    "flush-type",
    &[Arg::flag("async", "ASYNC").since("4.0.0"), Arg::flag("sync", "SYNC").since("6.2.0")],
)
.optional()];
const FLUSH_TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const DANGEROUS: Acl = Acl::DANGEROUS.union(Acl::KEYSPACE);

pub const COMMANDS: &[Command] = &[
    Command::new("dbsize", 1, dbsize)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::KEYSPACE)
        .doc(Group::Server, "1.0.0", "O(1)", "Gives the number of keys in the database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::new("flushdb", -1, flushdb)
        .flags(Flags::WRITE)
        .acl(DANGEROUS)
        .doc(Group::Server, "1.0.0", "O(N) where N is the number of keys", "Deletes all keys of the database.")
        .tips(FLUSH_TIPS)
        .args(FLUSH_ARGS),
    Command::new("flushall", -1, flushall)
        .flags(Flags::WRITE)
        .acl(DANGEROUS)
        .doc(Group::Server, "1.0.0", "O(N) where N is the number of keys", "Deletes all keys of all databases.")
        .tips(FLUSH_TIPS)
        .args(FLUSH_ARGS),
    Command::new("swapdb", 3, swapdb)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(DANGEROUS)
        .doc(
            Group::Server,
            "4.0.0",
            "O(N) where N is the number of clients that watch keys of either database",
            "Exchanges two databases.",
        )
        .args(&[Arg::int("index1"), Arg::int("index2")]),
];

fn dbsize(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let (db, reply) = ctx.split();
    reply.uint(db.len());
    Ok(())
}

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    flush(ctx, args, Some(ctx.client.db))
}

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    flush(ctx, args, None)
}

/// Empties one database or all. Goes into the stream even when there was nothing to delete: a replica may have what
/// this server has not.
fn flush(ctx: &mut Ctx<'_>, args: Args<'_>, db: Option<u32>) -> Done {
    if args.len() > 2 || (args.len() == 2 && !args.is(1, "async") && !args.is(1, "sync")) {
        return Err(ErrorReply::Syntax);
    }
    ctx.server.break_watches_of_db(Some(ctx.client), db, None);
    let old = ctx.server.keyspace.flush(db);
    ctx.server.invalidate_everything(Some(ctx.client));
    ctx.server.note_ready_in(db);
    ctx.changed(1 + old.iter().map(Tables::len).sum::<usize>());
    let lazily = if args.len() == 2 { args.is(1, "async") } else { ctx.server.config.lazyfree_lazy_user_flush };
    ctx.server.free_tables(old, lazily);
    if db.is_none() {
        ctx.server.save_nothing(ctx.client);
    }
    if ctx.client.parked.is_none() {
        ctx.reply().ok();
    }
    Ok(())
}

fn swapdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if ctx.server.keyspace.is_slotted() {
        return Err(ErrorReply::Static("ERR SWAPDB is not allowed in cluster mode"));
    }
    let number =
        |i, error| num::parse_i64(args.at(i)).and_then(|n| i32::try_from(n).ok()).ok_or(ErrorReply::Static(error));
    let (a, b) = (number(1, "ERR invalid first DB index")?, number(2, "ERR invalid second DB index")?);
    let databases = ctx.server.keyspace.databases();
    let existing = |n: i32| u32::try_from(n).ok().filter(|n| *n < databases).ok_or(ErrorReply::DbOutOfRange);
    let (a, b) = (existing(a)?, existing(b)?);
    if a != b {
        ctx.server.break_watches_of_db(Some(ctx.client), Some(a), Some(b));
        ctx.server.break_watches_of_db(Some(ctx.client), Some(b), Some(a));
        ctx.server.keyspace.swap(a, b);
        ctx.server.note_ready_in(Some(a));
        ctx.server.note_ready_in(Some(b));
    }
    ctx.changed(1);
    ctx.reply().ok();
    Ok(())
}
