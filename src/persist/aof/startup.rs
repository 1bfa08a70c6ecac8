//! Decisions around a log: what to load at start-up, what a damaged file means, when to rewrite.

use super::manifest::{LogFile, Manifest};
use super::reader::AofError;

/// What is on disk when a server with `appendonly yes` starts.
#[derive(Clone, Debug)]
pub struct Found {
    /// The manifest in the log's directory, if both exist.
    pub manifest: Option<Manifest>,
    /// Whether the data directory itself has a file named as `appendfilename` says: the log of a server before 7.0.
    pub single_file: bool,
    /// Whether the base that the manifest names is in the log's directory.
    pub base_present: bool,
    /// Whether there is a base or an increment with something in it, whatever the manifest says.
    pub data_present: bool,
}

/// What to do first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// Write this manifest, then move the single file into the directory, then load as for [`Start::Load`].
    Upgrade(Manifest),
    /// Load the base and the increments, in order.
    Load(Manifest),
    /// There is no log: write a base from the dataset as it is, which is empty.
    Create,
    /// There are files of a log and nothing that says what they belong to: do not start, a new log would take their names.
    Refuse,
}

/// Looks at the disk and decides. A half-done upgrade (manifest written, file not moved yet) is taken up again.
#[must_use]
pub fn decide_start(found: Found, appendfilename: &str) -> Start {
    let single = LogFile { name: appendfilename.as_bytes().to_vec(), seq: 1 };
    let Found { manifest, single_file, base_present, data_present } = found;
    match manifest {
        Some(manifest) if !manifest.is_empty() => {
            let upgrading = single_file
                && !base_present
                && manifest.increments.is_empty()
                && manifest.history.is_empty()
                && manifest.base.as_ref().is_some_and(|base| base.name == single.name);
            if upgrading { Start::Upgrade(manifest) } else { Start::Load(manifest) }
        }
        _ if single_file => Start::Upgrade(Manifest { base: Some(single), ..Manifest::default() }),
        _ if data_present => Start::Refuse,
        _ => Start::Create,
    }
}

/// What to do about a file that could not be read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Cut the file at `len` and go on; log the lines.
    Truncate { len: u64, log: Vec<String> },
    /// Do not start; log the lines.
    Refuse { log: Vec<String> },
}

/// Decides about `error`, met while loading the file `name`; `is_last` says whether it is the last one of the log,
/// `load_truncated` is the directive `aof-load-truncated`.
#[must_use]
pub fn judge_damage(error: &AofError, name: &str, is_last: bool, load_truncated: bool) -> Verdict {
    match *error {
        AofError::Truncated { good_up_to, inside_multi } if load_truncated => {
            let mut log = Vec::new();
            if inside_multi {
                log.push(format!("Revert incomplete MULTI/EXEC transaction in AOF file {name}"));
            }
            log.push(format!("!!! Warning: short read while loading the AOF file {name}!!!"));
            if !is_last {
                // Commands of later files follow on what is missing here.
                log.push("Fatal error: the truncated file is not the last file".to_owned());
                return Verdict::Refuse { log };
            }
            log.push(format!("!!! Truncating the AOF {name} at offset {good_up_to} !!!"));
            log.push(format!("AOF {name} loaded anyway because aof-load-truncated is enabled"));
            Verdict::Truncate { len: good_up_to, log }
        }
        AofError::Truncated { .. } => Verdict::Refuse {
            log: vec![format!(
                "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF \
                 file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
                 'aof-load-truncated' configuration option to yes and restart the server."
            )],
        },
        AofError::Format { .. } => Verdict::Refuse {
            log: vec![format!(
                "Bad file format reading the append only file {name}: make a backup of your AOF file, then use \
                 ./redis-check-aof --fix <filename.manifest>"
            )],
        },
        AofError::Io(_) => {
            Verdict::Refuse { log: vec![format!("Unrecoverable error reading the append only file {name}: {error}")] }
        }
    }
}

/// How long automatic rewrites pause after this many failures in a row: not for the first two, then
/// one minute, doubling up to an hour.
#[must_use]
pub fn rewrite_pause_secs(failures: u32) -> i64 {
    match failures.checked_sub(3) {
        None => 0,
        Some(more) => 60 * (1 << more.min(6)).min(60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn start() {
        let base_only = "file a.aof seq 1 type b\n";
        let full = "file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n";
        for (text, single_file, base_present, upgrade, load) in [
            (None, false, false, false, false),
            (None, true, false, true, false),
            (Some("# empty\n"), true, false, true, false),
            (Some("# empty\n"), false, false, false, false),
            (Some(base_only), true, false, true, false),
            (Some(base_only), true, true, false, true),
            (Some(base_only), false, true, false, true),
            (Some("file b.aof seq 1 type b\n"), true, false, false, true),
            (Some(full), true, false, false, true),
        ] {
            let found = Found { manifest: text.map(manifest), single_file, base_present, data_present: false };
            let start = decide_start(found, "a.aof");
            assert_eq!(matches!(start, Start::Upgrade(_)), upgrade, "{text:?}");
            assert_eq!(matches!(start, Start::Load(_)), load, "{text:?}");
            if let Start::Upgrade(manifest) = start {
                assert_eq!(manifest.format(), base_only.as_bytes());
            }
        }
    }

    #[test]
    fn a_log_without_its_manifest_is_not_begun_anew() {
        for (text, start) in [(None, Start::Refuse), (Some("# empty\n"), Start::Refuse)] {
            let found =
                Found { manifest: text.map(manifest), single_file: false, base_present: false, data_present: true };
            assert_eq!(decide_start(found, "a.aof"), start);
        }
    }

    #[test]
    fn damage() {
        let cut = AofError::Truncated { good_up_to: 23, inside_multi: true };
        let Verdict::Truncate { len: 23, log } = judge_damage(&cut, "f", true, true) else { panic!() };
        assert_eq!(log[0], "Revert incomplete MULTI/EXEC transaction in AOF file f");
        assert_eq!(log[2], "!!! Truncating the AOF f at offset 23 !!!");
        let Verdict::Refuse { log } = judge_damage(&cut, "f", false, true) else { panic!() };
        assert_eq!(log.last().unwrap(), "Fatal error: the truncated file is not the last file");
        assert!(matches!(judge_damage(&cut, "f", true, false), Verdict::Refuse { .. }));
        let bad = AofError::Format { offset: 5, reason: "x" };
        let Verdict::Refuse { log } = judge_damage(&bad, "f", true, true) else { panic!() };
        assert!(log[0].starts_with("Bad file format reading the append only file f: make a backup"));
    }

    #[test]
    fn pauses_grow() {
        let pauses: Vec<i64> = (0..12).map(|n| rewrite_pause_secs(n) / 60).collect();
        assert_eq!(pauses, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
