//! The server's command line: `[/path/to/conf] [--directive value …] [-]`.
//!
//! Options become lines that are read after the configuration file, so they win over it and their errors
//! are reported as errors of a line.

use crate::base::words;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    Version,
    Help,
    CheckSystem,
    /// Look at files and end.
    Check(Check),
    /// Megabytes to test; `None` when the number is missing.
    TestMemory(Option<u64>),
    Serve(Serve),
}

/// A checker of files, what it is called, and its own arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    Rdb { program: Vec<u8>, args: Vec<Vec<u8>> },
    Log { program: Vec<u8>, args: Vec<Vec<u8>> },
}

impl Check {
    /// The checker that a program of this name is, or that its first argument asks for.
    fn find(program: &[u8], args: &[Vec<u8>]) -> Option<Check> {
        let name = program.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
        let (program, own) = (program.to_vec(), args.to_vec());
        if has(b"check-rdb") {
            return Some(Check::Rdb { program, args: own });
        }
        if has(b"check-aof") {
            return Some(Check::Log { program, args: own });
        }
        let (option, own) = args.split_first()?;
        let program = [&program, &b" "[..], option].concat();
        match option.as_slice() {
            b"--check-rdb" => Some(Check::Rdb { program, args: own.to_vec() }),
            b"--check-aof" => Some(Check::Log { program, args: own.to_vec() }),
            _ => None,
        }
    }
}

/// How to start a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serve {
    /// The configuration file to read first.
    pub config_file: Option<Vec<u8>>,
    /// Whether more of the configuration comes from the standard input.
    pub from_stdin: bool,
    /// Started as a sentinel, by option or by the program's name.
    pub sentinel: bool,
    options: Vec<u8>,
}

impl Serve {
    /// The whole configuration text: file, standard input, options.
    #[must_use]
    pub fn config_text(&self, file: &[u8], stdin: &[u8]) -> Vec<u8> {
        let mut text = file.to_vec();
        if !text.is_empty() && !text.ends_with(b"\n") && !stdin.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(stdin);
        if !self.options.is_empty() {
            text.push(b'\n');
            text.extend_from_slice(&self.options);
        }
        text
    }
}

/// Reads the arguments, the program's name first.
#[must_use]
pub fn parse(args: &[Vec<u8>]) -> Invocation {
    let (program, args) = args.split_first().map_or((&[][..], args), |(program, args)| (program.as_slice(), args));
    if let Some(check) = Check::find(program, args) {
        return Invocation::Check(check);
    }
    match args.first().map(Vec::as_slice) {
        Some(b"-v" | b"--version") => return Invocation::Version,
        Some(b"-h" | b"--help") => return Invocation::Help,
        Some(b"--check-system") => return Invocation::CheckSystem,
        Some(b"--test-memory") => {
            let megabytes = args.get(1).and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
            return Invocation::TestMemory(megabytes);
        }
        _ => {}
    }
    let name = program.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let mut serve = Serve {
        sentinel: name.ends_with(b"sentinel") || args.iter().any(|arg| arg == b"--sentinel"),
        ..Serve::default()
    };
    let mut rest = args;
    if let [first, tail @ ..] = rest
        && !first.starts_with(b"-")
    {
        serve.config_file = Some(first.clone());
        rest = tail;
    } else if let [first, tail @ ..] = rest
        && first == b"-"
    {
        serve.from_stdin = true;
        rest = tail;
    }
    if let [head @ .., last] = rest
        && last == b"-"
    {
        serve.from_stdin = true;
        rest = head;
    }
    serve.options = option_lines(rest);
    Invocation::Serve(serve)
}

