//! What only the operating system can do, and Rust's library does not offer: become a daemon, change the
//! process title, tell the local time, raise the limit of open files, let the allocator give pages back, report its own end.
//!
//! The one file outside `data` and `base` with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Leaves the terminal: the caller continues in a child process of a new session, with `/dev/null` for
/// input, output and errors, and the parent process exits with 0.
///
/// To be called while the process has one thread only: no other thread lives on in the child.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: fork has no preconditions on memory. With one thread nothing is locked or half-changed in the
    // child, which is why the callers must not have started threads.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => std::process::exit(0),
    }
    setsid()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Lets the allocator give pages that nothing uses back to the system, in all of its arenas.
pub fn purge_allocator() {
    // 4096 stands for all arenas.
    // SAFETY: the name ends with a zero; this control takes no value and gives none, so all other pointers are null.
    // It fails only where it is not known, and then nothing has happened.
    unsafe {
        tikv_jemalloc_sys::mallctl(c"arena.4096.purge".as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
    }
}

/// What is told of a deadly signal: its number, its code, and the address that was touched.
pub type OnSignal = fn(i32, i32, usize);

static ON_SIGNAL: OnceLock<OnSignal> = OnceLock::new();

/// The signals that end a process for something that it has done itself.
const DEADLY: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// Should the report come to a standstill, the process ends after so many seconds.
const REPORT_MAX_SECS: u32 = 5;

/// Room for the report of a thread whose own stack may be used up: the address of a deadly signal may be just beyond it.
const SIGNAL_STACK_BYTES: usize = 256 << 10;

/// The stack on which a thread's signals are handled.
struct SignalStack(Vec<u8>);

impl SignalStack {
    fn new() -> SignalStack {
        let mut room = vec![0; SIGNAL_STACK_BYTES];
        let stack = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
        // SAFETY: the room is as large as is told, is used for nothing else, and is given up before it is freed.
        unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
        SignalStack(room)
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: self.0.len() };
        // SAFETY: from now on the thread has no such stack, and none is in use: this is no handler.
        unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
    }
}

thread_local! {
    static SIGNAL_STACK: SignalStack = SignalStack::new();
}

/// Gives the calling thread room for the report of its own end; the little that it has anyway is not enough.
pub fn prepare_for_signals() {
    SIGNAL_STACK.with(|_| ());
}

/// Has `report` called before the process ends by a deadly signal; it ends as it would have without.
pub fn on_deadly_signals(report: OnSignal) {
    if ON_SIGNAL.set(report).is_err() {
        return;
    }
    // SAFETY: all-zero bytes are a valid `sigaction`: an empty mask, no flags, and the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = deadly as *const () as usize;
    // On the stack that threads have for it: their own may be what is used up. A second signal does what it always does.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
    for signal in DEADLY {
        // SAFETY: the action is live and complete, and the handler has the form that SA_SIGINFO asks for. A signal that
        // cannot be handled keeps its default action.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

/// The report takes memory and locks, which the thread may just have had in hand: then the alarm ends the process. There
/// is nothing left to lose but the report.
extern "C" fn deadly(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: these take numbers only; the default action of SIGALRM is to end the process.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(REPORT_MAX_SECS);
    }
    // SAFETY: the system gives a handler of this form a live `siginfo_t`. For signals of no fault the address is a part of
    // something else, which is only shown.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if let Some(report) = ON_SIGNAL.get() {
        report(signal, code, address);
    }
    // SAFETY: takes a number only. The action is the default one again; the signal comes when this handler is left.
    unsafe { libc::raise(signal) };
}

