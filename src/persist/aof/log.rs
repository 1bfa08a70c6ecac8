//! The log as it is appended to: the increment, the manifest, and the change from one base to the next.
//!
//! Every order of steps here is chosen so that a crash between any two of them leaves files that load, and holds what
//! was said to be durable: an increment is whole and durable before the manifest names its successor, a base is durable
//! before the manifest names it, and a file is deleted only after a manifest without it is durable.

use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{LogFile, Manifest};
use super::names::{self, BaseFormat};
use crate::persist::disk::{Disk, DiskFile, replace, write_all};

/// A buffer beyond this size is given back when it is empty.
const KEEP_BYTES: usize = 1 << 20;

/// Where the files of a log are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The directory of the log.
    pub dir: PathBuf,
    /// The directive `appendfilename`.
    pub name: String,
    /// Whether files that are not needed any more stay (`aof-disable-auto-gc`).
    pub keep_history: bool,
}

impl Place {
    #[must_use]
    pub fn path(&self, name: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.dir.join(std::ffi::OsStr::from_bytes(name))
    }

    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.dir.join(names::manifest(&self.name))
    }

    fn temp_manifest(&self) -> PathBuf {
        self.dir.join(names::temp_manifest(&self.name))
    }

    fn temp_increment(&self) -> PathBuf {
        self.dir.join(names::temp_increment(&self.name))
    }
}

/// What a rewrite under way will replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaces {
    /// Everything but the last increment, which began together with it.
    AllButLast,
    /// Everything: the log is being switched on, and its first increment has no name yet.
    AllForFirst,
    /// Everything: the log is off.
    All,
}

/// A log, on or off.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    place: Place,
    /// As the directory shows it.
    manifest: Manifest,
    /// The highest number that an increment of the log has had, also one that is forgotten: its deletion may be under way, and
    /// would take another file of that name with it.
    used: u64,
    /// The manifest may not survive a crash yet.
    unsettled: bool,
    /// The increment that is appended to; none while the log is off.
    file: Option<D::File>,
    /// The length of `file` at the end of its last whole write.
    len: u64,
    /// The increment is not in the manifest: the log's first base is not complete.
    unnamed: bool,
    buf: Vec<u8>,
    unsynced: bool,
    /// What was written up to some moment is being made durable elsewhere.
    syncing: bool,
    rewrite: Option<(BaseFormat, Replaces)>,
}

/// What became of an attempt to begin a rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Yes,
    /// There is another snapshot under way.
    NotNow,
}

impl<D: Disk> Log<D> {
    /// A log that is off.
    pub fn new(disk: D) -> Log<D> {
        Log {
            disk,
            place: Place::default(),
            manifest: Manifest::default(),
            used: 0,
            unsettled: false,
            file: None,
            len: 0,
            unnamed: false,
            buf: Vec::new(),
            unsynced: false,
            syncing: false,
            rewrite: None,
        }
    }

    pub fn disk(&self) -> &D {
        &self.disk
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// Whether the log is on and complete: with the base that its increments follow on.
    pub fn has_base(&self) -> bool {
        self.is_on() && !self.unnamed
    }

    pub fn is_rewriting(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Bytes that the disk has not taken yet.
    pub fn waiting_bytes(&self) -> usize {
        self.buf.len()
    }

    /// Whether [`Log::sync`] has anything to do.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced || self.unsettled || self.syncing
    }

    /// Opens the last increment of a log that was loaded (or a new one) to append to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&mut self, place: Place, mut manifest: Manifest) -> io::Result<()> {
        self.disk.make_dir(&place.dir)?;
        // What a server left that ended while its log was being switched on.
        let _ = self.disk.remove(&place.temp_increment());
        self.used = self.used.max(manifest.highest(&place.name));
        let known = manifest.increments.last().map(|last| place.path(&last.name));
        let file = match known {
            Some(path) => self.disk.append_to(&path)?,
            None => {
                let name = manifest.open_increment(&place.name, self.used).name.clone();
                self.disk.create(&place.path(&name))?
            }
        };
        self.len = file.len()?;
        self.place = place;
        if read_manifest(&self.disk, &self.place)?.as_ref() == Some(&manifest) {
            // Nothing is written where nothing changes: the disk may be full. Whoever wrote it may have ended at once.
            self.manifest = manifest;
            self.unsettled = true;
        } else {
            self.put_manifest(manifest)?;
        }
        self.settle()?;
        self.file = Some(file);
        self.unnamed = false;
        Ok(())
    }

