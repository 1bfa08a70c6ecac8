//! From a command line in either grammar, with options anywhere and addresses as URIs, to redis-trib's with
//! plain addresses, token by token.

use std::ffi::{OsStr, OsString};
use std::io::Read;

use clap::{Arg, CommandFactory};

use super::addr::Addr;
use super::cli::{Cli, Exit, REDIS_CLI_SUBCOMMANDS};
use super::redis_cli;
use super::ui::Wording;
use super::uri::{self, Uri};

/// A command line, rewritten.
pub struct Line {
    pub wording: Wording,
    /// What clap reads, the program's name first.
    pub args: Vec<OsString>,
    /// The subcommand with its own options and words: without connection options, secrets and the wish for a
    /// dry run.
    pub words: Vec<String>,
    /// What the addresses that were URIs said beside the address.
    pub uris: Vec<Uri>,
}

/// One part of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An option that every subcommand has, with its value.
    Global(Vec<OsString>),
    /// An option of the subcommand, with its value.
    Own(Vec<OsString>),
    Word(OsString),
    /// `--`: only words from here on.
    End,
}

/// Options of subcommands that a plan does not repeat.
const NOT_PLANNED: &[&str] = &["dry-run", "from-pass", "from-askpass"];

/// Rewrites a whole command line; the first argument is the program's name.
pub fn read(args: Vec<OsString>) -> Result<Line, Exit> {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_else(|| "trib".into());
    let (wording, args) = normalise(args.collect())?;
    let sub = find_subcommand(&args);
    let mut tokens = tokens(args, sub.as_deref());
    if wording == Wording::RedisCli {
        tokens = redis_cli::accommodate(with_stdin(tokens, sub.as_deref())?, sub.as_deref())?;
    }
    let mut uris = Vec::new();
    let is_shell = sub.as_deref().is_some_and(|sub| sub == "cli");
    if is_shell {
        tokens = with_server(tokens)?;
    }
    if takes_command(sub.as_deref()) {
        tokens = call_last(tokens);
    }
    resolve_uris(&mut tokens, sub.as_deref(), &mut uris)?;
    if is_shell {
        select_database(&mut tokens, &uris);
    }
    let words = planned(&tokens);
    let mut native = vec![program];
    for token in tokens {
        match token {
            Token::Global(parts) | Token::Own(parts) => native.extend(parts),
            Token::Word(word) => native.push(word),
            Token::End => native.push("--".into()),
        }
    }
    Ok(Line { wording, args: native, words, uris })
}

/// redis-cli's grammar into ours, and which one it was.
fn normalise(args: Vec<OsString>) -> Result<(Wording, Vec<OsString>), Exit> {
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let Some(at) = args[..end].iter().position(|arg| arg == "--cluster") else {
        return Ok((Wording::Trib, rewrite_options(args)));
    };
    let Some(sub) = args.get(at + 1) else {
        return Err(Exit::wrong("Unrecognized option or bad number of args for: '--cluster'"));
    };
    if !REDIS_CLI_SUBCOMMANDS.iter().any(|known| sub == known) {
        return Err(Exit::wrong("Unknown --cluster subcommand"));
    }
    let mut native = vec![sub.clone()];
    for part in [&args[..at], &args[at + 2..]] {
        native.extend(rewrite_options(redis_cli::without_options_of_others(sub, part)?));
    }
    Ok((Wording::RedisCli, native))
}

/// What `-x` and `-X` ask for; a call reads it itself.
fn with_stdin(tokens: Vec<Token>, sub: Option<&OsStr>) -> Result<Vec<Token>, Exit> {
    if takes_command(sub) {
        return Ok(tokens);
    }
    redis_cli::with_stdin(tokens, || {
        let mut input = Vec::new();
        std::io::stdin().lock().read_to_end(&mut input)?;
        Ok(input)
    })
}

/// The first word that is not an option or the value of one.
fn find_subcommand(args: &[OsString]) -> Option<OsString> {
    tokens(args.to_vec(), None).into_iter().find_map(|token| match token {
        Token::Word(word) if !word.to_string_lossy().starts_with('-') => Some(word),
        _ => None,
    })
}

/// Tells options from words by the declarations.
fn tokens(args: Vec<OsString>, sub: Option<&OsStr>) -> Vec<Token> {
    let cli = Cli::command();
    let own: Vec<&Arg> =
        sub.and_then(|sub| cli.find_subcommand(sub)).into_iter().flat_map(clap::Command::get_arguments).collect();
    let global: Vec<&Arg> = cli.get_arguments().collect();
    let mut tokens = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            tokens.push(Token::End);
            tokens.extend(args.map(Token::Word));
            break;
        }
        let text = arg.to_string_lossy().into_owned();
        let known = |option: &&&Arg| is_named(option, &text);
        let (option, is_global) = match (global.iter().find(known), own.iter().find(known)) {
            (Some(option), _) => (option, true),
            (None, Some(option)) => (option, false),
            (None, None) => {
                tokens.push(Token::Word(arg));
                continue;
            }
        };
        let mut parts = vec![arg];
        if option.get_action().takes_values() && !text.contains('=') {
            parts.extend(args.next());
        }
        tokens.push(if is_global { Token::Global(parts) } else { Token::Own(parts) });
    }
    tokens
}

