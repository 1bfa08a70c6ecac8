//! `trib help`: the help of the program or of one subcommand, in the grammar it was asked in.

use std::fmt::Write;

use clap::CommandFactory;

use super::Context;
use crate::trib::cli::{Cli, REDIS_CLI_SUBCOMMANDS};
use crate::trib::error::{Error, Kind};
use crate::trib::ui::Wording;

/// Print help, of a subcommand when one is named
#[derive(clap::Args)]
pub struct Args {
    /// The subcommand
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub fn run(ctx: &Context<'_>, args: &Args) -> Result<(), Error> {
    let mut cli = Cli::command();
    match (ctx.ui.wording(), &args.command) {
        (Wording::RedisCli, _) => {
            ctx.ui.part(redis_cli_help(&cli));
            // redis-cli ends its help with 1.
            Err(Error::reported(Kind::Failed))
        }
        (Wording::Trib, None) => {
            ctx.ui.part(cli.render_long_help().to_string());
            Ok(())
        }
        (Wording::Trib, Some(name)) => {
            cli.build();
            let command = cli
                .find_subcommand_mut(name)
                .ok_or_else(|| Error::usage(format!("Unknown trib subcommand '{name}'")).hint("see 'trib help'"))?;
            ctx.ui.part(command.render_long_help().to_string());
            Ok(())
        }
    }
}

/// The subcommands with their options as `redis-cli --cluster` spells them, from the declarations.
fn redis_cli_help(cli: &clap::Command) -> String {
    let mut text = String::from("Cluster Manager Commands:\n");
    for name in REDIS_CLI_SUBCOMMANDS {
        let Some(command) = cli.find_subcommand(name) else { continue };
        let values =
            |arg: &clap::Arg| arg.get_value_names().map(|names| names.join(" ").to_lowercase()).unwrap_or_default();
        let positionals: Vec<String> = command.get_positionals().map(values).collect();
        let _ = writeln!(text, "  {name:<14} {}", positionals.join(" "));
        for option in command.get_arguments().filter(|arg| !arg.is_positional()) {
            let Some(long) = option.get_long().filter(|long| *long != "help") else { continue };
            let value = if option.get_action().takes_values() { " <arg>" } else { "" };
            let _ = writeln!(text, "{:17}--cluster-{long}{value}", "");
        }
    }
    text.push_str(
        "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import you can specify the host and \
         port of any working node in the cluster.\n\nCluster Manager Options:\n  --cluster-yes  Automatic yes to \
         cluster commands prompts\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_listed_in_redis_clis_spelling() {
        let text = redis_cli_help(&Cli::command());
        for line in ["  create         ", "--cluster-replicas <arg>", "--cluster-search-multiple-owners\n", "  call "] {
            assert!(text.contains(line), "{line:?} is missing in\n{text}");
        }
        assert!(!text.contains("--cluster-help"));
        assert_eq!(text.matches("--cluster-copy").count(), 1);
    }
}
