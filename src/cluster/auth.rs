//! Links of the bus that only holders of a shared key can speak on (`cluster-auth-key`, `cluster-auth-mode`).
//!
//! Both ends of a fresh connection prove that they know the key, by HMAC-SHA256 over two nonces, and every packet is
//! followed by a MAC under a key of that connection and that direction, over the packet and its number:
//!
//! ```text
//! opener    "RCma" 1 0 0 0, nonce (32) ──▶
//!           ◀── "RCma" 1 0 0 0, nonce (32)                  acceptor
//!           HMAC(key, "opener" nonces) ──▶
//!           ◀── HMAC(key, "acceptor" nonces)
//!           packet, MAC, packet, MAC …
//! ```
//!
//! It protects against everybody who can reach a bus port, or sits between two nodes, and has no key: such a one cannot
//! join, cannot change what a node believes, and cannot forge, alter, reorder, replay or reflect packets. Connections that
//! are not proven are not even shown to the engine. It does not hide what is said (that takes TLS), does not tell one
//! holder of the key from another, and does not keep anybody from cutting connections. Unless `require` is set a link
//! without proof is accepted as well, so only `require` protects.
//!
//! A running cluster is switched over node by node, in three rounds: the key with `accept` everywhere (understands both,
//! opens plain links), then `send` everywhere (opens proven links), then `require` everywhere. A new key is brought in
//! likewise: `old new` everywhere, then `new old`, then `new`. The first key proves, all of them are accepted.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What an opener's first bytes are, where a stock packet has [`super::packet::SIGNATURE`].
pub const SIGNATURE: [u8; 4] = *b"RCma";
/// Bytes of a nonce, a proof and a MAC.
pub const LEN: usize = 32;
/// Bytes of the first message of either side.
pub const HELLO_LEN: usize = 8 + LEN;

const VERSION: u8 = 1;

/// A nonce, a proof or a MAC.
pub type Block = [u8; LEN];

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn digest(key: &[u8], parts: &[&[u8]]) -> Block {
    mac(key, parts).finalize().into_bytes().into()
}

/// In constant time.
fn verifies(key: &[u8], parts: &[&[u8]], claimed: &Block) -> bool {
    mac(key, parts).verify_slice(claimed).is_ok()
}

/// The first message of either side.
#[must_use]
pub fn hello(nonce: &Block) -> [u8; HELLO_LEN] {
    let mut bytes = [0; HELLO_LEN];
    bytes[..4].copy_from_slice(&SIGNATURE);
    bytes[4] = VERSION;
    bytes[8..].copy_from_slice(nonce);
    bytes
}

/// The nonce of the other side's first message; `None` if it is something else.
#[must_use]
pub fn read_hello(bytes: &[u8; HELLO_LEN]) -> Option<Block> {
    let expected = hello(&[0; LEN]);
    (bytes[..8] == expected[..8]).then(|| bytes.last_chunk().copied()).flatten()
}

/// The nonces of both sides.
#[derive(Clone, Copy, Debug)]
pub struct Nonces {
    pub opener: Block,
    pub acceptor: Block,
}

impl Nonces {
    fn parts<'a>(&'a self, label: &'a [u8]) -> [&'a [u8]; 3] {
        [label, &self.opener, &self.acceptor]
    }
}

/// The keys of this node: blank-separated in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a>(&'a [u8]);

impl<'a> Keys<'a> {
    #[must_use]
    pub fn of(text: &'a [u8]) -> Keys<'a> {
        Keys(text)
    }

    fn each(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|b| *b == b' ').filter(|key| !key.is_empty())
    }

    /// The opener's proof.
    #[must_use]
    pub fn prove(self, nonces: &Nonces) -> Block {
        digest(self.each().next().unwrap_or_default(), &nonces.parts(b"opener"))
    }

    /// On the acceptor's side: the own proof and the link's state, if the opener's proof holds.
    #[must_use]
    pub fn accept(self, nonces: &Nonces, proof: &Block) -> Option<(Block, Session)> {
        let key = self.each().find(|key| verifies(key, &nonces.parts(b"opener"), proof))?;
        Some((digest(key, &nonces.parts(b"acceptor")), Session::new(key, nonces, false)))
    }

    /// On the opener's side: the link's state, if the acceptor's proof holds.
    #[must_use]
    pub fn confirm(self, nonces: &Nonces, proof: &Block) -> Option<Session> {
        let key = self.each().next()?;
        verifies(key, &nonces.parts(b"acceptor"), proof).then(|| Session::new(key, nonces, true))
    }
}

