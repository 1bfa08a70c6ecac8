//! Nonsense at the client port and at the bus port: an error or a closed link, never a crash, no data lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Server, ServerKind};

/// Bytes that look like anything: truncated, oversized, and plain noise from a fixed seed.
fn nasty() -> Vec<Vec<u8>> {
    let mut inputs: Vec<Vec<u8>> = vec![
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n".to_vec(),
        b"*1000000000\r\n".to_vec(),
        b"*2\r\n$3\r\nGET\r\n$99999999999\r\n".to_vec(),
        b"*1\r\n$-5\r\n".to_vec(),
        b"*x\r\n".to_vec(),
        vec![b'a'; 100_000],
        b"\"unbalanced\r\n".to_vec(),
        b"\0\0\0\0\r\n".to_vec(),
    ];
    // A bus header with lengths that do not fit.
    for totlen in [0u32, 16, 2256, 2300, u32::MAX] {
        let mut packet = b"RCmb".to_vec();
        packet.extend_from_slice(&totlen.to_be_bytes());
        packet.extend_from_slice(&1u16.to_be_bytes());
        packet.resize(2400, 0xff);
        inputs.push(packet);
    }
    let mut state = 7u64;
    for len in [1usize, 10, 500, 3000, 20_000] {
        let noise = (0..len).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        inputs.push(noise.collect());
    }
    inputs
}

fn throw(port: u16, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { panic!("port {port} does not answer") };
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    // The server may close before everything is written.
    let _ = stream.write_all(bytes);
    let _ = stream.read(&mut [0; 1024]);
}

#[test]
fn noise_harms_nothing() {
    let server = Server::start_in_cluster_mode(ServerKind::Node, "");
    assert_eq!(server.text("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
    crate::eventually("the cluster is ok", || server.text("CLUSTER INFO").contains("cluster_state:ok"));
    assert_eq!(server.text("SET precious data"), "OK");
    for bytes in nasty() {
        throw(server.port, &bytes);
        throw(server.port + 10_000, &bytes);
    }
    assert_eq!(server.text("GET precious"), "data");
    assert!(server.text("CLUSTER INFO").contains("cluster_known_nodes:1\r\n"));
}

#[test]
fn a_broken_protocol_is_answered_in_redis_words() {
    let server = Server::start(ServerKind::Node, "");
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"PING\r\n*1\r\n:1\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n");
}
