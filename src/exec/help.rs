//! HELP of commands with subcommands, derived from their declarations.

use super::spec::{Arg, ArgKind, Command};

/// The lines of `<container> HELP`.
#[must_use]
pub fn help_lines(container: &Command) -> Vec<String> {
    let name = container.name.to_ascii_uppercase();
    let mut lines = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in container.subcommands.iter().filter(|sub| !sub.name.ends_with("|help")) {
        let sub_name = sub.name.split_once('|').map_or(sub.name, |(_, name)| name).to_ascii_uppercase();
        lines.push(format!("{sub_name}{}", arguments(sub.args)));
        lines.push(format!("    {}", sub.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Prints this help.".to_owned());
    lines
}

fn arguments(args: &[Arg]) -> String {
    args.iter().map(|arg| format!(" {}", argument(arg))).collect()
}

fn argument(arg: &Arg) -> String {
    let name = arg.display.unwrap_or(arg.name);
    let value = match arg.kind {
        ArgKind::PureToken => String::new(),
        ArgKind::OneOf => arg.args.iter().map(argument).collect::<Vec<_>>().join("|"),
        ArgKind::Block => arguments(arg.args).trim_start().to_owned(),
        _ => format!("<{name}>"),
    };
    let mut text = match arg.token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {value}"),
        None => value,
    };
    if arg.multiple {
        text = format!("{text} [{text} ...]");
    }
    if arg.optional { format!("[{text}]") } else { text }
}
