//! KEYSLOT, COUNTKEYSINSLOT, GETKEYSINSLOT, FLUSHSLOT: slots as the keyspace sees them.

use crate::base::{Slot, key_slot, num};
use crate::commands::parse;
use crate::exec::{Ctx, Done};
use crate::resp::{Args, Argv, ErrorReply};

/// CLUSTER KEYSLOT: works without cluster mode, too.
pub fn keyslot(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.reply().int(i64::from(key_slot(args.at(2)).get()));
    Ok(())
}

pub(super) fn slot(arg: &[u8]) -> Option<Slot> {
    num::parse_i64(arg).and_then(|n| u16::try_from(n).ok()).and_then(Slot::new)
}

/// CLUSTER COUNTKEYSINSLOT.
pub fn countkeysinslot(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !ctx.server.config.cluster_enabled {
        return Err(ErrorReply::ClusterDisabled);
    }
    parse::int(args.at(2))?;
    let slot = slot(args.at(2)).ok_or(ErrorReply::Static("ERR Invalid slot"))?;
    let count = ctx.server.keyspace.slot_len(ctx.client.db, slot);
    ctx.reply().uint(count);
    Ok(())
}

/// CLUSTER GETKEYSINSLOT.
pub fn getkeysinslot(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !ctx.server.config.cluster_enabled {
        return Err(ErrorReply::ClusterDisabled);
    }
    parse::int(args.at(2))?;
    let wanted = usize::try_from(parse::int(args.at(3))?).ok();
    let (Some(slot), Some(wanted)) = (slot(args.at(2)), wanted) else {
        return Err(ErrorReply::Static("ERR Invalid slot or number of keys"));
    };
    let keys = ctx.db().keys_in_slot(slot, wanted);
    ctx.reply().array(keys.len());
    for key in keys {
        ctx.reply().bulk(&key);
    }
    Ok(())
}

/// CLUSTER FLUSHSLOT: deletes the keys of one slot; replicas follow key by key.
pub fn flushslot(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !ctx.server.config.cluster_enabled {
        return Err(ErrorReply::ClusterDisabled);
    }
    if args.len() > 4 {
        return Err(ErrorReply::wrong_subcommand_arity(args.at(1), "CLUSTER"));
    }
    let slot = slot(args.at(2)).ok_or(ErrorReply::InvalidSlot)?;
    if args.len() == 4 && !args.is(3, "async") && !args.is(3, "sync") {
        return Err(ErrorReply::Syntax);
    }
    ctx.dont_propagate();
    for db in 0..ctx.server.keyspace.databases() {
        for key in ctx.server.keyspace.db(db).keys_in_slot(slot, usize::MAX) {
            drop(ctx.server.keyspace.db(db).remove(&key));
            ctx.changed(1);
            if ctx.server.has_stream() {
                ctx.server.propagate(db, Argv::of(&[b"DEL", &key]).args());
            }
        }
    }
    ctx.reply().ok();
    Ok(())
}