/// The number of a group, by its name or as a number.
pub fn group_id(name: &[u8]) -> io::Result<u32> {
    if let Some(id) = std::str::from_utf8(name).ok().and_then(|digits| digits.parse().ok()) {
        return Ok(id);
    }
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "no such group");
    let name = CString::new(name).map_err(|_| unknown())?;
    // SAFETY: all-zero bytes are a valid `group`: an integer, and pointers that may be null.
    let mut group: libc::group = unsafe { std::mem::zeroed() };
    let (mut room, mut found) = (vec![0; 16 << 10], ptr::null_mut());
    // SAFETY: the name ends with a zero; `group`, `room` and `found` are live, and `room` has the length that is told.
    // Only the number is read afterwards, which lies in `group` itself.
    let code =
        unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut group, room.as_mut_ptr(), room.len(), &raw mut found) };
    match code {
        0 if found.is_null() => Err(unknown()),
        0 => Ok(group.gr_gid),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Controls of the allocator that may be set. Others take addresses, or change what must not change under a running
/// process.
fn may_be_set(name: &[u8]) -> bool {
    name == b"epoch" || name.ends_with(b".dirty_decay_ms") || name.ends_with(b".muzzy_decay_ms")
}

/// Controls of the allocator that are texts.
const ALLOCATOR_TEXTS: &[&[u8]] = &[
    b"config.malloc_conf",
    b"opt.dss",
    b"opt.junk",
    b"opt.metadata_thp",
    b"opt.percpu_arena",
    b"opt.stats_print_opts",
    b"opt.thp",
    b"opt.zero_realloc",
    b"version",
];

/// Reads a number of 8 bytes among the allocator's controls, and sets it if there is a value.
pub fn allocator_number(name: &[u8], value: Option<u64>) -> io::Result<u64> {
    if value.is_some() && !may_be_set(name) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENOENT))?;
    let (mut old, mut old_len) = (0u64, size_of::<u64>());
    let mut value = value;
    let new: *mut libc::c_void = value.as_mut().map_or(ptr::null_mut(), |value| ptr::from_mut(value).cast());
    let new_len = if new.is_null() { 0 } else { size_of::<u64>() };
    // SAFETY: the name ends with a zero. What is read goes into a live integer of the length that is told; the allocator
    // refuses a control of another length. What is set is a number of milliseconds or the epoch, by `may_be_set`.
    let code = unsafe {
        tikv_jemalloc_sys::mallctl(name.as_ptr(), ptr::from_mut(&mut old).cast(), &raw mut old_len, new, new_len)
    };
    if code == 0 { Ok(old) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Reads a text among the allocator's controls.
pub fn allocator_text(name: &[u8]) -> io::Result<Vec<u8>> {
    if !ALLOCATOR_TEXTS.contains(&name) {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENOENT))?;
    let mut text: *const libc::c_char = ptr::null();
    let mut len = size_of_val(&text);
    // SAFETY: the name ends with a zero, and is one of those whose value is the address of a text that lives and stays
    // as it is as long as the process. What is read goes into a live pointer of the length that is told.
    unsafe {
        let code = tikv_jemalloc_sys::mallctl(
            name.as_ptr(),
            ptr::from_mut(&mut text).cast(),
            &raw mut len,
            ptr::null_mut(),
            0,
        );
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        Ok(if text.is_null() { Vec::new() } else { CStr::from_ptr(text).to_bytes().to_vec() })
    }
}

/// A point of time on the clock of the machine's time zone (or that of `TZ`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalTime {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// How much later than UTC the clock is.
    pub offset_secs: i64,
}

/// Seconds since the Unix epoch as local time.
#[must_use]
pub fn local_time(unix_secs: i64) -> LocalTime {
    // SAFETY: all-zero bytes are a valid `tm`: integers, and a pointer that may be null.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; localtime_r keeps neither. On failure `tm` stays zeroed.
    unsafe { libc::localtime_r(&raw const unix_secs, &raw mut tm) };
    LocalTime {
        year: tm.tm_year + 1900,
        month: tm.tm_mon as u8 + 1,
        day: tm.tm_mday as u8,
        hour: tm.tm_hour as u8,
        minute: tm.tm_min as u8,
        second: tm.tm_sec as u8,
        offset_secs: tm.tm_gmtoff,
    }
}

/// The memory from which `ps` reads the command line of this process.
pub struct ProcessTitle {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and only the one owner of this value writes it.
unsafe impl Send for ProcessTitle {}

impl ProcessTitle {
    /// Takes the memory of the arguments and of the environment that lies behind them, so that a title may
    /// be longer than the original command line. `None` where the system does not say where that is, or
    /// when it was taken before.
    ///
    /// To be called at the start: while the process has one thread only, and after the last use of
    /// [`std::env::args`], which will show the title from then on. The environment stays readable.
    #[must_use]
    pub fn claim() -> Option<ProcessTitle> {
        static CLAIMED: AtomicBool = AtomicBool::new(false);
        let stat = std::fs::read("/proc/self/stat").ok()?;
        let areas = ArgumentAreas::parse(&stat)?;
        if CLAIMED.swap(true, Ordering::Relaxed) {
            return None;
        }
        let mut end = areas.args_end;
        if areas.env_start == areas.args_end && move_environment() {
            end = areas.env_end;
        }
        let start = ptr::with_exposed_provenance_mut(areas.args_start);
        Some(ProcessTitle { start, len: end - areas.args_start })
    }