    /// Lets `take` add to what is to be written. It is given an empty buffer to fill or to swap.
    pub fn fill(&mut self, take: impl FnOnce(&mut Vec<u8>)) {
        if self.buf.is_empty() {
            take(&mut self.buf);
        } else {
            let mut more = Vec::new();
            take(&mut more);
            self.buf.append(&mut more);
        }
    }

    /// Writes what is waiting. A part that was written before an error is taken back, so that no torn command stays;
    /// what the disk refused is kept for the next time.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            self.buf.clear();
            return Ok(());
        };
        if self.buf.is_empty() {
            return Ok(());
        }
        let (mut done, result) = write_all(file, &self.buf);
        self.unsynced |= done > 0;
        if result.is_err() && done > 0 && file.cut(self.len).is_ok() {
            done = 0;
        }
        self.len += done as u64;
        if done < self.buf.len() {
            self.buf.drain(..done);
        } else if self.buf.capacity() > KEEP_BYTES {
            self.buf = Vec::new();
        } else {
            self.buf.clear();
        }
        result
    }

    /// Makes everything durable that has been written.
    ///
    /// # Errors
    /// What the system says: nothing more is durable than before.
    pub fn sync(&mut self) -> io::Result<()> {
        self.settle()?;
        if let Some(file) = &mut self.file
            && self.unsynced
        {
            file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Begins to make durable what has been written so far, and gives out the file on which that is to be done, if there
    /// is anything to do. Until [`Log::end_sync`] the log may be written to, and nothing else.
    ///
    /// # Errors
    /// What the system says: nothing has begun.
    pub fn begin_sync(&mut self) -> io::Result<Option<D::File>> {
        self.settle()?;
        let Some(file) = self.file.as_ref().filter(|_| self.unsynced) else { return Ok(None) };
        let twin = file.twin()?;
        self.unsynced = false;
        self.syncing = true;
        Ok(Some(twin))
    }

    /// What was begun has ended, well or not: then it is not durable, and is tried again.
    pub fn end_sync(&mut self, durable: bool) {
        self.syncing = false;
        self.unsynced |= !durable;
    }

    /// Stops appending. What is waiting should have been written.
    pub fn close(&mut self) {
        if self.unnamed {
            let _ = self.disk.remove(&self.place.temp_increment());
        }
        self.file = None;
        self.unnamed = false;
        self.unsynced = false;
        self.buf.clear();
        self.rewrite = None;
    }

    /// Begins a rewrite, and switches the log on if it is off: what is appended from now on goes to a new increment, and
    /// a snapshot of the dataset as it is becomes the base. `split` is called at the moment that divides the two: it
    /// hands out what belongs before, begins the snapshot, and tells its form, or declines.
    ///
    /// # Errors
    /// What the system says. If `split` has begun a snapshot, that is to be given up; the log goes on as it was.
    pub fn begin_rewrite(&mut self, split: impl FnOnce(&mut Vec<u8>) -> Option<BaseFormat>) -> io::Result<Begun> {
        if self.file.is_none() || self.unnamed {
            return self.begin_first(split);
        }
        self.write()?;
        let mut manifest = self.manifest.clone();
        let path = self.place.path(&manifest.open_increment(&self.place.name, self.used).name);
        let next = self.create_anew(&path)?;
        let mut last = Vec::new();
        let Some(format) = split(&mut last) else {
            let _ = self.disk.remove(&path);
            return Ok(Begun::NotNow);
        };
        self.buf.append(&mut last);
        let whole = self.write().and_then(|()| self.sync()).and_then(|()| self.put_manifest(manifest));
        if let Err(error) = whole {
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        self.file = Some(next);
        self.len = 0;
        self.unsynced = false;
        self.rewrite = Some((format, Replaces::AllButLast));
        Ok(Begun::Yes)
    }

    /// Until the base is complete the increment has a name that no manifest knows.
    fn begin_first(&mut self, split: impl FnOnce(&mut Vec<u8>) -> Option<BaseFormat>) -> io::Result<Begun> {
        let path = self.place.temp_increment();
        let file = self.create_anew(&path)?;
        let mut before = Vec::new();
        let Some(format) = split(&mut before) else { return Ok(Begun::NotNow) };
        // What came before is in the base.
        self.buf.clear();
        self.file = Some(file);
        self.len = 0;
        self.unsynced = false;
        self.unnamed = true;
        self.rewrite = Some((format, Replaces::AllForFirst));
        Ok(Begun::Yes)
    }

    /// Where a log that is off is, or was.
    ///
    /// # Errors
    /// What the system says, or what is wrong with the manifest there.
    pub fn find(&mut self, place: Place) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        self.disk.make_dir(&place.dir)?;
        self.manifest = read_manifest(&self.disk, &place)?.unwrap_or_default();
        self.used = self.used.max(self.manifest.highest(&place.name));
        self.place = place;
        Ok(())
    }

    /// Begins a base while the log stays off.
    pub fn begin_base_only(&mut self, split: impl FnOnce() -> Option<BaseFormat>) -> Begun {
        let Some(format) = split() else { return Begun::NotNow };
        self.rewrite = Some((format, Replaces::All));
        Begun::Yes
    }

    /// The snapshot of the rewrite is complete and durable in the file `temp`: it becomes the base.
    ///
    /// # Errors
    /// What the system says; the old base and all increments stay.
    pub fn finish_rewrite(&mut self, temp: &Path) -> io::Result<()> {
        let (format, replaces) = self.rewrite.take().ok_or(io::ErrorKind::NotFound)?;
        let base = self.manifest.next_base(&self.place.name, format);
        let base_path = self.place.path(&base.name);
        let mut manifest = self.manifest.clone();
        manifest.replace_base(base, replaces == Replaces::AllButLast);
        if replaces == Replaces::AllForFirst {
            let path = self.place.path(&manifest.open_increment(&self.place.name, self.used).name);
            self.disk.rename(&self.place.temp_increment(), &path)?;
        }
        self.disk.rename(temp, &base_path)?;
        self.put_manifest(manifest).inspect_err(|_| {
            let _ = self.disk.remove(&base_path);
        })?;
        self.unnamed = false;
        Ok(())
    }

    /// There will be no base: the snapshot has failed.
    pub fn abandon_rewrite(&mut self) {
        self.rewrite = None;
    }

    /// The files that are not needed any more and may be deleted now.
    pub fn garbage(&self) -> Vec<LogFile> {
        if self.unsettled || self.place.keep_history { Vec::new() } else { self.manifest.history.clone() }
    }

    /// These files have been deleted. If the disk does not take a manifest without them they are named for longer, which
    /// does no harm.
    pub fn forget(&mut self, deleted: &[LogFile]) {
        let mut manifest = self.manifest.clone();
        manifest.history.retain(|file| !deleted.contains(file));
        if manifest != self.manifest {
            let _ = self.put_manifest(manifest);
        }
    }

    /// A new file where there may be an old one, which might come back after a crash if it were only emptied (and may be
    /// open still).
    fn create_anew(&self, path: &Path) -> io::Result<D::File> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => self.disk.create(path),
        }
    }

    /// Writes a manifest, which holds from then on. It may not survive a crash yet: [`Log::sync`] sees to that before it
    /// calls anything durable.
    fn put_manifest(&mut self, manifest: Manifest) -> io::Result<()> {
        replace(&self.disk, &self.place.manifest(), &self.place.temp_manifest(), &manifest.format())?;
        self.used = self.used.max(manifest.highest(&self.place.name));
        self.manifest = manifest;
        self.unsettled = true;
        // It is tried again with the next bytes, where an error is told to those who care.
        let _ = self.settle();
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.unsettled {
            self.disk.sync_dir(&self.place.dir)?;
            self.unsettled = false;
        }
        Ok(())
    }
}

