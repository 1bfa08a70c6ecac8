//! CONFIG GET and CONFIG SET on the table.

use super::choice::{ClusterAuth, Guard};
use super::directive::Flags;
use super::kind::Refusal;
use super::{Config, DIRECTIVES, Directive, find};
use crate::base::glob;

/// The outcome of a CONFIG SET that was accepted: put `config` in place once the effects of `changed`
/// (a new port to listen on, say) have worked; until then nothing has happened.
pub struct Change {
    pub config: Config,
    /// The directives whose value is really another now, in the order in which they were given.
    pub changed: Vec<&'static Directive>,
}

impl Change {
    /// Whether the directive of this canonical name changed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.changed.iter().any(|d| d.name == name)
    }
}

/// Why CONFIG SET changed nothing. Shown as the error reply after `ERR `.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// Also what to reply when an effect of the directive failed.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed { name: String, reason: Refusal },
}

/// In a configuration file it is passed over with a warning, so that servers with and without it can share one.
const NO_DEFRAG: &str = "Active defragmentation cannot be enabled: this server moves no allocations";

impl SetError {
    fn failed(name: &[u8], reason: impl Into<Refusal>) -> SetError {
        SetError::Failed { name: String::from_utf8_lossy(name).into_owned(), reason: reason.into() }
    }
}

impl Config {
    /// The names and values that CONFIG GET shows for these patterns, each once: a glob matches any of a
    /// directive's names, and the name that matched is shown.
    pub fn get_matching(&self, patterns: &[&[u8]]) -> Vec<(&'static str, Vec<u8>)> {
        let matches = |directive: &Directive, name: &str| {
            patterns.iter().any(|pattern| {
                let literal = glob::is_literal(pattern);
                (literal || !directive.flags.contains(Flags::HIDDEN)) && glob::matches(pattern, name.as_bytes(), true)
            })
        };
        DIRECTIVES
            .iter()
            .flat_map(|d| d.names().filter(move |name| matches(d, name)).map(|name| (name, d.get(self))))
            .collect()
    }

