//! The options of every subcommand, and what they come to together with the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::access::{Access, AddrMap, Credentials, Family, Logins, Mapping, Timeouts};
use super::error::Error;
use super::lock::Terms;
use super::tls::{Tls, TlsOptions};
use super::ui::{ColorChoice, Ui, Wording};
use super::uri::{self, Uri};
use super::vocabulary::Vocabulary;

/// Options of every subcommand.
#[derive(Args, Clone)]
pub struct GlobalArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    lock: LockArgs,
    /// Answer every question with yes (environment: REDISCLI_CLUSTER_YES=1)
    #[arg(short = 'y', long, global = true)]
    yes: bool,
    /// Print data, and plans, as JSON; what is said beside goes to stderr. Keys and values are text as it is; where they
    /// are not UTF-8 they come in hexadecimal behind 'hex:', as does text that begins with 'hex:'
    #[arg(long, global = true)]
    json: bool,
    /// Say more about what is done
    #[arg(short = 'v', long, global = true)]
    verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    color: ColorChoice,
}

/// How nodes are reached.
#[derive(Args, Clone)]
#[command(next_help_heading = "Connection")]
struct ConnectionArgs {
    /// Password for every node (environment: REDISCLI_AUTH)
    #[arg(short = 'a', long = "pass", global = true, value_name = "PASSWORD")]
    pass: Option<String>,
    /// Ask for the password
    #[arg(long, global = true)]
    askpass: bool,
    /// User to authenticate as
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// User, password and TLS as in redis://user:password@host:port or rediss://...; the addresses of nodes may be
    /// written like that, too
    #[arg(short = 'u', long, global = true, value_name = "URI", value_parser = uri::parse)]
    uri: Option<Uri>,
    /// Credentials of single nodes: lines of NODE [USER] PASSWORD, NODE being host:port, host or *
    #[arg(long, global = true, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Do not warn about a password on the command line
    #[arg(long, global = true)]
    no_auth_warning: bool,
    /// How long a connection may take to come up; 0 for as long as it takes
    #[arg(short = 't', long, global = true, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    connect_timeout: Duration,
    /// How long an answer may take; 0 for as long as it takes [default: 10, and more for what takes longer]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = parse_seconds)]
    read_timeout: Option<Duration>,
    /// Only IPv4 addresses of host names
    #[arg(short = '4', long, global = true, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Only IPv6 addresses of host names
    #[arg(short = '6', long, global = true)]
    ipv6: bool,
    /// Where a node is reached from here, when the address it announces cannot be: both host:port, or both a host. Nodes
    /// may be named by either
    #[arg(long, global = true, value_name = "INTERNAL=EXTERNAL")]
    map: Vec<Mapping>,
    /// Where clusters are described that are named as in 'trib @prod check' [default: trib/clusters.toml in
    /// $XDG_CONFIG_HOME or ~/.config] (environment: TRIB_INVENTORY): TOML with a table for each, of addresses, user,
    /// auth-file, tls, insecure, verify-name, sni, cacert, cacertdir, cert, key and map, without secrets
    #[arg(long, global = true, value_name = "FILE")]
    inventory: Option<PathBuf>,
}

/// What to do when another operator is at work.
#[derive(Args, Clone)]
#[command(next_help_heading = "One operator at a time")]
struct LockArgs {
    /// Where the journal is kept that 'trib jobs', 'resume' and 'undo' read [default: $XDG_STATE_HOME/trib/jobs, else
    /// ~/.local/state/trib/jobs]
    #[arg(long, global = true, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// While another trib changes the cluster, wait this long for it to end (60, 60s, 5m) instead of giving up at once
    #[arg(long, global = true, value_name = "TIME", default_value = "0", value_parser = parse_wait)]
    lock_wait: Duration,
    /// When another trib holds the cluster's lock, break it: its lock connections are closed, upon which it stops as
    /// after Ctrl-C, if it still can. For one that hangs, or whose host is gone
    #[arg(long, global = true)]
    force: bool,
}

/// redis-cli's options for TLS.
#[derive(Args, Clone)]
#[command(next_help_heading = "TLS")]
struct TlsArgs {
    /// Speak TLS with the nodes
    #[arg(long, global = true)]
    tls: bool,
    /// Name to ask the nodes for
    #[arg(long, global = true, value_name = "HOST")]
    sni: Option<String>,
    /// Certificates of the authorities to trust, instead of the system's
    #[arg(long, global = true, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Directory with such certificates
    #[arg(long, global = true, value_name = "DIR")]
    cacertdir: Option<PathBuf>,
    /// Certificate to show to the nodes
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long, global = true)]
    insecure: bool,
    /// Also look whether the certificate is for the node's name or address (always so without --cacert)
    #[arg(long, global = true)]
    verify_name: bool,
    /// Ciphers for TLS 1.2, by OpenSSL's names with colons between them
    #[arg(long, global = true, value_name = "LIST")]
    tls_ciphers: Option<String>,
    /// Cipher suites for TLS 1.3
    #[arg(long, global = true, value_name = "LIST")]
    tls_ciphersuites: Option<String>,
}

