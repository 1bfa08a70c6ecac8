//! DIGEST and DIGEST-VALUE: forty hex digits that two servers with equal data agree on.
//!
//! Everything is a sum of SHA-1 hashes, joined in two ways: what has an order is mixed (the sum so far is hashed after
//! each part), what has none is added (exclusive or, where order does not show). How things are stored does not show
//! either, nor when a key expires: only whether it does.

use sha1::{Digest as _, Sha1};

use crate::base::num;
use crate::data::entry::Entry;
use crate::data::hash::Hash;
use crate::data::item::Text;
use crate::data::list::List;
use crate::data::set::Set;
use crate::data::stream::{Stream, StreamId};
use crate::data::value::{Kind, ValueRef};
use crate::data::zset::ZSet;
use crate::exec::{Ctx, Done};
use crate::resp::Args;

/// The digest of the whole dataset.
pub fn dataset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Done {
    let mut sum = Sum::default();
    for number in 0..ctx.server.keyspace.databases() {
        let db = ctx.server.keyspace.db(number);
        if db.is_empty() {
            continue;
        }
        sum.mix(&number.to_be_bytes());
        db.for_each(|entry| {
            let mut key = Sum::default();
            key.mix(entry.key());
            key.mix_entry(entry);
            sum.add(&key.0);
        });
    }
    ctx.reply().simple(&sum.hex());
    Ok(())
}

/// The digests of the values of some keys: zeros where there is none.
pub fn values(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    reply.array(args.len() - 2);
    for key in args.from(2).iter() {
        let mut sum = Sum::default();
        if let Some(entry) = db.peek(key) {
            sum.mix_entry(entry);
        }
        reply.simple(&sum.hex());
    }
    Ok(())
}

/// Stands for an expiry, of a key or of a field.
const EXPIRES: &[u8] = b"!!expire!!";

/// A digest in the making.
#[derive(Default)]
struct Sum([u8; 20]);

impl Sum {
    /// Adds a part of something without order.
    fn add(&mut self, part: &[u8]) {
        for (sum, hash) in self.0.iter_mut().zip(Sha1::digest(part)) {
            *sum ^= hash;
        }
    }

    /// Adds a part of something with an order.
    fn mix(&mut self, part: &[u8]) {
        self.add(part);
        self.0 = Sha1::digest(self.0).into();
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The type, the value, and whether it expires.
    fn mix_entry(&mut self, entry: &Entry) {
        let value = entry.value();
        self.mix(&type_number(value.kind()).to_be_bytes());
        match value {
            ValueRef::Int(n) => self.mix(itoa::Buffer::new().format(n).as_bytes()),
            ValueRef::Bytes(bytes) => self.mix(bytes),
            ValueRef::List(list) => self.mix_list(list),
            ValueRef::Set(set) => self.add_set(set),
            ValueRef::Hash(hash) => self.add_hash(hash),
            ValueRef::ZSet(zset) => self.add_zset(zset),
            ValueRef::Stream(stream) => self.mix_stream(stream),
        }
        if entry.expire_at().is_some() {
            self.add(EXPIRES);
        }
    }

    fn mix_list(&mut self, list: &List) {
        let mut room = Text::new();
        list.for_each(0..list.len(), |item| self.mix(item.text(&mut room)));
    }

    fn add_set(&mut self, set: &Set) {
        let mut room = Text::new();
        for member in set {
            self.add(member.text(&mut room));
        }
    }

    fn add_hash(&mut self, hash: &Hash) {
        let mut room = Text::new();
        for (field, value, expire_at) in hash.iter_with_expiry() {
            let mut pair = Sum::default();
            pair.mix(field.text(&mut room));
            pair.mix(value.text(&mut room));
            if expire_at.is_some() {
                pair.add(EXPIRES);
            }
            self.add(&pair.0);
        }
    }

    fn add_zset(&mut self, zset: &ZSet) {
        let mut room = Text::new();
        let mut score_text = Vec::new();
        for (member, score) in zset {
            score_text.clear();
            num::push_f64_17(&mut score_text, score);
            let mut pair = Sum::default();
            pair.mix(member.text(&mut room));
            pair.mix(&score_text);
            self.add(&pair.0);
        }
    }

    /// The entries only: groups do not show.
    fn mix_stream(&mut self, stream: &Stream) {
        let mut room = Text::new();
        for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
            self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (field, value) in entry.fields {
                self.mix(field.text(&mut room));
                self.mix(value.text(&mut room));
            }
        }
    }
}

/// The number of a type in stock servers.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::ZSet => 3,
        Kind::Hash => 4,
        // 5 is taken by the types of modules.
        Kind::Stream => 6,
    }
}
