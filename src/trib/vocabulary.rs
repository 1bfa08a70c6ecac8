//! The words of the `--cluster` grammar: redis-cli says master and slave, valkey-cli primary and replica.
//!
//! The first line may be printed before a node answers, so the caller decides and not the servers.

use std::ffi::OsString;
use std::path::Path;

use super::slots::SlotSet;

/// Whose words a report has for roles and products.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Vocabulary {
    /// Those of redis-cli and redis-trib.
    #[default]
    Redis,
    Valkey,
}

/// Options of `valkey-cli --cluster` that redis-cli does not know.
const OF_VALKEY_CLI: &[&str] = &[
    "fix-with-unreachable-primaries",
    "only-primaries",
    "primaries-id",
    "primary-id",
    "replica",
    "use-atomic-slot-migration",
    "use-empty-primaries",
];

/// What valkey-cli reads from the environment.
const ENVIRONMENT: &[&str] = &["VALKEYCLI_AUTH", "VALKEYCLI_CLUSTER_YES"];

impl Vocabulary {
    /// Of the tool that whoever typed this comes from. The name by which the program is called says so before its
    /// options, and they before the environment.
    #[must_use]
    pub fn of_caller(typed: &[OsString], env: impl Fn(&str) -> Option<String>) -> Vocabulary {
        let name = typed.first().and_then(|path| Path::new(path).file_name()).unwrap_or_default().to_string_lossy();
        if name.starts_with("redis") {
            return Vocabulary::Redis;
        }
        let is_of_valkey = name.starts_with("valkey")
            || typed.iter().skip(1).take_while(|arg| *arg != "--").any(is_of_valkey_cli)
            || ENVIRONMENT.iter().any(|name| env(name).is_some_and(|value| !value.is_empty()));
        if is_of_valkey { Vocabulary::Valkey } else { Vocabulary::Redis }
    }

    /// One of two texts.
    #[must_use]
    pub fn pick<T>(self, redis: T, valkey: T) -> T {
        match self {
            Vocabulary::Redis => redis,
            Vocabulary::Valkey => valkey,
        }
    }

    #[must_use]
    pub fn product(self) -> &'static str {
        self.pick("Redis", "Valkey")
    }

    /// How the files of a server begin.
    #[must_use]
    pub fn server(self) -> &'static str {
        self.pick("redis", "valkey")
    }

    #[must_use]
    pub fn master(self) -> &'static str {
        self.pick("master", "primary")
    }

    #[must_use]
    pub fn masters(self) -> &'static str {
        self.pick("masters", "primaries")
    }

    #[must_use]
    pub fn slaves(self) -> &'static str {
        self.pick("slaves", "replicas")
    }

    /// Slots in a plan of valkey-cli: always ranges, blanks between them.
    #[must_use]
    pub fn ranges(slots: &SlotSet) -> String {
        let ranges = slots.ranges().into_iter().map(|(first, last)| format!("{first}-{last}"));
        ranges.collect::<Vec<_>>().join(" ")
    }

    /// The long name of an option, of those that it has. Only who says master or slave is called otherwise by valkey-cli.
    #[must_use]
    pub fn option<'a>(self, name: &'a str, aliases: &[&'a str]) -> &'a str {
        let is_of_redis = name.contains("master") || name.contains("slave");
        let theirs = aliases.iter().find(|alias| is_of_redis && OF_VALKEY_CLI.contains(alias));
        self.pick(name, theirs.copied().unwrap_or(name))
    }
}

fn is_of_valkey_cli(arg: &OsString) -> bool {
    let name = arg.to_str().and_then(|arg| arg.strip_prefix("--cluster-")?.split('=').next());
    name.is_some_and(|name| OF_VALKEY_CLI.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, set: &str) -> Vocabulary {
        let typed: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Vocabulary::of_caller(&typed, |name| set.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    }

    #[test]
    fn the_name_says_it_first_then_the_options_then_the_environment() {
        let (redis, valkey) = (Vocabulary::Redis, Vocabulary::Valkey);
        for (line, set, expected) in [
            ("trib --cluster check h:1", "", redis),
            ("valkey-cli --cluster check h:1", "", valkey),
            ("/usr/bin/valkey-cli --cluster check h:1", "", valkey),
            ("/opt/valkey/bin/trib --cluster check h:1", "", redis),
            ("redis-cli --cluster check h:1", "VALKEYCLI_AUTH=x", redis),
            ("redis-cli --cluster call h:1 ping --cluster-only-primaries", "", redis),
            ("trib --cluster call h:1 ping --cluster-only-primaries", "", valkey),
            ("trib --cluster add-node h:1 h:2 --cluster-replica", "", valkey),
            ("trib --cluster add-node h:1 h:2 --cluster-slave --cluster-master-id x", "", redis),
            ("trib --cluster add-node h:1 h:2 --cluster-slave --cluster-primary-id=x", "", valkey),
            ("trib --cluster create h:1 --cluster-replicas 1", "", redis),
            ("trib --cluster call h:1 echo -- --cluster-only-primaries", "", redis),
            ("trib --cluster check h:1", "VALKEYCLI_AUTH=x", valkey),
            ("trib --cluster check h:1", "VALKEYCLI_CLUSTER_YES=1", valkey),
            ("trib --cluster check h:1", "VALKEYCLI_AUTH=", redis),
            ("trib --cluster check h:1", "REDISCLI_AUTH=x", redis),
        ] {
            assert_eq!(of(line, set), expected, "{line} {set}");
        }
    }

    #[test]
    fn an_option_has_the_name_of_the_tool_where_there_are_several() {
        for (name, aliases, theirs) in [
            ("slave", &["replica", "as-replica"][..], "replica"),
            ("master-id", &["primary-id", "primaries-id"], "primary-id"),
            ("only-replicas", &["only-slaves"], "only-replicas"),
            ("replicas", &["replica"], "replicas"),
            ("slots", &[], "slots"),
        ] {
            assert_eq!(Vocabulary::Redis.option(name, aliases), name);
            assert_eq!(Vocabulary::Valkey.option(name, aliases), theirs);
        }
    }
}