/// The manifest on disk, if there is one.
///
/// # Errors
/// What the system says, or what is wrong with it.
pub fn read_manifest(disk: &impl Disk, place: &Place) -> io::Result<Option<Manifest>> {
    match disk.read(&place.manifest()) {
        Ok(text) => Manifest::parse(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a log before anything was ever appended: only the base, whose bytes are given. The increment follows when it is
/// opened.
///
/// # Errors
/// What the system says.
pub fn create_base(disk: &impl Disk, place: &Place, format: BaseFormat, bytes: &[u8]) -> io::Result<Manifest> {
    let mut manifest = Manifest::default();
    let base = manifest.next_base(&place.name, format);
    let path = place.path(&base.name);
    disk.make_dir(&place.dir)?;
    replace(disk, &path, &place.dir.join(format!("temp-{}.base", place.name)), bytes)?;
    manifest.base = Some(base);
    Ok(manifest)
}

/// Takes a log of a single file into its directory, as the base. Taken up again where a crash interrupted it.
///
/// # Errors
/// What the system says.
pub fn upgrade(disk: &impl Disk, place: &Place, single: &Path, manifest: &Manifest) -> io::Result<()> {
    disk.make_dir(&place.dir)?;
    replace(disk, &place.manifest(), &place.temp_manifest(), &manifest.format())?;
    disk.sync_dir(&place.dir)?;
    disk.rename(single, &place.path(place.name.as_bytes()))?;
    disk.sync_dir(&place.dir)
}