/// Where the words behind the subcommand at `sub` stand: neither options nor the values of them.
#[must_use]
pub fn words_at(args: &[OsString], sub: usize) -> Vec<usize> {
    let mut at = sub + 1;
    let mut found = Vec::new();
    for token in tokens(args[at..].to_vec(), Some(&args[sub])) {
        match token {
            Token::Word(word) => {
                found.extend((!word.to_string_lossy().starts_with('-')).then_some(at));
                at += 1;
            }
            Token::Global(parts) | Token::Own(parts) => at += parts.len(),
            Token::End => at += 1,
        }
    }
    found
}

/// Whether the text is that option, `--name`, `--name=value` or `-n`.
pub(super) fn is_named(option: &Arg, text: &str) -> bool {
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or(long);
        return option.get_long() == Some(name) || option.get_all_aliases().is_some_and(|names| names.contains(&name));
    }
    let mut letters = text.strip_prefix('-').unwrap_or_default().chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => option.get_short() == Some(letter),
        _ => false,
    }
}

/// Whether the words behind the address are a command for servers.
pub(super) fn takes_command(sub: Option<&OsStr>) -> bool {
    sub.is_some_and(|sub| sub == "call" || sub == "cli")
}

/// redis-cli names its server by `-h HOST` and `-p PORT`, in front of the command, or by `-u URI`, and knows one without
/// that: all of them into an address behind the subcommand, where none is.
fn with_server(tokens: Vec<Token>) -> Result<Vec<Token>, Exit> {
    let (mut host, mut port) = (None, None);
    let mut kept = Vec::with_capacity(tokens.len() + 1);
    let mut words = 0;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let place = match &token {
            Token::Word(word) if words == 1 && word == "-h" => Some(&mut host),
            Token::Word(word) if words == 1 && word == "-p" => Some(&mut port),
            _ => None,
        };
        let is_value = |next: &Token| matches!(next, Token::Word(next) if !next.to_string_lossy().starts_with('-'));
        if let Some(place) = place
            && let Some(Token::Word(value)) = tokens.next_if(is_value)
        {
            *place = Some(value.to_string_lossy().into_owned());
            continue;
        }
        words += usize::from(matches!(token, Token::Word(_)));
        kept.push(token);
    }
    let addr = if host.is_some() || port.is_some() {
        let port = port.unwrap_or_else(|| "6379".to_owned());
        let number =
            port.parse().map_err(|_| Exit { code: 2, ..Exit::wrong(format!("[ERR] '{port}' is no port.")) })?;
        Addr::new(host.unwrap_or_else(|| "127.0.0.1".to_owned()), number).to_string()
    } else if kept.iter().filter(|token| matches!(token, Token::Word(_))).nth(1).is_some_and(is_server) {
        return Ok(kept);
    } else if let Some(uri) = named_uri(&kept) {
        uri.addr.to_string()
    } else if words == 1 {
        "127.0.0.1:6379".to_owned()
    } else {
        return Ok(kept);
    };
    kept.insert(behind_the_subcommand(&kept), Token::Word(addr.into()));
    Ok(kept)
}

fn behind_the_subcommand(tokens: &[Token]) -> usize {
    tokens.iter().position(|token| matches!(token, Token::Word(_))).map_or(0, |sub| sub + 1)
}

/// What `-u` says; clap complains of what cannot be read.
fn named_uri(tokens: &[Token]) -> Option<Uri> {
    tokens.iter().find_map(|token| {
        let Token::Global(parts) = token else { return None };
        let text = parts.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("=");
        let uri = text.strip_prefix("-u=").or_else(|| text.strip_prefix("--uri="))?;
        uri::parse(uri).ok()
    })
}

/// The database that a URI names, where no option does.
fn select_database(tokens: &mut Vec<Token>, uris: &[Uri]) {
    let is_said = tokens.iter().any(|token| {
        matches!(token, Token::Own(parts) if parts[0] == "-n" || parts[0].to_string_lossy().starts_with("--db"))
    });
    let database = uris.iter().find_map(|uri| uri.db).or_else(|| named_uri(tokens)?.db);
    if let Some(database) = database.filter(|_| !is_said) {
        tokens.insert(behind_the_subcommand(tokens), Token::Own(vec!["-n".into(), database.to_string().into()]));
    }
}

