//! DEL, UNLINK, EXISTS, TOUCH.

use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, EventClass};
use crate::resp::Args;

pub const COMMANDS: &[Command] = &[
    Command::new("del", -2, del)
        .flags(Flags::WRITE)
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RM.union(KeyFlags::DELETE))])
        .doc(Group::Generic, "1.0.0", "O(N) where N is the number of keys", "Deletes keys.")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("unlink", -2, unlink)
        .flags(Flags::FAST.union(Flags::WRITE))
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RM.union(KeyFlags::DELETE))])
        .doc(Group::Generic, "4.0.0", "O(1) for each key, and freeing its memory later", "Deletes keys.")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("exists", -2, exists)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .doc(Group::Generic, "1.0.0", "O(N) where N is the number of keys", "Counts which of the keys exist.")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("touch", -2, touch)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::KEYSPACE)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .doc(Group::Generic, "3.2.1", "O(N) where N is the number of keys", "Marks keys as used just now.")
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[Arg::key("key", 0).multiple()]),
];

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let lazily = ctx.server.config.lazyfree_lazy_user_del;
    delete(ctx, args, lazily)
}

fn unlink(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    delete(ctx, args, true)
}

fn delete(ctx: &mut Ctx<'_>, args: Args<'_>, lazily: bool) -> Done {
    let mut db = ctx.db();
    let mut removed = 0;
    for key in args.from(1).iter() {
        if db.delete_and_free(key, lazily) {
            db.notify(EventClass::GENERIC, "del", key);
            removed += 1;
        }
    }
    ctx.changed(removed);
    ctx.reply().uint(removed);
    Ok(())
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    count(ctx, args, |db, key| db.look(key).is_some())
}

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    count(ctx, args, |db, key| db.read(key).is_some())
}

fn count(ctx: &mut Ctx<'_>, args: Args<'_>, is_there: impl Fn(&mut Db<'_>, &[u8]) -> bool) -> Done {
    let mut db = ctx.db();
    let found = args.from(1).iter().filter(|key| is_there(&mut db, key)).count();
    ctx.reply().uint(found);
    Ok(())
}
