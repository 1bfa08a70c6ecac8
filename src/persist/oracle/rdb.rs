//! Whole files, between a stock server and this room.

use super::{start, start_in};
use crate::base::Millis;
use crate::data::Limits;
use crate::persist::rdb::{
    Access, Aux, Checksum, Event, RdbReader, RdbWriter, ReadOptions, ReplicationAux, WriteOptions,
};
use crate::persist::samples::{chosen, contents, value};

/// 2100-01-01, far enough for any clock.
const FAR: Millis = Millis(4_102_444_800_000);

#[test]
fn a_stock_server_loads_our_file() {
    let limits = Limits::default();
    let replication = ReplicationAux { stream_db: 0, id: "0123456789abcdef0123456789abcdef01234567", offset: 4321 };
    let aux = Aux {
        server_version: "7.2.4",
        ctime_secs: 1_700_000_000,
        used_memory_bytes: 1 << 20,
        replication: Some(replication),
        aof_base: false,
    };
    let samples = chosen();
    for checksum in [true, false] {
        let mut file = Vec::new();
        let mut writer =
            RdbWriter::begin(&mut file, WriteOptions { checksum, compress: checksum, ..WriteOptions::default() }, &aux);
        writer.select(&mut file, 0, samples.len(), 1);
        for (i, (name, kind, elements)) in samples.iter().enumerate() {
            let expire = (i == 0).then_some(FAR);
            let value = value(*kind, elements, &limits);
            writer.entry(&mut file, name.as_bytes(), value.as_ref(), expire, Access::IdleSecs(1000));
        }
        writer.select(&mut file, 9, 1, 0);
        let nine = crate::data::value::Value::Int(9);
        writer.entry(&mut file, b"9", nine.as_ref(), None, Access::Untracked);
        writer.finish(&mut file);

        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dump.rdb"), &file).unwrap();
        let Some(mut oracle) = start_in(dir, &["--maxmemory-policy", "allkeys-lru"]) else { return };
        assert_eq!(oracle.run::<usize>(&[b"DBSIZE"]), samples.len());
        for (i, (name, kind, elements)) in samples.iter().enumerate() {
            let idle = oracle.run::<i64>(&[b"OBJECT", b"IDLETIME", name.as_bytes()]);
            assert!((1000..1100).contains(&idle), "{idle}");
            let expected = contents(value(*kind, elements, &limits).as_ref()).1;
            assert_eq!(oracle.contents(name.as_bytes(), *kind), expected, "{name}");
            let expire = oracle.run::<i64>(&[b"PEXPIRETIME", name.as_bytes()]);
            assert_eq!(expire, if i == 0 { FAR.0 } else { -1 });
        }
        oracle.run::<String>(&[b"SELECT", b"9"]);
        assert_eq!(oracle.run::<Vec<u8>>(&[b"GET", b"9"]), b"9");
    }
}

#[test]
fn we_load_the_file_of_a_stock_server() {
    let Some(mut oracle) = start(&["--maxmemory-policy", "allkeys-lfu"]) else { return };
    let limits = Limits::default();
    let samples = chosen();
    for (name, kind, elements) in &samples {
        let mut payload = Vec::new();
        crate::persist::dump::dump(&mut payload, value(*kind, elements, &limits).as_ref(), true);
        oracle.run::<String>(&[b"RESTORE", name.as_bytes(), b"0", &payload, b"FREQ", b"77"]);
    }
    oracle.run::<i64>(&[b"PEXPIREAT", samples[3].0.as_bytes(), FAR.0.to_string().as_bytes()]);
    oracle.run::<String>(&[b"SELECT", b"5"]);
    oracle.run::<String>(&[b"SET", b"five", b"v"]);
    oracle.run::<String>(&[b"SAVE"]);

    let file = std::fs::File::open(oracle.dir().join("dump.rdb")).unwrap();
    let mut reader = RdbReader::open(std::io::BufReader::new(file), ReadOptions::default(), &limits).unwrap();
    assert_eq!(reader.version(), 10);
    let (mut db, mut names, mut facts, mut expiries) = (0, Vec::new(), Vec::new(), 0);
    loop {
        match reader.next().unwrap() {
            Event::Aux { name, .. } => facts.push(String::from_utf8(name).unwrap()),
            Event::SelectDb(selected) => db = selected,
            Event::ResizeDb { keys, expires } => {
                assert_eq!((keys, expires), if db == 0 { (samples.len() as u64, 1) } else { (1, 0) });
            }
            Event::Entry(entry) if db == 5 => assert_eq!(entry.key, b"five"),
            Event::Entry(entry) => {
                let name = String::from_utf8(entry.key).unwrap();
                let (_, kind, elements) = samples.iter().find(|(known, ..)| *known == name).unwrap();
                assert_eq!(
                    contents(entry.value.as_ref()),
                    contents(value(*kind, elements, &limits).as_ref()),
                    "{name}"
                );
                assert!((70..=77).contains(&entry.frequency.unwrap()));
                if let Some(at) = entry.expire {
                    assert_eq!((at, &name), (FAR, &samples[3].0));
                    expiries += 1;
                }
                names.push(name);
            }
            Event::End { checksum } => {
                assert_eq!(checksum, Checksum::Verified);
                break;
            }
            event => panic!("{event:?}"),
        }
    }
    assert_eq!((names.len(), expiries), (samples.len(), 1));
    assert!(["redis-ver", "ctime", "used-mem", "aof-base"].iter().all(|fact| facts.iter().any(|f| f == fact)));
}

#[test]
fn what_we_cannot_hold_is_named() {
    let Some(mut oracle) = start(&[]) else { return };
    let open = |oracle: &super::Oracle| {
        let file = std::fs::read(oracle.dir().join("dump.rdb")).unwrap();
        let mut reader = RdbReader::open(&file[..], ReadOptions::default(), &Limits::default()).unwrap();
        loop {
            match reader.next() {
                Ok(Event::End { .. }) => panic!("nothing was refused"),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    };
    let library = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    oracle.run::<String>(&[b"FUNCTION", b"LOAD", library]);
    oracle.run::<String>(&[b"SAVE"]);
    assert_eq!(open(&oracle), "a function library is not supported yet");
}
