//! Everything the operator reads and is asked.
//!
//! Reports (`>>>`, `M:`, `[OK]`, `[ERR]`) go to stdout, because scripts read them there; hints and waiting
//! messages go to stderr. Colour only on a terminal. Questions are part of the transcript that people
//! keep, so they go to stdout as well, unless stdout is redirected and someone sits at the terminal. With
//! `--json` stdout carries data alone, and all the rest goes to stderr; so it is from the first line of `--csv` on.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

use super::error::{Error, Failure, Kind, What};
use super::options::Options;
use super::prompt;
use super::vocabulary::Vocabulary;

/// Whose reports these are. What they call things is the [`Vocabulary`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wording {
    /// redis-trib's.
    Trib,
    /// Those of `redis-cli --cluster` and `valkey-cli --cluster`.
    RedisCli,
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    fn for_stream(self, is_terminal: bool) -> bool {
        match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                is_terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Colour {
    Heading,
    Warning,
    Error,
    Ok,
}

impl Colour {
    fn escape(self) -> &'static str {
        match self {
            Colour::Heading => "\x1b[29;1m",
            Colour::Warning => "\x1b[33;1m",
            Colour::Error => "\x1b[31;1m",
            Colour::Ok => "\x1b[32;1m",
        }
    }
}

/// Where answers come from.
enum Answers {
    /// A person at a terminal; `true` when the question has to go to stderr.
    Terminal(bool),
    /// Lines of a pipe or a file.
    Lines(RefCell<Box<dyn BufRead>>),
}

/// The operator.
pub struct Ui {
    wording: Wording,
    vocabulary: Vocabulary,
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
    colour_out: bool,
    colour_err: bool,
    assume_yes: Cell<bool>,
    verbose: bool,
    /// Whether somebody watches the report as it is written.
    is_watched: bool,
    answers: Answers,
    /// Where data goes that was asked for as JSON.
    data: Option<RefCell<Box<dyn Write>>>,
    /// Whether stdout has been given to data, so that the report goes to stderr.
    is_aside: Cell<bool>,
}

impl Ui {
    /// The process's own streams.
    #[must_use]
    pub fn new(options: &Options) -> Ui {
        let (stdin_tty, stdout_tty, stderr_tty) =
            (io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal());
        let answers = if stdin_tty && (stdout_tty || stderr_tty) {
            Answers::Terminal(!stdout_tty || options.json)
        } else {
            Answers::Lines(RefCell::new(Box::new(io::BufReader::new(io::stdin()))))
        };
        let report: Box<dyn Write> = if options.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let colour_err = options.color.for_stream(stderr_tty);
        Ui {
            wording: options.wording,
            vocabulary: options.vocabulary,
            out: RefCell::new(report),
            err: RefCell::new(Box::new(io::stderr())),
            colour_out: if options.json { colour_err } else { options.color.for_stream(stdout_tty) },
            colour_err,
            assume_yes: Cell::new(options.yes),
            verbose: options.verbose,
            is_watched: if options.json { stderr_tty } else { stdout_tty },
            answers,
            data: options.json.then(|| RefCell::new(Box::new(io::stdout()) as Box<dyn Write>)),
            is_aside: Cell::new(false),
        }
    }

    /// Says nothing and agrees to everything: for work inside a larger step.
    #[must_use]
    pub fn silent() -> Ui {
        Ui {
            wording: Wording::Trib,
            vocabulary: Vocabulary::default(),
            out: RefCell::new(Box::new(io::sink())),
            err: RefCell::new(Box::new(io::sink())),
            colour_out: false,
            colour_err: false,
            assume_yes: Cell::new(true),
            verbose: false,
            is_watched: false,
            answers: Answers::Lines(RefCell::new(Box::new(io::empty()))),
            data: None,
            is_aside: Cell::new(false),
        }
    }

    #[must_use]
    pub fn wording(&self) -> Wording {
        self.wording
    }

    /// What roles and products are called.
    #[must_use]
    pub fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether the report has a line or a mark for each slot. redis-cli's has, whoever reads it; in our own words only
    /// somebody at a terminal sees them, and who asks for more (`--verbose`): a log of thousands of dots tells nothing.
    #[must_use]
    pub fn shows_each(&self) -> bool {
        self.wording == Wording::RedisCli || self.is_watched || self.verbose
    }

