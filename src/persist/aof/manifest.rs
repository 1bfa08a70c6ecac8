//! The manifest: which files make up the log, and in which order they are loaded.
//!
//! One line a file, `file NAME seq N type T`, where T is `b` (base), `h` (history: no longer needed, to be
//! deleted) or `i` (increment).

use super::names::{self, BaseFormat};
use crate::base::{num, words};

/// The longest line, its newline included.
const MAX_LINE: usize = 1024;

/// A file of the log. The name has no directory in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFile {
    pub name: Vec<u8>,
    pub seq: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    pub base: Option<LogFile>,
    /// Files that a rewrite made needless and that are not deleted yet.
    pub history: Vec<LogFile>,
    /// In ascending order of their numbers; the last one is being appended to.
    pub increments: Vec<LogFile>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("Found an empty AOF manifest")]
    Empty,
    #[error("The AOF manifest file contains too long line")]
    LongLine,
    #[error("Invalid AOF manifest file format")]
    Format,
    #[error("File can't be a path, just a filename")]
    Path,
    #[error("Found duplicate base file information")]
    DuplicateBase,
    #[error("Found a non-monotonic sequence number")]
    Order,
    #[error("Unknown AOF file type")]
    UnknownType,
}

/// Why a manifest was refused. A server that meets one does not start: guessing would lose data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestError {
    pub fault: Fault,
    /// Number (from 1) and text of the line, where a line is to blame.
    pub line: Option<(usize, Vec<u8>)>,
}

impl std::error::Error for ManifestError {}

impl std::fmt::Display for ManifestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "*** FATAL AOF MANIFEST FILE ERROR ***")?;
        if let Some((number, text)) = &self.line {
            writeln!(f, "Reading the manifest file, at line {number}")?;
            writeln!(f, ">>> '{}'", String::from_utf8_lossy(text))?;
        }
        write!(f, "{}", self.fault)
    }
}

enum Kind {
    Base,
    History,
    Increment,
}

impl Manifest {
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        if text.is_empty() {
            return Err(ManifestError { fault: Fault::Empty, line: None });
        }
        let mut manifest = Manifest::default();
        for (index, line) in text.split_inclusive(|&b| b == b'\n').enumerate() {
            if line.starts_with(b"#") {
                continue;
            }
            // A last line without its newline was not written to its end.
            if line.len() > MAX_LINE || !line.ends_with(b"\n") {
                return Err(ManifestError { fault: Fault::LongLine, line: None });
            }
            let line = line.trim_ascii();
            parse_line(line)
                .and_then(|(kind, file)| manifest.add(kind, file))
                .map_err(|fault| ManifestError { fault, line: Some((index + 1, line.to_vec())) })?;
        }
        Ok(manifest)
    }

    fn add(&mut self, kind: Kind, file: LogFile) -> Result<(), Fault> {
        match kind {
            Kind::Base if self.base.is_some() => return Err(Fault::DuplicateBase),
            Kind::Base => self.base = Some(file),
            Kind::History => self.history.push(file),
            Kind::Increment if self.increments.last().is_some_and(|last| file.seq <= last.seq) => {
                return Err(Fault::Order);
            }
            Kind::Increment => self.increments.push(file),
        }
        Ok(())
    }

    /// The text of the file: base, history, increments.
    #[must_use]
    pub fn format(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let listed = (self.base.iter().map(|file| (file, b'b')))
            .chain(self.history.iter().map(|file| (file, b'h')))
            .chain(self.increments.iter().map(|file| (file, b'i')));
        for (file, kind) in listed {
            out.extend_from_slice(b"file ");
            if needs_quotes(&file.name) {
                words::push_quoted(&mut out, &file.name);
            } else {
                out.extend_from_slice(&file.name);
            }
            out.extend_from_slice(b" seq ");
            num::push_u64(&mut out, file.seq);
            out.extend_from_slice(&[b' ', b't', b'y', b'p', b'e', b' ', kind, b'\n']);
        }
        out
    }

    /// Whether it names no file that would be loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// What is loaded at start-up, in order.
    pub fn to_load(&self) -> impl DoubleEndedIterator<Item = &LogFile> {
        self.base.iter().chain(&self.increments)
    }

    /// Adds the increment that is appended to from now on, and returns it. Its number is above `used`, those of files that
    /// may be about to be deleted by their names.
    pub fn open_increment(&mut self, appendfilename: &str, used: u64) -> &LogFile {
        let mut seq = self.increments.last().map_or(0, |file| file.seq).max(used) + 1;
        // A file of the history keeps its name until it is deleted.
        while self.history.iter().any(|file| file.name == names::increment(appendfilename, seq)) {
            seq += 1;
        }
        self.increments.push(LogFile { name: names::increment(appendfilename, seq), seq });
        &self.increments[self.increments.len() - 1]
    }

    /// The highest number of an increment that it names.
    #[must_use]
    pub fn highest(&self, appendfilename: &str) -> u64 {
        let is_increment = |name: &[u8]| names::is_increment(appendfilename, &String::from_utf8_lossy(name));
        let replaced = self.history.iter().filter(|file| is_increment(&file.name));
        self.increments.iter().chain(replaced).map(|file| file.seq).max().unwrap_or(0)
    }

    /// The name that the base of a rewrite gets when it is finished.
    #[must_use]
    pub fn next_base(&self, appendfilename: &str, format: BaseFormat) -> LogFile {
        let mut seq = self.base.as_ref().map_or(0, |file| file.seq) + 1;
        while self.history.iter().any(|file| file.name == names::base(appendfilename, seq, format)) {
            seq += 1;
        }
        LogFile { name: names::base(appendfilename, seq, format), seq }
    }

    /// A rewrite is finished: `base` replaces the old one and every increment, but for the last if that was
    /// `opened` when the rewrite began. What was replaced becomes history.
    pub fn replace_base(&mut self, base: LogFile, opened: bool) {
        self.history.extend(self.base.replace(base));
        let rewritten = self.increments.len().saturating_sub(usize::from(opened));
        self.history.extend(self.increments.drain(..rewritten));
    }

    /// The files to delete, which the manifest forgets.
    pub fn take_history(&mut self) -> Vec<LogFile> {
        std::mem::take(&mut self.history)
    }
}

