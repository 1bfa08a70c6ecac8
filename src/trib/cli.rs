//! The command line, in both grammars, resolved into one [`Command`] and its [`Options`].
//!
//! redis-trib's grammar is the native one: `trib create --replicas 1 h:p …`, options anywhere. The grammar
//! of `redis-cli --cluster create h:p … --cluster-replicas 1` is rewritten into it token by token before
//! clap sees it, so there is one declaration of every option, from which help, manual page and
//! completions follow.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser};

use super::addr::Addr;
use super::client::{Credentials, Timeouts};
use super::cmd::Command;
use super::error::Error;
use super::ui::{ColorChoice, Wording};

/// Creates, checks, repairs, reshards and watches Redis clusters
///
/// Works with any Redis or Valkey server. Also understands the options of 'redis-cli --cluster'.
#[derive(Parser)]
#[command(
    name = "trib",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    infer_long_args = false,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the cluster is unhealthy, 4 changes pending,\n\
                  5 declined, 6 timed out. With --cluster: 0 or 1, as redis-cli has it."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every subcommand.
#[derive(Args, Clone, Debug)]
pub struct GlobalArgs {
    /// Password for every node (environment: REDISCLI_AUTH)
    #[arg(short = 'a', long = "pass", global = true, value_name = "PASSWORD", help_heading = "Connection")]
    pub pass: Option<String>,
    /// Ask for the password
    #[arg(long, global = true, help_heading = "Connection")]
    pub askpass: bool,
    /// User to authenticate as
    #[arg(long, global = true, value_name = "NAME", help_heading = "Connection")]
    pub user: Option<String>,
    /// Do not warn about a password on the command line
    #[arg(long, global = true, help_heading = "Connection")]
    pub no_auth_warning: bool,
    /// How long a connection may take to come up
    #[arg(short = 't', long, global = true, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    #[arg(help_heading = "Connection")]
    pub connect_timeout: Duration,
    /// Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)
    #[arg(short = 'y', long, global = true)]
    pub yes: bool,
    /// Say more about what is done
    #[arg(short = 'v', long, global = true)]
    pub verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: ColorChoice,
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
}

/// What holds for the whole run.
#[derive(Clone)]
pub struct Options {
    pub wording: Wording,
    pub credentials: Credentials,
    pub timeouts: Timeouts,
    pub yes: bool,
    pub verbose: bool,
    pub color: ColorChoice,
    /// Warn that the password is visible in the process list.
    pub warn_password: bool,
    pub askpass: bool,
}

/// A command line that ends the run right away: help, version, or a mistake.
pub struct Exit {
    pub text: String,
    pub to_stderr: bool,
    pub code: u8,
}

impl Exit {
    fn wrong(text: impl Into<String>) -> Exit {
        Exit { text: text.into() + "\n", to_stderr: true, code: 1 }
    }

    /// Prints the text and gives the code.
    #[must_use]
    pub fn finish(&self) -> ExitCode {
        if self.to_stderr {
            eprint!("{}", self.text);
        } else {
            print!("{}", self.text);
        }
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
    let typed: Vec<OsString> = args.into_iter().collect();
    let (wording, args) = normalise(typed.clone())?;
    let cli = Cli::try_parse_from(args).map_err(|error| match wording {
        Wording::Trib => exit_of_clap(&error),
        Wording::RedisCli => redis_cli_exit(&error, &typed),
    })?;
    let options = resolve(cli.global, wording, env);
    Ok((cli.command, options))
}

fn resolve(global: GlobalArgs, wording: Wording, env: impl Fn(&str) -> Option<String>) -> Options {
    let from_env = env("REDISCLI_AUTH").filter(|password| !password.is_empty());
    Options {
        wording,
        warn_password: global.pass.is_some() && !global.no_auth_warning,
        credentials: Credentials { user: global.user, password: global.pass.or(from_env) },
        timeouts: Timeouts { connect: global.connect_timeout, ..Timeouts::default() },
        yes: global.yes || env("REDISCLI_CLUSTER_YES").is_some_and(|value| value.starts_with('1')),
        verbose: global.verbose,
        color: global.color,
        askpass: global.askpass,
    }
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
        ErrorKind::UnknownArgument => {
            let native = context(ContextKind::InvalidArg);
            let full = native.replacen("--", "--cluster-", 1);
            let shown = if typed.iter().any(|arg| *arg == *full) { full } else { native };
            Exit::wrong(format!("Unrecognized option or bad number of args for: '{shown}'"))
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
            Exit { text: error.render().to_string(), to_stderr: true, code: 1 }
        }
        _ => Exit::wrong("[ERR] Wrong number of arguments for specified --cluster sub command"),
    }
}

/// Rewrites either grammar into redis-trib's, and says which one it was.
fn normalise(args: Vec<OsString>) -> Result<(Wording, Vec<OsString>), Exit> {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_else(|| "trib".into());
    let args: Vec<OsString> = args.collect();
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let Some(at) = args[..end].iter().position(|arg| arg == "--cluster") else {
        let mut native = vec![program];
        native.extend(rewrite_options(args));
        return Ok((Wording::Trib, native));
    };
    let Some(sub) = args.get(at + 1) else {
        return Err(Exit::wrong("Unrecognized option or bad number of args for: '--cluster'"));
    };
    if !REDIS_CLI_SUBCOMMANDS.iter().any(|known| sub == known) {
        return Err(Exit::wrong("Unknown --cluster subcommand"));
    }
    let mut native = vec![program];
    native.extend(rewrite_options(without_client_options(&args[..at])));
    native.push(sub.clone());
    let rest = rewrite_options(args[at + 2..].to_vec());
    if sub == "call" {
        // The words of the command may begin with a dash, so clap takes everything behind the address
        // for them; redis-cli takes options there.
        let (options, words) = split_options(sub, rest);
        native.extend(options);
        native.extend(words);
    } else {
        native.extend(rest);
    }
    Ok((Wording::RedisCli, native))
}