    /// Shows `title`, cut to the room there is.
    pub fn set(&mut self, title: &str) {
        let shown = title.len().min(self.len - 1);
        // SAFETY: `start..start + len` is the argument (and environment) area that the kernel set up on this
        // process's stack: mapped, writable and never freed. Nothing else points into it for reading but
        // std's argument list, which `claim` says not to use any more; the bytes stay NUL-terminated.
        unsafe {
            ptr::copy_nonoverlapping(title.as_ptr(), self.start, shown);
            ptr::write_bytes(self.start.add(shown), 0, self.len - shown);
        }
    }
}

/// Moves the strings of the environment to the heap, for good. Whether all of them could be moved.
fn move_environment() -> bool {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: `environ` is null or a NULL-terminated array of C strings, which is ours to change while there
    // is one thread (the caller's promise). Each entry is replaced by a copy that is never freed, so whoever
    // holds the old pointer or the new one reads valid memory.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let copy = libc::strdup(*entry);
            if copy.is_null() {
                return false;
            }
            *entry = copy;
            entry = entry.add(1);
        }
    }
    true
}

/// Addresses of the arguments and of the environment, from `/proc/self/stat`.
#[derive(PartialEq, Eq, Debug)]
struct ArgumentAreas {
    args_start: usize,
    args_end: usize,
    env_start: usize,
    env_end: usize,
}

impl ArgumentAreas {
    /// Fields 48 to 51. The second field, the name, is in brackets and may hold anything.
    fn parse(stat: &[u8]) -> Option<ArgumentAreas> {
        let name_end = stat.iter().rposition(|b| *b == b')')?;
        let text = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3)?.parse::<usize>().ok();
        let areas =
            ArgumentAreas { args_start: field(48)?, args_end: field(49)?, env_start: field(50)?, env_end: field(51)? };
        let sane = 0 < areas.args_start && areas.args_start < areas.args_end && areas.env_start <= areas.env_end;
        sane.then_some(areas)
    }
}

/// Descriptors beside those of clients: log, files, listeners, links.
pub const RESERVED_FILES: u64 = 32;

/// The limit of open files after [`raise_open_files`].
pub struct OpenFiles {
    pub limit: u64,
    /// Why the limit is lower than what was wanted.
    pub refused: Option<io::Error>,
}

/// Raises the limit of open files to at least `wanted`, or as far as the system lets it.
#[must_use]
pub fn raise_open_files(wanted: u64) -> OpenFiles {
    let now = getrlimit(Resource::Nofile);
    let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    if unlimited(now.current) >= wanted {
        return OpenFiles { limit: unlimited(now.current), refused: None };
    }
    // A hard limit below `wanted` can be raised by a privileged process.
    let maximum = now.maximum.map(|max| max.max(wanted));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => OpenFiles { limit: wanted, refused: None },
        Err(e) => {
            let raised = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
            let limit = if raised.is_ok() { now.maximum } else { now.current };
            OpenFiles { limit: unlimited(limit), refused: Some(e.into()) }
        }
    }
}

/// Writes this process's id to a file.
pub fn write_pid_file(path: &Path) -> io::Result<()> {
    std::fs::write(path, format!("{}\n", std::process::id()))
}

