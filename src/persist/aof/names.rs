//! What the files of an append-only log are called, `F` being the directive `appendfilename`.

/// How a base file was written; its suffix says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseFormat {
    Rdb,
    Commands,
}

#[must_use]
pub fn base(appendfilename: &str, seq: u64, format: BaseFormat) -> Vec<u8> {
    let suffix = match format {
        BaseFormat::Rdb => "rdb",
        BaseFormat::Commands => "aof",
    };
    format!("{appendfilename}.{seq}.base.{suffix}").into_bytes()
}

#[must_use]
pub fn increment(appendfilename: &str, seq: u64) -> Vec<u8> {
    format!("{appendfilename}.{seq}.incr.aof").into_bytes()
}

/// Whether a file is called like an increment.
#[must_use]
pub fn is_increment(appendfilename: &str, name: &str) -> bool {
    has_number(appendfilename, name, ".incr.aof")
}

/// Which kind of base a file is called like, if any.
#[must_use]
pub fn base_format(appendfilename: &str, name: &str) -> Option<BaseFormat> {
    [(".base.rdb", BaseFormat::Rdb), (".base.aof", BaseFormat::Commands)]
        .into_iter()
        .find_map(|(suffix, format)| has_number(appendfilename, name, suffix).then_some(format))
}

fn has_number(appendfilename: &str, name: &str, suffix: &str) -> bool {
    let number = name.strip_prefix(appendfilename).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(suffix));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[must_use]
pub fn manifest(appendfilename: &str) -> String {
    format!("{appendfilename}.manifest")
}

/// Where the next manifest is written before it replaces the current one.
#[must_use]
pub fn temp_manifest(appendfilename: &str) -> String {
    format!("temp-{appendfilename}.manifest")
}

/// Where commands go while the first rewrite of a log that was just switched on runs.
#[must_use]
pub fn temp_increment(appendfilename: &str) -> String {
    format!("temp-{appendfilename}.incr")
}

/// Where a rewrite writes, in the data directory.
#[must_use]
pub fn temp_rewrite(pid: u32) -> String {
    format!("temp-rewriteaof-bg-{pid}.aof")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(base("appendonly.aof", 1, BaseFormat::Rdb), b"appendonly.aof.1.base.rdb");
        assert_eq!(base("appendonly.aof", 2, BaseFormat::Commands), b"appendonly.aof.2.base.aof");
        assert_eq!(increment("a", 12), b"a.12.incr.aof");
        assert!(is_increment("a", "a.12.incr.aof"));
        assert!(
            !is_increment("a", "a.x.incr.aof")
                && !is_increment("a", "a..incr.aof")
                && !is_increment("a", "b.1.incr.aof")
        );
        assert_eq!(base_format("a", "a.3.base.rdb"), Some(BaseFormat::Rdb));
        assert_eq!(base_format("a", "a.3.base.aof"), Some(BaseFormat::Commands));
        assert_eq!(base_format("a", "a.base.aof"), None);
        assert_eq!(manifest("a"), "a.manifest");
        assert_eq!(temp_manifest("a"), "temp-a.manifest");
        assert_eq!(temp_increment("a"), "temp-a.incr");
        assert_eq!(temp_rewrite(7), "temp-rewriteaof-bg-7.aof");
    }
}
