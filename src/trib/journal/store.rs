//! Where jobs are kept: a directory with a file for each.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Header, Job, Record};
use crate::trib::error::Error;

/// Jobs that are over are kept this long.
const KEPT_FOR: Duration = Duration::from_secs(60 * 24 * 3600);
const ENDING: &str = "jsonl";

/// The directory.
pub struct Store {
    dir: PathBuf,
}

/// A job that is written to.
#[derive(Debug)]
pub struct Journal {
    pub id: String,
    file: RefCell<File>,
    /// Whether a line could not be written.
    is_torn: Cell<bool>,
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Store {
    /// The directory that was named, else the one for the user's state. `env` looks up environment variables.
    pub fn locate(named: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Store, Error> {
        if let Some(dir) = named {
            return Ok(Store { dir: dir.to_owned() });
        }
        let var = |name: &str| env(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
        let state = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")));
        let dir = state.map(|state| state.join("trib/jobs"));
        dir.map(|dir| Store { dir }).ok_or_else(|| {
            Error::failed("[ERR] There is no place for the journal: neither XDG_STATE_HOME nor HOME is set.")
                .hint("name a directory with --journal")
        })
    }

    /// All jobs, the oldest first.
    pub fn jobs(&self) -> Result<Vec<Job>, Error> {
        self.read_those(|_| true)
    }

    fn read_those(&self, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<Job>, Error> {
        let files = match fs::read_dir(&self.dir) {
            Ok(files) => files,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::failed(format!("[ERR] {}: {e}", self.dir.display()))),
        };
        let paths = files.flatten().map(|file| file.path());
        let ours = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING) && is_wanted(path));
        let mut jobs: Vec<Job> = ours.filter_map(|path| Job::read(&fs::read_to_string(path).ok()?)).collect();
        jobs.sort_by(|a, b| (a.header.at_ms, &a.header.id).cmp(&(b.header.at_ms, &b.header.id)));
        Ok(jobs)
    }

    /// The job whose id is, or begins with, this.
    pub fn job(&self, id: &str) -> Result<Job, Error> {
        let mut found: Vec<Job> = self.jobs()?.into_iter().filter(|job| job.header.id.starts_with(id)).collect();
        let exact = found.iter().position(|job| job.header.id == id);
        match (exact, found.len()) {
            (Some(at), _) => Ok(found.swap_remove(at)),
            (None, 1) => Ok(found.remove(0)),
            (None, 0) => Err(Error::failed(format!("[ERR] No such job {id}")).hint("see 'trib jobs'")),
            (None, _) => Err(Error::failed(format!("[ERR] Several jobs begin with {id}")).hint("see 'trib jobs'")),
        }
    }

    /// Writes the first line of a new job, and forgets what is long over.
    pub fn begin(&self, header: Header) -> io::Result<Journal> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        self.prune(header.at_ms);
        let path = self.path(&header.id);
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
        let id = header.id.clone();
        let journal = Journal { id, file: RefCell::new(file), is_torn: Cell::new(false) };
        // The name of the file is to survive as well; a disk takes about as long for both as for one.
        let dir = File::open(&self.dir)?;
        let named = std::thread::spawn(move || dir.sync_all());
        journal.append(&Record::Begun(Box::new(header)))?;
        named.join().map_err(|_| io::Error::other("the directory was not synchronised"))??;
        Ok(journal)
    }

    /// A job that is taken up again.
    pub fn reopen(&self, job: &Job) -> Result<Journal, Error> {
        let path = self.path(&job.header.id);
        let opened = OpenOptions::new().append(true).open(&path).and_then(|mut file| {
            // The last line may be torn.
            let text = fs::read_to_string(&path)?;
            if !text.ends_with('\n') {
                file.write_all(b"\n")?;
            }
            Ok(file)
        });
        let file = opened.map_err(|e| Error::failed(format!("[ERR] {}: {e}", path.display())))?;
        Ok(Journal { id: job.header.id.clone(), file: RefCell::new(file), is_torn: Cell::new(false) })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.{ENDING}"))
    }

    fn prune(&self, now_ms: u64) {
        let limit = now_ms.saturating_sub(u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX));
        // Reading all that is kept would take longer with every job; what was written to of late is not long over.
        let written_before = UNIX_EPOCH + Duration::from_millis(limit);
        let is_old = |path: &Path| {
            let written = fs::metadata(path).and_then(|file| file.modified());
            written.is_ok_and(|written| written < written_before)
        };
        for job in self.read_those(is_old).unwrap_or_default() {
            if job.header.at_ms < limit && job.end.is_some() {
                // One that stays is only one that is listed.
                let _ = fs::remove_file(self.path(&job.header.id));
            }
        }
    }
}

impl Journal {
    /// Writes a line; it is on the disk when this returns.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut file = self.file.borrow_mut();
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The same in the middle of work, which is not to stop for it: what is lost is only how far it got.
    pub fn note(&self, record: &Record) {
        if self.append(record).is_err() {
            self.is_torn.set(true);
        }
    }

    /// Whether a line is missing.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.is_torn.get()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{header, move_slots};
    use super::super::{End, State};
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store { dir: dir.path().join("trib/jobs") };
        (dir, store)
    }

    fn begin(store: &Store, id: &str, at_ms: u64) -> Journal {
        let steps = vec![move_slots('a', 'b', "0-9")];
        store.begin(Header { id: id.into(), at_ms, ..header(steps) }).unwrap()
    }

    #[test]
    fn jobs_are_found_again() {
        let (_dir, store) = store();
        assert_eq!(store.jobs(), Ok(Vec::new()));
        begin(&store, "bb1", 20);
        let journal = begin(&store, "aa1", 10);
        journal.note(&Record::Ended { at_ms: 11, how: End::Failed, carried_out: false });
        let ids = |store: &Store| store.jobs().unwrap().iter().map(|job| job.header.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&store), ["aa1", "bb1"]);
        assert_eq!(store.job("a").unwrap().state("here"), State::Failed);
        assert!(store.job("x").is_err() && store.job("").is_err());
        // Taken up again, after a line that was torn.
        fs::OpenOptions::new().append(true).open(store.path("aa1")).unwrap().write_all(b"{\"rec").unwrap();
        let again = store.reopen(&store.job("aa1").unwrap()).unwrap();
        again.note(&Record::Ended { at_ms: 12, how: End::Done, carried_out: false });
        assert_eq!(store.job("aa1").unwrap().state("here"), State::Done);
        assert!(!again.is_torn());
        // Long over, and long interrupted: only the first is forgotten.
        for id in ["aa1", "bb1"] {
            let file = OpenOptions::new().append(true).open(store.path(id)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(24 * 3600)).unwrap();
        }
        begin(&store, "cc1", 100 * 24 * 3600 * 1000);
        assert_eq!(ids(&store), ["bb1", "cc1"]);
    }

    #[test]
    fn others_may_not_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, store) = store();
        begin(&store, "a", 1);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.dir), mode(&store.path("a"))), (0o700, 0o600));
    }

    #[test]
    fn the_place_is_the_users_state() {
        let at = |vars: &[(&str, &str)]| {
            let env = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            Store::locate(None, env).map(|store| store.dir.display().to_string())
        };
        assert_eq!(at(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Ok("/s/trib/jobs".to_owned()));
        assert_eq!(at(&[("XDG_STATE_HOME", ""), ("HOME", "/h")]), Ok("/h/.local/state/trib/jobs".to_owned()));
        assert!(at(&[]).is_err());
        assert_eq!(Store::locate(Some(Path::new("x")), |_| None).map(|store| store.dir), Ok(PathBuf::from("x")));
    }
}
