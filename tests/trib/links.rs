//! The ways between `trib` and the nodes lead through here: what `trib` sends is counted, and at any piece of it something
//! can happen: to `trib`, to a node, or to the way itself. Nodes reach each other without it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ran, STATE_HOME, Server};

/// A command that takes longer than this has not noticed that something is wrong.
const LIMIT: Duration = Duration::from_secs(90);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// `trib` is killed without warning.
    KillTrib,
    /// The process hangs.
    Stop(Pid),
    /// The process dies.
    Kill(Pid),
    /// The way to the server at this port is cut: what is under way ends, and nothing new gets through.
    Cut(u16),
}

/// What happens when, and what there is to do it to.
#[derive(Default)]
struct State {
    /// At which piece.
    plan: Option<(usize, Trouble)>,
    trib: Option<Pid>,
    /// Pieces count from the first on that has this text; none before it.
    from: Option<&'static str>,
    has_begun: bool,
    cut: Option<u16>,
    /// The open ways to each server.
    open: BTreeMap<u16, Vec<TcpStream>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Pieces that `trib` has sent.
    pieces: AtomicUsize,
    ended: AtomicBool,
}

/// The ways to some servers.
pub struct Links {
    shared: Arc<Shared>,
    /// The options that lead `trib` here.
    maps: Vec<String>,
    ports: Vec<u16>,
}

impl Shared {
    fn piece(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let begins = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        state.has_begun |= state.from.is_none_or(begins);
        if !state.has_begun {
            return;
        }
        let count = self.pieces.fetch_add(1, Ordering::SeqCst) + 1;
        let Some((_, trouble)) = state.plan.take_if(|(at, _)| *at == count) else { return };
        let signal = |pid, signal| kill_process(pid, signal).unwrap();
        match trouble {
            Trouble::KillTrib => signal(state.trib.expect("it has been started"), Signal::KILL),
            Trouble::Stop(pid) => signal(pid, Signal::STOP),
            Trouble::Kill(pid) => signal(pid, Signal::KILL),
            Trouble::Cut(port) => {
                state.cut = Some(port);
                for stream in state.open.remove(&port).unwrap_or_default() {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
        }
    }

    fn carry(self: &Arc<Shared>, near: TcpStream, port: u16) -> std::io::Result<()> {
        if self.state.lock().unwrap().cut == Some(port) {
            return Ok(());
        }
        let far = TcpStream::connect(("127.0.0.1", port))?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let mut state = self.state.lock().unwrap();
        state.open.entry(port).or_default().extend([near.try_clone()?, far.try_clone()?]);
        drop(state);
        let (mut from, mut to) = (far.try_clone()?, near.try_clone()?);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
        let (shared, mut from, mut to) = (Arc::clone(self), near, far);
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                // What it dies of has been sent, and nobody hears the answer.
                shared.piece(&piece[..count]);
                if to.write_all(&piece[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
        Ok(())
    }
}

impl Links {
    pub fn new<'s>(servers: impl IntoIterator<Item = &'s Server>) -> Links {
        let mut links = Links { shared: Arc::default(), maps: Vec::new(), ports: Vec::new() };
        for server in servers {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (shared, port) = (Arc::clone(&links.shared), server.port);
            let here = listener.local_addr().unwrap().port();
            links.maps.extend(["--map".to_owned(), format!("127.0.0.1:{port}=127.0.0.1:{here}")]);
            links.ports.push(here);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if shared.ended.load(Ordering::SeqCst) {
                        return;
                    }
                    // The server may be gone: then the way ends here.
                    let _ = shared.carry(stream, port);
                }
            });
        }
        links
    }

    /// Runs `trib` to its end over these ways, with this trouble at that piece; gives what it said, -1 if it was killed,
    /// and how many pieces it has sent.
    pub fn run(&self, words: &[&str], trouble: Option<(usize, Trouble)>) -> (Ran, usize) {
        self.shared.pieces.store(0, Ordering::SeqCst);
        // It can send nothing that is counted before its number is known.
        let mut state = self.shared.state.lock().unwrap();
        let mut run: Child = Command::new(env!("CARGO_BIN_EXE_trib"))
            .args(&self.maps)
            .args(words)
            .env("XDG_STATE_HOME", STATE_HOME)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        state.trib = Pid::from_raw(i32::try_from(run.id()).unwrap());
        (state.plan, state.has_begun) = (trouble, false);
        drop(state);
        let begun = Instant::now();
        let out = read_all(run.stdout.take().unwrap());
        let err = read_all(run.stderr.take().unwrap());
        let status = loop {
            if let Some(status) = run.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > LIMIT {
                run.kill().unwrap();
                run.wait().unwrap();
                panic!("{words:?} {trouble:?} did not end\n{}\n{}", out.join().unwrap(), err.join().unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut state = self.shared.state.lock().unwrap();
        (state.plan, state.trib) = (None, None);
        drop(state);
        let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
        (Ran { stdout, stderr, code: status.code().unwrap_or(-1) }, self.shared.pieces.load(Ordering::SeqCst))
    }

    /// Counts pieces from the first on that has this text.
    pub fn count_from(&self, text: &'static str) {
        self.shared.state.lock().unwrap().from = Some(text);
    }

    /// Everything gets through again.
    pub fn mend(&self) {
        self.shared.state.lock().unwrap().cut = None;
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for port in &self.ports {
            let _ = TcpStream::connect(("127.0.0.1", *port));
        }
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The process of a server.
pub fn pid(server: &Server) -> Pid {
    Pid::from_raw(i32::try_from(server.pid()).unwrap()).expect("a process has a number")
}
