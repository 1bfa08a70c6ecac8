//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST: when a key ends.

use crate::base::Millis;
use crate::commands::expiry::{expire_now, is_past};
use crate::commands::parse::{self, TimeUnit};
use crate::data::entry::Entry;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::EventClass;
use crate::resp::{Args, Argv, ErrorReply, is_word};

const WRITES: Flags = Flags::FAST.union(Flags::WRITE);
const UPDATES: &[KeySpec] = &[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX"), Arg::flag("gt", "GT"), Arg::flag("lt", "LT")],
)
.since("7.0.0")
.optional();

pub const COMMANDS: &[Command] = &[
    Command::new("expire", -3, expire)
        .flags(WRITES)
        .acl(Acl::KEYSPACE)
        .keys(UPDATES)
        .doc(Group::Generic, "1.0.0", "O(1)", "Lets a key end after some seconds.")
        .args(&[Arg::key("key", 0), Arg::int("seconds"), CONDITION]),
    Command::new("pexpire", -3, pexpire)
        .flags(WRITES)
        .acl(Acl::KEYSPACE)
        .keys(UPDATES)
        .doc(Group::Generic, "2.6.0", "O(1)", "Lets a key end after some milliseconds.")
        .args(&[Arg::key("key", 0), Arg::int("milliseconds"), CONDITION]),
    Command::new("expireat", -3, expireat)
        .flags(WRITES)
        .acl(Acl::KEYSPACE)
        .keys(UPDATES)
        .doc(Group::Generic, "1.2.0", "O(1)", "Lets a key end at a Unix time in seconds.")
        .args(&[Arg::key("key", 0), Arg::unix_time("unix-time-seconds"), CONDITION]),
    Command::new("pexpireat", -3, pexpireat)
        .flags(WRITES)
        .acl(Acl::KEYSPACE)
        .keys(UPDATES)
        .doc(Group::Generic, "2.6.0", "O(1)", "Lets a key end at a Unix time in milliseconds.")
        .args(&[Arg::key("key", 0), Arg::unix_time("unix-time-milliseconds"), CONDITION]),
    Command::new("persist", 2, persist)
        .flags(WRITES)
        .acl(Acl::KEYSPACE)
        .keys(UPDATES)
        .doc(Group::Generic, "2.2.0", "O(1)", "Lets a key stay that was to end.")
        .args(&[Arg::key("key", 0)]),
];

/// On what the new expiry depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::commands) struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    pub fn parse(words: Args<'_>) -> Result<Conditions, ErrorReply> {
        let mut conditions = Conditions::default();
        for word in words.iter() {
            match word {
                word if is_word(word, "nx") => conditions.nx = true,
                word if is_word(word, "xx") => conditions.xx = true,
                word if is_word(word, "gt") => conditions.gt = true,
                word if is_word(word, "lt") => conditions.lt = true,
                _ => return Err(ErrorReply::quoting("ERR Unsupported option ", word, "")),
            }
        }
        let Conditions { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(ErrorReply::Static("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if gt && lt {
            return Err(ErrorReply::Static("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether what ends at `old` (or never) may end at `new`. Never counts as later than every time.
    pub fn allow(self, old: Option<Millis>, new: Millis) -> bool {
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Seconds, true)
}

fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Millis, true)
}

fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Seconds, false)
}

fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_by(ctx, args, TimeUnit::Millis, false)
}

fn expire_by(ctx: &mut Ctx<'_>, args: Args<'_>, unit: TimeUnit, relative: bool) -> Done {
    let key = args.at(1);
    let conditions = Conditions::parse(args.from(3))?;
    let at = parse::expire_at(args.at(2), unit, relative, ctx.now, ctx.command.name)?;
    let old = ctx.db().peek(key).map(Entry::expire_at);
    if !old.is_some_and(|old| conditions.allow(old, at)) {
        ctx.reply().int(0);
        return Ok(());
    }
    if is_past(ctx, at) {
        expire_now(ctx, key);
    } else {
        ctx.db().set_expire(key, Some(at));
        ctx.changed(1);
        ctx.notify(EventClass::GENERIC, "expire", key);
        if relative || unit == TimeUnit::Seconds {
            let mut argv = Argv::of(&[b"PEXPIREAT", key]);
            argv.push_i64(at.0);
            for word in args.from(3).iter() {
                argv.push(word);
            }
            ctx.propagate_as(argv);
        }
    }
    ctx.reply().int(1);
    Ok(())
}

fn persist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut db = ctx.db();
    let was_to_end = db.peek(args.at(1)).is_some_and(|entry| entry.expire_at().is_some());
    if was_to_end {
        db.set_expire(args.at(1), None);
        db.notify(EventClass::GENERIC, "persist", args.at(1));
        ctx.changed(1);
    }
    ctx.reply().int(i64::from(was_to_end));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_times() {
        let allow = |words: &[&[u8]], old: Option<i64>, new: i64| {
            Conditions::parse(Argv::of(words).args()).unwrap().allow(old.map(Millis), Millis(new))
        };
        for (word, never, earlier, same, later) in [
            (&b"nx"[..], true, false, false, false),
            (b"XX", false, true, true, true),
            (b"gt", false, false, false, true),
            (b"Lt", true, true, false, false),
        ] {
            let found = [
                allow(&[word], None, 5),
                allow(&[word], Some(5), 4),
                allow(&[word], Some(5), 5),
                allow(&[word], Some(5), 6),
            ];
            assert_eq!(found, [never, earlier, same, later], "{}", word.escape_ascii());
        }
        assert!(!allow(&[b"xx", b"lt"], None, 5));
        assert!(allow(&[], Some(5), 1));
    }

    #[test]
    fn conditions_that_contradict() {
        for words in [[&b"nx"[..], b"xx"], [b"gt", b"lt"], [b"lt", b"nx"], [b"nx", b"what"]] {
            assert!(Conditions::parse(Argv::of(&words).args()).is_err());
        }
    }
}
