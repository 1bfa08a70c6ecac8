//! The text of `… HELP`, made from the declarations of the subcommands.

use crate::exec::spec::ArgKind;
use crate::exec::{Arg, Command, Ctx, Done};
use crate::resp::{Args, Reply};

/// The handler of `<container> HELP`.
pub fn help(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if let Some(index) = ctx.server.commands.find(args.at(0)) {
        let container = ctx.server.commands.command(index);
        push(ctx.reply(), &container.name.to_ascii_uppercase(), container.subcommands);
    }
    Ok(())
}

/// Writes two lines for each subcommand of `container`: how it is called, and what it does.
fn push(reply: &mut Reply, container: &str, subcommands: &[Command]) {
    reply.array(1 + 2 * subcommands.len());
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for command in subcommands {
        let name = command.name.rsplit('|').next().unwrap_or(command.name);
        reply.simple(&call_of(name, command.args));
        reply.simple(&format!("    {}", command.summary));
    }
}

fn call_of(name: &str, args: &[Arg]) -> String {
    let mut text = name.to_ascii_uppercase();
    for arg in args {
        text.push(' ');
        text.push_str(&shape_of(arg));
    }
    text
}

/// An argument as manuals show it: `<value>`, `WORD`, `[…]` for optional ones, `a|b` for a choice.
fn shape_of(arg: &Arg) -> String {
    let parts = |between| arg.args.iter().map(shape_of).collect::<Vec<_>>().join(between);
    let shape = match arg.kind {
        ArgKind::PureToken => String::new(),
        ArgKind::OneOf => parts("|"),
        ArgKind::Block => parts(" "),
        _ => format!("<{}>", arg.display.unwrap_or(arg.name)),
    };
    let shape = match arg.token {
        Some(token) if shape.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {shape}"),
        None => shape,
    };
    let shape = if arg.multiple { format!("{shape} [{shape} ...]") } else { shape };
    if arg.optional { format!("[{shape}]") } else { shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_shown_as_in_manuals() {
        const ARGS: &[Arg] = &[
            Arg::key("key", 0).multiple(),
            Arg::int("n").token("COUNT").optional(),
            Arg::one_of("how", &[Arg::flag("now", "NOW"), Arg::flag("later", "LATER")]).optional(),
        ];
        assert_eq!(call_of("show", ARGS), "SHOW <key> [<key> ...] [COUNT <n>] [NOW|LATER]");
    }
}
