//! Words for the slots of the grammar: ordinary ones, and those at which code breaks.

use trib::base::Rng;

/// A payload of DUMP: the word that stands for one until the command is sent, followed by the key.
pub const DUMP_OF: &[u8] = b"\x01dump of ";

/// The same, with a byte of it changed.
pub const BAD_DUMP_OF: &[u8] = b"\x01bad dump of ";

/// Keys with the same hint.
const KEYS_PER_HINT: u64 = 3;

/// Sorted sets whose scores are all zero: the order of members means something in these only.
const LEX: &str = "lex";

/// The hints that a key without one takes.
const HINTS: [&str; 7] = ["string", "list", "set", "hash", "zset", "stream", "hll"];

const INTS: &[&str] = &[
    "0", "1", "-1", "2", "3", "5", "-2", "-3", "10", "-10", "63", "64", "65", "100", "127", "128", "-128", "-129",
    "255", "256", "32767", "32768", "-32769", "65536",
];

const EDGE_INTS: &[&str] = &[
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "-9223372036854775807",
    "4611686018427387904",
];

const NOT_INTS: &[&str] = &[
    "",
    "x",
    "1.5",
    " 1",
    "1 ",
    "+1",
    "-0",
    "01",
    "9223372036854775808",
    "-9223372036854775809",
    "1e3",
    "0x10",
    "--1",
];

const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "1.5",
    "-2.5",
    "0.1",
    "0.2",
    "0.3",
    "3.0",
    "100",
    "1e2",
    "1e-7",
    "1e17",
    "1e21",
    "-1e100",
    "12345678901234567890",
    "0.30000000000000004",
    "5e-324",
    "1.7976931348623157e308",
];

const ODD_FLOATS: &[&str] = &[
    "inf",
    "-inf",
    "+inf",
    "Infinity",
    "-INFINITY",
    "nan",
    "-nan",
    "",
    "x",
    " 1",
    "1 ",
    "+3",
    ".5",
    "5.",
    "0x10",
    "0x1p3",
    "-0",
    "1e400",
    "-1e400",
    "1e-400",
    "1e",
    "e1",
    "1.5.1",
    "infx",
    "1,5",
];

const TEXTS: &[&str] = &[
    "a",
    "b",
    "foo",
    "bar",
    "hello world",
    "HALLO",
    "\r\n",
    // SORT ALPHA of Redis looks at what is before a zero byte, and which of two such equals comes first is chance: no other
    // text begins like this one.
    "q\0b",
    "\u{e9}",
    "*",
    "a*",
    "[a-c]",
    "\"",
    "'",
    "\\",
    "(1",
];

/// Lengths around which encodings change.
const LENGTHS: &[u64] = &[11, 20, 21, 43, 44, 45, 62, 63, 64, 65, 66, 100, 120, 127, 128, 129, 200, 300];

/// Makes words from random numbers.
pub struct Words {
    pub rng: Rng,
    pub cluster: bool,
    /// For a server that is not quite like Redis 7.0 in what both have.
    pub peer: bool,
    /// The last id that a stream was given.
    pub last_id: u64,
}

