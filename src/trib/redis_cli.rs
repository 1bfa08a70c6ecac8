//! What redis-cli takes beside `--cluster`: the options of the interactive client and of its other modes, which mean
//! nothing there, those of other subcommands, an argument from stdin, and numbers as it reads them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use clap::{Arg, CommandFactory};

use super::addr::Addr;
use super::cli::{Cli, Exit};
use super::grammar::{Token, is_named, takes_command};
use crate::base::SLOTS;

/// Options of the client without a value, of redis-cli and of valkey-cli.
const FLAGS: &[&str] = &[
    "-c",
    "-e",
    "--raw",
    "--no-raw",
    "--csv",
    "--quoted-json",
    "--quoted-input",
    "--stat",
    "--latency",
    "--latency-history",
    "--latency-dist",
    "--replica",
    "--slave",
    "--pipe",
    "--bigkeys",
    "--memkeys",
    "--hotkeys",
    "--scan",
    "--mptcp",
];

/// Those of the script debugger, which redis-cli takes beside `--eval` only.
const DEBUGGER: &[&str] = &["--ldb", "--ldb-sync-mode"];

/// Options of the client with a value.
const VALUED: &[&str] = &[
    "-h",
    "-p",
    "-s",
    "-n",
    "-r",
    "-i",
    "-d",
    "-D",
    "--show-pushes",
    "--lru-test",
    "--rdb",
    "--functions-rdb",
    "--pipe-timeout",
    "--memkeys-samples",
    "--hotkeys-count",
    "--pattern",
    "--quoted-pattern",
    "--count",
    "--intrinsic-latency",
    "--eval",
];

/// What stands behind an option of a subcommand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    One,
    /// All words up to the next option.
    Many,
}

/// The options of subcommands, without `--cluster-`, which every other subcommand of redis-cli takes as well.
const OF_SUBCOMMANDS: &[(&str, Takes)] = &[
    ("replicas", Takes::One),
    ("search-multiple-owners", Takes::Nothing),
    ("fix-with-unreachable-masters", Takes::Nothing),
    ("fix-with-unreachable-primaries", Takes::Nothing),
    ("from", Takes::One),
    ("to", Takes::One),
    ("slots", Takes::One),
    ("timeout", Takes::One),
    ("pipeline", Takes::One),
    ("replace", Takes::Nothing),
    ("weight", Takes::Many),
    ("use-empty-masters", Takes::Nothing),
    ("use-empty-primaries", Takes::Nothing),
    ("simulate", Takes::Nothing),
    ("threshold", Takes::One),
    ("slave", Takes::Nothing),
    ("replica", Takes::Nothing),
    ("master-id", Takes::One),
    ("primary-id", Takes::One),
    ("primaries-id", Takes::One),
    ("only-masters", Takes::Nothing),
    ("only-primaries", Takes::Nothing),
    ("only-replicas", Takes::Nothing),
    ("from-user", Takes::One),
    ("from-pass", Takes::One),
    ("from-askpass", Takes::Nothing),
    ("copy", Takes::Nothing),
    ("use-atomic-slot-migration", Takes::Nothing),
];

/// Subcommands that change nothing, so that it does no harm to take a wish for a rehearsal for nothing.
const HARMLESS: &[&str] = &["check", "info", "backup", "help"];

/// Options whose value is a number.
const NUMBERS: &[&str] = &["--slots", "--replicas", "--timeout", "--pipeline", "--threshold"];

