//! Clusters by name: `trib @prod check` from a small TOML file. It says where a cluster is and how it is reached, never
//! who may do what there: secrets in it are refused. `trib @` lists the names, also for the completions of the shells.
//!
//! ```toml
//! [prod]
//! addresses = ["10.0.0.1:7000", "10.0.0.2:7000"]
//! user = "ops"
//! auth-file = "prod.auth"
//! tls = true
//! cacert = "ca.crt"
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use serde::Deserialize;

use super::access::{Access, AddrMap, Credentials, Logins};
use super::addr::Addr;
use super::cli::{Cli, Exit};
use super::dial::without_number;
use super::error::Error;
use super::grammar;
use super::tls::{Tls, TlsOptions};

/// How long the first of several addresses is given to answer.
const KNOCK: Duration = Duration::from_millis(300);
/// Commands that take their node behind other words.
const NODE_LAST: [&str; 3] = ["add-node", "restore", "verify"];
/// Commands that are not about a cluster that is there.
const WITHOUT: [&str; 9] = ["create", "up", "down", "ps", "apply", "help", "jobs", "resume", "undo"];
/// What people call secrets.
const SECRETS: [&str; 9] =
    ["pass", "password", "passwd", "auth", "secret", "token", "requirepass", "masterauth", "primaryauth"];

/// One cluster. Paths are relative to the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Cluster {
    addresses: Vec<String>,
    user: Option<String>,
    auth_file: Option<PathBuf>,
    tls: bool,
    insecure: bool,
    verify_name: bool,
    sni: Option<String>,
    cacert: Option<PathBuf>,
    cacertdir: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    map: Vec<String>,
}

/// Puts what the inventory says in the place of `@name`; the first argument is the program's name.
pub fn expand(mut args: Vec<OsString>, env: impl Fn(&str) -> Option<String>) -> Result<Vec<OsString>, Exit> {
    let Some(at) = name_at(&args) else { return Ok(args) };
    let name = args.remove(at).to_string_lossy()[1..].to_owned();
    let path = file(&args, env)?;
    if name.is_empty() {
        let names = tables(&path, "cluster").map_err(wrong)?.into_keys();
        return Err(Exit { text: names.map(|name| name + "\n").collect(), to_stderr: false, code: 0 });
    }
    let cluster = read(&path, &name).map_err(wrong)?;
    let seed = cluster.seed(&path, &name).map_err(wrong)?;
    put_seed(&mut args, &seed, &name)?;
    let options = cluster.options(&path, &args);
    args.splice(1..1, options);
    Ok(args)
}

fn wrong(text: String) -> Exit {
    Exit { code: 2, ..Exit::wrong(text) }
}

/// Where `@name` stands: in front of the subcommand, or behind it in the place of an address. Without a subcommand it may
/// be `@` alone.
fn name_at(args: &[OsString]) -> Option<usize> {
    // To find the subcommand takes all the declarations, and few lines have a name.
    args.iter().find(|arg| arg.to_string_lossy().starts_with('@'))?;
    let sub = sub_at(args);
    let before = 1..sub.unwrap_or(args.len());
    let behind = sub.map(|sub| places(args, sub)).unwrap_or_default();
    before.chain(behind).find(|&at| {
        let text = args[at].to_string_lossy();
        text.starts_with('@') && (text.len() > 1 || sub.is_none())
    })
}

/// Where the subcommand at `sub` may have the address of the cluster: in its first word, or the second of some.
fn places(args: &[OsString], sub: usize) -> Vec<usize> {
    let name = args[sub].to_string_lossy();
    let words = if name == "config" || NODE_LAST.contains(&&*name) { 2 } else { 1 };
    let mut places = grammar::words_at(args, sub);
    places.truncate(words);
    places
}

/// Where the subcommand stands.
fn sub_at(args: &[OsString]) -> Option<usize> {
    let cli = Cli::command();
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    (1..end).find(|&at| cli.find_subcommand(&args[at]).is_some())
}

