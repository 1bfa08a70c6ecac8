//! A stream of commands that somebody has prepared, sent as it is; only the replies are counted (`redis-cli --pipe`).

use std::io::Read;

use tokio::sync::mpsc;

use crate::resp::client::ReplyValue as Reply;
use crate::trib::access::Access;
use crate::trib::addr::Addr;
use crate::trib::error::Error;
use crate::trib::ferry::wire::{Commands, Wire};
use crate::trib::ui::Ui;

const CHUNK: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub replies: u64,
    pub errors: u64,
}

/// Sends all of stdin to the server, as it is, and waits for the last reply.
pub async fn run(ui: &Ui, addr: &Addr, access: &Access, database: u32) -> Result<(), Error> {
    let mut wire = Wire::open(addr, access, database).await?;
    let (sender, mut chunks) = mpsc::channel::<std::io::Result<Vec<u8>>>(4);
    std::thread::spawn(move || read_stdin(&sender));
    // The server says this after everything else.
    let mark = format!("trib-{:016x}", getrandom::u64().unwrap_or_default()).into_bytes();
    let mut counts = Counts::default();
    let mut ended = false;
    let done = loop {
        tokio::select! {
            chunk = chunks.recv(), if !ended => match chunk {
                Some(Ok(bytes)) => wire.send_bytes(&bytes).await?,
                Some(Err(e)) => return Err(Error::failed(format!("[ERR] cannot read stdin: {e}"))),
                None => {
                    ended = true;
                    ui.note("All data transferred. Waiting for the last reply...");
                    wire.send(Commands::new().add(&[b"ECHO", &mark])).await?;
                }
            },
            reply = wire.receive(access.timeouts.reply.max(PATIENCE)) => match reply? {
                Reply::Bulk(text) if ended && text == mark => break counts,
                reply => count(ui, &reply, &mut counts),
            },
        }
    };
    ui.note("Last reply received from server.");
    ui.line(format!("errors: {}, replies: {}", done.errors, done.replies));
    ui.json(&serde_json::json!({ "errors": done.errors, "replies": done.replies }));
    match done.errors {
        0 => Ok(()),
        errors => Err(Error::failed(format!("[ERR] {errors} commands were answered with errors."))),
    }
}

/// A server may work for long on what it was sent.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn count(ui: &Ui, reply: &Reply, counts: &mut Counts) {
    counts.replies += 1;
    if let Some(text) = reply.as_error() {
        counts.errors += 1;
        ui.note(String::from_utf8_lossy(text));
    }
}

fn read_stdin(sender: &mpsc::Sender<std::io::Result<Vec<u8>>>) {
    let mut stdin = std::io::stdin().lock();
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = stdin.read(&mut chunk);
        let message = match read {
            Ok(0) => return,
            Ok(n) => {
                chunk.truncate(n);
                Ok(chunk)
            }
            Err(e) => Err(e),
        };
        let failed = message.is_err();
        if sender.blocking_send(message).is_err() || failed {
            return;
        }
    }
}
