//! The Unix socket of the `unixsocket` directive.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::connection::Connection;
use super::os;
use super::shared::{Shared, now};
use crate::config::Config;
use crate::exec::Server;
use crate::exec::client::ClientFlags;

/// A socket in the file system, deleted when this is dropped.
pub struct UnixSocket {
    pub path: PathBuf,
    listener: Arc<UnixListener>,
}

impl UnixSocket {
    /// Opens the socket that the configuration asks for, if it does; one that an earlier server left is replaced.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(config: &Config) -> io::Result<Option<UnixSocket>> {
        if config.unixsocket.is_empty() {
            return Ok(None);
        }
        let path = Path::new(OsStr::from_bytes(&config.unixsocket)).to_owned();
        // None is there on a first start.
        let _ = fs::remove_file(&path);
        let listener = Arc::new(UnixListener::bind(&path)?);
        if config.unixsocketperm != 0 {
            fs::set_permissions(&path, Permissions::from_mode(config.unixsocketperm))?;
        }
        if !config.unixsocketgroup.is_empty() {
            let group = os::group_id(&config.unixsocketgroup)?;
            rustix::fs::chown(&path, None, Some(rustix::fs::Gid::from_raw(group)))?;
        }
        Ok(Some(UnixSocket { path, listener }))
    }

    /// Serves its clients in the background, for ever.
    pub fn serve(&self, shared: &Arc<Shared>) {
        let (listener, shared) = (Arc::clone(&self.listener), Arc::clone(shared));
        let name = format!("{}:0", self.path.display());
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => welcome(&shared, stream, &name),
                    // Out of descriptors, most likely: clients that leave will free some.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Somebody may have deleted it before.
        let _ = fs::remove_file(&self.path);
    }
}

fn welcome(shared: &Arc<Shared>, stream: UnixStream, name: &str) {
    let id = {
        let mut server = shared.server();
        let id = server.connect(name.to_owned(), name.to_owned(), now());
        if let Some(client) = id.and_then(|id| server.clients.get_mut(id)) {
            client.flags |= ClientFlags::UNIX_SOCKET;
        }
        id
    };
    match id {
        Some(id) => {
            tokio::spawn(Connection::new(Arc::clone(shared), id, stream).serve());
        }
        // Best effort: the peer is about to be hung up on.
        None => _ = stream.try_write(Server::REFUSAL),
    }
}