/// Leaves out the options of other subcommands, as they were typed.
pub(super) fn without_options_of_others(sub: &OsStr, args: &[OsString]) -> Result<Vec<OsString>, Exit> {
    let cli = Cli::command();
    let own: Vec<&Arg> = cli.find_subcommand(sub).into_iter().flat_map(clap::Command::get_arguments).collect();
    let mut kept = Vec::with_capacity(args.len());
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        let option = arg.to_str().and_then(|text| text.strip_prefix("--cluster-")).unwrap_or_default();
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let takes = OF_SUBCOMMANDS.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes);
        let Some(takes) = takes.filter(|_| !own.iter().any(|arg| is_named(arg, &format!("--{name}")))) else {
            kept.push(arg.clone());
            if arg == "--" {
                kept.extend(args.by_ref().cloned());
            }
            continue;
        };
        if name == "simulate" && !HARMLESS.iter().any(|harmless| sub == *harmless) {
            let sub = sub.to_string_lossy();
            return Err(Exit::wrong(format!(
                "[ERR] --cluster-simulate is for 'rebalance': '{sub}' would be done, not simulated"
            )));
        }
        let is_here = match (takes, value) {
            (Takes::Nothing, _) | (_, Some(_)) => true,
            (Takes::One, None) => args.next().is_some(),
            (Takes::Many, None) => {
                let is_value = |next: &&OsString| !next.as_encoded_bytes().starts_with(b"-");
                let first = args.next_if(is_value).is_some();
                while args.next_if(is_value).is_some() {}
                first
            }
        };
        if !is_here {
            // Without its value it is a mistake, whoever's it is.
            kept.push(arg.clone());
        }
    }
    Ok(kept)
}

/// Leaves out the options of the client, and puts numbers in the form that clap takes.
pub(super) fn accommodate(tokens: Vec<Token>, sub: Option<&OsStr>) -> Result<Vec<Token>, Exit> {
    let is_call = takes_command(sub);
    let mut tokens = without_client_options(tokens, is_call)?;
    let mut words = 0;
    for token in &mut tokens {
        match token {
            Token::Own(parts) | Token::Global(parts) => tidy_value(parts),
            Token::Word(word) => {
                // The words of a call are the user's.
                if !is_call || words < 2 {
                    trim(word);
                }
                words += 1;
            }
            Token::End => break,
        }
    }
    tokens.retain(|token| !matches!(token, Token::Own(parts) if is_no_slots(parts)));
    Ok(tokens)
}

fn without_client_options(tokens: Vec<Token>, is_call: bool) -> Result<Vec<Token>, Exit> {
    let mut kept = Vec::with_capacity(tokens.len());
    let (mut words, mut debugs, mut evaluates) = (0, false, false);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let name = match &token {
            Token::Word(word) => word.to_str().unwrap_or_default(),
            Token::Global(parts) if parts[0] == "-v" => "-v",
            Token::End => {
                kept.push(token);
                kept.extend(tokens);
                break;
            }
            Token::Global(_) | Token::Own(_) => "",
        };
        if matches!(name, "-v" | "--version") {
            return Err(Exit { text: Cli::command().render_version(), to_stderr: false, code: 0 });
        }
        debugs |= DEBUGGER.contains(&name);
        let is_left_out = if VALUED.contains(&name) {
            let has_value = tokens.next_if(|next| matches!(next, Token::Word(_))).is_some();
            evaluates |= has_value && name == "--eval";
            has_value
        } else {
            // Behind the address of a call they are numbers.
            FLAGS.contains(&name)
                || DEBUGGER.contains(&name)
                || (matches!(name, "-2" | "-3") && (!is_call || words < 2))
        };
        if !is_left_out {
            words += usize::from(matches!(token, Token::Word(_)));
            kept.push(token);
        }
    }
    if debugs && !evaluates {
        return Err(Exit::wrong(
            "Options --ldb and --ldb-sync-mode require --eval.\nTry trib --help for more information.",
        ));
    }
    Ok(kept)
}

