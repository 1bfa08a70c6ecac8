//! SORT, SORT_RO: the elements of a list, a set or a sorted set in another order.

mod order;
mod pattern;

use std::ops::{ControlFlow, Range};

use self::order::{Elements, Order};
use self::pattern::{Pattern, stays_in};
use crate::base::key_slot;
use crate::commands::{element, parse};
use crate::data::Item;
use crate::data::list::{End, List};
use crate::data::value::{Value, ValueRef};
use crate::exec::keys::KeyAt;
use crate::exec::{Acl, Arg, Begin, Command, Ctx, Done, Find, Flags, Group, KeyFlags, KeySpec};
use crate::keyspace::{Db, EventClass};
use crate::resp::{Args, ErrorReply};

const READS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const STORES: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
const FROM: KeySpec = KeySpec::range(1, 0, 1, READS);
/// Patterns name keys that only the elements tell.
const BY_PATTERN: KeySpec = KeySpec::new(Begin::Unknown, Find::Unknown, READS);
const CATEGORIES: Acl = Acl::LIST.union(Acl::SET).union(Acl::SORTEDSET).union(Acl::DANGEROUS);
const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements and M the number of those returned";

const BY: Arg = Arg::pattern("by-pattern").token("BY").key_spec(1).display("pattern").optional();
const LIMIT: Arg = Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional();
const GET: Arg =
    Arg::pattern("get-pattern").token("GET").key_spec(1).display("pattern").optional().multiple().multiple_token();
const ORDER: Arg = Arg::one_of("order", &[Arg::flag("asc", "ASC"), Arg::flag("desc", "DESC")]).optional();
const SORTING: Arg = Arg::flag("sorting", "ALPHA").optional();

pub const COMMANDS: &[Command] = &[
    Command::new("sort", -2, sort)
        .flags(Flags::DENYOOM.union(Flags::MOVABLE_KEYS).union(Flags::WRITE))
        .acl(CATEGORIES)
        .keys(&[FROM, BY_PATTERN, KeySpec::new(Begin::Unknown, Find::Unknown, STORES)])
        .key_finder(keys_of)
        .doc(Group::Generic, "1.0.0", COMPLEXITY, "Sorts the elements of a value, and may store them.")
        .args(&[
            Arg::key("key", 0),
            BY,
            LIMIT,
            GET,
            ORDER,
            SORTING,
            Arg::key("destination", 2).token("STORE").optional(),
        ]),
    Command::new("sort_ro", -2, sort)
        .flags(Flags::MOVABLE_KEYS.union(Flags::READONLY))
        .acl(CATEGORIES)
        .keys(&[FROM, BY_PATTERN])
        .doc(Group::Generic, "7.0.0", COMPLEXITY, "Sorts the elements of a value.")
        .args(&[Arg::key("key", 0), BY, LIMIT, GET, ORDER, SORTING]),
];

/// The key to sort and the one to store in, the last if there are several.
fn keys_of(args: Args<'_>) -> Vec<KeyAt> {
    let mut keys = vec![KeyAt { position: 1, flags: READS }];
    let mut i = 2;
    while i < args.len() {
        if args.is(i, "limit") {
            i += 2;
        } else if args.is(i, "by") || args.is(i, "get") {
            i += 1;
        } else if args.is(i, "store") && i + 1 < args.len() {
            keys.truncate(1);
            keys.push(KeyAt { position: i + 1, flags: STORES });
            i += 1;
        }
        i += 1;
    }
    keys
}

