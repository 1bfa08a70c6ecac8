//! The size of the radix tree that a stock server would keep for the same nodes: XINFO STREAM tells it.
//!
//! In such a tree every run of bytes without a branch is one node, a branch is one, and so is the end of every key.

use super::id::StreamId;

/// Bytes of a key.
const KEY_BYTES: u32 = 16;

/// Number of tree nodes for these keys, which ascend.
#[must_use]
pub fn radix_nodes(keys: impl Iterator<Item = StreamId>) -> usize {
    // The branches on the way to the last key seen, by depth.
    let mut branches: Vec<u32> = Vec::new();
    let mut last: Option<u128> = None;
    let (mut nodes, mut has_root_branch) = (0, false);
    for key in keys {
        let key = u128::from_be_bytes(key.to_bytes());
        // Its end.
        nodes += 1;
        if let Some(last) = last {
            let depth = (last ^ key).leading_zeros() / 8;
            // The branches below are complete, and so is what hangs between them.
            let mut below = KEY_BYTES;
            while let Some(branch) = branches.pop_if(|branch| *branch > depth) {
                nodes += usize::from(below > branch + 1);
                below = branch;
            }
            nodes += usize::from(below > depth + 1);
            if branches.last() != Some(&depth) {
                branches.push(depth);
                nodes += 1;
                has_root_branch |= depth == 0;
            }
        }
        last = Some(key);
    }
    let mut below = KEY_BYTES;
    while let Some(branch) = branches.pop() {
        nodes += usize::from(below > branch + 1);
        below = branch;
    }
    // The run from the root to the first branch or end; an empty tree is its root alone.
    nodes + usize::from(!has_root_branch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree itself, built the plain way: a node for every byte, runs counted afterwards.
    fn counted(keys: &[StreamId]) -> usize {
        let keys: Vec<[u8; 16]> = keys.iter().map(|key| key.to_bytes()).collect();
        let children = |prefix: &[u8]| -> Vec<Vec<u8>> {
            let mut next: Vec<Vec<u8>> =
                keys.iter().filter(|k| k.starts_with(prefix)).map(|k| k[..=prefix.len()].to_vec()).collect();
            next.dedup();
            next
        };
        let mut count = 0;
        // A prefix, and whether the byte before it stood in a run.
        let mut todo = vec![(Vec::new(), false)];
        while let Some((prefix, in_run)) = todo.pop() {
            let next = if prefix.len() == 16 || keys.is_empty() { Vec::new() } else { children(&prefix) };
            let run = next.len() == 1;
            count += usize::from(!(run && in_run));
            todo.extend(next.into_iter().map(|child| (child, run)));
        }
        count
    }

    #[test]
    fn the_tree_of_a_stock_server() {
        let ids =
            |ids: &[(u64, u64)]| -> Vec<StreamId> { ids.iter().map(|(ms, seq)| StreamId::new(*ms, *seq)).collect() };
        for keys in [
            ids(&[]),
            ids(&[(1, 1)]),
            ids(&[(1, 1), (1, 2)]),
            ids(&[(1, 1), (2, 1), (2, 2), (300, 0), (300, 1), (u64::MAX, 0)]),
            (0..2000).map(|i| StreamId::new(i * 37, i % 3)).collect(),
        ] {
            assert_eq!(radix_nodes(keys.iter().copied()), counted(&keys), "{} keys", keys.len());
        }
        assert_eq!(radix_nodes(ids(&[(1, 1)]).into_iter()), 2);
        assert_eq!(radix_nodes(std::iter::empty()), 1);
    }
}
