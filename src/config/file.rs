//! The configuration file: one directive a line, `#` comments, quoting, `include`.
//!
//! Reading files and changing the directory is the caller's business: see [`Host`].

use std::fmt;

use super::kind::Refusal;
use super::{COMPAT_VERSION, Config, find};
use crate::base::words;

/// Includes within includes: past this depth a file surely includes itself.
const MAX_INCLUDE_DEPTH: usize = 64;

/// What loading needs from the outside world.
pub trait Host {
    /// The content of a file, or the system's words for why it cannot be read.
    fn read(&mut self, path: &[u8]) -> Result<Vec<u8>, String>;

    /// The paths that match a glob pattern, in order; empty when there are none.
    fn expand(&mut self, pattern: &[u8]) -> Vec<Vec<u8>>;

    /// Enters the directory that `dir` names and gives its absolute path, or the system's words for why not.
    fn enter(&mut self, dir: &[u8]) -> Result<Vec<u8>, String>;

    /// Checks a `rename-command` line against the command table. An empty `to` takes the command away.
    fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), Refusal>;
}

/// Why a configuration was not accepted. The server must not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// One line is wrong; lines count from 1.
    Line { line: usize, text: String, reason: Refusal },
    /// Directives do not go together, or one cannot be put into effect.
    Whole(Refusal),
    /// A file cannot be read. Its text is a line for the log.
    Unreadable { path: String, reason: String },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, reason) = match self {
            LoadError::Unreadable { path, reason } => {
                return write!(f, "Fatal error, can't open config file '{path}': {reason}");
            }
            LoadError::Line { line, text, reason } => (Some((line, text)), reason),
            LoadError::Whole(reason) => (None, reason),
        };
        writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {COMPAT_VERSION}) ***")?;
        if let Some((line, text)) = at {
            writeln!(f, "Reading the configuration file, at line {line}\n>>> '{text}'")?;
        }
        f.write_str(reason)
    }
}

impl std::error::Error for LoadError {}

impl Config {
    /// The configuration that `text` describes, on top of the defaults. `sentinel` says whether `sentinel`
    /// lines are welcome.
    pub fn load(text: &[u8], sentinel: bool, host: &mut dyn Host) -> Result<Config, LoadError> {
        let mut loader = Loader { config: Config::default(), sentinel, save_seen: false, host };
        loader.load_text(text, 0)?;
        let config = loader.config;
        if config.cluster_enabled && config.replicaof.is_some() {
            return Err(LoadError::Whole("replicaof directive not allowed in cluster mode".into()));
        }
        config.check_cluster_auth().map_err(|reason| LoadError::Whole(reason.into()))?;
        Ok(config)
    }

    /// What a start should warn about: everything that was configured but has no effect yet.
    #[must_use]
    pub fn startup_warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .without_effect()
            .iter()
            .map(|d| format!("The directive '{}' is known but has no effect in this version.", d.name))
            .collect();
        if !self.lines.users.is_empty() {
            warnings.push(format!(
                "{} 'user' line(s) of the configuration have NO EFFECT: this version has no ACL users, \
                 only the default user with 'requirepass'.",
                self.lines.users.len()
            ));
        }
        for module in &self.lines.modules {
            let path = module.first().map(|p| String::from_utf8_lossy(p)).unwrap_or_default();
            warnings.push(format!("Module {path} is not loaded: this version has no modules."));
        }
        warnings
    }
}

struct Loader<'a> {
    config: Config,
    sentinel: bool,
    /// The first `save` line replaces the default points, later ones add to it.
    save_seen: bool,
    host: &'a mut dyn Host,
}

