//! What one node says about the cluster.

use trib::base::Slot;

use super::Operator;
use crate::client::host_of;
use crate::desk::NoReply;

/// One line of CLUSTER NODES.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: String,
    pub host: usize,
    pub myself: bool,
    pub primary: bool,
    pub failing: bool,
    pub ranges: Vec<(u16, u16)>,
    /// Slots on their way: the number, whether it goes out, and the id of the other end.
    pub open: Vec<(Slot, bool, String)>,
}

impl Line {
    pub fn owns(&self, slot: Slot) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&slot.get()))
    }
}

pub fn parse(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split(' ').collect();
    let [id, address, flags, _, _, _, _, _, slots @ ..] = &words[..] else { return None };
    let (mut ranges, mut open) = (Vec::new(), Vec::new());
    for word in slots {
        if let Some(inner) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            let (number, out, other) = match inner.split_once("->-") {
                Some((number, other)) => (number, true, other),
                None => inner.split_once("-<-").map(|(number, other)| (number, false, other))?,
            };
            open.push((Slot::new(number.parse().ok()?)?, out, other.to_owned()));
        } else {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            ranges.push((first.parse().ok()?, last.parse().ok()?));
        }
    }
    Some(Line {
        id: (*id).to_owned(),
        host: host_of(address.split('@').next()?)?,
        myself: flags.contains("myself"),
        primary: flags.contains("master"),
        failing: flags.contains("fail") || flags.contains("handshake") || flags.contains("noaddr"),
        ranges,
        open,
    })
}

impl Operator {
    /// The cluster as `host` sees it.
    pub async fn view(&self, host: usize) -> Result<Vec<Line>, NoReply> {
        let reply = self.tell(host, "CLUSTER NODES").await?;
        let text = String::from_utf8_lossy(reply.as_bytes().ok_or(NoReply)?).into_owned();
        Ok(text.lines().filter_map(parse).collect())
    }

    /// The ids that `host` knows, its own among them, with their flags: also of nodes without an address.
    pub async fn known_ids(&self, host: usize) -> Result<Vec<(String, String)>, NoReply> {
        let reply = self.tell(host, "CLUSTER NODES").await?;
        let text = String::from_utf8_lossy(reply.as_bytes().ok_or(NoReply)?).into_owned();
        let entry = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.nth(1)?))
        };
        Ok(text.lines().filter_map(entry).collect())
    }
}
