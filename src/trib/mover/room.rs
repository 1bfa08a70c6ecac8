//! Whether the targets have the memory for what would come: found out before the first key moves.

use std::collections::BTreeMap;

use redis::Value;

use super::super::addr::Addr;
use super::super::client::{command, join_all};
use super::super::error::Failure;
use super::super::vitals;
use super::link::Link;
use super::{Trouble, portions};
use crate::base::Slot;

/// A few big keys among many small ones are easily missed: where the share that the moving keys have of the source would not
/// fit, each of up to so many keys is looked at.
const MEASURED_MAX: u64 = 200_000;
/// So many at a time.
const PAGE_KEYS: u64 = 1000;

/// Keys are looked at in so many slots, spread over all that have any, and so many in each.
const SLOTS_SAMPLED: usize = 32;
const KEYS_SAMPLED: usize = 4;

/// What is on its way to one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coming {
    pub keys: u64,
    pub bytes: u64,
}

impl Coming {
    fn add(&mut self, keys: u64, bytes: u64) {
        self.keys += keys;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The memory of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// `maxmemory`, 0 for none.
    pub limit: u64,
    pub used: u64,
}

/// Whether it fits; nothing does always.
fn fits(memory: Memory, coming: Coming) -> bool {
    memory.limit == 0 || coming.keys == 0 || memory.used.saturating_add(coming.bytes) <= memory.limit
}

/// Asks the targets that have a limit whether what comes over the links fits in.
pub async fn check<'l, 'v: 'l>(links: impl Iterator<Item = &'l Link<'v>>) -> Result<(), Trouble> {
    let mut by_target: BTreeMap<&Addr, Vec<&Link<'_>>> = BTreeMap::new();
    for link in links {
        by_target.entry(&link.target.addr).or_default().push(link);
    }
    let asked = join_all(by_target.values().map(|links| async { vitals::ask(&links[0].target().await?).await })).await;
    for ((addr, links), vital) in by_target.into_iter().zip(asked) {
        let vital = vital?;
        let memory = Memory { limit: vital.memory_limit_bytes, used: vital.memory_bytes };
        if memory.limit == 0 {
            continue;
        }
        let mut coming = Coming::default();
        let mut known = Vec::with_capacity(links.len());
        for link in links {
            // A server that does not tell the size of its keys cannot be asked twice.
            let Some(each) = bytes_per_key(link).await? else { continue };
            known.push(link);
            coming.add(keys(link), keys(link).saturating_mul(each));
        }
        if fits(memory, coming) {
            let mut share = Coming::default();
            for link in &known {
                share.add(keys(link), share_of(link).await?);
            }
            if !fits(memory, share) {
                coming = match share.keys <= MEASURED_MAX {
                    true => measured(&known).await?,
                    false => share,
                };
            }
        }
        if !fits(memory, coming) {
            return Err(Trouble::NoRoom { to: addr.clone(), memory, coming });
        }
    }
    Ok(())
}

fn keys(link: &Link<'_>) -> u64 {
    link.counts.values().sum()
}

/// The part of the source's dataset that belongs to the link's keys, if all were of one size.
async fn share_of(link: &Link<'_>) -> Result<u64, Failure> {
    let source = vitals::ask(&link.source().await?).await?;
    Ok(part(source.dataset_bytes, keys(link), source.keys))
}

fn part(bytes: u64, keys: u64, of: u64) -> u64 {
    let part = u128::from(bytes) * u128::from(keys) / u128::from(of.max(keys).max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// What all keys of the links take, each looked at.
async fn measured(links: &[&Link<'_>]) -> Result<Coming, Failure> {
    let mut coming = Coming::default();
    for link in links {
        let held = held(link);
        for database in 0..link.databases().await? {
            for page in portions(&held, &link.counts, Some(PAGE_KEYS)) {
                let most = page.iter().filter_map(|slot| link.counts.get(slot)).max().copied().unwrap_or(0);
                let at_most = usize::try_from(most).unwrap_or(usize::MAX);
                let listed = link.list(database, page, at_most).await?.concat();
                let sizes = sizes(link, database, &listed).await?;
                coming.add(sizes.len() as u64, sizes.iter().sum());
            }
        }
    }
    Ok(coming)
}

/// The slots of the link that hold keys.
fn held(link: &Link<'_>) -> Vec<Slot> {
    link.counts.iter().filter(|&(_, &keys)| keys > 0).map(|(&slot, _)| slot).collect()
}

/// What a key of the link's slots takes at the source, on average; `None` where nobody can say.
pub async fn bytes_per_key(link: &Link<'_>) -> Result<Option<u64>, Failure> {
    let held = held(link);
    let slots: Vec<Slot> = held.iter().step_by(held.len().div_ceil(SLOTS_SAMPLED).max(1)).copied().collect();
    let (mut keys, mut bytes) = (0, 0);
    for database in 0..link.databases().await? {
        let listed: Vec<Vec<u8>> = link.list(database, &slots, KEYS_SAMPLED).await?.into_iter().flatten().collect();
        let sizes = sizes(link, database, &listed).await?;
        keys += sizes.len() as u64;
        bytes += sizes.iter().sum::<u64>();
    }
    Ok(bytes.checked_div(keys))
}

/// MEMORY USAGE of the keys that still are there; none where the server does not tell.
pub async fn sizes<K: AsRef<[u8]>>(link: &Link<'_>, database: u32, keys: &[K]) -> Result<Vec<u64>, Failure> {
    let client = link.source_in(database).await?;
    let cmds: Vec<redis::Cmd> = keys
        .iter()
        .map(|key| {
            let mut cmd = command("MEMORY USAGE");
            cmd.arg(key.as_ref());
            cmd
        })
        .collect();
    let replies = client.pipeline(client.timeouts().reply, &cmds).await?;
    let size = |reply: &Result<Value, Failure>| match reply {
        Ok(Value::Int(bytes)) => u64::try_from(*bytes).ok(),
        _ => None,
    };
    Ok(replies.iter().filter_map(size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_has_to_fit() {
        let coming = |bytes| Coming { keys: 1, bytes };
        let memory = |limit, used| Memory { limit, used };
        assert!(fits(memory(0, 50), coming(u64::MAX)), "no limit");
        assert!(fits(memory(100, 50), coming(50)));
        assert!(!fits(memory(100, 50), coming(51)));
        assert!(!fits(memory(100, 150), coming(0)), "it is full already");
        assert!(fits(memory(100, 150), Coming::default()), "slots without keys");
        assert!(!fits(memory(100, 50), coming(u64::MAX)));
    }

    #[test]
    fn the_share_is_by_keys() {
        assert_eq!(part(1000, 1, 4), 250);
        assert_eq!(part(1000, 4, 4), 1000);
        assert_eq!(part(1000, 5, 4), 1000, "some have come since");
        assert_eq!(part(1000, 0, 0), 0);
        assert_eq!(part(u64::MAX, 3, 4), u64::MAX / 4 * 3 + 2);
    }
}