fn is_server(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    let word = word.to_string_lossy();
    uri::is_uri(&word) || word.parse::<Addr>().is_ok()
}

/// The words of the command that is called may begin with a dash, so all options go first.
fn call_last(tokens: Vec<Token>) -> Vec<Token> {
    let (mut options, mut words) = (Vec::new(), Vec::new());
    for token in tokens {
        match token {
            Token::Global(_) | Token::Own(_) => options.push(token),
            Token::Word(word) if words.len() < 2 && (word == "-h" || word == "--help") => {
                options.push(Token::Word(word));
            }
            Token::Word(_) => words.push(token),
            Token::End => {}
        }
    }
    let sub = if words.is_empty() { None } else { Some(words.remove(0)) };
    sub.into_iter().chain(options).chain([Token::End]).chain(words).collect()
}

/// Puts plain addresses in the place of URIs. The words of a command that is called are left alone.
fn resolve_uris(tokens: &mut Vec<Token>, sub: Option<&OsStr>, uris: &mut Vec<Uri>) -> Result<(), Exit> {
    let is_call = takes_command(sub);
    let mut words = 0;
    let mut more = Vec::new();
    for token in tokens.iter_mut() {
        match token {
            Token::Word(word) => {
                words += 1;
                if let Some(uri) = word.to_str().filter(|text| uri::is_uri(text) && (!is_call || words == 2)) {
                    let uri = uri::parse(uri).map_err(Exit::wrong)?;
                    *word = uri.addr.to_string().into();
                    uris.push(uri);
                }
            }
            Token::Own(parts) => {
                let text = parts.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("=");
                if let Some(uri) = text.strip_prefix("--from=").filter(|text| uri::is_uri(text)) {
                    let uri = uri::parse(uri).map_err(Exit::wrong)?;
                    *parts = vec!["--from".into(), uri.addr.to_string().into()];
                    more.extend(source_options(uri));
                }
            }
            Token::Global(_) | Token::End => {}
        }
    }
    if let Some(at) = tokens.iter().position(|token| matches!(token, Token::Own(_))) {
        tokens.splice(at..at, more);
    }
    Ok(())
}

/// What the URI of a source says, as options.
fn source_options(uri: Uri) -> Vec<Token> {
    let value = |name: &str, value: Option<String>| value.map(|value| Token::Own(vec![name.into(), value.into()]));
    let mut options: Vec<Token> = value("--from-user", uri.login.user).into_iter().collect();
    options.extend(value("--from-pass", uri.login.password));
    options.extend(value("--from-db", uri.db.map(|db| db.to_string())));
    if uri.tls {
        options.push(Token::Own(vec!["--from-tls".into()]));
    }
    options
}

/// What a plan says about how it was made.
fn planned(tokens: &[Token]) -> Vec<String> {
    let mut words = Vec::new();
    for token in tokens {
        match token {
            Token::Own(parts) => {
                let name = parts[0].to_string_lossy();
                let name = name.trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
                if !NOT_PLANNED.contains(&name.as_str()) {
                    words.extend(parts.iter().map(|part| part.to_string_lossy().into_owned()));
                }
            }
            Token::Word(word) => words.push(word.to_string_lossy().into_owned()),
            Token::End => words.push("--".to_owned()),
            Token::Global(_) => {}
        }
    }
    words
}

