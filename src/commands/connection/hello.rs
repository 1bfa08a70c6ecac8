//! AUTH and HELLO: the password and the protocol version.

use super::ANY_TIME;
use crate::exec::{Acl, Arg, Command, Ctx, Done, Group};
use crate::resp::{Args, ErrorReply, Proto};

pub const COMMANDS: &[Command] = &[
    Command::new("auth", -2, auth)
        .flags(ANY_TIME)
        .acl(Acl::CONNECTION)
        .doc(
            Group::Connection,
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "Says who the client is.",
        )
        .args(&[Arg::string("username").since("6.0.0").optional(), Arg::string("password")]),
    Command::new("hello", -1, hello)
        .flags(ANY_TIME)
        .acl(Acl::CONNECTION)
        .doc(Group::Connection, "6.0.0", "O(1)", "Agrees on the protocol version and describes the server.")
        .args(&[Arg::block(
            "arguments",
            &[
                Arg::int("protover"),
                Arg::block("auth", &[Arg::string("username"), Arg::string("password")]).token("AUTH").optional(),
                Arg::string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional()]),
];

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (user, password) = match args.len() {
        2 => (&b"default"[..], args.at(1)),
        3 => (args.at(1), args.at(2)),
        _ => return Err(ErrorReply::Syntax),
    };
    if args.len() == 2 && ctx.server.config.requirepass.is_empty() {
        return Err(ErrorReply::Static(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ));
    }
    authenticate(ctx, user, password)?;
    ctx.reply().ok();
    Ok(())
}

fn authenticate(ctx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Done {
    let expected = ctx.server.config.requirepass.as_slice();
    if user != b"default" || !(expected.is_empty() || same_secret(expected, password)) {
        ctx.server.stats.auth_failures += 1;
        return Err(ErrorReply::WrongPass);
    }
    ctx.client.authenticated = true;
    Ok(())
}

/// Compares without telling by the time it takes how much was right.
fn same_secret(expected: &[u8], given: &[u8]) -> bool {
    let mut different = expected.len() ^ given.len();
    for (i, b) in given.iter().enumerate() {
        different |= usize::from(b ^ expected[i % expected.len()]);
    }
    different == 0
}

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut proto = ctx.client.reply.proto;
    if let Some(version) = args.get(1) {
        proto = match crate::base::num::parse_i64(version) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(ErrorReply::Static("NOPROTO unsupported protocol version")),
            None => {
                return Err(ErrorReply::Static("ERR Protocol version is not an integer or out of range"));
            }
        };
    }
    let (mut credentials, mut name) = (None, None);
    let mut i = 2;
    while i < args.len() {
        if args.is(i, "auth") && i + 2 < args.len() {
            credentials = Some((args.at(i + 1), args.at(i + 2)));
            i += 3;
        } else if args.is(i, "setname") && i + 1 < args.len() {
            check_name(args.at(i + 1))?;
            name = Some(args.at(i + 1));
            i += 2;
        } else {
            let option = crate::resp::error::shown(args.at(i), 128);
            return Err(ErrorReply::text_of(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(ctx, user, password)?;
    }
    if !ctx.client.authenticated {
        return Err(ErrorReply::Static(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = name {
        ctx.client.name = name.to_vec();
    }
    ctx.client.reply.proto = proto;
    let (id, mode, role) = (ctx.client.id.0, ctx.server.mode_name(), ctx.server.role_name());
    let reply = ctx.reply();
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", crate::exec::state::COMPAT_VERSION)] {
        reply.bulk_str(field);
        reply.bulk_str(value);
    }
    reply.bulk_str("proto");
    reply.int(if proto == Proto::Resp3 { 3 } else { 2 });
    reply.bulk_str("id");
    reply.int(id as i64);
    reply.bulk_str("mode");
    reply.bulk_str(mode);
    reply.bulk_str("role");
    reply.bulk_str(role);
    reply.bulk_str("modules");
    reply.array(0);
    Ok(())
}

/// A client name must not break the lines of CLIENT LIST.
pub(super) fn check_name(name: &[u8]) -> Done {
    if name.iter().all(|b| (b'!'..=b'~').contains(b)) {
        Ok(())
    } else {
        Err(ErrorReply::Static("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}