impl Words {
    pub fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.rng.below(of.len() as u64) as usize]
    }

    fn pick_word(&mut self, of: &[&str]) -> Vec<u8> {
        self.pick(of).as_bytes().to_vec()
    }

    /// The words of a slot; mostly one.
    pub fn slot(&mut self, kind: &str, hint: &str) -> Vec<Vec<u8>> {
        vec![match kind {
            "key" => self.key(hint),
            "keys" => return self.counted_keys(hint),
            "fields" => return self.counted(&["FIELDS"], |words| vec![words.member()]),
            "pairs" => return self.counted(&["FIELDS"], |words| vec![words.member(), words.value()]),
            "settings" => return self.counted(&[], |words| vec![words.key(hint), words.value()]),
            "corners" => return self.counted(&[], |words| vec![words.nearby(), words.nearby()]),
            "newkey" => self.new_key(),
            "value" => self.value(),
            "member" => self.member(),
            "int" => self.int(),
            "index" => self.index(),
            "count" => self.count(),
            "float" => self.float(),
            "bound" => self.score_bound(),
            "lex" => self.lex_bound(),
            "pattern" => self.pattern(),
            "cursor" => {
                if self.chance(95) {
                    b"0".to_vec()
                } else {
                    self.pick_word(NOT_INTS)
                }
            }
            "db" => self.database(),
            "secs" => self.delay(&["100", "1000", "2000", "100000"]),
            "ms" => self.delay(&["100000", "1000500", "2000000", "100000000"]),
            "at" => self.delay(&["4102444800", "4102444801", "5000000000", "1"]),
            "at-ms" => self.delay(&["4102444800000", "4102444800500", "4102444801499", "5000000000001", "1"]),
            "offset" => self.offset(),
            "field-type" => self.field_type(),
            "dump" => self.dump(hint),
            "longitude" => self.degrees(180),
            "latitude" => self.degrees(85),
            "unit" => self.pick_word(&["m", "km", "ft", "mi", "KM"]),
            "id" => self.id(),
            "newid" => self.new_id(),
            "group" => self.pick_word(&["g", "h"]),
            other => panic!("the grammar has no <{other}>"),
        }]
    }

    /// One of a few keys: mostly one that holds what the hint says.
    fn key(&mut self, hint: &str) -> Vec<u8> {
        let hint = if hint.is_empty() || hint != LEX && self.chance(12) { *self.pick(&HINTS) } else { hint };
        let name = format!("{hint}{}", self.rng.below(KEYS_PER_HINT));
        self.tagged(name.into_bytes())
    }

    /// A key that is perhaps not there, of any length.
    fn new_key(&mut self) -> Vec<u8> {
        let name = match self.rng.below(8) {
            0 => Vec::new(),
            1 => b"binary\x00\xff\r\nkey".to_vec(),
            2 => vec![b'k'; *self.pick(LENGTHS) as usize],
            _ => format!("new{}", self.rng.below(3)).into_bytes(),
        };
        self.tagged(name)
    }

    /// In cluster mode most keys share a slot; all of them do beside a server that refuses transactions in other words.
    fn tagged(&mut self, name: Vec<u8>) -> Vec<u8> {
        if self.cluster && (self.peer || !self.chance(2)) { [b"{t}", &name[..]].concat() } else { name }
    }

    /// `numkeys` and so many keys; sometimes it does not say the truth.
    fn counted_keys(&mut self, hint: &str) -> Vec<Vec<u8>> {
        let n = 1 + self.rng.below(3);
        let told = if self.chance(95) { n.to_string().into_bytes() } else { self.int() };
        let keys = (0..n).map(|_| self.key(hint));
        std::iter::once(told).chain(keys.collect::<Vec<_>>()).collect()
    }

    /// `before`, a number, and so many times what `each` gives; sometimes the number does not say the truth.
    fn counted(&mut self, before: &[&str], each: impl Fn(&mut Words) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let n = 1 + self.rng.below(4);
        // (Not so large a number that Valkey's would overflow.)
        let lies = ["0", "1", "3", "7", "-1", "x", "", "2147483647", "2147483648"];
        let told = if self.chance(95) { n.to_string().into_bytes() } else { self.pick_word(&lies) };
        let mut all: Vec<Vec<u8>> = before.iter().map(|word| word.as_bytes().to_vec()).collect();
        all.push(told);
        for _ in 0..n {
            all.extend(each(self));
        }
        all
    }

    pub fn value(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..6 => self.pick_word(TEXTS),
            6..11 => self.pick_word(INTS),
            11 => self.pick_word(EDGE_INTS),
            12 => self.pick_word(NOT_INTS),
            13 => self.pick_word(FLOATS),
            14 => self.pick_word(ODD_FLOATS),
            15 | 16 => self.long(),
            17 => (0..self.rng.below(30)).map(|_| self.rng.below(256) as u8).collect(),
            18 => Vec::new(),
            _ => self.rng.below(1000).to_string().into_bytes(),
        }
    }

    /// Text of a length at which something changes; rarely a very long one.
    fn long(&mut self) -> Vec<u8> {
        let len = if self.chance(3) { 1000 + self.rng.below(9000) } else { *self.pick(LENGTHS) };
        let (first, step) = (self.rng.below(26), self.rng.below(3));
        (0..len).map(|i| b'a' + ((first + i * step) % 26) as u8).collect()
    }

    /// An element of a collection: often one that is there already.
    fn member(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..8 => format!("m{}", self.rng.below(12)).into_bytes(),
            8..14 => self.rng.below(12).to_string().into_bytes(),
            14..17 => self.rng.below(400).to_string().into_bytes(),
            _ => self.value(),
        }
    }

    fn int(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..15 => self.pick_word(INTS),
            15..18 => self.pick_word(EDGE_INTS),
            _ => self.pick_word(NOT_INTS),
        }
    }

    fn index(&mut self) -> Vec<u8> {
        if self.chance(85) { (self.rng.below(20) as i64 - 8).to_string().into_bytes() } else { self.int() }
    }

    fn count(&mut self) -> Vec<u8> {
        if self.chance(85) { self.rng.below(6).to_string().into_bytes() } else { self.int() }
    }

    fn float(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0..4 => self.rng.below(10).to_string().into_bytes(),
            4..8 => self.pick_word(FLOATS),
            8 => self.pick_word(ODD_FLOATS),
            _ => self.int(),
        }
    }

    fn score_bound(&mut self) -> Vec<u8> {
        match self.rng.below(6) {
            0 => b"-inf".to_vec(),
            1 => b"+inf".to_vec(),
            2 => [b"(", &self.float()[..]].concat(),
            _ => self.float(),
        }
    }

    fn lex_bound(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 | 1 => b"-".to_vec(),
            2 | 3 => b"+".to_vec(),
            4..8 => [b"[", &self.member()[..]].concat(),
            8..11 => [b"(", &self.member()[..]].concat(),
            _ => self.member(),
        }
    }

    fn pattern(&mut self) -> Vec<u8> {
        self.pick_word(&[
            "*", "m*", "*1*", "?", "[a-z]?", "[^m]*", "m[0-3]", "", "\\*", "[", "**", "1", "*0", "{t}*", "a\\",
        ])
    }

    /// A time that no test lives to see, or one that has passed, or none.
    fn delay(&mut self, usual: &[&str]) -> Vec<u8> {
        match self.rng.below(20) {
            0..15 => self.pick_word(usual),
            15 => b"0".to_vec(),
            16 => b"-1".to_vec(),
            17 | 18 => self.pick_word(EDGE_INTS),
            _ => self.pick_word(NOT_INTS),
        }
    }

    fn database(&mut self) -> Vec<u8> {
        let odd = self.chance(5);
        self.pick_word(if odd { &["-1", "16", "x", "99999999999"] } else { &["0", "1", "2"] })
    }

    fn offset(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..10 => self.rng.below(40).to_string().into_bytes(),
            10..16 => self.rng.below(2000).to_string().into_bytes(),
            16 => format!("#{}", self.rng.below(20)).into_bytes(),
            _ => self.int(),
        }
    }

    fn field_type(&mut self) -> Vec<u8> {
        if self.chance(3) {
            return self.pick_word(&["u64", "i65", "u0", "i0", "x8", "u", "", "8", "u08", "I8"]);
        }
        let sign = if self.chance(50) { 'i' } else { 'u' };
        format!("{sign}{}", 1 + self.rng.below(if sign == 'i' { 64 } else { 63 })).into_bytes()
    }

    /// A number of degrees up to `limit`, mostly in one corner of the map.
    fn degrees(&mut self, limit: u64) -> Vec<u8> {
        match self.rng.below(20) {
            0 => self.float(),
            1 => limit.to_string().into_bytes(),
            2..6 => format!("{}", (self.rng.unit() * 2.0 - 1.0) * limit as f64).into_bytes(),
            _ => self.nearby(),
        }
    }

    /// Of a place in that corner. (Polygons stay there: around half of the globe Valkey does not find everything.)
    fn nearby(&mut self) -> Vec<u8> {
        format!("{}.{}", 10 + self.rng.below(5), self.rng.below(100_000)).into_bytes()
    }

    /// The id of an entry that may be there.
    fn id(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..3 => b"-".to_vec(),
            3..6 => b"+".to_vec(),
            6 => self.int(),
            7 => format!("({}", self.rng.below(self.last_id + 2)).into_bytes(),
            8 => self.pick_word(&["18446744073709551615-18446744073709551615", "0-0", "1-", "-1", "5-x", "(+", ""]),
            9..13 => self.rng.below(self.last_id + 2).to_string().into_bytes(),
            _ => format!("{}-{}", self.rng.below(self.last_id + 2), self.rng.below(3)).into_bytes(),
        }
    }

    /// An id behind those given before; now and then one that is not.
    fn new_id(&mut self) -> Vec<u8> {
        if self.chance(5) {
            return self.id();
        }
        self.last_id += self.rng.below(2);
        match self.rng.below(4) {
            0 => self.last_id.to_string().into_bytes(),
            1 => format!("{}-*", self.last_id).into_bytes(),
            _ => format!("{}-{}", self.last_id, self.rng.below(4)).into_bytes(),
        }
    }

    fn dump(&mut self, hint: &str) -> Vec<u8> {
        let marker = if self.chance(90) { DUMP_OF } else { BAD_DUMP_OF };
        [marker, &self.key(hint)[..]].concat()
    }
}
