//! The flags a node carries on the wire and in `nodes.conf`.

bitflags::bitflags! {
    /// What is known or believed about a node. The bit numbers are the wire's.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct NodeFlags: u16 {
        const PRIMARY = 1 << 0;
        const REPLICA = 1 << 1;
        /// I cannot reach it (possible failure).
        const PFAIL = 1 << 2;
        /// A majority of the voting primaries could not reach it.
        const FAIL = 1 << 3;
        const MYSELF = 1 << 4;
        /// Its real id is not known yet.
        const HANDSHAKE = 1 << 5;
        const NOADDR = 1 << 6;
        /// The first packet to it is a MEET.
        const MEET = 1 << 7;
        /// A primary that replicas may migrate to when it is orphaned.
        const MIGRATE_TO = 1 << 8;
        /// A replica that does not start elections.
        const NOFAILOVER = 1 << 9;
        const EXTENSIONS = 1 << 10;
        const LIGHT_PUBLISH = 1 << 11;
        /// Reads light MODULE packets; also says that it handles a MEET from a node it knows.
        const LIGHT_MODULE = 1 << 12;
        /// A replica whose primary it knows to be FAIL.
        const PRIMARY_FAILED = 1 << 13;

        const FAILING = Self::PFAIL.bits() | Self::FAIL.bits();
        /// What a node says about itself in its own header and is believed.
        const SELF_DESCRIBED = Self::LIGHT_PUBLISH.bits() | Self::LIGHT_MODULE.bits() | Self::PRIMARY_FAILED.bits();
    }
}

/// The comma-separated words of CLUSTER NODES and `nodes.conf`, in the order they are written.
const WORDS: [(NodeFlags, &str); 8] = [
    (NodeFlags::MYSELF, "myself"),
    (NodeFlags::PRIMARY, "master"),
    (NodeFlags::REPLICA, "slave"),
    (NodeFlags::PFAIL, "fail?"),
    (NodeFlags::FAIL, "fail"),
    (NodeFlags::HANDSHAKE, "handshake"),
    (NodeFlags::NOADDR, "noaddr"),
    (NodeFlags::NOFAILOVER, "nofailover"),
];

/// Appends the flags as CLUSTER NODES shows them; `noflags` if there are none to show.
pub fn push_words(out: &mut String, flags: NodeFlags) {
    let start = out.len();
    for (flag, word) in WORDS {
        if flags.contains(flag) {
            if out.len() > start {
                out.push(',');
            }
            out.push_str(word);
        }
    }
    if out.len() == start {
        out.push_str("noflags");
    }
}

/// Reads one word of a flag list, in any case. `None`: there is no such flag.
#[must_use]
pub fn parse_word(word: &str) -> Option<NodeFlags> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "noflags" => Some(NodeFlags::empty()),
        "primary" => Some(NodeFlags::PRIMARY),
        "replica" => Some(NodeFlags::REPLICA),
        "noaddr" => Some(NodeFlags::NOADDR | NodeFlags::FAIL),
        other => WORDS.iter().find(|(_, w)| *w == other).map(|(flag, _)| *flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let mut out = String::new();
        push_words(&mut out, NodeFlags::MYSELF | NodeFlags::PRIMARY | NodeFlags::EXTENSIONS);
        out.push(' ');
        push_words(&mut out, NodeFlags::EXTENSIONS);
        assert_eq!(out, "myself,master noflags");
        for (flag, word) in WORDS {
            assert!(parse_word(&word.to_uppercase()).unwrap().contains(flag));
        }
        assert_eq!(parse_word("bogus"), None);
    }
}
