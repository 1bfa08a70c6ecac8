//! Differences of a whole kind, where `node` follows Redis 7.2 and later. (Those of single lines are in `known.txt`.)

use crate::pair::Argv;
use crate::reply::Reply;

/// Whether two replies differ as they should, and in nothing else.
pub fn is_meant(args: &Argv, node: &Reply, stock: &Reply) -> bool {
    let name = String::from_utf8_lossy(&args[0]).to_ascii_lowercase();
    match name.as_str() {
        // Arguments are read before the key is looked for: wrong ones are an error without a key or with a wrong one, too.
        "bitcount" | "bitpos" => {
            let is_without_string = matches!(stock.int(), Some(0 | -1)) || is_error(stock, &[WRONG_TYPE]);
            is_without_string && is_error(node, &["ERR syntax error", NOT_AN_INTEGER])
        }
        // The message names the command, and the special id that it takes.
        "xread" | "xreadgroup" => {
            let id = if name == "xread" { '$' } else { '>' };
            let rest = "must be specified.";
            is_error(
                stock,
                &[&format!("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' {rest}")],
            ) && is_error(
                node,
                &[&format!("ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{id}' {rest}")],
            )
        }
        "sort" | "sort_ro" => is_pattern_denied(node, stock) || is_key_called_like_an_option(args, node, stock),
        // Of a transaction that is broken and whose keys are in several slots, Redis says the one and Valkey the other.
        "exec" => {
            is_error(node, &["CROSSSLOT Keys in request don't hash to the same slot"])
                && is_error(stock, &["EXECABORT Transaction discarded because of previous errors."])
        }
        // There is one more area to search.
        "geosearch" | "geosearchstore" => {
            let areas = |areas: &str| format!("ERR exactly one of {areas} can be specified for {}", shown(&args[0]));
            is_error(stock, &[&areas("BYRADIUS and BYBOX")])
                && is_error(node, &[&areas("BYRADIUS, BYBOX and BYPOLYGON")])
        }
        // A type that does not exist is an error since Valkey 9.
        "scan" => args.windows(2).any(|pair| {
            is(&pair[0], "type")
                && is_error(node, &[&format!("ERR unknown type name '{}'", String::from_utf8_lossy(&pair[1]))])
        }),
        // Small numbers are not shared between keys.
        "object" => {
            args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"refcount"))
                && stock.int() == Some(i64::from(i32::MAX))
                && node.int() == Some(1)
        }
        _ => false,
    }
}

/// In cluster mode patterns are allowed that stay in the slot of the key.
fn is_pattern_denied(node: &Reply, stock: &Reply) -> bool {
    const OURS: &str =
        "option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.";
    ["BY", "GET"].iter().any(|option| {
        is_error(stock, &[&format!("ERR {option} option of SORT denied in Cluster mode.")])
            && is_error(node, &[&format!("ERR {option} {OURS}")])
    })
}

/// The word behind STORE is a key whatever it says: Redis, looking for keys, takes it for an option as well.
fn is_key_called_like_an_option(args: &Argv, node: &Reply, stock: &Reply) -> bool {
    let is_option = |word: &[u8]| ["store", "by", "get", "limit"].iter().any(|option| is(word, option));
    is_error(node, &["CROSSSLOT Keys in request don't hash to the same slot"])
        && stock.kind == b'-'
        && args.windows(2).any(|pair| is(&pair[0], "store") && is_option(&pair[1]))
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

fn is_error(reply: &Reply, texts: &[&str]) -> bool {
    reply.kind == b'-' && texts.iter().any(|text| reply.text == text.as_bytes())
}