/// `--cluster-x` is `--x`; `--weight a=1 b=2` is `--weight a=1 --weight b=2`.
fn rewrite_options(args: Vec<OsString>) -> Vec<OsString> {
    let mut out = Vec::with_capacity(args.len());
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        let arg = match arg.to_str().and_then(|text| text.strip_prefix("--cluster-")) {
            Some(name) => format!("--{name}").into(),
            None => arg,
        };
        if arg == "--weight" {
            out.extend(args.next_if(|next| is_weight(next)).map_or(vec![arg.clone()], |weight| vec![arg, weight]));
            while let Some(weight) = args.next_if(|next| is_weight(next)) {
                out.extend(["--weight".into(), weight]);
            }
        } else {
            out.push(arg);
        }
    }
    out
}

fn is_weight(arg: &OsStr) -> bool {
    arg.to_str().is_some_and(|text| text.contains('=') && !text.starts_with('-'))
}

/// Leaves out the options of the interactive client that mean nothing here: `-h host -p port -n db -c`.
fn without_client_options(args: &[OsString]) -> Vec<OsString> {
    let mut out = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-h" | "-p" | "-n") => {
                args.next();
            }
            Some("-c" | "-2" | "-3") => {}
            _ => out.push(arg.clone()),
        }
    }
    out
}

/// Takes the options that `sub` or every subcommand has out of `args`.
fn split_options(sub: &OsStr, args: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let cli = Cli::command();
    let own = cli.find_subcommand(sub);
    let known: Vec<&clap::Arg> =
        cli.get_arguments().chain(own.into_iter().flat_map(clap::Command::get_arguments)).collect();
    let (mut options, mut words) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            words.push(arg);
            words.extend(args);
            break;
        }
        let text = arg.to_string_lossy();
        let found = known.iter().find(|option| {
            let long = text.strip_prefix("--").map(|long| long.split('=').next().unwrap_or(long));
            let short = text.strip_prefix('-').and_then(|s| (s.len() == 1).then(|| s.chars().next())).flatten();
            option.get_long().is_some_and(|name| long == Some(name))
                || option.get_all_aliases().is_some_and(|names| names.iter().any(|name| long == Some(*name)))
                || (short.is_some() && option.get_short() == short)
        });
        match found {
            Some(option) => {
                let takes_value = option.get_action().takes_values() && !text.contains('=');
                options.push(arg);
                if takes_value {
                    options.extend(args.next());
                }
            }
            None => words.push(arg),
        }
    }
    (options, words)
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        // Zero is redis-cli's way to say "as long as it takes"; a day is long enough.
        Ok(Duration::ZERO) => Ok(Duration::from_secs(86_400)),
        Ok(duration) => Ok(duration),
        Err(_) => Err("not a number of seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn native(line: &str) -> (Wording, String) {
        let (wording, args) = normalise(words(line)).unwrap_or_else(|exit| panic!("{}", exit.text));
        (wording, args.join(OsStr::new(" ")).into_string().unwrap())
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
    fn the_grammar_of_redis_cli_is_rewritten() {
        for (line, wording, expected) in [
            ("trib create --replicas 1 a:1", Wording::Trib, "trib create --replicas 1 a:1"),
            ("trib create a:1 --cluster-replicas 1", Wording::Trib, "trib create a:1 --replicas 1"),
            (
                "trib -a secret --cluster create a:1 b:2 --cluster-replicas 1 --cluster-yes",
                Wording::RedisCli,
                "trib -a secret create a:1 b:2 --replicas 1 --yes",
            ),
            ("trib -c -h x -p 7000 --cluster info a:1", Wording::RedisCli, "trib info a:1"),
            ("trib call a:1 get --cluster-x -- --cluster", Wording::Trib, "trib call a:1 get --x -- --cluster"),
            ("trib --cluster call a:1 incrby k -1 -a pw", Wording::RedisCli, "trib call -a pw a:1 incrby k -1"),
            ("trib --cluster call a:1 set k v --pass=x", Wording::RedisCli, "trib call --pass=x a:1 set k v"),
            ("trib --cluster call -- a:1 x -a y", Wording::RedisCli, "trib call -- a:1 x -a y"),
            (
                "trib --cluster rebalance a:1 --cluster-weight n=1 m=2 --cluster-yes",
                Wording::RedisCli,
                "trib rebalance a:1 --weight n=1 --weight m=2 --yes",
            ),
            (
                "trib rebalance --weight n=1 --weight m=2 a:1",
                Wording::Trib,
                "trib rebalance --weight n=1 --weight m=2 a:1",
            ),
            ("trib rebalance a:1 --weight", Wording::Trib, "trib rebalance a:1 --weight"),
        ] {
            assert_eq!(native(line), (wording, expected.to_owned()), "{line}");
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
        assert_eq!(options.credentials.password.as_deref(), Some("from-env"));
        assert!(options.yes && !options.warn_password);
        let options = resolve("trib check -a typed --user me a:1");
        assert_eq!(options.credentials.password.as_deref(), Some("typed"));
        assert_eq!(options.credentials.user.as_deref(), Some("me"));
        assert!(options.warn_password);
        assert!(!resolve("trib check --pass typed --no-auth-warning a:1").warn_password);
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
    fn the_declarations_are_sound() {
        Cli::command().debug_assert();
    }
}