/// `--inventory`, `TRIB_INVENTORY`, or the usual place.
fn file(args: &[OsString], env: impl Fn(&str) -> Option<String>) -> Result<PathBuf, Exit> {
    for (at, arg) in args.iter().enumerate() {
        let text = arg.to_string_lossy();
        match text.strip_prefix("--inventory") {
            Some("") => return args.get(at + 1).map(PathBuf::from).ok_or_else(|| wrong("--inventory FILE".to_owned())),
            Some(rest) if rest.starts_with('=') => return Ok(PathBuf::from(&rest[1..])),
            _ => {}
        }
    }
    let set = |name: &str| env(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    usual(set).map_err(wrong)
}

/// Where the inventory is that is not named by an option.
fn usual(set: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(named) = set("TRIB_INVENTORY") {
        return Ok(named);
    }
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    config.map(|dir| dir.join("trib/clusters.toml")).ok_or_else(|| {
        "[ERR] Neither XDG_CONFIG_HOME nor HOME is set: name the inventory with --inventory FILE.".to_owned()
    })
}

/// A cluster that keys are fetched from: where it is, and how it is reached.
pub struct Origin {
    pub addr: Addr,
    pub access: Access,
}

/// What the inventory says of the cluster `name`; `file` was named by an option, `env` looks up environment variables.
pub fn origin(name: &str, file: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Origin, Error> {
    let set = |name: &str| env(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let path = file.map_or_else(|| usual(set), |file| Ok(file.to_owned())).map_err(Error::usage)?;
    let cluster = read(&path, name).map_err(Error::usage)?;
    let seed = cluster.seed(&path, name).map_err(Error::usage)?;
    let addr = seed.parse().map_err(|why| Error::usage(format!("[ERR] '{seed}': {why}")))?;
    Ok(Origin { addr, access: cluster.access(&path).map_err(|error| about(error, &path, name))? })
}

/// An error about a file that a cluster of the inventory names.
fn about(error: Error, path: &Path, name: &str) -> Error {
    error.hint(format!("it is what {} says of '{name}'", path.display()))
}

/// What the file says of one cluster.
fn read(path: &Path, name: &str) -> Result<Cluster, String> {
    let shown = path.display();
    let mut tables = tables(path, name)?;
    let table = tables.remove(name).ok_or_else(|| {
        let known: Vec<&str> = tables.keys().map(String::as_str).collect();
        format!("[ERR] {shown} has no cluster '{name}'; it has: {}", known.join(", "))
    })?;
    table.try_into().map_err(|e: toml::de::Error| format!("[ERR] {shown}: '{name}': {}", e.to_string().trim_end()))
}

/// What the file says of each cluster; a file that cannot be read is explained with `name` for an example.
fn tables(path: &Path, name: &str) -> Result<BTreeMap<String, toml::Table>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| {
        format!(
            "[ERR] The inventory {shown} cannot be read: {}\nhint: it says where '{name}' is, as in:\n\
             [{name}]\naddresses = [\"10.0.0.1:7000\"]",
            without_number(&e.to_string())
        )
    })?;
    let tables: BTreeMap<String, toml::Table> =
        toml::from_str(&text).map_err(|e| format!("[ERR] {shown}: {}", e.to_string().trim_end()))?;
    for (cluster, table) in &tables {
        if let Some(secret) = table.keys().find(|key| is_secret(key)) {
            return Err(format!(
                "[ERR] {shown}: '{cluster}' has a secret in '{secret}', and this file is no place for one.\n\
                 hint: put 'NODE [USER] PASSWORD' lines into a file that only you can read and name it with auth-file, \
                 or set REDISCLI_AUTH"
            ));
        }
    }
    Ok(tables)
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRETS.contains(&key.as_str()) || key.ends_with("password") || key.ends_with("-pass") || key.ends_with("_pass")
}

impl Cluster {
    /// The first address at which somebody listens; the first of all if nobody does, so that it is named.
    fn seed(&self, path: &Path, name: &str) -> Result<String, String> {
        let shown = path.display();
        for address in &self.addresses {
            if address.contains("://") {
                return Err(format!(
                    "[ERR] {shown}: '{name}' has the URI '{}' where host:port is wanted; \
                     'tls' and 'user' are keys of their own",
                    // What stands in front of the @ may be a password.
                    address.rsplit('@').next().unwrap_or_default()
                ));
            }
            address
                .parse::<Addr>()
                .map_err(|why| format!("[ERR] {shown}: '{name}' has the address '{address}': {why}"))?;
        }
        let first = self
            .addresses
            .first()
            .ok_or_else(|| format!("[ERR] {shown}: '{name}' has no addresses: addresses = [\"10.0.0.1:7000\", ...]"))?;
        let answers = |address: &&String| {
            let found = address.parse::<Addr>().ok().and_then(|addr| (addr.host, addr.port).to_socket_addrs().ok());
            found.into_iter().flatten().any(|socket| TcpStream::connect_timeout(&socket, KNOCK).is_ok())
        };
        let several = self.addresses.len() > 1;
        Ok(self.addresses.iter().find(|address| several && answers(address)).unwrap_or(first).clone())
    }

    /// The rest for a connection of its own.
    fn access(&self, path: &Path) -> Result<Access, Error> {
        let dir = path.parent().unwrap_or(Path::new(""));
        let beside = |file: &Option<PathBuf>| file.as_ref().map(|file| dir.join(file));
        let tls = TlsOptions {
            sni: self.sni.clone(),
            cacert: beside(&self.cacert),
            cacertdir: beside(&self.cacertdir),
            cert: beside(&self.cert),
            key: beside(&self.key),
            insecure: self.insecure,
            verify_name: self.verify_name,
            ..TlsOptions::default()
        };
        let entry = |text: &String| text.parse().map_err(|why| Error::usage(format!("[ERR] map '{text}': {why}")));
        Ok(Access {
            login: Credentials { user: self.user.clone(), password: None },
            logins: beside(&self.auth_file).map(|file| Logins::read(&file)).transpose()?.unwrap_or_default(),
            map: AddrMap { entries: self.map.iter().map(entry).collect::<Result<_, Error>>()? },
            tls: self.tls.then(|| Tls::new(&tls)).transpose()?,
            ..Access::default()
        })
    }

    /// The rest as options; what was typed wins.
    fn options(&self, path: &Path, typed: &[OsString]) -> Vec<OsString> {
        let dir = path.parent().unwrap_or(Path::new(""));
        let is_typed = |name: &str| {
            typed
                .iter()
                .any(|arg| arg.to_string_lossy().strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with('=')))
        };
        let mut options: Vec<OsString> = Vec::new();
        let flags = [("--tls", self.tls), ("--insecure", self.insecure), ("--verify-name", self.verify_name)];
        options
            .extend(flags.iter().filter(|(name, set)| *set && !is_typed(name)).map(|(name, _)| OsString::from(name)));
        let files = [
            ("--auth-file", &self.auth_file),
            ("--cacert", &self.cacert),
            ("--cacertdir", &self.cacertdir),
            ("--cert", &self.cert),
            ("--key", &self.key),
        ];
        for (name, file) in files {
            if let Some(file) = file.as_ref().filter(|_| !is_typed(name)) {
                options.extend([OsString::from(name), dir.join(file).into()]);
            }
        }
        for (name, text) in [("--user", &self.user), ("--sni", &self.sni)] {
            if let Some(text) = text.as_ref().filter(|_| !is_typed(name)) {
                options.extend([OsString::from(name), text.into()]);
            }
        }
        options.extend(self.map.iter().flat_map(|map| [OsString::from("--map"), map.into()]));
        options
    }
}

