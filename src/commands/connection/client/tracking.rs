//! CLIENT TRACKING and its kin: which changes a client that caches is told of.

use crate::commands::parse;
use crate::exec::client::{Client, ClientId};
use crate::exec::tracking::Tracking;
use crate::exec::{Arg, Ctx, Done};
use crate::resp::error::shown;
use crate::resp::{Args, ErrorReply};

pub const ARGS: &[Arg] = &[
    Arg::one_of("status", &[Arg::flag("on", "ON"), Arg::flag("off", "OFF")]),
    Arg::int("client-id").token("REDIRECT").optional(),
    Arg::string("prefix").token("PREFIX").optional().multiple().multiple_token(),
    Arg::flag("bcast", "BCAST").optional(),
    Arg::flag("optin", "OPTIN").optional(),
    Arg::flag("optout", "OPTOUT").optional(),
    Arg::flag("noloop", "NOLOOP").optional(),
];

pub fn tracking(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let wanted = parse_options(ctx, args)?;
    if args.is(2, "on") {
        let wanted = check(ctx.client, wanted)?;
        ctx.server.track(ctx.client, wanted);
    } else if args.is(2, "off") {
        ctx.server.untrack(ctx.client);
    } else {
        return Err(ErrorReply::Syntax);
    }
    ctx.reply().ok();
    Ok(())
}

fn parse_options(ctx: &Ctx<'_>, args: Args<'_>) -> Result<Tracking, ErrorReply> {
    let mut wanted = Tracking::default();
    let mut i = 3;
    while i < args.len() {
        let value = args.get(i + 1);
        if let (true, Some(id)) = (args.is(i, "redirect"), value) {
            if wanted.redirect.is_some() {
                return Err(ErrorReply::Static("ERR A client can only redirect to a single other client"));
            }
            let id = parse::int(id)?;
            // 0 is the client itself.
            if id != 0 {
                let to = ClientId(id as u64);
                if to != ctx.client.id && ctx.server.clients.get(to).is_none() {
                    return Err(ErrorReply::Static("ERR The client ID you want redirect to does not exist"));
                }
                wanted.redirect = Some(to);
            }
            i += 1;
        } else if let (true, Some(prefix)) = (args.is(i, "prefix"), value) {
            wanted.prefixes.push(prefix.into());
            i += 1;
        } else if args.is(i, "bcast") {
            wanted.broadcast = true;
        } else if args.is(i, "optin") {
            wanted.opt_in = true;
        } else if args.is(i, "optout") {
            wanted.opt_out = true;
        } else if args.is(i, "noloop") {
            wanted.no_loop = true;
        } else {
            return Err(ErrorReply::Syntax);
        }
        i += 1;
    }
    Ok(wanted)
}

/// Whether the options fit each other and how the client tracks already; its prefixes stay.
fn check(client: &Client, mut wanted: Tracking) -> Result<Tracking, ErrorReply> {
    let refuse = |text| Err(ErrorReply::Static(text));
    if !wanted.broadcast && !wanted.prefixes.is_empty() {
        return refuse("ERR PREFIX option requires BCAST mode to be enabled");
    }
    let now = client.tracking.as_deref();
    if now.is_some_and(|now| now.broadcast != wanted.broadcast) {
        return refuse(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    if wanted.broadcast && (wanted.opt_in || wanted.opt_out) {
        return refuse("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if wanted.opt_in && wanted.opt_out {
        return refuse("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    if now.is_some_and(|now| wanted.opt_in && now.opt_out || wanted.opt_out && now.opt_in) {
        return refuse(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    if wanted.broadcast {
        let old = now.map_or(&[][..], |now| &now.prefixes);
        check_prefixes(old, &wanted.prefixes)?;
        if wanted.prefixes.is_empty() {
            wanted.prefixes.push(Box::default());
        }
        let fresh: Vec<_> = wanted.prefixes.drain(..).filter(|prefix| !old.contains(prefix)).collect();
        wanted.prefixes = old.iter().cloned().chain(fresh).collect();
        wanted.prefixes.sort_unstable();
    }
    Ok(wanted)
}

/// A key under two prefixes of one client would be told of twice.
fn check_prefixes(old: &[Box<[u8]>], new: &[Box<[u8]>]) -> Done {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refusal = |prefix: &[u8], which: &str, other: &[u8]| {
        ErrorReply::text_of(format!(
            "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client must not overlap.",
            shown(prefix, 128),
            shown(other, 128)
        ))
    };
    for (i, prefix) in new.iter().enumerate() {
        if let Some(other) = old.iter().find(|other| overlap(prefix, other)) {
            return Err(refusal(prefix, "an existing", other));
        }
        if let Some(other) = new[i + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(refusal(prefix, "another provided", other));
        }
    }
    Ok(())
}

pub fn caching(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let refuse = |text| Err(ErrorReply::Static(text));
    let Some(tracking) = &mut ctx.client.tracking else {
        return refuse(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        );
    };
    if args.is(2, "yes") {
        if !tracking.opt_in {
            return refuse("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
        }
    } else if args.is(2, "no") {
        if !tracking.opt_out {
            return refuse("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
        }
    } else {
        return Err(ErrorReply::Syntax);
    }
    tracking.caching = true;
    ctx.reply().ok();
    Ok(())
}

/// To whom invalidations go: 0 is the client itself, -1 nobody.
pub fn redirect_of(tracking: Option<&Tracking>) -> i64 {
    tracking.map_or(-1, |tracking| tracking.redirect.map_or(0, |to| to.0 as i64))
}

pub fn getredir(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let redirect = redirect_of(ctx.client.tracking.as_deref());
    ctx.reply().int(redirect);
    Ok(())
}

pub fn trackinginfo(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let tracking = ctx.client.tracking.clone();
    let reply = ctx.reply();
    let mut flags = Vec::new();
    match tracking.as_deref() {
        None => flags.push("off"),
        Some(tracking) => {
            flags.push("on");
            let said = [
                (tracking.broadcast, "bcast"),
                (tracking.opt_in, "optin"),
                (tracking.opt_in && tracking.caching, "caching-yes"),
                (tracking.opt_out, "optout"),
                (tracking.opt_out && tracking.caching, "caching-no"),
                (tracking.no_loop, "noloop"),
                (tracking.broken, "broken_redirect"),
            ];
            flags.extend(said.iter().filter(|(set, _)| *set).map(|(_, word)| *word));
        }
    }
    reply.map(3);
    reply.bulk_str("flags");
    reply.set(flags.len());
    flags.iter().for_each(|word| reply.bulk_str(word));
    reply.bulk_str("redirect");
    reply.int(redirect_of(tracking.as_deref()));
    reply.bulk_str("prefixes");
    let prefixes = tracking.map(|tracking| tracking.prefixes).unwrap_or_default();
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}
