//! Slots are moved from one primary to another, key by key.

use trib::base::{Slot, key_slot};
use trib::resp::client::ReplyValue;

use super::view::Line;
use super::{Deed, Operator, PATIENCE};
use crate::client::{OWN_KEYS, own_key};
use crate::desk::NoReply;

impl Operator {
    /// Moves a few slots that clients use to another primary.
    pub async fn move_some_slots(&self) -> Result<(), NoReply> {
        let view = self.view(self.some_host()).await?;
        let primaries: Vec<&Line> = view.iter().filter(|line| line.primary && !line.failing).collect();
        if primaries.is_empty() {
            return Ok(());
        }
        let target = primaries[self.desk.below(primaries.len() as u64) as usize];
        for _ in 0..=self.desk.below(4) {
            let client = self.desk.below(self.plan.clients as u64) as usize;
            let key = own_key(client, self.desk.below(OWN_KEYS as u64) as usize);
            let slot = key_slot(key.as_bytes());
            let source = primaries.iter().find(|line| line.owns(slot) && line.id != target.id);
            if let Some(source) = source {
                self.move_slot(slot, source, target, &primaries).await?;
            }
        }
        Ok(())
    }

    /// Has a primary migrate a few of its slots by itself.
    pub async fn migrate_slots(&self) -> Result<(), NoReply> {
        let view = self.view(self.some_host()).await?;
        let primaries: Vec<&Line> = view.iter().filter(|line| line.primary && !line.failing).collect();
        let client = self.desk.below(self.plan.clients as u64) as usize;
        let slot = key_slot(own_key(client, self.desk.below(OWN_KEYS as u64) as usize).as_bytes());
        let Some(source) = primaries.iter().find(|line| line.owns(slot)) else { return Ok(()) };
        let target = primaries[self.desk.below(primaries.len() as u64) as usize];
        self.did(Deed::Moves(slot));
        let line = format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {}", target.id);
        self.tell(source.host, &line).await?;
        if self.desk.below(5) == 0 {
            self.tell(source.host, "CLUSTER CANCELSLOTMIGRATIONS").await?;
        }
        Ok(())
    }

    async fn move_slot(&self, slot: Slot, source: &Line, target: &Line, all: &[&Line]) -> Result<(), NoReply> {
        self.did(Deed::Moves(slot));
        self.must(target.host, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", source.id)).await?;
        self.must(source.host, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", target.id)).await?;
        self.move_keys(slot, source.host, target.host).await?;
        let node = format!("CLUSTER SETSLOT {slot} NODE {}", target.id);
        self.did(Deed::Moves(slot));
        self.must(target.host, &node).await?;
        self.must(source.host, &node).await?;
        for other in all.iter().filter(|line| line.id != source.id && line.id != target.id) {
            let _ = self.tell(other.host, &node).await;
        }
        Ok(())
    }

    /// Moves all keys of a slot. A key that the target has already is deleted at the source.
    pub async fn move_keys(&self, slot: Slot, source: usize, target: usize) -> Result<(), NoReply> {
        loop {
            let reply = self.tell(source, &format!("CLUSTER GETKEYSINSLOT {slot} 5")).await?;
            let keys: Vec<Vec<u8>> =
                reply.as_items().ok_or(NoReply)?.iter().filter_map(|key| Some(key.as_bytes()?.to_vec())).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let (ip, port) = (crate::plan::Plan::ip(target), crate::plan::Plan::PORT.to_string());
            let mut words: Vec<&[u8]> = vec![b"MIGRATE", ip.as_bytes(), port.as_bytes(), b"", b"0", b"1000", b"KEYS"];
            words.extend(keys.iter().map(|key| &key[..]));
            self.did(Deed::Moves(slot));
            match self.desk.call(source, &words, PATIENCE).await? {
                ReplyValue::Error(text) if text.windows(7).any(|part| part == b"BUSYKEY") => {
                    for key in &keys {
                        let exists = self.call_asking(target, &[b"EXISTS", key]).await?;
                        if exists.as_i64() == Some(1) {
                            self.call_asking(source, &[b"DEL", key]).await?;
                        }
                    }
                }
                ReplyValue::Error(_) => return Err(NoReply),
                _ => {}
            }
        }
    }

    async fn call_asking(&self, host: usize, words: &[&[u8]]) -> Result<ReplyValue, NoReply> {
        let mut replies = self.desk.call_all(host, &[&[b"ASKING"], words], PATIENCE).await?;
        replies.pop().ok_or(NoReply)
    }
}