    /// Whether questions are answered yes without being asked (`--yes`).
    #[must_use]
    pub fn assumes_yes(&self) -> bool {
        self.assume_yes.get()
    }

    /// What follows was agreed to already.
    pub fn agree_to_all(&self) {
        self.assume_yes.set(true);
    }

    /// Whether data is wanted as JSON, and the report only beside it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.data.is_some()
    }

    /// Prints data as JSON, where that is wanted.
    pub fn json(&self, data: &impl Serialize) {
        let Some(out) = &self.data else { return };
        let mut out = out.borrow_mut();
        let _ = serde_json::to_writer_pretty(&mut *out, data);
        let _ = out.write_all(b"\n");
        let _ = out.flush();
    }

    /// Prints data for another program (CSV). From then on stdout carries data alone, and the report goes to stderr.
    pub fn csv(&self, text: &str) {
        let mut out = self.out.borrow_mut();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
        self.is_aside.set(true);
    }

    /// One of two texts, by the wording in use.
    #[must_use]
    pub fn word<T>(&self, trib: T, redis_cli: T) -> T {
        match self.wording {
            Wording::Trib => trib,
            Wording::RedisCli => redis_cli,
        }
    }

    /// A line of the report.
    pub fn line(&self, text: impl AsRef<str>) {
        self.report_line(text.as_ref(), None);
    }

    /// A step that begins; the text includes its `>>>`.
    pub fn heading(&self, text: impl AsRef<str>) {
        self.report_line(text.as_ref(), Some(Colour::Heading));
    }

    /// Something that is well; the text includes its `[OK]`.
    pub fn ok(&self, text: impl AsRef<str>) {
        self.report_line(text.as_ref(), Some(Colour::Ok));
    }

    /// Something to look at; the text includes its `[WARNING]` or `***`.
    pub fn warning(&self, text: impl AsRef<str>) {
        self.report_line(text.as_ref(), Some(Colour::Warning));
    }

    /// Something wrong; the text includes its `[ERR]` or `***`.
    pub fn error(&self, text: impl AsRef<str>) {
        self.report_line(text.as_ref(), Some(Colour::Error));
    }

    /// Part of a line of the report, visible at once: progress dots, a step whose end is open.
    pub fn part(&self, text: impl AsRef<str>) {
        self.bytes(text.as_ref().as_bytes());
    }

    /// Bytes as they came from a node.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut out = self.report().borrow_mut();
        // A reader that has gone away must not stop a change that is half done.
        let _ = out.write_all(bytes);
        let _ = out.flush();
    }

    /// A hint or a waiting message: stderr.
    pub fn note(&self, text: impl AsRef<str>) {
        let mut err = self.err.borrow_mut();
        let _ = writeln!(err, "{}", text.as_ref());
        let _ = err.flush();
    }

    /// The same, only with `--verbose`.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Where the report goes.
    fn report(&self) -> &RefCell<Box<dyn Write>> {
        if self.is_aside.get() { &self.err } else { &self.out }
    }

    fn report_line(&self, text: &str, colour: Option<Colour>) {
        let is_coloured = if self.is_aside.get() { self.colour_err } else { self.colour_out };
        let mut out = self.report().borrow_mut();
        let _ = match colour.filter(|_| is_coloured) {
            Some(colour) => writeln!(out, "{}{text}\x1b[0m", colour.escape()),
            None => writeln!(out, "{text}"),
        };
        let _ = out.flush();
    }

    /// Says how the run ended.
    pub fn end(&self, error: &Error) {
        match &error.what {
            What::Reported => {}
            What::Message(text) if error.kind == Kind::Usage => self.err_line(text),
            What::Message(text) => self.error(text),
            What::Node(failure) => self.failure(failure),
        }
        if let Some(hint) = &error.hint
            && self.wording == Wording::Trib
        {
            self.note(format!("hint: {hint}"));
        }
    }

    /// Says what a node did, in the words of the grammar.
    pub fn failure(&self, failure: &Failure) {
        match (failure, self.wording) {
            (Failure::Connect { node, reason }, Wording::RedisCli) => {
                self.note(format!("Could not connect to {} at {node}: {reason}", self.vocabulary.product()));
            }
            (Failure::Connect { node, reason }, Wording::Trib) => {
                self.error(format!("[ERR] Sorry, can't connect to node {node}"));
                self.note(format!("{node}: {reason}"));
            }
            (Failure::Reply { node, text }, Wording::RedisCli) => {
                self.error(format!("Node {node} replied with error:\n{text}"));
            }
            (Failure::Reply { node, text }, Wording::Trib) => {
                self.error(format!("[ERR] Node {node} replied with error:\n{text}"));
            }
            (other, _) => self.error(format!("[ERR] {other}")),
        }
    }

    fn err_line(&self, text: &str) {
        if self.colour_err {
            self.note(format!("{}{text}\x1b[0m", Colour::Error.escape()));
        } else {
            self.note(text);
        }
    }

    /// Asks a yes/no question. The text is complete: `Can I …? (type 'yes' to accept): `. Not asked with
    /// `--yes`. Input that has ended is an error, not an answer.
    pub fn confirm(&self, question: &str) -> Result<bool, Error> {
        if self.assume_yes.get() {
            return Ok(true);
        }
        let answer = self.ask(question).map_err(|error| match error.hint {
            Some(_) => error.hint("answer the question, or use --yes to answer every one with yes"),
            None => error,
        })?;
        Ok(self.is_yes(&answer))
    }

    /// Whether an answer means yes: redis-cli takes whatever starts with a lower-case `yes`, redis-trib
    /// just the word, in any case.
    #[must_use]
    pub fn is_yes(&self, answer: &str) -> bool {
        match self.wording {
            Wording::Trib => answer.trim().eq_ignore_ascii_case("yes"),
            Wording::RedisCli => answer.starts_with("yes"),
        }
    }

    /// Asks for a line of text. Never skipped; input that has ended is an error.
    pub fn ask(&self, question: &str) -> Result<String, Error> {
        self.ask_or_end(question)?.ok_or_else(no_answer)
    }

    /// The same; `None` where the input has ended.
    pub fn ask_or_end(&self, question: &str) -> Result<Option<String>, Error> {
        match &self.answers {
            Answers::Terminal(_) => Ok(prompt::ask(&self.terminal(), question).ok().flatten()),
            Answers::Lines(lines) => {
                self.part(question);
                let mut line = String::new();
                let read = lines.borrow_mut().read_line(&mut line);
                if self.wording == Wording::Trib {
                    // Nobody pressed Enter where this is seen: the next line would continue this one.
                    self.part("\n");
                }
                match read {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned())),
                    Err(e) => Err(Error::failed(format!("[ERR] cannot read the answer: {e}"))),
                }
            }
        }
    }

    /// Whether someone sits at a terminal and can choose from a list.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        matches!(self.answers, Answers::Terminal(_))
    }

    /// Lets the operator choose one of a list at the terminal: what is typed narrows it down, so that a whole word and
    /// Enter choose as they would at a plain question.
    pub fn choose(&self, question: &str, items: &[String]) -> Result<usize, Error> {
        prompt::choose(&self.terminal(), question, items).ok().flatten().ok_or_else(no_answer)
    }

    fn terminal(&self) -> dialoguer::console::Term {
        match self.answers {
            Answers::Terminal(false) => dialoguer::console::Term::stdout(),
            _ => dialoguer::console::Term::stderr(),
        }
    }

    /// Asks for a password without showing it; from a pipe, the next line.
    pub fn ask_password(&self, question: &str) -> Result<String, Error> {
        match &self.answers {
            Answers::Terminal(_) => dialoguer::Password::with_theme(&prompt::Verbatim)
                .with_prompt(question)
                .allow_empty_password(true)
                .interact()
                .map_err(|_| no_answer()),
            Answers::Lines(lines) => {
                let mut line = String::new();
                match lines.borrow_mut().read_line(&mut line) {
                    Ok(n) if n > 0 => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
                    _ => Err(no_answer()),
                }
            }
        }
    }
}

