//! Conversations with nodes: one connection per node, kept while it works, every step under a clock.
//!
//! A connection is multiplexed: any number of commands may be on their way at once, also from different
//! tasks. Replies come back as [`redis::Value`]; an error reply is a [`Failure::Reply`] with the server's
//! exact text, because the text is what people search for.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisConnectionInfo, RedisError, Value};

use super::access::{Access, Credentials, Timeouts};
use super::addr::Addr;
use super::dial;
use super::error::Failure;
use super::keytext;

/// The connections of a run, by address. Cheap to share behind a reference; not for several threads.
pub struct Pool {
    access: Access,
    /// By address and database.
    clients: RefCell<HashMap<(Addr, u32), Client>>,
    databases: RefCell<HashMap<Addr, u32>>,
    lanes: RefCell<HashMap<Addr, Vec<Client>>>,
}

impl Pool {
    #[must_use]
    pub fn new(access: Access) -> Pool {
        Pool { access, clients: RefCell::default(), databases: RefCell::default(), lanes: RefCell::default() }
    }

    /// How the nodes are reached.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.access.timeouts
    }

    /// The connection to `addr`; dials and authenticates if there is none that works.
    pub async fn client(&self, addr: &Addr) -> Result<Client, Failure> {
        self.client_in(addr, 0).await
    }

    /// Dials those that there is no connection to yet, all at the same time. What does not come up is dialled again, and
    /// complained about, when it is used.
    pub async fn warm_up(&self, addrs: &[Addr]) {
        join_all(addrs.iter().map(|addr| self.client(addr))).await;
    }

    /// The connection to `addr` on which this database is selected.
    pub async fn client_in(&self, addr: &Addr, database: u32) -> Result<Client, Failure> {
        let place = (addr.clone(), database);
        let known = self.clients.borrow().get(&place).cloned();
        if let Some(client) = known
            && !client.broken.get()
        {
            return Ok(client);
        }
        let client = Client::dial(addr, &self.access).await?;
        if database != 0 {
            client.call(command("SELECT").arg(database)).await?;
        }
        self.clients.borrow_mut().insert(place, client.clone());
        Ok(client)
    }

    /// Connections to `addr` beside the usual one, on which SETSLOT can wait at the same time. None where it does not wait:
    /// Valkey does since its version 8, until the replicas have heard of the slot.
    pub async fn lanes(&self, addr: &Addr) -> Result<Vec<Client>, Failure> {
        const LANES: usize = 8;
        let known = self.lanes.borrow().get(addr).cloned();
        if let Some(lanes) = known
            && lanes.iter().all(|client| !client.broken.get())
        {
            return Ok(lanes);
        }
        let info = text_of(&self.call(addr, &command("INFO")).await?).unwrap_or_default();
        let major = info_field(&info, "valkey_version").and_then(|version| version.split('.').next()?.parse().ok());
        let is_alone = info_field(&info, "connected_slaves").is_none_or(|count| count == "0");
        let count = if major.is_some_and(|major: u32| major >= 8) && !is_alone { LANES } else { 0 };
        let dialled = join_all((0..count).map(|_| Client::dial(addr, &self.access))).await;
        let lanes: Vec<Client> = dialled.into_iter().collect::<Result<_, Failure>>()?;
        self.lanes.borrow_mut().insert(addr.clone(), lanes.clone());
        Ok(lanes)
    }

    /// How many databases the cluster node at `addr` may have: one, but for servers that can be told otherwise.
    pub async fn databases(&self, addr: &Addr) -> Result<u32, Failure> {
        if let Some(&known) = self.databases.borrow().get(addr) {
            return Ok(known);
        }
        let cmds = [command("CONFIG GET cluster-databases"), command("INFO keyspace")];
        let client = self.client(addr).await?;
        let mut replies = client.pipeline(client.timeouts().reply, &cmds).await?.into_iter();
        let told = match replies.next() {
            Some(Ok(Value::Array(pair))) => pair.get(1).and_then(text_of).and_then(|count| count.parse().ok()),
            // Not everybody may ask.
            _ => None,
        };
        // Somebody who may not ask for the number still sees which are in use.
        let used = replies.next().transpose()?.as_ref().and_then(text_of).unwrap_or_default();
        let used = used.lines().filter_map(|line| line.strip_prefix("db")?.split_once(':')?.0.parse::<u32>().ok());
        let mut count = told.unwrap_or(1).max(used.max().map_or(0, |last| last + 1));
        if count > 1 {
            match self.client_in(addr, 1).await {
                // It has them, but nobody gets there, not in cluster mode.
                Err(Failure::Reply { .. }) => count = 1,
                other => drop(other?),
            }
        }
        self.databases.borrow_mut().insert(addr.clone(), count);
        Ok(count)
    }

    /// Sends one command to `addr` and waits for the reply.
    pub async fn call(&self, addr: &Addr, cmd: &Cmd) -> Result<Value, Failure> {
        self.client(addr).await?.call(cmd).await
    }

    /// Sends one command to many nodes at once; the results are in the order of the addresses.
    pub async fn call_all<'a>(
        &self,
        addrs: impl IntoIterator<Item = &'a Addr>,
        cmd: &Cmd,
    ) -> Vec<Result<Value, Failure>> {
        join_all(addrs.into_iter().map(|addr| self.call(addr, cmd))).await
    }

    /// Forgets the connection to `addr`, so that the next use dials again.
    pub fn forget(&self, addr: &Addr) {
        self.clients.borrow_mut().retain(|(known, _), _| known != addr);
        self.lanes.borrow_mut().remove(addr);
    }
}

