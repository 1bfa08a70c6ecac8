//! LLEN, LRANGE, LINDEX, LPOS.

use std::ops::ControlFlow;

use crate::commands::{element, parse};
use crate::data::list::List;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::Typed;
use crate::resp::{Args, ErrorReply};

const KEY_RO_ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);

pub const COMMANDS: &[Command] = &[
    Command::new("llen", 2, llen)
        .flags(Flags::FAST.union(Flags::READONLY))
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RO)])
        .doc(Group::List, "1.0.0", "O(1)", "Gives the number of elements.")
        .args(&[Arg::key("key", 0)]),
    Command::new("lrange", 4, lrange)
        .flags(Flags::READONLY)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::List, "1.0.0", "O(S+N)", "Gives the elements of a range of indexes.")
        .args(&[Arg::key("key", 0), Arg::int("start"), Arg::int("stop")]),
    Command::new("lindex", 3, lindex)
        .flags(Flags::READONLY)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::List, "1.0.0", "O(N)", "Gives the element at an index.")
        .args(&[Arg::key("key", 0), Arg::int("index")]),
    Command::new("lpos", -3, lpos)
        .flags(Flags::READONLY)
        .acl(Acl::LIST)
        .keys(&[KeySpec::range(1, 0, 1, KEY_RO_ACCESS)])
        .doc(Group::List, "6.0.6", "O(N)", "Gives the indexes of elements that are equal to a value.")
        .args(&[
            Arg::key("key", 0),
            Arg::string("element"),
            Arg::int("rank").token("RANK").optional(),
            Arg::int("num-matches").token("COUNT").optional(),
            Arg::int("len").token("MAXLEN").optional(),
        ]),
];

fn llen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let len = match db.read(args.at(1)) {
        Some(entry) => entry.list()?.len(),
        None => 0,
    };
    reply.uint(len);
    Ok(())
}

fn lrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, stop) = (parse::int(args.at(2))?, parse::int(args.at(3))?);
    let (mut db, reply) = ctx.split();
    let Some(entry) = db.read(args.at(1)) else {
        reply.array(0);
        return Ok(());
    };
    let list = entry.list()?;
    let range = parse::range(start, stop, list.len()).unwrap_or_default();
    reply.array(range.len());
    list.for_each(range, |item| element::push(reply, item));
    Ok(())
}

fn lindex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let Some(entry) = db.read(args.at(1)) else {
        reply.null();
        return Ok(());
    };
    let list = entry.list()?;
    if list.get(parse::int(args.at(2))?, |item| element::push(reply, item)).is_none() {
        reply.null();
    }
    Ok(())
}

/// The options of LPOS.
struct Search {
    /// Which match is the first that counts, from 1 on.
    rank: usize,
    from_back: bool,
    /// How many matches at most, if an array is asked for.
    count: Option<usize>,
    /// How many elements are compared at most.
    max_len: usize,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Search, ErrorReply> {
        let mut search = Search { rank: 1, from_back: false, count: None, max_len: usize::MAX };
        let unlimited = |n: usize| if n == 0 { usize::MAX } else { n };
        for i in (3..args.len()).step_by(2) {
            let value = args.get(i + 1).ok_or(ErrorReply::Syntax)?;
            if args.is(i, "rank") {
                let rank = parse_rank(value)?;
                search.rank = usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX);
                search.from_back = rank < 0;
            } else if args.is(i, "count") {
                let count = parse::count(value).map_err(|_| ErrorReply::Static("ERR COUNT can't be negative"))?;
                search.count = Some(unlimited(count));
            } else if args.is(i, "maxlen") {
                let len = parse::count(value).map_err(|_| ErrorReply::Static("ERR MAXLEN can't be negative"))?;
                search.max_len = unlimited(len);
            } else {
                return Err(ErrorReply::Syntax);
            }
        }
        Ok(search)
    }

    /// Calls `found` with the indexes of the matches.
    fn run(&self, list: &List, wanted: &[u8], mut found: impl FnMut(usize)) {
        let len = list.len();
        let (mut compared, mut matches, mut given) = (0, 0, 0);
        let _ = list.walk(0, self.from_back, |item| {
            if compared == self.max_len {
                return ControlFlow::Break(());
            }
            let index = if self.from_back { len - 1 - compared } else { compared };
            compared += 1;
            if item.eq_bytes(wanted) {
                matches += 1;
                if matches >= self.rank {
                    given += 1;
                    found(index);
                }
            }
            if given == self.count.unwrap_or(1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

fn parse_rank(arg: &[u8]) -> Result<i64, ErrorReply> {
    match parse::signed_count(arg)? {
        0 => Err(ErrorReply::Static(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        )),
        rank => Ok(rank),
    }
}

fn lpos(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let search = Search::parse(args)?;
    let (mut db, reply) = ctx.split();
    let list = db.read(args.at(1)).map(|entry| entry.list()).transpose()?;
    if search.count.is_none() {
        let mut first = None;
        if let Some(list) = list {
            search.run(list, args.at(2), |index| first = Some(index));
        }
        match first {
            Some(index) => reply.uint(index),
            None => reply.null(),
        }
        return Ok(());
    }
    let open = reply.open();
    let mut matches = 0;
    if let Some(list) = list {
        search.run(list, args.at(2), |index| {
            matches += 1;
            reply.uint(index);
        });
    }
    reply.end_array(open, matches);
    Ok(())
}
