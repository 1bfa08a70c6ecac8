//! MSETEX: several keys set as one, on a condition and with one expiry for all of them.

use super::set;
use crate::commands::expiry::{Expiry, ExpiryClause};
use crate::commands::parse;
use crate::exec::{Acl, Arg, Begin, Command, Ctx, Done, Find, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::SetExpire;
use crate::resp::{Args, ErrorReply};

pub const COMMANDS: &[Command] = &[Command::new("msetex", -4, msetex)
    .flags(Flags::DENYOOM.union(Flags::MOVABLE_KEYS).union(Flags::WRITE))
    .acl(Acl::STRING)
    .keys(&[KeySpec::new(
        Begin::Index(1),
        Find::KeyNum { count: 0, first: 1, step: 2 },
        KeyFlags::OW.union(KeyFlags::UPDATE),
    )])
    .doc(
        Group::String,
        "9.1.0",
        "O(N) where N is the number of keys",
        "Sets the values of several keys, on a condition and with an expiry if asked.",
    )
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
    .args(&[
        Arg::int("numkeys"),
        Arg::block("data", &[Arg::key("key", 0), Arg::string("value")]).multiple(),
        Arg::one_of("condition", &[Arg::flag("nx", "NX"), Arg::flag("xx", "XX")]).optional(),
        Arg::one_of(
            "expiration",
            &[
                Arg::int("seconds").token("EX"),
                Arg::int("milliseconds").token("PX"),
                Arg::unix_time("unix-time-seconds").token("EXAT"),
                Arg::unix_time("unix-time-milliseconds").token("PXAT"),
                Arg::flag("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
    ])];

/// What MSETEX is to do.
struct Request<'a> {
    /// Keys and values by turns.
    pairs: Args<'a>,
    /// All keys exist, or none does.
    condition: Option<(bool, &'a [u8])>,
    expiry: ExpiryClause<'a>,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>) -> Result<Request<'a>, ErrorReply> {
        let keys = parse::int(args.at(1)).ok().and_then(|keys| i32::try_from(keys).ok()).filter(|keys| *keys > 0);
        let keys = keys.ok_or(ErrorReply::Static("ERR invalid numkeys value or out of range"))?;
        let options = usize::try_from(keys).ok().and_then(|keys| keys.checked_mul(2)?.checked_add(2));
        let mut i = options.filter(|i| *i <= args.len()).ok_or(ErrorReply::Syntax)?;
        let mut request = Request { pairs: args.range(2, i), condition: None, expiry: ExpiryClause::default() };
        while i < args.len() {
            let (nx, xx) = (args.is(i, "nx"), args.is(i, "xx"));
            if nx || xx {
                if request.condition.is_some_and(|(present, _)| present != xx) {
                    return Err(ErrorReply::Syntax);
                }
                request.condition = Some((xx, args.at(i)));
                i += 1;
            } else {
                i += request.expiry.accept(args, i).filter(|_| !request.expiry.persists()).ok_or(ErrorReply::Syntax)?;
            }
        }
        Ok(request)
    }

    fn keys(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pairs.iter().step_by(2)
    }
}

fn msetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = Request::parse(args)?;
    let expiry = request.expiry.resolve(ctx.now, "msetex")?;
    let mut db = ctx.db();
    if let Some((present, _)) = request.condition
        && request.keys().any(|key| db.exists(key) != present)
    {
        ctx.reply().int(0);
        return Ok(());
    }
    match expiry {
        // Keys whose time has passed are set, too: they end when they are looked for.
        Expiry::At { at, as_is } => {
            store(ctx, &request, SetExpire::At(at));
            if !as_is {
                let mut argv = args.range(0, 2 + request.pairs.len()).to_argv();
                if let Some((_, word)) = request.condition {
                    argv.push(word);
                }
                argv.push(b"PXAT").push_i64(at.0);
                ctx.propagate_as(argv);
            }
        }
        Expiry::Keep => store(ctx, &request, SetExpire::Keep),
        Expiry::Unsaid | Expiry::Persist => store(ctx, &request, SetExpire::Never),
    }
    ctx.reply().int(1);
    Ok(())
}

fn store(ctx: &mut Ctx<'_>, request: &Request<'_>, expire: SetExpire) {
    for (key, value) in request.keys().zip(request.pairs.iter().skip(1).step_by(2)) {
        set::store(ctx, key, value, expire);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::bench::Bench;

    #[test]
    fn keys_are_counted_and_set_even_in_the_past() {
        let mut bench = Bench::start();
        let client = bench.client();
        let numkeys = "-ERR invalid numkeys value or out of range";
        for (line, reply) in [
            ("MSETEX 0 a 1", numkeys),
            ("MSETEX x a 1", numkeys),
            ("MSETEX 2147483648 a 1", numkeys),
            ("MSETEX 2147483647 a 1", "-ERR syntax error"),
            ("MSETEX 2 a 1 b", "-ERR syntax error"),
            ("MSETEX 2 a 1 b 2 NX", ":1"),
            ("MSETEX 2 a 1 b 2 PXAT 1", ":1"),
            ("EXISTS a b", ":0"),
            ("SET a 1 IFEQ 1 IFEQ 1", "-ERR syntax error"),
        ] {
            assert_eq!(bench.call(client, line), reply, "{line}");
        }
    }
}