/// One connection to one node. Clones share it.
#[derive(Clone)]
pub struct Client {
    addr: Addr,
    connection: MultiplexedConnection,
    timeouts: Timeouts,
    broken: Rc<Cell<bool>>,
}

impl Client {
    /// Dials `addr` and authenticates when there is a password.
    pub async fn dial(addr: &Addr, access: &Access) -> Result<Client, Failure> {
        let stream = dial::connect(addr, access).await?;
        let plain = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = redis::AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let (connection, driver) = MultiplexedConnection::new_with_config(&plain, stream, config)
            .await
            .map_err(|e| Failure::Connect { node: addr.clone(), reason: describe(&e) })?;
        // Ends when the last clone of the connection is dropped, or when the peer hangs up.
        tokio::spawn(driver);
        let timeouts = access.timeouts;
        let client = Client { addr: addr.clone(), connection, timeouts, broken: Rc::default() };
        if let Some(auth) = auth_command(access.login_for(addr)) {
            client.call_within(timeouts.connect, &auth).await?;
        }
        Ok(client)
    }

    #[must_use]
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends one command and waits for its reply, at most the usual time.
    pub async fn call(&self, cmd: &Cmd) -> Result<Value, Failure> {
        self.call_within(self.timeouts.reply, cmd).await
    }

    /// The same with an own time limit, for commands that work or wait for long (MIGRATE, WAIT).
    pub async fn call_within(&self, limit: Duration, cmd: &Cmd) -> Result<Value, Failure> {
        let mut connection = self.connection.clone();
        match tokio::time::timeout(limit, connection.send_packed_command(cmd)).await {
            Ok(result) => self.accept(result),
            Err(_) => Err(self.late(limit)),
        }
    }

    /// Sends the commands in one write. Each has its own result; only a broken connection or a missing
    /// answer fails them all.
    pub async fn pipeline(&self, limit: Duration, cmds: &[Cmd]) -> Result<Vec<Result<Value, Failure>>, Failure> {
        if cmds.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::Pipeline::with_capacity(cmds.len());
        for cmd in cmds {
            pipeline.add_command(cmd.clone());
        }
        pipeline.ignore_errors();
        let mut connection = self.connection.clone();
        match tokio::time::timeout(limit, connection.send_packed_commands(&pipeline, 0, cmds.len())).await {
            Ok(Ok(values)) => Ok(values.into_iter().map(|value| self.accept(Ok(value))).collect()),
            Ok(Err(e)) => Err(self.accept(Err(e)).expect_err("an error stays one")),
            Err(_) => Err(self.late(limit)),
        }
    }

