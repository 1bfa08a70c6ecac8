//! Takes out of a command what no two servers could answer alike, or what would only cost memory.

use crate::pair::Argv;

/// More elements than any collection of a stretch has.
const ALL: &[u8] = b"1000000";

/// Seconds since 1970 that are not reached while the tests run.
const FAR_SECS: i128 = 4_000_000_000;

/// A time from now beyond which the moment is in the far future.
const FAR_DELAY_SECS: i128 = 2_200_000_000;

/// Takes out what Redis 7.0 does not have or reads otherwise.
pub fn tame_for_stock(args: &mut Argv, cluster: bool) {
    let name = String::from_utf8_lossy(&args[0]).to_ascii_uppercase();
    match name.as_str() {
        // A sorted set that SORT has looked at is a skiplist in Redis 7.0, and keeps the sign of zero.
        "ZADD" | "ZINCRBY" => change(args, b"-0", b"0"),
        // Redis 7.2 has one more argument: WITHSCORE.
        "ZRANK" | "ZREVRANK" => args.truncate(3),
        // Redis 7.2 knows a start without an end.
        "BITCOUNT" if args.len() == 3 => args.push(b"-1".to_vec()),
        // Refused since Redis 7.2; the number has no negative.
        "LPOS" => (3..args.len()).for_each(|i| replace(args, i, |n| n == i128::from(i64::MIN), b"-1")),
        // The last entry, which Redis 7.0 does not know.
        "XREAD" | "XREADGROUP" => change(args, b"+", b"0"),
        // Redis 7.0 knows no GET in cluster mode, not even of the element itself.
        "SORT" | "SORT_RO" if cluster => change(args, b"GET", b"ALPHA"),
        _ => {}
    }
}