/// What the words behind the key ask for.
struct Options<'a> {
    by: Option<Pattern<'a>>,
    get: Vec<Pattern<'a>>,
    /// First element and number of elements; all when negative.
    limit: (i64, i64),
    descending: bool,
    alphabetic: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// `clustered`: keys live in slots, and patterns must not leave that of the key.
    fn parse(args: Args<'a>, may_store: bool, clustered: bool) -> Result<Options<'a>, ErrorReply> {
        let mut options =
            Options { by: None, get: Vec::new(), limit: (0, -1), descending: false, alphabetic: false, store: None };
        let leaves = |pattern: &[u8]| clustered && !stays_in(pattern, key_slot(args.at(1)));
        let mut i = 2;
        while i < args.len() {
            let (next, after) = (args.get(i + 1), args.get(i + 2));
            if args.is(i, "asc") {
                options.descending = false;
            } else if args.is(i, "desc") {
                options.descending = true;
            } else if args.is(i, "alpha") {
                options.alphabetic = true;
            } else if let (true, Some(offset), Some(count)) = (args.is(i, "limit"), next, after) {
                options.limit = (parse::int(offset)?, parse::int(count)?);
                i += 2;
            } else if let (true, true, Some(key)) = (may_store, args.is(i, "store"), next) {
                options.store = Some(key);
                i += 1;
            } else if let (true, Some(text)) = (args.is(i, "by"), next) {
                let pattern = Pattern::parse(text);
                if matches!(pattern, Pattern::Key { .. }) && leaves(text) {
                    return Err(outside("BY"));
                }
                // Once asked for, the value's own order stays.
                if options.by != Some(Pattern::Constant) {
                    options.by = Some(if pattern == Pattern::Element { Pattern::Constant } else { pattern });
                }
                i += 1;
            } else if let (true, Some(text)) = (args.is(i, "get"), next) {
                let pattern = Pattern::parse(text);
                if pattern != Pattern::Element && leaves(text) {
                    return Err(outside("GET"));
                }
                options.get.push(pattern);
                i += 1;
            } else {
                return Err(ErrorReply::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }

    /// The elements that are asked for, out of `len`.
    fn wanted(&self, len: usize) -> Range<usize> {
        let at_most = |n: i64| usize::try_from(n).unwrap_or(usize::MAX).min(len);
        let start = at_most(self.limit.0.max(0));
        let count = if self.limit.1 < 0 { len } else { at_most(self.limit.1) };
        start..(start + count).min(len)
    }
}

fn outside(option: &str) -> ErrorReply {
    ErrorReply::text_of(format!(
        "ERR {option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
    ))
}

const NOT_A_NUMBER: ErrorReply = ErrorReply::Static("ERR One or more scores can't be converted into double");

/// SORT and SORT_RO.
fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let may_store = ctx.command.flags.contains(Flags::WRITE);
    let options = Options::parse(args, may_store, ctx.server.keyspace.is_slotted())?;
    let (mut db, reply, limits) = ctx.split_with_limits();
    let elements = sorted(&mut db, args.at(1), &options)?;

    let element_only = [Pattern::Element];
    let get = if options.get.is_empty() { &element_only[..] } else { &options.get };
    let mut name = Vec::new();
    let Some(destination) = options.store else {
        reply.array(elements.len() * get.len());
        for text in elements.texts() {
            for pattern in get {
                match pattern.read(&mut db, text, &mut name) {
                    Some(item) => element::push(reply, item),
                    None => reply.null(),
                }
            }
        }
        return Ok(());
    };
    let mut list = List::new();
    if options.get.is_empty() {
        list.push_all(End::Back, elements.texts().collect::<Vec<_>>(), limits);
    }
    for text in elements.texts().filter(|_| !options.get.is_empty()) {
        for pattern in get {
            // What does not exist becomes an empty element.
            let item = pattern.read(&mut db, text, &mut name).unwrap_or(Item::Bytes(b""));
            list.push(End::Back, item.text(&mut Default::default()), limits);
        }
    }
    let stored = list.len();
    reply.uint(stored);
    let found = (stored > 0).then(|| Value::List(list));
    let changed = db.store_found(destination, found, EventClass::LIST, "sortstore");
    ctx.changed(if changed { stored.max(1) } else { 0 });
    Ok(())
}

/// The elements that are asked for, in order.
fn sorted(db: &mut Db<'_>, key: &[u8], options: &Options<'_>) -> Result<Elements, ErrorReply> {
    let Some(entry) = db.read(key) else { return Ok(Elements::default()) };
    let value = entry.value();
    let len = match value {
        ValueRef::List(list) => list.len(),
        ValueRef::Set(set) => set.len(),
        ValueRef::ZSet(set) => set.len(),
        _ => return Err(ErrorReply::WrongType),
    };
    let wanted = options.wanted(len);
    // The order inside a set is nobody's choice: what is stored must not depend on it.
    let by_chance = matches!(value, ValueRef::Set(_)) && options.store.is_some();
    let (mut order, by) = match options.by {
        Some(Pattern::Constant) if by_chance => (Order::Texts, None),
        Some(Pattern::Constant) => return Ok(unsorted(value, options.descending, wanted)),
        Some(by) => (if options.alphabetic { Order::OtherTexts } else { Order::Numbers }, Some(by)),
        None => (if options.alphabetic { Order::Texts } else { Order::Numbers }, None),
    };
    // What is stored is the same on every server, whatever its locale.
    let collated = options.store.is_none();
    let mut elements = Elements::with_capacity(len);
    let mut valid = true;
    if order == Order::Numbers && by.is_none() {
        for_each(value, |item| valid &= elements.push_number(item));
    } else {
        for_each(value, |item| elements.push(item));
    }
    match (order, by) {
        (Order::Numbers, Some(by)) => valid = elements.rank_by_other_numbers(by, db),
        (Order::OtherTexts, Some(by)) => elements.rank_by_other_texts(by, db, collated),
        (Order::Texts, _) if collated && elements.need_keys() => {
            elements.rank_by_keys();
            order = Order::OtherTexts;
        }
        (Order::Texts, _) => elements.rank_by_texts(),
        _ => {}
    }
    if !valid {
        return Err(NOT_A_NUMBER);
    }
    elements.sort(order, options.descending, wanted);
    Ok(elements)
}

fn for_each(value: ValueRef<'_>, mut each: impl FnMut(Item<'_>)) {
    match value {
        ValueRef::List(list) => list.for_each(0..list.len(), each),
        ValueRef::Set(set) => set.iter().for_each(each),
        ValueRef::ZSet(set) => set.iter().for_each(|(member, _)| each(member)),
        _ => {}
    }
}

/// Elements as the value itself has them: a constant for BY asks for that. A set cannot be read backwards.
fn unsorted(value: ValueRef<'_>, descending: bool, wanted: Range<usize>) -> Elements {
    let mut elements = Elements::with_capacity(wanted.len());
    match value {
        ValueRef::List(list) if descending => {
            let mut left = wanted.len();
            let _ = list.walk(wanted.start, true, |item| {
                if left == 0 {
                    return ControlFlow::Break(());
                }
                left -= 1;
                elements.push(item);
                ControlFlow::Continue(())
            });
        }
        ValueRef::List(list) => list.for_each(wanted, |item| elements.push(item)),
        ValueRef::Set(set) => set.iter().skip(wanted.start).take(wanted.len()).for_each(|item| elements.push(item)),
        ValueRef::ZSet(set) if descending => {
            let ranks = set.len() - wanted.end..set.len() - wanted.start;
            set.range(ranks).rev().for_each(|(member, _)| elements.push(member));
        }
        ValueRef::ZSet(set) => set.range(wanted).for_each(|(member, _)| elements.push(member)),
        _ => {}
    }
    elements
}