/// The words of a command without this option and its value.
#[must_use]
pub fn without(words: Vec<String>, option: &str) -> Vec<String> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(option) {
            Some("") => _ = words.next(),
            Some(rest) if rest.starts_with('=') => {}
            _ => kept.push(word),
        }
    }
    kept
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        read(text.split_whitespace().map(OsString::from).collect()).unwrap_or_else(|exit| panic!("{}", exit.text))
    }

    fn native(text: &str) -> (Wording, String) {
        let line = line(text);
        (line.wording, line.args.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn an_option_is_left_out_with_its_value() {
        for (text, kept) in [
            ("roll --restart x --back h:1", "roll --back h:1"),
            ("roll --restart=x h:1", "roll h:1"),
            ("roll --restarts x h:1", "roll --restarts x h:1"),
            ("roll h:1 --restart", "roll h:1"),
        ] {
            let words = text.split(' ').map(str::to_owned).collect();
            assert_eq!(without(words, "--restart").join(" "), kept);
        }
    }

    #[test]
    fn the_grammar_of_redis_cli_is_rewritten() {
        let (ours, theirs) = (Wording::Trib, Wording::RedisCli);
        for (line, wording, expected) in [
            ("trib create --replicas 1 a:1", ours, "trib create --replicas 1 a:1"),
            ("trib create a:1 --cluster-replicas 1", ours, "trib create a:1 --replicas 1"),
            (
                "trib -a secret --cluster create a:1 b:2 --cluster-replicas 1 --cluster-yes",
                theirs,
                "trib create -a secret a:1 b:2 --replicas 1 --yes",
            ),
            ("trib -c -h x -p 7000 --cluster info a:1", theirs, "trib info a:1"),
            (
                "trib --cluster rebalance a:1 --cluster-weight n=1 m=2 --cluster-yes",
                theirs,
                "trib rebalance a:1 --weight n=1 --weight m=2 --yes",
            ),
            ("trib rebalance --weight n=1 --weight m=2 a:1", ours, "trib rebalance --weight n=1 --weight m=2 a:1"),
            ("trib rebalance a:1 --weight", ours, "trib rebalance a:1 --weight"),
        ] {
            assert_eq!(native(line), (wording, expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_call_takes_options_anywhere_until_two_dashes() {
        for (line, expected) in [
            ("trib --cluster call a:1 incrby k -1 -a pw", "trib call -a pw -- a:1 incrby k -1"),
            ("trib -x --cluster call a:1 set k --pass=x", "trib call -x --pass=x -- a:1 set k"),
            ("trib --cluster call -- a:1 x -a y", "trib call -- a:1 x -a y"),
            ("trib call a:1 incrby k -1 --only-masters", "trib call --only-masters -- a:1 incrby k -1"),
            ("trib -a pw call a:1 -- echo --only-masters", "trib call -a pw -- a:1 echo --only-masters"),
            ("trib call a:1 get --unknown", "trib call -- a:1 get --unknown"),
            ("trib call --help", "trib call --help --"),
            ("trib cli a:1 incrby k -1 --raw", "trib cli --raw -- a:1 incrby k -1"),
        ] {
            assert_eq!(native(line).1, expected, "{line}");
        }
    }

    #[test]
    fn the_shell_finds_its_server_as_redis_clis_does() {
        for (line, expected) in [
            ("trib cli", "trib cli -- 127.0.0.1:6379"),
            ("trib cli -c -p 7000 get a", "trib cli -c -- 127.0.0.1:7000 get a"),
            ("trib cli -h ::1 -p 7000", "trib cli -- [::1]:7000"),
            ("trib cli -h db get -h", "trib cli -- db:6379 get -h"),
            ("trib cli -a pw -h db", "trib cli -a pw -- db:6379"),
            ("trib cli -u redis://u:p@h:7 get a", "trib cli -u redis://u:p@h:7 -- h:7 get a"),
            ("trib cli -u redis://u:p@h:7 i:8 get a", "trib cli -u redis://u:p@h:7 -- i:8 get a"),
            ("trib cli --uri=redis://h:7/3", "trib cli -n 3 --uri=redis://h:7/3 -- h:7"),
            ("trib cli redis://h:7/3 -n 4 get a", "trib cli -n 4 -- h:7 get a"),
            ("trib cli redis://h:7/3 get a", "trib cli -n 3 -- h:7 get a"),
            ("trib cli h:1 echo -p 5", "trib cli -- h:1 echo -p 5"),
            ("trib cli -h", "trib cli -h --"),
            ("trib cli nonsense", "trib cli -- nonsense"),
        ] {
            assert_eq!(native(line).1, expected, "{line}");
        }
        assert!(super::read(["trib", "cli", "-p", "many"].map(OsString::from).to_vec()).is_err_and(|e| e.code == 2));
    }

    #[test]
    fn addresses_may_be_uris() {
        let read = line("trib check rediss://u:p@h:7000");
        assert_eq!(read.args, ["trib", "check", "h:7000"]);
        assert!(read.uris[0].tls && read.uris[0].login.password.as_deref() == Some("p"));
        assert_eq!(
            native("trib import --from redis://u:p@s:1/2 h:2").1,
            "trib import --from-user u --from-pass p --from-db 2 --from s:1 h:2"
        );
        assert_eq!(native("trib call redis://h:1 set k redis://x:2").1, "trib call -- h:1 set k redis://x:2");
        assert!(super::read(["trib", "check", "redis://h:x"].map(OsString::from).to_vec()).is_err());
    }

    #[test]
    fn a_plan_repeats_the_command_without_secrets() {
        for (text, words) in [
            ("trib -a pw reshard --dry-run --json --slots 5 --to x h:1 --tls", "reshard --slots 5 --to x h:1"),
            ("trib import --from-pass s --from redis://u:p@s:1 h:2", "import --from-user u --from s:1 h:2"),
            ("trib --cluster fix h:1 --cluster-yes --cluster-timeout 5", "fix h:1 --timeout 5"),
        ] {
            assert_eq!(line(text).words.join(" "), words, "{text}");
        }
    }
}
