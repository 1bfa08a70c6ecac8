//! `nodes.conf`: every kind of damage is found.

use super::super::conf::ConfError;
use super::*;
use crate::base::Rng;

/// A cluster's file with everything in it: replicas, open slots, attributes, votes.
fn text() -> String {
    let mut net = Net::new(5, 3, |c| {
        c.announce_hostname = "host.example".into();
        c.announce_nodename = "name-1".into();
        c.availability_zone = "zone/a".into();
        c.announce_client_ipv4 = "192.0.2.7".into();
        c.announce_client_ipv6 = "2001:db8::7".into();
        c.announce_client_port = 7;
        c.announce_client_tls_port = 8;
    });
    net.create(3);
    let (one, two) = (net.id(1), net.id(2));
    net.must(0, &format!("SETSLOT 7 MIGRATING {one}"));
    net.must(0, &format!("SETSLOT 16000 IMPORTING {two}"));
    net.run(2000);
    net.engine(0).config_text()
}

fn load(text: &str) -> Result<Engine, ConfError> {
    Engine::restore(Config::default(), Rng::seeded(1), Clock::default(), text)
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let text = text();
    let vars = text.find("vars").unwrap();
    for end in (1..vars).step_by(13).chain(vars..text.len()) {
        assert!(load(&text[..end]).is_err(), "cut after {end} bytes it loads:\n{}", &text[..end]);
    }
}

#[test]
fn lines_in_another_order_and_blank_lines_are_no_damage() {
    let text = text();
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.len() - 1;
    lines[..last].reverse();
    lines.insert(1, "");
    assert!(load(&format!("{}\n", lines.join("\n"))).is_ok());
}

#[test]
fn every_kind_of_damage_is_refused() {
    let text = text();
    let first = text.lines().next().unwrap().to_owned();
    let own = text.lines().find(|line| line.contains("myself")).unwrap().to_owned();
    let id = &own[..40];
    for (what, damaged) in [
        ("a line twice", format!("{first}\n{text}")),
        ("nobody is myself", text.replacen("myself,", "", 1)),
        ("two are myself", text.replace(" master ", " myself,master ")),
        ("an id with a foreign letter", text.replacen(id, &format!("G{}", &id[1..]), 1)),
        ("an id that is too short", text.replacen(id, &id[1..], 1)),
        ("an unknown flag", text.replacen("master", "mister", 1)),
        ("an unknown field", text.replacen("shard-id=", "shard-it=", 1)),
        ("a shard id that is none", text.replacen("shard-id=", "shard-id=x", 1)),
        ("a port that is none", text.replacen("@17000", "@170000", 1)),
        ("no address", text.replacen(":7000@", "7000@", 1)),
        ("a slot that is none", text.replacen(" 0-", " 0-9", 1)),
        ("an epoch that is none", text.replacen("currentEpoch ", "currentEpoch -", 1)),
        ("an epoch without a value", text.replacen("lastVoteEpoch ", "lastVoteEpoch", 1)),
        ("an open slot that is none", text.replacen("[7->-", "[7->>", 1)),
        (
            "an open slot of a node without a line",
            text.replacen("[7->-", &format!("[8->-{}] [7->-", "0".repeat(40)), 1),
        ),
        ("a primary without a line", text.replacen(" master - ", &format!(" slave {} ", "0".repeat(40)), 1)),
        ("zeros", "\0".repeat(4096)),
        ("zeros within", text.replacen("vars", "\0\0\0\0", 1)),
        ("another file", "port 7000\n".to_owned()),
    ] {
        assert_ne!(damaged, text, "{what}: the test changes nothing");
        let error = load(&damaged).map(|_| ()).expect_err(what);
        assert!(error.line > 0 && !error.what.is_empty(), "{what}: {error}");
    }
}
