//! What the log says when something in the process itself goes wrong: what it was, what was being done, and where.

use std::backtrace::Backtrace;
use std::fmt;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::log::Logger;
use super::os;
use crate::exec::Server;

/// `crash-log-enabled`.
static WANTED: AtomicBool = AtomicBool::new(false);

/// A handler of signals can be given nothing.
static WITNESS: OnceLock<Witness> = OnceLock::new();

struct Witness {
    logger: Logger,
    last_called: Arc<AtomicU16>,
    /// The names of the commands, by their place in the table.
    names: Vec<&'static str>,
}

/// Reports panics and deadly signals from now on, as long as that is wanted.
pub fn install(server: &Server, logger: &Logger) {
    want(server.config.crash_log_enabled);
    let witness = Witness {
        logger: logger.clone(),
        last_called: Arc::clone(&server.last_called),
        names: server.commands.iter().map(|entry| entry.command.name).collect(),
    };
    if WITNESS.set(witness).is_ok() {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            usual(info);
            report_panic(info);
        }));
        os::prepare_for_signals();
        os::on_deadly_signals(report_signal);
    }
}

/// Whether reports are wanted.
pub fn want(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

fn report_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("(no text)");
    let at = info.location().map(|at| format!(" at {at}")).unwrap_or_default();
    let name = thread::current().name().unwrap_or("unnamed").to_owned();
    report(format_args!("panicked in thread '{name}'{at}: {text}"));
}

fn report_signal(signal: i32, code: i32, address: usize) {
    report(format_args!("crashed by signal: {signal}, si_code: {code}\nAccessing address: {address:#x}"));
}

fn report(what: fmt::Arguments<'_>) {
    let Some(witness) = WITNESS.get().filter(|_| WANTED.load(Ordering::Relaxed)) else { return };
    let log = |text: fmt::Arguments<'_>| witness.logger.warning(text);
    let last = witness.names.get(usize::from(witness.last_called.load(Ordering::Relaxed)));
    log(format_args!("\n\n=== NODE BUG REPORT START: Cut & paste starting from here ==="));
    log(format_args!("node {} {what}", env!("CARGO_PKG_VERSION")));
    log(format_args!("Last command: {}", last.unwrap_or(&"none")));
    // What is above is in the log already, should this fail.
    log(format_args!("\n------ STACK TRACE ------\n{}", Backtrace::force_capture()));
    log(format_args!("\n=== NODE BUG REPORT END. Please report it with the lines from the start on. ==="));
}
