//! What makes two replies the same: their bytes, unless the command's contract promises less.

use trib::base::num;

use crate::newer;
use crate::pair::Argv;
use crate::reply::Reply;

/// How the replies to a command are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    Exact,
    /// The order of elements is nobody's promise.
    Unordered,
    /// The same of pairs, which RESP2 sends flat.
    UnorderedPairs,
    /// Scores, which stock 7.0 writes with 17 digits (0.10000000000000001), and Redis since 7.2 with as few as are needed
    /// to read the same number (0.1).
    Scores,
    /// A cursor, and elements in any order.
    Scan,
    /// The same with pairs.
    ScanPairs,
    /// The same with members and scores.
    ScanScores,
    /// A remaining time: so much may pass between the two servers.
    Near(i64),
    /// A moment: as [`Rule::Near`] in the unit given, unless it is so far away that it was set as a moment.
    NearMoment(i64),
}

/// Seconds since 1970 that no test reaches by adding to the present.
const FAR_SECS: i64 = 4_000_000_000;

/// How long a command may take to reach the second server.
const DELAY_MAX_MS: i64 = 5000;

/// The rule for a command.
pub fn rule(args: &[Vec<u8>]) -> Rule {
    let word = |i: usize| args.get(i).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase());
    let (name, second) = (word(0).unwrap_or_default(), word(1).unwrap_or_default());
    match name.as_str() {
        "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "KEYS" | "HKEYS" | "HVALS" | "SPOP" | "SRANDMEMBER" => {
            Rule::Unordered
        }
        "HGETALL" => Rule::UnorderedPairs,
        "SCAN" | "SSCAN" => Rule::Scan,
        "HSCAN" => Rule::ScanPairs,
        "ZSCAN" => Rule::ScanScores,
        "ZADD" | "ZINCRBY" | "ZSCORE" | "ZMSCORE" | "ZRANGE" | "ZRANGEBYSCORE" | "ZREVRANGE" | "ZREVRANGEBYSCORE" => {
            Rule::Scores
        }
        "ZPOPMIN" | "ZPOPMAX" | "ZMPOP" | "BZPOPMIN" | "BZPOPMAX" | "BZMPOP" => Rule::Scores,
        "ZUNION" | "ZINTER" | "ZDIFF" | "ZRANDMEMBER" => Rule::Scores,
        "TTL" => Rule::Near(DELAY_MAX_MS / 1000),
        "PTTL" => Rule::Near(DELAY_MAX_MS),
        "EXPIRETIME" => Rule::NearMoment(1),
        "PEXPIRETIME" => Rule::NearMoment(1000),
        "HTTL" => Rule::Near(DELAY_MAX_MS / 1000),
        "HPTTL" => Rule::Near(DELAY_MAX_MS),
        "HEXPIRETIME" => Rule::NearMoment(1),
        "HPEXPIRETIME" => Rule::NearMoment(1000),
        "OBJECT" if second == "IDLETIME" => Rule::Near(DELAY_MAX_MS / 1000),
        _ => Rule::Exact,
    }
}

/// Whether both replies say the same.
pub fn same(rule: Rule, node: &Reply, stock: &Reply) -> bool {
    if node == stock {
        return true;
    }
    match rule {
        // One time for each field.
        Rule::Near(_) | Rule::NearMoment(_) if !node.items.is_empty() => {
            let mut pairs = node.items.iter().zip(&stock.items);
            head(node) == head(stock) && pairs.all(|(node, stock)| same(rule, node, stock))
        }
        Rule::Exact => false,
        Rule::Unordered => head(node) == head(stock) && sorted(&node.items, 1) == sorted(&stock.items, 1),
        Rule::UnorderedPairs => head(node) == head(stock) && sorted(&node.items, 2) == sorted(&stock.items, 2),
        Rule::Scan => scans(node, stock, 1),
        Rule::Scores => *node == with_short_scores(stock),
        Rule::ScanPairs => scans(node, stock, 2),
        Rule::ScanScores => scans(&with_scanned_scores(node), &with_scanned_scores(stock), 2),
        Rule::Near(tolerance) => near(node, stock, tolerance),
        Rule::NearMoment(per_second) => {
            let far = |reply: &Reply| reply.int().is_some_and(|n| n > FAR_SECS * per_second);
            !far(node) && !far(stock) && near(node, stock, DELAY_MAX_MS * per_second / 1000)
        }
    }
}

