//! `trib help`: the help of the program or of one subcommand, in the grammar it was asked in.

use std::fmt::Write;

use clap::CommandFactory;

use super::Context;
use crate::trib::cli::{Cli, REDIS_CLI_SUBCOMMANDS};
use crate::trib::error::{Error, Kind};
use crate::trib::ui::Wording;
use crate::trib::vocabulary::Vocabulary;

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
            ctx.ui.part(cluster_help(&cli, ctx.ui.vocabulary()));
            // redis-cli and valkey-cli end their help with 1.
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

/// The subcommands with their options as `redis-cli --cluster` or `valkey-cli --cluster` spells them, from the
/// declarations.
fn cluster_help(cli: &clap::Command, vocabulary: Vocabulary) -> String {
    let mut text = String::from("Cluster Manager Commands:\n");
    for name in REDIS_CLI_SUBCOMMANDS {
        let Some(command) = cli.find_subcommand(name) else { continue };
        let values =
            |arg: &clap::Arg| arg.get_value_names().map(|names| names.join(" ").to_lowercase()).unwrap_or_default();
        let positionals: Vec<String> = command.get_positionals().map(values).collect();
        let _ = writeln!(text, "  {name:<14} {}", positionals.join(" "));
        for option in command.get_arguments().filter(|arg| !arg.is_positional()) {
            let Some(long) = option.get_long().filter(|long| *long != "help") else { continue };
            let long = vocabulary.option(long, &option.get_all_aliases().unwrap_or_default());
            let value = if option.get_action().takes_values() { " <arg>" } else { "" };
            let _ = writeln!(text, "{:17}--cluster-{long}{value}", "");
        }
    }
    text.push_str(
        "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, backup you can specify the host and \
         port of any working node in the cluster.\n\nCluster Manager Options:\n  --cluster-yes  Automatic yes to \
         cluster commands prompts\n\nReports have the words of valkey-cli for who comes from there: by the name the \
         program is called by, an option that only valkey-cli has, or VALKEYCLI_AUTH or VALKEYCLI_CLUSTER_YES in the \
         environment.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_listed_in_the_spelling_of_the_tool() {
        let text = cluster_help(&Cli::command(), Vocabulary::Redis);
        for line in ["  create         ", "--cluster-replicas <arg>", "--cluster-search-multiple-owners\n", "  call "] {
            assert!(text.contains(line), "{line:?} is missing in\n{text}");
        }
        assert!(!text.contains("--cluster-help"));
        assert_eq!(text.matches("--cluster-copy").count(), 1);
        let theirs = cluster_help(&Cli::command(), Vocabulary::Valkey);
        assert!(text.contains("--cluster-master-id <arg>\n") && !text.contains("primar"), "{text}");
        for option in ["replica", "primary-id <arg>", "only-primaries", "use-empty-primaries"] {
            assert!(theirs.contains(&format!("--cluster-{option}\n")), "{option} is missing in\n{theirs}");
        }
        assert!(!theirs.contains("master") && !theirs.contains("slave"), "{theirs}");
    }
}