/// The address where the subcommand expects one.
fn put_seed(args: &mut Vec<OsString>, seed: &str, name: &str) -> Result<(), Exit> {
    let Some(sub) = sub_at(args) else {
        return Err(wrong(format!("[ERR] What is to be done with '{name}'? As in: trib @{name} check")));
    };
    let word = args[sub].to_string_lossy().into_owned();
    if WITHOUT.contains(&word.as_str()) {
        return Err(wrong(format!("[ERR] '{word}' takes no cluster by its name.")));
    }
    let at = match word.as_str() {
        "config" => (sub + 2).min(args.len()),
        sub if NODE_LAST.contains(&sub) => args.len(),
        _ => sub + 1,
    };
    args.insert(at, seed.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[prod]\naddresses = [\"10.0.0.1:7000\"]\nuser = \"ops\"\nauth-file = \"prod.auth\"\ntls = true\n\
                        cacert = \"/etc/ca.crt\"\nmap = [\"a=b\"]\n[test]\naddresses = [\"h:1\"]\n";

    fn expanded(line: &str, file: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("trib");
        std::fs::create_dir(&config).unwrap();
        std::fs::write(config.join("clusters.toml"), file).unwrap();
        let home = dir.path().display().to_string();
        let env = |name: &str| (name == "XDG_CONFIG_HOME").then(|| home.clone());
        let args = expand(line.split(' ').map(OsString::from).collect(), env);
        args.map(|args| args.join(std::ffi::OsStr::new(" ")).into_string().unwrap().replace(&home, "HOME"))
            .map_err(|exit| exit.text.replace(&home, "HOME"))
    }

    #[test]
    fn a_name_becomes_an_address_and_options() {
        let options = "--tls --auth-file HOME/trib/prod.auth --cacert /etc/ca.crt --user ops --map a=b";
        for (line, expected) in [
            ("trib @prod check", format!("trib {options} check 10.0.0.1:7000")),
            ("trib check @prod --json", format!("trib {options} check 10.0.0.1:7000 --json")),
            ("trib --json @test call set k @prod", "trib --json call h:1 set k @prod".to_owned()),
            ("trib @test config get port", "trib config get h:1 port".to_owned()),
            ("trib @test add-node new:1 --slave", "trib add-node new:1 --slave h:1".to_owned()),
            ("trib @test restore dir", "trib restore dir h:1".to_owned()),
            ("trib restore dir @test", "trib restore dir h:1".to_owned()),
            ("trib verify --jobs 2 dir @test --csv", "trib verify --jobs 2 dir --csv h:1".to_owned()),
            ("trib check --json @prod", format!("trib {options} check 10.0.0.1:7000 --json")),
            ("trib bigkeys --match @x @test", "trib bigkeys h:1 --match @x".to_owned()),
            ("trib config set @test hz 10", "trib config set h:1 hz 10".to_owned()),
            ("trib config set h:2 bind @test", "trib config set h:2 bind @test".to_owned()),
            ("trib add-node new:1 @test --slave", "trib add-node new:1 --slave h:1".to_owned()),
            ("trib call --only-masters @test get @k", "trib call h:1 --only-masters get @k".to_owned()),
            ("trib --cluster check @test", "trib --cluster check h:1".to_owned()),
            ("trib check h:2", "trib check h:2".to_owned()),
            ("trib call h:2 get @prod", "trib call h:2 get @prod".to_owned()),
        ] {
            assert_eq!(expanded(line, FILE), Ok(expected), "{line}");
        }
        let typed = expanded("trib @prod --user me --cacert=x check", FILE).unwrap();
        assert!(!typed.contains("ops") && !typed.contains("/etc/ca.crt"), "{typed}");
    }

    #[test]
    fn a_name_that_is_left_out_lists_them_all() {
        assert_eq!(expanded("trib @", FILE), Err("prod\ntest\n".to_owned()));
        assert_eq!(expanded("trib @ check", FILE), Ok("trib @ check".to_owned()), "clap complains");
        assert_eq!(expanded("trib call h:1 echo @", FILE), Ok("trib call h:1 echo @".to_owned()));
        assert!(expanded("trib @", "[a\n").unwrap_err().contains("clusters.toml: "));
    }

    #[test]
    fn the_inventory_is_the_one_that_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = dir.path().join(format!("{name}.toml"));
            std::fs::write(&path, format!("[{name}]\naddresses = [\"h:1\"]\n")).unwrap();
            path.display().to_string()
        };
        let (typed, told) = (write("typed"), write("told"));
        let names = |line: &str| {
            let env = |name: &str| (name == "TRIB_INVENTORY").then(|| told.clone());
            expand(line.split(' ').map(OsString::from).collect(), env).unwrap_err().text
        };
        assert_eq!(names("trib @"), "told\n");
        assert_eq!(names(&format!("trib --inventory {typed} @")), "typed\n");
    }

    #[test]
    fn mistakes_say_what_and_where() {
        for (line, file, said) in [
            ("trib @nope check", FILE, "has no cluster 'nope'; it has: prod, test"),
            ("trib @prod", FILE, "trib @prod check"),
            ("trib @prod create", FILE, "'create' takes no cluster"),
            ("trib @a check", "[a]\naddresses = []", "'a' has no addresses"),
            ("trib @a check", "[a]\naddresses = [\"h\"]", "no port"),
            ("trib @a check", "[a]\naddresses = [\"redis://u:secret@h:1\"]", "the URI 'h:1'"),
            ("trib @a check", "[a]\naddresses = [\"h:1\"]\ncolour = 1", "unknown field `colour`"),
            ("trib @a check", "[a\n", "clusters.toml: "),
            ("trib @a check", "[a]\naddresses = [\"h:1\"]\n[b]\npassword = \"s3cret\"", "auth-file"),
            ("trib @a check", "[a]\nredis_pass = \"s3cret\"", "'a' has a secret in 'redis_pass'"),
        ] {
            let text = expanded(line, file).unwrap_err();
            assert!(text.contains(said) && !text.contains("s3cret") && !text.contains("secret@"), "{line}: {text}");
        }
        let none = expand(["trib", "@a", "check"].map(OsString::from).to_vec(), |_| None);
        assert!(none.is_err_and(|exit| exit.code == 2 && exit.text.contains("--inventory")));
        let line = ["trib", "@a", "check", "--inventory", "/nonexistent/x"].map(OsString::from).to_vec();
        assert!(expand(line, |_| None).is_err_and(|exit| exit.text.contains("/nonexistent/x cannot be read")));
    }
}
