//! The snapshot of one node, as a file: what SYNC sends, checked by its checksum before it gets its name.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use redis::Cmd;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::access::Access;
use super::addr::Addr;
use super::client::{auth_command, command};
use super::dial;
use super::error::Failure;
use super::ferry::file::ANY;
use crate::base::crc64::crc64;
use crate::persist::rdb::records::{Record, RecordReader};

/// A server that makes its snapshot sends an empty line every second: one that is silent for less may well be there.
const LEAST_SILENCE: Duration = Duration::from_secs(2);
/// Longest line of the replication protocol that is waited for.
const LINE_MAX: u64 = 4096;
const CHUNK: usize = 64 * 1024;
/// A stream of unknown length is ended by a mark that is announced first.
const MARK: usize = 40;

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub bytes: u64,
    /// The CRC-64 at the end of the file, where the server writes one.
    pub crc64: Option<u64>,
    pub sha256: [u8; 32],
    /// Where in the replication stream it stands, as far as the server tells.
    pub offset: Option<u64>,
}

/// Receives the snapshot of the node at `addr` into a new file at `path`. `sized` is told the length as soon as it is
/// known, which it is not where the server sends the snapshot while it makes it.
///
/// It may take as long as it likes, as long as something comes: a server that sends nothing at all for as long as an
/// answer may take ([`Timeouts::reply`](super::access::Timeouts)) is a [`Failure::Timeout`].
pub async fn receive(
    addr: &Addr,
    access: &Access,
    path: &Path,
    sized: impl FnOnce(Option<u64>),
) -> Result<Received, Failure> {
    let answer_limit = access.timeouts.reply;
    let silence = answer_limit.max(LEAST_SILENCE);
    let lost = |waited: Duration, error: &io::Error| match error.kind() {
        io::ErrorKind::TimedOut => Failure::Timeout { node: addr.clone(), waited },
        _ => Failure::Lost { node: addr.clone(), reason: dial::without_number(&error.to_string()).to_owned() },
    };
    let mut stream = BufReader::new(dial::connect(addr, access).await?);
    let refused = |text: String| Failure::Reply { node: addr.clone(), text };
    if let Some(auth) = auth_command(access.login_for(addr)) {
        let answer = ask(&mut stream, answer_limit, &auth).await.map_err(|e| lost(answer_limit, &e))?;
        if let Some(text) = answer.strip_prefix('-') {
            return Err(refused(text.to_owned()));
        }
    }
    // Servers that do not know these options send a little more than is needed.
    for option in ["REPLCONF capa eof", "REPLCONF rdb-only 1"] {
        ask(&mut stream, answer_limit, &command(option)).await.map_err(|e| lost(answer_limit, &e))?;
    }
    stream.write_all(&command("SYNC").get_packed_command()).await.map_err(|e| lost(silence, &e))?;
    let head = loop {
        let line = read_line(&mut stream, silence).await.map_err(|e| lost(silence, &e))?;
        match line.chars().next() {
            None => {}
            Some('$') => break line,
            Some('-') => return Err(refused(line[1..].to_owned())),
            Some(_) => return Err(Failure::Unexpected { node: addr.clone(), reason: format!("SYNC sent '{line}'") }),
        }
    };
    let end = End::read(&head)
        .ok_or_else(|| Failure::Unexpected { node: addr.clone(), reason: format!("SYNC sent '{head}'") })?;
    sized(if let End::After(length) = end { Some(length) } else { None });
    let partial = path.with_extension("rdb.partial");
    let written = write(&mut stream, silence, end, &partial).await;
    let checked = match written {
        Ok(()) => {
            let file = partial.clone();
            let checking = tokio::task::spawn_blocking(move || check(&file)).await;
            checking.map_err(io::Error::other).and_then(|result| result)
        }
        Err(e) => Err(e),
    };
    match checked.and_then(|received| std::fs::rename(&partial, path).map(|()| received)) {
        Ok(received) => Ok(received),
        Err(e) => {
            let _ = std::fs::remove_file(&partial);
            Err(lost(silence, &e))
        }
    }
}

/// Where the snapshot ends in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    After(u64),
    Mark([u8; MARK]),
}

impl End {
    /// From `$1234` or `$EOF:<40 bytes>`.
    fn read(head: &str) -> Option<End> {
        match head.strip_prefix("$EOF:") {
            Some(mark) => mark.as_bytes().try_into().ok().map(End::Mark),
            None => head.strip_prefix('$')?.parse().ok().map(End::After),
        }
    }
}

async fn ask(stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin), limit: Duration, cmd: &Cmd) -> io::Result<String> {
    stream.write_all(&cmd.get_packed_command()).await?;
    read_line(stream, limit).await
}

