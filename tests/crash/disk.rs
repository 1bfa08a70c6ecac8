//! A disk in memory that behaves as badly as a real one may.
//!
//! A crash loses names and bytes that were not made durable, keeps a part of the last ones, or (when only the process
//! dies) keeps everything. Before the crash any operation may fail, a write after some of its bytes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use trib::base::Rng;
use trib::persist::disk::{Disk, DiskFile};

#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct Inode {
    data: Vec<u8>,
    /// What a power failure leaves for certain.
    synced: Vec<u8>,
}

type Names = BTreeMap<PathBuf, usize>;

/// A change of names, waiting for its directory to be made durable.
#[derive(Clone, Debug)]
enum Change {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Unlink(PathBuf),
}

impl Change {
    fn dir(&self) -> &Path {
        let (Change::Link(path, _) | Change::Rename(_, path, _) | Change::Unlink(path)) = self;
        path.parent().unwrap()
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Change::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
            Change::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Change::Unlink(path) => drop(names.remove(path)),
        }
    }
}

#[derive(Debug)]
struct State {
    rng: Rng,
    inodes: Vec<Inode>,
    live: Names,
    durable: Names,
    pending: Vec<Change>,
    /// Operations until the crash.
    left: u64,
    /// One operation in so many fails; none at 0.
    fails_in: u64,
    fails_next: bool,
    /// There is no room for another file.
    full: bool,
}

impl State {
    /// Before each operation: whether it is performed.
    fn step(&mut self) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::Error::other("the machine is gone"));
        }
        self.left -= 1;
        if std::mem::take(&mut self.fails_next) || self.fails_in > 0 && self.rng.below(self.fails_in) == 0 {
            // EIO or ENOSPC
            return Err(io::Error::from_raw_os_error([5, 28][self.rng.below(2) as usize]));
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.live.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// What a file holds after a power failure: what was durable, and some of what was written since.
    fn survivors(&mut self, inode: usize) -> Vec<u8> {
        let Inode { data, synced } = &self.inodes[inode];
        let common = data.iter().zip(synced).take_while(|(a, b)| a == b).count();
        // It was cut, or emptied and filled again: the old may come back.
        if common < synced.len() && self.rng.below(2) == 0 {
            return synced.clone();
        }
        let kept = common + self.rng.below((data.len() - common) as u64 + 1) as usize;
        data[..kept].to_vec()
    }
}

impl SimDisk {
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            rng: Rng::seeded(seed),
            inodes: Vec::new(),
            live: Names::new(),
            durable: Names::new(),
            pending: Vec::new(),
            left: u64::MAX,
            fails_in: 0,
            fails_next: false,
            full: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The machine ends after so many more operations; of the operations before one in `fails_in` fails (none at 0).
    pub fn arm(&self, operations: u64, fails_in: u64) {
        let mut state = self.state();
        (state.left, state.fails_in) = (operations, fails_in);
    }

    /// From now on there is no room for another file.
    pub fn fill_up(&self) {
        self.state().full = true;
    }

    pub fn is_gone(&self) -> bool {
        self.state().left == 0
    }

    /// The disk as the next process finds it: after a loss of power, or after the mere end of the last process.
    pub fn after(&self, power_failure: bool) -> SimDisk {
        let mut state = self.state();
        let mut names = state.live.clone();
        if power_failure {
            names = state.durable.clone();
            let pending = std::mem::take(&mut state.pending);
            // Each directory keeps its changes in order, but they reach the disk when they like.
            let mut cut: BTreeMap<PathBuf, bool> = BTreeMap::new();
            for change in &pending {
                let lost = cut.entry(change.dir().to_owned()).or_default();
                *lost = *lost || state.rng.below(3) == 0;
                if !*lost {
                    change.apply(&mut names);
                }
            }
        }
        let next = SimDisk::new(state.rng.next_u64());
        let mut after = next.state();
        for (path, inode) in names {
            let data = if power_failure { state.survivors(inode) } else { state.inodes[inode].data.clone() };
            let number = after.inodes.len();
            after.live.insert(path.clone(), number);
            after.durable.insert(path, number);
            let synced = data.clone();
            after.inodes.push(Inode { data, synced });
        }
        drop(after);
        next
    }

    /// What is there, for the message of a failed test.
    pub fn list(&self) -> String {
        let state = self.state();
        let line = |(path, inode): (&PathBuf, &usize)| {
            let data = &state.inodes[*inode].data;
            let shown = if path.extension().is_some_and(|e| e == "manifest") { data.as_slice() } else { b"" };
            format!("{} {} bytes {}\n", path.display(), data.len(), shown.escape_ascii())
        };
        state.live.iter().map(line).collect()
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let file = self.append_to(path)?;
        self.state().inodes[file.inode].data.clear();
        Ok(file)
    }

    fn append_to(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.state();
        state.step()?;
        if state.full && state.find(path).is_err() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = state.find(path).unwrap_or_else(|_| {
            let inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.change(Change::Link(path.to_owned(), inode));
            inode
        });
        Ok(SimFile { disk: self.clone(), inode })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.step()?;
        let inode = state.find(path)?;
        Ok(state.inodes[inode].data.clone())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        let inode = state.find(path)?;
        Ok(state.inodes[inode].data.len() as u64)
    }

    fn make_dir(&self, _: &Path) -> io::Result<()> {
        self.state().step()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let inode = state.find(from)?;
        state.change(Change::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.find(path)?;
        state.change(Change::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let (now, later) = std::mem::take(&mut state.pending).into_iter().partition(|change| change.dir() == dir);
        state.pending = later;
        let now: Vec<Change> = now;
        now.iter().for_each(|change| change.apply(&mut state.durable));
        Ok(())
    }
}

#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.left == 0 {
            return state.step().map(|()| 0);
        }
        let result = state.step();
        let len = bytes.len() as u64;
        let n = match result {
            // The machine ends in the middle, or the disk takes no more at once.
            Ok(()) if state.left == 0 || state.rng.below(8) == 0 => 1 + state.rng.below(len),
            Ok(()) => len,
            Err(_) => state.rng.below(len),
        };
        let inode = self.inode;
        state.inodes[inode].data.extend_from_slice(&bytes[..n as usize]);
        // A full disk takes a part and refuses the rest.
        state.fails_next = result.is_err() && n > 0;
        if n > 0 { Ok(n as usize) } else { result.map(|()| 0) }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.inodes[self.inode].data.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let inode = &mut state.inodes[self.inode];
        inode.synced = inode.data.clone();
        Ok(())
    }

    fn twin(&self) -> io::Result<SimFile> {
        Ok(SimFile { disk: self.disk.clone(), inode: self.inode })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].data.len() as u64)
    }
}