/// Puts what `read` gives in the place of `-x`, as the last word, or in that of the word that `-X` names. A call does
/// so itself.
pub(super) fn with_stdin(
    mut tokens: Vec<Token>,
    read: impl FnOnce() -> std::io::Result<Vec<u8>>,
) -> Result<Vec<Token>, Exit> {
    let is_it = |token: &Token, name: &str| matches!(token, Token::Word(word) if word == name);
    let Some(at) = tokens.iter().position(|token| is_it(token, "-x") || is_it(token, "-X")) else { return Ok(tokens) };
    let place = if is_it(&tokens.remove(at), "-x") {
        tokens.push(Token::End);
        tokens.len() - 1
    } else {
        let Some(Token::Word(tag)) = tokens.get(at) else {
            return Err(Exit::wrong("Unrecognized option or bad number of args for: '-X'"));
        };
        let tag = tag.to_string_lossy().into_owned();
        tokens.remove(at);
        // The first word is the subcommand.
        let tagged = tokens.iter().enumerate().skip(1).find(|(_, token)| is_it(token, &tag));
        tagged.map(|(place, _)| place).ok_or_else(|| Exit::wrong("Using -X option but stdin tag not match."))?
    };
    let input = read().map_err(|error| Exit::wrong(format!("[ERR] cannot read stdin: {error}")))?;
    tokens[place] = Token::Word(OsString::from_vec(input));
    Ok(tokens)
}

/// A value may begin with a dash; blanks around a number do not count; more slots than there are mean all of them.
fn tidy_value(parts: &mut Vec<OsString>) {
    let text = parts.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("=");
    if let Some((name, value)) = text.split_once('=')
        && NUMBERS.contains(&name)
    {
        let value = value.trim();
        let is_above = name == "--slots" && value.parse::<u64>().is_ok_and(|count| count > SLOTS as u64);
        *parts = vec![name.into(), if is_above { SLOTS.to_string() } else { value.to_owned() }.into()];
    }
    if let [name, value] = &mut parts[..]
        && value.as_encoded_bytes().starts_with(b"-")
    {
        name.push("=");
        name.push(&*value);
        parts.truncate(1);
    }
}

/// redis-cli asks how many slots when none are wanted.
fn is_no_slots(parts: &[OsString]) -> bool {
    matches!(parts, [name, count] if name == "--slots" && count.to_str().is_some_and(|count| count.parse() == Ok(0)))
}

