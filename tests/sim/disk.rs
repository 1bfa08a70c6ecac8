//! The disk of one simulated machine: what programs see, and what survives a power failure.

use std::collections::BTreeMap;

use trib::base::Rng;

/// What of a file is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Durable {
    /// Not even its name.
    Nothing,
    /// That many bytes of what programs see.
    Prefix(usize),
    /// What was there before it was replaced.
    Before(Vec<u8>),
}

#[derive(Clone, Debug)]
struct File {
    bytes: Vec<u8>,
    durable: Durable,
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<String, File>,
}

impl Disk {
    pub fn read(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| &file.bytes[..])
    }

    /// What a power failure would leave of the file at least: nothing if it may take the file with it.
    pub fn durable(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.get(name)?;
        match &file.durable {
            Durable::Nothing => None,
            Durable::Prefix(len) => Some(&file.bytes[..*len]),
            Durable::Before(before) => Some(before),
        }
    }

    /// Puts `bytes` in the place of the file, as a rename does. With `fsync` it is durable on return; else a power
    /// failure may bring the old content back. The names of all files become durable with it: they are in one directory.
    pub fn replace(&mut self, name: &str, bytes: Vec<u8>, fsync: bool) {
        if fsync {
            for file in self.files.values_mut().filter(|file| file.durable == Durable::Nothing) {
                file.durable = Durable::Prefix(0);
            }
        }
        let durable = match self.files.remove(name) {
            _ if fsync => Durable::Prefix(bytes.len()),
            None => Durable::Nothing,
            Some(File { durable: Durable::Nothing, .. }) => Durable::Nothing,
            Some(File { durable: Durable::Before(before), .. }) => Durable::Before(before),
            Some(File { mut bytes, durable: Durable::Prefix(len) }) => {
                bytes.truncate(len);
                Durable::Before(bytes)
            }
        };
        self.files.insert(name.to_owned(), File { bytes, durable });
    }

    pub fn append(&mut self, name: &str, bytes: &[u8]) {
        let file = self.files.entry(name.to_owned());
        file.or_insert(File { bytes: Vec::new(), durable: Durable::Nothing }).bytes.extend_from_slice(bytes);
    }

    pub fn truncate(&mut self, name: &str, len: usize) {
        if let Some(file) = self.files.get_mut(name) {
            file.bytes.truncate(len);
            file.durable = Durable::Prefix(len);
        }
    }

    pub fn fsync(&mut self, name: &str) {
        if let Some(file) = self.files.get_mut(name) {
            file.durable = Durable::Prefix(file.bytes.len());
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.files.remove(name);
    }

    /// The power fails: what was not durable is lost, or torn at some byte.
    pub fn power_failure(&mut self, rng: &mut Rng) {
        self.files.retain(|_, file| {
            match std::mem::replace(&mut file.durable, Durable::Nothing) {
                Durable::Nothing => return false,
                Durable::Prefix(len) => {
                    let torn = rng.below((file.bytes.len() - len) as u64 + 1) as usize;
                    file.bytes.truncate(len + torn);
                }
                // The rename may have reached the disk or not.
                Durable::Before(before) if rng.below(2) == 0 => file.bytes = before,
                Durable::Before(_) => {}
            }
            file.durable = Durable::Prefix(file.bytes.len());
            true
        });
    }
}
