//! PFDEBUG, PFSELFTEST: how a HyperLogLog is kept, and whether this build counts right.

use super::{CORRUPTED, check};
use crate::data::hll::{self, Registers};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[
    Command::new("pfdebug", 3, pfdebug)
        .flags(Flags::ADMIN.union(Flags::DENYOOM).union(Flags::WRITE))
        .acl(Acl::HYPERLOGLOG)
        .keys(&[KeySpec::range(2, 0, 1, KeyFlags::RW.union(KeyFlags::ACCESS))])
        .doc(Group::HyperLogLog, "2.8.9", "", "Shows how a HyperLogLog is kept.")
        .args(&[Arg::string("subcommand"), Arg::key("key", 0)]),
    Command::new("pfselftest", 1, pfselftest).flags(Flags::ADMIN).acl(Acl::HYPERLOGLOG).doc(
        Group::HyperLogLog,
        "2.8.9",
        "",
        "Checks that HyperLogLogs of this server count right.",
    ),
];

fn pfdebug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    if !check(&mut db, args.at(2))? {
        return Err(ErrorReply::Static("ERR The specified key does not exist"));
    }
    let is = |word| args.is(1, word);
    if is("encoding") || is("decode") {
        let mut digits = itoa::Buffer::new();
        let value = db.read(args.at(2)).map_or(Ok(&b""[..]), |entry| entry.text(&mut digits))?;
        let runs = hll::describe(value);
        match (is("encoding"), runs) {
            (true, runs) => reply.simple(if runs.is_some() { "sparse" } else { "dense" }),
            (false, Some(runs)) => reply.bulk_str(&runs),
            (false, None) => return Err(ErrorReply::Static("ERR HLL encoding is not sparse")),
        }
        return Ok(());
    }
    if !is("getreg") && !is("todense") {
        return Err(ErrorReply::text_of(format!("ERR Unknown PFDEBUG subcommand '{}'", shown(args.at(1), 128))));
    }
    // GETREG makes the value dense as well, as it always did.
    let Some(mut entry) = db.write(args.at(2)) else { return Err(ErrorReply::NoSuchKey) };
    let value = entry.make_raw().ok_or(ErrorReply::WrongType)?;
    let changed = hll::make_dense(value).map_err(|_| CORRUPTED)?;
    if is("todense") {
        reply.int(i64::from(changed));
    } else {
        let mut registers = Registers::default();
        registers.merge(value).map_err(|_| CORRUPTED)?;
        reply.array(hll::REGISTERS);
        registers.iter().for_each(|register| reply.int(i64::from(register)));
    }
    ctx.changed(usize::from(changed));
    Ok(())
}

/// Elements that are counted by the self-test.
const TEST_ELEMENTS: u64 = 100_000;

fn pfselftest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let sparse_max = ctx.server.config.hll_sparse_max_bytes;
    // Elements are told apart by the seed, and drawn anew by every test.
    let seed = ctx.server.rng.next_u64();
    let failed = |what: &str| ErrorReply::text_of(format!("ERR TESTFAILED {what}"));
    let (mut value, mut dense) = (hll::empty(), hll::empty());
    hll::make_dense(&mut dense).map_err(|_| CORRUPTED)?;
    for n in 1..=TEST_ELEMENTS {
        let element = (seed ^ n).to_le_bytes();
        let raised = hll::add(&mut value, &element, sparse_max).map_err(|_| CORRUPTED)?;
        if hll::add(&mut dense, &element, 0) != Ok(raised) {
            return Err(failed(&format!("the sparse and the dense form disagree over element {n} of seed {seed}")));
        }
        if n.is_power_of_two() || n == TEST_ELEMENTS {
            let mut registers = Registers::default();
            registers.merge(&value).map_err(|_| CORRUPTED)?;
            let estimate = registers.cardinality();
            // Five times the standard error; what is counted exactly may collide.
            let allowed = n as f64 * 5.0 * 1.04 / (hll::REGISTERS as f64).sqrt() + 2.0;
            if estimate.abs_diff(n) as f64 > allowed {
                return Err(failed(&format!("too large an error: {estimate} instead of {n} with seed {seed}")));
            }
        }
    }
    ctx.reply().ok();
    Ok(())
}