/// Opens (or creates) a file and locks it against every other process for as long as the result lives.
/// `None` when another process has it locked.
pub fn lock_exclusive(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// Runs one test of this file in a process of its own, where `OS_TEST_DIR` is set.
    fn run_alone(test: &str, dir: &Path, env: &[(&str, &str)]) {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("node::os::tests::{test}"), "--test-threads=1", "--nocapture"])
            .env("OS_TEST_DIR", dir)
            .envs(env.iter().copied())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }

    fn own_dir() -> Option<std::path::PathBuf> {
        std::env::var_os("OS_TEST_DIR").map(Into::into)
    }

    fn command_line() -> String {
        let bytes = std::fs::read("/proc/self/cmdline").unwrap();
        String::from_utf8(bytes).unwrap().trim_end_matches('\0').to_owned()
    }

    #[test]
    fn a_title_longer_than_the_command_line() {
        let Some(dir) = own_dir() else {
            let dir = tempfile::tempdir().unwrap();
            run_alone("a_title_longer_than_the_command_line", dir.path(), &[("OS_TEST_VALUE", "kept")]);
            assert!(dir.path().join("done").exists());
            return;
        };
        let mut title = ProcessTitle::claim().unwrap();
        assert!(ProcessTitle::claim().is_none());
        let long = format!("node {}", "x".repeat(command_line().len() + 20));
        title.set(&long);
        assert_eq!(command_line(), long);
        title.set("node 127.0.0.1:7001 [cluster]");
        assert_eq!(command_line(), "node 127.0.0.1:7001 [cluster]");
        title.set(&"y".repeat(1 << 20));
        assert!(command_line().starts_with("yyyy"));
        assert_eq!(std::env::var("OS_TEST_VALUE").as_deref(), Ok("kept"));
        std::fs::write(dir.join("done"), "").unwrap();
    }

    #[test]
    fn a_daemon_has_a_session_of_its_own() {
        let Some(dir) = own_dir() else {
            let dir = tempfile::tempdir().unwrap();
            run_alone("a_daemon_has_a_session_of_its_own", dir.path(), &[]);
            let deadline = Instant::now() + Duration::from_secs(20);
            let report = dir.path().join("report");
            while !report.exists() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let text = std::fs::read_to_string(report).unwrap();
            let [pid, session, stdout] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
            assert_eq!((pid, stdout), (session, "/dev/null"));
            return;
        };
        daemonize().unwrap();
        let pid = std::process::id();
        let session = rustix::process::getsid(None).unwrap().as_raw_nonzero();
        let stdout = std::fs::read_link("/proc/self/fd/1").unwrap();
        std::fs::write(dir.join("report.new"), format!("{pid} {session} {}", stdout.display())).unwrap();
        std::fs::rename(dir.join("report.new"), dir.join("report")).unwrap();
        std::process::exit(0);
    }

    #[test]
    fn local_time_follows_the_zone() {
        let Some(dir) = own_dir() else {
            let dir = tempfile::tempdir().unwrap();
            run_alone("local_time_follows_the_zone", dir.path(), &[("TZ", "XYZ-5:30")]);
            assert!(dir.path().join("done").exists());
            return;
        };
        let expected = LocalTime { year: 2024, month: 3, day: 1, hour: 5, minute: 15, second: 7, offset_secs: 19_800 };
        // 2024-02-29 23:45:07 UTC, half past five hours further east.
        assert_eq!(local_time(1_709_250_307), expected);
        std::fs::write(dir.join("done"), "").unwrap();
    }

    #[test]
    fn groups_by_name_and_number() {
        assert_eq!(group_id(b"root").unwrap(), 0);
        assert_eq!(group_id(b"1234").unwrap(), 1234);
        assert!(group_id(b"no such group").is_err());
        assert!(group_id(b"a\0b").is_err());
    }

    #[test]
    fn controls_of_the_allocator() {
        let code = |result: io::Result<u64>| result.map_err(|error| error.raw_os_error().unwrap());
        assert_eq!(code(allocator_number(b"no.such", None)), Err(libc::ENOENT));
        assert_eq!(code(allocator_number(b"a\0b", None)), Err(libc::ENOENT));
        // A truth value has one byte.
        assert_eq!(code(allocator_number(b"background_thread", None)), Err(libc::EINVAL));
        assert_eq!(code(allocator_number(b"stats.allocated", Some(1))), Err(libc::EPERM));
        let old = allocator_number(b"arenas.dirty_decay_ms", None).unwrap();
        assert_eq!(code(allocator_number(b"arenas.dirty_decay_ms", Some(old + 1))), Ok(old));
        assert_eq!(code(allocator_number(b"arenas.dirty_decay_ms", Some(old))), Ok(old + 1));
        assert!(allocator_text(b"version").unwrap().starts_with(b"5."));
        assert_eq!(allocator_text(b"stats.allocated").unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn stat_lines() {
        let numbers = (4..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let areas = ArgumentAreas::parse(format!("7 (a) b) S {numbers}").as_bytes());
        assert_eq!(areas, Some(ArgumentAreas { args_start: 48, args_end: 49, env_start: 50, env_end: 51 }));
        assert_eq!(ArgumentAreas::parse(b"7 (a) S 1 2"), None);
        assert_eq!(ArgumentAreas::parse(b""), None);
    }

    #[test]
    fn locks_pid_files_and_limits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes.conf");
        let first = lock_exclusive(&path).unwrap();
        assert!(first.is_some());
        assert!(lock_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(lock_exclusive(&path).unwrap().is_some());
        assert!(lock_exclusive(&dir.path().join("no/such")).is_err());

        let pid = dir.path().join("pid");
        write_pid_file(&pid).unwrap();
        assert_eq!(std::fs::read_to_string(pid).unwrap(), format!("{}\n", std::process::id()));

        let now = raise_open_files(1);
        assert!(now.limit >= 1 && now.refused.is_none());
        assert_eq!(raise_open_files(now.limit).limit, now.limit);
    }
}
