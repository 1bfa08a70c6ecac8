//! The beginning of a bus link: who opens it proves to know the key, or does not, as `cluster-auth-mode` says.

use std::io::{self, Error, ErrorKind};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::auth::{self, Block, HELLO_LEN, Keys, Nonces, Session};
use crate::config::{ClusterAuth, Config};

/// What the configuration says about new links.
#[derive(Clone)]
pub struct AuthPolicy {
    pub mode: ClusterAuth,
    keys: Vec<u8>,
}

/// A link that may carry packets.
pub struct Opened {
    pub stream: TcpStream,
    /// Bytes that were read to find out what it is.
    pub read: BytesMut,
    /// `None` for a plain link.
    pub session: Option<Session>,
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, why)
}

fn nonce() -> io::Result<Block> {
    let mut nonce = Block::default();
    getrandom::fill(&mut nonce).map_err(|error| Error::other(error.to_string()))?;
    Ok(nonce)
}

impl AuthPolicy {
    #[must_use]
    pub fn of(config: &Config) -> AuthPolicy {
        AuthPolicy { mode: config.cluster_auth_mode, keys: config.cluster_auth_key.clone() }
    }

    /// Begins a link that this node has opened.
    pub async fn open(&self, mut stream: TcpStream) -> io::Result<Opened> {
        if matches!(self.mode, ClusterAuth::Off | ClusterAuth::Accept) {
            return Ok(Opened { stream, read: BytesMut::new(), session: None });
        }
        let opener = nonce()?;
        stream.write_all(&auth::hello(&opener)).await?;
        let mut hello = [0; HELLO_LEN];
        stream.read_exact(&mut hello).await?;
        let acceptor = auth::read_hello(&hello).ok_or_else(|| refused("not a proof of the key"))?;
        let nonces = Nonces { opener, acceptor };
        stream.write_all(&Keys::of(&self.keys).prove(&nonces)).await?;
        let mut proof = Block::default();
        stream.read_exact(&mut proof).await?;
        let session = Keys::of(&self.keys).confirm(&nonces, &proof).ok_or_else(|| refused("another key"))?;
        Ok(Opened { stream, read: BytesMut::new(), session: Some(session) })
    }

    /// Begins a link that another has opened.
    pub async fn accept(&self, mut stream: TcpStream) -> io::Result<Opened> {
        let mut read = BytesMut::new();
        if self.mode == ClusterAuth::Off {
            return Ok(Opened { stream, read, session: None });
        }
        let mut hello = [0; HELLO_LEN];
        let (start, rest) = hello.split_at_mut(auth::SIGNATURE.len());
        stream.read_exact(start).await?;
        if *start != auth::SIGNATURE {
            if self.mode == ClusterAuth::Require {
                return Err(refused("a link without proof of the key"));
            }
            read.extend_from_slice(start);
            return Ok(Opened { stream, read, session: None });
        }
        stream.read_exact(rest).await?;
        let opener = auth::read_hello(&hello).ok_or_else(|| refused("not a proof of the key"))?;
        let nonces = Nonces { opener, acceptor: nonce()? };
        stream.write_all(&auth::hello(&nonces.acceptor)).await?;
        let mut proof = Block::default();
        stream.read_exact(&mut proof).await?;
        let (answer, session) = Keys::of(&self.keys).accept(&nonces, &proof).ok_or_else(|| refused("another key"))?;
        stream.write_all(&answer).await?;
        Ok(Opened { stream, read, session: Some(session) })
    }
}
