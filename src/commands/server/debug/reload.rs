//! RELOAD and LOADAOF: the dataset through its files and back. Other clients wait, or are told that it is loading.

use crate::exec::effect::{ReloadRequest, ReloadSource};
use crate::exec::{Ctx, Done, Effect};
use crate::resp::{Args, ErrorReply};

pub fn reload(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut save, mut flush, mut merge) = (true, true, false);
    for i in 2..args.len() {
        if args.is(i, "nosave") {
            save = false;
        } else if args.is(i, "noflush") {
            flush = false;
        } else if args.is(i, "merge") {
            merge = true;
        } else {
            return Err(ErrorReply::Static("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
        }
    }
    if save && ctx.server.job.is_some() {
        return Err(ErrorReply::Static("ERR Background save already in progress"));
    }
    begin(ctx, ReloadSource::File { save, flush, merge })
}

pub fn load_aof(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    if !ctx.server.aof.is_on() {
        return Err(ErrorReply::Static("ERR There is no append only file to load: appendonly is off"));
    }
    begin(ctx, ReloadSource::Log)
}

fn begin(ctx: &mut Ctx<'_>, source: ReloadSource) -> Done {
    if ctx.server.is_loading() {
        return Err(ErrorReply::Loading);
    }
    let token = ctx.park();
    ctx.effect(Effect::Reload(ReloadRequest { token, source }));
    Ok(())
}