/// The reply with those numbers that are written with 17 digits in as few as they need.
pub fn with_short_scores(reply: &Reply) -> Reply {
    let mut reply = reply.clone();
    reply.items = reply.items.iter().map(with_short_scores).collect();
    if matches!(reply.kind, b'$' | b',')
        && let Some(score) = num::parse_f64(&reply.text)
    {
        let mut long = Vec::new();
        num::push_f64_17(&mut long, score);
        if reply.text == long {
            reply.text.clear();
            num::push_f64(&mut reply.text, score);
        }
    }
    reply
}

/// The reply with short scores, written as in a skiplist: ZSCAN gives what a listpack keeps, which are integers where
/// possible (100000000000000000, not 1e+17), and SORT makes a skiplist of what it sorts in Redis 7.0.
pub fn with_scanned_scores(reply: &Reply) -> Reply {
    let mut reply = with_short_scores(reply);
    reply.items = reply.items.iter().map(with_scanned_scores).collect();
    if let Some(number) = std::str::from_utf8(&reply.text).ok().and_then(|text| text.parse::<i64>().ok())
        && reply.kind == b'$'
    {
        reply.text.clear();
        num::push_f64(&mut reply.text, number as f64);
    }
    reply
}

fn head(reply: &Reply) -> (u8, &[u8]) {
    (reply.kind, &reply.text)
}

/// The elements in order, `width` of them at a time.
fn sorted(items: &[Reply], width: usize) -> Vec<&[Reply]> {
    let mut groups: Vec<&[Reply]> = items.chunks(width).collect();
    groups.sort();
    groups
}

fn scans(node: &Reply, stock: &Reply, width: usize) -> bool {
    match (&node.items[..], &stock.items[..]) {
        ([cursor, found], [stock_cursor, stock_found]) => {
            cursor == stock_cursor
                && head(found) == head(stock_found)
                && sorted(&found.items, width) == sorted(&stock_found.items, width)
        }
        _ => false,
    }
}

/// Negative numbers mean something, and are never near to anything.
fn near(node: &Reply, stock: &Reply, tolerance: i64) -> bool {
    match (node.int(), stock.int()) {
        (Some(a), Some(b)) => a >= 0 && b >= 0 && (a - b).abs() <= tolerance,
        _ => false,
    }
}

/// The rules of a connection: the reply to EXEC is made of those to the commands queued before.
#[derive(Default)]
pub struct Session {
    queued: Option<Vec<Argv>>,
}