/// The next line, without its end.
async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), limit: Duration) -> io::Result<String> {
    let mut line = Vec::new();
    in_time(limit, stream.take(LINE_MAX).read_until(b'\n', &mut line)).await?;
    match line.pop() {
        Some(b'\n') => Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()),
        Some(_) => Err(io::Error::other("a line without an end")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn in_time<T>(limit: Duration, read: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Writes what comes, up to its end, into a new file. Gives up when nothing comes for `silence`.
async fn write(stream: &mut (impl AsyncBufRead + Unpin), silence: Duration, end: End, path: &Path) -> io::Result<()> {
    let mut file = tokio::fs::File::create(path).await?;
    match end {
        End::After(length) => {
            let mut rest = stream.take(length);
            let mut chunk = vec![0; CHUNK];
            let mut left = length;
            while left > 0 {
                let read = in_time(silence, rest.read(&mut chunk)).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.write_all(&chunk[..read]).await?;
                left -= read as u64;
            }
        }
        End::Mark(mark) => {
            // What may be the beginning of the mark is held back.
            let mut held: Vec<u8> = Vec::with_capacity(CHUNK + MARK);
            while !held.ends_with(&mark) {
                let sure = held.len().saturating_sub(MARK);
                file.write_all(&held[..sure]).await?;
                held.drain(..sure);
                if in_time(silence, stream.read_buf(&mut held)).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            file.write_all(&held[..held.len() - MARK]).await?;
        }
    }
    file.sync_all().await
}

/// Whether the file is a whole snapshot.
fn check(path: &Path) -> io::Result<Received> {
    let mut file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let broken = |what: &str| Err(io::Error::other(format!("what was received is no whole snapshot: {what}")));
    if bytes < 9 + 8 {
        return broken("it is too short");
    }
    let (mut crc, mut sha, mut left) = (0, Sha256::new(), bytes - 8);
    let mut chunk = vec![0; CHUNK];
    let mut is_first = true;
    while left > 0 {
        let length = left.min(CHUNK as u64);
        let part = &mut chunk[..usize::try_from(length).unwrap_or(CHUNK)];
        file.read_exact(part)?;
        if is_first && !part.starts_with(b"REDIS") && !part.starts_with(b"VALKEY") {
            return broken("it does not begin like one");
        }
        is_first = false;
        crc = crc64(crc, part);
        sha.update(part);
        left -= length;
    }
    let mut said = [0; 8];
    file.read_exact(&mut said)?;
    sha.update(said);
    let crc64 = match u64::from_le_bytes(said) {
        // The server was told to leave it out.
        0 => None,
        said if said == crc => Some(crc),
        _ => return broken("its checksum does not fit"),
    };
    Ok(Received { bytes, crc64, sha256: sha.finalize().into(), offset: offset(path) })
}

/// What the head of the file says of the replication stream.
fn offset(path: &Path) -> Option<u64> {
    let source = io::BufReader::new(std::fs::File::open(path).ok()?);
    let mut records = RecordReader::open(source, ANY).ok()?;
    while let Ok(Record::Aux { name, value }) = records.next() {
        if name == b"repl-offset" {
            return std::str::from_utf8(&value).ok()?.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    const LONG: Duration = Duration::from_secs(60);

    fn snapshot(length: usize) -> Vec<u8> {
        let mut bytes = b"REDIS0011".to_vec();
        bytes.extend((0..length).map(|n| n as u8));
        let crc = crc64(0, &bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    #[test]
    fn snapshots_of_known_and_unknown_length_are_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mark = [b'm'; MARK];
        for length in [0, 10, 31, 32, 33, CHUNK - 17, CHUNK, 3 * CHUNK + 5] {
            let bytes = snapshot(length);
            let mut stream = BufReader::new(&bytes[..]);
            in_runtime(write(&mut stream, LONG, End::After(bytes.len() as u64), &path)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            let marked = [&bytes[..], &mark].concat();
            in_runtime(write(&mut BufReader::new(&marked[..]), LONG, End::Mark(mark), &path)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            let crc = u64::from_le_bytes(bytes[bytes.len() - 8..].try_into().unwrap());
            let sha256 = Sha256::digest(&bytes).into();
            let expected = Received { bytes: bytes.len() as u64, crc64: Some(crc), sha256, offset: None };
            assert_eq!(check(&path).unwrap(), expected);
            let cut = in_runtime(write(&mut BufReader::new(&bytes[..]), LONG, End::Mark(mark), &path)).unwrap_err();
            assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn only_silence_ends_the_patience_with_a_transfer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let silence = Duration::from_millis(300);
        let bytes = snapshot(8);
        in_runtime(async {
            // All of it takes longer than the silence that is allowed.
            let (mut there, here) = tokio::io::duplex(1);
            let sent = bytes.clone();
            let pause = silence / 10;
            let sending = tokio::spawn(async move {
                for byte in sent {
                    tokio::time::sleep(pause).await;
                    there.write_all(&[byte]).await.unwrap();
                }
                there
            });
            let begun = std::time::Instant::now();
            let mut here = BufReader::new(here);
            write(&mut here, silence, End::After(bytes.len() as u64), &path).await.unwrap();
            assert!(begun.elapsed() > silence);
            let still_open = sending.await.unwrap();
            let given_up = write(&mut here, silence, End::After(1), &path).await.unwrap_err();
            assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
            drop(still_open);
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            check(&path).map_err(|e| e.to_string())
        };
        let mut bytes = snapshot(100);
        bytes[50] ^= 1;
        assert!(said(&bytes).unwrap_err().contains("checksum"));
        assert!(said(b"REDIS").unwrap_err().contains("short"));
        assert!(said(&[b'x'; 100]).unwrap_err().contains("begin"));
        let mut bytes = snapshot(9);
        let end = bytes.len() - 8;
        bytes[end..].fill(0);
        let received = said(&bytes).unwrap();
        assert_eq!((received.bytes, received.crc64), (26, None));
    }

    #[test]
    fn heads_of_snapshots() {
        assert_eq!(End::read("$12"), Some(End::After(12)));
        let mark = "a".repeat(MARK);
        assert_eq!(End::read(&format!("$EOF:{mark}")), Some(End::Mark([b'a'; MARK])));
        for bad in ["$", "$-1", "$x", "$EOF:short", ""] {
            assert_eq!(End::read(bad), None, "{bad}");
        }
    }
}
