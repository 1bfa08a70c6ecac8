//! What concerns the process: RESTART and CRASH-AND-RECOVER, CONFIG-REWRITE-FORCE-ALL, LEAK, and the allocator's own
//! controls (MALLCTL, MALLCTL-STR).

use crate::commands::parse;
use crate::exec::effect::RestartRequest;
use crate::exec::{Ctx, Done, Effect};
use crate::resp::{Args, ErrorReply};

/// Saves everything and begins anew.
pub fn restart(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    begin_anew(ctx, args, true)
}

/// Begins anew without saving anything.
pub fn crash_and_recover(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    begin_anew(ctx, args, false)
}

/// There is no reply when it succeeds: the connection ends with the process.
fn begin_anew(ctx: &mut Ctx<'_>, args: Args<'_>, graceful: bool) -> Done {
    let delay_ms = args.get(2).map_or(Ok(0), parse::int)?.max(0).unsigned_abs();
    let token = ctx.park();
    ctx.effect(Effect::Restart(RestartRequest { token, delay_ms, graceful }));
    Ok(())
}

pub fn rewrite_config(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let token = ctx.park();
    ctx.effect(Effect::RewriteConfig { token, whole: true });
    Ok(())
}

/// For those who test tools that look for leaks.
pub fn leak(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    args.at(2).to_vec().leak();
    ctx.reply().ok();
    Ok(())
}

/// A number among the allocator's controls, as it was.
pub fn allocator_number(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let value = args.get(3).map(parse::int).transpose()?;
    let old = ctx.server.memory.control(args.at(2), value.map(|n| n as u64)).map_err(refused)?;
    ctx.reply().int(old as i64);
    Ok(())
}

/// A text among the allocator's controls.
pub fn allocator_text(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let text = ctx.server.memory.control_text(args.at(2)).map_err(refused)?;
    ctx.reply().bulk(&text);
    Ok(())
}

fn refused(why: String) -> ErrorReply {
    ErrorReply::text_of(format!("ERR {why}"))
}