    /// Checks a CONFIG SET of all `pairs` and computes its outcome. `local` says whether the client may do
    /// what `enable-protected-configs local` allows.
    pub fn with_set(&self, pairs: &[(&[u8], &[u8])], local: bool) -> Result<Change, SetError> {
        let mut chosen: Vec<&'static Directive> = Vec::with_capacity(pairs.len());
        for (i, (name, _)) in pairs.iter().enumerate() {
            let directive = find(name).ok_or_else(|| SetError::Unknown(String::from_utf8_lossy(name).into_owned()))?;
            self.check_settable(directive, local).map_err(|reason| SetError::failed(name, reason))?;
            // Two names of one directive are no duplicates: the later value wins.
            if pairs[..i].iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
                return Err(SetError::failed(name, "duplicate parameter"));
            }
            chosen.push(directive);
        }
        let mut config = self.clone();
        for (directive, (name, value)) in chosen.iter().zip(pairs) {
            if directive.name == "save" {
                config.save.clear();
            }
            directive.set(&mut config, &[value]).map_err(|reason| SetError::failed(name, reason))?;
        }
        if config.activedefrag && !self.activedefrag {
            return Err(SetError::failed(b"activedefrag", NO_DEFRAG));
        }
        let last = pairs.last().map_or(&b""[..], |(name, _)| name);
        config.check_cluster_auth().map_err(|reason| SetError::failed(last, reason))?;
        let mut changed: Vec<&'static Directive> = Vec::new();
        for directive in chosen {
            let seen = changed.iter().any(|d| d.name == directive.name);
            if !seen && directive.get(self) != directive.get(&config) {
                changed.push(directive);
            }
        }
        Ok(Change { config, changed })
    }

    /// Links cannot be proven without a key.
    pub(super) fn check_cluster_auth(&self) -> Result<(), &'static str> {
        let keyless = self.cluster_auth_key.iter().all(|b| *b == b' ');
        if keyless && self.cluster_auth_mode != ClusterAuth::Off {
            return Err("cluster-auth-mode needs a cluster-auth-key");
        }
        Ok(())
    }

    fn check_settable(&self, directive: &Directive, local: bool) -> Result<(), &'static str> {
        if directive.flags.contains(Flags::IMMUTABLE) {
            return Err("can't set immutable config");
        }
        let allowed = match self.enable_protected_configs {
            Guard::Yes => true,
            Guard::Local => local,
            Guard::No => false,
        };
        if directive.flags.contains(Flags::PROTECTED) && !allowed {
            return Err("can't set protected config");
        }
        Ok(())
    }

    /// The directives that have no effect yet and are set to another value than the default: what a start
    /// should warn about.
    pub fn without_effect(&self) -> Vec<&'static Directive> {
        let default = Config::default();
        DIRECTIVES.iter().filter(|d| d.flags.contains(Flags::NOT_YET) && d.get(self) != d.get(&default)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Change, String> {
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        config.with_set(&pairs, false).map_err(|e| e.to_string())
    }

    fn get(config: &Config, name: &str) -> String {
        String::from_utf8(find(name.as_bytes()).unwrap().get(config)).unwrap()
    }

    #[test]
    fn names_are_unique_and_defaults_are_accepted_back() {
        let default = Config::default();
        let mut names: Vec<&str> = DIRECTIVES.iter().flat_map(Directive::names).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]));
        for directive in DIRECTIVES {
            let mut config = default.clone();
            let value = directive.get(&default);
            if directive.name == "replicaof" {
                continue;
            }
            config.save.clear();
            let result = directive.set(&mut config, &[&value]);
            assert_eq!(result, Ok(()), "{}", directive.name);
            assert_eq!(directive.get(&config), value, "{}", directive.name);
        }
        assert!(default.without_effect().is_empty());
    }

    #[test]
    fn values_are_shown_as_redis_shows_them() {
        for (name, value, shown) in [
            ("maxmemory", "1k", "1000"),
            ("maxmemory", "1KB", "1024"),
            ("maxmemory", "", "0"),
            ("maxmemory-clients", "50%", "50%"),
            ("maxmemory-clients", "0%", "0"),
            ("appendonly", "YES", "yes"),
            ("loglevel", "DEBUG", "debug"),
            ("hz", "1000", "500"),
            ("hz", "0", "1"),
            ("save", "900 1 300 10", "900 1 300 10"),
            ("save", "", ""),
            ("bind", "127.0.0.1 ::1", "127.0.0.1 ::1"),
            ("bind", "", ""),
            ("notify-keyspace-events", "AKE", "AKE"),
            ("notify-keyspace-events", "KEA$lm", "AKEm"),
            ("notify-keyspace-events", "g$lshzxetd", "A"),
            ("notify-keyspace-events", "Elg", "glE"),
            ("shutdown-on-sigterm", "now nosave", "nosave now"),
            ("shutdown-on-sigterm", "default now", "now"),
            ("shutdown-on-sigterm", "failover safe", "safe failover"),
            ("oom-score-adj", "relative", "yes"),
            ("oom-score-adj-values", "-2000 2 3", "-2000 2 3"),
            ("latency-tracking-info-percentiles", "0.001 100 50.12345678", "0.001 100 50.123457"),
            ("latency-tracking-info-percentiles", "", ""),
            ("list-max-ziplist-size", "-20", "-20"),
            (
                "client-output-buffer-limit",
                "normal 1kb 2mb 3",
                "normal 1024 2097152 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            ),
        ] {
            let change = set(&Config::default(), &[(name, value)]).unwrap_or_else(|e| panic!("{name} {value}: {e}"));
            assert_eq!(get(&change.config, name), shown, "{name} {value}");
        }
    }

    #[test]
    fn refusals_in_redis_words() {
        let failed =
            |name: &str, reason: &str| format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}");
        for (pairs, expected) in [
            (&[("foo", "bar")][..], "Unknown option or number of arguments for CONFIG SET - 'foo'".into()),
            (&[("port", "1"), ("foo", "2")], "Unknown option or number of arguments for CONFIG SET - 'foo'".into()),
            (&[("dir", "/"), ("foo", "2")], failed("dir", "can't set protected config")),
            (&[("maxmemory", "1"), ("MAXMEMORY", "2")], failed("MAXMEMORY", "duplicate parameter")),
            (&[("databases", "4")], failed("databases", "can't set immutable config")),
            (&[("slaveof", "x")], failed("slaveof", "can't set immutable config")),
            (&[("save", "900 1"), ("appendonly", "maybe")], failed("appendonly", "argument must be 'yes' or 'no'")),
            (&[("save", "900 1 300")], failed("save", "Invalid save parameters")),
            (&[("save", " ")], failed("save", "Invalid save parameters")),
            (&[("timeout", "-1")], failed("timeout", "argument must be between 0 and 2147483647 inclusive")),
            (&[("timeout", "010")], failed("timeout", "argument couldn't be parsed into an integer")),
            (&[("maxmemory", "1.5gb")], failed("maxmemory", "argument must be a memory value")),
            (
                &[("proto-max-bulk-len", "1")],
                failed("proto-max-bulk-len", "argument must be between 1048576 and 9223372036854775807 inclusive"),
            ),
            (
                &[("maxmemory-clients", "101%")],
                failed("maxmemory-clients", "percentage argument must be less or equal to 100"),
            ),
            (
                &[("appendfsync", "no always")],
                failed("appendfsync", "argument(s) must be one of the following: everysec, always, no"),
            ),
            (
                &[("client-output-buffer-limit", "master 1 2 3")],
                failed("client-output-buffer-limit", "Invalid client class specified in buffer limit configuration."),
            ),
            (
                &[("shutdown-on-sigterm", "save nosave")],
                failed("shutdown-on-sigterm", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
            ),
        ] {
            assert_eq!(set(&Config::default(), pairs).err(), Some(expected), "{pairs:?}");
        }
    }

    #[test]
    fn protected_directives_ask_the_guard() {
        let pairs: &[(&[u8], &[u8])] = &[(b"dbfilename", b"x.rdb")];
        for (guard, local, allowed) in [
            (Guard::No, true, false),
            (Guard::Local, false, false),
            (Guard::Local, true, true),
            (Guard::Yes, false, true),
        ] {
            let config = Config { enable_protected_configs: guard, ..Config::default() };
            assert_eq!(config.with_set(pairs, local).is_ok(), allowed, "{guard:?} {local}");
        }
    }

    #[test]
    fn only_real_changes_are_reported() {
        let change = set(&Config::default(), &[("port", "6379"), ("replica-priority", "7")]).unwrap();
        assert!(!change.has("port") && change.has("replica-priority"));
        assert_eq!(change.config.replica_priority, 7);
        let change = set(&Config::default(), &[("slave-priority", "1"), ("replica-priority", "2")]).unwrap();
        assert_eq!((change.config.replica_priority, change.changed.len()), (2, 1));
    }

    #[test]
    fn patterns_choose_names_and_aliases() {
        let config = Config::default();
        let names = |patterns: &[&[u8]]| config.get_matching(patterns).iter().map(|(n, _)| *n).collect::<Vec<_>>();
        assert_eq!(names(&[b"slave-p*", b"REPLICA-P*"]), ["replica-priority", "slave-priority"]);
        assert_eq!(names(&[b"replica-priority"]), ["replica-priority"]);
        assert_eq!(names(&[b"cluster-ping-interval"]), ["cluster-ping-interval"]);
        assert!(names(&[b"cluster-ping*"]).is_empty());
        assert!(names(&[b"nope"]).is_empty());
    }

    #[test]
    fn what_has_no_effect_yet_is_reported() {
        let config = Config { activedefrag: true, ..Config::default() };
        assert_eq!(config.without_effect().iter().map(|d| d.name).collect::<Vec<_>>(), ["activedefrag"]);
        let refused = set(&Config::default(), &[("activedefrag", "yes")]).err().unwrap();
        assert!(refused.contains("'activedefrag') - Active defragmentation cannot be enabled: "), "{refused}");
    }
}
