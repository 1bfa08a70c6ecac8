//! What COMMAND DOCS tells: names to complete, and how a command is written.

use std::collections::BTreeMap;

use crate::resp::client::ReplyValue as Reply;

/// Deeper than this no argument holds others.
const DEPTH_MAX: usize = 8;

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doc {
    pub summary: String,
    pub since: String,
    pub group: String,
    /// The words behind the name: `key value [NX | XX]`, each argument of its own.
    pub arguments: Vec<String>,
}

/// All commands by their names in upper case, subcommands as `CONFIG GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Docs {
    commands: BTreeMap<String, Doc>,
}

impl Docs {
    /// From the reply to COMMAND DOCS, in either protocol. What is not understood is left out.
    #[must_use]
    pub fn read(reply: &Reply) -> Docs {
        let mut docs = Docs::default();
        for (name, about) in pairs(reply) {
            docs.add(&text(name), about);
        }
        docs
    }

    /// From the reply to COMMAND LIST, of servers that have no COMMAND DOCS: names alone.
    #[must_use]
    pub fn of_names(reply: &Reply) -> Docs {
        let names = reply.as_items().unwrap_or_default();
        let name = |item: &Reply| match item.as_items() {
            // COMMAND has an array for each.
            Some(about) => about.first().map(text),
            None => Some(text(item)),
        };
        let commands = names.iter().filter_map(name).map(|name| (name.to_ascii_uppercase(), Doc::default()));
        Docs { commands: commands.collect() }
    }

    fn add(&mut self, name: &str, about: &Reply) {
        let field =
            |wanted: &str| pairs(about).into_iter().find(|(name, _)| text(name) == wanted).map(|(_, value)| value);
        let said = |wanted| field(wanted).map(text).unwrap_or_default();
        let arguments = field("arguments").and_then(Reply::as_items).unwrap_or_default();
        let doc = Doc {
            summary: said("summary"),
            since: said("since"),
            group: said("group"),
            arguments: arguments.iter().map(|argument| syntax(argument, DEPTH_MAX)).collect(),
        };
        self.commands.insert(name.replace('|', " ").to_ascii_uppercase(), doc);
        for (sub, about) in field("subcommands").map(pairs).unwrap_or_default() {
            self.add(&text(sub), about);
        }
    }

    /// The command that these words begin with, and how many of them are its name.
    #[must_use]
    pub fn find(&self, words: &[String]) -> Option<(usize, &str, &Doc)> {
        (1..=words.len().min(2)).rev().find_map(|count| {
            let name = words[..count].join(" ").to_ascii_uppercase();
            self.commands.get_key_value(&name).map(|(name, doc)| (count, name.as_str(), doc))
        })
    }

    /// The names that begin like this, in the case in which it is typed.
    #[must_use]
    pub fn complete(&self, typed: &str) -> Vec<String> {
        let wanted = typed.to_ascii_uppercase();
        let is_lower = typed.bytes().any(|b| b.is_ascii_lowercase());
        let subcommands = wanted.contains(' ');
        let fitting =
            self.commands.keys().filter(|name| name.starts_with(&wanted) && name.contains(' ') == subcommands);
        fitting.map(|name| if is_lower { name.to_ascii_lowercase() } else { name.clone() }).collect()
    }

    /// What is to be typed behind these words, as far as it can be told from their number.
    #[must_use]
    pub fn hint(&self, words: &[String]) -> Option<String> {
        let (count, _, doc) = self.find(words)?;
        let rest = doc.arguments.get(words.len() - count..)?;
        (!rest.is_empty()).then(|| rest.join(" "))
    }

    /// The help for some words: of a command, or of all commands of a group (`@string`).
    #[must_use]
    pub fn help(&self, words: &[String]) -> String {
        if let Some(group) = words.first().and_then(|word| word.strip_prefix('@')) {
            let of_group = self.commands.iter().filter(|(_, doc)| doc.group == group);
            return of_group.map(|(name, doc)| entry(name, doc)).collect();
        }
        match self.find(words) {
            Some((_, name, doc)) => entry(name, doc),
            None => "There is no such command. help COMMAND, or help @GROUP as in help @string\n".to_owned(),
        }
    }
}

fn entry(name: &str, doc: &Doc) -> String {
    let arguments = doc.arguments.join(" ");
    format!(
        "\n  {}\n  summary: {}\n  since: {}\n  group: {}\n",
        format!("{name} {arguments}").trim_end(),
        doc.summary,
        doc.since,
        doc.group
    )
}

