//! PFADD, PFCOUNT, PFMERGE.

use super::{CORRUPTED, NOT_A_COUNTER, check};
use crate::data::hll::{self, Registers};
use crate::data::value::Value;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, Typed};
use crate::resp::{Args, ErrorReply};

const ADDS: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);

pub const COMMANDS: &[Command] = &[
    Command::new("pfadd", -2, pfadd)
        .flags(Flags::DENYOOM.union(Flags::FAST).union(Flags::WRITE))
        .acl(Acl::HYPERLOGLOG)
        .keys(&[KeySpec::range(1, 0, 1, ADDS)])
        .doc(Group::HyperLogLog, "2.8.9", "O(1) for each element", "Adds elements to a HyperLogLog.")
        .args(&[Arg::key("key", 0), Arg::string("element").optional().multiple()]),
    Command::new("pfcount", -2, pfcount)
        .flags(Flags::READONLY)
        .acl(Acl::HYPERLOGLOG)
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RW.union(KeyFlags::ACCESS))])
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "O(1) for one key, O(N) for N keys with a larger constant",
            "Estimates how many different elements were added to all of the keys together.",
        )
        .args(&[Arg::key("key", 0).multiple()]),
    Command::new("pfmerge", -2, pfmerge)
        .flags(Flags::DENYOOM.union(Flags::WRITE))
        .acl(Acl::HYPERLOGLOG)
        .keys(&[
            KeySpec::range(1, 0, 1, ADDS.union(KeyFlags::ACCESS)),
            KeySpec::range(2, -1, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        ])
        .doc(
            Group::HyperLogLog,
            "2.8.9",
            "O(N) where N is the number of keys",
            "Merges several HyperLogLogs into the first.",
        )
        .args(&[Arg::key("destkey", 0), Arg::key("sourcekey", 1).optional().multiple()]),
];

fn pfadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let sparse_max = ctx.server.config.hll_sparse_max_bytes;
    let (mut db, reply) = ctx.split();
    let mut changed = !check(&mut db, args.at(1))?;
    let mut entry = db.write_or_insert(args.at(1), || Value::Bytes(hll::empty()));
    let value = entry.make_raw().ok_or(ErrorReply::WrongType)?;
    for element in args.from(2).iter() {
        changed |= hll::add(value, element, sparse_max).map_err(|_| CORRUPTED)?;
    }
    reply.int(i64::from(changed));
    if changed {
        hll::make_stale(value);
        ctx.changed(1);
        ctx.notify(EventClass::STRING, "pfadd", args.at(1));
    }
    Ok(())
}

fn pfcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let one = args.len() == 2;
    let mut registers = Registers::default();
    let mut digits = itoa::Buffer::new();
    for key in args.from(1).iter() {
        let Some(entry) = db.read(key) else { continue };
        let value = entry.text(&mut digits)?;
        if !hll::is_valid(value) {
            return Err(NOT_A_COUNTER);
        }
        if let (true, Some(cardinality)) = (one, hll::cached_cardinality(value)) {
            reply.int(cardinality as i64);
            return Ok(());
        }
        registers.merge(value).map_err(|_| CORRUPTED)?;
    }
    let cardinality = registers.cardinality();
    reply.int(cardinality as i64);
    // Remembered in the value, which counts as a change: replicas are to have the same bytes.
    if one && let Some(mut entry) = db.write(args.at(1)) {
        hll::cache_cardinality(entry.make_raw().ok_or(ErrorReply::WrongType)?, cardinality);
        ctx.changed(1);
    }
    Ok(())
}

fn pfmerge(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let sparse_max = ctx.server.config.hll_sparse_max_bytes;
    let (mut db, reply) = ctx.split();
    let mut registers = Registers::default();
    let mut dense = false;
    let mut digits = itoa::Buffer::new();
    for key in args.from(1).iter() {
        let Some(entry) = db.read(key) else { continue };
        let value = entry.text(&mut digits)?;
        if !hll::is_valid(value) {
            return Err(NOT_A_COUNTER);
        }
        dense |= hll::is_dense(value);
        registers.merge(value).map_err(|_| CORRUPTED)?;
    }
    let mut entry = db.write_or_insert(args.at(1), || Value::Bytes(hll::empty()));
    let value = entry.make_raw().ok_or(ErrorReply::WrongType)?;
    if dense {
        hll::make_dense(value).map_err(|_| CORRUPTED)?;
    }
    hll::raise_all(value, &registers, sparse_max).map_err(|_| CORRUPTED)?;
    hll::make_stale(value);
    reply.ok();
    ctx.changed(1);
    ctx.notify(EventClass::STRING, "pfadd", args.at(1));
    Ok(())
}