/// The options as configuration lines. The word after `--name` is its value even when it begins with
/// dashes, but `--save` and `--sentinel` may stand alone: the first means `save ""`.
fn option_lines(args: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut needs_value = false;
    for (i, arg) in args.iter().enumerate() {
        if needs_value || !arg.starts_with(b"--") {
            words::push_quoted(&mut text, arg);
            text.push(b' ');
            needs_value = false;
            continue;
        }
        if !text.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(&arg[2..]);
        text.push(b' ');
        let alone = args.get(i + 1).is_none_or(|next| next.starts_with(b"--"));
        let is_save = arg.eq_ignore_ascii_case(b"--save");
        if is_save && alone {
            text.extend_from_slice(b"\"\" ");
        }
        let may_be_alone = is_save || arg.eq_ignore_ascii_case(b"--sentinel");
        let only_a_name = words::split(arg).is_some_and(|words| words.len() == 1);
        needs_value = only_a_name && !(may_be_alone && alone);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Invocation {
        let args: Vec<Vec<u8>> =
            std::iter::once("/usr/bin/node").chain(words.iter().copied()).map(|w| w.as_bytes().to_vec()).collect();
        parse(&args)
    }

    fn options(words: &[&str]) -> String {
        match parse_words(words) {
            Invocation::Serve(serve) => String::from_utf8(serve.options).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn checkers_by_name_and_by_option() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let checker = |line: &[&str]| match parse(&words(line)) {
            Invocation::Check(Check::Rdb { program, args }) => Some((true, program, args)),
            Invocation::Check(Check::Log { program, args }) => Some((false, program, args)),
            _ => None,
        };
        let named = |rdb, program: &str, args: &[&str]| Some((rdb, program.as_bytes().to_vec(), words(args)));
        assert_eq!(checker(&["/x/redis-check-rdb", "a"]), named(true, "/x/redis-check-rdb", &["a"]));
        assert_eq!(checker(&["valkey-check-aof"]), named(false, "valkey-check-aof", &[]));
        assert_eq!(checker(&["node", "--check-rdb"]), named(true, "node --check-rdb", &[]));
        assert_eq!(checker(&["node", "--check-aof", "--fix", "f"]), named(false, "node --check-aof", &["--fix", "f"]));
        assert_eq!(checker(&["/check-rdb/node", "--port", "1"]), None);
        assert_eq!(checker(&["node", "f", "--check-rdb"]), None);
    }

    #[test]
    fn options_become_lines() {
        for (words, expected) in [
            (&["--port", "7"][..], "port \"7\" "),
            (&["--save", "900", "1", "--save", "60", "100"], "save \"900\" \"1\" \nsave \"60\" \"100\" "),
            (&["--save", ""], "save \"\" "),
            (&["--save", "--port", "7"], "save \"\" \nport \"7\" "),
            (&["--save"], "save \"\" "),
            (&["--masterauth", "--port", "--hz", "1"], "masterauth \"--port\" \nhz \"1\" "),
            (&["--port 7", "--hz", "5"], "port 7 \nhz \"5\" "),
            (&["--port", "7", "--port"], "port \"7\" \nport "),
            (&["--sentinel", "--port", "7"], "sentinel \nport \"7\" "),
            (&["x.conf", "-x"], "\"-x\" "),
        ] {
            assert_eq!(options(words), expected, "{words:?}");
        }
    }

    #[test]
    fn files_standard_input_and_modes() {
        let serve = |words: &[&str]| match parse_words(words) {
            Invocation::Serve(serve) => serve,
            other => panic!("{other:?}"),
        };
        let s = serve(&["a.conf", "--port", "7", "-"]);
        assert_eq!((s.config_file.as_deref(), s.from_stdin, s.sentinel), (Some(&b"a.conf"[..]), true, false));
        assert_eq!(s.config_text(b"hz 1", b"timeout 2\n"), b"hz 1\ntimeout 2\n\nport \"7\" ");
        assert_eq!(serve(&[]).config_text(b"", b""), b"");
        assert!(serve(&["-", "--port", "1"]).from_stdin);
        assert!(!serve(&["--port", "-", "--hz", "1"]).from_stdin);
        assert!(serve(&["a.conf", "--sentinel"]).sentinel);
        let by_name = parse(&[b"/bin/redis-sentinel".to_vec(), b"s.conf".to_vec()]);
        assert!(matches!(by_name, Invocation::Serve(Serve { sentinel: true, .. })));
        assert_eq!(parse_words(&["-v", "x"]), Invocation::Version);
        assert_eq!(parse_words(&["--help"]), Invocation::Help);
        assert_eq!(parse_words(&["--check-system"]), Invocation::CheckSystem);
        assert_eq!(parse_words(&["--test-memory", "64"]), Invocation::TestMemory(Some(64)));
        assert_eq!(parse_words(&["--test-memory"]), Invocation::TestMemory(None));
    }
}