/// How an argument is written.
fn syntax(argument: &Reply, depth: usize) -> String {
    let fields = pairs(argument);
    let field = |wanted: &str| fields.iter().find(|(name, _)| text(name) == wanted).map(|(_, value)| *value);
    let said = |wanted| field(wanted).map(text).unwrap_or_default();
    let flags: Vec<String> = field("flags").and_then(Reply::as_items).unwrap_or_default().iter().map(text).collect();
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    let inner = field("arguments").and_then(Reply::as_items).filter(|_| depth > 0).unwrap_or_default();
    let parts: Vec<String> = inner.iter().map(|argument| syntax(argument, depth - 1)).collect();
    let token = said("token");
    let shown = said("display_text");
    let value = match said("type").as_str() {
        "pure-token" => String::new(),
        "oneof" => parts.join(" | "),
        "block" => parts.join(" "),
        _ if shown.is_empty() => said("name"),
        _ => shown,
    };
    let mut one = match (token.is_empty(), value.is_empty()) {
        (true, _) => value,
        (false, true) => token,
        (false, false) => format!("{token} {value}"),
    };
    if has("multiple") {
        one = format!("{one} [{one} ...]");
    }
    if has("optional") { format!("[{one}]") } else { one }
}

/// A map, or a list of names and values.
fn pairs(reply: &Reply) -> Vec<(&Reply, &Reply)> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        other => {
            let items = other.as_items().unwrap_or_default();
            items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect()
        }
    }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_bytes().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    fn map(pairs: &[(&str, Reply)]) -> Reply {
        Reply::Array(pairs.iter().flat_map(|(name, value)| [bulk(name), value.clone()]).collect())
    }

    fn argument(name: &str, kind: &str, more: &[(&str, Reply)]) -> Reply {
        let mut fields = vec![("name", bulk(name)), ("type", bulk(kind))];
        fields.extend_from_slice(more);
        map(&fields)
    }

    fn docs() -> Docs {
        let optional = ("flags", Reply::Array(vec![Reply::Status("optional".into())]));
        let nx = argument("nx", "pure-token", &[("token", bulk("NX"))]);
        let ex = argument("seconds", "integer", &[("token", bulk("EX"))]);
        let choice = argument("x", "oneof", &[("arguments", Reply::Array(vec![nx, ex])), optional]);
        let many = argument("key", "key", &[("flags", Reply::Array(vec![bulk("multiple")]))]);
        let set = map(&[
            ("summary", bulk("Sets.")),
            ("since", bulk("1.0.0")),
            ("group", bulk("string")),
            ("arguments", Reply::Array(vec![argument("key", "key", &[]), choice])),
        ]);
        let get = map(&[("arguments", Reply::Array(vec![argument("parameter", "string", &[])]))]);
        let config = map(&[("subcommands", map(&[("config|get", get)]))]);
        let del = map(&[("arguments", Reply::Array(vec![many]))]);
        Docs::read(&map(&[("set", set), ("config", config), ("del", del)]))
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn commands_are_completed_in_the_case_that_is_typed() {
        assert_eq!(docs().complete("S"), ["SET"]);
        assert_eq!(docs().complete("con"), ["config"]);
        assert_eq!(docs().complete("CONFIG "), ["CONFIG GET"]);
        assert!(docs().complete("x").is_empty());
    }

    #[test]
    fn hints_say_what_follows() {
        assert_eq!(docs().hint(&words("set")).unwrap(), "key [NX | EX seconds]");
        assert_eq!(docs().hint(&words("set k")).unwrap(), "[NX | EX seconds]");
        assert_eq!(docs().hint(&words("config get")).unwrap(), "parameter");
        assert_eq!(docs().hint(&words("del")).unwrap(), "key [key ...]");
        assert_eq!(docs().hint(&words("set k NX more")), None);
        assert_eq!(docs().hint(&words("nothing")), None);
    }

    #[test]
    fn help_is_for_commands_and_groups() {
        let expected = "\n  SET key [NX | EX seconds]\n  summary: Sets.\n  since: 1.0.0\n  group: string\n";
        assert_eq!(docs().help(&words("set")), expected);
        assert_eq!(docs().help(&words("@string")), expected);
        assert!(docs().help(&words("nope")).contains("no such command"));
    }

    #[test]
    fn names_alone_are_read_from_either_list() {
        let list = Reply::Array(vec![bulk("get"), Reply::Array(vec![bulk("set"), Reply::Integer(3)])]);
        assert_eq!(Docs::of_names(&list).complete(""), ["GET", "SET"]);
        assert_eq!(Docs::of_names(&Reply::Null), Docs::default());
    }
}
