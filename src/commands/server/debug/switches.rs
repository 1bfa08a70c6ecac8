//! What tests switch on and off, or bring about: expiry, the cron, checksums, ids, pauses, lines of the log, the end.

use crate::base::num;
use crate::commands::parse;
use crate::data::dict;
use crate::exec::effect::{Crash, LogLevel};
use crate::exec::{Ctx, Done, Effect};
use crate::resp::{Args, ErrorReply};

pub fn set_active_expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.server.active_expire = parse::int(args.at(2))? != 0;
    ctx.reply().ok();
    Ok(())
}

pub fn pause_cron(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.server.switches.cron_paused = parse::int(args.at(2))? != 0;
    ctx.reply().ok();
    Ok(())
}

pub fn resize_tables(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    dict::set_resizing(parse::int(args.at(2))? != 0);
    ctx.reply().ok();
    Ok(())
}

pub fn skip_checksums(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    ctx.server.switches.checksums_skipped = parse::int(args.at(2))? != 0;
    ctx.reply().ok();
    Ok(())
}

pub fn change_repl_id(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    ctx.server.repl.restart_history();
    ctx.reply().ok();
    Ok(())
}

pub fn error(_: &mut Ctx<'_>, args: Args<'_>) -> Done {
    Err(ErrorReply::quoting("", args.at(2), ""))
}

pub fn log(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let text = format!("DEBUG LOG: {}", String::from_utf8_lossy(args.at(2)));
    ctx.server.log(LogLevel::Warning, text);
    ctx.reply().ok();
    Ok(())
}

pub fn sleep(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let secs = num::parse_f64(args.at(2)).filter(|secs| secs.is_finite() && *secs >= 0.0);
    let micros = (secs.ok_or(ErrorReply::NotFloat)? * 1e6) as u64;
    let token = ctx.park();
    ctx.server.asked_sleep_usec = micros;
    ctx.effect(Effect::Sleep { micros, token });
    Ok(())
}

pub fn assertion(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    crash(ctx, Crash::Assertion)
}

pub fn panic(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    crash(ctx, Crash::Panic)
}

pub fn segfault(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    crash(ctx, Crash::Segfault)
}

pub fn out_of_memory(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    crash(ctx, Crash::OutOfMemory)
}

/// There is no reply: the connection ends with the process.
fn crash(ctx: &mut Ctx<'_>, how: Crash) -> Done {
    ctx.effect(Effect::Crash(how));
    Ok(())
}