impl Loader<'_> {
    fn load_text(&mut self, text: &[u8], depth: usize) -> Result<(), LoadError> {
        for (i, line) in text.split(|b| *b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let at_line =
                |reason| LoadError::Line { line: i + 1, text: String::from_utf8_lossy(line).into_owned(), reason };
            let words = words::split(line).ok_or_else(|| at_line("Unbalanced quotes in configuration line".into()))?;
            let Some((name, args)) = words.split_first() else {
                continue;
            };
            if name.eq_ignore_ascii_case(b"include") && args.len() == 1 {
                if depth == MAX_INCLUDE_DEPTH {
                    return Err(at_line("Too many levels of included files".into()));
                }
                self.include(&args[0], depth + 1)?;
            } else {
                self.apply(name, args).map_err(at_line)?;
            }
        }
        Ok(())
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), LoadError> {
        let is_glob = pattern.iter().any(|b| b"*?[".contains(b));
        let paths = if is_glob { self.host.expand(pattern) } else { vec![pattern.to_vec()] };
        for path in paths {
            let text = self.host.read(&path).map_err(|reason| LoadError::Unreadable {
                path: String::from_utf8_lossy(&path).into_owned(),
                reason,
            })?;
            self.load_text(&text, depth)?;
        }
        Ok(())
    }

    fn apply(&mut self, name: &[u8], args: &[Vec<u8>]) -> Result<(), Refusal> {
        if let Some(directive) = find(name) {
            if directive.name == "save" && !self.save_seen {
                self.config.save.clear();
                self.save_seen = true;
            }
            let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            directive.set(&mut self.config, &words)?;
            if directive.name == "dir" {
                self.config.dir = self.host.enter(&self.config.dir)?;
            }
            return Ok(());
        }
        match (name.to_ascii_lowercase().as_slice(), args) {
            (b"rename-command", [from, to]) => {
                self.host.rename(from, to)?;
                self.config.lines.renames.push((from.clone(), to.clone()));
            }
            (b"user", [user, ..]) => {
                if self.config.lines.users.iter().any(|line| line[0] == *user) {
                    return Err(format!(
                        "Error in user declaration '{}': Duplicate user found. A user can only be defined once in \
                         config files",
                        String::from_utf8_lossy(user)
                    ));
                }
                self.config.lines.users.push(args.to_vec());
            }
            (b"loadmodule", [_, ..]) => self.config.lines.modules.push(args.to_vec()),
            (b"sentinel", _) if !self.sentinel => return Err("sentinel directive while not in sentinel mode".into()),
            (b"sentinel", _) => self.config.lines.sentinel.push(args.to_vec()),
            // Directives of old versions that are still accepted, and ignored.
            (b"list-max-ziplist-entries" | b"list-max-ziplist-value" | b"lua-replicate-commands", [_]) => {}
            _ => return Err("Bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Files in memory; `no` is the one directory and the one command that do not exist.
    #[derive(Default)]
    struct Files(BTreeMap<&'static str, &'static str>);

    impl Host for Files {
        fn read(&mut self, path: &[u8]) -> Result<Vec<u8>, String> {
            let name = std::str::from_utf8(path).unwrap();
            self.0.get(name).map(|text| text.as_bytes().to_vec()).ok_or("No such file or directory".into())
        }
        fn expand(&mut self, pattern: &[u8]) -> Vec<Vec<u8>> {
            let names = self.0.keys().map(|name| name.as_bytes());
            names.filter(|name| crate::base::glob::matches(pattern, name, false)).map(<[u8]>::to_vec).collect()
        }
        fn enter(&mut self, dir: &[u8]) -> Result<Vec<u8>, String> {
            if dir == b"no" { Err("No such file or directory".into()) } else { Ok([b"/abs/", dir].concat()) }
        }
        fn rename(&mut self, from: &[u8], _: &[u8]) -> Result<(), Refusal> {
            if from == b"no" { Err("No such command in rename-command".into()) } else { Ok(()) }
        }
    }

    fn load(text: &str) -> Result<Config, LoadError> {
        let files = [("a.conf", "timeout 1\n"), ("b.conf", "timeout 2\nhz 20"), ("loop.conf", "include loop.conf")];
        Config::load(text.as_bytes(), false, &mut Files(files.into()))
    }

    #[test]
    fn a_usual_file() {
        let config = load(
            "# a node\nport 7001\r\n  BIND 127.0.0.1 192.168.1.5\ncluster-enabled yes\nappendfilename \"a 1.aof\"\n\
             requirepass 'my\\'pass'\ndir d\nsave 900 1\nsave 60 5 30 6\nmaxmemory 64mb\nslave-priority 7\n\
             rename-command FLUSHALL \"\"\nclient-output-buffer-limit replica 1mb 0 0\nuser x on\nloadmodule m.so 1\n",
        )
        .unwrap();
        assert_eq!((config.port, config.cluster_enabled, config.replica_priority), (7001, true, 7));
        assert_eq!(config.bind, ["127.0.0.1", "192.168.1.5"]);
        assert_eq!(config.appendfilename, b"a 1.aof");
        assert_eq!(config.requirepass, b"my'pass");
        assert_eq!(config.dir, b"/abs/d");
        assert_eq!(config.save.iter().map(|p| p.secs).collect::<Vec<_>>(), [900, 60, 30]);
        assert_eq!(config.maxmemory, 64 << 20);
        assert_eq!(config.client_output_buffer_limit.replica.hard_bytes, 1 << 20);
        assert_eq!(config.client_output_buffer_limit.pubsub.hard_bytes, 32 << 20);
        assert_eq!(config.lines.renames, [(b"FLUSHALL".to_vec(), Vec::new())]);
        assert_eq!(config.startup_warnings().len(), 2);
    }

    #[test]
    fn save_lines_replace_the_defaults_then_add_up() {
        for (text, expected) in [
            ("", "3600 1 300 100 60 10000"),
            ("save", ""),
            ("save \"\"", ""),
            ("save \"\"\nsave 60 7", "60 7"),
            ("save 50 7\nsave ''", ""),
            ("save 50 7\nsave '60 8'", "50 7 60 8"),
        ] {
            let config = load(text).unwrap();
            assert_eq!(find(b"save").unwrap().get(&config), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn includes() {
        assert_eq!(load("include a.conf\n").unwrap().timeout_secs, 1);
        let config = load("timeout 9\nINCLUDE *.conf*x\ninclude ?.conf").unwrap();
        assert_eq!((config.timeout_secs, config.hz), (2, 20));
        assert!(matches!(load("include none"), Err(LoadError::Unreadable { .. })));
        let looped = load("include loop.conf").unwrap_err();
        assert!(looped.to_string().contains("Too many levels"), "{looped}");
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, shown, reason) in [
            ("database 16", 1, "database 16", "Bad directive or wrong number of arguments"),
            ("\n# c\n port abc \r\n", 3, "port abc", "argument couldn't be parsed into an integer"),
            ("port \"abc", 1, "port \"abc", "Unbalanced quotes in configuration line"),
            ("port", 1, "port", "wrong number of arguments"),
            ("port 7 # x", 1, "port 7 # x", "wrong number of arguments"),
            ("include", 1, "include", "Bad directive or wrong number of arguments"),
            ("rename-command x", 1, "rename-command x", "Bad directive or wrong number of arguments"),
            ("rename-command no x", 1, "rename-command no x", "No such command in rename-command"),
            ("dir no", 1, "dir no", "No such file or directory"),
            ("sentinel x", 1, "sentinel x", "sentinel directive while not in sentinel mode"),
            ("replicaof a 70000", 1, "replicaof a 70000", "Invalid master port"),
            (
                "list-max-ziplist-value 1 2",
                1,
                "list-max-ziplist-value 1 2",
                "Bad directive or wrong number of arguments",
            ),
            ("appendfilename ''", 1, "appendfilename ''", "appendfilename can't be empty"),
        ] {
            let expected = LoadError::Line { line, text: shown.into(), reason: reason.into() };
            assert_eq!(load(text), Err(expected), "{text}");
        }
        assert_eq!(
            load("port x").unwrap_err().to_string(),
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line 1\n>>> 'port x'\n\
             argument couldn't be parsed into an integer"
        );
        assert_eq!(
            load("cluster-enabled yes\nreplicaof a 1").unwrap_err().to_string(),
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nreplicaof directive not allowed in cluster mode"
        );
    }
}