fn parse_line(line: &[u8]) -> Result<(Kind, LogFile), Fault> {
    let words = words::split(line).ok_or(Fault::Format)?;
    if words.len() < 6 || words.len() % 2 == 1 {
        return Err(Fault::Format);
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    for pair in words.chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        match key.to_ascii_lowercase().as_slice() {
            b"file" if value.contains(&b'/') => return Err(Fault::Path),
            b"file" => name = Some(value.clone()),
            b"seq" => seq = num::parse_i64(value).and_then(|n| u64::try_from(n).ok()).filter(|&n| n > 0),
            b"type" => kind = value.first().copied(),
            _ => {}
        }
    }
    let (Some(name), Some(seq), Some(kind)) = (name.filter(|name| !name.is_empty()), seq, kind) else {
        return Err(Fault::Format);
    };
    let kind = match kind {
        b'b' => Kind::Base,
        b'h' => Kind::History,
        b'i' => Kind::Increment,
        _ => return Err(Fault::UnknownType),
    };
    Ok((kind, LogFile { name, seq }))
}

fn needs_quotes(name: &[u8]) -> bool {
    name.is_empty() || name[0] == b'#' || name.iter().any(|&b| !b.is_ascii_graphic() || b"\\\"'".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(name: &str, seq: u64) -> LogFile {
        LogFile { name: name.as_bytes().to_vec(), seq }
    }

    fn fault(text: &str) -> (Fault, Option<usize>) {
        let error = Manifest::parse(text.as_bytes()).unwrap_err();
        (error.fault, error.line.map(|(number, _)| number))
    }

    #[test]
    fn reads_what_servers_write() {
        let text = "# a comment\nfile a.1.base.rdb seq 1 type b\nFILE \"a b\" SEQ 3 TYPE hx future field\n\
                    file a.4.incr.aof seq 4 type i\nfile a.6.incr.aof seq 6 type i\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.base, Some(file("a.1.base.rdb", 1)));
        assert_eq!(manifest.history, [file("a b", 3)]);
        assert_eq!(manifest.increments, [file("a.4.incr.aof", 4), file("a.6.incr.aof", 6)]);
        assert_eq!(
            String::from_utf8(manifest.format()).unwrap(),
            "file a.1.base.rdb seq 1 type b\nfile \"a b\" seq 3 type h\n\
             file a.4.incr.aof seq 4 type i\nfile a.6.incr.aof seq 6 type i\n"
        );
        assert!(Manifest::parse(b"# only\n").unwrap().is_empty());
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        assert_eq!(fault(""), (Fault::Empty, None));
        assert_eq!(fault("file a seq 1 type i"), (Fault::LongLine, None));
        assert_eq!(fault(&format!("file {} seq 1 type i\n", "a".repeat(1010))), (Fault::LongLine, None));
        assert_eq!(fault("file a seq 1 type i\nfile b seq 1 type i\n"), (Fault::Order, Some(2)));
        assert_eq!(fault("file a seq 1 type b\nfile b seq 2 type b\n"), (Fault::DuplicateBase, Some(2)));
        assert_eq!(fault("file a/b seq 1 type b\n"), (Fault::Path, Some(1)));
        assert_eq!(fault("file a seq 1 type x\n"), (Fault::UnknownType, Some(1)));
        for text in
            ["\n", "file a seq x type b\n", "file a seq 0 type b\n", "file a seq 1 type b x\n", "file a seq 1\n"]
        {
            assert_eq!(fault(&format!("# c\n{text}")), (Fault::Format, Some(2)), "{text}");
        }
        let shown = Manifest::parse(b"file a seq 1 type x\n").unwrap_err().to_string();
        assert_eq!(
            shown,
            "*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 1\n\
             >>> 'file a seq 1 type x'\nUnknown AOF file type"
        );
    }

    #[test]
    fn a_rewrite_turns_old_files_into_history() {
        let mut manifest = Manifest::default();
        assert_eq!(manifest.open_increment("f", 0), &file("f.1.incr.aof", 1));
        manifest.replace_base(manifest.next_base("f", BaseFormat::Rdb), true);
        assert_eq!(manifest.open_increment("f", 0).seq, 2);
        let base = manifest.next_base("f", BaseFormat::Rdb);
        manifest.replace_base(base, true);
        assert_eq!(
            String::from_utf8(manifest.format()).unwrap(),
            "file f.2.base.rdb seq 2 type b\nfile f.1.base.rdb seq 1 type h\nfile f.1.incr.aof seq 1 type h\n\
             file f.2.incr.aof seq 2 type i\n"
        );
        let names: Vec<_> = manifest.to_load().map(|file| file.seq).collect();
        assert_eq!(names, [2, 2]);
        // Even if the current increment is lost from the list, its predecessor's name is not used again.
        manifest.increments.clear();
        assert_eq!(manifest.open_increment("f", 0).seq, 2);
        assert_eq!(manifest.take_history().len(), 2);
        assert!(manifest.history.is_empty());
    }

    proptest! {
        #[test]
        fn formatted_reads_back(
            base in prop::option::of(name()),
            history in prop::collection::vec(name(), 0..3),
            increments in prop::collection::vec(name(), 0..3),
        ) {
            let numbered = |names: Vec<Vec<u8>>| -> Vec<LogFile> {
                (1..).zip(names).map(|(seq, name)| LogFile { name, seq }).collect()
            };
            let manifest = Manifest {
                base: base.map(|name| LogFile { name, seq: 9 }),
                history: numbered(history),
                increments: numbered(increments),
            };
            let text = manifest.format();
            if text.is_empty() {
                prop_assert!(Manifest::parse(&text).is_err());
            } else {
                prop_assert_eq!(Manifest::parse(&text).unwrap(), manifest);
            }
        }

        #[test]
        fn noise_never_panics(text in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..60, byte: u8) {
            let _ = Manifest::parse(&text);
            let mut text = b"file \"a\\x20b\" seq 1 type b\nfile c seq 12 type i\n".to_vec();
            if let Some(b) = text.get_mut(at) {
                *b = byte;
            }
            let _ = Manifest::parse(&text);
        }
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>().prop_filter("a name has no slash", |&b| b != b'/'), 1..20)
    }
}
