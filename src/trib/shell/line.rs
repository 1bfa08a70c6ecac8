//! The line that is edited at a terminal: completion and hints from the server's own documentation, and a history that
//! keeps no secrets.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};

use super::docs::Docs;
use super::session::is_secret;
use crate::base::words;
use crate::trib::error::Error;

const HISTORY_MAX: usize = 1000;

/// What somebody typed.
pub enum Typed {
    Line(String),
    /// Ctrl-C: the line is given up.
    Interrupted,
    /// Ctrl-D, or the end of the input.
    End,
}

/// Reads lines from the terminal.
pub struct Lines {
    editor: Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Lines {
    /// With the history of earlier conversations, where there is a place for it.
    pub fn new(docs: Docs, history: Option<PathBuf>) -> Result<Lines, Error> {
        let config = Config::builder()
            .max_history_size(HISTORY_MAX)
            .map(|builder| builder.history_ignore_space(true).build())
            .map_err(|e| failed(&e))?;
        let mut editor = Editor::with_config(config).map_err(|e| failed(&e))?;
        editor.set_helper(Some(Assistant { docs }));
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Ok(Lines { editor, history })
    }

    pub fn docs(&self) -> Option<&Docs> {
        self.editor.helper().map(|assistant| &assistant.docs)
    }

    /// The next line.
    pub fn read(&mut self, prompt: &str) -> Result<Typed, Error> {
        match self.editor.readline(prompt) {
            Ok(line) => {
                let secret = words::split(line.as_bytes()).is_some_and(|words| is_secret(&words));
                if !line.trim().is_empty() && !secret {
                    let _ = self.editor.add_history_entry(line.as_str());
                }
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(e) => Err(failed(&e)),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(path) = &self.history {
            if let Some(dir) = path.parent() {
                let _ = std::fs::create_dir_all(dir);
            }
            // A history that cannot be written is no reason to complain at the end of a conversation.
            let _ = self.editor.append_history(path);
        }
    }
}

fn failed(error: &ReadlineError) -> Error {
    Error::failed(format!("[ERR] the terminal cannot be read: {error}"))
}

/// Where the history is kept: `$REDISCLI_HISTFILE`, or a file of the user's state; nowhere for `/dev/null`.
#[must_use]
pub fn history_file(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("REDISCLI_HISTFILE") {
        return Some(path).filter(|path| path != Path::new("/dev/null"));
    }
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.map(|dir| dir.join("trib/history"))
}

/// Completes names and says what follows.
struct Assistant {
    docs: Docs,
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[90m{hint}\x1b[0m"))
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..pos];
        let typed = typed.strip_prefix("help ").unwrap_or(typed);
        Ok((pos - typed.len(), self.docs.complete(typed)))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        // Only behind a whole word, at the end.
        if pos < line.len() || !line.ends_with(' ') {
            return None;
        }
        self.docs.hint(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_has_a_place() {
        let with = |set: &'static [(&str, &str)]| {
            history_file(move |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(&[("HOME", "/h")]).unwrap(), Path::new("/h/.local/state/trib/history"));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]).unwrap(), Path::new("/s/trib/history"));
        assert_eq!(with(&[("REDISCLI_HISTFILE", "/x")]).unwrap(), Path::new("/x"));
        assert_eq!(with(&[("HOME", "/h"), ("REDISCLI_HISTFILE", "/dev/null")]), None);
        assert_eq!(with(&[]), None);
    }
}
