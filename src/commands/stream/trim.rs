//! XTRIM, and the trimming options that XADD shares with it.

use crate::commands::parse;
use crate::data::stream::{Keep, Log, StreamId};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{EventClass, TypedMut};
use crate::resp::{Args, Argv, ErrorReply};

use super::id;

pub const TRIM_ARGS: &[Arg] = &[
    Arg::one_of("strategy", &[Arg::flag("maxlen", "MAXLEN"), Arg::flag("minid", "MINID").since("6.2.0")]),
    Arg::one_of("operator", &[Arg::flag("equal", "="), Arg::flag("approximately", "~")]).optional(),
    Arg::string("threshold"),
    Arg::int("count").token("LIMIT").since("6.2.0").optional(),
];

pub const COMMANDS: &[Command] = &[Command::new("xtrim", -4, xtrim)
    .flags(Flags::WRITE)
    .acl(Acl::STREAM)
    .keys(&[KeySpec::range(1, 0, 1, KeyFlags::RW.union(KeyFlags::DELETE))])
    .doc(Group::Stream, "5.0.0", "O(N)", "Takes the oldest entries away.")
    .tips(&["nondeterministic_output"])
    .args(&[Arg::key("key", 0), Arg::block("trim", TRIM_ARGS)])];

/// `MAXLEN|MINID [=|~] threshold [LIMIT count]`
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    keep: Keep,
    approximately: bool,
    /// Entries at most; 0 for any number.
    limit: u64,
    threshold_at: usize,
}

/// The options as they are collected.
#[derive(Default)]
pub struct TrimArgs {
    keep: Option<Keep>,
    approximately: bool,
    limit: Option<u64>,
    threshold_at: usize,
}

impl TrimArgs {
    /// Reads the option at argument `i`, if it is one of trimming, and gives the number of the argument behind it.
    pub fn take(&mut self, args: Args<'_>, i: usize) -> Result<Option<usize>, ErrorReply> {
        let (maxlen, minid) = (args.is(i, "maxlen"), args.is(i, "minid"));
        if i + 1 >= args.len() {
            return Ok(None);
        }
        if args.is(i, "limit") {
            let limit = u64::try_from(parse::int(args.at(i + 1))?);
            self.limit = Some(limit.map_err(|_| ErrorReply::Static("ERR The LIMIT argument must be >= 0."))?);
            return Ok(Some(i + 2));
        }
        if !maxlen && !minid {
            return Ok(None);
        }
        if self.keep.is_some() {
            return Err(ErrorReply::Static(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let has_operator = i + 2 < args.len() && matches!(args.at(i + 1), b"~" | b"=");
        self.approximately = has_operator && args.at(i + 1) == b"~";
        self.threshold_at = i + 1 + usize::from(has_operator);
        let threshold = args.at(self.threshold_at);
        self.keep = Some(if maxlen {
            let count = u64::try_from(parse::int(threshold)?);
            Keep::Newest(count.map_err(|_| ErrorReply::Static("ERR The MAXLEN argument must be >= 0."))?)
        } else {
            Keep::From(id::parse(threshold, 0)?)
        });
        Ok(Some(self.threshold_at + 1))
    }

    /// What is to be trimmed, if anything; `required` is the error of a command that does nothing else.
    pub fn finish(self, ctx: &Ctx<'_>, required: Option<ErrorReply>) -> Result<Option<Trim>, ErrorReply> {
        if self.keep.is_none() {
            if self.limit.is_some_and(|limit| limit > 0) {
                return Err(ErrorReply::Static(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            if let Some(error) = required {
                return Err(error);
            }
        }
        let limit = if ctx.client.is_obeyed() {
            // Whoever sent this has trimmed already, and told how much.
            0
        } else {
            match self.limit {
                Some(_) if !self.approximately => {
                    return Err(ErrorReply::Static(
                        "ERR syntax error, LIMIT cannot be used without the special ~ option",
                    ));
                }
                Some(limit) => limit,
                None if self.approximately => default_limit(ctx.server.config.stream_node_max_entries),
                None => 0,
            }
        };
        let TrimArgs { approximately, threshold_at, .. } = self;
        Ok(self.keep.map(|keep| Trim { keep, approximately, limit, threshold_at }))
    }
}

/// Entries that an approximate trim takes away at most: those of a hundred nodes.
fn default_limit(node_max_entries: usize) -> u64 {
    match (node_max_entries as u64).saturating_mul(100) {
        0 => 10_000,
        limit => limit.min(1_000_000),
    }
}

impl Trim {
    /// Trims; says how many entries are gone.
    pub fn apply(&self, log: &mut Log) -> u64 {
        log.trim(self.keep, self.approximately, self.limit)
    }

    /// Where the command as it is to be propagated differs from how it was sent: an approximate trim is told as exactly
    /// what it did. `log` is how it left the log.
    pub fn rewritten(&self, log: &Log) -> Option<Rewritten> {
        let exact = match self.keep {
            Keep::Newest(_) => Threshold::Len(log.len()),
            Keep::From(_) if log.is_empty() => Threshold::First(StreamId::MAX),
            Keep::From(_) => Threshold::First(log.first_id()),
        };
        self.approximately.then_some(Rewritten { at: self.threshold_at, exact })
    }
}

/// The arguments of an approximate trim made exact.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten {
    at: usize,
    exact: Threshold,
}

#[derive(Clone, Copy, Debug)]
enum Threshold {
    Len(u64),
    First(StreamId),
}

/// The command with its trim made exact, and the id at the argument given replaced.
pub fn rewrite(args: Args<'_>, trim: Option<Rewritten>, id: Option<(usize, StreamId)>) -> Argv {
    let mut argv = Argv::default();
    for (i, arg) in args.iter().enumerate() {
        match (trim, id) {
            (Some(trim), _) if i + 1 == trim.at => argv.push(b"="),
            (Some(Rewritten { at, exact: Threshold::Len(len) }), _) if i == at => argv.push_i64(len as i64),
            (Some(Rewritten { at, exact: Threshold::First(id) }), _) if i == at => argv.push(id.text().as_bytes()),
            (_, Some((at, id))) if i == at => argv.push(id.text().as_bytes()),
            _ => argv.push(arg),
        };
    }
    argv
}

fn xtrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut trim = TrimArgs::default();
    let mut i = 2;
    while i < args.len() {
        i = trim.take(args, i)?.ok_or(ErrorReply::Syntax)?;
    }
    let without = ErrorReply::Static("ERR syntax error, XTRIM must be called with a trimming strategy");
    let Some(trim) = trim.finish(ctx, Some(without))? else { return Ok(()) };
    let key = args.at(1);
    let (mut db, reply) = ctx.split();
    let Some(mut entry) = db.write(key) else {
        reply.int(0);
        return Ok(());
    };
    let log = &mut entry.stream_mut()?.log;
    let gone = trim.apply(log);
    let rewritten = trim.rewritten(log);
    reply.uint(gone as usize);
    if gone > 0 {
        ctx.notify(EventClass::STREAM, "xtrim", key);
        ctx.changed(gone as usize);
        if rewritten.is_some() {
            ctx.propagate_as(rewrite(args, rewritten, None));
        }
    }
    Ok(())
}
