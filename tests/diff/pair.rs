//! Two servers side by side, and a connection to each.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::reply::Reply;
use crate::support::{Server, ServerKind, eventually};

/// A command: its words.
pub type Argv = Vec<Vec<u8>>;

/// How the servers are set up and spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub resp3: bool,
    /// One node that owns all slots.
    pub cluster: bool,
}

/// Every way in which two servers are compared.
pub const MODES: [Mode; 4] = [
    Mode { resp3: false, cluster: false },
    Mode { resp3: true, cluster: false },
    Mode { resp3: false, cluster: true },
    Mode { resp3: true, cluster: true },
];

/// The longest a server may keep silent.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// One connection.
pub struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
    at: usize,
}

impl Wire {
    pub fn connect(server: &Server, resp3: bool) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("a socket option");
        let mut wire = Wire { stream, read: Vec::new(), at: 0 };
        if resp3 {
            let hello = wire.call(&argv("HELLO 3")).expect("HELLO is answered");
            assert_eq!(hello.kind, b'%', "{hello}");
        }
        wire
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply.
    pub fn next(&mut self) -> io::Result<Reply> {
        loop {
            if let Some((reply, len)) = Reply::read(&self.read[self.at..]) {
                self.at += len;
                return Ok(reply);
            }
            self.read.drain(..self.at);
            self.at = 0;
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.read.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Ends the conversation: what the server had still said.
    pub fn rest(&mut self) -> String {
        // A server that has closed the connection says nothing more either.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let _ = self.stream.read_to_end(&mut self.read);
        String::from_utf8_lossy(&self.read[self.at..]).into_owned()
    }

    pub fn call(&mut self, args: &[Vec<u8>]) -> io::Result<Reply> {
        self.send(&encode(args))?;
        self.next()
    }
}

/// The words of a line in redis-cli's quoting.
pub fn argv(line: &str) -> Argv {
    trib::base::words::split(line.as_bytes()).unwrap_or_else(|| panic!("unbalanced quotes: {line}"))
}

/// The request as it goes out.
pub fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// `node` and the stock server.
pub struct Pair {
    pub mode: Mode,
    pub node_server: Server,
    pub stock_server: Server,
    pub node: Wire,
    pub stock: Wire,
}

impl Pair {
    /// `node` beside a server of that kind.
    pub fn start(mode: Mode, stock: ServerKind) -> Pair {
        let start = |kind| {
            let directives = "enable-debug-command yes\n";
            if mode.cluster { Server::start_in_cluster_mode(kind, directives) } else { Server::start(kind, directives) }
        };
        let (node_server, stock_server) = (start(ServerKind::Node), start(stock));
        if mode.cluster {
            for server in [&node_server, &stock_server] {
                assert_eq!(server.text("CLUSTER ADDSLOTSRANGE 0 16383"), "OK");
                eventually("the cluster is ok", || server.text("CLUSTER INFO").contains("cluster_state:ok"));
            }
        }
        let (node, stock) = (Wire::connect(&node_server, mode.resp3), Wire::connect(&stock_server, mode.resp3));
        Pair { mode, node_server, stock_server, node, stock }
    }

    /// New connections, as if nothing had been said yet.
    pub fn reconnect(&mut self) {
        self.node = Wire::connect(&self.node_server, self.mode.resp3);
        self.stock = Wire::connect(&self.stock_server, self.mode.resp3);
    }

    /// Starts a server that does not answer any more again. Gives the end of its log.
    pub fn revive(&mut self) -> String {
        let mut log = String::new();
        for server in [&mut self.node_server, &mut self.stock_server] {
            if server.call::<String>("PING").is_err() {
                log += &server.log_tail();
                server.restart();
                if self.mode.cluster {
                    eventually("the cluster is ok", || server.text("CLUSTER INFO").contains("cluster_state:ok"));
                }
            }
        }
        log
    }

    /// One command to both: the replies of `node` and of the stock server.
    pub fn call(&mut self, args: &[Vec<u8>]) -> io::Result<(Reply, Reply)> {
        let request = encode(args);
        self.node.send(&request)?;
        self.stock.send(&request)?;
        Ok((self.node.next()?, self.stock.next()?))
    }

    /// Sends `line` to both, for its effect.
    pub fn both(&mut self, line: &str) -> (Reply, Reply) {
        self.call(&argv(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}
