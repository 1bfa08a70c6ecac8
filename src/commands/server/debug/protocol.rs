//! PROTOCOL: a reply of each type, for those who write clients.

use crate::exec::{Ctx, Done};
use crate::resp::{Args, ErrorReply, Reply, word};

pub fn protocol(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let name = word(args.at(2)).to_ascii_lowercase();
    let reply = ctx.reply();
    match &name[..] {
        b"string" => reply.bulk_str("Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(f64::from(3141) / 1000.0),
        b"bignum" => big_number(reply),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.int(n);
                reply.bool(n == 1);
            }
        }
        b"attrib" => attribute(reply),
        b"push" => return push(reply),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => {
            return Err(ErrorReply::Static(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

fn big_number(reply: &mut Reply) {
    const DIGITS: &str = "1234567999999999999999999999999999999";
    if reply.resp3() { reply.raw(format!("({DIGITS}\r\n").as_bytes()) } else { reply.bulk_str(DIGITS) }
}

/// What is said of the reply behind it; nothing in RESP2.
fn attribute(reply: &mut Reply) {
    if reply.resp3() {
        reply.raw(b"|1\r\n");
        reply.bulk_str("key-popularity");
        reply.array(2);
        reply.bulk_str("key:123");
        reply.int(90);
    }
    reply.bulk_str("Some real reply following the attribute");
}

/// A message that answers nothing, and then an answer.
fn push(reply: &mut Reply) -> Done {
    if !reply.resp3() {
        return Err(ErrorReply::Static("ERR RESP2 is not supported by this command"));
    }
    reply.push(2);
    reply.bulk_str("server-cpu-usage");
    reply.int(42);
    reply.bulk_str("Some real reply following the push reply");
    Ok(())
}
