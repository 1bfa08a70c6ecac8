//! The command line, in both grammars, resolved into one [`Command`] and its [`Options`].
//!
//! redis-trib's grammar is the native one: `trib create --replicas 1 h:p …`, options anywhere. The grammar
//! of `redis-cli --cluster create h:p … --cluster-replicas 1` is rewritten into it before clap sees it
//! ([`grammar`]), so there is one declaration of every option, from which help, manual page and completions
//! follow.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser};
use serde::Serialize;

use super::addr::Addr;
use super::cmd::Command;
use super::error::Error;
use super::grammar::{self, Line};
use super::inventory;
use super::mover::Engine;
use super::options::{GlobalArgs, Options};
use super::table::Sheet;
use super::ui::{Ui, Wording};
use super::vocabulary::Vocabulary;

/// Creates, checks, repairs, reshards and watches Redis clusters
///
/// Works with any Redis or Valkey server. Also understands the options of 'redis-cli --cluster'. A cluster may be named, as
/// in 'trib @prod check', and 'trib @' lists the names: see --inventory.
#[derive(Parser)]
#[command(
    name = "trib",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    infer_long_args = false,
    // As for redis-cli, the last of several wins.
    args_override_self = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the cluster is unhealthy, 4 changes pending,\n\
                  5 declined, 6 timed out. With --cluster: 0 or 1, as redis-cli has it."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// The address of any node of the cluster, as `host:port` or as `host port`.
#[derive(Args, Clone, Debug)]
pub struct SeedArgs {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT", required = true, num_args = 1..=2)]
    node: Vec<String>,
}

impl SeedArgs {
    /// The address meant.
    pub fn addr(&self) -> Result<Addr, Error> {
        let text = match &self.node[..] {
            [host, port] => format!("{host}:{port}"),
            [both] => both.clone(),
            _ => String::new(),
        };
        text.parse().map_err(|why| Error::usage(BAD_ADDRESS).hint(format!("'{text}': {why}")))
    }
}

/// Whether to act: shared by the subcommands that change something.
#[derive(Args, Clone, Copy, Debug)]
pub struct PlanArgs {
    /// Show what would be done (with --json as a plan for 'trib apply'), do nothing, and end with 4 if there is
    /// something to do
    #[arg(long)]
    pub dry_run: bool,
}

/// How long to wait for what was done to be so: shared by the subcommands that end in a cluster that agrees.
#[derive(Args, Clone, Copy, Debug)]
#[cfg_attr(test, derive(Default))]
pub struct WaitArgs {
    /// How long to wait until all nodes agree, serve and are in sync: seconds, or with a unit (500ms, 60s, 5m)
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub wait: Duration,
    /// Do not wait for that
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
}

impl WaitArgs {
    /// Whether new replicas are to be in sync before the command ends. In redis-cli's grammar nobody looks after them.
    pub fn for_replicas(self, wording: Wording) -> bool {
        !self.no_wait && wording == Wording::Trib
    }
}

/// `30`, `30s`, `500ms`, `5m` or `1h`; a number alone is seconds.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the units are ms, s, m and h".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "not a length of time".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "not a length of time".to_owned())
}

/// `1000`, `64kb`, `10mb` or `1gb`, in powers of 1024; at least 1.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err("the units are kb, mb and gb".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).ok_or_else(|| "not a number of bytes".to_owned())
}

/// How a table is printed: shared by the subcommands that print one.
#[derive(Args, Clone, Copy, Debug)]
pub struct SheetArgs {
    /// Print commas instead of a table. Keys are as with --json
    #[arg(long)]
    pub csv: bool,
}

impl SheetArgs {
    /// Prints the table, as CSV or as JSON where that is wanted.
    pub fn print(self, ui: &Ui, sheet: &Sheet, data: &impl Serialize) {
        if ui.is_json() {
            ui.json(data);
        } else if self.csv {
            ui.csv(&sheet.csv());
        } else {
            ui.line(sheet.table());
        }
    }
}

/// Who moves slots: shared by the subcommands that move slots of a healthy cluster.
#[derive(Args, Clone, Copy, Debug)]
pub struct EngineArgs {
    /// Who moves the slots
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// The same as --engine atomic, as valkey-cli has it
    #[arg(long, conflicts_with = "engine")]
    use_atomic_slot_migration: bool,
}