fn no_answer() -> Error {
    Error::failed("*** Aborting: the input ended before the question was answered.")
        .hint("answer the question, or say it on the command line: see --help")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::rc::Rc;

    use super::*;

    /// What was written, for tests.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Rc<RefCell<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An operator whose answers are given and whose stdout and stderr are kept.
    pub(crate) fn captured(wording: Wording, answers: &'static str) -> (Ui, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let ui = Ui {
            wording,
            vocabulary: Vocabulary::default(),
            out: RefCell::new(Box::new(out.clone())),
            err: RefCell::new(Box::new(err.clone())),
            colour_out: false,
            colour_err: false,
            assume_yes: Cell::new(false),
            verbose: false,
            is_watched: false,
            answers: Answers::Lines(RefCell::new(Box::new(io::Cursor::new(answers)))),
            data: None,
            is_aside: Cell::new(false),
        };
        (ui, out, err)
    }

    /// The same for somebody who comes from valkey-cli.
    pub(crate) fn valkeys(answers: &'static str) -> (Ui, Captured, Captured) {
        let (mut ui, out, err) = captured(Wording::RedisCli, answers);
        ui.vocabulary = Vocabulary::Valkey;
        (ui, out, err)
    }

    #[test]
    fn yes_means_what_the_grammar_says() {
        for (wording, answer, meaning) in [
            (Wording::Trib, "yes\n", true),
            (Wording::Trib, "YES\r\n", true),
            (Wording::Trib, "y\n", false),
            (Wording::Trib, "yessir\n", false),
            (Wording::RedisCli, "yes\n", true),
            (Wording::RedisCli, "yessir\n", true),
            (Wording::RedisCli, "Yes\n", false),
            (Wording::RedisCli, "\n", false),
        ] {
            let (ui, _, _) = captured(wording, answer);
            assert_eq!(ui.confirm("? ").unwrap(), meaning, "{wording:?} {answer:?}");
        }
    }

    #[test]
    fn data_is_printed_only_where_it_is_wanted() {
        let (mut ui, _, _) = captured(Wording::Trib, "");
        ui.json(&1);
        let data = Captured::default();
        ui.data = Some(RefCell::new(Box::new(data.clone())));
        ui.json(&["a"]);
        assert_eq!(data.text(), "[\n  \"a\"\n]\n");
    }

    #[test]
    fn beside_commas_the_report_goes_to_stderr() {
        let (ui, out, err) = captured(Wording::Trib, "");
        ui.csv("a,b\n1,2");
        ui.ok("[OK] fine");
        ui.part("...\n");
        ui.csv("3,4");
        assert_eq!(out.text(), "a,b\n1,2\n3,4\n");
        assert_eq!(err.text(), "[OK] fine\n...\n");
    }

    #[test]
    fn input_that_ends_is_an_error() {
        let (ui, out, _) = captured(Wording::Trib, "");
        assert_eq!(ui.confirm("Sure? ").unwrap_err().kind, Kind::Failed);
        assert_eq!(out.text(), "Sure? \n");
    }

    #[test]
    fn colour_wraps_whole_lines() {
        let (mut ui, out, _) = captured(Wording::Trib, "");
        ui.colour_out = true;
        ui.ok("[OK] fine");
        ui.line("plain");
        assert_eq!(out.text(), "\x1b[32;1m[OK] fine\x1b[0m\nplain\n");
    }

    #[test]
    fn a_dead_node_is_worded_by_the_grammar() {
        let failure = Failure::Connect { node: "h:7000".parse().unwrap(), reason: "Connection refused".into() };
        let (ui, out, err) = captured(Wording::Trib, "");
        ui.end(&failure.clone().into());
        assert_eq!(out.text(), "[ERR] Sorry, can't connect to node h:7000\n");
        assert_eq!(err.text(), "h:7000: Connection refused\nhint: is a server running and listening on h:7000?\n");
        let (ui, out, err) = captured(Wording::RedisCli, "");
        ui.end(&failure.clone().into());
        assert_eq!(out.text(), "");
        assert_eq!(err.text(), "Could not connect to Redis at h:7000: Connection refused\n");
        let (ui, _, err) = valkeys("");
        ui.end(&failure.into());
        assert_eq!(err.text(), "Could not connect to Valkey at h:7000: Connection refused\n");
    }
}
