//! Which arguments of a command are passwords: they are kept out of logs and of what MONITOR shows.

use crate::config::{self, Flags};
use crate::resp::Args;

/// Whether argument `i` of a command of this name is not for other eyes.
pub fn is_secret(name: &str, args: Args<'_>, i: usize) -> bool {
    match name {
        "auth" => i > 0,
        "hello" => follows(args, i, "auth", 2),
        "migrate" => follows(args, i, "auth", 1) || follows(args, i, "auth2", 2),
        "config|set" => {
            i >= 3
                && i % 2 == 1
                && config::find(args.at(i - 1)).is_some_and(|directive| directive.flags.contains(Flags::SENSITIVE))
        }
        _ => false,
    }
}

/// Whether argument `i` is one of the `count` behind `word`.
fn follows(args: Args<'_>, i: usize, word: &str, count: usize) -> bool {
    (1..=count).any(|back| i > back && args.is(i - back, word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Argv;

    #[test]
    fn only_passwords_and_whose_they_are() {
        for (name, line, shown) in [
            ("auth", "AUTH user pass", "AUTH - -"),
            ("hello", "HELLO 3 AUTH user pass SETNAME x", "HELLO 3 AUTH - - SETNAME x"),
            ("migrate", "MIGRATE h 1 k 0 5 COPY AUTH pass", "MIGRATE h 1 k 0 5 COPY AUTH -"),
            ("migrate", "MIGRATE h 1 k 0 5 auth2 user pass KEYS k", "MIGRATE h 1 k 0 5 auth2 - - KEYS k"),
            ("config|set", "CONFIG SET requirepass pass hz 10", "CONFIG SET requirepass - hz 10"),
            ("set", "SET auth pass", "SET auth pass"),
        ] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let argv = Argv::of(&words);
            let seen: Vec<String> = (0..words.len())
                .map(|i| if is_secret(name, argv.args(), i) { "-" } else { line.split(' ').nth(i).unwrap() }.to_owned())
                .collect();
            assert_eq!(seen.join(" "), shown);
        }
    }
}
