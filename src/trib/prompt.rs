//! Questions at a terminal, by dialoguer, and the end of input in front of it: its dialogs do not know Ctrl-D, which is also
//! what `script` types when its own input ends, and would wait for ever.

use std::io;

use dialoguer::console::{Key, Term};

/// The answer that was typed; `None` where the input ended.
pub fn ask(terminal: &Term, question: &str) -> io::Result<Option<String>> {
    terminal.write_str(question)?;
    let first = loop {
        match terminal.read_key()? {
            END | END_BEFORE => {
                terminal.write_line("")?;
                return Ok(None);
            }
            Key::Enter => {
                terminal.write_line("")?;
                return Ok(Some(String::new()));
            }
            Key::Char(first) if !first.is_control() => break first,
            _ => {}
        }
    };
    terminal.clear_line()?;
    let dialog = dialoguer::Input::with_theme(&Verbatim).with_prompt(question).with_initial_text(first);
    Ok(dialog.allow_empty(true).interact_text_on(terminal).ok())
}

/// The number of the item that was chosen; `None` where the input ended, or at Escape.
pub fn choose(terminal: &Term, question: &str, items: &[String]) -> io::Result<Option<usize>> {
    let list = || dialoguer::FuzzySelect::with_theme(&Verbatim).with_prompt(question).items(items);
    // The list as it is going to look.
    let rows = usize::from(terminal.size().0).max(3) - 2;
    terminal.write_line(&format!("{question} |"))?;
    for (row, item) in items.iter().take(rows).enumerate() {
        terminal.write_line(&format!("{} {item}", if row == 0 { '>' } else { ' ' }))?;
    }
    let list = loop {
        break match terminal.read_key()? {
            END | END_BEFORE | Key::Escape => return Ok(None),
            Key::Enter => {
                terminal.clear_last_lines(items.len().min(rows) + 1)?;
                terminal.write_line(&format!("{question}{}", items[0]))?;
                return Ok(Some(0));
            }
            Key::ArrowDown => list().default(1.min(items.len() - 1)),
            Key::ArrowUp => list().default(items.len() - 1),
            Key::Char(first) if !first.is_control() => list().default(0).with_initial_text(first),
            _ => continue,
        };
    };
    terminal.clear_last_lines(items.len().min(rows) + 1)?;
    Ok(list.interact_on_opt(terminal).ok().flatten())
}

const END: Key = Key::Char('\u{4}');
/// The same, typed before the question was asked.
const END_BEFORE: Key = Key::Char('\0');

/// Prompts exactly as given, without the marks dialoguer adds.
pub struct Verbatim;

impl dialoguer::theme::Theme for Verbatim {
    fn format_prompt(&self, f: &mut dyn std::fmt::Write, prompt: &str) -> std::fmt::Result {
        f.write_str(prompt)
    }

    fn format_input_prompt(
        &self,
        f: &mut dyn std::fmt::Write,
        prompt: &str,
        _default: Option<&str>,
    ) -> std::fmt::Result {
        f.write_str(prompt)
    }

    fn format_input_prompt_selection(
        &self,
        f: &mut dyn std::fmt::Write,
        prompt: &str,
        answer: &str,
    ) -> std::fmt::Result {
        write!(f, "{prompt}{answer}")
    }
}