impl EngineArgs {
    #[must_use]
    pub fn engine(self) -> Engine {
        if self.use_atomic_slot_migration { Engine::Atomic } else { self.engine }
    }
}

/// How keys are moved: shared by the subcommands that move slots.
#[derive(Args, Clone, Debug)]
pub struct MoveArgs {
    /// How long one MIGRATE may take
    #[arg(long = "timeout", value_name = "MS", default_value_t = 60_000)]
    pub timeout_ms: u64,
    /// Most keys in one MIGRATE [default: as many as take about 10 ms]
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub pipeline: Option<u32>,
    /// Overwrite keys that exist on the receiving node
    #[arg(long)]
    pub replace: bool,
    /// Move no more keys a second than this, over all nodes. Servers that move slots themselves are given so many at a time
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_keys_per_sec: Option<u64>,
    /// Move no more bytes a second than this, over all nodes, as MEMORY USAGE counts them; with a unit as in 10mb
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_bytes_per_sec: Option<u64>,
    /// Move nothing while the giving or the receiving node answers a PING in 100 later than this
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub pause_if_p99_over: Option<u64>,
    /// Move slots even if the receiving node seems to have too little memory for their keys
    #[arg(long)]
    pub ignore_memory: bool,
}

/// A command line that ends the run right away: help, version, or a mistake.
pub struct Exit {
    pub text: String,
    pub to_stderr: bool,
    pub code: u8,
}

impl Exit {
    /// Wrong usage, in redis-cli's way.
    #[must_use]
    pub fn wrong(text: impl Into<String>) -> Exit {
        Exit { text: text.into() + "\n", to_stderr: true, code: 1 }
    }

    /// Prints the text and gives the code.
    #[must_use]
    pub fn finish(&self) -> ExitCode {
        // Whoever has read enough of a help, as 'head' does, has gone.
        let _ = match self.to_stderr {
            true => std::io::stderr().write_all(self.text.as_bytes()),
            false => std::io::stdout().write_all(self.text.as_bytes()),
        };
        ExitCode::from(self.code)
    }
}

const BAD_ADDRESS: &str = "[ERR] Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or \
                           space separated IP and port (ie. 120.0.0.1 7000)";

/// Subcommands of `redis-cli --cluster`.
pub const REDIS_CLI_SUBCOMMANDS: &[&str] = &[
    "create",
    "check",
    "info",
    "fix",
    "reshard",
    "rebalance",
    "add-node",
    "del-node",
    "call",
    "set-timeout",
    "import",
    "backup",
    "help",
];

/// Reads a command line; the first argument is the program's name. `env` looks up environment variables.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<(Command, Options), Exit> {
    let typed: Vec<OsString> = inventory::expand(args.into_iter().collect(), &env)?;
    let Line { wording, args, words, uris } = grammar::read(typed.clone())?;
    let cli = Cli::try_parse_from(args).map_err(|error| match wording {
        Wording::Trib => exit_of_clap(&error),
        Wording::RedisCli => redis_cli_exit(&error, &typed),
    })?;
    let vocabulary = match wording {
        Wording::Trib => Vocabulary::default(),
        Wording::RedisCli => Vocabulary::of_caller(&typed, &env),
    };
    let options = Options::resolve(cli.global, (wording, vocabulary), words, &uris, env);
    Ok((cli.command, options))
}

fn exit_of_clap(error: &clap::Error) -> Exit {
    let code = if error.use_stderr() { 2 } else { 0 };
    Exit { text: error.render().to_string(), to_stderr: error.use_stderr(), code }
}

/// What redis-cli says about the same mistake.
fn redis_cli_exit(error: &clap::Error, typed: &[OsString]) -> Exit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit_of_clap(error),
        ErrorKind::UnknownArgument => Exit::wrong(unrecognized(&as_typed(&context(ContextKind::InvalidArg), typed))),
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            let option = context(ContextKind::InvalidArg);
            Exit::wrong(unrecognized(&as_typed(option.split(' ').next().unwrap_or_default(), typed)))
        }
        ErrorKind::ValueValidation if context(ContextKind::InvalidArg).contains("@BUSPORT") => {
            Exit::wrong(format!("Invalid address format: {}", context(ContextKind::InvalidValue)))
        }
        ErrorKind::ValueValidation
            if ["<NEW>", "<EXISTING>", "<HOST:PORT>"].contains(&&*context(ContextKind::InvalidArg)) =>
        {
            Exit::wrong(BAD_ADDRESS)
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::NoEquals => {
            let text = error.render().to_string();
            let said = text.split("\n\nFor more information").next().unwrap_or_default();
            let option = context(ContextKind::InvalidArg);
            Exit::wrong(said.replacen(&format!("'{option}'"), &format!("'{}'", as_typed(&option, typed)), 1))
        }
        _ => Exit::wrong("[ERR] Wrong number of arguments for specified --cluster sub command"),
    }
}