/// What holds for the whole run.
#[derive(Clone)]
pub struct Options {
    pub wording: Wording,
    pub vocabulary: Vocabulary,
    pub access: Access,
    pub yes: bool,
    pub json: bool,
    pub verbose: bool,
    pub color: ColorChoice,
    /// Warn that the password is visible in the process list.
    pub warn_password: bool,
    pub tls: TlsOptions,
    /// What to do when another operator holds the lock.
    pub lock: Terms,
    /// Where the journal is kept, if that was said.
    pub journal: Option<PathBuf>,
    /// The subcommand with its own options and words, in redis-trib's grammar, without secrets: what a plan
    /// says how it was made.
    pub words: Vec<String>,
    /// Where clusters are described, if that was said.
    pub inventory: Option<PathBuf>,
    wants_tls: bool,
    askpass: bool,
    auth_file: Option<PathBuf>,
}

impl Options {
    /// What the command line and the environment come to. `uris` are the addresses that were written as URIs.
    pub fn resolve(
        global: GlobalArgs,
        (wording, vocabulary): (Wording, Vocabulary),
        words: Vec<String>,
        uris: &[Uri],
        env: impl Fn(&str) -> Option<String>,
    ) -> Options {
        let GlobalArgs { connection, tls, lock, .. } = global;
        let env = |names: [&str; 2]| names.iter().find_map(|name| env(name).filter(|value| !value.is_empty()));
        let uris: Vec<&Uri> = connection.uri.iter().chain(uris).collect();
        let in_uri = |part: fn(&Uri) -> &Option<String>| uris.iter().find_map(|uri| part(uri).clone());
        let typed = connection.pass.or_else(|| in_uri(|uri| &uri.login.password));
        // valkey-cli looks at both, at its own first.
        let auth = ["REDISCLI_AUTH", "VALKEYCLI_AUTH"];
        let login = Credentials {
            user: connection.user.or_else(|| in_uri(|uri| &uri.login.user)),
            password: typed.clone().or_else(|| env(vocabulary.pick(auth, [auth[1], auth[0]]))),
        };
        let access = Access {
            login,
            logins: Logins::default(),
            map: AddrMap { entries: connection.map },
            family: match (connection.ipv4, connection.ipv6) {
                (true, _) => Family::V4,
                (_, true) => Family::V6,
                _ => Family::Any,
            },
            tls: None,
            timeouts: Timeouts::new(connection.connect_timeout, connection.read_timeout),
        };
        Options {
            wording,
            vocabulary,
            access,
            yes: global.yes
                || env(["REDISCLI_CLUSTER_YES", "VALKEYCLI_CLUSTER_YES"]).is_some_and(|value| value.starts_with('1')),
            json: global.json,
            verbose: global.verbose,
            color: global.color,
            warn_password: typed.is_some() && !connection.no_auth_warning,
            wants_tls: tls.tls || uris.iter().any(|uri| uri.tls),
            tls: TlsOptions {
                sni: tls.sni,
                cacert: tls.cacert,
                cacertdir: tls.cacertdir,
                cert: tls.cert,
                key: tls.key,
                insecure: tls.insecure,
                verify_name: tls.verify_name,
                ciphers: tls.tls_ciphers,
                ciphersuites: tls.tls_ciphersuites,
            },
            journal: lock.journal,
            lock: Terms { wait: lock.lock_wait, force: lock.force },
            words,
            inventory: connection.inventory,
            askpass: connection.askpass,
            auth_file: connection.auth_file,
        }
    }

    /// Reads what the options name: files, and the password that is to be asked for.
    pub fn complete(&mut self, ui: &Ui) -> Result<(), Error> {
        if self.askpass {
            self.access.login.password = match ui.ask_password("Please input password: ") {
                // redis-cli goes on without one when there is none to be had.
                Err(_) if self.wording == Wording::RedisCli => None,
                answer => Some(answer?),
            };
        }
        if let Some(path) = &self.auth_file {
            self.access.logins = Logins::read(path)?;
        }
        if self.wants_tls {
            self.access.tls = Some(Tls::new(&self.tls)?);
        }
        Ok(())
    }
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

/// Seconds, or a number with its unit.
fn parse_wait(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("not a time such as 30s, 5m or 1h".to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| "not a time such as 30s, 5m or 1h".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("0", 0), ("30", 30), ("30s", 30), ("5m", 300), ("1h", 3600)] {
            assert_eq!(parse_wait(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "s", "-1", "1d", "1.5s", "99999999999s"] {
            assert!(parse_wait(bad).is_err(), "{bad}");
        }
    }
}