impl Session {
    /// Whether the replies to `args` are the same.
    pub fn same(&mut self, args: &Argv, node: &Reply, stock: &Reply) -> bool {
        let is = |name: &str| args.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        if is("exec") {
            let queued = self.queued.take().unwrap_or_default();
            let mut pairs = queued.iter().zip(node.items.iter().zip(&stock.items));
            return node == stock
                || newer::is_meant(args, node, stock)
                || head(node) == head(stock)
                    && node.items.len() == queued.len()
                    && pairs.all(|(args, (a, b))| same(rule(args), a, b) || newer::is_meant(args, a, b));
        }
        if is("discard") || is("reset") {
            self.queued = None;
        } else if is("multi") && stock.string() == Some(b"OK") {
            self.queued = Some(Vec::new());
        } else if let Some(queued) = &mut self.queued
            && stock.string() == Some(b"QUEUED")
        {
            queued.push(args.clone());
        }
        same(rule(args), node, stock) || newer::is_meant(args, node, stock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::argv;

    fn reply(wire: &str) -> Reply {
        Reply::read(wire.replace(' ', "\r\n").as_bytes()).unwrap().0
    }

    #[test]
    fn order_counts_unless_it_is_nobodys_promise() {
        let (a, b) = (reply("*2 :1 :2 "), reply("*2 :2 :1 "));
        assert!(!same(rule(&argv("LRANGE l 0 -1")), &a, &b));
        assert!(same(rule(&argv("smembers s")), &a, &b));
        assert!(!same(Rule::Unordered, &reply("~2 :1 :2 "), &b));
        assert!(!same(Rule::UnorderedPairs, &a, &b));
        assert!(same(Rule::UnorderedPairs, &reply("*4 :1 :2 :3 :4 "), &reply("*4 :3 :4 :1 :2 ")));
        assert!(!same(Rule::UnorderedPairs, &reply("*4 :1 :2 :3 :4 "), &reply("*4 :3 :2 :1 :4 ")));
    }

    #[test]
    fn time_may_pass_but_no_meaning_be_lost() {
        assert!(same(Rule::Near(2), &reply(":100 "), &reply(":99 ")));
        assert!(!same(Rule::Near(2), &reply(":-1 "), &reply(":-2 ")));
        assert!(!same(Rule::Near(2), &reply(":1 "), &reply(":-1 ")));
        assert!(!same(Rule::NearMoment(1), &reply(":4102444800 "), &reply(":4102444801 ")));
        assert!(same(Rule::NearMoment(1), &reply(":1700000000 "), &reply(":1700000001 ")));
        assert!(same(rule(&argv("HTTL h FIELDS 2 a b")), &reply("*2 :-1 :100 "), &reply("*2 :-1 :99 ")));
        assert!(!same(rule(&argv("HTTL h FIELDS 2 a b")), &reply("*2 :-1 :100 "), &reply("*2 :-2 :100 ")));
        assert!(!same(rule(&argv("HTTL h FIELDS 2 a b")), &reply("*1 :100 "), &reply("*2 :100 :100 ")));
    }

    #[test]
    fn only_the_digits_of_scores_may_be_fewer() {
        let (long, short) = (reply("*2 $1 a ,0.10000000000000001 "), reply("*2 $1 a ,0.1 "));
        assert!(same(rule(&argv("ZRANGE z 0 0 WITHSCORES")), &short, &long));
        assert!(!same(Rule::Scores, &long, &short));
        assert!(!same(Rule::Scores, &reply("*2 $1 a ,0.2 "), &long));
        assert!(!same(rule(&argv("HGETALL h")), &short, &long));
    }

    #[test]
    fn scanned_scores_are_those_of_either_encoding() {
        let scan = argv("ZSCAN z 0");
        let integer = reply("*2 $1 0 *2 $1 a $18 100000000000000000 ");
        assert!(same(rule(&scan), &integer, &reply("*2 $1 0 *2 $1 a $5 1e+17 ")));
        assert!(!same(rule(&scan), &integer, &reply("*2 $1 0 *2 $1 a $5 1e+18 ")));
        assert!(!same(rule(&scan), &integer, &reply("*2 $1 0 *2 $1 b $5 1e+17 ")));
    }

    #[test]
    fn exec_is_compared_as_what_it_ran() {
        let mut session = Session::default();
        let ok = reply("+OK ");
        let queued = reply("+QUEUED ");
        assert!(session.same(&argv("MULTI"), &ok, &ok));
        assert!(session.same(&argv("SMEMBERS s"), &queued, &queued));
        let (a, b) = (reply("*1 *2 :1 :2 "), reply("*1 *2 :2 :1 "));
        assert!(session.same(&argv("EXEC"), &a, &b));
        assert!(!session.same(&argv("EXEC"), &a, &b));
    }
}