fn unrecognized(option: &str) -> String {
    format!("Unrecognized option or bad number of args for: '{option}'")
}

/// An option, with what may stand behind its name, by the name that was typed: `--cluster-slots` if not `--slots`, and
/// `--cluster-primary-id` if not `--master-id`.
fn as_typed(option: &str, typed: &[OsString]) -> String {
    let name = option.split(' ').next().unwrap_or_default();
    let Some(long) = name.strip_prefix("--") else { return option.to_owned() };
    let is_typed = |name: &&String| {
        typed.iter().any(|arg| {
            let rest = arg.to_str().and_then(|arg| arg.strip_prefix(name.as_str()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    let spellings: Vec<String> =
        names_of(long).iter().flat_map(|long| [format!("--cluster-{long}"), format!("--{long}")]).collect();
    let spelling = spellings.iter().find(is_typed).map_or(name, String::as_str);
    option.replacen(name, spelling, 1)
}

/// All names of the option of this name, in whichever subcommand has it.
fn names_of(long: &str) -> Vec<String> {
    let cli = Cli::command();
    let is_it = |arg: &&clap::Arg| arg.get_long() == Some(long);
    let aliases = cli.get_subcommands().flat_map(|sub| sub.get_arguments().filter(is_it));
    let aliases = aliases.flat_map(|arg| arg.get_all_aliases().unwrap_or_default());
    std::iter::once(long).chain(aliases).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn read(line: &str) -> Result<(Command, Options), Exit> {
        parse(words(line), |_| None)
    }

    fn refusal(line: &str) -> (String, u8) {
        match read(line) {
            Ok(_) => panic!("{line} was accepted"),
            Err(exit) => (exit.text.trim_end().to_owned(), exit.code),
        }
    }

    #[test]
    fn mistakes_are_worded_as_redis_cli_words_them() {
        let arity = "[ERR] Wrong number of arguments for specified --cluster sub command";
        assert_eq!(refusal("trib --cluster"), ("Unrecognized option or bad number of args for: '--cluster'".into(), 1));
        assert_eq!(refusal("trib --cluster nonsense a:1"), ("Unknown --cluster subcommand".into(), 1));
        assert_eq!(refusal("trib --cluster check"), (arity.into(), 1));
        assert_eq!(
            refusal("trib --cluster check a:1 --cluster-nonsense"),
            ("Unrecognized option or bad number of args for: '--cluster-nonsense'".into(), 1)
        );
        assert_eq!(
            refusal("trib --cluster reshard a:1 --cluster-slots"),
            ("Unrecognized option or bad number of args for: '--cluster-slots'".into(), 1)
        );
        assert_eq!(
            refusal("trib --cluster add-node a:1 b:1 --cluster-replica --cluster-primary-id"),
            ("Unrecognized option or bad number of args for: '--cluster-primary-id'".into(), 1)
        );
    }

    #[test]
    fn a_bad_value_is_told_with_the_option_as_it_was_typed() {
        for (line, said) in [
            ("reshard a:1 --cluster-slots x", "error: invalid value 'x' for '--cluster-slots <COUNT>': "),
            ("reshard a:1 --cluster-slots=x", "error: invalid value 'x' for '--cluster-slots <COUNT>': "),
            ("reshard a:1 --cluster-slots -5", "error: invalid value '-5' for '--cluster-slots <COUNT>': "),
            ("create a:1 --cluster-replicas -2", "error: invalid value '-2' for '--cluster-replicas <N>': "),
            ("reshard a:1 --slots x", "error: invalid value 'x' for '--slots <COUNT>': "),
            ("rebalance a:1 --cluster-threshold x", "error: invalid value 'x' for '--cluster-threshold <PERCENT>': "),
            ("fix a:1 --cluster-pipeline 0", "error: invalid value '0' for '--cluster-pipeline <KEYS>': "),
        ] {
            let (text, code) = refusal(&format!("trib --cluster {line}"));
            assert!(text.starts_with(said) && !text.contains('\n') && code == 1, "{line}: {text}");
        }
        let (text, code) = refusal("trib reshard a:1 --slots 99999");
        assert!(text.contains("'--slots <COUNT>'") && text.contains("--help") && code == 2, "{text}");
    }

    #[test]
    fn the_last_of_several_wins() {
        let resolve = |line: &str| read(line).unwrap_or_else(|exit| panic!("{line}: {}", exit.text));
        for line in [
            "trib --cluster check a:1 --cluster-yes --cluster-yes -a x -a y --verbose --verbose",
            "trib -a x --cluster check a:1 --cluster-yes -a y --verbose --cluster-yes",
            "trib check -y -a x -v a:1 --yes --pass y -v",
            "trib -a x check -a y a:1 -y -v",
        ] {
            let options = resolve(line).1;
            assert!(options.yes && options.verbose, "{line}");
            assert_eq!(options.access.login.password.as_deref(), Some("y"), "{line}");
        }
        let maps = resolve("trib check --map a=b --map c=d a:1").1.access.map.entries;
        assert_eq!(maps.len(), 2, "lists grow");
        resolve("trib --cluster rebalance a:1 --cluster-threshold 5 --cluster-threshold 2");
        resolve("trib rebalance a:1 --weight n=1 --weight m=2 --simulate --simulate");
        resolve("trib --cluster call a:1 ping --cluster-only-masters --cluster-only-replicas");
    }

    #[test]
    fn mistakes_in_our_own_grammar_are_usage() {
        for line in ["trib", "trib nonsense", "trib check", "trib check a:1 b 3", "trib check --nonsense a:1"] {
            assert_eq!(refusal(line).1, 2, "{line}");
        }
        assert_eq!(refusal("trib --version").1, 0);
    }

    #[test]
    fn passwords_and_consent_come_from_the_environment_too() {
        let env = |name: &str| match name {
            "REDISCLI_AUTH" => Some("from-env".to_owned()),
            "REDISCLI_CLUSTER_YES" => Some("1".to_owned()),
            _ => None,
        };
        let resolve = |line: &str| parse(words(line), env).unwrap_or_else(|exit| panic!("{}", exit.text)).1;
        let options = resolve("trib check a:1");
        assert_eq!(options.access.login.password.as_deref(), Some("from-env"));
        assert!(options.yes && !options.warn_password);
        let options = resolve("trib check -a typed --user me a:1");
        assert_eq!(options.access.login.password.as_deref(), Some("typed"));
        assert_eq!(options.access.login.user.as_deref(), Some("me"));
        assert!(options.warn_password);
        assert!(!resolve("trib check --pass typed --no-auth-warning a:1").warn_password);
        let both = |line: &str| {
            let env = |name: &str| name.strip_suffix("CLI_AUTH").map(str::to_owned);
            parse(words(line), env).unwrap_or_else(|exit| panic!("{}", exit.text)).1.access.login.password.unwrap()
        };
        assert_eq!(both("trib check a:1"), "REDIS");
        assert_eq!(both("redis-cli --cluster check a:1"), "REDIS");
        assert_eq!(both("trib --cluster check a:1"), "VALKEY");
        assert_eq!(both("valkey-cli --cluster check a:1"), "VALKEY");
    }

    #[test]
    fn the_seed_is_one_word_or_two() {
        let seed = |line: &str| match read(line).unwrap_or_else(|exit| panic!("{}", exit.text)).0 {
            Command::Info(args) => args.seed.addr(),
            _ => panic!("not info"),
        };
        assert_eq!(seed("trib info h:7000").unwrap(), Addr::new("h", 7000));
        assert_eq!(seed("trib info h 7000").unwrap(), Addr::new("h", 7000));
        assert_eq!(seed("trib info h").unwrap_err().kind, super::super::error::Kind::Usage);
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [("5", 5000), ("0", 0), ("1.5s", 1500), ("20ms", 20), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "s", "-1", "5 s", "5d", "1e300", "nan"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [("5", 5), ("1kb", 1024), ("2MB", 2 << 20), ("3g", 3 << 30)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "kb", "-1", "1tb", "99999999999gb"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_declarations_are_sound() {
        Cli::command().debug_assert();
    }
}