/// One direction of a link: its key, and how many packets have gone over it.
#[derive(Debug)]
struct Direction {
    key: Block,
    packets: u64,
}

impl Direction {
    fn next(&mut self) -> [u8; 8] {
        self.packets += 1;
        self.packets.to_be_bytes()
    }
}

/// Makes the MACs of what is sent.
#[derive(Debug)]
pub struct Sealer(Direction);

impl Sealer {
    /// The MAC that follows `packet`, the next one that is sent.
    #[must_use]
    pub fn seal(&mut self, packet: &[u8]) -> Block {
        let number = self.0.next();
        digest(&self.0.key, &[&number, packet])
    }
}

/// Checks the MACs of what is received.
#[derive(Debug)]
pub struct Opener(Direction);

impl Opener {
    /// Whether `packet` is what the other side sent next.
    #[must_use]
    pub fn open(&mut self, packet: &[u8], mac: &Block) -> bool {
        let number = self.0.next();
        verifies(&self.0.key, &[&number, packet], mac)
    }
}

/// A proven link.
#[derive(Debug)]
pub struct Session {
    pub sealer: Sealer,
    pub opener: Opener,
}

impl Session {
    fn new(key: &[u8], nonces: &Nonces, is_opener: bool) -> Session {
        let direction = |label: &[u8]| Direction { key: digest(key, &nonces.parts(label)), packets: 0 };
        let (there, back) = (direction(b"opener to acceptor"), direction(b"acceptor to opener"));
        let (sent, received) = if is_opener { (there, back) } else { (back, there) };
        Session { sealer: Sealer(sent), opener: Opener(received) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCES: Nonces = Nonces { opener: [1; LEN], acceptor: [2; LEN] };

    fn link(opener: &[u8], acceptor: &[u8]) -> Option<(Session, Session)> {
        let proof = Keys::of(opener).prove(&NONCES);
        let (answer, there) = Keys::of(acceptor).accept(&NONCES, &proof)?;
        Some((Keys::of(opener).confirm(&NONCES, &answer)?, there))
    }

    #[test]
    fn hmac_is_as_published() {
        // RFC 4231, test case 2.
        let sum = digest(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(sum[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn hellos_are_read_back_and_nothing_else_is() {
        let mut bytes = hello(&[7; LEN]);
        assert_eq!(read_hello(&bytes), Some([7; LEN]));
        for i in 0..8 {
            bytes[i] ^= 1;
            assert_eq!(read_hello(&bytes), None);
            bytes[i] ^= 1;
        }
    }

    #[test]
    fn only_a_shared_key_makes_a_link() {
        let (a, b, other) = ("a".repeat(20), "b".repeat(20), "c".repeat(20));
        assert!(link(a.as_bytes(), a.as_bytes()).is_some());
        assert!(link(a.as_bytes(), other.as_bytes()).is_none());
        // While keys change: the opener proves with its first, the acceptor knows both.
        assert!(link(format!("{b} {a}").as_bytes(), format!("{a}  {b}").as_bytes()).is_some());
        assert!(link(format!("{b} {a}").as_bytes(), a.as_bytes()).is_none());
    }

    #[test]
    fn a_proof_holds_for_one_connection_and_one_side() {
        let key = [b'k'; 16];
        let proof = Keys::of(&key).prove(&NONCES);
        let later = Nonces { acceptor: [3; LEN], ..NONCES };
        assert!(Keys::of(&key).accept(&later, &proof).is_none(), "replayed");
        assert!(Keys::of(&key).confirm(&NONCES, &proof).is_none(), "sent back");
    }

    #[test]
    fn packets_are_taken_once_in_order_and_whole() {
        let key = [b'k'; 16];
        let (mut here, mut there) = link(&key, &key).unwrap();
        let (first, second) = (here.sealer.seal(b"first"), here.sealer.seal(b"second"));
        assert!(there.opener.open(b"first", &first));
        assert!(!there.opener.open(b"first", &first), "again");
        let (_, mut there) = link(&key, &key).unwrap();
        assert!(!there.opener.open(b"second", &second), "the wrong one first");
        let (_, mut there) = link(&key, &key).unwrap();
        assert!(!there.opener.open(b"fIrst", &first), "altered");
        let (mut here, _) = link(&key, &key).unwrap();
        assert!(!here.opener.open(b"first", &first), "sent back");
        let (mut here, mut there) = link(&key, &key).unwrap();
        let answer = there.sealer.seal(b"answer");
        assert!(here.opener.open(b"answer", &answer));
    }
}