    /// The parameters of the server's configuration that these names or patterns are of, with their values, of any bytes
    /// as [`keytext::exact`] has them.
    pub async fn config<N: AsRef<str>>(&self, names: &[N]) -> Result<Vec<(String, String)>, Failure> {
        let cmds: Vec<Cmd> = names.iter().map(|name| command("CONFIG GET").arg(name.as_ref()).to_owned()).collect();
        let mut pairs = Vec::new();
        for reply in self.pipeline(self.timeouts.reply, &cmds).await? {
            let reply = reply?;
            pairs.extend(entries_of(&reply).filter_map(|(name, value)| Some((text_of(name)?, exact(value)?))));
        }
        Ok(pairs)
    }

    fn accept(&self, result: Result<Value, RedisError>) -> Result<Value, Failure> {
        let node = self.addr.clone();
        match result {
            Ok(Value::ServerError(e)) => Err(Failure::Reply { node, text: join_error(e.code(), e.details()) }),
            Ok(value) => Ok(value),
            Err(e) => match e.code() {
                Some(code) => Err(Failure::Reply { node, text: join_error(code, e.detail()) }),
                None => {
                    self.broken.set(true);
                    Err(Failure::Lost { node, reason: describe(&e) })
                }
            },
        }
    }

    /// A connection that owes a reply is not used again: the node may never recover.
    fn late(&self, waited: Duration) -> Failure {
        self.broken.set(true);
        Failure::Timeout { node: self.addr.clone(), waited }
    }
}

/// The command whose first words are `words`: `command("CLUSTER SETSLOT").arg(5)`.
#[must_use]
pub fn command(words: &str) -> Cmd {
    let mut words = words.split_ascii_whitespace();
    let mut cmd = redis::cmd(words.next().unwrap_or_default());
    for word in words {
        cmd.arg(word);
    }
    cmd
}

/// The text in a reply that has one.
#[must_use]
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Okay => Some("OK".to_owned()),
        Value::Int(n) => Some(n.to_string()),
        _ => None,
    }
}

/// The names and values of a map, which servers send flat in the older protocol, that are text.
#[must_use]
pub fn pairs_of(value: &Value) -> Vec<(String, String)> {
    entries_of(value).filter_map(|(name, value)| Some((text_of(name)?, text_of(value)?))).collect()
}

/// The names and values of a map.
fn entries_of(value: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let (pairs, flat): (&[(Value, Value)], &[Value]) = match value {
        Value::Map(pairs) => (pairs, &[]),
        Value::Array(items) => (&[], items),
        _ => (&[], &[]),
    };
    let flat = flat.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    pairs.iter().map(|(name, value)| (name, value)).chain(flat)
}

fn exact(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(keytext::exact(bytes)),
        other => text_of(other),
    }
}

/// The `name:value` line of this name in an INFO or CLUSTER INFO text.
#[must_use]
pub fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

/// Runs the futures at the same time on this task; the results are in their order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(futures).await
}

fn join_error(code: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{code} {detail}"),
        None => code.to_owned(),
    }
}

/// AUTH, when there is a password.
#[must_use]
pub fn auth_command(login: &Credentials) -> Option<Cmd> {
    let password = login.password.as_ref()?;
    let mut auth = redis::cmd("AUTH");
    if let Some(user) = &login.user {
        auth.arg(user);
    }
    auth.arg(password);
    Some(auth)
}

/// What MIGRATE has to say so that the node at `addr` takes the keys: nothing without a password, since a
/// user alone is no credential.
pub fn add_migrate_auth(cmd: &mut Cmd, access: &Access, addr: &Addr) {
    let login = access.login_for(addr);
    match (&login.user, &login.password) {
        (Some(user), Some(password)) => drop(cmd.arg("AUTH2").arg(user).arg(password)),
        (None, Some(password)) => drop(cmd.arg("AUTH").arg(password)),
        (_, None) => {}
    }
}