/// Takes the blanks from around an address or a number, as scripts have them from the output of other programs.
fn trim(word: &mut OsString) {
    let Some(text) = word.to_str() else { return };
    let trimmed = text.trim();
    if trimmed.len() < text.len() && (trimmed.parse::<Addr>().is_ok() || trimmed.parse::<u64>().is_ok()) {
        *word = trimmed.into();
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar;
    use super::*;

    fn read(line: &str) -> Result<String, Exit> {
        // An underscore stands for a blank within a word.
        let words = line.split_whitespace().map(|word| OsString::from(word.replace('_', " "))).collect();
        grammar::read(words).map(|line| line.args.join(OsStr::new(" ")).into_string().unwrap())
    }

    fn native(line: &str) -> String {
        read(line).unwrap_or_else(|exit| panic!("{line}: {}", exit.text))
    }

    #[test]
    fn every_option_of_the_client_is_ignored_wherever_it_stands() {
        let valued = VALUED.iter().map(|name| format!("{name} 1"));
        for option in FLAGS.iter().map(|name| (*name).to_owned()).chain(valued).chain(["-2", "-3"].map(str::to_owned)) {
            for line in [
                format!("trib {option} --cluster info a:1 --cluster-yes"),
                format!("trib --cluster info {option} a:1 --cluster-yes"),
                format!("trib --cluster info a:1 --cluster-yes {option}"),
            ] {
                assert_eq!(native(&line), "trib info a:1 --yes", "{line}");
            }
        }
        for (line, expected) in [
            ("trib -r 2 --cluster call -3 a:1 incrby k -3 -i 1 --csv", "trib call -- a:1 incrby k -3"),
            ("trib --cluster call -- a:1 x -r 2", "trib call -- a:1 x -r 2"),
            ("trib --cluster info a:1 -h", "trib info a:1 -h"),
            ("trib --cluster add-node a:1 b:2 --cluster-slave", "trib add-node a:1 b:2 --slave"),
            ("trib --cluster info a:1 --ldb --eval x", "trib info a:1"),
            ("trib info a:1 -r 2 --stat", "trib info a:1 -r 2 --stat"),
        ] {
            assert_eq!(native(line), expected, "{line}");
        }
        assert!(
            read("trib --ldb --cluster info a:1").is_err_and(|exit| exit.code == 1 && exit.text.contains("--eval"))
        );
        for line in ["trib -v --cluster info a:1", "trib --cluster info a:1 --version"] {
            assert!(read(line).is_err_and(|exit| exit.code == 0 && exit.text.starts_with("trib ")), "{line}");
        }
    }

    #[test]
    fn every_option_of_another_subcommand_is_ignored() {
        for (name, takes) in OF_SUBCOMMANDS {
            let values = match takes {
                Takes::Nothing => "",
                Takes::One => " 1",
                Takes::Many => " a=1 b=2",
            };
            let line = format!("trib --cluster info a:1 --cluster-{name}{values} --cluster-yes");
            assert_eq!(native(&line), "trib info a:1 --yes", "{line}");
        }
        for (line, expected) in [
            ("trib --cluster-replicas 1 --cluster info a:1", "trib info a:1"),
            ("trib --cluster info a:1 --cluster-replicas=1", "trib info a:1"),
            ("trib --cluster info a:1 --cluster-replicas", "trib info a:1 --replicas"),
            ("trib --cluster info a:1 --cluster-weight", "trib info a:1 --weight"),
            ("trib --cluster info a:1 --cluster-wait 5", "trib info a:1 --wait 5"),
            ("trib --cluster info a:1 -- --cluster-copy", "trib info a:1 -- --cluster-copy"),
            ("trib --cluster create a:1 --cluster-replicas 1 --cluster-copy", "trib create a:1 --replicas 1"),
        ] {
            assert_eq!(native(line), expected, "{line}");
        }
        let exit = read("trib --cluster reshard a:1 --cluster-simulate").expect_err("it would be done");
        assert!(exit.code == 1 && exit.text.contains("'reshard' would be done"), "{}", exit.text);
    }

    #[test]
    fn numbers_are_read_as_redis_cli_reads_them_where_that_does_no_harm() {
        for (line, expected) in [
            ("reshard a:1 --cluster-slots 99999", "reshard a:1 --slots 16384"),
            ("reshard a:1 --cluster-slots=99999", "reshard a:1 --slots 16384"),
            ("reshard a:1 --cluster-slots _5_", "reshard a:1 --slots 5"),
            ("reshard a:1 --cluster-slots 0 --cluster-yes", "reshard a:1 --yes"),
            ("reshard a:1 --cluster-slots -5", "reshard a:1 --slots=-5"),
            ("reshard a:1 --cluster-slots x", "reshard a:1 --slots x"),
            ("set-timeout a:1_ _2000", "set-timeout a:1 2000"),
            ("backup a:1 dir_", "backup a:1 dir "),
            ("call _a:1 echo _1", "call -- a:1 echo  1"),
            ("info -a -c a:1", "info -a=-c a:1"),
        ] {
            assert_eq!(native(&format!("trib --cluster {line}")), format!("trib {expected}"), "{line}");
        }
        assert_eq!(native("trib reshard a:1 --slots 99999"), "trib reshard a:1 --slots 99999");
    }

    #[test]
    fn a_word_comes_from_stdin() {
        let words = |text: &str| text.split(' ').map(|word| Token::Word(word.into())).collect::<Vec<_>>();
        let fill = |text: &str| with_stdin(words(text), || Ok(b"h:1".to_vec()));
        for (line, expected) in
            [("info -x", "info h:1"), ("-x info", "info h:1"), ("set -X t t 5", "set h:1 5"), ("info a:1", "info a:1")]
        {
            assert_eq!(fill(line).unwrap_or_else(|exit| panic!("{}", exit.text)), words(expected), "{line}");
        }
        for (line, said) in [("info -X t", "stdin tag not match"), ("info -X", "bad number of args for: '-X'")] {
            assert!(fill(line).is_err_and(|exit| exit.text.contains(said)), "{line}");
        }
    }
}
