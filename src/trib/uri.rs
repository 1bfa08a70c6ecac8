//! Addresses as URIs: `rediss://user:password@host:port/db`, as redis-cli's `-u` takes them.

use super::access::Credentials;
use super::addr::Addr;

/// What a URI says.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    pub addr: Addr,
    pub login: Credentials,
    pub tls: bool,
    pub db: Option<u32>,
}

const SCHEMES: [(&str, bool); 4] =
    [("redis://", false), ("rediss://", true), ("valkey://", false), ("valkeys://", true)];
const PORT: u16 = 6379;

/// Whether the text means to be a URI.
#[must_use]
pub fn is_uri(text: &str) -> bool {
    SCHEMES.iter().any(|(scheme, _)| text.starts_with(scheme))
}

/// Reads a URI. Without a colon what stands before the `@` is a password.
pub fn parse(text: &str) -> Result<Uri, String> {
    let bad = |why: &str| format!("Invalid URI: {why}");
    let (rest, tls) = SCHEMES
        .iter()
        .find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, *tls)))
        .ok_or_else(|| bad("it begins with redis:// or rediss://"))?;
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (rest, db) = match rest.rsplit_once('/').filter(|(_, db)| !db.contains('@')) {
        Some((rest, "")) => (rest, None),
        Some((rest, db)) => (rest, Some(db.parse().map_err(|_| bad("the database is no number"))?)),
        None => (rest, None),
    };
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (read_login(login).ok_or_else(|| bad("a % is not followed by two digits"))?, place),
        None => (Credentials::default(), rest),
    };
    let addr = if place.is_empty() {
        Addr::new("127.0.0.1", PORT)
    } else if place.ends_with(']') || !place.contains(':') {
        Addr::new(place.trim_start_matches('[').trim_end_matches(']'), PORT)
    } else {
        place.parse().map_err(|why: super::addr::BadAddr| bad(&why.to_string()))?
    };
    Ok(Uri { addr, login, tls, db })
}

fn read_login(text: &str) -> Option<Credentials> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (decode(user)?, decode(password)?),
        None => (String::new(), decode(text)?),
    };
    let said = |text: String| (!text.is_empty()).then_some(text);
    Some(Credentials { user: said(user), password: said(password) })
}

/// Resolves `%41`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, more @ ..] = rest else { return None };
        let digit = |b: &u8| char::from(*b).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String, bool, Option<u32>) {
        let uri = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let said = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        (uri.addr.to_string(), said(uri.login.user), said(uri.login.password), uri.tls, uri.db)
    }

    #[test]
    fn uris_are_read_as_redis_cli_reads_them() {
        let expect =
            |addr: &str, user: &str, password: &str, tls, db| (addr.into(), user.into(), password.into(), tls, db);
        assert_eq!(read("redis://h:7000"), expect("h:7000", "-", "-", false, None));
        assert_eq!(read("rediss://u:p%40s%2F@h:1/3"), expect("h:1", "u", "p@s/", true, Some(3)));
        assert_eq!(read("redis://secret@h"), expect("h:6379", "-", "secret", false, None));
        assert_eq!(read("valkeys://:p@[::1]:7/"), expect("[::1]:7", "-", "p", true, None));
        assert_eq!(read("redis://[::1]"), expect("[::1]:6379", "-", "-", false, None));
        assert_eq!(read("redis://"), expect("127.0.0.1:6379", "-", "-", false, None));
        for bad in ["http://h:1", "redis://h:x", "redis://h:1/x", "redis://p%zz@h:1", "redis://p%4@h:1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