/// Makes `args` a command with one right answer.
pub fn tame(args: &mut Argv, cluster: bool) {
    let name = String::from_utf8_lossy(&args[0]).to_ascii_uppercase();
    keep_lexical(args, &name, cluster);
    match name.as_str() {
        // Which elements go is chance: all of them or none.
        "SPOP" => match args.len() {
            2 => args.push(ALL.to_vec()),
            _ => replace(args, 2, |n| n > 0, ALL),
        },
        // The same of samples.
        "SRANDMEMBER" if args.len() == 2 => args.push(ALL.to_vec()),
        "SRANDMEMBER" => {
            replace(args, 2, |n| n > 0, ALL);
            replace(args, 2, is_negative_count, b"0");
        }
        "HRANDFIELD" | "ZRANDMEMBER" if args.len() == 2 => args.push(b"0".to_vec()),
        "HRANDFIELD" | "ZRANDMEMBER" => replace(args, 2, |n| n > 0 || is_negative_count(n), b"0"),
        // Cursors are each server's own.
        "SCAN" => replace(args, 1, |n| n != 0, b"0"),
        "SSCAN" | "HSCAN" | "ZSCAN" => replace(args, 2, |n| n != 0, b"0"),
        "BLMPOP" | "BZMPOP" => wait_shortly(args, 1),
        "BLPOP" | "BRPOP" | "BLMOVE" | "BRPOPLPUSH" | "BZPOPMIN" | "BZPOPMAX" => wait_shortly(args, args.len() - 1),
        // The time would be part of the id.
        "XADD" => change(args, b"*", b"1-1"),
        // What happens to groups of a stream breaks no transaction in Redis, but here it does.
        "WATCH" => args.retain(|word| !word.windows(6).any(|part| part == b"stream")),
        "SORT" | "SORT_RO" => args.push(b"ALPHA".to_vec()),
        "SETRANGE" => replace(args, 2, |n| (10_000..600_000_000).contains(&n), b"100"),
        "SETBIT" => replace(args, 2, is_huge_bit, b"100"),
        "BITFIELD" => (2..args.len()).for_each(|i| replace(args, i, is_huge_bit, b"100")),
        // Of two equal delays the later one is greater, or not, by a millisecond: moments are compared instead.
        "EXPIRE" | "PEXPIRE" if args.iter().skip(3).any(|word| is_comparison(word)) => {
            args[0] = b"EXPIREAT".to_vec();
            replace(args, 2, |n| (1..FAR_SECS).contains(&n), b"4102444800");
        }
        // What expires within the run would be gone at one server and not yet at the other.
        "EXPIRE" | "SETEX" => replace(args, 2, |n| (1..100).contains(&n) || is_beyond_far(n), b"100"),
        "PEXPIRE" | "PSETEX" | "RESTORE" => replace(args, 2, |n| (1..100_000).contains(&n), b"100000"),
        // The same of fields.
        "HEXPIRE" | "HPEXPIRE" if args.iter().skip(3).any(|word| is_comparison(word)) => {
            args[0] = b"HEXPIREAT".to_vec();
            replace(args, 2, |n| (1..FAR_SECS).contains(&n), b"4102444800");
        }
        "HEXPIRE" => replace(args, 2, |n| (1..100).contains(&n) || is_beyond_far(n), b"100"),
        "HPEXPIRE" => replace(args, 2, |n| (1..100_000).contains(&n) || is_beyond_far_ms(n), b"100000"),
        "SET" | "GETEX" | "MSETEX" | "HGETEX" | "HSETEX" => {
            // Valkey runs it wherever its keys belong.
            if name == "MSETEX" && cluster {
                tag_keys(args);
            }
            // What ends in the past ends at once: there is nothing to wait for.
            let is_of_fields = name.starts_with('H');
            for i in 2..args.len() {
                let unit = args[i - 1].to_ascii_uppercase();
                match &unit[..] {
                    b"EX" => replace(args, i, |n| (1..100).contains(&n) || is_beyond_far(n), b"100"),
                    // SET keeps a value that has expired already until it is looked for; since Redis 7.2 it does not.
                    b"EXAT" if !is_of_fields => replace(args, i, |n| (1..FAR_SECS).contains(&n), b"4102444800"),
                    b"PXAT" if !is_of_fields => {
                        replace(args, i, |n| (1..1000 * FAR_SECS).contains(&n), b"4102444800000");
                    }
                    b"PX" => replace(args, i, |n| (1..100_000).contains(&n) || is_beyond_far_ms(n), b"100000"),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Takes out what Valkey reads otherwise than Redis 7.0, which `node` follows: numbers in base 16, cursors that are none,
/// and a key that is called like the word behind which fields are named; and scores of which its digests say other things.
pub fn tame_for_valkey(args: &mut Argv) {
    for word in args.iter_mut().filter(|word| word.starts_with(b"0x") || word.starts_with(b"(0x")) {
        *word = b"16".to_vec();
    }
    let name = String::from_utf8_lossy(&args[0]).to_ascii_uppercase();
    let has = |word: &str| args.iter().any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    // In which order members are found is nobody's promise.
    if name.starts_with("GEOSEARCH") && has("bypolygon") && !has("asc") && !has("desc") {
        args.push(b"ASC".to_vec());
    }
    // Which of two wrong arguments is noticed first.
    if name == "BITCOUNT" {
        for word in args.iter_mut().skip(2).take(2).filter(|word| trib::base::num::parse_i64(word).is_none()) {
            *word = b"1".to_vec();
        }
    }
    if name == "ZADD" {
        let is_long = |score: f64| score.is_finite() && (score.fract() != 0.0 || score.abs() > 1e15);
        for word in args.iter_mut().filter(|word| trib::base::num::parse_f64(word).is_some_and(is_long)) {
            *word = b"7".to_vec();
        }
    }
    if let ("SCAN" | "HSCAN", Some(cursor)) = (&name[..], args.get_mut(if name == "SCAN" { 1 } else { 2 })) {
        *cursor = b"0".to_vec();
    }
    if let Some(key) = args.get_mut(1).filter(|key| name.starts_with('H') && key.eq_ignore_ascii_case(b"fields")) {
        *key = b"hash0".to_vec();
    }
}

/// The order of members means something only where all scores are the same: in sets named `lex…`, whose scores are 0.
fn keep_lexical(args: &mut Argv, name: &str, cluster: bool) {
    let is_lexical = |key: &[u8]| key.windows(3).any(|part| part == b"lex");
    let key = |name: &str| if cluster { format!("{{t}}{name}") } else { name.to_owned() }.into_bytes();
    let asks = name.contains("LEX") || args.iter().any(|word| word.eq_ignore_ascii_case(b"bylex"));
    if name == "ZRANGESTORE" && args.get(1).is_some_and(|word| is_lexical(word)) {
        args[1] = key("zset0");
    }
    let source = if name == "ZRANGESTORE" { 2 } else { 1 };
    if asks && args.get(source).is_some_and(|word| !is_lexical(word)) {
        args[source] = key("lex0");
    }
    if name == "ZADD" && args.get(1).is_some_and(|word| is_lexical(word)) {
        args.iter_mut().skip(2).step_by(2).for_each(|score| *score = b"0".to_vec());
    }
}

/// So many seconds from now are a moment that would be taken for one that was set as such.
fn is_beyond_far(n: i128) -> bool {
    (FAR_DELAY_SECS..1_000_000_000_000).contains(&n)
}

/// The same of milliseconds, as long as they are not refused.
fn is_beyond_far_ms(n: i128) -> bool {
    (1000 * FAR_DELAY_SECS..9_000_000_000_000_000_000).contains(&n)
}

/// Puts every key of MSETEX into one slot: as many words as its first argument calls keys.
fn tag_keys(args: &mut Argv) {
    let count = args.get(1).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok()).unwrap_or(0);
    for key in args.iter_mut().skip(2).step_by(2).take(count).filter(|key| !key.starts_with(b"{t}")) {
        *key = [b"{t}", &key[..]].concat();
    }
}

/// A timeout that is none, or longer than a moment, becomes a moment.
fn wait_shortly(args: &mut Argv, at: usize) {
    let Some(word) = args.get_mut(at) else { return };
    let seconds = trib::base::num::parse_f64(word);
    if seconds.is_some_and(|seconds| seconds >= 0.0 && !(0.001..0.05).contains(&seconds)) {
        *word = b"0.01".to_vec();
    }
}

/// Puts another word in the place of one, wherever it stands.
fn change(args: &mut Argv, from: &[u8], to: &[u8]) {
    args.iter_mut().skip(1).filter(|word| word.eq_ignore_ascii_case(from)).for_each(|word| *word = to.to_vec());
}

fn is_comparison(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"gt") || word.eq_ignore_ascii_case(b"lt")
}

/// A negative count asks for so many, with repetitions. The smallest is refused.
fn is_negative_count(n: i128) -> bool {
    (i128::from(i64::MIN) + 1..0).contains(&n)
}

/// A string up to this bit takes megabytes; one of more bits is refused.
fn is_huge_bit(n: i128) -> bool {
    (100_000..1 << 33).contains(&n)
}

fn replace(args: &mut Argv, at: usize, unfit: impl Fn(i128) -> bool, by: &[u8]) {
    let Some(word) = args.get_mut(at) else { return };
    let digits = word.strip_prefix(b"#").unwrap_or(word);
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    if number.is_some_and(unfit) {
        *word = by.to_vec();
    }
}