/// The system's own words where there are any.
fn describe(error: &RedisError) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    dial::without_number(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_into_words() {
        let mut cmd = command("CLUSTER SETSLOT");
        cmd.arg(5).arg("STABLE");
        assert_eq!(cmd.get_packed_command(), b"*4\r\n$7\r\nCLUSTER\r\n$7\r\nSETSLOT\r\n$1\r\n5\r\n$6\r\nSTABLE\r\n");
    }

    #[test]
    fn a_user_without_a_password_is_no_credential_for_migrate() {
        let node: Addr = "h:1".parse().unwrap();
        let packed = |user: Option<&str>, password: Option<&str>| {
            let login = Credentials { user: user.map(str::to_owned), password: password.map(str::to_owned) };
            let access = Access { login, ..Access::default() };
            let mut cmd = command("X");
            add_migrate_auth(&mut cmd, &access, &node);
            let words = cmd.args_iter().map(|arg| match arg {
                redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                _ => "?".to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(packed(None, None), "X");
        assert_eq!(packed(Some("u"), None), "X");
        assert_eq!(packed(None, Some("p")), "X AUTH p");
        assert_eq!(packed(Some("u"), Some("p")), "X AUTH2 u p");
    }

    #[test]
    fn info_fields_are_found_by_their_whole_name() {
        let info = "# Cluster\r\ncluster_state_x:no\r\ncluster_state:ok\r\n";
        assert_eq!(info_field(info, "cluster_state"), Some("ok"));
        assert_eq!(info_field(info, "state"), None);
    }

    fn in_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn short() -> Access {
        let timeouts = Timeouts::new(Duration::from_millis(300), Some(Duration::from_millis(100)));
        Access { timeouts, ..Access::default() }
    }

    #[test]
    fn a_refused_connection_says_so() {
        in_runtime(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = Addr::new("127.0.0.1", listener.local_addr().unwrap().port());
            drop(listener);
            let Err(failure) = Client::dial(&addr, &short()).await else {
                panic!("nobody listens there");
            };
            assert_eq!(failure, Failure::Connect { node: addr, reason: "Connection refused".into() });
        });
    }

    #[test]
    fn a_silent_peer_costs_only_the_time_limit_and_is_not_used_again() {
        in_runtime(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = Addr::new("127.0.0.1", listener.local_addr().unwrap().port());
            let pool = Pool::new(short());
            let client = pool.client(&addr).await.unwrap();
            let failure = client.call(&command("PING")).await.unwrap_err();
            assert!(matches!(failure, Failure::Timeout { .. }));
            assert!(client.broken.get());
            assert!(!pool.client(&addr).await.unwrap().broken.get());
        });
    }

    /// Answers every read with the same bytes.
    fn serve(reply: &'static [u8]) -> Addr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                stream.write_all(reply).unwrap();
            }
        });
        Addr::new("127.0.0.1", port)
    }

    #[test]
    fn error_replies_keep_their_exact_text() {
        in_runtime(async {
            for text in ["ERR Unknown node x", "WEIRD", "NOREPLICAS Not enough good replicas to write."] {
                let wire: &'static [u8] = Box::leak(format!("-{text}\r\n").into_bytes().into_boxed_slice());
                let node = serve(wire);
                let client = Client::dial(&node, &short()).await.unwrap();
                let failure = client.call(&command("X")).await.unwrap_err();
                assert_eq!(failure, Failure::Reply { node, text: text.into() });
                assert!(!client.broken.get());
            }
        });
    }

    #[test]
    fn each_command_of_a_pipeline_has_its_own_result() {
        in_runtime(async {
            let node = serve(b"+OK\r\n-BUSYKEY Target key name already exists.\r\n:3\r\n");
            let client = Client::dial(&node, &short()).await.unwrap();
            let cmds = [command("A"), command("B"), command("C")];
            let results = client.pipeline(Duration::from_secs(1), &cmds).await.unwrap();
            assert_eq!(results[0], Ok(Value::Okay));
            assert_eq!(results[1].as_ref().unwrap_err().code(), Some("BUSYKEY"));
            assert_eq!(results[2], Ok(Value::Int(3)));
        });
    }
}
