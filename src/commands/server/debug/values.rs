//! OBJECT, LISTPACK, HTSTATS, HTSTATS-KEY, QUICKLIST-PACKED-THRESHOLD: how values and tables are kept. POPULATE: many
//! of them. STRINGMATCH-LEN: patterns.

use std::fmt::Write as _;

use super::lists;
use crate::base::glob;
use crate::commands::parse;
use crate::config::parse_bytes;
use crate::data::Listpack;
use crate::data::dict::Stats;
use crate::data::item::Text;
use crate::data::value::ValueRef;
use crate::exec::effect::LogLevel;
use crate::exec::{Ctx, Done};
use crate::keyspace::{AccessPolicy, SetExpire};
use crate::resp::{Args, ErrorReply};

pub fn object(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    /// Bytes of a payload of DUMP beside the value: its type, the version and the checksum.
    const FRAME_BYTES: usize = 11;
    let (now, compress) = (ctx.now, ctx.server.config.rdbcompression);
    let limits = ctx.server.config.limits.clone();
    let (mut db, reply) = ctx.split();
    let entry = db.peek(args.at(2)).ok_or(ErrorReply::NoSuchKey)?;
    let mut payload = Vec::new();
    crate::persist::dump::dump(&mut payload, entry.value(), compress);
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        std::ptr::from_ref(entry),
        entry.encoding().name(),
        payload.len() - FRAME_BYTES,
        entry.access(),
        AccessPolicy::idle_seconds(entry.access(), now)
    );
    if let ValueRef::List(list) = entry.value() {
        lists::push_facts(&mut text, list, &limits);
    }
    reply.simple(&text);
    Ok(())
}

/// Makes keys that do not exist yet. They are this server's alone: nothing goes into the stream.
pub fn populate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let count = parse::count(args.at(2))?;
    let prefix = args.get(3).unwrap_or(b"key");
    let size = args.get(4).map(parse::count).transpose()?;
    let size_max = ctx.server.config.proto_max_bulk_len;
    if size.is_some_and(|size| size > size_max) {
        return Err(ErrorReply::OutOfRange);
    }
    let mut db = ctx.db();
    for n in 0..count {
        let key = [prefix, format!(":{n}").as_bytes()].concat();
        if db.exists(&key) {
            continue;
        }
        let mut value = format!("value:{n}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        db.set_bytes(&key, &value, SetExpire::Never);
    }
    ctx.reply().ok();
    Ok(())
}

/// From which size on an element of a list has a node of its own: for lists that are written to from now on.
pub fn plain_elements(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    /// A little below 4 GiB, the end of what a listpack can hold.
    const MAX: u64 = (1 << 32) - (1 << 20);
    let size = parse_bytes(args.at(2))
        .filter(|size| *size <= MAX)
        .ok_or(ErrorReply::Static("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))?;
    ctx.server.config.limits.list_plain_min_bytes = if size == 0 { usize::MAX } else { size as usize };
    ctx.reply().ok();
    Ok(())
}

pub fn matches(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let matches = glob::matches(args.at(2), args.at(3), false);
    ctx.reply().int(i64::from(matches));
    Ok(())
}

/// Writes the elements of a listpack into the log.
pub fn listpack(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut db = ctx.db();
    let entry = db.peek(args.at(2)).ok_or(ErrorReply::NoSuchKey)?;
    let pack = pack_of(entry.value()).ok_or(ErrorReply::Static("ERR Not a listpack encoded object."))?;
    let mut lines = vec![format!("Listpack of {} bytes, {} elements", pack.bytes().len(), pack.len())];
    let mut room = Text::new();
    lines.extend(pack.iter().map(|item| format!("  {}", item.text(&mut room).escape_ascii())));
    for line in lines {
        ctx.server.log(LogLevel::Notice, line);
    }
    ctx.reply().simple("Listpack structure printed on stdout");
    Ok(())
}

fn pack_of(value: ValueRef<'_>) -> Option<&Listpack> {
    match value {
        ValueRef::Set(set) => set.as_pack(),
        ValueRef::Hash(hash) => hash.as_pack(),
        ValueRef::ZSet(zset) => zset.as_pack(),
        ValueRef::Int(_) | ValueRef::Bytes(_) | ValueRef::List(_) | ValueRef::Stream(_) => None,
    }
}

/// The tables of a database: of all keys, and of those with an expiry.
pub fn table_stats(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let number = parse::int(args.at(2))?;
    let databases = ctx.server.keyspace.databases();
    let number = u32::try_from(number)
        .ok()
        .filter(|db| *db < databases)
        .ok_or(ErrorReply::Static("ERR Out of range database"))?;
    let tables = ctx.server.keyspace.tables(number);
    let (mut keys, mut volatile) = (Vec::new(), Vec::new());
    let mut next = tables.next_nonempty(0);
    while let Some(table) = next {
        let (of_keys, of_volatile) = tables.get(table).stats();
        keys.push(of_keys);
        volatile.extend(of_volatile);
        next = tables.next_nonempty(table + 1);
    }
    let text = format!("[Dictionary HT]\n{}[Expires HT]\n{}", told(&keys), told(&volatile));
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// The table of a large collection.
pub fn key_stats(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (mut db, reply) = ctx.split();
    let entry = db.peek(args.at(2)).ok_or(ErrorReply::NoSuchKey)?;
    let stats = match entry.value() {
        ValueRef::Set(set) => set.table_stats(),
        ValueRef::Hash(hash) => hash.table_stats(),
        ValueRef::ZSet(zset) => zset.table_stats(),
        ValueRef::Int(_) | ValueRef::Bytes(_) | ValueRef::List(_) | ValueRef::Stream(_) => None,
    };
    let stats = stats.ok_or(ErrorReply::Static(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    reply.verbatim("txt", told(&[stats]).as_bytes());
    Ok(())
}

/// The sums over some tables.
fn told(tables: &[Stats]) -> String {
    /// Items that a bucket has room for.
    const ROOM: usize = 7;
    let sum = |of: fn(&Stats) -> usize| tables.iter().map(of).sum::<usize>();
    let mut text = String::from("Hash table 0 stats (main hash table):\n");
    if sum(|stats| stats.len) == 0 {
        return text + "No stats available for empty dictionaries\n";
    }
    let buckets = sum(|stats| stats.buckets);
    let _ = writeln!(text, " table size: {}", buckets * ROOM);
    let _ = writeln!(text, " number of elements: {}", sum(|stats| stats.len));
    let _ = writeln!(text, " buckets: {buckets}\n chained buckets: {}", sum(|stats| stats.child_buckets));
    let old = sum(|stats| stats.old_buckets);
    if old > 0 {
        let moved = sum(|stats| stats.old_moved);
        let _ = writeln!(text, " being resized: {moved} of {old} old buckets have been moved");
    }
    text
}
