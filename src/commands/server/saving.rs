//! SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF, SHUTDOWN: the dataset on disk, and the end.

use crate::exec::effect::ShutdownRequest;
use crate::exec::shutdown::SHUTDOWN_FAILED;
use crate::exec::snapshot::{Purpose, Save};
use crate::exec::{Acl, Arg, Command, Ctx, Done, Flags, Group};
use crate::resp::{Args, ErrorReply};

const SAVES: Flags = Flags::ADMIN.union(Flags::NO_ASYNC_LOADING).union(Flags::NOSCRIPT);

pub const COMMANDS: &[Command] = &[
    Command::new("save", 1, save).flags(SAVES.union(Flags::NO_MULTI)).doc(
        Group::Server,
        "1.0.0",
        "O(N)",
        "Saves the dataset and answers when it is on disk.",
    ),
    Command::new("bgsave", -1, bgsave)
        .flags(SAVES)
        .doc(Group::Server, "1.0.0", "O(1)", "Saves the dataset in the background.")
        .args(&[Arg::one_of(
            "operation",
            &[Arg::flag("schedule", "SCHEDULE").since("3.2.2"), Arg::flag("cancel", "CANCEL").since("8.1.0")],
        )
        .optional()]),
    Command::new("lastsave", 1, lastsave)
        .flags(Flags::FAST.union(Flags::LOADING).union(Flags::STALE))
        .acl(Acl::ADMIN.union(Acl::DANGEROUS))
        .doc(Group::Server, "1.0.0", "O(1)", "When the dataset was saved last, in seconds since 1970.")
        .tips(&["nondeterministic_output"]),
    Command::new("bgrewriteaof", 1, bgrewriteaof).flags(SAVES).doc(
        Group::Server,
        "1.0.0",
        "O(1)",
        "Begins the append-only file anew in the background.",
    ),
    Command::new("shutdown", -1, shutdown)
        .flags(
            Flags::ADMIN
                .union(Flags::ALLOW_BUSY)
                .union(Flags::LOADING)
                .union(Flags::NO_MULTI)
                .union(Flags::NOSCRIPT)
                .union(Flags::STALE),
        )
        .doc(Group::Server, "1.0.0", "O(N)", "Saves the dataset if it is to be saved, and ends the server.")
        .args(&[Arg::one_of(
            "abort-selector",
            &[
                Arg::block(
                    "save-selector-block",
                    &[
                        Arg::one_of("save-selector", &[Arg::flag("nosave", "NOSAVE"), Arg::flag("save", "SAVE")])
                            .optional(),
                        Arg::flag("now", "NOW").since("7.0.0").optional(),
                        Arg::flag("force", "FORCE").since("7.0.0").optional(),
                        Arg::flag("safe", "SAFE").since("9.0.0").optional(),
                        Arg::flag("failover", "FAILOVER").since("9.0.0").optional(),
                    ],
                ),
                Arg::flag("abort", "ABORT").since("7.0.0"),
            ],
        )
        .optional()]),
];

const IN_PROGRESS: ErrorReply = ErrorReply::Static("ERR Background save already in progress");

const REWRITING: ErrorReply = ErrorReply::Static("ERR Background append only file rewriting already in progress");

fn save(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    match ctx.server.job.as_ref().map(|job| &job.purpose) {
        Some(Purpose::File(Save::InBackground) | Purpose::Replicas(_)) => Err(IN_PROGRESS),
        // Behind the save of somebody else, or a rewrite of the log, comes this one.
        _ => {
            let token = ctx.park();
            ctx.server.save_for(Save::Awaited(token));
            Ok(())
        }
    }
}

fn bgsave(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let schedule = match args.len() {
        1 => false,
        2 if args.is(1, "schedule") => true,
        2 if args.is(1, "cancel") => return cancel(ctx),
        _ => return Err(ErrorReply::Syntax),
    };
    let in_exec = ctx.server.unit.is_nested();
    let rewrites = match ctx.server.job.as_ref().map(|job| &job.purpose) {
        Some(Purpose::File(_) | Purpose::Replicas(_)) => return Err(IN_PROGRESS),
        Some(Purpose::AofBase) => true,
        None => ctx.server.log_growth.beginning,
    };
    // Within a transaction the commands behind it belong to the same moment.
    if in_exec || rewrites && schedule {
        ctx.server.saves.scheduled = true;
        ctx.reply().simple("Background saving scheduled");
    } else if rewrites {
        return Err(ErrorReply::Static(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule \
             a BGSAVE whenever possible.",
        ));
    } else {
        ctx.server.start_snapshot(Purpose::File(Save::InBackground));
        ctx.reply().simple("Background saving started");
    }
    Ok(())
}

fn cancel(ctx: &mut Ctx<'_>) -> Done {
    if ctx.server.cancel_save() {
        ctx.reply().simple("Background saving cancelled");
    } else if std::mem::take(&mut ctx.server.saves.scheduled) {
        ctx.reply().simple("Scheduled background saving cancelled");
    } else {
        return Err(ErrorReply::Static("ERR Background saving is currently not in progress or scheduled"));
    }
    Ok(())
}

fn lastsave(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let at = ctx.server.saves.last_success.secs();
    ctx.reply().int(at);
    Ok(())
}

fn bgrewriteaof(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let other = match ctx.server.job.as_ref().map(|job| &job.purpose) {
        Some(Purpose::AofBase) => return Err(REWRITING),
        None if ctx.server.log_growth.beginning => return Err(REWRITING),
        other => other.is_some(),
    };
    if other || ctx.server.unit.is_nested() {
        ctx.server.log_growth.schedule();
        ctx.reply().simple("Background append only file rewriting scheduled");
    } else {
        let token = ctx.park();
        ctx.server.ask_for_rewrite(Some(token));
    }
    Ok(())
}

fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut request = ShutdownRequest::default();
    let (mut abort, mut contradicts) = (false, false);
    for i in 1..args.len() {
        let save = if args.is(i, "save") { Some(true) } else { args.is(i, "nosave").then_some(false) };
        if save.is_some() {
            contradicts |= request.save.is_some_and(|other| Some(other) != save);
            request.save = save;
        } else if args.is(i, "now") {
            request.now = true;
        } else if args.is(i, "force") {
            request.force = true;
        } else if args.is(i, "safe") {
            request.safe = true;
        } else if args.is(i, "failover") {
            request.failover = true;
        } else if args.is(i, "abort") {
            abort = true;
        } else {
            return Err(ErrorReply::Syntax);
        }
    }
    let says_how = request.save.is_some() || request.now || request.force || request.safe || request.failover;
    if contradicts || request.safe && request.force || abort && says_how {
        return Err(ErrorReply::Syntax);
    }
    if abort {
        if !ctx.server.abort_shutdown() {
            return Err(ErrorReply::Static("ERR No shutdown in progress."));
        }
        ctx.reply().ok();
        return Ok(());
    }
    if !ctx.server.may_end(request) {
        return Err(SHUTDOWN_FAILED);
    }
    let token = ctx.park();
    ctx.server.begin_shutdown(request, Some(token));
    Ok(())
}
